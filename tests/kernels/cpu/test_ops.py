"""What only machine code can get wrong in operations that are simple otherwise."""
import numpy as np
import pytest

from fastnet import kernels
from fastnet.kernels import counter
from fastnet.kernels.activations import ACTIVATIONS as DEFINED
from fastnet.kernels.activations import SELU_ALPHA, SELU_SCALE
from tests.kernels.judge import assert_same
from tests.kernels.test_epilogues import ACTIVATIONS, MASKINGS

cpu, naive = kernels.load("cpu"), kernels.load("naive")
RNG = np.random.default_rng(0)


def numbers(dtype):
    """All sizes up to 12 on both sides of 0, tiny ones and zeros too."""
    small = np.geomspace(1e-30, 1, 1001)
    return np.concatenate([np.linspace(-12, 12, 40_001), small, -small, [0.0, -0.0]]).astype(dtype)


# Units in the last place that x up to 12 may be off: naive's own gelu_tanh loses digits where it is next to 0, and so
# it is asked for the distance relative to x there. What is rounded in alpha x counts as many times as alpha x is large.
FORWARD = {"relu": 0, "leaky_relu": 1, "hardtanh": 0, "sigmoid": 3, "tanh": 3, "elu": 3, "silu": 3, "hardswish": 2,
           "selu": 3, "softplus": 24, "softsign": 2, "hardsigmoid": 2, "celu": 4, "log_sigmoid": 4, "softshrink": 1,
           "hardshrink": 0, "threshold": 1}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_accurate(activation, dtype):
    x, unit = numbers(dtype), np.finfo(dtype).eps
    got, wanted = (ops.activation_forward(x.astype(kind), *activation)
                   for ops, kind in ((cpu, dtype), (naive, np.float64)))
    if activation[0] in FORWARD:
        np.testing.assert_array_less(np.abs(got - wanted), FORWARD[activation[0]] * unit * np.abs(wanted) + 1e-37)
    else:
        assert np.max(np.abs(got - wanted)[x != 0] / np.abs(x[x != 0])) < 4 * unit
        near = np.abs(x) < 3
        if activation[0] == "gelu":     # Phi(-3) has lost none of its digits
            np.testing.assert_allclose(got[near], wanted[near], rtol=16 * unit)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_are_accurate(activation, dtype):
    x, unit = numbers(dtype), np.finfo(dtype).eps
    dy = RNG.standard_normal(x.shape).astype(dtype)
    kept = x if DEFINED[activation[0]].reads == "x" else naive.activation_forward(x, *activation)
    got, wanted = (ops.activation_backward(dy.astype(kind), kept.astype(kind), *activation)
                   for ops, kind in ((cpu, dtype), (naive, np.float64)))
    # The slope of gelu_tanh holds 12^3 in an exponent.
    assert np.max(np.abs(got - wanted) / np.abs(dy)) < (64 if activation[0] == "gelu_tanh" else 8) * unit


LIMITS = {"relu": (0, np.inf), "leaky_relu": (-np.inf, np.inf), "sigmoid": (0, 1), "tanh": (-1, 1),
          "elu": (-0.7, np.inf), "silu": (0, np.inf), "gelu": (0, np.inf), "gelu_tanh": (0, np.inf),
          "hardswish": (0, np.inf), "mish": (0, np.inf), "selu": (-SELU_SCALE * SELU_ALPHA, np.inf),
          "hardsigmoid": (0, 1), "softplus": (0, np.inf), "log_sigmoid": (-np.inf, 0), "celu": (-0.8, np.inf),
          "softshrink": (-np.inf, np.inf), "hardshrink": (-np.inf, np.inf), "tanhshrink": (-np.inf, np.inf),
          "threshold": (-0.3, np.inf)}
