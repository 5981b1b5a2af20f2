"""Layers that behave in training as at inference, and the gradient of an input."""
import copy

import numpy as np
import pytest

from fastnet import freeze, init, input_gradient, unfreeze
from fastnet.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential
from fastnet.layers.freezing import Freezable

from .battery import arrays, frozen, gradients, numeric_gradients

SHAPE = (4, 3, 5, 5)


def make_net(dtype="float32"):
    init.manual_seed(2)
    net = Sequential(Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Dropout(0.5)), Flatten(), Linear(36, 2))
    frozen(net)     # statistics that make a difference
    for _, layer in net.named_layers():
        if isinstance(layer, Freezable):
            layer.frozen = False
    return net.astype(dtype)


def test_freeze_and_unfreeze():
    net = make_net()
    assert freeze(net, "0") is net
    assert [p.requires_grad for p in net.parameters()] == 4 * [False] + 2 * [True]
    assert net[0][1].frozen and net[0][3].frozen
    state = net.state_dict()
    for _ in range(4):
        x = arrays(SHAPE)
        y = net.forward(x, training=True)
        np.testing.assert_allclose(y, net(x), rtol=2e-5, atol=2e-5)
        net.backward(np.ones_like(y))
        assert [p.grad is None for p in net.parameters()] == 4 * [True] + 2 * [False]
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, state[name], name)
    unfreeze(net, "0.1")
    assert [p.requires_grad for p in net.parameters()] == [False, False, True, True, True, True]
    assert not net[0][1].frozen and net[0][3].frozen
    net.backward(np.ones_like(net.forward(x, training=True)))
    assert net[0][1].num_batches_tracked == 1 and net[0][1].weight.grad is not None and net[0][0].weight.grad is None
    unfreeze(net)
    assert net.trains() and not net[0][3].frozen and all(p.requires_grad for p in net.parameters())
    assert not np.array_equal(net.forward(x, training=True), net.forward(x, training=True))     # dropout is back


@pytest.mark.parametrize("attribute", ["frozen", "requires_grad"])
def test_freezing_is_seen_after_recorded_passes(attribute):
    net, x, dy = make_net(), arrays(SHAPE), arrays((4, 2), seed=3)
    for _ in range(4):
        gradients(net, x, dy)
    before = net.state_dict()
    if attribute == "frozen":
        net[0][1].frozen = True
    else:
        net[2].weight.requires_grad = False
    for _ in range(4):
        gradients(net, x, dy)
    assert (net[2].weight.grad is None) == (attribute == "requires_grad")
    assert np.array_equal(net.state_dict()["0.1.running_mean"], before["0.1.running_mean"]) == (attribute == "frozen")


def test_input_gradient_between_forward_and_backward():
    """It disturbs no training pass that is under way, whether that is recorded or replayed."""
    net, x, dy = make_net(), arrays(SHAPE), arrays((4, 2), seed=3)
    twin = copy.deepcopy(net)
    for _ in range(5):
        y = net.forward(x, training=True)
        found = input_gradient(net, x, dy)
        dx = net.backward(dy)
        wanted = gradients(twin, x, dy)
        np.testing.assert_array_equal(y, wanted[0][0])
        np.testing.assert_array_equal(dx, wanted[1][0])
        for parameter, grad in zip(net.parameters(), wanted[2], strict=True):
            np.testing.assert_array_equal(parameter.grad, grad)
        np.testing.assert_array_equal(found, input_gradient(copy.deepcopy(twin), x, dy))


@pytest.mark.parametrize("backend", ["naive", "cpu"])
def test_input_gradient(backend):
    """That of inference, by finite differences; the net is as it was, gradients and a pass under way included."""
    net = make_net("float64").to(backend)
    x, dy = arrays(SHAPE, "float64"), arrays((4, 2), "float64", seed=3)
    y = net.forward(x, training=True)
    net.backward(np.ones_like(y))
    twin = frozen(copy.deepcopy(net))
    twin.load_state_dict(net.state_dict())
    (expected,), _ = numeric_gradients(twin, x, dy)
    state, grads = net.state_dict(), [parameter.grad for parameter in net.parameters()]
    for _ in range(4):
        np.testing.assert_allclose(input_gradient(net, x, dy), expected, rtol=1e-6, atol=1e-8)
    assert all(a is p.grad for a, p in zip(grads, net.parameters(), strict=True))
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, state[name], name)
    assert all(layer.saved is None for _, layer in net.named_layers()) and not net[0][1].frozen
    single = make_net()
    assert input_gradient(single, x, dy).dtype == np.float32
