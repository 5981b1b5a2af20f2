"""The largest pixel of each window, and where it stood."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last, offsets, pad, reaching, unpad
from fastnet.kernels.windows import adaptive, widest


def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), dilation=(1, 1), ceil_mode=False):
    """y[n,c,p,q] is the largest pixel of the window at (p, q), and index the place r S + s where it stood."""
    x = checks.floating(x, "x")
    shape, dtype = shapes.maxpool2d_forward(x, kernel_size, stride, padding, dilation, ceil_mode)[1]
    nowhere = np.iinfo(dtype).max
    y = np.zeros(shape, x.dtype)
    index = np.full(shape, nowhere, dtype)
    frame = reaching(padding, x.shape, shape, kernel_size, stride, dilation)
    padded, inside = pad(x, frame), pad(np.ones(x.shape, bool), frame, False)
    for r, s, window in offsets(kernel_size, stride, dilation, shape[2:]):
        value = padded[window]
        larger = (index == nowhere) | (value > y) | (np.isnan(value) & ~np.isnan(y))
        wins = inside[window] & larger
        y[wins] = value[wins]
        index[wins] = r * kernel_size[1] + s
    return channels_last(y), channels_last(index)


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    """dx: every dy[n,c,p,q] goes to the pixel that won its window."""
    dy = checks.floating(dy, "dy")
    shapes.maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding, dilation, ceil_mode)
    frame = reaching(padding, x_shape, dy.shape, kernel_size, stride, dilation)
    dx = pad(np.zeros(tuple(x_shape)), frame)
    for r, s, window in offsets(kernel_size, stride, dilation, dy.shape[2:]):
        dx[window] += np.where(index == r * kernel_size[1] + s, dy, 0)
    return channels_last(unpad(dx, frame).astype(dy.dtype))


def maxpool2d_indices(index, x_shape, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    """The place h W + w in the image of each pixel that won its window."""
    shape = shapes.maxpool2d_indices(index, x_shape, kernel_size, stride, padding, dilation, ceil_mode).shape
    frame = reaching(padding, x_shape, shape, kernel_size, stride, dilation)
    places, y = pad(np.arange(x_shape[2] * x_shape[3]).reshape(x_shape[2:]), frame), np.full(shape, -1)
    for r, s, window in offsets(kernel_size, stride, dilation, shape[2:]):
        y = np.where(index == r * kernel_size[1] + s, places[window], y)
    return channels_last(y)


def adaptive_maxpool2d_forward(x, output_size):
    """y[n,c,p,q] is the largest pixel of window (p, q), and index the place r S + s where it stood."""
    x = checks.floating(x, "x")
    shape, dtype = shapes.adaptive_maxpool2d_forward(x, output_size)[1]
    y, index = np.empty(shape, x.dtype), np.empty(shape, dtype)
    for p, q, window in _adaptive(x.shape, output_size):
        pixels = x[window]
        place = pixels.reshape(*shape[:2], -1).argmax(2)    # the first of the largest, or the first NaN
        y[:, :, p, q] = np.take_along_axis(pixels.reshape(*shape[:2], -1), place[:, :, None], 2)[:, :, 0]
        r, s = np.divmod(place, pixels.shape[3])
        index[:, :, p, q] = r * widest(x.shape[3], output_size[1]) + s
    return channels_last(y), channels_last(index)


def adaptive_maxpool2d_backward(dy, index, x_shape, output_size):
    """dx: every dy[n,c,p,q] goes to the pixel that won its window."""
    dy = checks.floating(dy, "dy")
    n, c, h, w = shapes.adaptive_maxpool2d_backward(dy, index, x_shape, output_size).shape
    places = adaptive_maxpool2d_indices(index, x_shape, output_size)
    dx = np.zeros((n, c, h * w))
    image, channel = np.ogrid[:n, :c]
    for p, q in np.ndindex(*dy.shape[2:]):
        dx[image, channel, places[:, :, p, q]] += dy[:, :, p, q]
    return channels_last(dx.reshape(n, c, h, w).astype(dy.dtype))


def adaptive_maxpool2d_indices(index, x_shape, output_size):
    """The place h W + w in the image of each pixel that won its window."""
    y = np.empty(shapes.adaptive_maxpool2d_indices(index, x_shape, output_size).shape, np.int64)
    for p, q, (_, _, rows, columns) in _adaptive(x_shape, output_size):
        r, s = np.divmod(index[:, :, p, q].astype(np.int64), widest(x_shape[3], output_size[1]))
        y[:, :, p, q] = (rows.start + r) * x_shape[3] + columns.start + s
    return channels_last(y)


def _adaptive(x_shape, output_size):
    """(p, q, slices of x) of all windows."""
    rows, columns = map(adaptive, x_shape[2:], output_size)
    for p, (top, bottom) in enumerate(rows):
        for q, (left, right) in enumerate(columns):
            yield p, q, (slice(None), slice(None), slice(top, bottom), slice(left, right))
