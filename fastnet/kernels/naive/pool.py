"""Pooling: the largest or the mean value of each window."""
import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.naive.array import channels_last, offsets, pad, rectify, unpad


def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), relu=False):
    """y[n,c,p,q] is the largest pixel of the window at (p, q), and index the place r S + s within the window where
    it stood (for maxpool2d_backward). Padding never wins; of equal values the first in the window wins, a NaN wins
    over all. index is uint8 for windows up to 254 pixels, else uint16, and its dtype's largest value where no
    gradient passes: with relu=True, where y is not positive.

    x (N, C, H, W), y and index (N, C, P, Q). ValueError where shapes do not fit, where the padding is not smaller
    than the kernel and for windows of more than 65534 pixels.
    """
    x = checks.floating(x, "x")
    shape = checks.pool2d_shape(x.shape, kernel_size, stride, padding)
    dtype = checks.pool_index_dtype(kernel_size)
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
    if relu:
        index[~(y > 0)] = nowhere
    return channels_last(rectify(y, relu)), channels_last(index)


def maxpool2d_inference(x, kernel_size, stride, padding=(0, 0, 0, 0), relu=False):
    """y of maxpool2d_forward without the index."""
    return maxpool2d_forward(x, kernel_size, stride, padding, relu)[0]


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding):
    """dx: every dy[n,c,p,q] goes to the pixel that won its window.

    dy and index (N, C, P, Q), x_shape (N, C, H, W).
    """
    dy = checks.floating(dy, "dy")
    shape = checks.pool2d_shape(x_shape, kernel_size, stride, padding)
    checks.has_shape(dy, shape, "dy")
    checks.pool_index(index, shape, kernel_size)
    dx = _padded_zeros(x_shape, padding, dy.dtype)
    for r, s, window in offsets(kernel_size, stride, (1, 1), shape[2:]):
        dx[window] += np.where(index == r * kernel_size[1] + s, dy, 0)
    return channels_last(unpad(dx, padding))


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True):
    """y[n,c,p,q] is the sum over the window at (p, q) divided by R S, or, with count_include_pad=False, by the
    number of its pixels that lie in the image. x (N, C, H, W), y (N, C, P, Q)."""
    x = checks.floating(x, "x")
    shape = checks.pool2d_shape(x.shape, kernel_size, stride, padding)
    padded = pad(x, padding)
    y = np.zeros(shape, x.dtype)
    for _, _, window in offsets(kernel_size, stride, (1, 1), shape[2:]):
        y += padded[window]
    return channels_last(y / _pixels(x.shape, shape, kernel_size, stride, padding, count_include_pad, x.dtype))


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True):
    """dx: every dy[n,c,p,q] is shared out equally among the pixels that were counted."""
    dy = checks.floating(dy, "dy")
    shape = checks.pool2d_shape(x_shape, kernel_size, stride, padding)
    checks.has_shape(dy, shape, "dy")
    share = dy / _pixels(x_shape, shape, kernel_size, stride, padding, count_include_pad, dy.dtype)
    dx = _padded_zeros(x_shape, padding, dy.dtype)
    for _, _, window in offsets(kernel_size, stride, (1, 1), shape[2:]):
        dx[window] += share
    return channels_last(unpad(dx, padding))


def global_avgpool_forward(x):
    """The mean of each channel's image: x (N, C, H, W), y (N, C, 1, 1)."""
    x = checks.floating(x, "x")
    checks.images(x.shape)
    return channels_last(x.mean(axis=(2, 3), keepdims=True))


def global_avgpool_backward(dy, x_shape):
    """dx[n,c,:,:] = dy[n,c] / (H W); dy (N, C, 1, 1), x_shape (N, C, H, W)."""
    dy = checks.floating(dy, "dy")
    n, c, height, width = checks.images(x_shape)
    checks.has_shape(dy, (n, c, 1, 1), "dy")
    return channels_last(np.broadcast_to(dy / (height * width), x_shape))


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
