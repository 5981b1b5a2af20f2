"""What the primitives of `exponential` and `orders` mean, in plain NumPy; see `python`."""
import numpy as np

from fastnet.kernels.cpu.simd.python import lanes, part


def exp(v):
    """e to the power of each lane, within 2 units in the last place."""
    return np.exp(v)


def exp_of_minus_size(v):
    """exp(-|v|) within 2 units in the last place."""
    return np.exp(-np.abs(v))


def expm1(v):
    """exp(v) - 1 within 3 units in the last place, near 0 too."""
    return np.expm1(v)


log = np.log    # within 2 units in the last place; -inf of 0, NaN of what is below


def zip_first(v, w):
    """v[0], w[0], v[1], w[1], ...: what the first halves of both give."""
    return np.stack([v, w], 1).reshape(-1)[: len(v)]


def zip_last(v, w):
    """What the last halves give."""
    return np.stack([v, w], 1).reshape(-1)[len(v):]


def evens(v, w):
    """v[0], v[2], ..., w[0], w[2], ..."""
    return np.concatenate([v[::2], w[::2]])


def odds(v, w):
    """v[1], v[3], ..., w[1], w[3], ..."""
    return np.concatenate([v[1::2], w[1::2]])


def make_load_spread(channels, wide):
    """What loads pixels of so many channels as such of `wide`, a power of two, which zeros fill up."""

    def load_spread(x, i, n):
        """A vector of pixels, the first one at x[i]; of n numbers with the zeros, and zeros behind them."""
        count, v = min(max(n, 0), lanes(x)) // wide, np.zeros((lanes(x) // wide, wide), x.dtype)
        if count:
            v[:count, :channels] = part(x, i, count * channels).reshape(count, channels)
        return v.reshape(-1)

    return load_spread
