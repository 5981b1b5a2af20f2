"""Convolutions that go through an image in bands give what they give one after the other, to the last bit."""
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import config

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv.chain_plan import Chain, bands_of
from fastnet.kernels.cpu.conv.direct_tables import MOST_ENTRIES

from . import chains

ROOT = Path(__file__).parents[3]
FLOAT32 = np.dtype("float32")
# The blocks of mobilenet_v2 for images of 224 pixels: channels, how many times as many, channels, stride, pixels.
BLOCKS = (16, 6, 24, 2, 112), (24, 6, 24, 1, 56), (32, 6, 32, 1, 28), (64, 6, 64, 1, 14)


@pytest.mark.parametrize("name", chains.CASES)
def test_same_bits_as_one_after_the_other(name):
    case = chains.CASES[name]
    assert len(bands_of(case.chain, np.dtype(case.dtype))) * case.x[0] >= 4
    np.testing.assert_array_equal(*chains.results(case))


@pytest.mark.skipif(not simd.AMX or config.DISABLE_JIT, reason="needs a processor with AMX")
@pytest.mark.parametrize("name", chains.MATRICES)
def test_same_bits_by_matrices(name):
    made, wanted = chains.results_by_matrices(name)
    np.testing.assert_array_equal(made, wanted)
    assert np.abs(made - chains.results(chains.MATRICES[name][1])[0]).max() > 0


@pytest.mark.skipif(config.DISABLE_JIT, reason="takes minutes")
@pytest.mark.parametrize("name", chains.LARGE)
def test_same_bits_for_large_images(name):
    case = chains.LARGE[name]
    bands = bands_of(case.chain, FLOAT32)
    assert len(bands) > 1 and max(band.bottom - band.top for band in bands) * case.x[3] <= MOST_ENTRIES // 2
    np.testing.assert_array_equal(*chains.results(case))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_same_bits_for_random_shapes(seed):
    rng, done = np.random.default_rng(seed), 0
    while done < 10:
        case = chains.draw(rng)
        if case is not None:
            np.testing.assert_array_equal(*chains.results(case, seed), err_msg=str(case))
            done += 1


def test_bands_cover_the_image():
    """Each row of the result is in one band, which reads all rows under its windows, and zeros outside of the image."""
    chain = Chain((1, 4, 45, 9), (24, 4, 1, 1), (24, 1, 5, 3), (6, 24, 1, 1), ((2, 1), (3, 2, 1, 1), (1, 1), 24))
    bands = bands_of(chain, FLOAT32)
    assert [band.first for band in bands] == [0, *(band.stop for band in bands[:-1])] and len(bands) == 8
    assert bands[-1].stop == chain.y[2] == 23
    for band in bands:
        assert band.top - band.above == 2 * band.first - 3
        assert band.bottom + band.below == 2 * (band.stop - 1) - 3 + 5
        assert (band.above == 0 or band.top == 0) and (band.below == 0 or band.bottom == 45)
    assert [band.above for band in bands] == [3, *[0] * 7] and [band.below for band in bands] == [*[0] * 7, 1]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("batch", [1, 4, 16])
