"""The fully connected layer: a matrix product and its two gradients."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import total


def linear_forward(x, w, b=None):
    """y = x w^T + b."""
    x = checks.floating(x, "x")
    w, b = checks.floating(w, "w", like=x), checks.optional(b, "b", like=x)
    shapes.linear_forward(x, w, b)
    y = x @ w.T
    return y if b is None else y + b


def linear_backward_input(dy, w):
    """dx = dy w."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    shapes.linear_backward_input(dy, w)
    return dy @ w


def linear_backward_weight(dy, x, bias=True):
    """dw = dy^T x and db = sum of dy over the batch."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    shapes.linear_backward_weight(dy, x, bias)
    dw = dy.T.astype(np.float64) @ x.astype(np.float64)  # sums over samples may be long
    return dw.astype(dy.dtype), total(dy, 0) if bias else None
