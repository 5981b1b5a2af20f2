"""The compiled piecewise linear activations do what `simd.python` says, special numbers included."""
import numba
import numpy as np
import pytest
from numba import config

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.activations import NO_BEND, RELU, Bend
from fastnet.kernels.cpu.simd import python as in_python

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="without the compiler, simd.python is what runs")
in_python.configure(simd.VECTOR_BYTES)
# None, ReLU, both bounds, the same with a slope, and a slope alone, whose products are exact.
BENDS = [NO_BEND, RELU, Bend(False, 1.0, -3.0, 5.0), Bend(True, 0.5, -3.0, 5.0), Bend(True, 0.5, np.nan, np.nan)]


def bends(s):
    def program(x, y, out, bent, unbent, through, how):
        n = s.lanes(x)
        for i in range(0, x.size, n):
            s.store(bent, i, s.bound(s.load(x, i), how))
            s.store(through, i, s.through(s.load(y, i), s.load(x, i), how, how.sloped))
            s.store(unbent, i, s.unbend(s.load(y, i), s.load(x, i), how))
            s.store(out, i, s.clip(s.load(x, i), s.full(x, -3), s.full(x, 5)))
    return program


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bends(dtype):
    """Special numbers, each as argument and as result of an activation, for some gradients and infinite ones."""
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -1.0, -3.0, 5.0, -4.0, 7.0, 1e-45, -1e-45, 3.0])
    x = np.resize(special, 14 * simd.width(dtype)).astype(dtype)
    y = np.resize(np.array([2.0, np.inf, -3.0, np.nan, 4.0]), x.size).astype(dtype)
    run = numba.njit(bends(simd))
    for how in BENDS:
        ours, theirs = np.zeros((2, 4, x.size), dtype)
        run(x, y, *ours, how)
        with np.errstate(invalid="ignore"):
            bends(in_python)(x, y, *theirs, how)
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(np.signbit(ours[1][x == x]), np.signbit(theirs[1][x == x]))
