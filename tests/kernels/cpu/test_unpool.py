"""Max-unpooling of places in any order: the naive one judges, number by number."""
import numpy as np
import pytest

from fastnet.kernels import cpu, naive


def images(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def windows(rng, shape, size):
    """A place of each window of 2 x 2."""
    down, across = rng.integers(0, 2, (2, *shape))
    return (2 * np.arange(shape[2])[:, None] + down) * size[1] + 2 * np.arange(shape[3]) + across


def rising(rng, shape, size):
    """From row to row, with rows that overlap."""
    return np.sort(rng.integers(0, size[0] * size[1], shape).reshape(*shape[:2], -1), 2).reshape(shape)


def anywhere(rng, shape, size):
    """The same place several times, too: there the last pixel of it counts."""
    return rng.integers(0, size[0] * size[1], shape)


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
@pytest.mark.parametrize("shape, size", [((5, 7, 6, 9), (13, 19)), ((9, 64, 16, 16), (32, 32)),
                                         ((1, 40, 5, 5), (10, 10)), ((4, 64, 10, 10), (100, 60))])
@pytest.mark.parametrize("places", [windows, rising, anywhere])
def test_places_in_any_order(places, shape, size, dtype):
    rng = np.random.default_rng(0)
    x, dy = (images(rng.standard_normal(one, dtype=np.float32)) for one in (shape, (*shape[:2], *size)))
    indices = images(places(rng, shape, size).astype(dtype))
    y, dx = cpu.maxunpool2d_forward(x, indices, size), cpu.maxunpool2d_backward(dy, indices)
    np.testing.assert_array_equal(y, naive.maxunpool2d_forward(x, indices, size))
    np.testing.assert_array_equal(dx, naive.maxunpool2d_backward(dy, indices))


def test_what_is_written_past_the_caches():
    rng, shape, size = np.random.default_rng(0), (17, 64, 32, 32), (64, 64)
    x, indices = images(rng.standard_normal(shape, dtype=np.float32)), images(windows(rng, shape, size))
    y = cpu.maxunpool2d_forward(x, indices, size)
    for i in range(len(x)):
        np.testing.assert_array_equal(y[i: i + 1], naive.maxunpool2d_forward(x[i: i + 1], indices[i: i + 1], size))
