"""What is done to a result as it is written is what the plain operations do one after the other, to the last bit."""
import contextlib

import numpy as np
import pytest
from numba import config
from numba.core import event

from fastnet import kernels
from fastnet.kernels.activations import ACTIVATIONS as DEFINED

from . import cases
from .cases.broadcast import PRODUCTS
from .cpu import fused

cpu = kernels.load("cpu")
DTYPES = ("float32", "float64")
ACTIVATIONS = [("relu", 0.0, 0.0), ("leaky_relu", 0.1, 0.0), ("hardtanh", -0.5, 0.75), ("hardtanh", 0.0, 6.0),
               ("sigmoid", 0.0, 0.0), ("tanh", 0.0, 0.0), ("elu", 0.7, 0.0), ("silu", 0.0, 0.0), ("gelu", 0.0, 0.0),
               ("gelu_tanh", 0.0, 0.0), ("hardswish", 0.0, 0.0), ("mish", 0.0, 0.0), ("selu", 0.0, 0.0),
               ("hardsigmoid", 0.0, 0.0), ("softplus", 1.5, 3.0), ("softsign", 0.0, 0.0),
               ("log_sigmoid", 0.0, 0.0), ("celu", 0.8, 0.0), ("softshrink", 0.5, 0.0), ("hardshrink", 0.5, 0.0),
               ("tanhshrink", 0.0, 0.0), ("threshold", 0.1, -0.3)]
MASKINGS = [activation for activation in ACTIVATIONS if DEFINED[activation[0]].reads == "y"]
# Both at once: each with each other way (a bound, a bend, a function) of doing the other.
SOME = (("relu", 0.0, 0.0), ("hardtanh", -0.5, 0.75), ("sigmoid", 0.0, 0.0))
PAIRS = [(None, None), *((activation, None) for activation in ACTIVATIONS), *((None, masking) for masking in MASKINGS),
         *((activation, masking) for activation in SOME for masking in SOME)]
CONVOLUTIONS = [case for case in cases.CONVOLUTIONS if case.name in (
    "3x3", "3x3-odd-channels", "3x3-wide", "first-layer", "1x1", "1x1-stride-2", "stride-2", "stride-3-1-skips-pixels",
    "groups-2", "groups-of-4", "groups-of-many", "depthwise-stride-2", "5x5-same", "padding-beyond-kernel")] + [
    # Winograd's tiles whole and cut, a depthwise block of several, channels that are no vectors
    cases.conv("tiles", (2, 20, 10, 13), (37, 20, 3, 3), padding=(1, 1, 1, 1)),
    cases.conv("whole-tiles", (1, 48, 8, 8), (64, 48, 3, 3), padding=(1, 1, 1, 1)),
    cases.conv("depthwise-3x3", (2, 37, 9, 8), (37, 1, 3, 3), padding=(1, 1, 1, 1), groups=37),
    cases.conv("direct-3x3", (3, 33, 9, 7), (49, 33, 3, 2), padding=(0, 2, 1, 1)),
]
LIKE_CONVOLUTIONS = [case for case in cases.TRANSPOSED + cases.LOCAL if case.name in (
    "2x2-stride-2", "3x3-wide", "3x3-full", "4x4-stride-2", "output-padding-beyond-padding", "groups-2", "depthwise",
    "depthwise-stride-2", "padded", "strided", "stride-beyond-kernel", "many-samples")]
NORMS = [(2, 5), (33, 70), (3, 6, 5, 7), (2, 37, 4, 4), (5, 1, 17, 13), (2, 16, 40, 30)]


def test_every_activation_is_here():
    assert {name for name, *_ in ACTIVATIONS} == set(DEFINED)


def assert_bits(got, wanted):
    """Equal to the last bit, the sign of zero included; any NaN is any other."""
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    got, wanted = np.ascontiguousarray(got), np.ascontiguousarray(wanted)
    bits = f"u{got.itemsize}"
    same = (got.view(bits) == wanted.view(bits)) | np.isnan(got) & np.isnan(wanted)
    assert same.all(), f"{(~same).sum()} of {same.size} differ: {got[~same][:5]} for {wanted[~same][:5]}"


