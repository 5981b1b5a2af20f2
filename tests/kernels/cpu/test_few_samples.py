"""Products of few samples, whose weights are read as they lie."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config

from fastnet.kernels.cpu import epilogue, few_samples

# C and K: less than a vector, spans and strips of which one is cut, rows that are left over.
SIZES = [(5, 3), (16, 8), (37, 41), (1077, 20), (2100, 4)]


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("n", (1, 2, 7, 16))
@pytest.mark.parametrize("c, k", SIZES)
def test_as_float64_has_it(c, k, n, dtype):
    rng, size = np.random.default_rng(0), (n, c, k)
    x, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in (n * c, k * c, k, n * k))
    wide = [array.astype(np.float64).reshape(shape) for array, shape in ((x, (n, c)), (w, (k, c)), (dy, (n, k)))]
    relu, mask = ("relu", 0.0, 0.0), rng.standard_normal(n * c).astype(dtype)
    accuracy = 1e-6 if dtype == "float32" else 1e-14
    for bias in (b, None):
        wanted = wide[0] @ wide[1].T + (0 if bias is None else bias)
        for activation in (None, relu):
            y = np.full(n * k, np.nan, dtype)
            few_samples.forward(x, w, bias, y, size, epilogue.make(y, None, activation))
            right = wanted if activation is None else np.maximum(wanted, 0)
            assert np.abs(y - right.ravel()).max() <= accuracy * np.abs(wanted).max()
    wanted = (wide[2] @ wide[1]).ravel()
    for masking in (None, relu):
        dx = np.full(n * c, np.nan, dtype)
        few_samples.backward_input(dy, w, dx, size, epilogue.make(dx, None, None, masking and mask, masking))
        right = wanted if masking is None else np.where(mask > 0, wanted, 0)
        assert np.abs(dx - right).max() <= accuracy * np.abs(wanted).max()


def test_what_is_not_there_takes_part_in_nothing():
    """An infinity in the next row of the weights, or of the samples, stays there."""
    n, c, k = 3, 21, 9
    x, w = np.ones(n * c, np.float32), np.ones(k * c, np.float32)
    x[c: 2 * c], w[c: 2 * c] = np.inf, np.nan
    y, dx = np.empty(n * k, np.float32), np.empty(n * c, np.float32)
    few_samples.forward(x, w, None, y, (n, c, k), epilogue.make(y))
    y = y.reshape(n, k)
    assert np.isnan(y[:, 1]).all() and np.isinf(np.delete(y[1], 1)).all()
    assert (np.delete(np.delete(y, 1, 0), 1, 1) == c).all()
    dy = np.array([1, 0, 0, 0, 0, 0, 0, 0, np.inf] + 18 * [1], np.float32)
    few_samples.backward_input(dy, np.ones(k * c, np.float32), dx, (n, c, k), epilogue.make(dx))
    assert np.isinf(dx[:c]).all() and (dx[c:] == k).all()


@pytest.mark.skipif(config.DISABLE_JIT, reason="the other tests run that way then")
def test_reads_and_writes_within_its_arrays():
    """In plain Python, where every read and write of a vector is looked at."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True,
                          env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    assert done.returncode == 0, done.stdout
