"""The small rules of what fits, which `shapes`, the operations of every backend and the layers share.

Each function takes shapes or arguments, returns what follows from them and raises ValueError, or TypeError for another
kind of thing, with a text that tells what was expected and what came. Nothing here touches the numbers in an image, so
that a check costs a microsecond or two. What a whole operation takes and gives stands in `shapes`, what a single number
may be in `fastnet.arguments`.
"""
from math import prod

import numpy as np

from fastnet import arguments
from fastnet.kernels import copies

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT64 = np.dtype(np.int64)
UINT64 = np.dtype(np.uint64)
CHANNELS_LAST = "channels-last images become (N, C, H, W) by x.transpose(0, 3, 1, 2)"
WORDS = "same", "valid", "full"     # that are a padding, see `resolve_padding`
_NUMBERS = "an integer, (vertical, horizontal) or (top, bottom, left, right), none of them negative"
PADDINGS = ('an integer, (vertical, horizontal), (top, bottom, left, right), "same", "valid" or "full", '
            "none of them negative")
_PADDINGS_1D = 'an integer, (left, right), "same", "valid" or "full", none of them negative'


# Arrays

def floating(array, name, like=None):
    """`array` as a native float32 or float64 array: float64 stays, every other real dtype becomes float32.

    With ``like``, an array that went through this function already, the result takes its dtype instead: operands of
    one call take the dtype of the first. The array itself is returned where nothing needs converting. TypeError for
    complex numbers, objects, strings and dates.
    """
    if type(array) is not np.ndarray:
        array = arguments.array(array, name)
    dtype = array.dtype
    if like is None:
        if dtype is FLOAT32 or dtype is FLOAT64:
            return array
        return copies.converted(array, result_dtype(array, name))
    if dtype is like.dtype:
        return array
    real(array, name)
    return copies.converted(array, like.dtype)


def bytes_or_floating(array, name):
    """`floating`, but uint8 stays too, for kernels that read bytes as they are."""
    return array if type(array) is np.ndarray and array.dtype == np.uint8 else floating(array, name)


def optional(array, name, like):
    """`floating` for an operand that may be left out: None stays."""
    return None if array is None else floating(array, name, like)


def result_dtype(array, name):
    """The dtype that `floating` gives an array: that of the results of an operation whose first operand it is."""
    dtype = array.dtype
    if dtype is FLOAT32 or dtype is FLOAT64:
        return dtype
    real(array, name)
    return FLOAT64 if dtype.kind == "f" and dtype.itemsize == 8 else FLOAT32


def real(array, name):
    """Refuse an array whose dtype holds no real numbers."""
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got an array of dtype {array.dtype}")


def operand(array, shape, name, like):
    """`array` as a floating array of the dtype of ``like`` whose shape is `shape`; None, an operand left out, stays."""
    if array is None:
        return None
    array = floating(array, name, like)
    has_shape(array, shape, name)
    return array


def labels(labels, shape, classes, ignore_index=None):
    """The class numbers as an int64 array of that shape in order, each checked to lie in 0 .. classes - 1, or to be
    `ignore_index`."""
    if type(labels) is not np.ndarray:
        labels = arguments.array(labels, "labels")
    labels_shape(labels, shape)
    # A negative number seen as unsigned is huge, so that one comparison finds both kinds of error.
    result = copies.in_order(labels, INT64)
    if int(np.maximum.reduce(result.view(UINT64), axis=None, initial=0)) >= classes:
        wrong = (labels < 0) | (labels >= classes)
        if ignore_index is not None:
            wrong &= labels != ignore_index
        if wrong.any():
            place = np.unravel_index(int(np.argmax(wrong)), labels.shape)
            place = tuple(map(int, place)) if len(place) > 1 else int(place[0])
            raise ValueError(f"label {labels[place]} at position {place} is out of range: {classes} classes are "
                             f"numbered 0 to {classes - 1}")
    return result


