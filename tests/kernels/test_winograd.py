"""Winograd convolution: the matrices, the shapes that take it, and how far it may round."""
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import config

from fastnet.kernels import bfloat16_products, exact, load, naive
from fastnet.kernels.activations import ACTIVATIONS
from fastnet.kernels.cpu import epilogue, simd
from fastnet.kernels.cpu.conv import winograd, winograd_filters
from fastnet.kernels.cpu.conv.choice import WINOGRAD_SIZES
from fastnet.kernels.cpu.conv.geometry import Geometry
from fastnet.kernels.cpu.conv.passes import WinogradBackwardWeight, WinogradForward
from fastnet.kernels.cpu.conv.winograd_filters import TransformFilters, error_bound, matrices
from fastnet.kernels.cpu.runtime import empty_images, flat
from tests.kernels.cpu import winograds
from tests.kernels.judge import assert_same

ROOT = Path(__file__).parents[2]

cpu = load("cpu")
FORMS = [(m, r) for r, sizes in WINOGRAD_SIZES.items() for m in sizes]

# (N, C, H, W), (K, R), padding; odd sizes, channels that do not fill a vector, images smaller than a tile.
SHAPES = [
    ((2, 16, 8, 8), (16, 3), (1, 1, 1, 1)),
    ((2, 32, 9, 7), (40, 3), (1, 0, 1, 1)),
    ((3, 17, 13, 14), (33, 3), (0, 0, 0, 0)),
    ((8, 64, 4, 4), (32, 3), (2, 2, 2, 2)),
    ((32, 16, 2, 2), (16, 3), (1, 1, 1, 1)),
    ((8, 60, 7, 5), (63, 3), (3, 0, 0, 4)),
    ((4, 128, 8, 8), (64, 3), (1, 1, 1, 1)),
    ((2, 32, 8, 8), (32, 5), (2, 2, 2, 2)),
    ((2, 48, 9, 11), (35, 5), (0, 1, 3, 0)),
    ((8, 40, 8, 8), (9, 3), (1, 1, 1, 1)),
    ((8, 12, 8, 8), (37, 3), (1, 1, 1, 1)),
]


@pytest.mark.parametrize("m, r", FORMS)
def test_matrices_make_a_convolution(m, r):
    at, f, bt = matrices(m, r)
    kernel, pixels = np.random.default_rng(0).standard_normal((r,)), np.random.default_rng(1).standard_normal(m + r - 1)
    wanted = [pixels[i: i + r] @ kernel for i in range(m)]
    np.testing.assert_allclose(at @ ((f @ kernel) * (bt @ pixels)), wanted, rtol=1e-12)


def way(x_shape, w_shape, direction="forward", dtype="float32", stride=(1, 1), padding=(1, 1, 1, 1), dilation=(1, 1),
        groups=1):
    """What computes that pass: a form of Winograd, or "direct"."""
    return cpu.conv2d_algorithm(direction, dtype, x_shape, w_shape, stride, padding, dilation, groups)[0]


def operands(shape, kernel, padding, dtype=np.float32):
    rng = np.random.default_rng(0)
    (k, r), c = kernel, shape[1]
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in (shape, (k, c, r, r), (k,)))
    outputs = [shape[2 + i] + padding[2 * i] + padding[2 * i + 1] - r + 1 for i in range(2)]
    return x, w, b, rng.standard_normal((shape[0], k, *outputs)).astype(dtype)


def passes(ops, x, w, b, dy, padding):
    geometry = (1, 1), padding, (1, 1), 1
    dw, db = ops.conv2d_backward_weight(dy, x, w.shape, *geometry)
    y, dx = ops.conv2d_forward(x, w, b, *geometry), ops.conv2d_backward_input(dy, w, x.shape, *geometry)
    if hasattr(ops, "conv2d_pack"):  # a backend that has fused forms
        relu = ops.conv2d_forward(x, w, b, *geometry, activation=("relu", 0.0, 0.0))
        masked = ops.conv2d_backward_input(dy, w, x.shape, *geometry, mask=x, masking=("relu", 0.0, 0.0))
    else:
        relu, masked = ops.activation_forward(y, "relu"), ops.activation_backward(dx, x, "relu")
    return {"y": y, "relu": relu, "dx": dx, "masked": masked, "dw": dw, "db": db}


