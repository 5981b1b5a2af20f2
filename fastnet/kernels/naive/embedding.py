"""A table of vectors, and the rows that indices ask for."""
import numpy as np

from fastnet.kernels import checks, shapes


def embedding_forward(w, x):
    """y[i] = w[x[i]]."""
    w, x = checks.floating(w, "w"), np.asarray(x)
    shapes.embedding_forward(w, x)
    return w[checks.indices(x, w.shape[0])]


def embedding_backward(dy, x, rows, padding_idx=None, scale_grad_by_freq=False):
    """dw[v] = the sum of dy[i] where x[i] = v, by how many there are."""
    dy, x = checks.floating(dy, "dy"), np.asarray(x)
    shape, dtype = shapes.embedding_backward(dy, x, rows, padding_idx, scale_grad_by_freq)
    x = checks.indices(x, rows)
    dw = np.zeros(shape)
    np.add.at(dw, x, dy)
    if scale_grad_by_freq:
        dw /= np.maximum(np.bincount(x, minlength=rows), 1)[:, None]
    if padding_idx is not None:
        dw[padding_idx] = 0
    return dw.astype(dtype)
