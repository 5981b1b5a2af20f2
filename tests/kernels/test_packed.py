"""Convolution with packed weights is convolution, whatever the weights were used for before."""
import contextlib

import numpy as np
import pytest

from fastnet.kernels import bfloat16_products, exact, load

from . import cases
from .judge import assert_same
from .test_bad_input import TABLE

ops = load("cpu")


@pytest.mark.parametrize("case", cases.CONVOLUTIONS, ids=cases.name)
def test_same_as_conv2d_forward(case):
    x, w, b = cases.operands(case, cases.reals, np.float32)
    packed = ops.conv2d_pack(w, b)
    for other in (x, x.astype(np.float64), x[:1], np.concatenate([x, x], 2), x):
        wanted = ops.conv2d_forward(other, w, b, **case.options)
        assert_same(ops.conv2d_inference(other, packed, **case.options), wanted)
        with exact():
            wanted = ops.conv2d_forward(other, w, b, **case.options)
            assert_same(ops.conv2d_inference(other, packed, **case.options), wanted)


@pytest.mark.parametrize("case", cases.TRANSPOSED, ids=cases.name)
def test_same_as_conv_transpose2d_forward(case):
    x, w, b = cases.operands(case, cases.reals, np.float32)
    packed = ops.conv_transpose2d_pack(w, b)
    for other in (x, x.astype(np.float64), x[:1], np.concatenate([x, x], 2), x):
        wanted = ops.conv_transpose2d_forward(other, w, b, **case.options)
        assert_same(ops.conv_transpose2d_inference(other, packed, **case.options), wanted)
        with exact():
            wanted = ops.conv_transpose2d_forward(other, w, b, **case.options)
            assert_same(ops.conv_transpose2d_inference(other, packed, **case.options), wanted)


@pytest.mark.parametrize("n, c, k", [(1, 5, 3), (3, 40, 33), (70, 9, 64), (2, 5000, 7), (600, 1000, 10)])
def test_same_as_linear_forward(n, c, k):
    """With few samples, with many; more than 4096 features are added up in another order."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape, np.float32) for shape in ((n, c), (k, c), (k,)))
    for b_ in (b, None):
        packed = ops.linear_pack(w, b_)
        for other in (x, x.astype(np.float64), x[:1]):
            for activation in (None, ("relu", 0.0, 0.0), ("gelu", 0.0, 0.0)):
                wanted = ops.linear_forward(other, w, b_, activation=activation)
                found = ops.linear_inference(other, packed, activation)
                assert found.dtype == wanted.dtype and found.shape == wanted.shape
                np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5 * np.sqrt(c))


@pytest.mark.parametrize("c, size", [(16, 3), (48, 1), (16, 1), (5, 3)])
def test_one_packing_for_both_directions(c, size):
    """Weights that a convolution has used already serve the transposed one, and the other way round."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, c, 12, 12), np.float32), rng.standard_normal((c, c, size, size), np.float32)
    packed = ops.conv2d_pack(w)
    for where in [((1, 1), (1, 1, 1, 1)), ((2, 1), (1, 1, 1, 1)), ((1, 1), (1, 1, 1, 1)), ((1, 1), (0, 0, 0, 0))]:
        assert_same(ops.conv2d_inference(x, packed, *where), ops.conv2d_forward(x, w, None, *where))
        assert_same(ops.conv_transpose2d_inference(x, packed, *where), ops.conv_transpose2d_forward(x, w, None, *where))


def test_one_packing_for_many_geometries():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 16, 12, 12), np.float32), rng.standard_normal((16, 16, 3, 3), np.float32)
    packed = ops.conv2d_pack(w)
    for stride, padding, dilation in (((1, 1), (1, 1, 1, 1), (1, 1)), ((2, 1), (0, 1, 2, 3), (1, 1)),
                                      ((1, 1), (0, 0, 0, 0), (2, 3)), ([1, 1], [1, 1, 1, 1], [1, 1])):
        for activation in (None, ("relu", 0.0, 0.0)):
            wanted = ops.conv2d_forward(x, w, None, stride, padding, dilation, 1, activation=activation)
            assert_same(ops.conv2d_inference(x, packed, stride, padding, dilation, 1, activation=activation), wanted)


