"""Inference by replay: the same results as the layers', and none once something has changed."""
import copy
import sys

import numba
import numpy as np
import pytest

from fastnet import kernels, manual_seed, models
from fastnet.layers import Conv2d, Dropout, Flatten, Graph, Layer, Linear, Merge, ReLU, Residual, Sequential, Softmax

from .layers.battery import CASES, IDS, build

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code to run again")

cpu = kernels.load("cpu")
RNG = np.random.default_rng(0)


def images(*shape):
    return RNG.standard_normal(shape, np.float32)


@pytest.fixture
def replayed(monkeypatch):
    """Counts the passes that were replayed."""
    count = []
    record = cpu.record

    def counting(*args):
        y, again = record(*args)
        if again is None:
            return y, None

        def counted(x):
            count.append(1)
            return again(x)

        counted.pool, counted.outdated = again.pool, again.outdated
        return y, counted

    monkeypatch.setattr(cpu, "record", counting)
    return count


def plainly(net, x):
    """What the layers compute, without anything that was recorded."""
    return copy.deepcopy(net)(x)


@pytest.mark.parametrize(("text", "shape"), [case for case in CASES if isinstance(case[1], tuple)],
                         ids=[text for text, (_, shape) in zip(IDS, CASES, strict=True) if isinstance(shape, tuple)])
def test_every_layer_can_be_replayed(text, shape, replayed):
    manual_seed(0)
    net = Sequential(build(text))
    for i in range(4):
        x = images(*shape)
        np.testing.assert_allclose(net(x), plainly(net, x), rtol=2e-5, atol=2e-6)
        assert len(replayed) == max(0, i - 1)


@pytest.mark.parametrize("name", models.__all__)
def test_every_model_is_replayed(name, replayed):
    manual_seed(0)
    net = getattr(models, name)()
    x = images(1, 3, 32, 32)
    first, other = net(x), net(images(1, 3, 32, 32))
    np.testing.assert_array_equal(net(x), first)
    assert len(replayed) == 1 and not np.array_equal(first, other)


def make_net():
    manual_seed(0)
    return Sequential(Conv2d(3, 4, 3, padding=1), ReLU(), Residual(Conv2d(4, 4, 1)), Flatten(), Linear(64, 5))


X = images(2, 3, 4, 4)

