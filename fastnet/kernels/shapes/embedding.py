"""A table of vectors, and the rows that indices ask for."""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import Kind


def embedding_forward(w, x):
    """y[i] = w[x[i]]; w (V, D), x (R,), integers in 0 .. V - 1, y (R, D). ValueError for other numbers: from the
    operation, which looks at them, and before each pass of a net."""
    if len(w.shape) != 2 or 0 in w.shape:
        raise ValueError(f"expected w of shape (V, D), got w of shape {tuple(w.shape)}")
    checks.indices_shape(x)
    return Kind((x.shape[0], w.shape[1]), checks.result_dtype(w, "w"))


def embedding_backward(dy, x, rows, padding_idx=None, scale_grad_by_freq=False):
    """dw[v] is the sum of dy[i] over all i with x[i] = v, divided by how many there are where `scale_grad_by_freq`, and
    zero where v is `padding_idx`; dy (R, D), x (R,), dw (rows, D)."""
    checks.indices_shape(x)
    arguments.size(rows, "rows")
    arguments.flag(scale_grad_by_freq, "scale_grad_by_freq")
    if padding_idx is not None:
        arguments.integer(padding_idx, "padding_idx", 0, rows - 1)
    count, columns = checks.scores(dy.shape, "dy")
    if count != x.shape[0]:
        raise ValueError(f"expected dy of shape ({x.shape[0]}, D), got dy of shape {tuple(dy.shape)}")
    return Kind((rows, columns), checks.result_dtype(dy, "dy"))
