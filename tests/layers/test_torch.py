"""PyTorch as the outside judge: layers written alike, the same weights by name, the same values and gradients."""
from collections import OrderedDict

import numpy as np
import pytest

from fastnet import layers
from fastnet.program import trees

from .battery import STATES, STEPS, Integers, arrays

torch = pytest.importorskip("torch")

CASES = [
    ("Conv2d(3, 8, 3)", (2, 3, 7, 6)),
    ("Conv2d(4, 6, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False)",
     (2, 4, 9, 8)),
    ("Conv2d(4, 6, 5, padding='same', dilation=(1, 2))", (2, 4, 9, 8)),
    ("Conv2d(4, 8, 3, padding='valid', groups=4)", (2, 4, 5, 6)),
    ("Conv1d(3, 8, 3)", (2, 3, 9)),
    ("Conv1d(4, 6, 3, 2, 1, 2, 2, False)", (2, 4, 10)),
    ("Conv1d(4, 6, kernel_size=(3,), stride=(1,), padding='same', dilation=(1,), padding_mode='zeros')", (2, 4, 9)),
    ("Conv1d(4, 8, 5, padding='valid', groups=4)", (2, 4, 9)),
    ("Conv1d(4, 6, 3, 2, 2, padding_mode='circular')", (2, 4, 9)),
    ("Conv1d(4, 6, 5, padding='same', padding_mode='replicate')", (2, 4, 9)),
    ("ConvTranspose2d(3, 8, 2, 2)", (2, 3, 7, 6)),
    ("ConvTranspose2d(4, 6, (3, 4), (2, 3), (1, 0), (1, 2), 2, False, (2, 1), 'zeros')", (2, 4, 5, 4)),
    ("ConvTranspose2d(4, 8, 3, padding=1, groups=4)", (2, 4, 5, 6)),
    ("ConvTranspose2d(3, 2, 3, stride=1, output_padding=1, dilation=2)", (2, 3, 5, 6)),
    ("Sequential(Conv1d(3, 4, 3), ReLU(), Conv1d(4, 5, 2, stride=2), Tanh(), Flatten(), Linear(20, 3))", (4, 3, 10)),
    ("Sequential(Conv2d(3, 4, 3, 2), ReLU(), ConvTranspose2d(4, 5, 4, 2, 1, bias=False), BatchNorm2d(5), ReLU(), "
     "ConvTranspose2d(5, 3, 3, padding=1), GELU())", (4, 3, 9, 9)),
    ("Linear(5, 7)", (3, 5)),
    ("Linear(5, 7, bias=False)", (3, 5)),
    ("Linear(5, 7)", (3, 4, 5)),
    ("Linear(5, 7, bias=False)", (2, 3, 4, 5)),
    ("Sequential(Linear(5, 7), ReLU(), Linear(7, 2))", (2, 3, 1, 2, 5)),
    ("PReLU()", (2, 3, 7, 6)),
    ("PReLU(3)", (2, 3, 7, 6)),
    ("PReLU(3, init=0.7)", (4, 3, 5)),
    ("PReLU(5, 0.0)", (4, 5)),
    ("CELU(0.4)", (2, 3, 7, 6)),
    ("LogSigmoid()", (2, 3, 7, 6)),
    ("Softshrink(0.3)", (2, 3, 7, 6)),
    ("Hardshrink()", (3, 5)),
    ("Tanhshrink()", (2, 3, 7, 6)),
    ("Threshold(-0.2, 3.5)", (2, 3, 7, 6)),
    ("Softmax(dim=-1)", (2, 3, 7, 6)),
    ("Softmax(dim=1)", (2, 3, 7, 6)),
    ("LogSoftmax(dim=2)", (2, 3, 7, 6)),
    ("LogSoftmax(dim=0)", (4, 5)),
    ("Flatten(2)", (2, 3, 7, 6)),
    ("Flatten(0, -2)", (2, 3, 7, 6)),
    ("Flatten(1, 2)", (2, 3, 2, 7, 6)),
    ("Unflatten(1, (2, 3))", (2, 6, 4, 5)),
    ("Unflatten(-1, (2, 1, 3))", (2, 6)),
    ("ChannelShuffle(3)", (2, 6, 4, 5)),
    ("MaxPool2d(2)", (2, 3, 7, 6)),
    ("MaxPool2d(3, stride=2, padding=1)", (2, 3, 7, 6)),
    ("MaxPool2d((3, 2), 2, 1, (2, 3), ceil_mode=True)", (2, 3, 9, 8)),
    ("MaxPool2d(2, ceil_mode=True)", (2, 3, 7, 6)),
    ("AvgPool2d((3, 2), stride=(1, 2), padding=1)", (2, 3, 7, 6)),
    ("AvgPool2d(3, 2, 1, True)", (2, 3, 8, 7)),
    ("AvgPool2d(3, 2, 1, True, False)", (2, 3, 8, 7)),
    ("AvgPool2d(2, divisor_override=3)", (2, 3, 7, 6)),
    ("AvgPool2d(3, 2, 1, count_include_pad=False)", (2, 3, 7, 6)),
    ("AdaptiveAvgPool2d(1)", (2, 3, 7, 6)),
    ("AdaptiveAvgPool2d((3, None))", (2, 3, 7, 6)),
    ("AdaptiveAvgPool2d(9)", (2, 3, 7, 6)),
    ("Conv2d(3, 8, 3, padding=(2, 1), padding_mode='reflect')", (2, 3, 7, 6)),
    ("Conv2d(4, 6, (3, 4), padding='same', dilation=(1, 2), groups=2, padding_mode='circular')", (2, 4, 9, 8)),
    ("Conv2d(3, 8, 3, stride=2, padding=4, padding_mode='replicate')", (2, 3, 7, 6)),
    ("ZeroPad2d(2)", (2, 3, 7, 6)),
    ("ZeroPad2d((1, -2, -1, 3))", (2, 3, 7, 6)),
    ("ConstantPad2d((1, 2, 0, 3), 0.7)", (2, 3, 7, 6)),
    ("ReflectionPad2d((1, 2, 0, 3))", (2, 3, 7, 6)),
    ("ReplicationPad2d((1, 2, 0, 3))", (2, 3, 7, 6)),
    ("CircularPad2d((1, 2, 0, 3))", (2, 3, 7, 6)),
    ("Upsample(scale_factor=2)", (2, 3, 7, 6)),
    ("Upsample(scale_factor=1.7)", (2, 3, 7, 6)),
    ("Upsample(scale_factor=1.1)", (2, 3, 5, 4)),
    ("Upsample((5, 11))", (2, 3, 7, 6)),
    ("Upsample(scale_factor=(2, 3.3), mode='bilinear')", (2, 3, 7, 6)),
    ("Upsample(scale_factor=1.3, mode='bilinear', recompute_scale_factor=True)", (2, 3, 7, 6)),
    ("Upsample((5, 11), mode='bilinear', align_corners=True)", (2, 3, 7, 6)),
    ("UpsamplingNearest2d((9, 4))", (2, 3, 7, 6)),
    ("UpsamplingBilinear2d(scale_factor=2)", (2, 3, 7, 6)),
    ("PixelShuffle(3)", (2, 18, 3, 4)),
    ("PixelUnshuffle(2)", (2, 3, 8, 6)),
    ("AdaptiveMaxPool2d(1)", (2, 3, 7, 6)),
    ("AdaptiveMaxPool2d(1)", (2, 3, 17, 16)),
    ("AdaptiveMaxPool2d(7)", (2, 3, 9, 5)),
    ("AdaptiveMaxPool2d((None, 2))", (2, 3, 4, 7)),
    ("Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveMaxPool2d((2, 3)), Flatten())", (2, 3, 9, 8)),
    ("BatchNorm2d(3)", (2, 3, 7, 6)),
    ("BatchNorm2d(3, eps=0.01, momentum=0.3)", (2, 3, 7, 6)),
    ("BatchNorm2d(3, momentum=None)", (2, 3, 7, 6)),
    ("BatchNorm1d(5)", (4, 5)),
    ("BatchNorm1d(5, momentum=0.4)", (4, 5, 7)),
    ("BatchNorm2d(3, affine=False)", (2, 3, 7, 6)),
    ("BatchNorm2d(3, bias=False)", (2, 3, 7, 6)),
    ("BatchNorm2d(3, track_running_stats=False)", (2, 3, 7, 6)),
    ("BatchNorm1d(5, affine=False, track_running_stats=False)", (4, 5)),
    ("InstanceNorm2d(3)", (2, 3, 7, 6)),
    ("InstanceNorm2d(3, affine=True)", (2, 3, 7, 6)),
    ("InstanceNorm2d(3, momentum=0.3, affine=True, track_running_stats=True, bias=False)", (2, 3, 7, 6)),
    ("GroupNorm(3, 6)", (2, 6, 7, 6)),
    ("GroupNorm(2, 6, eps=0.01, affine=False)", (2, 6, 5)),
    ("GroupNorm(2, 6, bias=False)", (3, 6)),
    ("LayerNorm(5)", (3, 5)),
    ("LayerNorm([3, 7, 6])", (2, 3, 7, 6)),
    ("LayerNorm((7, 6), bias=False)", (2, 3, 7, 6)),
    ("LayerNorm(6, elementwise_affine=False)", (2, 3, 7, 6)),
    ("LayerNorm(5, eps=0.01)", (2, 4, 5)),
    ("LayerNorm(5)", (2, 3, 2, 4, 5)),
    ("LayerNorm((2, 4, 5))", (2, 3, 2, 4, 5)),
    ("RMSNorm((3, 2, 4, 5))", (2, 3, 2, 4, 5)),
    ("RMSNorm(5)", (2, 4, 5)),
    ("RMSNorm((3, 7, 6), eps=0.01)", (2, 3, 7, 6)),
    ("RMSNorm(5, elementwise_affine=False)", (3, 5)),
    ("LocalResponseNorm(2)", (2, 7, 5, 6)),
    ("LocalResponseNorm(5, alpha=0.5, beta=0.6, k=2.0)", (2, 7, 5)),
    ("Sequential(Conv2d(3, 4, 3), GroupNorm(2, 4), ReLU(), Conv2d(4, 4, 3), LayerNorm((4, 4, 4)), GELU(), "
     "Conv2d(4, 3, 1, bias=False), BatchNorm2d(3, affine=False), SiLU(), LocalResponseNorm(3), Flatten(), RMSNorm(48), "
     "Linear(48, 3))", (4, 3, 8, 8)),
    ("ReLU()", (2, 3, 7, 6)),
    ("LeakyReLU()", (2, 3, 7, 6)),
    ("LeakyReLU(0.2)", (3, 5)),
    ("Hardtanh()", (2, 3, 7, 6)),
    ("Hardtanh(-0.7, 0.4)", (3, 5)),
    ("ReLU6()", (2, 3, 7, 6)),
    ("Sequential(Linear(5, 40), ReLU6(), Linear(40, 3), Hardswish())", (30, 5)),
    ("Sigmoid()", (2, 3, 7, 6)),
    ("Tanh()", (2, 3, 7, 6)),
    ("ELU()", (2, 3, 7, 6)),
    ("ELU(alpha=0.6)", (3, 5)),
    ("GELU()", (2, 3, 7, 6)),
    ("Mish()", (2, 3, 7, 6)),
    ("SELU()", (2, 3, 7, 6)),
    ("Hardsigmoid()", (2, 3, 7, 6)),
    ("Softplus()", (2, 3, 7, 6)),
    ("Softplus(beta=2.0, threshold=1.0)", (3, 5)),
    ("Softsign()", (2, 3, 7, 6)),
    ("GELU(approximate='tanh')", (2, 3, 7, 6)),
    ("Hardswish()", (2, 3, 7, 6)),
    ("SiLU()", (2, 3, 7, 6)),
    ("Softmax(dim=1)", (3, 5)),
    ("LogSoftmax(dim=1)", (3, 5)),
    ("Embedding(7, 3)", Integers((4, 2))),
    ("Embedding(5, 3, padding_idx=-1, scale_grad_by_freq=True)", Integers((9,))),
    ("Embedding(5, 3)", Integers((2, 3, 2, 2))),
    ("RNN(5, 4)", STEPS),
    ("RNN(5, 4, 2, 'relu', bias=False)", [STEPS, STATES[0]]),
    ("GRU(5, 4, bidirectional=True)", [STEPS, STATES[0]]),
    ("GRU(5, 4, 3, batch_first=True, dropout=0.0)", STEPS),
    ("LSTM(5, 4)", STEPS),
    ("LSTM(5, 4, num_layers=2, bias=False)", [STEPS, STATES]),
    ("LSTM(5, 17, 2, batch_first=True, bidirectional=True)", (30, 4, 5)),
    ("Flatten()", (2, 3, 7, 6)),
    ("Sequential(Conv2d(3, 4, 3, bias=False), BatchNorm2d(4), ReLU(), Sequential(Conv2d(4, 5, 2), ReLU()), "
     "MaxPool2d(2), Flatten(), Linear(20, 3))", (4, 3, 8, 8)),
    ("Sequential(Conv2d(3, 4, 3), GELU(), Conv2d(4, 4, 3, bias=False), BatchNorm2d(4), LeakyReLU(0.1), "
     "Conv2d(4, 5, 1), Tanh(), AvgPool2d(2), Flatten(), Linear(20, 3), Sigmoid())", (4, 3, 8, 8)),
]


