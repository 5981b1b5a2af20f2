"""Averages of windows: kernel_size and stride are pairs, and the padding is smaller than the kernel on each side."""
from fastnet import arguments
from fastnet.kernels import checks, windows
from fastnet.kernels.shapes.kind import Kind, arriving


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True, ceil_mode=False,
                      divisor_override=None):
    """y[n,c,p,q] is the sum over the window at (p, q) divided by the number of its pixels that lie in the image or its
    padding, with count_include_pad=False in the image alone, or by divisor_override. x (N, C, H, W), y (N, C, P, Q);
    ceil_mode as for maxpool2d_forward: what a window covers beyond the padding counts for nothing."""
    shape = _averaged(x.shape, kernel_size, stride, padding, count_include_pad, ceil_mode, divisor_override)
    return Kind(shape, checks.result_dtype(x, "x"))


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True, ceil_mode=False,
                       divisor_override=None):
    """dx: every dy[n,c,p,q], divided as the sum over its window was, goes to the pixels of that window; dy (N, C, P,
    Q), x_shape (N, C, H, W), the shape of dx."""
    shape = _averaged(x_shape, kernel_size, stride, padding, count_include_pad, ceil_mode, divisor_override)
    return Kind(tuple(x_shape), arriving(dy, shape))


def _averaged(x_shape, kernel_size, stride, padding, count_include_pad, ceil_mode, divisor_override):
    arguments.flag(count_include_pad, "count_include_pad")
    if divisor_override is not None:
        arguments.size(divisor_override, "divisor_override")
    return windows.pool2d_shape(x_shape, kernel_size, stride, padding, (1, 1), ceil_mode)


def global_avgpool_forward(x):
    """The mean of each channel's image: x (N, C, H, W), y (N, C, 1, 1)."""
    return Kind((*checks.images(x.shape)[:2], 1, 1), checks.result_dtype(x, "x"))


def global_avgpool_backward(dy, x_shape):
    """dx[n,c,:,:] = dy[n,c] / (H W); dy (N, C, 1, 1), x_shape (N, C, H, W), the shape of dx."""
    return Kind(tuple(x_shape), arriving(dy, (*checks.images(x_shape)[:2], 1, 1)))
