"""Softmax and its logarithm, along any axis: of scores x (N, C) a row is a sample.

The largest score of each row is taken off first, so that nothing overflows.
"""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last, total


def softmax_forward(x, dim=1):
    """y[n,c] = exp(x[n,c]) / sum over j of exp(x[n,j])."""
    exponentials = np.exp(_shifted(x, dim))
    return channels_last(exponentials / total(exponentials, dim, keepdims=True))


def softmax_backward(dy, y, dim=1):
    """dx = y (dy - sum of dy y along the axis)."""
    dy, y = _gradient(dy, y, dim)
    return channels_last(y * (dy - total(dy * y, dim, keepdims=True)))


def log_softmax_forward(x, dim=1):
    """y[n,c] = x[n,c] - log(sum over j of exp(x[n,j]))."""
    shifted = _shifted(x, dim)
    return channels_last(shifted - np.log(total(np.exp(shifted), dim, keepdims=True)))


def log_softmax_backward(dy, y, dim=1):
    """dx = dy - exp(y) (sum of dy along the axis)."""
    dy, y = _gradient(dy, y, dim)
    return channels_last(dy - np.exp(y) * total(dy, dim, keepdims=True))


def _shifted(x, dim):
    x = checks.floating(x, "x")
    shapes.softmax_forward(x, dim)
    with np.errstate(invalid="ignore"):
        return x - x.max(axis=dim, keepdims=True)


def _gradient(dy, y, dim):
    dy = checks.floating(dy, "dy")
    y = checks.floating(y, "y", like=dy)
    shapes.softmax_backward(dy, y, dim)
    return dy, y
