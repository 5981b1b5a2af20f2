"""Memory for what kernels of one's own make."""
from fastnet import arguments

_AXES = 32  # that an array of NumPy may have


def empty_like(x, shape=None):
    """An array of the dtype of x, and of its shape or another, whose numbers are not set; images are channels-last in
    memory. A layer of one's own makes y and dx so: the memory is the library's, which is used again when an array is
    gone, while pages that NumPy gets from the system anew cost more than most kernels do.

    >>> import numpy as np, fastnet
    >>> fastnet.empty_like(np.ones((8, 3, 32, 32)), shape=(8, 3, 16, 16)).transpose(0, 2, 3, 1).flags.c_contiguous
    True

    TypeError or ValueError for an x that is no array of numbers, and a shape that is none.
    """
    from fastnet.kernels.cpu import runtime  # imports Numba

    x = arguments.array(x, "empty_like: x")
    shape = x.shape if shape is None else arguments.shape(shape, "empty_like: shape")
    if len(shape) > _AXES:
        raise ValueError(f"empty_like: shape must have at most {_AXES} axes, got {len(shape)}")
    dtype = x.dtype.newbyteorder("=")
    return runtime.empty_images(*shape, dtype) if len(shape) == 4 else runtime.empty(shape, dtype)
