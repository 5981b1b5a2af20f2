"""Layers that nobody can look into, errors in their midst, and several inputs and results."""
import numba
import numpy as np
import pytest

import fastnet
from fastnet import init, kernels, layers
from fastnet.layers import (
    AdaptiveAvgPool2d,
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Identity,
    Layer,
    Linear,
    Parallel,
    ReLU,
    Residual,
    Sequential,
)

from .nets import Own, Scaled, check_same, fresh, images, learn, step
from .steps import SHAPE, check_step, make_net

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code to run again")


class Same(Own):
    """Gives its x back, and dy."""

    def forward(self, x, training=False):
        self.saved = (x,) if training else None
        return x

    def backward(self, dy, need_dx=True):
        self.take_saved()
        return dy


class Wide(Own):
    """Computes in float64, whatever it is given, and in Fortran order."""

    def forward(self, x, training=False):
        if training:
            self.saved = (x,)
        return np.asfortranarray(np.tanh(x.astype(np.float64)))

    def backward(self, dy, need_dx=True):
        return np.asfortranarray(super().backward(dy.astype(np.float64)))


class Holding(Layer):
    """Holds a net of its own, which it calls with training and without."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x, training=False):
        y = self.inner.forward(x, training)
        if training:
            self.saved = (self.inner(x),)
        return y + np.float32(1)

    def backward(self, dy, need_dx=True):
        inferred, = self.take_saved()
        return self.inner.backward(dy * np.cos(inferred), need_dx)


OPAQUE = {
    "first": lambda: [Scaled(), Conv2d(16, 8, 3), ReLU()],
    "last": lambda: [Conv2d(16, 8, 3), ReLU(), Scaled()],
    "in the middle": lambda: [Conv2d(16, 8, 3), BatchNorm2d(8), ReLU(), Own(), Conv2d(8, 4, 1), ReLU()],
    "alone": lambda: [Scaled()],
    "two in a row": lambda: [Own(), Scaled(), Conv2d(16, 8, 1), Own(), Scaled()],
    "in parallel": lambda: [Conv2d(16, 8, 3), ReLU(), Parallel(Add(), Scaled(), Sequential(Own(), ReLU())),
                            Conv2d(8, 8, 1)],
    "gives its x": lambda: [Conv2d(16, 8, 3), Same(), ReLU(), Conv2d(8, 8, 1)],
    "gives the net's x": lambda: [Same(), Conv2d(16, 8, 3), ReLU()],
    "gives y": lambda: [Conv2d(16, 8, 3), ReLU(), Same()],
    "gives everything back": lambda: [Same(), Same()],
    "gives float64": lambda: [Conv2d(16, 8, 3), Wide(), ReLU(), Conv2d(8, 8, 1), Wide()],
    "reads what was reshaped": lambda: [Conv2d(16, 32, 3), AdaptiveAvgPool2d(1), Flatten(),
                                        Residual(Sequential(Own(), Linear(32, 32)))],
    "a value and its reshape": lambda: [Conv2d(16, 8, 3), AdaptiveAvgPool2d(1), Parallel(
        Concat(), Sequential(Own(), Flatten()), Sequential(Flatten(), Own()))],
    "holds nets": lambda: [Conv2d(16, 8, 3), Holding(Sequential(BatchNorm2d(8), Conv2d(8, 8, 1), ReLU(), Dropout(0.3),
                                                                Residual(Conv2d(8, 8, 1)))), ReLU()],
    "no layer at all": lambda: [Identity()],
    "y is a reshape of x": lambda: [AdaptiveAvgPool2d(1), Flatten()],
    "y is a reshape of x alone": lambda: [Flatten(), Identity()],
    "y is read by backward": lambda: [Conv2d(16, 8, 3), AdaptiveAvgPool2d(1), Flatten(), ReLU()],
    "y is reshaped": lambda: [Conv2d(16, 8, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten()],
    "merges of one's own": lambda: [Conv2d(16, 8, 3), Graph({"a": (Own(), "input"), "b": (Largest(), ["a", "input"]),
                                                             "c": (ReLU(), "b")})],
}


class Largest(layers.Merge):
    def forward(self, x, training=False):
        a, b = x
        self.saved = (a > b,) if training else None
        return np.maximum(a, b)

    def backward(self, dy, need_dx=True):
        first, = self.take_saved()
        return dy * first, dy * ~first


@pytest.mark.parametrize("shape", [(8, 16, 6, 6), (8, 16, 1, 1)], ids=str)
@pytest.mark.parametrize("name", OPAQUE)
def test_layers_of_ones_own(name, shape, replays):
    init.manual_seed(0)
    try:
        net = Sequential(*OPAQUE[name]())
        net.output_shape(shape)
    except ValueError:
        pytest.skip("needs larger images")
    plain = fresh(net)
    for i in range(6):
        x = images(shape, i)
        inferred = net(x)
        y = net.forward(x, training=True)
        kept = [(one, one.copy()) for one in (x, y, inferred)]
        dy = np.cos(y)
        dx = net.backward(dy, need_dx=i % 3 != 1)
        with fastnet.plainly():
            expected = step(plain, x, i % 3 != 1, dy)
        check_same({"y": y, "dx": dx, **{f"d {key}": one.grad for key, one in net.named_parameters()},
                    **net.state_dict()}, expected)
        for one, copied in kept:
            np.testing.assert_array_equal(one, copied)
        for one in (net, plain):
            learn(one)
    assert replays or all(node.op in ("opaque", "reshape") for node in net.program(shape).after.nodes)


def test_they_run_in_every_pass():
    class Printing(Layer):
        seen = ()

        def forward(self, x, training=False):
            self.seen = (*self.seen, training)
            return 2 * x

        def backward(self, dy, need_dx=True):
            return 2 * dy

        def output_shape(self, shape):
            return shape

    layer = Printing()
    net = Sequential(Sequential(Linear(4, 4), ReLU()), layer, Linear(4, 3))
    for _ in range(5):
        step(net, images((6, 4), 0))
        net(images((6, 4), 0))
    assert layer.seen == 5 * (True, False)


class Faulty(Own):
    """Raises where it is told to."""

    where = None

    def forward(self, x, training=False):
        if self.where == "forward":
            raise KeyError("in forward")
        return super().forward(x, training)

    def backward(self, dy, need_dx=True):
        if self.where == "backward":
            raise KeyError("in backward")
        return super().backward(dy, need_dx)


@pytest.mark.parametrize("passes", range(5))
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_an_error_on_the_way_changes_nothing(where, passes):
    faulty = Faulty()
    net = make_net(Dropout(0.2), faulty)
    for i in range(passes):
        step(net, images(SHAPE, i))
    for need_dx in (True, False, True):
        state, gradients = net.state_dict(), [parameter.grad for parameter in net.parameters()]
        faulty.where = where
        with pytest.raises(KeyError, match=where):
            step(net, images(SHAPE, 9), need_dx)
        assert [parameter.grad for parameter in net.parameters()] == gradients
        if where == "forward":
            check_same(net.state_dict(), state)
        faulty.where = None
        with pytest.raises(RuntimeError, match="backward without a training forward"):
            net.backward(np.ones((4, 5), np.float32))
        check_step(net, images(SHAPE, 8), need_dx)
    for i in range(4):
        check_step(net, images(SHAPE, i))


def test_an_interrupt_leaves_no_half_recording(replays):
    """Neither this net nor another one is kept from recordings, whose thread was interrupted while it recorded."""
    net, other = make_net(), make_net()
    step(net, images(SHAPE, 0))
    broken, = (one for program in net.runner._programs.values() for one in program.steps
               if one.node.op == "maxpool2d_forward")
    function = broken.function

    def fail(**given):
        raise KeyboardInterrupt

    broken.function = fail
    with pytest.raises(KeyboardInterrupt):
        step(net, images(SHAPE, 9))
    broken.function = function
    for one in (other, net):
        for i in range(4):
            replays.clear()
            check_step(one, images(SHAPE, i))
        assert replays


# Several inputs and results

def several():
    init.manual_seed(0)
    return Graph({"left": (Linear(4, 3), "a"), "right": (Linear(5, 3), "b"), "sum": (Add(), ["left", "right", "left"]),
                  "act": (ReLU(), "sum"), "own": (Own(), "right"), "more": (Linear(3, 2), "own")},
                 inputs=("a", "b"), outputs=("act", "left", "more"))


@pytest.mark.parametrize("unused", [(), ("act",), ("left",), ("more",), ("act", "more"), ("left", "more")])
def test_several_arrays(unused):
    """None in dy stands for a result that nobody used: as if it were zero."""
    net = several()
    plain = fresh(net)
    for i in range(6):
        x = {"a": images((3, 4), i), "b": images((3, 5), i + 9)}
        dy = {name: None if name in unused else images(shape, i + 20) for name, shape in
              [("act", (3, 3)), ("left", (3, 3)), ("more", (3, 2))]}
        found = []
        for one in (net, plain):
            with fastnet.plainly() if one is plain else kernels.exact():
                y = one.forward(x, training=True)
                dx = one.backward(dy, need_dx=i != 3)
                found.append({**y, **{f"x{name}": array for name, array in (dx or {}).items()},
                              **{f"d {name}": parameter.grad for name, parameter in one.named_parameters()}})
        check_used(*found)
        learn(net)
        learn(plain)


def check_used(actual, expected):
    """The same; a gradient that was never computed may be zero."""
    for name, one in actual.items():
        other = expected[name]
        if one is None or other is None:
            assert not np.any(one if other is None else other), name
        else:
            np.testing.assert_array_equal(one, other, name)


def test_what_does_not_fit_several_inputs():
    net = several()
    for x in (images((3, 4), 0), {"a": images((3, 4), 0)}, (images((3, 4), 0),) * 2):
        with pytest.raises(TypeError, match="^Graph: expected a dictionary of the arrays a, b as x, got "):
            net(x)


def test_gradients_by_name_come_in_any_order():
    found = []
    for order in (1, -1):
        net = Graph({"a": (Identity(), "input"), "b": (Scaled(3.0), "input")}, outputs=("a", "b"))
        y = net.forward(images((2, 4), 0), training=True)
        found.append(net.backward({name: y[name] * (2 if name == "a" else 5) for name in list(y)[::order]}))
    np.testing.assert_array_equal(*found)
