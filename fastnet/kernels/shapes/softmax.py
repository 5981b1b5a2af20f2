"""Scores x (N, C), a row a sample, and softmax along any axis of other arrays.

A score of -inf has probability 0; a row with a NaN or +inf, or of -inf alone, gives NaN; nothing else overflows.
"""
from fastnet import arguments
from fastnet.kernels import axes, checks
from fastnet.kernels.shapes.kind import PYTHON_FLOAT, Kind, fits


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


def softmax_cross_entropy(logits, labels, label_smoothing=0.0):
    """The mean over the batch of -sum over c of t[c] log softmax(logits)[c], a Python float, and its gradient
    (softmax - t) / N. The target t is (1 - label_smoothing) at the label plus label_smoothing / C everywhere (Szegedy
    et al., Rethinking the Inception architecture, 2016, section 7).

    logits and gradient (N, C); labels (N,), integers in 0 .. C - 1 (ValueError for others, from the operation alone:
    it takes the numbers to tell).
    """
    checks.labels_shape(labels, checks.scores(logits.shape, "logits")[0])
    arguments.number(label_smoothing, "label_smoothing", 0, 1)
    return PYTHON_FLOAT, Kind(logits.shape, checks.result_dtype(logits, "logits"))
