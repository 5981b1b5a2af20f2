"""PyTorch's own samples of its modules: what it is tested with itself, of every name that fastnet has too.

Each sample is computed alike, values and gradients, or refused in one sentence: inputs without a batch axis and losses
that are not reduced are outside the protocol. `SAME` is how many of each are computed.
"""
import numpy as np
import pytest

import fastnet
from fastnet.layers import Layer
from fastnet.program import trees

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's samples want it")

from torch.testing._internal.common_modules import module_db  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:reduction")     # of PyTorch, where KLDivLoss takes a mean

SAMPLES = {info.module_cls.__name__: info for info in module_db if hasattr(fastnet, info.module_cls.__name__)}

# How many of PyTorch's samples are computed, and not refused.
SAME = {
    "AdaptiveAvgPool2d": 4, "AdaptiveMaxPool2d": 3, "AvgPool2d": 6, "BCELoss": 3, "BCEWithLogitsLoss": 3, "BatchNorm1d":
    7, "BatchNorm2d": 6, "CELU": 3, "CircularPad2d": 3, "ConstantPad2d": 1, "Conv1d": 2, "Conv2d": 2, "ConvTranspose2d":
    1, "CrossEntropyLoss": 47, "ELU": 4, "Embedding": 2, "GELU": 3, "GRU": 0, "GroupNorm": 10, "Hardshrink": 3,
    "Hardswish": 2, "Hardtanh": 3, "HuberLoss": 3, "InstanceNorm2d": 4, "KLDivLoss": 4, "L1Loss": 3, "LSTM": 0,
    "LayerNorm": 6, "LeakyReLU": 5, "Linear": 2, "LocalResponseNorm": 3, "LogSigmoid": 3, "LogSoftmax": 3, "MSELoss": 3,
    "MaxPool2d": 2, "Mish": 3, "MultiLabelSoftMarginLoss": 3, "MultiMarginLoss": 5, "NLLLoss": 24, "PReLU": 8,
    "PoissonNLLLoss": 6, "RMSNorm": 5, "RNN": 0, "ReLU": 4, "ReLU6": 4, "ReflectionPad2d": 1, "ReplicationPad2d": 1,
    "SELU": 3, "SiLU": 3, "Sigmoid": 4, "SmoothL1Loss": 3, "SoftMarginLoss": 3, "Softmax": 2, "Softplus": 5,
    "Softshrink": 4, "Softsign": 3, "Tanh": 3, "Tanhshrink": 3, "Threshold": 4, "ZeroPad2d": 1,
}


def samples(name):
    """PyTorch's samples of a module, in training."""
    info = SAMPLES[name]
    torch.manual_seed(0)
    return info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=True, training=True)


def as_array(value):
    """A tensor as an array, within tuples too."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(as_array, value))
    return value.detach().numpy().copy() if torch.is_tensor(value) else value


def flat(values):
    """Tensors within tuples, one after another."""
    for value in values if isinstance(values, (tuple, list)) else [values]:
        yield from flat(value) if isinstance(value, (tuple, list)) else [value]


def leaf(value):
    """A tensor to differentiate by, where it holds real numbers."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(leaf, value))
    if torch.is_tensor(value):
        value = value.detach().clone()
        return value.requires_grad_() if value.is_floating_point() else value
    return value


def same(actual, wanted):
    actual, wanted = np.asarray(actual), wanted.detach().numpy()
    assert actual.shape == wanted.shape
    np.testing.assert_allclose(actual, wanted, rtol=2e-4, atol=2e-5 * max(1, np.abs(wanted).max(initial=0)))


def made(name, sample, backend):
    """Ours, from the sample's arguments; PyTorch's, with the same weights."""
    args, options = sample.constructor_input.args, dict(sample.constructor_input.kwargs)
    judge = getattr(torch.nn, name)(*args, **options)
    for unknown in ("device", "dtype", "inplace"):
        options.pop(unknown, None)
    options = {key: as_array(value) for key, value in options.items()}
    ours = getattr(fastnet, name)(*map(as_array, args), **options)
    if isinstance(ours, Layer):
        ours.load_state_dict({key: value.numpy() for key, value in judge.state_dict().items()})
        return ours.to(backend), judge.train()
    ours.backend = backend
    return ours, judge


def judged(name, sample, backend):
    """None where a sample is computed alike, the error where it is refused; AssertionError where they differ."""
    given = [leaf(value) for value in (*sample.forward_input.args, *sample.forward_input.kwargs.values())]
    try:
        ours, judge = made(name, sample, backend)
        if not isinstance(ours, Layer):
            given[1:] = [value.detach() if torch.is_tensor(value) else value for value in given[1:]]
            value, gradient = ours(*map(as_array, given))
        else:
            y = ours.forward(tuple(map(as_array, given)) if len(given) > 1 else as_array(given[0]), training=True)
    except (TypeError, ValueError) as error:
        return error
    expected = judge(*given)
    if not isinstance(ours, Layer):
        if torch.isnan(expected) and value == 0:    # the mean over no label at all: here it moves nothing
            assert not gradient.any()
            return ValueError("PyTorch gives NaN")
        same(value, expected)
        expected.backward()
        same(gradient, given[0].grad)
        return None
    results, wanted = trees.flat(y), list(flat(expected))
    dys = []
    for actual, other in zip(results, wanted, strict=True):
        same(actual, other)
        dys.append(torch.from_numpy(np.random.default_rng(1).standard_normal(actual.shape).astype(np.float32)))
    torch.autograd.backward([other for other in wanted if other.requires_grad],
                            [dy for dy, other in zip(dys, wanted, strict=True) if other.requires_grad])
    dx = ours.backward(trees.build(trees.form(y), [dy.numpy() for dy in dys]))
    for actual, tensor in zip(trees.flat(dx), flat(given), strict=True):
        if torch.is_tensor(tensor) and tensor.requires_grad and tensor.grad is not None:
            same(actual, tensor.grad)
    for (_, parameter), (_, other) in zip(ours.named_parameters(), judge.named_parameters(), strict=True):
        same(parameter.grad, other.grad)
    return None


def count(name, backend):
    """How many samples are computed; AssertionError where one is wrong, or refused in too many words."""
    computed = 0
    for sample in samples(name):
        refusal = judged(name, sample, backend)
        if refusal is None:
            computed += 1
        else:
            assert str(refusal) and len(str(refusal)) < 400 and "\n" not in str(refusal), refusal
    return computed


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_by_definition(name):
    assert count(name, "naive") == SAME.get(name, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_compiled(name):
    assert count(name, "cpu") == SAME.get(name, 0)