def indices(x, rows):
    """The indices as an int64 array, each checked to lie in 0 .. rows - 1."""
    result = copies.converted(x, INT64)
    # A negative number seen as unsigned is huge, so that one comparison finds both kinds of error.
    if result.size and result.view(np.uint64).max() >= rows:
        wrong = x[(x < 0) | (x >= rows)].flat[0]
        raise ValueError(f"index {wrong} is out of range: there are {rows} rows, numbered 0 to {rows - 1}")
    return result


# Shapes

def labels_shape(labels, shape):
    """Refuse what cannot be class numbers, so many as an array of that shape has, whatever the numbers are."""
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got an array of dtype {labels.dtype}")
    if labels.shape != shape:
        raise ValueError(f"expected {prod(shape)} labels in an array of shape {shape}, got shape {labels.shape}")


def indices_shape(x):
    """Refuse what cannot be a row of indices, whatever the numbers are."""
    if x.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got an array of dtype {x.dtype}")
    if len(x.shape) != 1:
        raise ValueError(f"expected indices of shape (R,), got shape {tuple(x.shape)}")
    not_empty(x.shape)


def not_empty(shape, name="x"):
    """Refuse an empty batch or any other axis of length zero."""
    if 0 in shape:
        if shape[0] == 0:
            raise ValueError(f"empty batch: got {name} of shape {tuple(shape)}; give at least one sample")
        raise ValueError(f"empty axis: got {name} of shape {tuple(shape)}; every axis needs at least one element")


def has_shape(array, shape, name):
    """Refuse an array whose shape is not `shape`."""
    if array.shape != shape:
        raise ValueError(f"expected {name} of shape {tuple(shape)}, got {name} of shape {array.shape}")


def same_shape(a, b, a_name="a", b_name="b"):
    """Refuse two arrays of different shapes."""
    if a.shape != b.shape:
        raise ValueError(f"{a_name} and {b_name} must have the same shape, got {a.shape} and {b.shape}")


def images(shape, name="x"):
    """The four numbers of an image batch's shape (N, C, H, W), none of them zero."""
    if len(shape) != 4:
        raise ValueError(f"expected {name} of shape (N, C, H, W), got {name} of shape {tuple(shape)}")
    not_empty(shape, name)
    return shape


def channels(x_shape, expected):
    """Refuse an x that has not that many channels."""
    if x_shape[1] != expected:
        hint = f"; {CHANNELS_LAST}" if len(x_shape) == 4 and x_shape[3] == expected < x_shape[1] else ""
        raise ValueError(f"expected {expected} input channels, got x of shape {tuple(x_shape)}{hint}")


def channels_last(x_shape):
    """A hint where the shape of what a layer refused looks like that of channels-last images, else ""."""
    if len(x_shape) == 4 and x_shape[3] in (1, 3, 4) and min(x_shape[1:3]) > 4:
        return f"x of shape {tuple(x_shape)} looks like (N, H, W, C): {CHANNELS_LAST}"
    return ""


def scores(shape, name="x"):
    """The two numbers of a score matrix's shape (N, C), neither of them zero."""
    if len(shape) != 2:
        raise ValueError(f"expected {name} of shape (N, C), got {name} of shape {tuple(shape)}")
    not_empty(shape, name)
    return shape


def class_scores(shape, name="x"):
    """The shape (N,) or (N, H, W) of the labels of scores (N, C) or (N, C, H, W), no axis of which is empty."""
    if len(shape) not in (2, 4):
        raise ValueError(f"expected {name} of shape (N, C) or (N, C, H, W), got {name} of shape {tuple(shape)}")
    not_empty(shape, name)
    return tuple(shape[:1] + shape[2:])


