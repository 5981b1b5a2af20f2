"""What is known of an array without its numbers, and the checks that the operations share."""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks


class Kind(NamedTuple):
    """An array without its numbers."""

    shape: tuple
    dtype: np.dtype


PYTHON_FLOAT = Kind((), checks.FLOAT64)


def arriving(dy, shape, name="dy"):
    """The dtype of the results of the gradient that arrives, which must have this shape."""
    checks.has_shape(dy, shape, name)
    return checks.result_dtype(dy, name)


def alike(array, name):
    """What is made, element by element, of an operand of any shape."""
    checks.not_empty(array.shape, name)
    return Kind(array.shape, checks.result_dtype(array, name))


def fits(array, shape, name):
    """Refuse an operand that is not of this shape or holds no real numbers."""
    checks.real(array, name)
    checks.has_shape(array, shape, name)


def affine(gamma, beta, shape):
    """Refuse a gamma or a beta, either of which may be None, that is not of this shape, and a beta alone."""
    if gamma is not None:
        fits(gamma, shape, "gamma")
    elif beta is not None:
        raise ValueError("beta needs a gamma, got None: give one of ones")
    if beta is not None:
        fits(beta, shape, "beta")


def affine_gradients(gamma, kind):
    """The Kinds of dgamma and dbeta: None without gamma, which must be like `kind`."""
    affine(gamma, None, kind.shape)
    return (None, None) if gamma is None else (kind, kind)
