"""A linear layer of few samples, for which the weights are read as they lie: forward, and the gradient for the
input."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config

from fastnet.kernels import naive
from fastnet.kernels.cpu import epilogue, few_samples, linear

# C and K: less than a vector, strips of which one is cut, one or more steps over the rows, rows that are left over.
SIZES = [(5, 3), (16, 8), (37, 41), (1077, 20), (2100, 4), (96, 64)]


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("n", (1, 2, 7, 16, 19))
@pytest.mark.parametrize("c, k", SIZES)
def test_as_float64_has_it(c, k, n, dtype):
    rng = np.random.default_rng(0)
    w, dy, mask = (rng.standard_normal(size).astype(dtype) for size in (k * c, n * k, n * c))
    wanted = (dy.astype(np.float64).reshape(n, k) @ w.astype(np.float64).reshape(k, c)).ravel()
    for masking in (None, ("relu", 0.0, 0.0)):
        dx = np.full(n * c, np.nan, dtype)
        few_samples.input_gradient(dy, w, dx, (n, c, k), epilogue.make(dx, None, None, masking and mask, masking))
        right = wanted if masking is None else np.where(mask > 0, wanted, 0)
        assert np.abs(dx - right).max() <= (1e-6 if dtype == "float32" else 1e-14) * np.abs(wanted).max()


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("n", (1, 5, 7, 16))
@pytest.mark.parametrize("c, k", [(3, 5), (8, 24), (41, 37), (1077, 20), (2100, 49)])
def test_forward_as_float64_has_it(c, k, n, dtype):
    rng = np.random.default_rng(0)
    w, x, b = (rng.standard_normal(size).astype(dtype) for size in (k * c, n * c, k))
    wanted = (x.astype(np.float64).reshape(n, c) @ w.astype(np.float64).reshape(k, c).T + b).ravel()
    for activation in (None, ("relu", 0.0, 0.0), ("gelu", 0.0, 0.0)):
        y = np.full(n * k, np.nan, dtype)
        few_samples.forward(x, w, b, y, (n, c, k), epilogue.make(y, None, activation))
        right = wanted if activation is None else naive.activation_forward(wanted, *activation)
        assert np.abs(y - right).max() <= (1e-6 if dtype == "float32" else 1e-14) * np.abs(wanted).max()


@pytest.mark.parametrize("n", (1, 2, 4, 5, 64, 65))
@pytest.mark.parametrize("c", (63, 64, 1030))
@pytest.mark.parametrize("bias", (False, True))
def test_every_way_has_the_same_result(n, c, bias):
    """Dot products one by one, those of several samples at once, and panels, whose sums are chains of c numbers, see
    `sums`; where each of them ends."""
    rng = np.random.default_rng(1)
    x, w, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((n, c), (29, c), 29))
    wanted = x.astype(np.float64) @ w.T.astype(np.float64) + bias * b
    y = linear.linear_forward(x, w, b if bias else None)
    at_once = few_samples.suits_forward(n, c)
    in_panels = n > 4 and not at_once
    assert at_once == (c >= 64 and 2 <= n <= 64)
    assert np.abs(y - wanted).max() <= max(1e-6, 1.5e-8 * c * in_panels) * np.abs(wanted).max()


@pytest.mark.parametrize("n", (32, 33, 64, 65))
@pytest.mark.parametrize("c", (511, 512))
@pytest.mark.parametrize("large", (False, True))
def test_every_way_has_the_same_gradient(n, c, large, monkeypatch):
    """That for the input, from the weights as they lie and from panels; where each way ends. `large` are weights from
    which on it is this way for more samples."""
    monkeypatch.setattr(few_samples, "_LARGE", 9 * 512 if large else 1 << 20)
    rng = np.random.default_rng(1)
    dy, w = (rng.standard_normal(shape, dtype=np.float32) for shape in ((n, 9), (9, c)))
    wanted = dy.astype(np.float64) @ w.astype(np.float64)
    assert few_samples.suits(n, c, 9) == (c == 512 and n <= (64 if large else 32))
    assert np.abs(linear.linear_backward_input(dy, w) - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_forward_an_infinity_stays_with_its_sample():
    n, c, k = 6, 21, 9
    x, y = np.ones(n * c, np.float32), np.empty(n * k, np.float32)
    x[2 * c - 1] = np.inf
    few_samples.forward(x, np.ones(k * c, np.float32), np.zeros(k, np.float32), y, (n, c, k), epilogue.make(y))
    assert np.isinf(y[k:2 * k]).all() and (np.delete(y.reshape(n, k), 1, 0) == c).all()


def test_an_infinity_stays_with_its_sample():
    n, c, k = 3, 21, 9
    dy, dx = np.ones(n * k, np.float32), np.empty(n * c, np.float32)
    dy[k - 1] = np.inf
    few_samples.input_gradient(dy, np.ones(k * c, np.float32), dx, (n, c, k), epilogue.make(dx))
    assert np.isinf(dx[:c]).all() and (dx[c:] == k).all()


@pytest.mark.skipif(config.DISABLE_JIT, reason="the other tests run that way then")
def test_reads_and_writes_within_its_arrays():
    """In plain Python, where every read and write of a vector is looked at."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True,
                          env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    assert done.returncode == 0, done.stdout