def conv2d_shape(x_shape, w_shape, stride, padding, dilation, groups):
    """(N, K, P, Q) from x (N, C, H, W) and w (K, C / groups, R, S): P = (H + top + bottom - dilation (R - 1) - 1)
    // stride + 1, and Q alike. `padding` is four integers, `stride` and `dilation` are pairs."""
    n, c, h, width = images(x_shape)
    if len(w_shape) != 4:
        raise ValueError(f"expected w of shape (K, C / groups, R, S), got w of shape {tuple(w_shape)}")
    if 0 in w_shape:
        raise ValueError(f"empty axis: got w of shape {tuple(w_shape)}; every axis needs at least one element")
    k, c_group, r, s = w_shape
    stride, padding, dilation, groups = conv2d_where(stride, padding, dilation, groups)
    channels(x_shape, c_group * groups)
    if k % groups:
        raise ValueError(f"{groups} groups do not divide the {k} output channels of w of shape {tuple(w_shape)}")
    p, q = count_windows((h, width), (dilation[0] * (r - 1) + 1, dilation[1] * (s - 1) + 1), stride, padding)
    return n, k, p, q


def conv2d_where(stride, padding, dilation, groups):
    """The same as tuples of ints and an int."""
    return (arguments.integers(stride, "stride", 2, 1), arguments.integers(padding, "padding", 4, 0),
            arguments.integers(dilation, "dilation", 2, 1), arguments.integer(groups, "groups", 1))


def count_windows(hw, kernel, stride, padding, ceil_mode=False):
    """How many windows of `kernel` (dilation counted in) fit into the padded image, vertically and horizontally. With
    ceil_mode one that reaches beyond the padding counts too, if it starts in the image or the padding before it."""
    top, bottom, left, right = padding
    (h, w), (r, s), (step_down, step_across) = hw, kernel, stride
    p = _count(h + top + bottom - r, step_down, h + top, ceil_mode)
    q = _count(w + left + right - s, step_across, w + left, ceil_mode)
    if min(p, q) < 1:
        raise ValueError(f"a kernel that covers {r} x {s} pixels does not fit into the padded input of "
                         f"{h + top + bottom} x {w + left + right}: use a smaller kernel, more padding or larger "
                         "images")
    image_size(p, q)
    return p, q