def numbers(shape, dtype, seed=0, special=True):
    """Some of either sign, and the special ones too."""
    rng = np.random.default_rng(seed)
    x = (1.5 * rng.standard_normal(shape)).astype(dtype)
    if special:
        places = rng.choice(x.size, min(x.size // 4, 8), replace=False)
        x.reshape(-1)[places] = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1e30, -1e30, 6][: places.size]
    return x


def followed(y, add=None, activation=None, mask=None, masking=None):
    """y, and what follows, by the plain operations."""
    y = y if add is None else cpu.add(y, add)
    y = y if activation is None else cpu.activation_forward(y, *activation)
    return y if masking is None else cpu.activation_backward(y, mask, *masking)


def outputs(shape, dtype, masking):
    """What may have come out of an activation."""
    return cpu.activation_forward(numbers(shape, dtype, 9), *masking)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=cases.name)
def test_convolution_forward(case, dtype):
    x, w, b = cases.operands(case, cases.reals, dtype)
    where = cases.geometry(case)
    plain, packed = cpu.conv2d_forward(x, w, b, *where), cpu.conv2d_pack(w, b)
    for add in (None, numbers(plain.shape, dtype, 1)):
        for activation in (None, *ACTIVATIONS):
            wanted = followed(plain, add, activation)
            assert_bits(cpu.conv2d_forward(x, w, b, *where, add=add, activation=activation), wanted)
            assert_bits(cpu.conv2d_inference(x, packed, *where, add=add, activation=activation), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=cases.name)
def test_convolution_backward_input(case, dtype):
    x, w, _ = cases.operands(case, cases.reals, dtype)
    where = cases.geometry(case)
    dy = cases.reals(np.random.default_rng(1), cpu.conv2d_forward(x, w, None, *where).shape).astype(dtype)
    plain = cpu.conv2d_backward_input(dy, w, x.shape, *where)
    for add in (None, numbers(x.shape, dtype, 1)):
        for masking in (None, *MASKINGS):
            mask = None if masking is None else outputs(x.shape, dtype, masking)
            got = cpu.conv2d_backward_input(dy, w, x.shape, *where, add=add, mask=mask, masking=masking)
            assert_bits(got, followed(plain, add, None, mask, masking))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", LIKE_CONVOLUTIONS, ids=cases.name)
def test_what_is_like_a_convolution(case, dtype):
    x, w, b = cases.operands(case, cases.reals, dtype)
    forward, backward = getattr(cpu, case.op), getattr(cpu, case.op.replace("forward", "backward_input"))
    plain, where = forward(x, w, b, **case.options), cases.geometry(case)
    for add in (None, numbers(plain.shape, dtype, 1)):
        for activation in (None, *ACTIVATIONS):
            assert_bits(forward(x, w, b, **case.options, add=add, activation=activation),
                        followed(plain, add, activation))
    dy = cases.reals(np.random.default_rng(1), plain.shape).astype(dtype)
    plain = backward(dy, w, x.shape, *where)
    for add in (None, numbers(x.shape, dtype, 1)):
        for masking in (None, *MASKINGS):
            mask = None if masking is None else outputs(x.shape, dtype, masking)
            got = backward(dy, w, x.shape, *where, add=add, mask=mask, masking=masking)
            assert_bits(got, followed(plain, add, None, mask, masking))


@pytest.mark.parametrize("precision", [kernels.exact, contextlib.nullcontext, kernels.bfloat16_products])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_special_numbers_in_every_precision(activation, precision):
    x, w = numbers((2, 32, 9, 12), "float32"), numbers((48, 32, 3, 3), "float32", 2, special=False)
    where = (1, 1), (1, 1, 1, 1), (1, 1), 1
    add = numbers((2, 48, 9, 12), "float32", 3)
    with precision():
        wanted = followed(cpu.conv2d_forward(x, w, None, *where), add, activation)
        assert_bits(cpu.conv2d_forward(x, w, None, *where, add=add, activation=activation), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 5, 3), (3, 17, 9), (5, 7, 3), (26, 33, 70), (130, 20, 40)])
