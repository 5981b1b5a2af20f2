"""Normalisation by the channels around."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last


def local_response_norm_forward(x, size, alpha, beta, k):
    """y = x / (k + alpha / size (the sum of x^2 over the window of channels))^beta."""
    x = checks.floating(x, "x")
    shapes.local_response_norm_forward(x, size, alpha, beta, k)
    with np.errstate(divide="ignore", invalid="ignore"):    # 0 / 0 is NaN without a word
        return channels_last((x / _denominator(x, size, alpha, k) ** beta).astype(x.dtype))


def local_response_norm_backward(dy, x, size, alpha, beta, k):
    """dx[c] = dy / d^beta - 2 alpha beta / size x (the sum of dy x / d^(beta + 1) over all channels in whose window c
    is)."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    shapes.local_response_norm_backward(dy, x, size, alpha, beta, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = _denominator(x, size, alpha, k)
        around = _windows(dy * x / d ** (beta + 1), size, size - 1 - size // 2)
        return channels_last((dy / d ** beta - 2 * alpha * beta / size * x * around).astype(dy.dtype))


def _denominator(x, size, alpha, k):
    return k + alpha / size * _windows(np.square(x, dtype=np.float64), size, size // 2)


def _windows(x, size, before):
    """The sums over windows of `size` channels, of which `before` come before their own, in float64."""
    c = x.shape[1]
    padded = np.pad(x.astype(np.float64), ((0, 0), (before, size - 1 - before), (0, 0), (0, 0)))
    return sum(padded[:, i: i + c] for i in range(size))
