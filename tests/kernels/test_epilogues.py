"""What is done to a result as it is written, add, then relu or mask, is what the plain operations do one by one."""
import numpy as np
import pytest

from fastnet import kernels

from . import cases

CONVOLUTIONS = [case for case in cases.CONVOLUTIONS if case.name in (
    "3x3", "3x3-odd-channels", "3x3-wide", "first-layer", "1x1", "1x1-stride-2", "stride-2", "stride-3-1-skips-pixels",
    "groups-2", "depthwise-stride-2", "5x5-same", "padding-beyond-kernel")]
NORMS = [case for case in cases.NORMS if set(case.options) == {"eps"}]


def finished(y, add, relu=False, mask=None):
    y = y + add
    if relu:
        y = np.maximum(y, 0)
    return y if mask is None else np.where(mask > 0, y, 0)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=cases.name)
def test_convolution(ops, case, dtype):
    """Small whole numbers: the same to the last bit, with Winograd and its fractions turned off."""
    x, w, b = cases.operands(case, cases.integers, dtype)
    rng = np.random.default_rng(1)
    where = cases.geometry(case)
    with kernels.exact():
        plain = ops.conv2d_forward(x, w, b, *where)
        add = cases.integers(rng, plain.shape).astype(dtype)
        for relu in (False, True):
            np.testing.assert_array_equal(ops.conv2d_forward(x, w, b, *where, relu, add), finished(plain, add, relu))
            packed = ops.conv2d_pack(w, b)
            np.testing.assert_array_equal(ops.conv2d_inference(x, packed, *where, relu, add),
                                          finished(plain, add, relu))
        dy, add, mask = (cases.integers(rng, shape).astype(dtype) for shape in (plain.shape, x.shape, x.shape))
        plain = ops.conv2d_backward_input(dy, w, x.shape, *where)
        for other in (None, mask):
            np.testing.assert_array_equal(ops.conv2d_backward_input(dy, w, x.shape, *where, other, add),
                                          finished(plain, add, mask=other))


@pytest.mark.parametrize("channels", ((16, 16), (20, 37), (48, 64)))
def test_winograd(channels):
    """Sums in the same order give the same bits, in whole tiles and cut ones, in all panels."""
    ops, (c, k) = kernels.load("cpu"), channels
    rng = np.random.default_rng(2)
    x, w = cases.reals(rng, (2, c, 10, 13)).astype("f4"), cases.reals(rng, (k, c, 3, 3)).astype("f4")
    where = (1, 1), (1, 1, 1, 1), (1, 1), 1
    assert ops.conv2d_algorithm("forward", np.float32, x.shape, w.shape, *where)[0].startswith("Winograd")
    plain = ops.conv2d_forward(x, w, None, *where)
    add = cases.reals(rng, plain.shape).astype("f4")
    np.testing.assert_array_equal(ops.conv2d_forward(x, w, None, *where, True, add), finished(plain, add, True))
    dy, add, mask = (cases.reals(rng, shape).astype("f4") for shape in (plain.shape, x.shape, x.shape))
    plain = ops.conv2d_backward_input(dy, w, x.shape, *where)
    np.testing.assert_array_equal(ops.conv2d_backward_input(dy, w, x.shape, *where, mask, add),
                                  finished(plain, add, mask=mask))


@pytest.mark.parametrize("case", NORMS, ids=cases.name)
def test_batch_norm(ops, case):
    arrays = cases.operands(case, cases.reals, np.float64)
    add = cases.reals(np.random.default_rng(3), arrays[0].shape)
    plain, *statistics = cases.forward(ops, case, arrays)
    for relu in (False, True):
        operation = getattr(ops, case.op)
        results = operation(*arrays, case.options["eps"], relu, add)
        y, *others = results if isinstance(results, tuple) else (results,)
        np.testing.assert_array_equal(y, finished(plain, add, relu))
        for ours, theirs in zip(others, statistics, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("case", NORMS, ids=cases.name)
def test_batch_norm_and_silu(ops, case):
    """To the last bit in float32: the same rounding in one pass as in two, forward and backward."""
    arrays = cases.operands(case, cases.reals, np.float32)
    eps = case.options["eps"]
    y, *statistics = cases.forward(ops, case, arrays)
    fused = cases.forward(ops, case._replace(options={"eps": eps, "silu": True}), arrays)
    for ours, theirs in zip(fused, [ops.silu_forward(y), *statistics], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if case.op == "batchnorm_forward":
        dy = cases.reals(np.random.default_rng(4), y.shape).astype("f4")
        fused = ops.batchnorm_backward(dy, *arrays, *statistics, eps, silu=True)
        plain = ops.batchnorm_backward(ops.silu_backward(dy, y), *arrays, *statistics, eps)
        for ours, theirs in zip(fused, plain, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_what_does_not_fit(ops):
    x, w, vector = np.ones((1, 3, 4, 4), "f4"), np.ones((2, 3, 1, 1), "f4"), np.ones(3, "f4")
    where = (1, 1), (0, 0, 0, 0), (1, 1), 1
    with pytest.raises(ValueError, match="add"):
        ops.conv2d_forward(x, w, None, *where, add=x)
    with pytest.raises(ValueError, match="add"):
        ops.conv2d_backward_input(np.ones((1, 2, 4, 4), "f4"), w, x.shape, *where, add=x[:, :2])
    with pytest.raises(ValueError, match="add"):
        ops.batchnorm_forward(x, vector, vector, 1e-5, add=x[:, :2])
    with pytest.raises(ValueError, match="add"):
        ops.batchnorm_inference(x, vector, vector, vector, vector, 1e-5, add=vector)
