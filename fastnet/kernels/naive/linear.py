"""The fully connected layer: a matrix product and its two gradients."""
from fastnet.kernels import checks, shapes


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
    return dy.T @ x, dy.sum(axis=0) if bias else None