@pytest.mark.parametrize("precision", (contextlib.nullcontext, exact, bfloat16_products))
@pytest.mark.parametrize("k", (48, 64))
def test_one_packing_for_groups_and_none(k, precision):
    """The same weights (K, 16, 3, 3), whose panels are another number of columns in groups."""
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((k, 16, 3, 3), np.float32), rng.standard_normal(k, np.float32)
    packed = ops.conv2d_pack(w, b)
    with precision():
        for groups in (k // 16, 1, k // 16):
            x = rng.standard_normal((2, 16 * groups, 16, 16), np.float32)
            where = (1, 1), (1, 1, 1, 1), (1, 1), groups
            assert_same(ops.conv2d_inference(x, packed, *where), ops.conv2d_forward(x, w, b, *where))


def test_packing_takes_the_dtype_of_x():
    x, w, b = np.ones((1, 2, 3, 3)), np.full((3, 2, 1, 1), 0.1), np.ones(3)
    assert ops.conv2d_inference(x.astype(np.float32), ops.conv2d_pack(w, b)).dtype == np.float32
    assert_same(ops.conv2d_inference(x, ops.conv2d_pack(w, b)), ops.conv2d_forward(x, w, b))
    assert ops.conv2d_inference(x.astype(int), ops.conv2d_pack(w.astype(np.float32))).dtype == np.float32


@pytest.mark.parametrize("kind, what", [
    (kind, what) for kind in ("conv2d", "linear") for what in TABLE[f"{kind}_forward"]])
def test_refuses_what_forward_refuses(kind, what):
    (x, w, *b), options, message = TABLE[f"{kind}_forward"][what]
    pack, inference = (getattr(ops, f"{kind}_{name}") for name in ("pack", "inference"))
    with pytest.raises((ValueError, TypeError)) as error:
        inference(x, pack(w, *b), **options)
    assert str(error.value) == message


DIRECTIONS = "forward", "backward_input", "backward_weight"


@pytest.mark.parametrize("dtype, x_shape, w_shape, stride, groups, wanted", [
    ("float32", (8, 64, 16, 16), (64, 64, 3, 3), 1, 1, ["Winograd F(4x4, 3x3): 4.0 times fewer multiplications"] * 3),
    ("float64", (8, 64, 16, 16), (64, 64, 3, 3), 1, 1, ["direct: float64 numbers"] * 3),
    ("float32", (8, 3, 32, 32), (32, 3, 3, 3), 1, 1, ["direct: fewer than 8 channels"] * 3),
    ("float32", (8, 64, 16, 16), (64, 64, 3, 3), 2, 1, ["direct: stride (2, 2)"] * 3),
    ("float32", (8, 64, 16, 16), (64, 64, 1, 1), 1, 1, ["direct: 1x1 kernel"] * 3),
    ("float32", (8, 64, 16, 16), (64, 1, 3, 3), 1, 64, ["depthwise: each channel has a filter of its own"] * 3),
    ("float32", (8, 64, 16, 16), (64, 4, 3, 3), 1, 16, ["depthwise: groups of 4 channels share a vector"] * 3),
    ("float32", (8, 96, 16, 16), (96, 48, 3, 3), 1, 2, ["Winograd F(4x4, 3x3): 4.0 times fewer multiplications"] * 3),
])
def test_algorithms_are_told(dtype, x_shape, w_shape, stride, groups, wanted):
    from fastnet.kernels import cpu, naive

    arguments = dtype, x_shape, w_shape, (stride, stride), (w_shape[2] // 2,) * 4, (1, 1), groups
    assert [": ".join(cpu.conv2d_algorithm(direction, *arguments)) for direction in DIRECTIONS] == wanted
    assert naive.conv2d_algorithm("forward", *arguments)[0] == "matrix product for each kernel offset"
    with exact():
        if wanted[0].startswith("Winograd"):
            assert cpu.conv2d_algorithm("forward", *arguments) == ("direct", "exact() is on")
