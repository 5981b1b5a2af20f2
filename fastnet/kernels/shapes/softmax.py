"""Scores x (N, C), a row a sample, and softmax along any axis of other arrays.

A score of -inf has probability 0; a row with a NaN or +inf, or of -inf alone, gives NaN; nothing else overflows.
"""
from fastnet.kernels import axes, checks
from fastnet.kernels.shapes.kind import Kind, fits


def softmax_forward(x, dim=1):
    """y[n,c] = exp(x[n,c]) / sum over j of exp(x[n,j]) along axis `dim` of an x of any shape: of x (N, C) a row's."""
    checks.not_empty(x.shape)
    axes.axis(dim, x.shape)
    return Kind(x.shape, checks.result_dtype(x, "x"))


def softmax_backward(dy, y, dim=1):
    """dx = y (dy - sum of dy y along the axis); y is the output of softmax_forward."""
    checks.not_empty(dy.shape, "dy")
    axes.axis(dim, dy.shape, "dy")
    fits(y, dy.shape, "y")
    return Kind(dy.shape, checks.result_dtype(dy, "dy"))


def log_softmax_forward(x, dim=1):
    """y[n,c] = x[n,c] - log(sum over j of exp(x[n,j])), likewise."""
    return softmax_forward(x, dim)


def log_softmax_backward(dy, y, dim=1):
    """dx = dy - exp(y) (sum of dy along the axis); y is the output of log_softmax_forward."""
    return softmax_backward(dy, y, dim)
