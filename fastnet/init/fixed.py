"""Weights that are known beforehand."""
import numpy as np

from fastnet import arguments
from fastnet.init.seeds import counted
from fastnet.init.shapes import LARGEST, checked_shape, matrix_shape


def zeros(shape):
    """All zero.

    >>> zeros((2, 3))
    array([[0., 0., 0.],
           [0., 0., 0.]], dtype=float32)
    """
    return np.zeros(counted(shape, "zeros"), np.float32)


def ones(shape):
    """All one.

    >>> ones(3)
    array([1., 1., 1.], dtype=float32)
    """
    return np.ones(counted(shape, "ones"), np.float32)


def constant(shape, val):
    """All `val`.

    >>> constant(3, 0.5)
    array([0.5, 0.5, 0.5], dtype=float32)
    """
    return np.full(counted(shape, "constant"), arguments.number(val, "constant: val", -LARGEST, LARGEST), np.float32)


def eye(shape):
    """A matrix (K, C) with ones on its diagonal and zeros elsewhere: a linear layer that passes on what it can.

    >>> eye((2, 3))
    array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    return np.eye(*matrix_shape(shape, "eye"), dtype=np.float32)


def dirac(shape, groups=1):
    """A convolution (K, C / groups, R, S), or one of one or three dimensions, that passes channels on: in each group
    filter d has a 1 in the middle of channel d, as long as there are channels, and zeros elsewhere.

    Zagoruyko and Komodakis, DiracNets (2017), section 3, in PyTorch's form. ValueError where groups do not divide K.

    >>> dirac((1, 1, 3, 3))
    array([[[[0., 0., 0.],
             [0., 1., 0.],
             [0., 0., 0.]]]], dtype=float32)
    """
    shape = checked_shape(shape, "dirac")
    groups = arguments.integer(groups, "dirac: groups", 1)
    if len(shape) not in (3, 4, 5) or 0 in shape:
        raise ValueError(f"dirac: shape must be that of a convolution, such as (K, C, R, S), got {shape}")
    if shape[0] % groups:
        raise ValueError(f"dirac: groups must divide the {shape[0]} filters of shape {shape}, got "
                         f"{arguments.shown(groups)}")
    value, own = np.zeros(shape, np.float32), shape[0] // groups
    same = np.arange(min(own, shape[1]))
    middle = tuple(length // 2 for length in shape[2:])
    for group in range(groups):
        value[(group * own + same, same, *middle)] = 1
    return value
