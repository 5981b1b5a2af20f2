"""What an argument may be: one function for each kind, used by every public function and constructor.

Each takes the value and the name that the user knows it by, and returns it as the library goes on with it. What does
not fit raises TypeError (another kind of thing) or ValueError (the right kind, a wrong value) with a text of one form:
`padding must be an integer of at least 0, got -1`. Nothing that came is printed at length. Who is asked, a layer or a
loss, is put before it by the caller.
"""
import os
from collections.abc import Mapping
from numbers import Real
from operator import index

import numpy as np

LONGEST = 80    # characters of a value that an error shows
LARGEST = 2**31 - 1     # what a size may be at most; a weight of so many float32 numbers takes 8 GB
_DTYPES = np.dtype(np.float32), np.dtype(np.float64)


def shown(value):
    """What came, in few words: an array by its shape and dtype, anything else by its repr, cut where it is long."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, (list, tuple, set, dict)) and len(value) > 20:
        return f"a {type(value).__name__} of {len(value)} elements"
    try:
        text = repr(value)
    except Exception:   # a class of the user's own, whose repr is no matter of the argument's
        return f"an object of class {type(value).__name__}"
    if len(text) > LONGEST or "\n" in text:
        return f"an object of class {type(value).__name__}"
    return text


# Numbers

def integer(value, name, least=None, most=None):
    """`value` as an int within the bounds, which belong to the range. Python's and NumPy's integers; no bool."""
    if type(value) is int and (least is None or value >= least) and (most is None or value <= most):
        return value
    expected = f"{name} must be an integer{_between(least, most)}, got {{}}"
    if isinstance(value, (bool, np.bool_, np.ndarray)):
        raise TypeError(expected.format(shown(value)))
    try:
        result = index(value)
    except Exception:   # of a user's own __index__ too
        raise TypeError(expected.format(shown(value))) from None
    if (least is not None and result < least) or (most is not None and result > most):
        raise ValueError(expected.format(shown(result)))
    return result


def size(value, name, least=1, what=None, whole=None):
    """`value`, a length or a number of channels, as an int, at most `LARGEST`. `what` says it in words where there are
    more ways to write it, `whole` is what came, where that holds several."""
    whole = value if whole is None else whole
    try:
        result = integer(value, name, least)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be {what or f'an integer of at least {least}'}, got {shown(whole)}") from None
    if result > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST}, got {shown(whole)}")
    return result


def integers(value, name, count=None, least=0, what=None):
    """`value`, a tuple or list of `count` integers of at least `least` (of any number without a count), as a tuple of
    ints. `what` says it in words, where there are more ways to write it."""
    if type(value) is tuple and len(value) == (len(value) if count is None else count) \
            and all([type(one) is int and least <= one <= LARGEST for one in value]):
        return value    # as the library itself gives it, again and again
    what = what or f"{count} integers of at least {least}"
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be {what}, got {shown(value)}")
    result = tuple([size(one, name, least, what, value) for one in value])
    if count is not None and len(result) != count:
        raise ValueError(f"{name} must be {what}, got {shown(value)}")
    return result


def single(value, name, least=1):
    """One integer, as such or in a tuple by itself, as PyTorch's layers for sequences have it."""
    what = f"an integer of at least {least}"
    if isinstance(value, (tuple, list)):
        return integers(value, name, 1, least, what)[0]
    return size(value, name, least, what)


def pair(value, name, least=1):
    """Two integers (vertical, horizontal) from one integer or two: kernel sizes, strides, dilations."""
    what = f"one or two integers of at least {least}"
    if isinstance(value, (tuple, list)):
        return integers(value, name, 2, least, what)
    return (size(value, name, least, what),) * 2


def pair_or_none(value, name):
    """The same, where None may stand for each of two."""
    what = "one or two integers of at least 1, or two with None among them"
    values = value if isinstance(value, (tuple, list)) else (size(value, name, 1, what),) * 2
    result = tuple([one if one is None else size(one, name, 1, what, value) for one in values])
    if len(result) != 2:
        raise ValueError(f"{name} must be {what}, got {shown(value)}")
    return result


