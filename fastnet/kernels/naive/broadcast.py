"""Products and sums with arrays of which some axes have length 1, and what PReLU and means are."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last


def multiply(a, b):
    """a b."""
    a = checks.floating(a, "a")
    b = checks.floating(b, "b", like=a)
    shapes.multiply(a, b)
    return channels_last(a * b)


def multiply_backward(dy, a, b_shape):
    """The sum of dy a over the axes in which b has length 1."""
    dy = checks.floating(dy, "dy")
    a = checks.floating(a, "a", like=dy)
    shape = shapes.multiply_backward(dy, a, b_shape).shape
    return channels_last(_total(dy * a, shape))


def prelu_forward(x, w):
    """y = x where x > 0, else w x."""
    x = checks.floating(x, "x")
    w = checks.floating(w, "w", like=x)
    shapes.prelu_forward(x, w)
    return channels_last(np.where(x > 0, x, x * _along(w, x)))


def prelu_backward(dy, x, w):
    """dx = dy where x > 0, else w dy; dw = the sum of dy x over where x is not above 0."""
    dy = checks.floating(dy, "dy")
    x, w = checks.floating(x, "x", like=dy), checks.floating(w, "w", like=dy)
    shapes.prelu_backward(dy, x, w)
    dw = _total(np.where(x > 0, 0, dy * x), _along(w, x).shape)
    return channels_last(np.where(x > 0, dy, dy * _along(w, x))), dw.reshape(w.shape).copy()


def mean(x, dims):
    """The mean over these axes, which are left with length 1."""
    x = checks.floating(x, "x")
    shapes.mean(x, dims)
    return channels_last(x.mean(axis=tuple(dims), dtype=np.float64, keepdims=True).astype(x.dtype))


def mean_backward(dy, x_shape, dims):
    """dy over the number of elements that each mean is of."""
    dy = checks.floating(dy, "dy")
    shape = shapes.mean_backward(dy, x_shape, dims).shape
    count = np.prod([shape[dim] for dim in dims], dtype=np.int64)
    return channels_last(np.broadcast_to(dy / dy.dtype.type(count), shape))


def _along(w, x):
    """The numbers of w along axis 1 of x; one for all where there is one."""
    return w.reshape(1, -1, *[1] * (x.ndim - 2)) if w.size > 1 else w.reshape([1] * x.ndim)


def _total(x, shape):
    """The sum over the axes in which the shape has length 1, added up in float64."""
    axes = tuple(axis for axis, length in enumerate(shape) if length == 1)
    return x.sum(axis=axes, dtype=np.float64, keepdims=True).astype(x.dtype)