def test_linear(shape, dtype):
    n, c, k = shape
    x, w, b = numbers((n, c), dtype), numbers((k, c), dtype, 1, special=False), numbers(k, dtype, 2)
    plain = cpu.linear_forward(x, w, b)
    for activation in ACTIVATIONS:
        assert_bits(cpu.linear_forward(x, w, b, activation=activation), followed(plain, None, activation))
    dy = numbers((n, k), dtype, 3)
    plain = cpu.linear_backward_input(dy, w)
    for masking in MASKINGS:
        mask = outputs((n, c), dtype, masking)
        got = cpu.linear_backward_input(dy, w, mask=mask, masking=masking)
        assert_bits(got, followed(plain, None, None, mask, masking))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (7, 5), (3, 37, 17, 31)])
def test_add(shape, dtype):
    a, b = numbers(shape, dtype), numbers(shape, dtype, 1)
    for activation, masking in PAIRS:
        mask = None if masking is None else outputs(shape, dtype, masking)
        got = cpu.add(a, b, activation=activation, mask=mask, masking=masking)
        assert_bits(got, followed(cpu.add(a, b), None, activation, mask, masking))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", PRODUCTS, ids=cases.name)
def test_products(case, dtype):
    for pair in fused.forms(case, dtype):
        assert_bits(*pair)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (7, 5), (3, 37, 17, 31)])
