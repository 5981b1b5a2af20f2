"""Products of whole matrices of bfloat16 numbers, on processors that have them and in plain Python."""
import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import pytest
from numba import config

from fastnet.kernels import bfloat16_products, exact, naive
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv import collect
from fastnet.kernels.cpu.conv.amx_layout import Lines
from fastnet.kernels.cpu.conv.amx_stem import words_at_once
from fastnet.kernels.cpu.conv.geometry import Images, Pair
from fastnet.kernels.cpu.conv.operands import Gradients
from fastnet.kernels.cpu.simd import python as in_python
from fastnet.kernels.cpu.simd import python_amx
from tests.kernels.cpu import amx

AMX = pytest.mark.skipif(not simd.AMX or config.DISABLE_JIT, reason="needs a processor with AMX")


def test_in_plain_python():
    """Where every place is checked, and on any processor."""
    done = subprocess.run([sys.executable, "-m", "tests.kernels.cpu.amx"], cwd=Path(__file__).parents[3],
                          env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(amx.FEW)


@AMX
@pytest.mark.parametrize("x_shape, w_shape, where", amx.FEW + amx.MANY)
def test_products_are_those_of_rounded_numbers(x_shape, w_shape, where):
    assert any(name.endswith("(AMX)") for name in amx.compare(x_shape, w_shape, where))


@AMX
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[pytest.mark.slow] * (seed > 20)) for seed in range(200)])
def test_any_geometry(seed):
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2, 3]))
    r, s = rng.integers(1, 5, 2)
    stride, dilation = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    padding = rng.integers(0, 4, 4)
    least = [(k - 1) * d + 1 - min(p, (k - 1) * d) for k, d, p in zip((r, s), dilation, padding[::2], strict=True)]
    height, width = (int(rng.integers(size, size + 24)) for size in least)
    n, channels, out = (int(rng.integers(*limits)) for limits in ((1, 6), (13, 90), (13, 90)))
    where = tuple(map(int, stride)), tuple(map(int, padding)), tuple(map(int, dilation)), groups
    shapes = (n, groups * channels, height, width), (groups * out, channels, int(r), int(s))
    assert amx.compare(*shapes, where, seed)[2] == "direct of bfloat16 (AMX)"
    amx.compare_short(*shapes, where, seed)


@AMX
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[pytest.mark.slow] * (seed > 8)) for seed in range(100)])
def test_any_geometry_of_few_channels(seed):
    rng = np.random.default_rng(seed)
    channels, s = int(rng.integers(1, 13)), int(rng.integers(2, 12))
    r, stride, down = int(rng.integers(1, 6)), rng.integers(1, 5, 2), int(rng.integers(1, 3))
    padding = rng.integers(0, 4, 4)
    height, width = int(rng.integers(r * down, r * down + 30)), int(rng.integers(s, s + 90))
    where = tuple(map(int, stride)), tuple(map(int, padding)), (down, 1), 1
    shapes = (int(rng.integers(1, 5)), channels, height, width), (int(rng.integers(8, 70)), channels, r, s)
    with bfloat16_products():
        used = amx.names(*shapes, where)[0].endswith("(AMX)")
    assert used == (words_at_once(s, channels) is not None)
    amx.compare(*shapes, where, seed)
    if used:
        amx.compare_short(*shapes, where, seed)


@AMX
@pytest.mark.parametrize("x_shape, w_shape, where", amx.FEW + amx.MANY)
def test_short_images_are_the_same_rounded_once(x_shape, w_shape, where):
    if not amx.compare_short(x_shape, w_shape, where):
        pytest.skip("an odd number of channels")


def words(rng, count):
    """Pairs of random bfloat16 numbers in a float32 array that starts at a cache line, or not."""
    halves = (in_python.rounded_bits(rng.standard_normal(2 * count).astype(np.float32)) >> 16).astype(np.uint16)
    return halves.view(np.float32).copy()


@AMX
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("columns", [1, 2])
def test_the_primitive_does_what_plain_python_says(rows, columns):
    def made(module):
        begin, product, end = module.make_open_amx(), module.make_amx_product(rows, columns), module.close_amx

        def run(a, table, b, c):
            begin()
            product(a, 3, 203, table, 1, 3, 32, b, 1, 35, c, 2, 40, 0)
            product(a, 5, 203, table, 0, 2, 16, b, 0, 35, c, 2, 40, 1)
            end()

        return run

    in_python.configure(simd.VECTOR_BYTES)
    rng = np.random.default_rng(0)
    a, b, table = words(rng, 5000), words(rng, 3 * 32 * 35 + 40), np.array([7, 0, 37, 101])
    ours, theirs = np.full((2, 32 * 40 + 8), 7.0, np.float32)
    numba.njit(made(simd))(a, table, b, ours)
    made(python_amx)(a, table, b, theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)
    assert (ours == 7).sum() == (theirs == 7).sum() == ours.size - 256 * rows * columns