def lengths(value, name):
    """`value`, the lengths of some axes, or an integer for one, as a tuple of ints of at least 1."""
    what = "an integer of at least 1 or a tuple of such"
    found = integers(value, name, least=1, what=what) if isinstance(value, (tuple, list)) else (
        size(value, name, what=what),)
    if not found:
        raise ValueError(f"{name} must be {what}, got {shown(value)}")
    return found


def shape(value, name="shape"):
    """`value`, a tuple or list of integers that are lengths of axes, as a tuple of ints."""
    what = "a shape, a tuple of integers of at least 0"
    if hasattr(value, "shape") and not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be {what}, got {shown(value)}: give {name.rpartition(': ')[2]}=x.shape")
    return integers(value, name, what=what)


def number(value, name, least=None, most=None, above=None, below=None):
    """`value` as a finite float; `least` and `most` belong to the range, `above` and `below` do not. No bool."""
    result = value if type(value) is float else None    # as the library itself gives it, again and again
    if result is None and isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        try:
            result = float(value)
        except Exception:   # an integer beyond all floats, or a user's own number
            result = float("inf")
    if result is not None and abs(result) < float("inf") and (least is None or result >= least) \
            and (most is None or result <= most) and (above is None or result > above) \
            and (below is None or result < below):
        return result
    raise (TypeError if result is None else ValueError)(
        f"{name} must be a finite number{_between(least, most, above, below)}, got {shown(value)}")


def numbers(value, name, count, least=None, most=None, above=None, below=None):
    """`value`, a tuple or list of `count` finite numbers within the bounds of `number`, as a tuple of floats."""
    if not isinstance(value, (tuple, list)) or len(value) != count:
        raise (ValueError if isinstance(value, (tuple, list)) else TypeError)(
            f"{name} must be {count} finite numbers{_between(least, most, above, below)}, got {shown(value)}")
    return tuple([number(one, name, least, most, above, below) for one in value])


def flag(value, name):
    """`value`, True or False, as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def _between(least=None, most=None, above=None, below=None):
    """The range in words, with a space before it."""
    words = [f"{word} {bound:g}" if isinstance(bound, float) else f"{word} {bound}"
             for word, bound in (("at least", least), ("above", above), ("at most", most), ("below", below))
             if bound is not None]
    return (" of " if words[:1] and words[0].startswith("at") else " ") + " and ".join(words) if words else ""


# Objects

def choice(value, options, name):
    """`value`, which is one of `options`."""
    try:
        known = value in options
    except Exception:   # no comparison, that of an array, or a user's own
        known = False
    if not known or isinstance(value, np.ndarray):
        words = [repr(option) for option in options]
        listed = " or ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:])
        raise (ValueError if isinstance(value, str) else TypeError)(f"{name} must be {listed}, got {shown(value)}")
    return value


def instance(value, kinds, name, what):
    """`value`, an object of class `kinds` (one or a tuple): not the class itself, and not a list of such objects.

    `what` says it in words with its article: "an optimiser".
    """
    if isinstance(value, kinds):
        return value
    hint = ""
    if isinstance(value, type) and issubclass(value, kinds):
        hint = f": make an object of it, {value.__name__}(...)"
    elif isinstance(value, (list, tuple)) and len(value) == 1 and isinstance(value[0], kinds):
        hint = f": give {name} itself, without the brackets"
    raise TypeError(f"{name} must be {what}, got {shown(value)}{hint}")


def function(value, name, what="a function"):
    """`value`, which can be called: a function or an object, not a class that nobody has made an object of."""
    if isinstance(value, type):
        raise TypeError(f"{name} must be {what}, got {shown(value)}: make an object of it, {value.__name__}(...)")
    if not callable(value):
        raise TypeError(f"{name} must be {what}, got {shown(value)}")
    return value


def dtype(value, name="dtype"):
    """`value`, however NumPy lets it be written, as the native float32 or float64 that it is."""
    try:
        result = None if value is None else np.dtype(value)
    except Exception:
        result = None
    if result is None:
        raise (ValueError if isinstance(value, str) else TypeError)(
            f"{name} must be float32 or float64, got {shown(value)}")
    for known in _DTYPES:
        if result == known:
            return known
    raise ValueError(f"{name} must be float32 or float64, got {result}")


def having(value, methods, name, what):
    """`value`, an object that has all these methods: not a class, and nothing else. `what` says it in words."""
    if isinstance(value, type):
        raise TypeError(f"{name} must be {what}, got {shown(value)}: make an object of it, {value.__name__}(...)")
    for method in methods:
        if not callable(getattr(value, method, None)):
            raise TypeError(f"{name} must be {what}, got {shown(value)}, which has no {method}")
    return value


def listed(value, name, what):
    """`value`, a list, tuple or other collection that can be gone through once, as a list. `what` says of what it is a
    collection. Strings, arrays and dictionaries are none."""
    if isinstance(value, (str, bytes, dict, np.ndarray, type)) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name} must be a list of {what}, got {shown(value)}")
    try:
        return list(value)
    except Exception as error:
        raise TypeError(f"{name} must be a list of {what}, got {shown(value)}, which cannot be iterated") from error


def mapping(value, name, what):
    """`value`, a dictionary, with strings as keys, as a new one."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be {what}, got {shown(value)}")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{name} must be {what}, with strings as keys, got the key {shown(key)}")
    return dict(value)


