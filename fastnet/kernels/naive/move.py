"""What moves numbers and changes none: joining and cutting along an axis, other orders of axes, other shapes."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last


def concat(arrays, dim=1):
    """The arrays joined along an axis."""
    arrays = [np.asarray(array) for array in arrays]
    shapes.concat(arrays, dim)
    first = checks.floating(arrays[0], "arrays[0]")
    rest = [checks.floating(array, f"arrays[{i}]", like=first) for i, array in enumerate(arrays[1:], 1)]
    return channels_last(np.concatenate([first, *rest], axis=dim))


def split(x, sizes, dim=1):
    """x cut along an axis into arrays of the given sizes."""
    x = checks.floating(x, "x")
    sizes = [kind.shape[dim] for kind in shapes.split(x, sizes, dim)]
    return [channels_last(part) for part in np.split(x, np.cumsum(sizes)[:-1], axis=dim)]


def permute(x, dims):
    """x.transpose(dims)."""
    x = checks.floating(x, "x")
    shapes.permute(x, dims)
    return channels_last(x.transpose(dims))


def channel_shuffle(x, groups):
    """Axis 1 as a matrix of `groups` rows, transposed."""
    x = checks.floating(x, "x")
    n, c, *rest = shapes.channel_shuffle(x, groups).shape
    return channels_last(x.reshape(n, groups, c // groups, *rest).swapaxes(1, 2).reshape(x.shape))


def zeros(like, shape):
    """Zeros of that shape."""
    return channels_last(np.zeros(*shapes.zeros(like, shape)))


def flatten(x):
    """x (N, C, H, W) as rows (N, C H W)."""
    x = checks.floating(x, "x")
    return x.reshape(shapes.flatten(x).shape).copy()


def unflatten(y, shape):
    """Rows (N, C H W) as images of that shape (N, C, H, W)."""
    y = checks.floating(y, "y")
    return channels_last(y.reshape(shapes.unflatten(y, shape).shape))


def convert(x, dtype):
    """x in float32 or float64."""
    x = np.asarray(x)
    with np.errstate(over="ignore"):  # too large a number is infinite
        return channels_last(x.astype(shapes.convert(x, dtype).dtype))


def pixel_shuffle(x, upscale_factor):
    """y[n, c, h r + i, w r + j] = x[n, c r^2 + i r + j, h, w]."""
    x = checks.floating(x, "x")
    shape = n, c, height, width = shapes.pixel_shuffle(x, upscale_factor).shape
    r = upscale_factor
    parts = x.reshape(n, c, r, r, height // r, width // r)
    return channels_last(parts.transpose(0, 1, 4, 2, 5, 3).reshape(shape))


def pixel_unshuffle(x, downscale_factor):
    """y[n, c r^2 + i r + j, h, w] = x[n, c, h r + i, w r + j]."""
    x = checks.floating(x, "x")
    shape = n, _, h, w = shapes.pixel_unshuffle(x, downscale_factor).shape
    r = downscale_factor
    parts = x.reshape(n, x.shape[1], h, r, w, r)
    return channels_last(parts.transpose(0, 1, 3, 5, 2, 4).reshape(shape))
