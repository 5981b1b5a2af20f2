"""What an argument may be: one function for each kind, used by every public function and constructor.

Each takes the value and the name that the user knows it by, and returns it as the library goes on with it. What does
not fit raises TypeError (another kind of thing) or ValueError (the right kind, a wrong value) with a text of one form:
`padding must be an integer of at least 0, got -1`. Nothing that came is printed at length. Who is asked, a layer or a
loss, is put before it by the caller.
"""
import os
from numbers import Real
from operator import index

import numpy as np

LONGEST = 80    # characters of a value that an error shows


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
    expected = f"{name} must be an integer{_between(least, most)}, got {{}}"
    if isinstance(value, (bool, np.bool_, np.ndarray)):
        raise TypeError(expected.format(shown(value)))
    try:
        result = index(value)
    except TypeError:
        raise TypeError(expected.format(shown(value))) from None
    if (least is not None and result < least) or (most is not None and result > most):
        raise ValueError(expected.format(result))
    return result


def number(value, name, least=None, most=None, above=None, below=None):
    """`value` as a finite float; `least` and `most` belong to the range, `above` and `below` do not. No bool."""
    expected = f"{name} must be a finite number{_between(least, most, above, below)}, got {{}}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(expected.format(shown(value)))
    try:
        result = float(value)
    except OverflowError:
        result = float("inf")
    if not (abs(result) < float("inf") and (least is None or result >= least) and (most is None or result <= most)
            and (above is None or result > above) and (below is None or result < below)):
        raise ValueError(expected.format(shown(value)))
    return result


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
    except (TypeError, ValueError):     # no comparison, or that of an array
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


def _as_array(value, name):
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, and its mask would be lost: give {name}.filled(value), or choose "
                        "the rows without masked numbers")
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        value = value.detach()
        if value.device.type != "cpu":
            raise TypeError(f"{name} is a tensor on {value.device}: give {name}.cpu()")
        try:
            return value.numpy()
        except TypeError:   # bfloat16 and others that NumPy does not know
            raise TypeError(f"{name} is a tensor of {value.dtype}, which NumPy does not know: give {name}.float()"
                            ) from None
    remedy = ""
    if isinstance(value, (list, tuple)):
        remedy = f": make one with np.asarray({name}), or np.stack for a list of arrays"
    elif hasattr(value, "to_numpy"):
        remedy = f": give {name}.to_numpy()"
    raise TypeError(f"{name} must be a NumPy array, got {shown(value)}{remedy}")
