"""Plans: what is fused, that fusion changes no number, and that a user's layer is left as it is."""
from collections import Counter

import numpy as np
import pytest

from fastnet import init, kernels, manual_seed
from fastnet.layers import (
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Checkpoint,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Layer,
    Linear,
    MaxPool2d,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    SiLU,
)
from fastnet.layers.compose import MOST_PLANS

IMAGES = (6, 3, 8, 8)

NETS = {
    "conv": (lambda: [Conv2d(3, 4, 3), ReLU(), Conv2d(4, 5, 3), ReLU(), Conv2d(5, 2, 1)],
             ['Conv2d "0" + ReLU "1"', 'Conv2d "2" + ReLU "3"', 'Conv2d "4"']),
    "pool": (lambda: [Conv2d(3, 4, 3), ReLU(), MaxPool2d(2), ReLU(), Flatten(), Linear(36, 5), ReLU(), Linear(5, 2)],
             ['Conv2d "0" + ReLU "1" + MaxPool2d "2" + ReLU "3"', 'Flatten "4"', 'Linear "5" + ReLU "6"',
              'Linear "7"']),
    "halves": (lambda: [Conv2d(3, 4, 3, padding=1), MaxPool2d(2), BatchNorm2d(4), ReLU(), Conv2d(4, 5, 3, padding=1),
                        ReLU(), MaxPool2d(2), MaxPool2d(2), Flatten(), Linear(5, 2)],
               ['Conv2d "0" + MaxPool2d "1"', 'BatchNorm2d "2" + ReLU "3"',
                'Conv2d "4" + ReLU "5" + MaxPool2d "6"', 'MaxPool2d "7"', 'Flatten "8"', 'Linear "9"']),
    "norm and halves": (lambda: [Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), MaxPool2d(2), Conv2d(4, 4, 1),
                                 BatchNorm2d(4), MaxPool2d((2, 2), 2), ReLU(), Conv2d(4, 2, 1)],
                        ['Conv2d "0" + BatchNorm2d "1" + ReLU "2" + MaxPool2d "3"',
                         'Conv2d "4" + BatchNorm2d "5" + MaxPool2d "6" + ReLU "7"', 'Conv2d "8"']),
    "other poolings": (lambda: [Conv2d(3, 4, 1), MaxPool2d(2, 1), Conv2d(4, 4, 1), MaxPool2d(2, padding=1),
                                Residual(Sequential(Conv2d(4, 4, 1), MaxPool2d(1))), AvgPool2d(2)],
                       ['Conv2d "0"', 'MaxPool2d "1"', 'Conv2d "2"', 'MaxPool2d "3"', 'Residual "4"',
                        'AvgPool2d "5"']),
    "largest of all": (lambda: [Conv2d(3, 4, 3), AdaptiveMaxPool2d(1), ReLU(), Conv2d(4, 2, 1)],
                       ['Conv2d "0"', 'AdaptiveMaxPool2d "1" + ReLU "2"', 'Conv2d "3"']),
    "halved shortcut": (lambda: [Conv2d(3, 4, 1), ReLU(),
                                 Residual(Sequential(Conv2d(4, 4, 3, padding=1), ReLU(), MaxPool2d(2)),
                                          Sequential(Conv2d(4, 4, 1), MaxPool2d(2))), ReLU(), Conv2d(4, 2, 1)],
                        ['Conv2d "0" + ReLU "1"', 'Residual "2" + ReLU "3"', 'Conv2d "4"']),
    "relu first": (lambda: [ReLU(), MaxPool2d(2), ReLU(), MaxPool2d(2), Conv2d(3, 2, 1)],
                   ['ReLU "0" + MaxPool2d "1"', 'ReLU "2" + MaxPool2d "3"', 'Conv2d "4"']),
    "relu twice": (lambda: [ReLU(), ReLU(), Conv2d(3, 4, 1), ReLU(), ReLU(), MaxPool2d(2), AvgPool2d(2), ReLU()],
                   ['ReLU "0"', 'ReLU "1"', 'Conv2d "2" + ReLU "3" + ReLU "4" + MaxPool2d "5"', 'AvgPool2d "6"',
                    'ReLU "7"']),
    "norm": (lambda: [Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Conv2d(4, 4, 1, bias=False), BatchNorm2d(4), ReLU(),
                      MaxPool2d(3, 2, 1), BatchNorm2d(4), ReLU(), Flatten(), Linear(36, 4), BatchNorm1d(4), ReLU()],
             ['Conv2d "0" + BatchNorm2d "1" + ReLU "2"', 'Conv2d "3" + BatchNorm2d "4"',
              'ReLU "5" + MaxPool2d "6"', 'BatchNorm2d "7" + ReLU "8"', 'Flatten "9"', 'Linear "10"',
              'BatchNorm1d "11" + ReLU "12"']),
    "silu": (lambda: [SiLU(), Conv2d(3, 4, 3, padding=1), MaxPool2d(2), BatchNorm2d(4), SiLU(), ReLU(),
                      Residual(Sequential(Conv2d(4, 4, 3, padding=1), BatchNorm2d(4), SiLU(), SiLU(),
                                          Conv2d(4, 4, 3, padding=1), BatchNorm2d(4), SiLU())),
                      SiLU(), Conv2d(4, 4, 1), BatchNorm2d(4), SiLU(), MaxPool2d(2), BatchNorm2d(4), ReLU(), SiLU(),
                      Flatten(), Linear(16, 4), BatchNorm1d(4), SiLU()],
             ['SiLU "0"', 'Conv2d "1" + MaxPool2d "2"', 'BatchNorm2d "3" + SiLU "4"', 'ReLU "5"', 'Residual "6"',
              'SiLU "7"', 'Conv2d "8" + BatchNorm2d "9" + SiLU "10"', 'MaxPool2d "11"', 'BatchNorm2d "12" + ReLU "13"',
              'SiLU "14"', 'Flatten "15"', 'Linear "16"', 'BatchNorm1d "17" + SiLU "18"']),
    "residual": (lambda: [Conv2d(3, 4, 1), ReLU(), Residual(Sequential(Conv2d(4, 4, 3, padding=1), BatchNorm2d(4))),
                          ReLU(), Residual(Conv2d(4, 4, 1), Conv2d(4, 4, 1)), ReLU(), Dropout(0), Residual(Identity()),
                          ReLU()],
                 ['Conv2d "0" + ReLU "1"', 'Residual "2" + ReLU "3"', 'Residual "4" + ReLU "5"', 'Dropout "6"',
                  'Residual "7" + ReLU "8"']),
    "parallel": (lambda: [Conv2d(3, 4, 1), ReLU(), Parallel(Add(), Conv2d(4, 4, 1), Identity(), Conv2d(4, 4, 1)),
                          ReLU(), Conv2d(4, 4, 1), ReLU(), Parallel(Concat(), Identity(), Identity()), ReLU(),
                          Parallel(Add(), Conv2d(8, 4, 1)), ReLU(), AvgPool2d(2)],
                 ['Conv2d "0" + ReLU "1"', 'Parallel "2" + ReLU "3"', 'Conv2d "4" + ReLU "5"', 'Parallel "6"',
                  'ReLU "7"', 'Parallel "8" + ReLU "9"', 'AvgPool2d "10"']),
    "nested": (lambda: [Sequential(Conv2d(3, 4, 1)), Sequential(Sequential(ReLU()), Conv2d(4, 4, 1), Sequential())],
               ['Conv2d "0.0" + ReLU "1.0.0"', 'Conv2d "1.1"']),
}