def test_known_blocks_have_bands_within_the_second_cache(block, batch):
    channels, times, made, stride, size = block
    wide = channels * times
    chain = Chain((batch, channels, size, size), (wide, channels, 1, 1), (wide, 1, 3, 3), (made, wide, 1, 1),
                  ((stride, stride), (1, 1, 1, 1), (1, 1), wide))
    bands = bands_of(chain, FLOAT32)
    if bands is None:   # where weights are most of what is read
        assert batch == 1 and size == 14
        return
    rows = [((band.bottom - band.top) * size + (band.stop - band.first) * size // stride) for band in bands]
    assert max(rows) * wide * 4 < 0.8 * (1 << 20)
    assert batch * len(bands) >= 8 or batch == 1 and len(bands) >= 4


@pytest.mark.parametrize("what, change", {
    "one group": {"grouped": (24, 24, 3, 3), "where": ((1, 1), (1, 1, 1, 1), (1, 1), 1)},
    "several filters a channel": {"expand": (12, 4, 1, 1), "where": ((1, 1), (1, 1, 1, 1), (1, 1), 12)},
    "too few rows for four bands": {"x": (1, 4, 6, 200), "where": ((2, 2), (1, 1, 1, 1), (1, 1), 24)},
    "more products than bytes": {"x": (4, 300, 15, 15), "expand": (24, 300, 1, 1), "project": (300, 24, 1, 1)},
    "one row": {"x": (1, 4, 1, 15)},
    "rows that no cache holds": {"x": (4, 4, 8, 40_000)},
    "bands of zeros": {"x": (1, 4, 3, 15), "where": ((1, 1), (20, 20, 1, 1), (1, 1), 24)},
}.items())
def test_no_bands(what, change):
    plain = Chain((4, 4, 15, 15), (24, 4, 1, 1), (24, 1, 3, 3), (6, 24, 1, 1), ((1, 1), (1, 1, 1, 1), (1, 1), 24))
    assert bands_of(plain, FLOAT32) is not None
    assert bands_of(plain._replace(**change), FLOAT32) is None


def test_planning_takes_no_time_for_large_images():
    chain = Chain((1, 8, 40_000, 50_000), (48, 8, 1, 1), (48, 1, 3, 3), (8, 48, 1, 1),
                  ((1, 1), (1, 1, 1, 1), (1, 1), 48))
    assert bands_of(chain, FLOAT32) is None     # not one row fits
    assert len(bands_of(chain._replace(x=(1, 8, 40_000, 200)), FLOAT32)) > 1000


def test_where_may_be_lists():
    case = chains.CASES["three"]
    stride, padding, dilation = case.where
    made, wanted = chains.results(case._replace(where=(list(stride), list(padding), list(dilation))))
    np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize("what, change, message", [
    ("no bands", {"x": (1, 5, 2, 11)}, "no bands for .* conv2d_inference for one convolution after the other"),
    ("activation", {"activations": (("nope", 0.0, 0.0), chains.RELU, None)}, "nope"),
])
def test_refuses_before_anything_is_computed(what, change, message):
    with pytest.raises(ValueError, match=message):
        chains.results(chains.CASES["three"]._replace(**change))


@pytest.mark.parametrize("which, shape, message", [
    (0, (24, 6, 1, 1), "expected 6 input channels, got x of shape"),
    (0, (24, 5, 3, 3), "expected 1x1 weights to expand, got weights of shape"),
    (0, (16, 5, 1, 1), "expected 24 input channels"),
    (2, (7, 30, 1, 1), "expected 30 input channels"),
    (2, (7, 24, 3, 1), "expected 1x1 weights to project"),
])
def test_refuses_weights_that_do_not_fit(which, shape, message):
    chain = chains.CASES["three"].chain
    packed = [chains.cpu.conv2d_pack(np.zeros(shape if place == which else other, np.float32))
              for place, other in enumerate((chain.expand, chain.grouped, chain.project))]
    with pytest.raises(ValueError, match=message):
        chains.cpu.conv2d_chain_inference(np.zeros(chain.x, np.float32), packed, 1, chain.where, [None] * 3)


@pytest.mark.skipif(config.DISABLE_JIT or numba.get_num_threads() < 2, reason="one thread does all")
def test_threads_change_nothing():
    case, before = chains.CASES["by functions"], numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone, _ = chains.results(case)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(chains.results(case)[0], alone)


@pytest.mark.skipif(config.DISABLE_JIT, reason="the other tests run that way then")
def test_reads_and_writes_within_its_arrays():
    """In plain Python, where every read and write of a vector is looked at."""
    done = subprocess.run([sys.executable, "-m", "tests.kernels.cpu.chains"], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*(f"by matrices: {name}" for name in chains.MATRICES), *chains.CASES]
