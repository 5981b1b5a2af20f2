"""The life of a net: many programs, copies, precision, frozen layers, recomputation, memory."""
import copy
import gc
import pickle
import sys
import weakref

import numba
import numpy as np
import pytest

from fastnet import empty_cache, init, kernels
from fastnet.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Recompute,
    ReLU,
    Residual,
    Sequential,
    freeze,
    input_gradient,
    unfreeze,
)
from fastnet.program import run

from .nets import Noise, Own, Scaled, check_same, fresh, images, learn, step
from .steps import SHAPE, check_inference, check_step, generators, make_net, replayed_net

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code to run again")


# Many programs, copies, precision

def test_programs_are_dropped():
    net = Sequential(Linear(3, 4), Dropout(0.1), ReLU())
    for n in range(1, 90):
        net(images((1 + n % 3, 3), n))
        net.forward(images((n, 3), n), training=True)
    assert len(net.runner._programs) <= run._MOST_PROGRAMS
    check_step(net, images((2, 3), 0))


def test_programs_are_dropped_by_bytes(monkeypatch):
    monkeypatch.setattr(run, "_MOST_BYTES", 1)
    net = make_net()
    for n in (1, 2, 3, 1):
        for _ in range(3):
            check_inference(net, images((n, 3, 8, 8), n))
    assert len(net.runner._programs) <= 2


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_in_the_midst_of_a_pass(twin_of):
    net = replayed_net(Dropout(0.2))
    x = images(SHAPE, 0)
    y = net.forward(x, training=True)
    twin = twin_of(net)
    with pytest.raises(RuntimeError, match="backward without a training forward"):
        twin.backward(np.cos(y))
    assert "_runner" not in vars(twin)
    expected = net.backward(np.cos(y))
    check_inference(twin, x)
    check_step(twin, x)
    assert expected.shape == x.shape


@pytest.mark.parametrize("within", [kernels.exact, kernels.bfloat16_products])
def test_precision(within):
    """It is part of what a program is, and backward computes as its forward did."""
    init.manual_seed(0)
    net = Sequential(Conv2d(16, 16, 3, padding=1), Scaled(), Conv2d(16, 16, 3, padding=1))
    x = images((2, 16, 8, 8), 0)
    plain, other = fresh(net), fresh(net)
    for _ in range(5):
        expected, plain_y = step(fresh(plain), x), fresh(plain)(x)
        with within():
            others, other_y = step(fresh(other), x), fresh(other)(x)
        check_same({**step(net, x), "inferred": net(x)}, {**expected, "inferred": plain_y})
        with within():
            inferred, y = net(x), net.forward(x, training=True)
        dx = net.backward(np.cos(y))
        check_same({"y": y, "dx": dx, "inferred": inferred}, {"y": others["y"], "dx": others["dx"],
                                                              "inferred": other_y})
        assert (others["dx"] != expected["dx"]).any()


def test_a_wrong_guess_computes_as_precisely():
    net, x = replayed_net(), images(SHAPE, 0)
    step(net, x, need_dx=False)
    twin = fresh(net)
    with kernels.exact():
        y = net.forward(x, training=True)
        expected = step(twin, x)
    np.testing.assert_array_equal(net.backward(np.cos(y)), expected["dx"])


# Frozen layers, gradients at inference, recomputation

def test_input_gradient_leaves_no_trace():
    net = replayed_net(Dropout(0.5), Own())
    x = images(SHAPE, 0)
    dy = np.ones((4, 5), np.float32)
    frozen = fresh(net)
    for _, layer in frozen.named_layers():
        if hasattr(layer, "frozen"):
            layer.frozen = True
    frozen.forward(x, training=True)
    expected = frozen.backward(dy)
    state, gradients = net.state_dict(), [parameter.grad for parameter in net.parameters()]
    draws = [generator.bit_generator.state for generator in generators(net)]
    for _ in range(5):
        np.testing.assert_array_equal(input_gradient(net, x, dy), expected)
        check_same(net.state_dict(), state)
        assert [parameter.grad for parameter in net.parameters()] == gradients and net.saved is None
        assert [generator.bit_generator.state for generator in generators(net)] == draws
        check_inference(net, x)
    check_step(net, x, need_dx=False)


