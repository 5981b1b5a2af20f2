"""The numbers in docs/convolution.md are those of the code."""
from pathlib import Path

import numpy as np
import pytest

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv import passes, winograd
from fastnet.kernels.cpu.conv.geometry import Geometry

TEXT = (Path(__file__).parents[3] / "docs" / "convolution.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(simd.HOST != "avx512", reason="the example is for a processor with AVX-512")


@pytest.fixture(scope="module")
def layer():
    """The layer that the text is about."""
    x, w = (128, 64, 32, 32), (64, 64, 3, 3)
    return Geometry.of(x, w, x, np.float32, ((1, 1), (1, 1, 1, 1), (1, 1), 1))


def says(number):
    return f"{number:,}" in TEXT


def test_direct_way(layer):
    made = passes.DirectForward(layer)
    tables, rows = made.convolve.tables, simd.ROWS
    assert f"in {tables.writes.size // rows} tiles of {rows}" in TEXT
    assert says(tables.reads.nbytes) and says(tables.writes.nbytes) and says(4 * made.pack_weights.size)
    assert f"{made.convolve.launch.blocks // 128} pieces = {made.convolve.launch.blocks}" in TEXT


def test_winograd_way(layer):
    made = passes.WinogradForward(layer, 4, False)
    plan = dict(zip(winograd._Plan._fields, made.convolve.numbers.tolist(), strict=True))
    assert f"a block takes {plan['patches']}" in TEXT and f"{made.convolve.launch.blocks} blocks" in TEXT
    part = plan["patches"] * plan["patch_size"] + simd.width("float32")
    assert f"37 sections of {plan['patches']} x {plan['patch_size']} + 16 numbers" in TEXT and says(4 * 37 * part)
    assert says(4 * made.transform.size) and says(made.convolve.tables.offsets.nbytes)


def test_gradients_for_the_weights(layer):
    fused, direct = passes.WinogradBackwardWeight(layer, 4, False).gradient, passes.DirectBackwardWeight(layer).gradient
    assert f"{fused.gradient.blocks} blocks have one set of sums each" in TEXT
    assert fused.fused and says(4 * fused.transformed[0]) and says(4 * fused.sums // fused.gradient.blocks)
    assert f"{direct.add_products.blocks} sets of {4 * direct.partial // direct.add_products.blocks:,} bytes" in TEXT
