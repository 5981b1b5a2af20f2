"""The compiled windows do what `simd.python_windows` says, number for number."""
import numba
import numpy as np
import pytest
from numba import config

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.simd import python, python_windows

from .test_bends import BENDS

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="without the compiler, simd.python_windows is what runs")
python.configure(simd.VECTOR_BYTES)
DTYPES = ["float32", "float64"]
CANARY = 77.0
# (line, column, channel, number) of some taps: one class of them, or several, one of which has none.
CLASSES = {
    1: (((0, 0, 0, 0), (0, 2, 0, 1), (1, 1, 0, 2)),),
    2: (((0, 0, 0, 0), (0, 1, 0, 1), (2, 0, 1, 2), (2, 1, 1, 3)), (), ((1, 1, 1, 1),)),
    4: (((0, 0, 3, 0), (1, 0, 2, 1)), ((0, 1, 1, 2), (0, 2, 0, 3))),
}
CASES = [(size, count, step) for size in CLASSES for count, step in ((1, 1), (3, 2), (4, 1))]


def numbers(size, dtype, seed):
    return np.random.default_rng(seed).integers(-9, 10, size).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size, count, step", CASES)
def test_windows(size, count, step, dtype):
    """Any number of windows and of channels, at each border of an image and far beyond it; nothing else is written."""
    def make(s):
        windows = s.make_windows(count, step, size, CLASSES[size])

        def program(x, filters, bias, y, memory, given, bend):
            x0, pixel, line, top, height, left, width, which, y0, apart, m, n, zeros, spare, now = given
            windows(x, x0, pixel, line, top, height, left, width, which, filters, 1, bias, 2, y, y0, apart, m, n,
                    memory, zeros, spare, bend, now)
        return program

    lanes, compiled, rng = simd.width(dtype), numba.njit(make(simd)), np.random.default_rng(0)
    most, height, width = 2 * lanes + 3, 4, count * step + 2
    filters, bias = numbers(1 + 4 * 4 * lanes, dtype, 1), numbers(2 + most, dtype, 2)
    for trial in range(120):
        n, m, bend = rng.integers(lanes, most + 1), rng.integers(1, count + 2), BENDS[trial % len(BENDS)]
        pixel, apart = n + rng.integers(3), n + rng.integers(3)
        top, left = rng.integers(-3, height + 1), rng.integers(-4, width + 1)
        x = numbers(height * width * pixel, dtype, trial)   # no more: reading beyond the image would be out of bounds
        given = ((top * width + left) * pixel, pixel, width * pixel, top, height, left, width,
                 trial % len(CLASSES[size]), 3, apart, m, n, 2, 2 + n, trial % 3 > 0)
        given = tuple(map(int, given))
        ours, theirs = np.full((2, 3 + count * apart), CANARY, dtype)
        for run, y in ((compiled, ours), (make(python_windows), theirs)):
            memory = np.concatenate([np.full(2, CANARY), np.zeros(n), np.full(n + 2, CANARY)]).astype(dtype)
            run(x, filters, bias, y, memory, given, bend)
            assert (memory[[0, 1, -2, -1]] == CANARY).all() and not memory[2: 2 + n].any()
        np.testing.assert_array_equal(ours, theirs, err_msg=f"{given} {bend}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size, count, step", CASES)
def test_window_products(size, count, step, dtype):
    def make(s):
        products = s.make_window_products(count, step, size, CLASSES[size])

        def program(x, dy, sums, memory, given):
            x0, pixel, line, top, height, left, width, which, apart, n = given
            products(x, x0, pixel, line, top, height, left, width, which, dy, 3, apart, sums, 2, n, memory, 1)
        return program

    lanes, compiled, rng = simd.width(dtype), numba.njit(make(simd)), np.random.default_rng(0)
    every, height, width = sum(map(len, CLASSES[size])), 4, count * step + 2
    for trial in range(60):
        n = int(rng.integers(lanes, 2 * lanes + 4))
        pixel, apart = (n + int(rng.integers(3)) for _ in range(2))
        top, left = int(rng.integers(-3, height + 1)), int(rng.integers(-4, width + 1))
        x, dy = numbers(height * width * pixel, dtype, trial), numbers(3 + count * apart, dtype, trial + 1)
        given = ((top * width + left) * pixel, pixel, width * pixel, top, height, left, width,
                 trial % len(CLASSES[size]), apart, n)
        before = numbers(4 + -(-n // lanes) * every * lanes, dtype, 2)
        ours, theirs, memory = before.copy(), before.copy(), np.zeros(1 + n, dtype)
        compiled(x, dy, ours, memory, given)
        make(python_windows)(x, dy, theirs, memory, given)
        np.testing.assert_array_equal(ours, theirs, err_msg=str(given))
        assert (ours[[0, 1, -2, -1]] == before[[0, 1, -2, -1]]).all()
