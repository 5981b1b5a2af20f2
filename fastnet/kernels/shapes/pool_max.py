"""The largest pixels of windows, and the way back to where they stood.

kernel_size, stride and dilation are pairs, and the padding is smaller than what the kernel covers on each side, so that
every window holds a pixel of the image. The place of the largest one is kept in two ways: as an *index*, small numbers
that tell the place r S + s within the window, for the gradient; and as *indices*, PyTorch's int64 numbers h W + w, the
place within the image.
"""
import numpy as np

from fastnet.kernels import checks, windows
from fastnet.kernels.shapes.kind import Kind, arriving


def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), dilation=(1, 1), ceil_mode=False):
    """y[n,c,p,q] is the largest pixel of the window at (p, q), and index the place r S + s within the window where
    it stood (for maxpool2d_backward). Padding never wins; of equal values the first in the window wins, a NaN wins
    over all. x (N, C, H, W), y and index (N, C, P, Q); index is uint8 for windows up to 254 pixels, uint16 up to
    65534, and ValueError beyond. With ceil_mode a last window that reaches beyond the padding counts too, if it starts
    in the image or the padding before it."""
    shape = windows.pool2d_shape(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    return Kind(shape, checks.result_dtype(x, "x")), Kind(shape, np.dtype(windows.pool_index_dtype(kernel_size)))


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    """dx: every dy[n,c,p,q] goes to the pixel that won its window, and nowhere where index is the largest number of
    its dtype. dy and index (N, C, P, Q), x_shape (N, C, H, W), the shape of dx."""
    shape = windows.pool2d_shape(x_shape, kernel_size, stride, padding, dilation, ceil_mode)
    dtype = arriving(dy, shape)
    windows.pool_index(index, shape, kernel_size)
    return Kind(tuple(x_shape), dtype)


def maxpool2d_indices(index, x_shape, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    """For each index of maxpool2d_forward the place h W + w of that pixel in its image, -1 where index is the largest
    number of its dtype: int64 (N, C, P, Q)."""
    shape = windows.pool2d_shape(x_shape, kernel_size, stride, padding, dilation, ceil_mode)
    windows.pool_index(index, shape, kernel_size)
    return Kind(shape, checks.INT64)


def adaptive_maxpool2d_forward(x, output_size):
    """y[n,c,p,q] is the largest of the pixels x[n,c,h,w] with floor(p H / P) <= h < ceil((p + 1) H / P), and w alike,
    and index its place r S + s in that window, S being the width of the widest one; otherwise as maxpool2d_forward. x
    (N, C, H, W), output_size (P, Q), y and index (N, C, P, Q)."""
    shape = windows.adaptive_shape(x.shape, output_size)
    return Kind(shape, checks.result_dtype(x, "x")), Kind(shape, np.dtype(_adaptive_index(x.shape, shape)))


def adaptive_maxpool2d_backward(dy, index, x_shape, output_size):
    """dx: every dy[n,c,p,q] goes to the pixel that won its window. dy and index (N, C, P, Q), x_shape (N, C, H, W), the
    shape of dx."""
    shape = windows.adaptive_shape(x_shape, output_size)
    dtype = arriving(dy, shape)
    _adaptive_index(x_shape, shape, index)
    return Kind(tuple(x_shape), dtype)


def adaptive_maxpool2d_indices(index, x_shape, output_size):
    """For each index of adaptive_maxpool2d_forward the place h W + w in its image: int64 (N, C, P, Q)."""
    shape = windows.adaptive_shape(x_shape, output_size)
    _adaptive_index(x_shape, shape, index)
    return Kind(shape, checks.INT64)


def _adaptive_index(x_shape, shape, index=None):
    """The dtype of the index, which, where it is there already, must be right."""
    widest = tuple(map(windows.widest, x_shape[2:], shape[2:]))
    if index is not None:
        windows.pool_index(index, shape, widest, "adaptive_maxpool2d_forward")
    return windows.pool_index_dtype(widest)