def _count(room, step, end, ceil_mode):
    """How many windows there are along an axis, if the last one may start `room` pixels after the first, and with
    ceil_mode the next one too, but before `end`."""
    if not ceil_mode:
        return room // step + 1
    count = -(-room // step) + 1
    return count - 1 if (count - 1) * step >= end else count


def conv2d_direction(direction):
    """Refuse what is none of the three passes of a convolution."""
    arguments.choice(direction, ("forward", "backward_input", "backward_weight"), "direction")


def conv2d_packed(packed, kind):
    """Refuse packed weights that are not of this class: something else, or another backend's."""
    if not isinstance(packed, kind):
        raise TypeError(f"packed must be what conv2d_pack of this backend returned, got {type(packed).__name__}")


def image_size(p, q):
    """Refuse results of so many rows and columns of pixels that nobody has the memory."""
    if p * q > arguments.LARGEST:
        raise ValueError(f"each image would become one of {p} x {q} pixels, and at most {arguments.LARGEST} are "
                         "allowed")


def padding2d(padding, mode):
    """(top, bottom, left, right) of a padding of that kind. Negative ones take pixels away, and belong to "constant"
    alone."""
    arguments.choice(mode, ("constant", "reflect", "replicate", "circular"), "mode")
    if mode == "constant":
        return arguments.integers(padding, "padding", 4, -arguments.LARGEST, "4 integers")
    return arguments.integers(padding, "padding", 4, 0)


def linear_shape(x_shape, w_shape):
    """(N, K) from x (N, C) and w (K, C)."""
    n, c = scores(x_shape)
    linear_weights(w_shape)
    if w_shape[1] != c:
        raise ValueError(f"expected {w_shape[1]} input features, got x of shape {tuple(x_shape)}")
    return n, w_shape[0]


def linear_weights(shape):
    """Refuse what is not the shape of a matrix with elements."""
    if len(shape) != 2:
        raise ValueError(f"expected w of shape (K, C), got w of shape {tuple(shape)}")
    if 0 in shape:
        raise ValueError(f"empty axis: got w of shape {tuple(shape)}; every axis needs at least one element")


def batchnorm_channels(x_shape, training):
    """C from x (N, C) or (N, C, H, W). A variance needs more than one value per channel in training."""
    if len(x_shape) not in (2, 4):
        raise ValueError(f"expected x of shape (N, C) or (N, C, H, W), got x of shape {tuple(x_shape)}")
    not_empty(x_shape)
    if training and x_shape[0] == 1 and (len(x_shape) == 2 or x_shape[2] * x_shape[3] == 1):
        raise ValueError(f"expected more than 1 value per channel when training, got x of shape {tuple(x_shape)}")
    return x_shape[1]


# Arguments

def padding_given(padding, words=WORDS):
    """A padding as a layer keeps it: one of the words, an integer, or a tuple of two or four."""
    return _padding(padding, words, (2, 4), PADDINGS if words else _NUMBERS)


def padding1d_given(padding):
    """The same for sequences: one of the words, an integer, or a tuple (left, right)."""
    padding = _padding(padding, WORDS, (1, 2), _PADDINGS_1D)
    return padding[0] if isinstance(padding, tuple) and len(padding) == 1 else padding


def _padding(padding, words, lengths, what):
    """One of the words, an integer, or a tuple that has one of the two lengths; `what` says all that in words."""
    if isinstance(padding, str):
        if padding not in words:
            raise ValueError(f"padding must be {what}, got {arguments.shown(padding)}")
        return padding
    if isinstance(padding, (tuple, list)):
        return arguments.integers(padding, "padding", min(lengths) if len(padding) == min(lengths) else max(lengths), 0,
                                  what)
    return arguments.size(padding, "padding", 0, what)


def resolve_padding(padding, kernel_size, stride, dilation, input_hw):
    """(top, bottom, left, right) from any way to write a padding.

    An integer, (vertical, horizontal) or (top, bottom, left, right) are numbers of zero pixels; "valid" is none;
    "full" is dilation (R - 1) on each side, so that every overlap of kernel and image counts; "same" gives
    ceil(H / stride) outputs, an odd pixel going to the bottom and the right. `kernel_size`, `stride`, `dilation` and
    `input_hw` (H, W) are pairs; `input_hw` matters to "same" with a stride alone.
    """
    padding = padding_given(padding)
    if isinstance(padding, int):
        return (padding,) * 4
    if isinstance(padding, tuple):
        return padding if len(padding) == 4 else (padding[0], padding[0], padding[1], padding[1])
    if padding == "valid":
        return 0, 0, 0, 0
    reach = [d * (r - 1) for d, r in zip(dilation, kernel_size, strict=True)]
    if padding == "full":
        return reach[0], reach[0], reach[1], reach[1]
    total = [_same(*axis) for axis in zip(input_hw, reach, stride, strict=True)]
    return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2


def dropout_key(key):
    """Refuse what is neither an integer nor, by shape and dtype, the two words that `counter.draw` makes of one."""
    shape, dtype = getattr(key, "shape", None), getattr(key, "dtype", None)
    if dtype is not None and (shape == (2,) and dtype == UINT64 or shape == () and dtype.kind in "iu"):
        return
    try:
        arguments.integer(key, "key")
    except TypeError:
        raise TypeError("key must be an integer or the uint64 array of two words that draw returned, got "
                        f"{kind_of(key)}") from None


def draws_integers(generator):
    """Refuse what is no generator of random numbers."""
    if not hasattr(generator, "integers"):
        raise TypeError(f"draw needs a numpy.random.Generator, got {type(generator).__name__}")


def kind_of(value):
    """What it is, for an error."""
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ if dtype is None else f"an array of dtype {dtype}"


def _same(length, reach, stride):
    """The total padding along one axis of `length` that leaves ceil(length / stride) windows of `reach` + 1."""
    outputs = -(-length // stride)
    return max((outputs - 1) * stride + reach + 1 - length, 0)