def text(value, name):
    """`value`, a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {shown(value)}")
    return value


def path(value, name="path"):
    """`value`, a string, bytes or path object, as a string without a null character."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{name} must be a path (a string or a pathlib.Path), got {shown(value)}")
    result = os.fsdecode(value)
    if not result or "\0" in result:
        raise ValueError(f"{name} must be the name of a file, got {shown(value)}")
    return result


# Arrays

def array(value, name):
    """`value` as a NumPy array that holds numbers or truth values, with whatever shape and dtype it has.

    A tensor of PyTorch in the CPU's memory is seen as an array. Lists, masked arrays, strings and objects are refused:
    they hide a conversion, a mask or a mistake.
    """
    if type(value) is not np.ndarray:
        value = _as_array(value, name)
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got an array of dtype {value.dtype}")
    return value


def converted(value, dtype, name):
    """A copy of an array in that dtype, in order of its axes; ValueError where that makes a finite number infinite."""
    if value.ndim and not any(value.strides) and not value.flat[:1].any():     # zeros that `init.skip` has left
        return np.zeros(value.shape, dtype)     # whose memory is taken when something is written
    try:
        with np.errstate(over="raise"):
            return np.array(value, dtype, order="C")
    except FloatingPointError:
        raise ValueError(f"{name} holds numbers beyond {dtype}".lstrip()) from None


def values(value, name):
    """`array` that takes numbers, and lists of numbers, as well: they become an array."""
    if isinstance(value, (list, tuple, Real)) and not isinstance(value, (bool, np.generic)):
        value = _of_list(value, name, "numbers")
    return array(value, name)


def not_negative(value, name):
    """An array, refused where it holds a number below 0, NaN or infinity."""
    if not (value >= 0).all() or not value.max() < np.inf:
        raise ValueError(f"{name} must hold finite numbers of at least 0, got "
                         f"{value[~((value >= 0) & (value < np.inf))][0]}")
    return value


def labels(value, name, count=None, classes=None, ignore=None):
    """`value`, class numbers from 0, as an int64 array (N,); a list of integers becomes one. With `count` there are so
    many of them, or, where that is a shape, an array of that shape; with `classes` they lie below it, or are `ignore`.
    """
    value = label_array(value, name, count if isinstance(count, tuple) or count is None else (count,))
    result = value.astype(np.int64, copy=False)
    # A negative number seen as unsigned is huge, as is one beyond int64: one comparison finds every error.
    most = 2**63 if classes is None else classes
    if result.size and int(result.view(np.uint64).max()) >= most:
        wrong = ((value < 0) | (value >= most)) & (ignore is None or value != ignore)
        if wrong.any():
            place = tuple(map(int, np.unravel_index(np.argmax(wrong), value.shape)))
            above = "" if classes is None else f" to {classes - 1}" + (
                "" if ignore is None else f", or {ignore} to be ignored")
            raise ValueError(f"{name} must be class numbers from 0{above}, got {value[place]} at position "
                             f"{place if value.ndim > 1 else place[0]}")
    return result