@pytest.mark.parametrize("shape, kernel, padding", SHAPES)
def test_every_pass_stays_within_2e_5_of_float64(shape, kernel, padding):
    arrays = operands(shape, kernel, padding)
    x, w = arrays[:2]
    for direction in ("forward", "backward_input", "backward_weight"):
        assert way(x.shape, w.shape, direction, padding=padding).startswith("Winograd")
    wanted = passes(naive, *[array.astype(np.float64) for array in arrays], padding)
    for name, got in passes(cpu, *arrays, padding).items():
        error = np.linalg.norm(got - wanted[name]) / np.linalg.norm(wanted[name])
        assert 0 < error < 2e-5, f"{name}: {error}"


@pytest.mark.parametrize("shape, k", [((1, 64, 16, 16), 128), ((2, 20, 7, 9), 96)])
def test_large_weights_are_shared_out_by_channels(shape, k, monkeypatch):
    """How blocks share the work makes no difference to a bit."""
    x, w, b, _ = operands(shape, (k, 3), (1, 1, 1, 1))
    geometry = Geometry.of(shape, w.shape, (shape[0], k, *shape[2:]), x.dtype, ((1, 1), (1, 1, 1, 1), (1, 1), 1))
    results, plans = [], []
    for large in (1 << 60, 0):
        monkeypatch.setattr(winograd, "_LARGE", large)
        way, y = WinogradForward(geometry, 4, False), empty_images(shape[0], k, *shape[2:])
        way.run(flat(x), *way.pack(w, b), flat(y), epilogue.make(flat(y), activation=("relu", 0.0, 0.0)))
        results.append(y)
        plans.append(way.convolve.numbers)
    np.testing.assert_array_equal(*results)
    assert (plans[0] != plans[1]).any()


