"""Pooling: the largest or the mean value of each window."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last, offsets, pad, total, unpad


def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0)):
    """y[n,c,p,q] is the largest pixel of the window at (p, q), and index the place r S + s where it stood."""
    x = checks.floating(x, "x")
    shape, dtype = shapes.maxpool2d_forward(x, kernel_size, stride, padding)[1]
    nowhere = np.iinfo(dtype).max
    y = np.zeros(shape, x.dtype)
    index = np.full(shape, nowhere, dtype)
    padded, inside = pad(x, padding), pad(np.ones(x.shape, bool), padding, False)
    for r, s, window in offsets(kernel_size, stride, (1, 1), shape[2:]):
        value = padded[window]
        larger = (index == nowhere) | (value > y) | (np.isnan(value) & ~np.isnan(y))
        wins = inside[window] & larger
        y[wins] = value[wins]
        index[wins] = r * kernel_size[1] + s
    return channels_last(y), channels_last(index)


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding):
    """dx: every dy[n,c,p,q] goes to the pixel that won its window."""
    dy = checks.floating(dy, "dy")
    shapes.maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding)
    dx = _padded_zeros(x_shape, padding, np.float64)
    for r, s, window in offsets(kernel_size, stride, (1, 1), dy.shape[2:]):
        dx[window] += np.where(index == r * kernel_size[1] + s, dy, 0)
    return channels_last(unpad(dx, padding).astype(dy.dtype))


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True):
    """y[n,c,p,q] is the sum over the window at (p, q) divided by the number of pixels that count in it."""
    x = checks.floating(x, "x")
    shape = shapes.avgpool2d_forward(x, kernel_size, stride, padding, count_include_pad).shape
    padded = pad(x, padding)
    y = np.zeros(shape)  # float64, since windows may be large
    for _, _, window in offsets(kernel_size, stride, (1, 1), shape[2:]):
        y += padded[window]
    y /= _pixels(x.shape, shape, kernel_size, stride, padding, count_include_pad, x.dtype)
    return channels_last(y.astype(x.dtype))


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True):
    """dx: every dy[n,c,p,q] is shared out equally among the pixels that were counted."""
    dy = checks.floating(dy, "dy")
    shapes.avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad)
    share = dy / _pixels(x_shape, dy.shape, kernel_size, stride, padding, count_include_pad, dy.dtype)
    dx = _padded_zeros(x_shape, padding, np.float64)
    for _, _, window in offsets(kernel_size, stride, (1, 1), dy.shape[2:]):
        dx[window] += share
    return channels_last(unpad(dx, padding).astype(dy.dtype))


def global_avgpool_forward(x):
    """The mean of each channel's image."""
    x = checks.floating(x, "x")
    shapes.global_avgpool_forward(x)
    return channels_last(total(x, (2, 3), keepdims=True) / (x.shape[2] * x.shape[3]))


def global_avgpool_backward(dy, x_shape):
    """dx[n,c,:,:] = dy[n,c] / (H W)."""
    dy = checks.floating(dy, "dy")
    shape = shapes.global_avgpool_backward(dy, x_shape).shape
    return channels_last(np.broadcast_to(dy / (shape[2] * shape[3]), shape))


def _pixels(x_shape, shape, kernel_size, stride, padding, count_include_pad, dtype):
    """How many pixels each window counts: (P, Q), or one number for all."""
    if count_include_pad:
        return kernel_size[0] * kernel_size[1]
    inside = pad(np.ones(x_shape[2:], dtype), padding)
    return sum(inside[window] for _, _, window in offsets(kernel_size, stride, (1, 1), shape[2:]))


def _padded_zeros(x_shape, padding, dtype):
    n, c, height, width = x_shape
    top, bottom, left, right = padding
    return np.zeros((n, c, height + top + bottom, width + left + right), dtype)
