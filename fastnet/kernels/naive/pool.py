"""Pooling: the mean value of each window."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last, offsets, pad, reaching, total, unpad


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True, ceil_mode=False,
                      divisor_override=None):
    """y[n,c,p,q] is the sum over the window at (p, q) divided by the number of pixels that count in it."""
    x = checks.floating(x, "x")
    shape = shapes.avgpool2d_forward(x, kernel_size, stride, padding, count_include_pad, ceil_mode,
                                     divisor_override).shape
    padded = pad(x, reaching(padding, x.shape, shape, kernel_size, stride))
    y = np.zeros(shape)  # float64, since windows may be large
    for _, _, window in offsets(kernel_size, stride, (1, 1), shape[2:]):
        y += padded[window]
    y /= divisor_override or _pixels(x.shape, shape, kernel_size, stride, padding, count_include_pad)
    return channels_last(y.astype(x.dtype))


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True, ceil_mode=False,
                       divisor_override=None):
    """dx: every dy[n,c,p,q] is shared out equally among the pixels of its window."""
    dy = checks.floating(dy, "dy")
    shapes.avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad, ceil_mode, divisor_override)
    counts = divisor_override or _pixels(x_shape, dy.shape, kernel_size, stride, padding, count_include_pad)
    share, frame = dy / counts, reaching(padding, x_shape, dy.shape, kernel_size, stride)
    dx = pad(np.zeros(tuple(x_shape)), frame)
    for _, _, window in offsets(kernel_size, stride, (1, 1), dy.shape[2:]):
        dx[window] += share
    return channels_last(unpad(dx, frame).astype(dy.dtype))


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


def _pixels(x_shape, shape, kernel_size, stride, padding, count_include_pad):
    """How many pixels each window counts: (P, Q)."""
    frame = reaching(padding, x_shape, shape, kernel_size, stride)
    beyond = tuple(np.subtract(frame, padding))
    counted = pad(pad(np.ones(x_shape[2:]), padding, float(count_include_pad)), beyond)
    return sum(counted[window] for _, _, window in offsets(kernel_size, stride, (1, 1), shape[2:]))
