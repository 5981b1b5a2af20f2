"""Convolution (the cross-correlation of deep learning): one matrix product for each offset of the kernel."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last, offsets, pad, total, unpad


def conv2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """y[n,k,p,q] = b[k] + sum over c, r, s of x[n, c, p stride + r dilation - top, q stride + s dilation - left]
    w[k,c,r,s], pixels outside the image being zero."""
    x = checks.floating(x, "x")
    w, b = checks.floating(w, "w", like=x), checks.optional(b, "b", like=x)
    shape = shapes.conv2d_forward(x, w, b, stride, padding, dilation, groups).shape
    y = _gather(x, w, shape, stride, padding, dilation, groups)
    if b is not None:
        y += b[:, None, None]
    return channels_last(y)


def conv2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups):
    """dx: every dy[n,k,p,q] sends dy w[k,:,r,s] back to the pixel that it was computed from."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    shape = shapes.conv2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups).shape
    return channels_last(_spread(dy, w, shape, stride, padding, dilation, groups))


def conv2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True):
    """dw[k,c,r,s] = sum over n, p, q of dy[n,k,p,q] times the pixel that w[k,c,r,s] met there; db[k] = sum of dy."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    shapes.conv2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias)
    dw = _products(dy, x, w_shape, stride, padding, dilation, groups)
    return dw, total(dy, (0, 2, 3)) if bias else None


def conv_transpose2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), output_padding=(0, 0), dilation=(1, 1),
                             groups=1):
    """y[n, k, p stride + r dilation - top, q stride + s dilation - left] = b[k] + sum of x[n,c,p,q] w[c,k,r,s] over all
    that send something there."""
    x = checks.floating(x, "x")
    w, b = checks.floating(w, "w", like=x), checks.optional(b, "b", like=x)
    shape = shapes.conv_transpose2d_forward(x, w, b, stride, padding, output_padding, dilation, groups).shape
    y = _spread(x, w, shape, stride, padding, dilation, groups)
    if b is not None:
        y += b[:, None, None]
    return channels_last(y)


def conv_transpose2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups):
    """dx: every pixel of x gathers what it has sent its number to."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    shape = shapes.conv_transpose2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups).shape
    return channels_last(_gather(dy, w, shape, stride, padding, dilation, groups))


def conv_transpose2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True):
    """dw[c,k,r,s] = sum over n, p, q of x[n,c,p,q] times what dy has where w[c,k,r,s] sent it; db = sum of dy."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    shapes.conv_transpose2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias)
    dw = _products(x, dy, w_shape, stride, padding, dilation, groups)
    return dw, total(dy, (0, 2, 3)) if bias else None


def conv2d_algorithm(direction, dtype, x_shape, w_shape, stride, padding, dilation, groups):
    """The same for all directions and shapes."""
    checks.conv2d_direction(direction)
    checks.conv2d_shape(x_shape, w_shape, stride, padding, dilation, groups)
    return "matrix product for each kernel offset", "plain NumPy"


def _gather(x, w, y_shape, stride, padding, dilation, groups):
    """Each pixel (p, q) of the result is the sum of those of x that it meets, times w."""
    n, k, *pq = y_shape
    grouped_x, grouped_w = _grouped(pad(x, padding), groups), _grouped_weight(w, groups)
    y = np.zeros((n, groups, k // groups, *pq), x.dtype)
    for r, s, window in offsets(w.shape[2:], stride, dilation, pq):
        y += _product(grouped_x[window], grouped_w[..., r, s])
    return y.reshape(y_shape)


def _spread(y, w, x_shape, stride, padding, dilation, groups):
    """The way back: each pixel (p, q) of y is added, times w, to those of the result that it met."""
    n, c, height, width = x_shape
    top, bottom, left, right = padding
    grouped_y, grouped_w = _grouped(y, groups), _grouped_weight(w, groups)
    x = np.zeros((n, groups, c // groups, height + top + bottom, width + left + right), y.dtype)
    for r, s, window in offsets(w.shape[2:], stride, dilation, y.shape[2:]):
        x[window] += _product(grouped_y, grouped_w[..., r, s].swapaxes(1, 2))
    return unpad(x, padding).reshape(x_shape)


def _products(y, x, w_shape, stride, padding, dilation, groups):
    """For each number of w the sum of the products of what met through it."""
    k, c, *kernel_size = w_shape
    grouped_x = _grouped(pad(x, padding), groups)
    columns = _columns(_grouped(y, groups)).astype(np.float64)  # sums over pixels may be long
    w = np.empty((groups, k // groups, c, *kernel_size), y.dtype)
    for r, s, window in offsets(kernel_size, stride, dilation, y.shape[2:]):
        w[..., r, s] = columns.swapaxes(1, 2) @ _columns(grouped_x[window]).astype(np.float64)
    return w.reshape(w_shape)


def _grouped(x, groups):
    """(N, C, H, W) as (N, groups, C / groups, H, W)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def _grouped_weight(w, groups):
    """(K, C / groups, R, S) as (groups, K / groups, C / groups, R, S)."""
    return w.reshape(groups, w.shape[0] // groups, *w.shape[1:])


def _columns(x):
    """(N, groups, C, P, Q) as the matrices (groups, N P Q, C): one row a pixel."""
    n, groups, c, p, q = x.shape
    return x.transpose(1, 0, 3, 4, 2).reshape(groups, n * p * q, c)


def _product(x, w):
    """x (N, groups, C, P, Q) and w (groups, K, C) to (N, groups, K, P, Q): a matrix product at every pixel."""
    n, groups, _, p, q = x.shape
    y = _columns(x) @ w.swapaxes(1, 2)
    return y.reshape(groups, n, p, q, w.shape[1]).transpose(1, 0, 4, 2, 3)
