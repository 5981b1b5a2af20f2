"""Element-wise operations, and joining and cutting along the channels."""
import numpy as np

from fastnet.kernels import checks, counter
from fastnet.kernels.naive.array import channels_last, masked, rectify


def relu_forward(x):
    """y = max(x, 0) for an x of any shape; NaN stays NaN."""
    x = checks.floating(x, "x")
    checks.not_empty(x.shape)
    return channels_last(rectify(x))


def relu_backward(dy, y):
    """dx = dy where y > 0, else 0; y is the output of relu_forward."""
    dy = checks.floating(dy, "dy")
    checks.not_empty(dy.shape, "dy")
    y = checks.operand(y, dy.shape, "y", like=dy)
    return channels_last(masked(dy, y))


def silu_forward(x):
    """y = x / (1 + exp(-x)) for an x of any shape. Source: Elfwing et al., Sigmoid-weighted linear units, 2018."""
    x = checks.floating(x, "x")
    checks.not_empty(x.shape)
    return channels_last(x * _sigmoid(x))


def silu_backward(dy, x):
    """dx = dy s (1 + x (1 - s)) with s = 1 / (1 + exp(-x))."""
    dy = checks.floating(dy, "dy")
    checks.not_empty(dy.shape, "dy")
    x = checks.operand(x, dy.shape, "x", like=dy)
    share = _sigmoid(x)
    return channels_last(dy * (share * (1 + x * (1 - share))))


def _sigmoid(x):
    with np.errstate(over="ignore"):  # 1 / (1 + inf) = 0
        return 1 / (1 + np.exp(-x))


def dropout(x, p, key):
    """y = x / (1 - p) where the random number of that element is at least p, else 0, for an x of any shape.

    The random number is a hash of the integer `key` (taken modulo 2^64) and the element's place i in (N, H, W, C)
    order for images, in C order for other shapes, as fastnet.kernels.counter tells. 1 / (1 - p) is rounded to the
    dtype of x and then multiplied. ValueError where p is not in [0, 1]. Source: Srivastava et al., Dropout, 2014.
    """
    x = checks.floating(x, "x")
    checks.not_empty(x.shape)
    p = checks.probability(p)
    key_low, key_high = map(np.uint32, counter.key_words(key))
    place = np.arange(x.size, dtype=np.uint64)
    h = _mix(place.astype(np.uint32) ^ key_low)
    h = _mix(h ^ (place >> np.uint64(32)).astype(np.uint32) ^ key_high)
    keep = (h >> np.uint32(8)) >= counter.threshold(p)
    if x.ndim == 4:
        n, c, height, width = x.shape
        keep = keep.reshape(n, height, width, c).transpose(0, 3, 1, 2)
    else:
        keep = keep.reshape(x.shape)
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return channels_last(np.where(keep, x, 0) * scale)


def add(a, b, relu=False, mask=None):
    """a + b for two arrays of one shape, any."""
    a = checks.floating(a, "a")
    checks.not_empty(a.shape, "a")
    b = checks.operand(b, a.shape, "b", like=a)
    mask = checks.operand(mask, a.shape, "mask", like=a)
    return channels_last(masked(rectify(a + b, relu), mask))


def concat(arrays):
    """The arrays joined along axis 1; all other axes agree."""
    arrays = [np.asarray(array) for array in arrays]
    checks.concat_shape([array.shape for array in arrays])
    first = checks.floating(arrays[0], "arrays[0]")
    rest = [checks.floating(array, f"arrays[{i}]", like=first) for i, array in enumerate(arrays[1:], 1)]
    return channels_last(np.concatenate([first, *rest], axis=1))


def split(x, sizes):
    """x cut along axis 1 into arrays of the given sizes, which add up to its length: the backward pass of concat."""
    x = checks.floating(x, "x")
    sizes = checks.split_sizes(x.shape, sizes)
    return [channels_last(part) for part in np.split(x, np.cumsum(sizes)[:-1], axis=1)]


def flatten(x):
    """x (N, C, H, W) as rows (N, C H W), each in that order."""
    x = checks.floating(x, "x")
    return x.reshape(checks.images(x.shape)[0], -1).copy()


def unflatten(y, shape):
    """Images of that shape (N, C, H, W) from rows (N, C H W): the way back from `flatten`."""
    y = checks.floating(y, "y")
    n, c, h, w = checks.images(shape)
    checks.has_shape(y, (n, c * h * w), "y")
    return channels_last(y.reshape(n, c, h, w))


def _mix(h):
    """The permutation of 32-bit words that fastnet.kernels.counter describes."""
    first, second = map(np.uint32, counter.MULTIPLIERS)
    h = (h ^ (h >> np.uint32(16))) * first
    h = (h ^ (h >> np.uint32(15))) * second
    return h ^ (h >> np.uint32(16))
