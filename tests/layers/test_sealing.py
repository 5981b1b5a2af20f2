"""Nets whose weights nobody can write to."""
import copy
import pickle

import numpy as np
import pytest
from numba import config

from fastnet import changes, init, seal, sealed, unseal
from fastnet.kernels.cpu.runtime import address, flat
from fastnet.layers import (
    LSTM,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GroupNorm,
    LayerNorm,
    Linear,
    LocallyConnected2d,
    PReLU,
    ReLU,
    Sequential,
)
from fastnet.losses import CrossEntropyLoss
from fastnet.optim import SGD

from .battery import arrays

SHAPE = (4, 3, 5, 5)


@pytest.fixture(params=["cpu", "naive"])
def net(request):
    init.manual_seed(0)
    return Sequential(Conv2d(3, 8, 3, padding=1), BatchNorm2d(8), ReLU(), Flatten(), Linear(200, 2)).to(request.param)


def test_the_same_comes_out(net):
    x = arrays(SHAPE)
    before, state = net(x), net.state_dict()
    assert seal(net) is net
    for _ in range(5):      # plainly, recorded, replayed, quickly
        np.testing.assert_array_equal(net(x), before)
    np.testing.assert_allclose(net(x[:1]), before[:1], rtol=1e-4, atol=1e-6)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
        assert array.flags.writeable    # copies, as ever
    unseal(net)
    np.testing.assert_array_equal(net(x), before)


def test_nobody_looks():
    """Neither for the forms of convolutions' weights, nor in the quickest passes."""
    net, x = Sequential(Conv2d(3, 8, 3), BatchNorm2d(8), ReLU()), arrays(SHAPE)
    for sealing, watched in ((unseal, True), (seal, False), (unseal, True)):
        sealing(net)
        for _ in range(5):
            net(x)
        assert bool(net.runner.constants.hashes().size) == watched
        assert net.runner._quick is None or (net.runner._quick._hashes is not None) == watched
    assert net.runner._quick is not None or config.DISABLE_JIT


@pytest.mark.parametrize("layer, shape", [
    (Linear(5, 3), (4, 5)), (PReLU(3), SHAPE), (LayerNorm(5), (4, 5)), (LSTM(5, 3), (4, 6, 5)),
    (ConvTranspose2d(3, 4, 2), SHAPE), (LocallyConnected2d(3, 2, (5, 5), 3), SHAPE), (GroupNorm(1, 3), SHAPE)], ids=str)
def test_all_layers_read_what_is_sealed(layer, shape):
    x = arrays(shape)
    before = layer(x)
    seal(layer)
    for _ in range(4):
        for one, other in zip(*(y if isinstance(y, tuple) else (y,) for y in (layer(x), before)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_kernels_read_sealed_arrays_where_they_lie():
    array = sealed.sealed(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert address(flat(array)) == address(array)


def test_nobody_can_write(net):
    weight, bias, mean = net[0].weight, net[4].bias, net[1].running_mean
    array, view = weight.value, weight.value[0]
    seal(net)
    for target in (weight.value, weight.value[0], bias.value.view(), net[1].running_mean):
        with pytest.raises(ValueError, match="read-only"):
            target[...] = 1
        with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
            target.setflags(write=True)
    y = net(arrays(SHAPE))
    for before in (array, view, mean):      # these are the net's no more
        before[...] = 7
    np.testing.assert_array_equal(net(arrays(SHAPE)), y)


@pytest.mark.parametrize("passes", [1, 2, 3, 5])
def test_what_is_assigned_is_seen(net, passes):
    x = arrays(SHAPE)
    seal(net)
    for _ in range(passes):
        y = net(x)
    net[0].weight.value = np.ones_like(net[0].weight.value)
    assert np.abs(net(x) - y).max() > 0.01
    for _ in range(passes):
        y = net(x)
    net[0].weight.value[...] = 0    # it can be written to again, and is looked at
    assert np.abs(net(x) - y).max() > 0.01
    y = net(x)
    state = net.state_dict()
    state["0.weight"] += 1
    seal(net)
    net(x)
    net.load_state_dict(state)
    assert np.abs(net(x) - y).max() > 0.01


def test_training_needs_weights_that_can_be_written_to(net):
    x, targets, loss = arrays(SHAPE), np.array([0, 1, 1, 0]), CrossEntropyLoss()
    optimizer, state = SGD(net.parameters(), lr=0.1), net.state_dict()

    def step():
        _, dy = loss(net.forward(x, training=True), targets)
        net.backward(dy)
        optimizer.step()

    seal(net)
    with pytest.raises(ValueError, match=r"parameter 0 is read-only.*fastnet\.unseal"):
        step()
    np.testing.assert_array_equal(net[0].weight.value, state["0.weight"])
    unseal(net)
    step()
    assert np.abs(net[0].weight.value - state["0.weight"]).max() > 0


def test_copies_are_as_others(net):
    seal(net)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        y = other(arrays(SHAPE))
        np.testing.assert_array_equal(y, net(arrays(SHAPE)))
        other[0].weight.value[...] += 1
        assert np.abs(other(arrays(SHAPE)) - y).max() > 0.01


def test_sealing_twice_changes_nothing(net):
    arrays_ = [parameter.value for parameter in seal(net).parameters()]
    latest = changes.latest()
    seal(net)
    assert changes.latest() is latest
    assert all(parameter.value is array for parameter, array in zip(net.parameters(), arrays_, strict=True))
    assert sealed.is_sealed(arrays_[0]) and arrays_[0].ctypes.data % 64 == 0
    unseal(net)
    latest = changes.latest()
    unseal(net)
    assert changes.latest() is latest


@pytest.mark.parametrize("function", [seal, unseal])
def test_other_things_than_nets(function):
    with pytest.raises(TypeError, match=f"{function.__name__}: net must be a layer, got 3"):
        function(3)


def test_an_array_of_one_number_is_looked_at_too():
    """It is too short for the hash, so that passes of such a net must not go without a closer look."""
    net, x = Sequential(Conv2d(4, 1, 1), ReLU()), np.ones((1, 4, 3, 3), np.float32)
    for _ in range(6):
        net(x)
    net[0].bias.value[0] = 100
    assert net(x).max() > 50
