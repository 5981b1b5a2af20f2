"""Element-wise operations: activations, dropout and the sum."""
import numpy as np

from fastnet.kernels import checks, counter, shapes
from fastnet.kernels.activations import ACTIVATIONS, reads
from fastnet.kernels.naive.array import channels_last


def activation_forward(x, function, alpha=0.0, beta=0.0):
    """y = f(x): a row of the table."""
    x = checks.floating(x, "x")
    shapes.activation_forward(x, function, alpha, beta)
    with np.errstate(over="ignore", invalid="ignore"):  # 1 / (1 + inf) = 0, and 0 inf is NaN without a word
        return channels_last(ACTIVATIONS[function].forward(x, float(alpha), float(beta)))


def activation_backward(dy, kept, function, alpha=0.0, beta=0.0):
    """dx = dy f'(x): a row of the table."""
    dy = checks.floating(dy, "dy")
    kept = checks.floating(kept, reads(function), like=dy)
    shapes.activation_backward(dy, kept, function, alpha, beta)
    with np.errstate(over="ignore", invalid="ignore"):
        return channels_last(ACTIVATIONS[function].backward(dy, kept, float(alpha), float(beta)))


def dropout(x, p, key, axes=None):
    """y = x / (1 - p) where the random number of that element, see `counter`, is at least p, else 0; with `axes`, all
    elements with the same places in the first so many axes share one."""
    x = checks.floating(x, "x")
    shapes.dropout(x, p, key, axes)
    drawn = x.shape if axes is None else x.shape[:axes]
    keep = _random(int(np.prod(drawn)), key) >= counter.threshold(p)
    if len(drawn) == 4:
        n, c, height, width = drawn
        keep = keep.reshape(n, height, width, c).transpose(0, 3, 1, 2)
    else:
        keep = keep.reshape(drawn + (1,) * (x.ndim - len(drawn)))
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return channels_last(np.where(keep, x, 0) * scale)


def _random(count, key):
    """The first random numbers of a key, as integers below 2^24."""
    key_low, key_high = map(np.uint32, counter.words(key))
    place = np.arange(count, dtype=np.uint64)
    h = _mix(place.astype(np.uint32) ^ key_low)
    return _mix(h ^ (place >> np.uint64(32)).astype(np.uint32) ^ key_high) >> np.uint32(8)


def add(a, b):
    """a + b."""
    a = checks.floating(a, "a")
    b = checks.floating(b, "b", like=a)
    shapes.add(a, b)
    return channels_last(a + b)


def _mix(h):
    """The permutation of 32-bit words that fastnet.kernels.counter describes."""
    first, second = map(np.uint32, counter.MULTIPLIERS)
    h = (h ^ (h >> np.uint32(16))) * first
    h = (h ^ (h >> np.uint32(15))) * second
    return h ^ (h >> np.uint32(16))
