"""Memory for what kernels of one's own make."""
import numpy as np
import pytest

import fastnet


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", ">f4", bool])
def test_it_is_like_the_array(dtype):
    for shape in ((5,), (2, 3), (2, 3, 4, 5), (0, 3, 4, 5), (), (64, 64, 16, 16)):
        x = np.zeros(shape, dtype)
        y = fastnet.empty_like(x)
        assert y.shape == shape and y.dtype == x.dtype.newbyteorder("=") and y.flags.writeable
        assert (y.transpose(0, 2, 3, 1) if y.ndim == 4 else y).flags.c_contiguous
    assert fastnet.empty_like(x, (3, 2)).shape == (3, 2)


def test_memory_is_used_again():
    x = np.zeros((32, 64, 16, 16), np.float32)
    first = fastnet.empty_like(x)
    kept = first[:1]
    place = first.ctypes.data
    assert fastnet.empty_like(x).ctypes.data != place
    del first
    assert fastnet.empty_like(x).ctypes.data != place       # a view still needs it
    del kept
    assert place in [array.ctypes.data for array in [fastnet.empty_like(x) for _ in range(4)]]


def test_what_is_wrong_is_refused():
    with pytest.raises(TypeError, match="^empty_like: x must be a NumPy array"):
        fastnet.empty_like([1.0])
    with pytest.raises(ValueError, match="^empty_like: shape must have at most 32 axes, got 40"):
        fastnet.empty_like(np.ones(3), 40 * (1,))