def label_array(value, name, shape=None):
    """`value`, an array of integers of that shape, or of one axis, whatever the numbers are; a list becomes one."""
    axes = 1 if shape is None else len(shape)
    if isinstance(value, (list, tuple)):
        value = _of_list(value, name, "class numbers")
    elif type(value) is not np.ndarray:
        value = _as_array(value, name)
    if value.dtype.kind not in "iu" or value.ndim != axes:
        remedy = _labels_remedy(value, name, axes).replace(name, name.rpartition(": ")[2])
        where = "sample" if axes == 1 else f"sample and pixel, an array of shape {shape}"
        raise (ValueError if value.dtype.kind in "iu" else TypeError)(
            f"{name} must be integers, one class number for each {where}, got {shown(value)}{remedy}")
    if shape is not None and value.shape != shape:
        what = f"{shape[0]} class numbers, one for each sample" if axes == 1 else f"class numbers of shape {shape}"
        raise ValueError(f"{name} must be {what}, got {shown(value)}")
    return value


def _labels_remedy(value, name, axes):
    """What to do with an array that cannot be labels."""
    if value.ndim == axes + 1 and value.shape[1] > 1 and value.dtype.kind in "fiub":
        return f": of one row a sample, one-hot or probabilities, give {name}.argmax(axis=1)"
    row = f"{name}.ravel()" if value.ndim > axes == 1 and value.size == len(value) else name
    if value.dtype.kind in "USO":
        return f": number the classes, np.unique({row}, return_inverse=True)[1]"
    if value.dtype.kind == "f" and not (value == np.floor(value)).all():
        return ": for numbers that are no classes take a loss of numbers, such as MSELoss()"
    return f": give {row}.astype('int64')" if value.dtype.kind in "fb" else f": give {row}" if row != name else ""


def _of_list(value, name, what):
    """An array of a number or of a list of them."""
    try:
        result = np.asarray(value)
    except Exception:   # rows of different lengths, or a user's own class
        result = None
    if result is None or result.dtype.kind == "O":
        raise TypeError(f"{name} must be an array of {what}, got {shown(value)}, of which none can be made")
    return result


def _as_array(value, name):
    own = name.rpartition(": ")[2]     # without who was asked
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, and its mask would be lost: give {own}.filled(value), or choose "
                        "the rows without masked numbers")
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        if value.requires_grad:
            raise TypeError(f"{name} is a tensor that requires grad, and no gradient would reach it: give "
                            f"{own}.detach()")
        return _of_tensor(value, name, own)
    remedy = ""
    if hasattr(value, "gradient"):
        remedy = f": a loss gives two things, value, gradient = loss(outputs, targets): give {own}.gradient"
    elif isinstance(value, (list, tuple)):
        remedy = f": make one with np.asarray({own}), or np.stack for a list of arrays"
    elif hasattr(value, "to_numpy"):
        remedy = f": give {own}.to_numpy()"
    raise TypeError(f"{name} must be a NumPy array, got {shown(value)}{remedy}")


def _of_tensor(value, name, own):
    if value.device.type != "cpu":
        raise TypeError(f"{name} is a tensor on {value.device}: give {own}.cpu()")
    if value.is_complex():
        raise TypeError(f"{name} must hold real numbers, got a tensor of {value.dtype}")
    try:
        return value.numpy()
    except (TypeError, RuntimeError):   # bfloat16, sparse ones, and others that NumPy does not know
        raise TypeError(f"{name} is a tensor of {value.dtype} and {value.layout}, which NumPy does not know: give "
                        f"{own}.float(), or {own}.to_dense()") from None