def compare(net, judge, x, tolerance=2e-5, dtype=None):
    """Train both for one step on the same weights: values, gradients, running statistics, then inference. x is an array
    or a tree of them, which PyTorch takes as several arguments."""
    dtype = dtype or next(one.dtype.name for one in (*trees.flat(x), np.float32()) if one.dtype.kind == "f")
    net, judge = net.astype(dtype), judge.to(getattr(torch, dtype))
    net.load_state_dict({name: value.numpy() for name, value in judge.state_dict().items()})
    tx = trees.map(lambda one: torch.tensor(one, requires_grad=one.dtype.kind == "f"), x)
    given = tx if isinstance(tx, tuple) else (tx,)
    expected = judge.train()(*given)
    dy = trees.map(lambda one: arrays(tuple(one.shape), dtype, seed=5), expected)
    torch.autograd.backward(trees.flat(expected), list(map(torch.tensor, trees.flat(dy))))
    y = net.forward(x, training=True)
    dx = net.backward(dy)

    def same(actual, wanted):
        wanted = wanted.detach().numpy()
        assert actual.shape == wanted.shape
        assert np.linalg.norm(actual - wanted) <= tolerance * max(np.linalg.norm(wanted), 1e-2)

    assert trees.form(y) == trees.form(expected)
    for actual, wanted in zip(trees.flat(y), trees.flat(expected), strict=True):
        same(actual, wanted)
    for actual, wanted in zip(trees.flat(dx), trees.flat(tx), strict=True):
        if actual is None:
            assert wanted.grad is None
        else:
            same(actual, wanted.grad)
    for (name, parameter), (other, wanted) in zip(net.named_parameters(), judge.named_parameters(), strict=True):
        assert name == other
        same(parameter.grad, wanted.grad)
    state, wanted = net.state_dict(), judge.state_dict()
    assert list(state) == list(wanted)
    for name, value in state.items():
        same(value, wanted[name])
    for actual, wanted in zip(trees.flat(net(x)), trees.flat(judge.eval()(*given)), strict=True):
        same(actual, wanted)


