"""Max-unpooling, and the way back."""
import numpy as np

from fastnet.kernels import checks, shapes, windows
from fastnet.kernels.naive.array import channels_last


def maxunpool2d_forward(x, indices, output_size):
    """y[n,c,h,w] is x[n,c,p,q] where h W + w is indices[n,c,p,q], and 0 elsewhere."""
    x, indices = checks.floating(x, "x"), windows.places(indices)
    n, c, h, w = shapes.maxunpool2d_forward(x, indices, output_size).shape
    if ((indices < 0) | (indices >= h * w) | (indices != np.floor(indices))).any():
        windows.refuse_outside(indices, (h, w))
    y = np.zeros((n, c, h * w), x.dtype)
    np.put_along_axis(y, indices.reshape(n, c, -1).astype(np.int64), x.reshape(n, c, -1), 2)
    return channels_last(y.reshape(n, c, h, w))


def maxunpool2d_backward(dy, indices):
    """dx[n,c,p,q] is dy[n,c,h,w] where h W + w is indices[n,c,p,q]."""
    dy, indices = checks.floating(dy, "dy"), windows.places(indices)
    n, c, p, q = shapes.maxunpool2d_backward(dy, indices).shape
    dx = np.take_along_axis(dy.reshape(n, c, -1), indices.reshape(n, c, -1).astype(np.int64), 2)
    return channels_last(dx.reshape(n, c, p, q))