def plainly(layers):
    """The layers in a row, each called for itself: forward and backward as Sequential would, without a plan."""
    flat = []
    for layer in layers:
        flat += plainly(layer.layers) if isinstance(layer, Sequential) else [layer]
    return flat


def run(layers, x, dy):
    """y and dx of the layers called one after the other."""
    for layer in layers:
        x = layer.forward(x, True)
    for layer in reversed(layers):
        dy = layer.backward(dy)
    return x, dy


def twins(make):
    """The same net twice with uneven statistics: as a Sequential, and as a list of layers."""
    manual_seed(7)
    net = Sequential(*make())
    manual_seed(7)
    layers = plainly(make())
    for part in (net, Sequential(*layers)):
        for _, layer in part.named_layers():
            if isinstance(layer, (BatchNorm1d, BatchNorm2d)):
                count = layer.num_features
                layer.running_mean = np.linspace(-0.5, 0.5, count, dtype=np.float32)
                layer.running_var = np.linspace(0.5, 2, count, dtype=np.float32)
                layer.weight.value[:] = np.linspace(2, -1, count)
                layer.bias.value[:] = np.linspace(-0.3, 0.4, count)
    return net, layers


@pytest.mark.parametrize("name", NETS)
def test_steps(name):
    make, steps = NETS[name]
    net = Sequential(*make())
    plan = net.plan(IMAGES)
    assert [repr(step) for step in plan.steps] == steps
    assert repr(plan) == "\n  ".join([f"Plan({IMAGES} -> {net.output_shape(IMAGES)})", *steps])
    assert net.plan(IMAGES) is plan and net.plan(list(IMAGES)) is plan and net.plan((1, *IMAGES[1:])) is not plan


