"""The compiled windows do what `simd.python_windows` says, number for number."""
import numba
import numpy as np
import pytest
from numba import config

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.activations import RELU
from fastnet.kernels.cpu.epilogue import NO_CALL, Epilogue
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
    """Any number of windows and of channels, with and without what an epilogue reads, and nothing else is written."""
    def make(s):
        windows, load = s.make_windows(count, step, size, CLASSES[size]), (python if s is python_windows else simd).load

        def program(pixels, filters, y, given, epilogue):
            p0, next_line, which, f0, y0, apart, m, n = given
            windows(pixels, p0, next_line, which, filters, f0, load(filters, 0), y, y0, apart, m, n, epilogue)
        return program

    lanes, compiled = simd.width(dtype), numba.njit(make(simd))
    line, apart = (count * step + 3) * lanes, lanes + 5
    pixels, filters = numbers(3 * line + 2, dtype, 0), numbers(4 * lanes + 1, dtype, 1)
    extent = 3 + count * apart
    add, mask = numbers(extent, dtype, 2), numbers(extent, dtype, 3)
    trial = 0
    for m in range(1, count + 2):
        for n in (1, lanes - 1, lanes, lanes + 3):
            for level, bend in (*((0, bend) for bend in BENDS if not bend.sloped), *((2, bend) for bend in BENDS)):
                trial += 1
                given = (2, line, trial % len(CLASSES[size]), 1, 3, apart, m, n)
                ours, theirs = np.full((2, extent), CANARY, dtype)
                more = bool(level) and trial % 3 > 0, bool(level) and trial % 2 > 0
                for run, y in ((compiled, ours), (make(python_windows), theirs)):
                    run(pixels, filters, y, given, Epilogue(level, add, more[0], bend, NO_CALL, mask, more[1], RELU,
                                                            NO_CALL))
                np.testing.assert_array_equal(ours, theirs, err_msg=f"{given} {level} {bend} {more}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size, count, step", CASES)
def test_window_products(size, count, step, dtype):
    def make(s):
        products = s.make_window_products(count, step, size, CLASSES[size])

        def program(pixels, dy, dw, given):
            which, p0, next_row, next_line, g0, g_row, apart, rows, columns, to, dw_row, n = given
            products(which, pixels, p0, next_row, next_line, dy, g0, g_row, apart, rows, columns, dw, to, dw_row, n)
        return program

    lanes, compiled, most = simd.width(dtype), numba.njit(make(simd)), 2 * count + 1
    line, apart = (most * step + 3) * lanes, lanes + 5
    pixels, dy = numbers(6 * line + 2, dtype, 0), numbers(3 * most * apart + lanes, dtype, 1)
    for rows, columns in ((0, 1), (1, 1), (2, count), (3, most), (2, max(1, count - 1))):
        for n in (1, lanes - 1, lanes, lanes + 3):
            for which in range(len(CLASSES[size])):
                given = (which, 2, line, line, 1, most * apart, apart, rows, columns, 2, lanes + 1, n)
                ours, theirs = np.full((2, 2 + 5 * (lanes + 1)), CANARY, dtype)
                compiled(pixels, dy, ours, given)
                make(python_windows)(pixels, dy, theirs, given)
                np.testing.assert_array_equal(ours, theirs, err_msg=str(given))
