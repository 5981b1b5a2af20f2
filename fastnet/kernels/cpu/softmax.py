"""Softmax, its logarithm and the cross-entropy of scores x (N, C). A block is some rows, a row is one sample.

The largest score of each row is taken off first, so that nothing overflows; NaN, or a row of -inf alone, gives NaN.
"""
import math

import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.cpu._jit import jit, launch
from fastnet.kernels.cpu.array import empty, flat

_ROWS = 16


def softmax_forward(x):
    """y[n, c] = exp(x[n, c]) / sum over j of exp(x[n, j])."""
    return _rowwise(_softmax, x)


def softmax_backward(dy, y):
    """dx = y (dy - sum of dy y over the row); y is the output of softmax_forward."""
    return _rowwise_backward(_softmax_backward, dy, y)


def log_softmax_forward(x):
    """y[n, c] = x[n, c] - log(sum over j of exp(x[n, j]))."""
    return _rowwise(_log_softmax, x)


def log_softmax_backward(dy, y):
    """dx = dy - exp(y) (sum of dy over the row); y is the output of log_softmax_forward."""
    return _rowwise_backward(_log_softmax_backward, dy, y)


def softmax_cross_entropy(logits, labels, label_smoothing=0.0):
    """(loss, dlogits): the mean over the batch of -sum over c of t[c] log softmax(logits)[c], and (softmax - t) / N,
    with target t = (1 - label_smoothing) at the label plus label_smoothing / C everywhere."""
    logits = checks.floating(logits, "logits")
    n, c = checks.scores(logits.shape, "logits")
    labels = checks.labels(labels, n, c)
    smoothing = checks.probability(label_smoothing, "label_smoothing")
    dlogits, losses = empty((n, c), logits.dtype), np.empty(n, np.float64)
    launch(_cross_entropy, -(-n // _ROWS), flat(logits), flat(labels), dlogits.reshape(-1), losses, c,
           logits.dtype.type(1 - smoothing), logits.dtype.type(smoothing / c), work=10 * n * c)
    return float(losses.mean()), dlogits


def _rowwise(kernel, x):
    x = checks.floating(x, "x")
    n, c = checks.scores(x.shape)
    y = empty((n, c), x.dtype)
    launch(kernel, -(-n // _ROWS), flat(x), y.reshape(-1), n, c, work=10 * n * c)
    return y


def _rowwise_backward(kernel, dy, y):
    dy = checks.floating(dy, "dy")
    n, c = checks.scores(dy.shape, "dy")
    y = checks.operand(y, dy.shape, "y", like=dy)
    dx = empty((n, c), dy.dtype)
    launch(kernel, -(-n // _ROWS), flat(dy), flat(y), dx.reshape(-1), n, c, work=10 * n * c)
    return dx


@jit
def _largest(x, start, c):
    """The largest of x[start : start + c], or NaN where one of them is."""
    largest = x[start]
    for i in range(start + 1, start + c):
        value = x[i]
        if value > largest or value != value:
            largest = value
        if largest != largest:
            break
    return largest


@jit
def _softmax(block, slot, x, y, n, c):
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        start = row * c
        largest = _largest(x, start, c)
        total = x.dtype.type(0)
        for i in range(start, start + c):
            y[i] = math.exp(x[i] - largest)
            total += y[i]
        for i in range(start, start + c):
            y[i] /= total


@jit
def _softmax_backward(block, slot, dy, y, dx, n, c):
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        total = dy.dtype.type(0)
        for i in range(row * c, (row + 1) * c):
            total += dy[i] * y[i]
        for i in range(row * c, (row + 1) * c):
            dx[i] = y[i] * (dy[i] - total)


@jit
def _log_softmax(block, slot, x, y, n, c):
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        start = row * c
        largest = _largest(x, start, c)
        total = x.dtype.type(0)
        for i in range(start, start + c):
            total += math.exp(x[i] - largest)
        total = math.log(total)
        for i in range(start, start + c):
            y[i] = x[i] - largest - total


@jit
def _log_softmax_backward(block, slot, dy, y, dx, n, c):
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        total = dy.dtype.type(0)
        for i in range(row * c, (row + 1) * c):
            total += dy[i]
        for i in range(row * c, (row + 1) * c):
            dx[i] = dy[i] - math.exp(y[i]) * total


@jit
def _cross_entropy(block, slot, x, labels, dx, losses, c, at_label, elsewhere):
    n = losses.size
    scale = x.dtype.type(1) / x.dtype.type(n)
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        start = row * c
        largest = _largest(x, start, c)
        total = x.dtype.type(0)
        for i in range(start, start + c):
            dx[i] = math.exp(x[i] - largest)
            total += dx[i]
        logarithm = math.log(total)
        label = start + labels[row]
        loss = -at_label * (x[label] - largest - logarithm)
        for i in range(start, start + c):
            if elsewhere > 0:
                loss -= elsewhere * (x[i] - largest - logarithm)
            target = elsewhere + at_label if i == label else elsewhere
            dx[i] = (dx[i] / total - target) * scale
        losses[row] = loss