@pytest.mark.parametrize("backend", kernels.BACKENDS)
@pytest.mark.parametrize("name", NETS)
def test_fusion_changes_no_number(name, backend):
    make, _ = NETS[name]
    net, layers = twins(make)
    net.to(backend)
    for layer in layers:
        layer.to(backend)
    x = np.random.default_rng(1).standard_normal(IMAGES).astype(np.float32)
    inferred, expected = net(x), x
    for layer in layers:
        expected = layer(expected)
    np.testing.assert_allclose(inferred, expected, rtol=1e-5, atol=1e-5)
    dy = np.random.default_rng(2).standard_normal(expected.shape).astype(np.float32)
    for _ in range(2):
        y, dx = net.forward(x, training=True), net.backward(dy)
        expected_y, expected_dx = run(layers, x, dy)
        np.testing.assert_allclose(y, expected_y, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(dx, expected_dx, rtol=1e-4, atol=1e-5)
        expected = [parameter for layer in layers for parameter in layer.parameters()]
        for actual, wanted in zip(net.parameters(), expected, strict=True):
            np.testing.assert_allclose(actual.grad, wanted.grad, rtol=1e-4, atol=5e-5)
        assert all(layer.saved is None for _, layer in net.named_layers())


@pytest.fixture
def calls(monkeypatch):
    """How often each naive operation is called."""
    naive, count = kernels.load("naive"), Counter()

    def counted(name, operation):
        def call(*args, **kwargs):
            count[name] += 1
            return operation(*args, **kwargs)
        return call

    for name in kernels.OPS:
        monkeypatch.setattr(naive, name, counted(name, getattr(naive, name)))
    return count


def train(net, x, need_dx=True):
    y = net.to("naive").forward(x, training=True)
    return net.backward(np.ones_like(y), need_dx)


def test_relus_cost_no_pass_of_their_own(calls):
    make, _ = NETS["conv"]
    train(Sequential(*make()), np.ones(IMAGES, np.float32))
    assert calls == {"conv2d_forward": 3, "conv2d_backward_weight": 3, "conv2d_backward_input": 3}
    calls.clear()
    train(Sequential(Linear(3, 3), ReLU(), Dropout(0.5), Linear(3, 3), ReLU()), np.ones((4, 3), np.float32))
    assert calls["relu_forward"] == 0 and calls["relu_backward"] == 2  # nobody after them takes a mask


def test_silus_after_batch_norms_cost_no_pass_of_their_own(calls):
    train(Sequential(*NETS["silu"][0]()), np.ones(IMAGES, np.float32))
    assert calls["silu_forward"] == calls["silu_backward"] == 4  # first, second in a row, after a sum, after a ReLU


def test_what_nobody_wants_is_not_computed(calls):
    net = Sequential(Flatten(), ReLU(), Linear(192, 3), ReLU(), Linear(3, 2))
    assert train(net, np.ones(IMAGES, np.float32), need_dx=False) is None
    assert calls["linear_backward_input"] == 1 and calls["linear_backward_weight"] == 2
    assert calls["relu_forward"] == 1 and calls["relu_backward"] == 0
    assert all(layer.saved is None for _, layer in net.named_layers())


def test_frozen_layers_in_front_need_no_backward(calls):
    net = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Conv2d(4, 5, 3), ReLU(), Conv2d(5, 2, 1))
    frozen, trained = net.parameters()[:4], net.parameters()[4:]
    for parameter in frozen:
        parameter.requires_grad = False
    x = np.ones(IMAGES, np.float32)
    train(net, x, need_dx=False)
    assert calls["conv2d_backward_weight"] == 2 and calls["conv2d_backward_input"] == 1
    assert calls["batchnorm_backward"] == 0 and all(layer.saved is None for _, layer in net.named_layers())
    assert all(parameter.grad is not None for parameter in trained)
    assert train(net, x).shape == IMAGES and calls["conv2d_backward_weight"] == 4  # dx is there for whoever wants it
    frozen[0].requires_grad = True
    train(net, x, need_dx=False)
    assert frozen[0].grad is not None and frozen[1].grad is None