@AMX
def test_bits_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((6, 40, 20, 20), np.float32), rng.standard_normal((70, 40, 3, 3), np.float32)
    where, before, found = ((1, 1), amx.ONE_AROUND, (1, 1), 1), numba.get_num_threads(), []
    for threads in sorted({1, before}):
        numba.set_num_threads(threads)
        with bfloat16_products():
            y = amx.cpu.conv2d_forward(x, w, None, *where)
            found.append((y, amx.cpu.conv2d_backward_input(y, w, x.shape, *where),
                          *amx.cpu.conv2d_backward_weight(y, x, w.shape, *where)))
    assert before == 1 or len(found) == 2
    for one in zip(*found, strict=True):
        np.testing.assert_array_equal(one[0], one[-1])


@AMX
@pytest.mark.parametrize("groups, stride", [(1, (1, 1)), (1, (2, 2)), (2, (3, 1))])
def test_transposed_convolutions(groups, stride):
    """Their passes are those of convolutions in other roles; with functions behind them."""
    rng = np.random.default_rng(0)
    x, b = rng.standard_normal((2, 32 * groups, 7, 6), np.float32), rng.standard_normal(20 * groups, np.float32)
    w, where = rng.standard_normal((32 * groups, 20, 3, 2), np.float32), (stride, (1, 0, 0, 1))
    rest = ((0, 0), (1, 1), groups)
    wanted = naive.conv_transpose2d_forward(amx.rounded(x), amx.rounded(w), b.astype(np.float64), *where, *rest)
    with bfloat16_products():
        packed = amx.cpu.conv_transpose2d_pack(w, b)
        y = amx.cpu.conv_transpose2d_inference(x, packed, *where, *rest)
        bent = amx.cpu.conv_transpose2d_inference(x, packed, *where, *rest, activation=("tanh", 0.0, 0.0))
    assert np.abs(y - wanted).max() <= 1e-6 * np.abs(wanted).max()
    np.testing.assert_allclose(bent, np.tanh(y), rtol=1e-6, atol=1e-6)


