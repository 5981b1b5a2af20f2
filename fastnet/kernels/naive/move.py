"""What moves numbers and changes none: joining and cutting along the channels, other shapes, other dtypes."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last


def concat(arrays):
    """The arrays joined along axis 1."""
    arrays = [np.asarray(array) for array in arrays]
    shapes.concat(arrays)
    first = checks.floating(arrays[0], "arrays[0]")
    rest = [checks.floating(array, f"arrays[{i}]", like=first) for i, array in enumerate(arrays[1:], 1)]
    return channels_last(np.concatenate([first, *rest], axis=1))


def split(x, sizes):
    """x cut along axis 1 into arrays of the given sizes."""
    x = checks.floating(x, "x")
    sizes = [kind.shape[1] for kind in shapes.split(x, sizes)]
    return [channels_last(part) for part in np.split(x, np.cumsum(sizes)[:-1], axis=1)]


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
