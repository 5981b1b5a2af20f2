"""Products with weights."""
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import Kind, fits


def linear_forward(x, w, b=None):
    """y = x w^T + b; x (N, C), w (K, C), b (K,), y (N, K)."""
    checks.real(w, "w")
    shape = checks.linear_shape(x.shape, w.shape)
    if b is not None:
        fits(b, shape[1:], "b")
    return Kind(shape, checks.result_dtype(x, "x"))


def linear_backward_input(dy, w):
    """dx = dy w; dy (N, K), w (K, C), dx (N, C)."""
    checks.real(w, "w")
    n, k = checks.scores(dy.shape, "dy")
    if len(w.shape) != 2 or w.shape[0] != k or 0 in w.shape:
        raise ValueError(f"expected w of shape ({k}, C), got w of shape {w.shape}")
    return Kind((n, w.shape[1]), checks.result_dtype(dy, "dy"))


def linear_backward_weight(dy, x, bias=True):
    """dw = dy^T x and db = sum of dy over the batch; dy (N, K), x (N, C), dw (K, C), db (K,) or None without bias."""
    checks.real(x, "x")
    dtype = checks.result_dtype(dy, "dy")
    (n, k), (batch, c) = checks.scores(dy.shape, "dy"), checks.scores(x.shape)
    if batch != n:
        raise ValueError(f"dy and x must have the same batch size, got dy of shape {dy.shape} and x of shape {x.shape}")
    return Kind((k, c), dtype), Kind((k,), dtype) if bias else None
