"""What could go wrong where products of float32 tell which rows are near: nothing may, whatever the numbers are."""
import numba
import numpy as np
import pytest

from fastnet import kernels
from tests.kernels.judge import assert_same

cpu, naive = kernels.load("cpu"), kernels.load("naive")
RNG = np.random.default_rng(0)


def compare(x, rows, k, metric="l2"):
    """The rows that naive finds, at distances that differ by some roundings; returns them."""
    found, wanted = cpu.nearest_rows(x, rows, k, metric), naive.nearest_rows(x, rows, k, metric)
    assert_same(found[1], wanted[1])
    np.testing.assert_allclose(found[0], wanted[0], rtol=64 * np.finfo(found[0].dtype).eps)
    return found


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_the_first_of_several_at_one_distance(metric):
    """There are 64 different rows, each many times."""
    x, rows = RNG.integers(0, 2, (40, 6)).astype(np.uint8), RNG.integers(0, 2, (5000, 6)).astype(np.uint8)
    for dtype in (np.uint8, np.float32, np.float64):
        distances, index = compare(x.astype(dtype), rows.astype(dtype), 150, metric)
        assert (np.diff(index)[np.diff(distances) == 0] > 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_distances_between_large_numbers(dtype):
    """|a|^2 + |b|^2 - 2 a b would be off by a hundred thousand times what it says."""
    rows = (1e4 + 1e-2 * RNG.standard_normal((2500, 60))).astype(dtype)
    x = (1e4 + 1e-2 * RNG.standard_normal((40, 60))).astype(dtype)
    x[::2] = rows[100:120]
    distances, index = compare(x, rows, 9)
    assert (distances[::2, 0] == 0).all() and index[::2, 0].tolist() == list(range(100, 120))


@pytest.mark.parametrize("size", [1e-40, 1e-25, 1e-19, 1e17, 1e19, 1e25, 1e37])
def test_numbers_whose_squares_float32_has_not(size):
    x, rows = ((size * RNG.standard_normal((n, 30))).astype(np.float32) for n in (20, 700))
    compare(x, rows, 9)
    compare(x / size, np.concatenate([rows, rows / size]), 9)


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_what_is_no_number_is_far(metric):
    x, rows = RNG.standard_normal((9, 5)), RNG.standard_normal((40, 5))
    rows[3, 2], rows[5], rows[7, 0], x[1, 1], x[2, 0] = np.nan, np.inf, -np.inf, np.nan, np.inf
    distances, index = compare(x, rows, 40, metric)
    assert np.isinf(distances[0, -3:]).all() and index[0, -3:].tolist() == [3, 5, 7]
    assert index[1].tolist() == list(range(40))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (4, 9000, 3, 5), (5, 9000, 3, 2100), (130, 2049, 33, 1),
                                   (7, 50, 40_000, 3)])
def test_sizes(shape):
    n, m, c, k = shape
    for metric in ("l1", "l2"):
        compare(RNG.standard_normal((n, c)), RNG.standard_normal((m, c)), k, metric)


def test_bytes_are_exact_and_stay_bytes():
    x, rows = RNG.integers(0, 256, (30, 100), np.uint8), RNG.integers(0, 256, (400, 100), np.uint8)
    squares = ((x[:, None].astype(int) - rows) ** 2).sum(axis=2)
    distances, index = cpu.nearest_rows(x, rows, 400)
    assert_same(index, np.argsort(squares, axis=1, kind="stable"))
    assert_same(distances, np.sqrt(np.take_along_axis(squares, index, 1)).astype(np.float32))
    mixed = cpu.nearest_rows(x.astype(np.float32), rows, 400)
    assert_same(mixed[0], distances)
    assert_same(mixed[1], index)


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_threads_do_not_matter(metric):
    x, rows = (RNG.standard_normal((n, 20)).astype(np.float32) for n in (300, 5000))
    before = numba.get_num_threads()
    try:
        results = []
        for threads in {1, before}:
            numba.set_num_threads(threads)
            results.append(cpu.nearest_rows(x, rows, 7, metric))
    finally:
        numba.set_num_threads(before)
    for one, other in zip(results[0], results[-1], strict=True):
        assert_same(one, other)