@pytest.mark.parametrize(("text", "shape"), CASES, ids=[text[:60] for text, _ in CASES])
def test_layer(text, shape):
    compare(eval(text, dict(vars(layers))), eval(text, dict(vars(torch.nn))), arrays(shape))
    judge = eval(text, dict(vars(torch.nn)))
    judge.load_state_dict({name: torch.tensor(value)
                           for name, value in eval(text, dict(vars(layers))).state_dict().items()})


FUNCTIONS = [
    ("Mean((2, 3))", lambda x: x.mean((2, 3)), [(2, 3, 7, 6)]),
    ("Mean(-1, keepdim=True)", lambda x: x.mean(-1, keepdim=True), [(2, 3, 7, 6)]),
    ("Mean([0, 2])", lambda x: x.mean((0, 2)), [(2, 3, 7, 6)]),
    ("Mean(1)", lambda x: x.mean(1), [(4, 5)]),
    ("Permute((0, 2, 3, 1))", lambda x: x.permute(0, 2, 3, 1), [(2, 3, 7, 6)]),
    ("Permute((1, 0, 3, 2))", lambda x: x.permute(1, 0, 3, 2), [(2, 3, 7, 6)]),
    ("Chunk(2)", lambda x: x.chunk(2, 1), [(2, 5, 7, 6)]),
    ("Chunk(4, dim=2)", lambda x: x.chunk(4, 2), [(2, 3, 9, 6)]),
    ("Chunk(5, -1)", lambda x: x.chunk(5, -1), [(2, 3)]),
    ("Concat(-1)", lambda *x: torch.cat(x, -1), [(2, 3, 4, 5), (2, 3, 4, 1)]),
    ("Multiply()", lambda a, b: a * b, [(2, 3, 7, 6), (2, 3, 1, 1)]),
    ("Multiply()", lambda a, b, c: a * b * c, [(2, 1, 7, 6), (2, 3, 7, 6), (1, 3, 1, 6)]),
    ("Multiply()", lambda a, b: a * b, [(4, 1), (4, 5)]),
]