# What is not 0 times x at -inf, whose derivative reads x all the same; and slopes there and at inf other than 0 and 1.
FINITE, SLOPES = ("softplus", "log_sigmoid", "tanhshrink", "threshold"), {"log_sigmoid": (1, 0), "tanhshrink": (1, 1)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [activation for activation in ACTIVATIONS if activation[0] != "softsign"])
def test_limits(activation, dtype):
    """At infinity, and for numbers whose exponentials or squares are infinite; NaN stays NaN, and x f(x) is NaN at -inf
    where f(x) is 0, as in PyTorch."""
    name, alpha, beta = activation
    low, high = (alpha, beta) if name == "hardtanh" else LIMITS[name]
    x = np.array([-np.inf, -3e38, -1e20, -1000, 1000, 1e20, 3e38, np.inf, np.nan], dtype)
    y = cpu.activation_forward(x, *activation)
    assert np.isnan(y[8])
    wanted = np.array([low] * 4 + [high] * 4, dtype)
    wanted[0] = np.nan if DEFINED[name].reads == "x" and name not in FINITE else low
    inside = np.isinf(wanted) & np.isfinite(x[:8])
    np.testing.assert_allclose(y[:8][~inside], wanted[~inside], atol=1e-30)
    itself = x[:8][inside]
    slope = x.dtype.type(SELU_SCALE if name == "selu" else 1)
    with np.errstate(over="ignore"):
        below = x.dtype.type(alpha if name == "leaky_relu" else 1)
        far = np.where(itself < 0, itself * below, itself * slope)
    np.testing.assert_allclose(y[:8][inside], far, rtol=2e-3 if "shrink" in name else 1e-6)
    if DEFINED[name].reads == "x":
        dx = cpu.activation_backward(np.ones(9, dtype), x, *activation)
        below, above = SLOPES.get(name, (0, 1))
        np.testing.assert_allclose(dx[1:7], [below] * 3 + [above] * 3, atol=1e-30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_limits_of_softsign(dtype):
    """A quotient of two infinities is NaN, as in PyTorch."""
    x = np.array([-np.inf, -1e30, -1, 0, 1, 1e30, np.inf, np.nan], dtype)
    assert_same(cpu.activation_forward(x, "softsign"), np.array([np.nan, -1, -0.5, 0, 0.5, 1, np.nan, np.nan], dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", MASKINGS)
def test_kinks_and_special_numbers(activation, dtype):
    """At a kink, at bounds, at infinity and at NaN what naive says, to the last bit where nothing is rounded."""
    name, alpha, beta = activation
    y = np.array([0, -0.0, alpha, beta, 6, -1, 1, np.inf, -np.inf, np.nan, 1e-45, -1e-45], dtype)
    if name in ("sigmoid", "tanh", "elu"):  # which give no others
        y = y[[0, 1, 5, 6, 9]]
    dy = np.full(y.shape, 3, dtype)
    wanted = naive.activation_backward(dy, y, *activation)
    np.testing.assert_allclose(cpu.activation_backward(dy, y, *activation), wanted, rtol=1e-6)
    if name in ("relu", "hardtanh"):
        shut = wanted == 0
        endless = cpu.activation_backward(np.full(y.shape, np.inf, dtype), y, *activation)
        assert (endless[shut] == 0).all() and np.isinf(endless[~shut]).all()


def test_hardswish_is_shut_below_for_any_gradient():
    x = np.array([-3, -4, 3, 4, 0, np.nan], "f4")
    dy = np.array([np.inf, np.nan, 2, 2, 2, 2], "f4")
    np.testing.assert_array_equal(cpu.activation_backward(dy, x, "hardswish"), [0, 0, 2, 2, 1, np.nan])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_track_rounds_as_numpy_does(dtype):
    """A product and a sum that became one fma would differ in one of so many channels."""
    mean, var, new_mean, new_var = RNG.standard_normal((4, 1000)).astype(dtype) ** 2
    counted = np.array(3, np.int64)
    for momentum, count in ((0.1, 7), (0.3, 32), (1, 2), (0.0, 2), (None, 9)):
        got = cpu.batchnorm_track(mean, var, counted, new_mean, new_var, count, momentum)
        for ours, theirs in zip(got, naive.batchnorm_track(mean, var, counted, new_mean, new_var, count, momentum),
                                strict=True):
            assert_same(ours, theirs)
        assert got[2].shape == () and counted == 3


@pytest.mark.parametrize("wanted", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "uint32", "int64", "float16", "float32", "float64",
                                   ">f4", ">i2"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 7), (2, 3, 9, 11), (2, 1, 3, 4), (3, 5, 1, 1), (2, 70, 13, 16)])
def test_convert(shape, dtype, wanted):
    """Any layout, read-only or not; images come channels-last."""
    x = RNG.integers(0, 200, shape).astype(dtype)
    layouts = [x, np.asfortranarray(x), x[::-1] if x.ndim else x]
    if x.ndim == 4:
        layouts.append(np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    for array in layouts:
        array.flags.writeable = False
        y = cpu.convert(array, wanted)
        assert_same(y, array.astype(wanted))
        assert y.ndim != 4 or y.transpose(0, 2, 3, 1).flags.c_contiguous
        assert y.flags.writeable and not np.may_share_memory(y, array)


def test_convert_refuses():
    with pytest.raises(ValueError, match="float32 or float64, got float16"):
        cpu.convert(np.ones(3), "float16")
    with pytest.raises(TypeError, match="real numbers"):
        cpu.convert(np.ones(3, complex), "float32")


def test_the_key_of_dropout_is_read_by_the_kernel():
    x, key = RNG.standard_normal((9, 35)).astype("f4"), cpu.draw(np.random.default_rng(5))
    number = int(np.random.default_rng(5).integers(2**63))
    assert_same(key, np.array(counter.key_words(number), np.uint64))
    assert_same(cpu.dropout(x, 0.4, key), naive.dropout(x, 0.4, number))
    assert_same(cpu.dropout(x, 0.4, key), cpu.dropout(x, 0.4, number))
    recorder, arena = cpu.recorder(), cpu.Arena()
    with recorder:
        recorder.give("y", cpu.dropout(recorder.tag("x", x), 0.4, recorder.tag("key", key)))
    part, recording = recorder.cut(), recorder.finish()
    recording.move(arena.address(recording.arena_size))
    key[:] = counter.key_words(99)
    y, address = recording.make("y")
    recording.bind(("x", "key", "y"), [cpu.address(x), cpu.address(key), address])
    recording.run(part)
    assert_same(y, naive.dropout(x, 0.4, 99))


def test_frozen_norm_passes_what_is_not_finite_only_where_it_is():
    x, dy = RNG.standard_normal((2, 3, 17)).astype("f4")
    x[0, 0] = np.inf
    gamma, mean, var = RNG.random((3, 17)).astype("f4") + 1
    dx, dgamma, dbeta = cpu.batchnorm_inference_backward(dy, x, gamma, mean, var, 1e-3)
    wanted = naive.batchnorm_inference_backward(dy, x, gamma, mean, var, 1e-3)
    for ours, theirs in zip((dx, dgamma, dbeta), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert np.isfinite(dx).all() and not np.isfinite(dgamma[0])


def test_folded_weights_are_convolution_and_norm():
    x, w = RNG.standard_normal((2, 5, 6, 7)), RNG.standard_normal((8, 5, 3, 3))
    gamma, beta, mean, var, b = RNG.random((5, 8)) + 0.5
    for bias in (None, b):
        wanted = naive.batchnorm_inference(naive.conv2d_forward(x, w, bias), gamma, beta, mean, var, 1e-3)
        packed = cpu.conv2d_pack_folded(w, gamma, beta, mean, var, 1e-3, bias)
        np.testing.assert_allclose(cpu.conv2d_inference(x, packed), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 3])
def test_folded_weights_of_a_transposed_convolution(groups):
    """Whose output channels lie along the second axis of the weights, group by group."""
    x, w = RNG.standard_normal((2, 6, 6, 7)), RNG.standard_normal((6, 4, 3, 2))
    gamma, beta, mean, var, b = RNG.random((5, 4 * groups)) + 0.5
    for bias in (None, b):
        wanted = naive.conv_transpose2d_forward(x, w, bias, (2, 1), groups=groups)
        wanted = naive.batchnorm_inference(wanted, gamma, beta, mean, var, 1e-3)
        packed = cpu.conv_transpose2d_pack_folded(w, gamma, beta, mean, var, 1e-3, bias, groups)
        got = cpu.conv_transpose2d_inference(x, packed, (2, 1), groups=groups)
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