@AMX
@pytest.mark.parametrize("stride, padding, place", [((2, 2), 0, (5, 5)), ((2, 2), 0, (2, 5)), ((1, 1), 1, (2, 3))])
def test_a_nan_that_no_tap_reads_reaches_nothing(stride, padding, place):
    """And one that is read no output that does not see it, and no weight of another channel."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 16, 6, 6), np.float32), rng.standard_normal((16, 16, 3, 3), np.float32)
    x[0, 3][place] = np.nan
    where = stride, (padding,) * 4, (1, 1), 1
    wanted = naive.conv2d_forward(x, w, None, *where)
    with bfloat16_products():
        y = amx.cpu.conv2d_forward(x, w, None, *where)
        dw, _ = amx.cpu.conv2d_backward_weight(np.ones_like(y), x, w.shape, *where)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
    assert np.isfinite(np.delete(dw, 3, axis=1)).all()
    assert np.isnan(wanted).any() or np.isfinite(dw).all()


@AMX
def test_far_reaching_taps_are_computed_otherwise():
    with bfloat16_products():
        for dilation, amx_is_used in ((1, True), (2, True), (24, False)):
            where = amx.PLAIN, (dilation,) * 4, (dilation,) * 2, 1
            found = amx.names((1, 256, 65, 65), (64, 256, 3, 3), where)
            assert [name.endswith("(AMX)") for name in found][0] == amx_is_used


@AMX
def test_what_is_computed_otherwise():
    """Few numbers to sum over, depthwise filters, float64, and what is asked to be exact."""
    with bfloat16_products():
        assert amx.names((2, 64, 8, 8), (64, 64, 3, 3), (amx.PLAIN, amx.ONE_AROUND, amx.PLAIN, 1)) == [
            "direct of bfloat16 (AMX)"] * 3
        assert amx.names((2, 14, 8, 8), (96, 14, 1, 1), (amx.PLAIN, amx.NONE, amx.PLAIN, 1)) == [
            "direct", "direct of bfloat16 (AMX)", "direct of bfloat16 (AMX)"]
        assert amx.names((2, 3, 8, 8), (64, 3, 3, 3), (amx.PLAIN, amx.ONE_AROUND, amx.PLAIN, 1)) == [
            "direct of bfloat16 (AMX)", "direct", "direct"]
        assert amx.names((2, 3, 8, 8), (64, 3, 2, 2), (amx.PLAIN, amx.ONE_AROUND, amx.PLAIN, 1))[0] == "direct"
        assert amx.names((2, 64, 8, 8), (64, 1, 3, 3), (amx.PLAIN, amx.ONE_AROUND, amx.PLAIN, 64)) == ["depthwise"] * 3
        with exact():
            assert amx.names((2, 64, 8, 8), (64, 64, 3, 3), (amx.PLAIN, amx.ONE_AROUND, amx.PLAIN, 1))[0] == "direct"


@pytest.mark.parametrize("features, expected", [
    ({}, False), ({"amx-tile": True, "amx-bf16": True}, True), ({"amx-tile": True, "amx-bf16": False}, False),
    ({"amx-tile": True, "amx-bf16": True, "avx512bf16": False}, False)])
def test_instructions_must_be_there(monkeypatch, features, expected):
    if not llvmlite.binding.get_process_triple().startswith("x86_64"):
        pytest.skip("names of x86 processors")
    host = {"avx512f": True, "avx512vl": True, "avx512bf16": True, **features}
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: host)
    monkeypatch.setattr(config, "CPU_NAME", None)
    monkeypatch.setattr(config, "CPU_FEATURES", None)
    assert simd.host.multiplies_matrices() == expected


def test_lines_share_their_zeros():
    """The example of the file: a column of zeros between rows, a row between images, taps as distances."""
    taps = [Pair(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    lines = Lines(2, Images(4, 3, 8), 8, Pair(1, 1), [(Pair(4, 3), taps)])
    assert (lines.plan.pitch, lines.plan.height, lines.count) == (4, 5, 9)
    first = 1 + 4   # a position, and a line, that taps reach before position 0
    assert lines.offsets(1, 0).tolist() == [first + distance for distance in (-5, -4, -3, -1, 0, 1, 3, 4, 5)]


@pytest.mark.parametrize("width, stride, across, pitch", [
    (4, 1, (-1, 0, 1), 4), (5, 1, (0, 1, 2), 6), (9, 2, (-1, 0, 1), 4), (1, 2, (1,), 2), (7, 1, (-9, 9), 8)])
def test_lines_without_gaps_are_an_even_number_of_positions(width, stride, across, pitch):
    """No more than the pixels of the widest phase take, and at least two."""
    taps = [Pair(0, tap) for tap in across]
    lines = Lines(2, Images(4, width, 8), 8, Pair(1, stride), [(Pair(4, 3), taps)], gaps=False)
    assert (lines.plan.pitch, lines.plan.before, lines.plan.behind, lines.plan.height) == (pitch, 0, 0, 4)
    assert lines.reached == 8


@pytest.mark.parametrize("dtype, sums", [("float32", "float32"), ("float32", "float64"), ("float64", "float64")])
@pytest.mark.parametrize("adjacent", [False, True])
def test_sums_of_parts_find_their_places(dtype, sums, adjacent):
    """Of two groups, three parts, rows and columns that fill up no panel."""
    rng = np.random.default_rng(0)
    groups, taps, rows, room, columns, panel, panels, parts = 2, 3, 23, 32, 37, 16, 3, 3
    if adjacent:
        groups, taps, columns, panel, panels = 1, 1, 37, 48, 1
    found = rng.integers(-9, 9, (parts, groups, taps, panels, room, panel)).astype(sums)
    biases = rng.integers(-9, 9, (parts, groups * columns)).astype(np.float64)
    lines = taps * rows
    places = np.arange(lines).reshape(rows, taps).T.reshape(-1)
    if adjacent:
        places = places * columns
    places = (np.arange(groups)[:, None] * columns * lines + places).reshape(-1)
    plan = collect.CollectPlan(
        groups=groups, lines=lines, biases=groups * columns, parts=parts, part_size=found[0].size, room=room, rows=rows,
        columns=columns, panel=panel, panels=panels, apart=1 if adjacent else lines)
    wanted = found.sum(0).transpose(0, 1, 3, 2, 4).reshape(groups, taps, room, -1)[:, :, :rows, :columns]
    wanted = wanted.reshape(rows, columns) if adjacent else wanted.transpose(0, 3, 2, 1)
    run = collect.Collect(plan, places, groups * columns * lines, np.dtype(dtype), sums == "float64")
    dw, db = run(Gradients(found.reshape(-1).copy(), biases.reshape(-1)), np.dtype(dtype))
    assert dw.dtype == db.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(dw.reshape(wanted.shape), wanted)
    np.testing.assert_array_equal(db, biases.sum(0))
    assert run(Gradients(found.reshape(-1).copy(), np.zeros(0)), np.dtype(dtype))[1] is None