def test_dropout(shape, dtype):
    x = numbers(shape, dtype)
    for axes in (None, len(shape) // 2):
        plain = cpu.dropout(x, 0.3, 2**40 + 5, axes)
        for add in (None, numbers(shape, dtype, 1)):
            for activation, masking in PAIRS:
                mask = None if masking is None else outputs(shape, dtype, masking)
                got = cpu.dropout(x, 0.3, 2**40 + 5, axes, add=add, activation=activation, mask=mask, masking=masking)
                assert_bits(got, followed(plain, add, activation, mask, masking))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", NORMS)
def test_batch_norm_forward(shape, dtype):
    x = 3 + numbers(shape, dtype, special=False)
    gamma, beta, mean = numbers((3, shape[1]), dtype, 1, special=False)
    var = mean * mean + dtype_number(dtype, 0.25)
    plain, *statistics = cpu.batchnorm_forward(x, gamma, beta, 1e-3)
    still = cpu.batchnorm_inference(x, gamma, beta, mean, var, 1e-3)
    for add in (None, numbers(shape, dtype, 2)):
        for activation in (None, *ACTIVATIONS):
            y, *others = cpu.batchnorm_forward(x, gamma, beta, 1e-3, add=add, activation=activation)
            assert_bits(y, followed(plain, add, activation))
            for ours, theirs in zip(others, statistics, strict=True):
                assert_bits(ours, theirs)
            y = cpu.batchnorm_inference(x, gamma, beta, mean, var, 1e-3, add=add, activation=activation)
            assert_bits(y, followed(still, add, activation))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, groups", [((33, 70), 7), ((3, 6, 5, 7), 2), ((2, 192, 4, 5), 3), ((2, 64, 40, 30), 8)])
def test_norms_of_samples(shape, groups, dtype):
    x = 3 + numbers(shape, dtype, special=False)
    gamma, beta = numbers((2, shape[1]), dtype, 1, special=False)
    for norm in (lambda **more: cpu.groupnorm_forward(x, gamma, beta, groups, 1e-3, **more),
                 lambda **more: cpu.layernorm_forward(x, None, None, len(shape) - 1, 1e-3, **more)):
        plain, *statistics = norm()
        for add in (None, numbers(shape, dtype, 2)):
            for activation in (None, *ACTIVATIONS):
                y, *others = norm(add=add, activation=activation)
                assert_bits(y, followed(plain, add, activation))
                for ours, theirs in zip(others, statistics, strict=True):
                    assert_bits(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norm_backward_without_beta(dtype):
    """It counts as 0 where the input of the activation is worked out again."""
    x, dy, gamma = 3 + numbers((9, 17), dtype, special=False), numbers((9, 17), dtype, 1), numbers(17, dtype, 2)
    y, mean, var = cpu.batchnorm_forward(x, gamma, None, 1e-3)
    for activation in ACTIVATIONS:
        kept = y if DEFINED[activation[0]].reads == "x" else cpu.activation_forward(y, *activation)
        wanted = cpu.batchnorm_backward(cpu.activation_backward(dy, kept, *activation), x, gamma, mean, var, 1e-3)
        got = cpu.batchnorm_backward(dy, x, gamma, mean, var, 1e-3, activation=activation)
        for ours, theirs in zip(got, wanted, strict=True):
            assert_bits(ours, theirs)


def dtype_number(dtype, number):
    return np.dtype(dtype).type(number)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", NORMS)
def test_batch_norm_backward(shape, dtype):
    """The input of the activation, worked out again, has the bits that it had."""
    x, dy = 3 + numbers(shape, dtype, special=False), numbers(shape, dtype, 1, special=False)
    gamma, beta = numbers((2, shape[1]), dtype, 2, special=False)
    y, mean, var = cpu.batchnorm_forward(x, gamma, beta, 1e-3)
    for activation in ACTIVATIONS:
        kept = y if DEFINED[activation[0]].reads == "x" else cpu.activation_forward(y, *activation)
        g = cpu.activation_backward(dy, kept, *activation)
        wanted = cpu.batchnorm_backward(g, x, gamma, mean, var, 1e-3)
        got = cpu.batchnorm_backward(dy, x, gamma, mean, var, 1e-3, beta=beta, activation=activation)
        for ours, theirs in zip(got, wanted, strict=True):
            assert_bits(ours, theirs)


class Compilations(event.Listener):
    """Counts what Numba compiles."""

    def __init__(self):
        self.count = 0

    def on_start(self, event):
        self.count += 1

    def on_end(self, event):
        pass


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_no_kernel_is_compiled_for_an_activation():
    """Once a kernel is there, and an activation has been used anywhere."""
    images, x, vector = numbers((2, 16, 6, 8), "float32"), numbers((6, 16), "float32"), np.ones(16, "float32")
    w, filters, where = numbers((16, 16), "float32"), numbers((16, 16, 3, 3), "float32"), ((1, 1), (1, 1, 1, 1), (1, 1))

    def everything(activation, masking, add):
        mask = None if masking is None else images
        cpu.add(images, images, activation=activation, mask=mask, masking=masking)
        cpu.dropout(images, 0.5, 1, add=add, activation=activation, mask=mask, masking=masking)
        cpu.linear_forward(x, w, activation=activation)
        cpu.linear_backward_input(x, w, mask=None if masking is None else x, masking=masking)
        cpu.conv2d_backward_input(images, filters, images.shape, *where, 1, add=add, mask=mask, masking=masking)
        cpu.groupnorm_forward(images, vector, vector, 4, 1e-3, add=add, activation=activation)
        cpu.layernorm_forward(images, None, None, 3, 1e-3, add=add, activation=activation)
        y, mean, var = cpu.batchnorm_forward(images, vector, vector, 1e-3, add=add, activation=activation)
        cpu.batchnorm_inference(images, vector, vector, mean, var, 1e-3, add=add, activation=activation)
        cpu.batchnorm_backward(images, images, vector, mean, var, 1e-3, beta=vector, activation=activation)
        for precision in (contextlib.nullcontext, kernels.exact):
            with precision():
                cpu.conv2d_forward(images, filters, None, *where, add=add, activation=activation)

    everything(None, None, None)
    for activation in ACTIVATIONS:
        cpu.activation_backward(cpu.activation_forward(x, *activation), x, *activation)
    listener = Compilations()
    with event.install_listener("numba:compile", listener):
        for activation in ACTIVATIONS:
            everything(activation, None, images)
        for masking in MASKINGS:
            everything(None, masking, None)
    assert listener.count == 0


def test_whole_numbers_come_out_whole():
    """Without Winograd's fractions, and the same as naive."""
    naive = kernels.load("naive")
    for case in CONVOLUTIONS:
        x, w, b = cases.operands(case, cases.integers, np.float32)
        where = cases.geometry(case)
        plain = naive.conv2d_forward(x, w, b, *where)
        add = cases.integers(np.random.default_rng(1), plain.shape).astype(np.float32)
        for activation in ACTIVATIONS[:1] + [("hardtanh", -2.0, 5.0), ("leaky_relu", 2.0, 0.0)]:
            with kernels.exact():
                got = cpu.conv2d_forward(x, w, b, *where, add=add, activation=activation)
            np.testing.assert_array_equal(got, naive.activation_forward(naive.add(plain, add), *activation))


WHERE = (1, 1), (0, 0, 0, 0), (1, 1), 1
X, W, VECTOR = np.ones((1, 3, 4, 4), "f4"), np.ones((2, 3, 1, 1), "f4"), np.ones(3, "f4")
RELU = "relu", 0.0, 0.0


@pytest.mark.parametrize("call, message", [
    (lambda: cpu.conv2d_forward(X, W, None, *WHERE, add=X),
     "expected add of shape (1, 2, 4, 4), got add of shape (1, 3, 4, 4)"),
    (lambda: cpu.conv2d_backward_input(np.ones((1, 2, 4, 4), "f4"), W, X.shape, *WHERE, add=X[:, :2]),
     "expected add of shape (1, 3, 4, 4), got add of shape (1, 2, 4, 4)"),
    (lambda: cpu.batchnorm_forward(X, VECTOR, VECTOR, 1e-5, add=X[:, :2]),
     "expected add of shape (1, 3, 4, 4), got add of shape (1, 2, 4, 4)"),
    (lambda: cpu.batchnorm_inference(X, VECTOR, VECTOR, VECTOR, VECTOR, 1e-5, activation=("swish", 0.0, 0.0)),
     "function must be 'relu', 'leaky_relu', 'hardtanh', 'sigmoid', 'tanh', 'elu', 'selu', 'silu', 'gelu', "
     "'gelu_tanh', 'hardsigmoid', 'hardswish', 'mish', 'softplus', 'softsign', 'log_sigmoid', 'celu', 'softshrink', "
     "'hardshrink', 'tanhshrink' or 'threshold', got 'swish'"),
    (lambda: cpu.batchnorm_backward(X, X, VECTOR, VECTOR, VECTOR, 1e-5, beta=VECTOR[:2], activation=RELU),
     "expected beta of shape (3,), got beta of shape (2,)"),
    (lambda: cpu.groupnorm_forward(X, VECTOR, VECTOR, 3, 1e-5, add=X[:, :2]),
     "expected add of shape (1, 3, 4, 4), got add of shape (1, 2, 4, 4)"),
    (lambda: cpu.layernorm_forward(X, None, None, 3, 1e-5, activation=("elu", -1.0, 0.0)),
     "elu: alpha must be a finite number of at least 0, got -1.0"),
    (lambda: cpu.linear_forward(np.ones((2, 3), "f4"), np.ones((4, 3), "f4"), activation=("elu", -1.0, 0.0)),
     "elu: alpha must be a finite number of at least 0, got -1.0"),
    (lambda: cpu.multiply(X, X[:, :, :1], shared=X), "expected shared of shape (1, 3, 1, 4), got shared of shape "
     "(1, 3, 4, 4)"),
    (lambda: cpu.add(X, X, mask=X), "mask and masking come together, got mask alone"),
    (lambda: cpu.add(X, X, masking=RELU), "mask and masking come together, got masking alone"),
    (lambda: cpu.add(X, X, mask=X[:, :2], masking=RELU),
     "expected mask of shape (1, 3, 4, 4), got mask of shape (1, 2, 4, 4)"),
    (lambda: cpu.add(X, X, mask=X, masking=("silu", 0.0, 0.0)),
     "the derivative of silu does not follow from its output, which a mask is"),
])
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message