def test_batch_norm_is_folded_once(calls):
    net = Sequential(Conv2d(3, 4, 3, padding=1), BatchNorm2d(4), ReLU()).to("naive")
    for _ in range(3):
        net(np.ones(IMAGES, np.float32))
    assert calls == {"watcher": 1, "conv2d_pack": 1, "conv2d_inference": 3, "record": 1}


class Double(Layer):
    """A user's layer that can absorb a ReLU and undoes it itself."""

    def forward(self, x, training=False, relu=False):
        y = np.maximum(2 * x, 0) if relu else 2 * x
        if training:
            self.saved = (y if relu else None,)
        return y

    def backward(self, dy, need_dx=True):
        y, = self.take_saved()
        return 2 * dy if y is None else 2 * dy * (y > 0)


class LeakyReLU(ReLU):
    def forward(self, x, training=False):
        return np.where(x > 0, x, x / 4)


class StraightThroughReLU(ReLU):
    def backward(self, dy, need_dx=True):
        self.take_saved()
        return dy


class ScaledConv(Conv2d):
    def forward(self, x, training=False):
        return 3 * super().forward(x, training)


class ClippedConv(Conv2d):
    def backward(self, dy, need_dx=True):
        return super().backward(np.clip(dy, -1, 1), need_dx)


def test_a_users_layer_may_absorb_a_relu():
    net = Sequential(Double(), ReLU(), Double())
    assert [repr(step) for step in net.plan((1, 3)).steps] == ['Double "0" + ReLU "1"', 'Double "2"']
    assert net.plan((1, 3)).output_shape is None
    x = np.array([[1.0, -1.0, 2.0]], np.float32)
    np.testing.assert_array_equal(net.forward(x, training=True), [[4, 0, 8]])
    np.testing.assert_array_equal(net.backward(np.ones_like(x)), [[4, 0, 4]])


