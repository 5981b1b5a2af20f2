"""Pooling: kernel_size and stride are pairs, and the padding is smaller than the kernel on each side."""
import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import Kind, arriving


def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0)):
    """y[n,c,p,q] is the largest pixel of the window at (p, q), and index the place r S + s within the window where
    it stood (for maxpool2d_backward). Padding never wins; of equal values the first in the window wins, a NaN wins
    over all. x (N, C, H, W), y and index (N, C, P, Q); index is uint8 for windows up to 254 pixels, uint16 up to
    65534, and ValueError beyond."""
    shape = checks.pool2d_shape(x.shape, kernel_size, stride, padding)
    return Kind(shape, checks.result_dtype(x, "x")), Kind(shape, np.dtype(checks.pool_index_dtype(kernel_size)))


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding):
    """dx: every dy[n,c,p,q] goes to the pixel that won its window, and nowhere where index is the largest number of
    its dtype. dy and index (N, C, P, Q), x_shape (N, C, H, W), the shape of dx."""
    shape = checks.pool2d_shape(x_shape, kernel_size, stride, padding)
    dtype = arriving(dy, shape)
    checks.pool_index(index, shape, kernel_size)
    return Kind(tuple(x_shape), dtype)


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True):
    """y[n,c,p,q] is the sum over the window at (p, q) divided by R S, or, with count_include_pad=False, by the
    number of its pixels that lie in the image. x (N, C, H, W), y (N, C, P, Q)."""
    return Kind(checks.pool2d_shape(x.shape, kernel_size, stride, padding), checks.result_dtype(x, "x"))


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True):
    """dx: every dy[n,c,p,q] is shared out equally among the pixels that were counted; dy (N, C, P, Q), x_shape
    (N, C, H, W), the shape of dx."""
    return Kind(tuple(x_shape), arriving(dy, checks.pool2d_shape(x_shape, kernel_size, stride, padding)))


def global_avgpool_forward(x):
    """The mean of each channel's image: x (N, C, H, W), y (N, C, 1, 1)."""
    return Kind((*checks.images(x.shape)[:2], 1, 1), checks.result_dtype(x, "x"))


def global_avgpool_backward(dy, x_shape):
    """dx[n,c,:,:] = dy[n,c] / (H W); dy (N, C, 1, 1), x_shape (N, C, H, W), the shape of dx."""
    return Kind(tuple(x_shape), arriving(dy, (*checks.images(x_shape)[:2], 1, 1)))
