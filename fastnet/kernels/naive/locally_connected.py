"""Locally connected layers: one product for each offset of the kernel, with other weights at each place."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last, offsets, pad, total, unpad


def locally_connected2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0)):
    """y[n,k,p,q] = b[k,p,q] + sum over c, r, s of x[n, c, p stride + r - top, q stride + s - left] w[p,q,r,s,c,k]."""
    x = checks.floating(x, "x")
    w, b = checks.floating(w, "w", like=x), checks.optional(b, "b", like=x)
    y = np.zeros(shapes.locally_connected2d_forward(x, w, b, stride, padding).shape, x.dtype)
    padded = pad(x, padding)
    for r, s, window in offsets(w.shape[2:4], stride, (1, 1), y.shape[2:]):
        y += np.einsum("ncpq,pqck->nkpq", padded[window], w[:, :, r, s])
    if b is not None:
        y += b
    return channels_last(y)


def locally_connected2d_backward_input(dy, w, x_shape, stride, padding):
    """dx: every dy[n,k,p,q] sends dy w[p,q,r,s,:,k] back to the pixel that it was computed from."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    n, c, height, width = shapes.locally_connected2d_backward_input(dy, w, x_shape, stride, padding).shape
    top, bottom, left, right = padding
    dx = np.zeros((n, c, height + top + bottom, width + left + right), dy.dtype)
    for r, s, window in offsets(w.shape[2:4], stride, (1, 1), dy.shape[2:]):
        dx[window] += np.einsum("nkpq,pqck->ncpq", dy, w[:, :, r, s])
    return channels_last(unpad(dx, padding))


def locally_connected2d_backward_weight(dy, x, w_shape, stride, padding, bias=True):
    """dw[p,q,r,s,c,k] = sum over n of dy[n,k,p,q] times the number that w[p,q,r,s,c,k] met there; db = sum of dy."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    shapes.locally_connected2d_backward_weight(dy, x, w_shape, stride, padding, bias)
    dw, padded, wide = np.empty(w_shape, dy.dtype), pad(x, padding).astype(np.float64), dy.astype(np.float64)
    for r, s, window in offsets(w_shape[2:4], stride, (1, 1), dy.shape[2:]):
        dw[:, :, r, s] = np.einsum("nkpq,ncpq->pqck", wide, padded[window])
    return dw, total(dy, 0) if bias else None