@pytest.mark.parametrize("backend", ["cpu", "naive"])
@pytest.mark.parametrize(("text", "judge", "shapes"), FUNCTIONS, ids=[f"{case[0]}-{case[2]}" for case in FUNCTIONS])
def test_what_is_a_function_in_pytorch(text, judge, shapes, backend):
    layer = eval(text, dict(vars(layers))).to(backend)
    xs = [arrays(shape, "float64", seed=i) for i, shape in enumerate(shapes)]
    tensors = [torch.tensor(x, requires_grad=True) for x in xs]
    wanted = judge(*tensors)
    several = isinstance(wanted, tuple)
    for _ in range(4):
        y = layer.forward(tuple(xs) if len(xs) > 1 else xs[0], training=True)
        dy = trees.map(lambda one: np.cos(3 * one), y)
        for ours, theirs in zip(trees.flat(y), wanted if several else [wanted], strict=True):
            np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12)
        grads = torch.autograd.grad(wanted, tensors, [torch.tensor(one) for one in trees.flat(dy)], retain_graph=True)
        for ours, theirs in zip(trees.flat(layer.backward(dy)), grads, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-12)


def test_rows_are_named_as_in_pytorch():
    """By an ordered dictionary's keys; slices keep the names, and what is changed is named alike."""
    def make(nn):
        net = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 4, 3), act=nn.ReLU(), rest=nn.Sequential(
            nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 4))))
        net.rest[1] = nn.Linear(64, 7)
        net.rest[-1] = nn.Linear(7, 2)
        net.rest.append(nn.ReLU())
        net.rest.insert(2, nn.Linear(7, 7))
        del net.rest[3]
        return net

    layers.Sequential.rest = property(lambda net: net["rest"])
    try:
        net, judge = make(layers), make(torch.nn)
        compare(net, judge, arrays((2, 3, 6, 6)))
        names = [[name for name, _ in one.named_parameters()] for one in (net[1:], judge[1:])]
        assert names[0] == names[1] == [f"rest.{i}.{name}" for i in (1, 2, 3) for name in ("weight", "bias")]
    finally:
        del layers.Sequential.rest


@pytest.mark.parametrize("backend", ["cpu", "naive"])
@pytest.mark.parametrize("momentum", [None, 0.3])
@pytest.mark.parametrize("text", ["Sequential(BatchNorm2d(3, momentum=M))",
                                  "Sequential(Conv2d(3, 3, 3), BatchNorm2d(3, momentum=M), ReLU())"])
def test_running_statistics_of_many_batches(text, momentum, backend):
    """In passes that are recorded too, and after an inference, and where a state was loaded in between."""
    text = text.replace("M", str(momentum))
    net = eval(text, dict(vars(layers))).to(backend)
    judge = eval(text, dict(vars(torch.nn))).train()
    net.load_state_dict(judge.state_dict())
    for i in range(6):
        x = arrays((4, 3, 6, 5), seed=i) * (1 + i)
        net(x)
        net.forward(x, training=True)
        judge(torch.tensor(x))
        for name, value in judge.state_dict().items():
            np.testing.assert_allclose(net.state_dict()[name], value.numpy(), rtol=1e-5, atol=1e-6)
        if i == 3:
            net.load_state_dict(net.state_dict())
