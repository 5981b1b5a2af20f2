"""Other pixels for an image: padded, enlarged, averaged."""
from math import floor

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last

_NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad2d_forward(x, padding, mode="constant", value=0.0):
    """A margin around each image, filled as `mode` says; a negative padding takes away."""
    x = checks.floating(x, "x")
    shapes.pad2d_forward(x, padding, mode, value)
    return channels_last(_pad(x, padding, mode, value))


def pad2d_backward(dy, x_shape, padding, mode="constant"):
    """dx: every pixel of dy is added to the pixel that its place was filled from, if that was one."""
    dy = checks.floating(dy, "dy")
    n, c, h, w = shapes.pad2d_backward(dy, x_shape, padding, mode).shape
    # The pixels of x are numbered from 1 on, and 0 is what was filled with the value.
    origin = _pad(1 + np.arange(h * w).reshape(1, 1, h, w), padding, mode, 0)
    dx = np.zeros((n, c, 1 + h * w))
    np.add.at(dx, (slice(None), slice(None), origin.ravel()), dy.reshape(n, c, -1))
    return channels_last(dx[:, :, 1:].reshape(x_shape).astype(dy.dtype))


def _pad(x, padding, mode, value):
    top, bottom, left, right = padding
    h, w = x.shape[2:]
    kept = x[:, :, max(0, -top):h - max(0, -bottom), max(0, -left):w - max(0, -right)]
    margin = [(0, 0), (0, 0), (max(0, top), max(0, bottom)), (max(0, left), max(0, right))]
    return np.pad(kept, margin, _NUMPY[mode], **({"constant_values": value} if mode == "constant" else {}))


def upsample2d_forward(x, size, mode="nearest", align_corners=False, steps=None):
    """Images of that size, each pixel of them made of those nearest to it."""
    x = checks.floating(x, "x")
    shape = shapes.upsample2d_forward(x, size, mode, align_corners, steps).shape
    y = x.astype(np.float64)
    for axis, step in zip((2, 3), steps or (None, None), strict=True):
        sources = _sources(x.shape[axis], shape[axis], mode, align_corners, step)
        y = np.stack([sum(weight * y.take(place, axis) for place, weight in of) for of in sources], axis)
    return channels_last(y.astype(x.dtype))


def upsample2d_backward(dy, x_shape, mode="nearest", align_corners=False, steps=None):
    """dx: every pixel of dy is shared out among the pixels that it was made of, by their weights."""
    dy = checks.floating(dy, "dy")
    shapes.upsample2d_backward(dy, x_shape, mode, align_corners, steps)
    dx = dy.astype(np.float64)
    for axis, step in zip((2, 3), steps or (None, None), strict=True):
        of_axis = np.zeros((x_shape[axis], *np.moveaxis(dx, axis, 0).shape[1:]))
        sources = _sources(x_shape[axis], dy.shape[axis], mode, align_corners, step)
        for arriving, of in zip(np.moveaxis(dx, axis, 0), sources, strict=True):
            for place, weight in of:
                of_axis[place] += weight * arriving
        dx = np.moveaxis(of_axis, 0, axis)
    return channels_last(dx.astype(dy.dtype))


def _sources(length, size, mode, align_corners, step):
    """For each of `size` places the places that it is made of, each with its weight."""
    return [_nearest(p, length, size, step) if mode == "nearest" else
            _between(p * (length - 1) / max(1, size - 1) if align_corners else
                     max(0, (p + 0.5) * (step or length / size) - 0.5), length) for p in range(size)]


def _nearest(p, length, size, step):
    step = np.float32(length) / np.float32(size) if step is None or size in (length, 2 * length) else np.float32(step)
    return [(min(int(np.float32(p) * step), length - 1), 1)]


def _between(position, length):
    """The places on both sides of a position, but none of weight zero or behind the last."""
    first = min(floor(position), length - 1)
    share = position - first if first < length - 1 else 0
    return [(first, 1 - share), (first + 1, share)][:1 + (share > 0)]


def adaptive_avgpool2d_forward(x, output_size):
    """y[p, q] is the mean of the rows floor(p H / P) to ceil((p + 1) H / P) of x, and of its columns likewise."""
    x = checks.floating(x, "x")
    y = np.empty(shapes.adaptive_avgpool2d_forward(x, output_size).shape, x.dtype)
    for p, q, window in _windows(x.shape, y.shape):
        y[:, :, p, q] = x[window].mean((2, 3), np.float64)
    return channels_last(y)


def adaptive_avgpool2d_backward(dy, x_shape):
    """dx: every pixel of dy is shared out equally among those that it is the mean of."""
    dy = checks.floating(dy, "dy")
    dx = np.zeros(shapes.adaptive_avgpool2d_backward(dy, x_shape).shape)
    for p, q, window in _windows(x_shape, dy.shape):
        dx[window] += (dy[:, :, p, q] / (dx[window].shape[2] * dx[window].shape[3]))[:, :, None, None]
    return channels_last(dx.astype(dy.dtype))


def _windows(x_shape, y_shape):
    """(p, q, the slices of x) of each pixel of y."""
    for p, q in np.ndindex(*y_shape[2:]):
        yield p, q, (..., *(slice(i * length // size, -(-(i + 1) * length // size))
                            for i, length, size in zip((p, q), x_shape[2:], y_shape[2:], strict=True)))


def bed_of_nails_forward(x, scale_factor):
    """y[p r, q s] = x[p, q], and 0 between them."""
    x = checks.floating(x, "x")
    y = np.zeros(shapes.bed_of_nails_forward(x, scale_factor).shape, x.dtype)
    y[:, :, ::scale_factor[0], ::scale_factor[1]] = x
    return channels_last(y)


def bed_of_nails_backward(dy, x_shape, scale_factor):
    """dx[p, q] = dy[p r, q s]."""
    dy = checks.floating(dy, "dy")
    shapes.bed_of_nails_backward(dy, x_shape, scale_factor)
    return channels_last(dy[:, :, ::scale_factor[0], ::scale_factor[1]])
