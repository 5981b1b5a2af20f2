"""Max-unpooling of places in any order: the naive one judges, number by number."""
import numpy as np
import pytest

from fastnet.kernels import cpu, naive


def images(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def windows(rng, shape, size):
    """A place of each window, of all that lie side by side."""
    high, wide = size[0] // shape[2], size[1] // shape[3]
    down, across = rng.integers(0, high, shape), rng.integers(0, wide, shape)
    return (high * np.arange(shape[2])[:, None] + down) * size[1] + wide * np.arange(shape[3]) + across


def rising(rng, shape, size):
    """From row to row, with rows that overlap."""
    return np.sort(rng.integers(0, size[0] * size[1], shape).reshape(*shape[:2], -1), 2).reshape(shape)


def anywhere(rng, shape, size):
    """The same place several times, too: there the last pixel of it counts."""
    return rng.integers(0, size[0] * size[1], shape)


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
@pytest.mark.parametrize("shape, size", [((5, 7, 6, 9), (13, 19)), ((9, 64, 16, 16), (32, 32)),
                                         ((4, 19, 5, 3), (17, 11)), ((2, 33, 7, 4), (7, 9)), ((4, 17, 2, 5), (9, 5)),
                                         ((1, 40, 5, 5), (10, 10)), ((4, 64, 10, 10), (100, 60))])
@pytest.mark.parametrize("places", [windows, rising, anywhere])
def test_places_in_any_order(places, shape, size, dtype):
    rng = np.random.default_rng(0)
    x, dy = (images(rng.standard_normal(one, dtype=np.float32)) for one in (shape, (*shape[:2], *size)))
    indices = images(places(rng, shape, size).astype(dtype))
    y, dx = cpu.maxunpool2d_forward(x, indices, size), cpu.maxunpool2d_backward(dy, indices)
    np.testing.assert_array_equal(y, naive.maxunpool2d_forward(x, indices, size))
    np.testing.assert_array_equal(dx, naive.maxunpool2d_backward(dy, indices))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_none_stay_where_they_are(dtype):
    rng, shape, size = np.random.default_rng(0), (4, 19, 4, 4), (9, 8)
    x, dy = (images(rng.standard_normal(one).astype(dtype)) for one in (shape, (*shape[:2], *size)))
    for array in (x, dy):
        array[1, 2], array[2, 3], array[3, 4] = np.nan, np.inf, -np.inf
    indices = images(windows(rng, shape, size))
    y, dx = cpu.maxunpool2d_forward(x, indices, size), cpu.maxunpool2d_backward(dy, indices)
    np.testing.assert_array_equal(y, naive.maxunpool2d_forward(x, indices, size))
    np.testing.assert_array_equal(dx, naive.maxunpool2d_backward(dy, indices))


@pytest.mark.parametrize("size", [(64, 64), (67, 65)])
def test_what_is_written_past_the_caches(size):
    rng, shape = np.random.default_rng(0), (20, 64, 32, 32)
    x, indices = images(rng.standard_normal(shape, dtype=np.float32)), images(windows(rng, shape, size))
    y = cpu.maxunpool2d_forward(x, indices, size)
    for i in range(len(x)):
        np.testing.assert_array_equal(y[i: i + 1], naive.maxunpool2d_forward(x[i: i + 1], indices[i: i + 1], size))