@pytest.mark.parametrize("m, r", FORMS)
@pytest.mark.parametrize("k, c, groups", [(48, 20, 1), (32, 16, 2), (8, 16, 1)])
def test_filters_are_the_same_past_the_caches(m, r, k, c, groups, monkeypatch):
    w = np.random.default_rng(0).standard_normal((k, c // groups, r, r), np.float32)
    for backward, paired in ((False, False), (True, False), (False, True)):
        filters = []
        for far in (1 << 60, 0):
            monkeypatch.setattr(winograd_filters, "_FAR", far)
            transform = TransformFilters(w.shape, w.dtype, m, groups, backward, paired)
            filters.append(transform(w)[:(m + r - 1) ** 2 * transform.numbers[0]])
            assert transform.launch.body.__qualname__.endswith("_far") == (far == 0)
        points = [one.reshape((m + r - 1) ** 2, -1)[:, :-simd.width(w.dtype)] for one in filters]
        assert_same(*points)


# Groups of a vector, of some more, and of many channels, whose sums no cache holds.
GROUPS = [((2, 64, 14, 14), 64, 4), ((2, 48, 16, 16), 48, 3), ((4, 66, 16, 15), 102, 2), ((16, 512, 8, 8), 512, 2)]


@pytest.mark.parametrize("precision", [contextlib.nullcontext, bfloat16_products])
@pytest.mark.parametrize("shape, k, groups", GROUPS)
def test_groups_are_as_good_as_convolutions_of_their_own(shape, k, groups, precision):
    """The same bits from the same form of Winograd, and no other gradient for the weights but by its roundings."""
    padding, c = (1, 1, 1, 1), shape[1] // groups
    x, w, b, dy = operands((shape[0], c, *shape[2:]), (k, 3), padding)
    x, w = np.random.default_rng(1).standard_normal(shape, np.float32), w * np.float32(0.1)
    where, alone = ((1, 1), padding, (1, 1), groups), ((1, 1), padding, (1, 1), 1)
    with precision():
        y, dx = cpu.conv2d_forward(x, w, b, *where), cpu.conv2d_backward_input(dy, w, x.shape, *where)
        dw, db = cpu.conv2d_backward_weight(dy, x, w.shape, *where)
        pooled = cpu.conv2d_maxpool_forward(x, w, b, *where)
        for g in range(groups):
            inputs, outputs = slice(g * c, (g + 1) * c), slice(g * k // groups, (g + 1) * k // groups)
            part, gradient, weights = x[:, inputs], dy[:, outputs], w[outputs]
            assert_same(y[:, outputs], cpu.conv2d_forward(part, weights, b[outputs], *alone))
            assert_same(dx[:, inputs], cpu.conv2d_backward_input(gradient, weights, part.shape, *alone))
            for got, wanted in zip(pooled, cpu.conv2d_maxpool_forward(part, weights, b[outputs], *alone), strict=True):
                assert_same(got[:, outputs], wanted)
            for got, wanted in zip((dw, db), cpu.conv2d_backward_weight(gradient, part, weights.shape, *alone),
                                   strict=True):
                assert np.linalg.norm(got[outputs] - wanted) < 1e-6 * np.linalg.norm(wanted)


def test_groups_take_it():
    for shape, k, groups in GROUPS:
        shapes = shape, (k, shape[1] // groups, 3, 3)
        assert all(way(*shapes, direction, groups=groups).startswith("Winograd")
                   for direction in ("forward", "backward_input", "backward_weight"))
    fused = [WinogradBackwardWeight(geometry, 4, False).gradient.fused for geometry in (
        Geometry.of(shape, (k, shape[1] // groups, 3, 3), (shape[0], k, *shape[2:]), "float32",
                    ((1, 1), (1, 1, 1, 1), (1, 1), groups)) for shape, k, groups in GROUPS)]
    assert fused == [True, True, True, False]


@pytest.mark.skipif(config.DISABLE_JIT or numba.get_num_threads() < 2, reason="one thread does all")
def test_gradients_for_few_outputs_of_many_channels():
    """Whose patches several threads transform, side by side."""
    x, w, _, dy = operands((16, 512, 16, 16), (8, 3), (1, 1, 1, 1))
    where = (1, 1), (1, 1, 1, 1), (1, 1), 1
    assert way(x.shape, w.shape, "backward_weight").startswith("Winograd")
    wanted = cpu.conv2d_backward_weight(dy.astype(np.float64), x.astype(np.float64), w.shape, *where)[0]
    for _ in range(5):
        got = cpu.conv2d_backward_weight(dy, x, w.shape, *where)[0]
        assert np.linalg.norm(got - wanted) < 2e-5 * np.linalg.norm(wanted)


def test_many_tiles_do_not_add_up_to_a_larger_error():
    """Half a million pixels summed into each weight: the longest sum of a CIFAR net at batch 128."""
    shape, kernel, padding = (128, 16, 32, 32), (16, 3), (1, 1, 1, 1)
    arrays = operands(shape, kernel, padding)
    wanted = naive.conv2d_backward_weight(*[a.astype(np.float64) for a in (arrays[3], arrays[0])], arrays[1].shape,
                                          (1, 1), padding, (1, 1), 1)[0]
    got = cpu.conv2d_backward_weight(arrays[3], arrays[0], arrays[1].shape, (1, 1), padding, (1, 1), 1)[0]
    assert np.linalg.norm(got - wanted) / np.linalg.norm(wanted) < 2e-5


def test_exact_turns_it_off():
    x, w, b, dy = (np.round(4 * a) for a in operands((4, 16, 9, 8), (20, 3), (1, 1, 1, 1)))
    wanted = passes(naive, x, w, b, dy, (1, 1, 1, 1))
    with exact():
        assert way(x.shape, w.shape) == "direct"
        for name, got in passes(cpu, x, w, b, dy, (1, 1, 1, 1)).items():
            np.testing.assert_array_equal(got, wanted[name])
    assert way(x.shape, w.shape) == "Winograd F(4x4, 3x3)"


@pytest.mark.parametrize("change", [
    {"dtype": "float64"}, {"w_shape": (16, 16, 3, 5)}, {"x_shape": (4, 3, 8, 8), "w_shape": (16, 3, 3, 3)},
    {"w_shape": (3, 16, 3, 3)}, {"stride": (2, 2)}, {"dilation": (2, 2)}, {"w_shape": (16, 16, 1, 1)},
    {"x_shape": (4, 12, 8, 8), "w_shape": (16, 6, 3, 3), "groups": 2}, {"x_shape": (4, 16, 1, 1)}])
@pytest.mark.parametrize("direction", ["forward", "backward_input", "backward_weight"])
def test_where_direct_convolution_is_used(change, direction):
    given = {"x_shape": (4, 16, 8, 8), "w_shape": (16, 16, 3, 3), "direction": direction}
    assert way(**given) == "Winograd F(4x4, 3x3)"
    assert way(**given | change) == "direct"


def test_nan_reaches_only_the_tiles_that_see_it():
    x, w, b, _ = operands((1, 16, 16, 16), (16, 3), (1, 1, 1, 1))
    x[0, 3, 0, 0] = np.nan
    y = cpu.conv2d_forward(x, w, b, (1, 1), (1, 1, 1, 1))
    assert np.isnan(y[0, :, :2, :2]).all() and np.isfinite(y[0, :, 4:, 4:]).all()


def test_few_outputs_want_smaller_tiles_or_none():
    def form(batch, extent, direction="forward"):
        return way((batch, 256, extent, extent), (256, 256, 3, 3), direction)

    large = "Winograd F(4x4, 3x3)"
    assert form(16, 4, "backward_weight") == form(128, 4) == way((1, 64, 16, 16), (64, 64, 3, 3)) == large
    assert form(1, 16) == ("Winograd F(2x2, 3x3)" if simd.AMX else large)   # 9 MB of filters for 16 patches
    assert form(1, 4) != large  # a register tile would be all but empty


def huge_pixel(x, w):
    x[:, :, 0, 1] *= 1e6


def huge_row(x, w):
    x[:, :, 1] *= 1e6


def no_signs(x, w):
    np.abs(x, out=x)
    np.abs(w, out=w)


def equal(x, w):
    x[:], w[:] = 1.3371, 0.1


def signs_in_turn(x, w):
    np.abs(x, out=x)
    x[:, :, ::2, 1::2] *= -1
    x[:, :, 1::2, ::2] *= -1


def nothing(x, w):
    pass


def one_tile_each(m, r, c, seed=0):
    """(x, w, padding) of images whose outputs are one tile of F(m, r)."""
    rng, padding = np.random.default_rng(seed), (r // 2,) * 4
    x, w = rng.standard_normal((64, c, m, m)).astype(np.float32), rng.standard_normal((64, c, r, r)).astype(np.float32)
    assert way(x.shape, w.shape, padding=padding) == f"Winograd F({m}x{m}, {r}x{r})"
    return x, w, padding


def errors(x, w, padding):
    """(how wrong each output is, the sum over channels of the tile's largest absolute value times the weights')."""
    where = (1, 1), padding, (1, 1), 1
    got = cpu.conv2d_forward(x, w, None, *where)
    wanted = cpu.conv2d_forward(x.astype(np.float64), w.astype(np.float64), None, *where)
    scale = np.abs(x).max((2, 3)).astype(np.float64) @ np.abs(w).sum((2, 3)).astype(np.float64).T
    return np.abs(got - wanted), scale[:, :, None, None]


@pytest.mark.parametrize("adversary", [nothing, huge_pixel, huge_row, no_signs, equal, signs_in_turn])
@pytest.mark.parametrize("channels", [16, 64, 256])
@pytest.mark.parametrize("m, r", FORMS)
def test_errors_are_bounded_relative_to_the_largest_number_in_the_tile(m, r, channels, adversary):
    for seed in range(3):
        x, w, padding = one_tile_each(m, r, channels, seed)
        adversary(x, w)
        error, scale = errors(x, w, padding)
        assert (error <= error_bound(m, r, channels) * scale).all()     # what is proven
        assert (error <= (4 + channels / 4) * 1.2e-7 * scale).all()    # what `exact` says was never seen to fail


def test_a_huge_pixel_blurs_its_tile_alone():
    x, w, padding = one_tile_each(4, 3, 16)
    x[0, 5, 0, 0] = 1e6
    error = errors(x, w, padding)[0]
    far = error[0, :, 2:, 2:]   # whose windows do not hold the pixel
    assert 0.1 < far.max() < 3 and error[1:].max() < 1e-4


def test_sums_of_nothing_negative_may_be_slightly_below_0():
    x, w, padding = one_tile_each(4, 3, 16)
    no_signs(x, w)
    x[:, :, :2] = 0
    x[:, :, 2:] *= 1e3
    where = (1, 1), padding, (1, 1), 1
    y = cpu.conv2d_forward(x, w, None, *where)
    _, scale = errors(x, w, padding)
    assert y.min() < 0 and (y >= -error_bound(4, 3, 16) * scale).all()
    assert (cpu.conv2d_forward(x, w, None, *where, activation=("relu", 0.0, 0.0)) >= 0).all()
    with exact():
        assert (cpu.conv2d_forward(x, w, None, *where) >= 0).all()


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_nan_passes_no_activation_as_a_number(special):
    """Fused or not, in tiles that see a NaN or infinity, and in pooling behind them; nor does a gradient become 0."""
    x, w, b, _ = operands((2, 32, 12, 9), (40, 3), (1, 1, 1, 1))
    x[0, 3, 0, 0], x[1, 5, 7, 7] = special, np.nan
    where = (1, 1), (1, 1, 1, 1), (1, 1), 1
    plain = cpu.conv2d_forward(x, w, b, *where)
    lost = np.isnan(plain)
    assert lost[0].any() and lost[1].any() and not lost.all()
    for function in ACTIVATIONS:
        activation = function, 0.5, 0.75
        for y in (cpu.conv2d_forward(x, w, b, *where, activation=activation),
                  naive.activation_forward(plain, *activation)):
            assert np.isnan(y[lost]).all(), function
        if ACTIVATIONS[function].reads == "y":
            kept = cpu.activation_forward(plain, *activation)
            ones = np.ones_like(plain)
            for dx in (cpu.add(0 * ones, ones, mask=kept, masking=activation),
                       naive.activation_backward(ones, kept, *activation)):
                assert (dx[lost] != 0).all(), function
    y, index = cpu.conv2d_maxpool_forward(x, w, b, *where, relu=True)
    pooled, places = cpu.maxpool2d_forward(plain, (2, 2), (2, 2))
    assert np.isnan(y[np.isnan(pooled)]).all()
    np.testing.assert_array_equal(index[np.isnan(pooled)], places[np.isnan(pooled)])


@pytest.mark.skipif(config.DISABLE_JIT, reason="the other tests run that way then")
def test_reads_and_writes_within_its_arrays():
    """In plain Python, where every read and write of a vector is looked at."""
    done = subprocess.run([sys.executable, "-m", "tests.kernels.cpu.winograds"], cwd=ROOT, capture_output=True,
                          text=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*winograds.CASES]