CHANGES = {
    "a parameter's array": lambda net: setattr(net[0].weight, "value", net[0].weight.value * 2),
    "an element": lambda net: net[0].weight.value.__setitem__((0, 0, 0, 0), 9),
    "an element of a Linear": lambda net: net[4].bias.value.__setitem__(4, 9),
    "a parameter": lambda net: setattr(net[4], "bias", None),
    "where it pads": lambda net: setattr(net[0], "_pads", (0, 2, 1, 1)),
    "a layer": lambda net: setattr(net[2], "body", Conv2d(4, 4, 1)),
    "a function": lambda net: setattr(net[1], "forward", lambda x, training=False: x),
    "a deleted attribute": lambda net: (setattr(net[1], "label_", 1), delattr(net[1], "label_")),
    "the backend": lambda net: net.to("naive"),
    "the backend of one layer": lambda net: net[4].to("naive"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("n", [2, 6])
def test_changes_are_seen(change, n, replayed):
    net, x = make_net(), images(n, 3, 4, 4)
    for _ in range(4):
        net(x)
    assert len(replayed) == 2
    CHANGES[change](net)
    for _ in range(4):
        np.testing.assert_allclose(net(x), copy.deepcopy(net)(x), rtol=1e-5, atol=1e-6)


def test_changes_elsewhere_do_not_matter(replayed):
    net, other = make_net(), make_net()
    for _ in range(2):
        net(X)
    other[0].weight.value = other[0].weight.value * 2
    other[0].stride = (1, 1)
    net(X)
    assert len(replayed) == 1


def test_a_change_while_recording(monkeypatch):
    """What another thread assigns before the recording is kept makes it useless."""
    net, record = make_net(), cpu.record

    def slow(*args):
        y, again = record(*args)
        monkeypatch.undo()
        net[4].bias = None
        net(X)
        return y, again

    monkeypatch.setattr(cpu, "record", slow)
    for _ in range(5):
        net(X)
    np.testing.assert_array_equal(net(X), plainly(net, X))


def test_a_training_pass_in_between(replayed):
    """It leaves the weights as they are, and its inputs are its own."""
    net = make_net()
    expected = net(X)
    for i in range(4):
        y = net.forward(images(2, 3, 4, 4), training=True)
        np.testing.assert_array_equal(net(X), expected)
        net.backward(np.ones_like(y))
        assert len(replayed) == (0, 1, 2, 5)[i]  # the fourth training pass is a replay, too


def test_another_number_of_threads_is_recorded_anew(replayed):
    net, before = make_net(), numba.get_num_threads()
    expected = net(X)
    try:
        for count in (before, max(1, before - 1)):
            numba.set_num_threads(count)
            replayed.clear()
            for _ in range(4):
                np.testing.assert_array_equal(net(X), expected)
            assert replayed
    finally:
        numba.set_num_threads(before)


def test_exact_is_a_recording_of_its_own(replayed):
    net = Sequential(Conv2d(16, 16, 3, padding=1, bias=False))
    net[0].weight.value = np.round(9 * net[0].weight.value)
    x = np.round(9 * images(1, 16, 8, 8))
    for _ in range(4):
        net(x)
        with kernels.exact():
            np.testing.assert_array_equal(net(x), kernels.load("naive").conv2d_forward(
                x, net[0].weight.value, padding=(1, 1, 1, 1)))
    assert len(replayed) == 4


def test_bfloat16_is_a_recording_of_its_own(replayed):
    net = Sequential(Conv2d(16, 16, 3, padding=1))
    x = images(1, 16, 8, 8)
    plainly = net(x)
    with kernels.bfloat16_products():
        rounded = net(x)
    assert (rounded != plainly).any()
    for _ in range(3):
        np.testing.assert_array_equal(net(x), plainly)
        with kernels.bfloat16_products():
            np.testing.assert_array_equal(net(x), rounded)
    assert len(replayed) > 2


class Printing(Layer):
    """A user's layer, which does more than compute."""

    def __init__(self):
        self.seen = []

    def forward(self, x, training=False):
        self.seen.append(1)
        return x


class Loud(ReLU):
    def forward(self, x, training=False):
        return super().forward(x, training) + 1


class Largest(Merge):
    def forward(self, x, training=False):
        return np.maximum(*x)


@pytest.mark.parametrize("layer", [Printing(), Loud(), Sequential(Loud(), ReLU()),
                                   Graph({"a": (ReLU(), "input"), "b": (Largest(), ["a", "input"])})])
def test_layers_of_ones_own_are_always_run(layer, replayed):
    net = Sequential(Linear(5, 5), layer, Softmax())
    for _ in range(4):
        x = images(3, 5)
        np.testing.assert_array_equal(net(x), plainly(net, x))
    assert not replayed
    if isinstance(layer, Printing):
        assert len(layer.seen) == 4


def test_debuggers_see_every_layer(replayed):
    net, before = make_net(), sys.gettrace()
    expected = [net(X) for _ in range(3)][0]
    try:
        sys.settrace(lambda *event: None)
        np.testing.assert_array_equal(net(X), expected)
    finally:
        sys.settrace(before)
    assert len(replayed) == 1


def test_dropout_is_still_for_training(replayed):
    net = Sequential(Linear(5, 5), Dropout(0.5))
    x = images(3, 5)
    for _ in range(3):
        np.testing.assert_array_equal(net(x), plainly(net, x))
    assert replayed


def test_inputs_of_every_kind(replayed):
    net = make_net()
    for _ in range(3):
        for x in (X, X[:1], X.astype(np.float64), X.astype(np.float16), X.astype(">f4"), X[::-1], X[:, ::-1]):
            np.testing.assert_allclose(net(x), plainly(net, x), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="input channels"):
        net(X[:, :2])
    nan = X.copy()
    nan[0] = np.nan
    assert np.isnan(net(nan)[0]).all() and np.isfinite(net(nan)[1]).all()


def test_a_graph_is_fixed():
    graph = Graph({"a": (ReLU(), "input")})
    graph.nodes["a"] = (Softmax(), ("input",))
    assert list(graph.nodes.values()) == [(graph.named_children()[0][1], ("input",))]
    np.testing.assert_array_equal(graph(X), np.maximum(X, 0))
