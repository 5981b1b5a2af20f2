"""The fully connected layer: a matrix product and its two gradients."""
from fastnet.kernels import checks
from fastnet.kernels.naive.array import masked, rectify


def linear_forward(x, w, b=None, relu=False):
    """y = x w^T + b; x (N, C), w (K, C), b (K,), y (N, K)."""
    x = checks.floating(x, "x")
    w = checks.floating(w, "w", like=x)
    shape = checks.linear_shape(x.shape, w.shape)
    b = checks.operand(b, shape[1:], "b", like=x)
    y = x @ w.T
    return rectify(y if b is None else y + b, relu)


def linear_backward_input(dy, w, mask=None):
    """dx = dy w; dy (N, K), w (K, C), dx and mask (N, C)."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    n, k = checks.scores(dy.shape, "dy")
    if w.ndim != 2 or w.shape[0] != k or w.size == 0:
        raise ValueError(f"expected w of shape ({k}, C), got w of shape {w.shape}")
    mask = checks.operand(mask, (n, w.shape[1]), "mask", like=dy)
    return masked(dy @ w, mask)


def linear_backward_weight(dy, x, bias=True):
    """dw = dy^T x and db = sum of dy over the batch; dy (N, K), x (N, C), dw (K, C), db (K,) or None."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    n, _ = checks.scores(dy.shape, "dy")
    if checks.scores(x.shape)[0] != n:
        raise ValueError(f"dy and x must have the same batch size, got dy of shape {dy.shape} and x of shape {x.shape}")
    return dy.T @ x, dy.sum(axis=0) if bias else None
