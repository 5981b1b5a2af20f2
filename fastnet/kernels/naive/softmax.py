"""Softmax, its logarithm and the cross-entropy of scores x (N, C); a row is one sample.

The largest score of each row is taken off first, so that nothing overflows. A score of -inf has probability 0; a row
with a NaN or +inf, or of -inf alone, gives NaN.
"""
import numpy as np

from fastnet.kernels import checks


def softmax_forward(x):
    """y[n,c] = exp(x[n,c]) / sum over j of exp(x[n,j])."""
    exponentials = np.exp(_shifted(x))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def softmax_backward(dy, y):
    """dx = y (dy - sum of dy y over the row); y is the output of softmax_forward."""
    dy, y = _gradient(dy, y)
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))


def log_softmax_forward(x):
    """y[n,c] = x[n,c] - log(sum over j of exp(x[n,j]))."""
    shifted = _shifted(x)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_softmax_backward(dy, y):
    """dx = dy - exp(y) (sum of dy over the row); y is the output of log_softmax_forward."""
    dy, y = _gradient(dy, y)
    return dy - np.exp(y) * dy.sum(axis=1, keepdims=True)


def softmax_cross_entropy(logits, labels, label_smoothing=0.0):
    """The mean over the batch of -sum over c of t[c] log softmax(logits)[c], and its gradient (softmax - t) / N.

    The target t is (1 - label_smoothing) at the label plus label_smoothing / C everywhere (Szegedy et al.,
    Rethinking the Inception architecture, 2016, section 7). logits and gradient (N, C); labels are N integers in
    0 .. C - 1. Returns the loss as a Python float, and the gradient. ValueError for labels out of range.
    """
    logits = checks.floating(logits, "logits")
    n, classes = checks.scores(logits.shape, "logits")
    labels = checks.labels(labels, n, classes)
    smoothing = checks.probability(label_smoothing, "label_smoothing")
    rows = np.arange(n)
    log_p = log_softmax_forward(logits)
    losses = -(1 - smoothing) * log_p[rows, labels]
    dlogits = np.exp(log_p)
    dlogits[rows, labels] -= 1 - smoothing
    if smoothing:
        losses -= smoothing / classes * log_p.sum(axis=1)
        dlogits -= smoothing / classes
    return float(losses.mean(dtype=np.float64)), dlogits / n


def _shifted(x):
    x = checks.floating(x, "x")
    checks.scores(x.shape)
    with np.errstate(invalid="ignore"):
        return x - x.max(axis=1, keepdims=True)


def _gradient(dy, y):
    dy = checks.floating(dy, "dy")
    checks.scores(dy.shape, "dy")
    return dy, checks.operand(y, dy.shape, "y", like=dy)
