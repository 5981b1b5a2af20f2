"""Memory order, padding, and the windows that convolution and pooling slide over an image."""
import numpy as np


def channels_last(array):
    """A new array of the same values, images (N, C, H, W) as (N, H, W, C) in memory, all others in C order."""
    if array.ndim == 4:
        return array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    return np.array(array, order="C")


def total(x, axis, keepdims=False):
    """The sum along one axis or several, in x's dtype, but added up in float64: NumPy would add the rows of a matrix
    one by one, and lose a digit with every few thousand."""
    return x.sum(axis=axis, dtype=np.float64, keepdims=keepdims).astype(x.dtype)


def pad(x, padding, value=0):
    """x (..., H, W) with a frame of `value` around it; padding is (top, bottom, left, right)."""
    top, bottom, left, right = padding
    frame = [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)]
    return np.pad(x, frame, constant_values=value)


def unpad(x, padding):
    """x (..., H, W) without its frame."""
    top, bottom, left, right = padding
    return x[..., top:x.shape[-2] - bottom, left:x.shape[-1] - right]


def offsets(kernel_size, stride, dilation, output_hw):
    """For every kernel offset (r, s) the slices, one vertical and one horizontal, of the padded image whose pixel
    [..., p, q] is the one that offset (r, s) of the window at output (p, q) covers."""
    for r in range(kernel_size[0]):
        for s in range(kernel_size[1]):
            yield r, s, (..., _slice(r * dilation[0], stride[0], output_hw[0]),
                         _slice(s * dilation[1], stride[1], output_hw[1]))


def _slice(start, step, count):
    return slice(start, start + step * (count - 1) + 1, step)


def reaching(padding, x_shape, y_shape, kernel_size, stride, dilation=(1, 1)):
    """The padding (top, bottom, left, right), and behind the image as much more as the windows reach beyond it."""
    frame = list(padding)
    for axis in (0, 1):
        before, after = padding[2 * axis: 2 * axis + 2]
        end = stride[axis] * (y_shape[2 + axis] - 1) + dilation[axis] * (kernel_size[axis] - 1) + 1
        frame[2 * axis + 1] = after + max(0, end - before - x_shape[2 + axis] - after)
    return tuple(frame)