def test_input_gradient_between_forward_and_backward():
    net = replayed_net()
    for _ in range(3):
        input_gradient(net, images(SHAPE, 5), np.ones((4, 5), np.float32))
    twin, x = fresh(net), images(SHAPE, 0)
    y = net.forward(x, training=True)
    input_gradient(net, images(SHAPE, 5), np.ones((4, 5), np.float32))
    dx = net.backward(np.cos(y))
    np.testing.assert_array_equal(dx, step(twin, x)["dx"])


def test_freeze_and_unfreeze():
    net, x = replayed_net(Dropout(0.5)), images(SHAPE, 0)
    freeze(net, "[0-4]")
    for _ in range(4):
        before = net.state_dict()
        check_step(net, x)
        check_step(net, x, need_dx=False)
        assert {name for name, value in net.state_dict().items() if not np.array_equal(value, before[name])} == {
            name for name in before if name[0] in "58" or name[0] == "5"}
    assert all(parameter.grad is None for layer in net[:5] for parameter in layer.parameters())
    unfreeze(net)
    for _ in range(4):
        before = net.state_dict()
        check_step(net, x)
        # But for a bias in front of a norm, whose gradient is rounding alone, and may be zero.
        assert {name for name, value in net.state_dict().items() if np.array_equal(value, before[name])} <= {
            "5.shortcut.0.bias"}
    with pytest.raises(ValueError, match="^Sequential: no layer's path fits the pattern 'x'; there are 0, 1"):
        freeze(net, "x")


INNER = {
    "a norm": lambda: [Conv2d(3, 8, 3, padding=1), BatchNorm2d(8), ReLU()],
    "a dropout": lambda: [Conv2d(3, 8, 1), Dropout(0.4), ReLU(), Dropout(0.1)],
    "layers of one's own": lambda: [Conv2d(3, 8, 3), Noise(), Own(), Scaled(), Conv2d(8, 8, 1)],
    "everything": lambda: [Residual(Sequential(Conv2d(3, 3, 1), BatchNorm2d(3), Dropout(0.2), Noise())), ReLU()],
    "another one": lambda: [Conv2d(3, 8, 1), Residual(Recompute(Sequential(Conv2d(8, 8, 1), Dropout(0.4)))), ReLU()],
}


@pytest.mark.parametrize("name", INNER)
def test_recomputing_changes_no_number(name):
    nets = []
    for hide in (Recompute, Sequential):
        init.manual_seed(0)
        nets.append(Sequential(Conv2d(3, 3, 1), hide(Sequential(*INNER[name]())), Flatten()))
    net, plain = nets
    for i in range(6):
        x = images(SHAPE, i)
        for ours, others in zip(step(net, x, i != 3).values(), step(plain, x, i != 3).values(), strict=True):
            np.testing.assert_array_equal(ours, others)
        np.testing.assert_array_equal(net(x), plain(x))
        for ours, others in zip(generators(net), generators(plain), strict=True):
            assert ours.bit_generator.state == others.bit_generator.state
        learn(net)
        learn(plain)


# Memory

def test_a_net_is_no_circle_of_references():
    """All of it, its programs, and their memory go when it goes, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        net = replayed_net(Own(), Dropout(0.2), Recompute(Conv2d(16, 16, 1)))
        x = images((64, 3, 8, 8), 0)
        for _ in range(4):
            step(net, x)
            net(x)
            input_gradient(net, x, np.ones((64, 5), np.float32))
        gone = [weakref.ref(one) for one in (net, net.runner, net[0].weight.value, *net.runner._programs.values(),
                                             *net.runner._arenas.values())]
        del net
        assert [one() for one in gone] == len(gone) * [None]
    finally:
        gc.enable()


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_nets_leave_no_memory_behind():
    x = images((128, 3, 32, 32), 0)

    def live():
        init.manual_seed(0)
        net = Sequential(Conv2d(3, 32, 3, padding=1), BatchNorm2d(32), ReLU(), Conv2d(32, 32, 3), ReLU(), MaxPool2d(2))
        for _ in range(4):
            step(net, x)
            net(x)
        held = resident()
        del net
        empty_cache()
        return held

    live()
    before, most = resident(), 0
    for _ in range(10):
        most = max(most, live())
    assert most - before > 32 << 20     # or else there is nothing to give back
    assert resident() - before < 8 << 20