def test_changed_subclasses_are_called_plainly():
    """What is fused is known by who defines forward and backward, so that an override is never passed by."""
    x = np.random.default_rng(0).standard_normal(IMAGES).astype(np.float32)
    leaky = Sequential(Identity(), LeakyReLU())
    np.testing.assert_array_equal(leaky(x), np.where(x > 0, x, x / 4))
    init.manual_seed(0)
    plain = Sequential(Conv2d(3, 4, 1), BatchNorm2d(4), ReLU(), MaxPool2d(2))
    init.manual_seed(0)
    scaled = Sequential(ScaledConv(3, 4, 1), BatchNorm2d(4), ReLU(), MaxPool2d(2))
    assert [repr(step) for step in scaled.plan(IMAGES).steps][:2] == ['ScaledConv "0"', 'BatchNorm2d "1"']
    np.testing.assert_allclose(scaled(x), 3 * plain(x), rtol=1e-4, atol=1e-5)

    through = Sequential(Conv2d(3, 4, 1), StraightThroughReLU(), MaxPool2d(1))
    through.forward(x, training=True)
    dy = np.ones((6, 4, 8, 8), np.float32)
    expected = np.einsum("nkpq,kc->ncpq", dy, through[0].weight.value[:, :, 0, 0])
    np.testing.assert_allclose(through.backward(dy), expected, rtol=1e-4, atol=1e-5)

    clipped = Sequential(Conv2d(3, 4, 1), ReLU(), ClippedConv(4, 2, 1), ReLU(), Conv2d(2, 2, 1))
    assert [repr(step) for step in clipped.plan(IMAGES).steps] == [
        'Conv2d "0" + ReLU "1"', 'ClippedConv "2" + ReLU "3"', 'Conv2d "4"']
    y = clipped.forward(x, training=True)
    dx = clipped.backward(np.full_like(y, 1e-3))
    layers = list(clipped)
    np.testing.assert_allclose(dx, run(layers, x, np.full_like(y, 1e-3))[1], rtol=1e-4, atol=1e-9)


def test_few_plans_are_kept():
    net = Sequential(Linear(2, 2))
    for n in range(1, MOST_PLANS + 20):
        net.plan((n, 2))
    assert len(net._plans) <= MOST_PLANS


def residual(hide=lambda body: body):
    """A block around a shortcut, one around a shortcut of its own and one whose body ends in a ReLU, all with ReLU."""
    def body(before, after, *end):
        return hide(Sequential(Conv2d(before, after, 3, padding=1, bias=False), BatchNorm2d(after), ReLU(),
                               Conv2d(after, after, 3, padding=1, bias=False), BatchNorm2d(after), *end))
    return Sequential(Conv2d(3, 4, 1), ReLU(), Residual(body(4, 4)), ReLU(),
                      Residual(body(4, 5), Conv2d(4, 5, 1)), ReLU(), Residual(body(5, 5, ReLU())),
                      Residual(hide(Sequential(Conv2d(5, 5, 1)))), ReLU())


@pytest.mark.parametrize("backend", ("naive", "cpu"))
def test_a_residual_block_adds_within_its_body(calls, backend):
    """The same numbers as where the body is a layer that knows nothing of it, and no additions of their own."""
    x = np.random.default_rng(0).standard_normal(IMAGES).astype(np.float32)
    fused, plain = residual().to(backend), residual(hide=Checkpoint).to(backend)
    plain.load_state_dict({name: value for (name, _), value in zip(plain.state_dict().items(),
                                                                  fused.state_dict().values(), strict=True)})
    results = []
    for net in (fused, plain):
        calls.clear()
        y = net.forward(x, training=True)
        dx = net.backward(np.cos(y))
        added = calls["add"]
        results.append([y, dx, net(x), *(parameter.grad for parameter in net.parameters())])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    if backend == "naive":
        assert added == 8  # of the plain net: one a block, forward and backward
        calls.clear()
        fused.backward(np.cos(fused.forward(x, training=True)))
        fused(x)
        assert calls["add"] == 2  # that after the ReLU, in training and at inference


def test_a_residual_block_tells_shapes_that_differ_before_it_computes(calls):
    block = Residual(Sequential(Conv2d(3, 4, 1))).to("naive")
    with pytest.raises(ValueError, match="the body gives shape"):
        block.forward(np.ones(IMAGES, np.float32))
    assert calls == {}
