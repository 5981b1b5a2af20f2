"""Copies and pickles of every layer, taken in every state it may be in: they go on with the same bits, and apart."""
import copy
import pickle

import numpy as np
import pytest

from fastnet import Parameter, freeze, init
from fastnet.layers import BatchNorm1d, Dropout, Layer, Linear, ReLU, Sequential
from fastnet.program import trees

from .battery import CASES, IDS, arrays, build, gradients

HOW = {"deepcopy": copy.deepcopy, **{f"pickle {i}": lambda layer, i=i: pickle.loads(pickle.dumps(layer, protocol=i))
                                     for i in range(2, pickle.HIGHEST_PROTOCOL + 1)}}


def fresh(net, x, dy):
    pass


def after_inference(net, x, dy):
    for _ in range(3):
        net(x)


def after_training(net, x, dy):
    for _ in range(3):
        gradients(net, x, dy)


def between(net, x, dy):
    """A pass is under way, which copies do not have."""
    net.forward(x, training=True)


def frozen(net, x, dy):
    freeze(net)


STATES = [fresh, after_inference, after_training, between, frozen]


def go_on(net, x, dy):
    """What a net makes of two steps of training by hand and an inference: arrays."""
    found = []
    for _ in range(2):
        found += sum(gradients(net, x, dy), [])
        for parameter in net.parameters():
            if parameter.requires_grad:
                parameter.value = parameter.value - np.float32(0.1) * parameter.grad
    return [*found, *trees.flat(net(x)), *net.state_dict().values()]


def memory(value, seen=None):
    """All arrays and generators that an object holds, however deep."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return []
    seen[id(value)] = value
    if isinstance(value, (np.ndarray, np.random.Generator)):
        return [value]
    if isinstance(value, dict):
        return [one for part in value.values() for one in memory(part, seen)]
    if isinstance(value, (tuple, list)):
        return [one for part in value for one in memory(part, seen)]
    if isinstance(value, Parameter):
        return memory([value.value, value.grad], seen)
    return memory(vars(value), seen) if isinstance(value, Layer) else []


@pytest.mark.parametrize("backend", ["cpu", "naive"])
@pytest.mark.parametrize(("text", "shape"), CASES, ids=IDS)
def test_copies(text, shape, backend):
    init.manual_seed(1)
    for state in STATES if backend == "cpu" else (after_training, between):
        net = build(text, backend)
        x, dy = arrays(shape), arrays(net.output_shape(shape), seed=9)
        state(net, x, dy)
        twins = {name: how(net) for name, how in HOW.items() if name in ("deepcopy", "pickle 2") or state is fresh}
        own = memory(net)
        if state is between:
            net.backward(dy)
        expected = go_on(net, x, dy)
        for name, twin in twins.items():
            assert twin.saved is None and repr(twin) == repr(net) and twin.backend == backend
            assert [part.label for _, part in twin.named_layers()] == [part.label for _, part in net.named_layers()]
            with pytest.raises(RuntimeError, match="backward without a training forward"):
                twin.backward(dy)
            for one in memory(twin):
                assert all(one is not other for other in own), f"{name} shares something"
                if isinstance(one, np.ndarray):
                    assert not any(np.shares_memory(one, other) for other in own if isinstance(other, np.ndarray))
            for actual, wanted in zip(go_on(twin, x, dy), expected, strict=True):
                np.testing.assert_array_equal(actual, wanted, f"{name} {state.__name__}")


def test_a_shallow_copy_shares_its_parts():
    """As everywhere in Python; each runs programs of its own."""
    net, x = Sequential(Linear(3, 2), ReLU()), np.ones((2, 3), np.float32)
    net(x)
    other = copy.copy(net)
    assert other.layers is net.layers and "_runner" not in vars(other)
    np.testing.assert_array_equal(other(x), net(x))
    assert net[0].label == 'Linear "0"'


def test_ties_stay_within_one_copy():
    """Parameters that two nets share, and those of an optimiser's list, are shared by the copies too."""
    one, other = Linear(3, 2), Linear(3, 2)
    other.weight = one.weight
    for how in HOW.values():
        (a, b), params = how([[one, other], one.parameters()])
        assert a.weight is b.weight and a.weight is params[0] and a.bias is params[1]
        assert a.weight is not one.weight and a.bias is not b.bias


def test_copies_draw_apart():
    net = Sequential(Dropout(0.5), BatchNorm1d(50))
    twin, x = copy.deepcopy(net), np.ones((4, 50), np.float32)
    first = [net.forward(x, training=True) for _ in range(3)]
    assert not np.array_equal(first[0], first[1])
    for wanted in first:
        np.testing.assert_array_equal(twin.forward(x, training=True), wanted)
    assert net[0].generator is not twin[0].generator


def test_pickles_hold_no_program():
    net = Sequential(Linear(30, 20), ReLU())
    before = len(pickle.dumps(net))
    for _ in range(4):
        net(np.ones((300, 30), np.float32))
    assert len(pickle.dumps(net)) == before and b"fastnet.kernels" not in pickle.dumps(net)
