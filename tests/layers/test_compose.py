"""Containers: what they compute, and a user's layer inside each of them."""
import pickle

import numpy as np
import pytest

from fastnet import Parameter, init
from fastnet.layers import (
    Add,
    Chunk,
    Concat,
    Container,
    Dropout,
    Graph,
    Identity,
    Linear,
    Maxout,
    Mean,
    Multiply,
    Parallel,
    Recompute,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
)

from .battery import Block, Difference, Scale, arrays, gradients, numeric_gradients

X = np.array([[1.0, -2.0, 3.0]], np.float32)


def scale(factor):
    return Scale(Parameter([factor]))


NETS = [
    (lambda: Sequential(scale(2), scale(5)), [[10, -20, 30]]),
    (lambda: Sequential(scale(2), Sequential(scale(-1), ReLU()), Sequential()), [[0, 4, 0]]),
    (lambda: Residual(scale(2)), [[3, -6, 9]]),
    (lambda: Residual(scale(2), scale(10)), [[12, -24, 36]]),
    (lambda: Sequential(Residual(scale(2)), ReLU()), [[3, 0, 9]]),
    (lambda: Parallel(Add(), scale(2), Identity(), scale(3)), [[6, -12, 18]]),
    (lambda: Parallel(Concat(), scale(2), ReLU()), [[2, -4, 6, 1, 0, 3]]),
    (lambda: Parallel(Multiply(), scale(2), Identity(), scale(3)), [[6, -48, 162]]),
    (lambda: Sequential(scale(2), Chunk(3), Concat()), [[2, -4, 6]]),
    (lambda: Parallel(Difference(), scale(5), scale(2)), [[3, -6, 9]]),
    (lambda: Graph({"a": (scale(2), ["input"]), "b": (scale(3), ["a"]), "y": (Difference(), ["b", "input"])}),
     [[5, -10, 15]]),
    (lambda: Graph({"b": (scale(3), "a"), "a": (scale(2), "input"), "c": (Add(), ["a", "a", "b", "input"]),
                    "y": (Concat(), ["c", "b"])}), [[11, -22, 33, 6, -12, 18]]),
]


@pytest.mark.parametrize(("make", "expected"), NETS)
def test_users_layers_work_in_every_container(make, expected):
    net = make()
    np.testing.assert_array_equal(net(X), expected)
    np.testing.assert_array_equal(net.forward(X, training=True), expected)
    net.astype("float64")
    dy = arrays(np.shape(expected), "float64")
    expected_dx, expected_dw = numeric_gradients(net, X.astype(float), dy)
    _, dx, dw = gradients(net, X.astype(float), dy)
    np.testing.assert_allclose(np.concatenate([part.ravel() for part in dx + dw]),
                               np.concatenate([part.ravel() for part in expected_dx + expected_dw]), atol=1e-8)
    names = [name for name, _ in net.named_parameters()]
    assert len(set(names)) == len(net.parameters())
    net.load_state_dict({name: value + 1 for name, value in net.state_dict().items()})
    assert net.output_shape((4, 3))[0] == 4


def test_dx_is_left_out_at_the_border_only():
    """Without need_dx every parameter still gets its gradient, also behind layers that have none."""
    for make, expected in NETS:
        net = make()
        net.forward(X, training=True)
        assert net.backward(np.ones(np.shape(expected), np.float32), need_dx=False) is None
        assert all(parameter.grad is not None for parameter in net.parameters())


def test_sequential_reads_like_a_list():
    net = Sequential(Linear(3, 2), ReLU())
    assert net[0] is net.layers[0] and net[-1] is net.layers[1] and list(net) == list(net.layers) and len(net) == 2
    with pytest.raises(AttributeError):
        net.layers = ()
    assert len(Sequential(*net.layers[:1])) == 1


def test_a_product_of_a_sum():
    """f = (x + y) z at (-2, 5, -4): -12, and the gradients -4, -4, 3."""
    net = Graph({"sum": (Add(), ["x", "y"]), "f": (Multiply(), ["sum", "z"])}, inputs=("x", "y", "z"))
    given = {name: np.full((1, 1), value, np.float32) for name, value in (("x", -2), ("y", 5), ("z", -4))}
    assert net(given).item() == -12 == net.forward(given, training=True).item()
    dx = net.backward(np.ones((1, 1), np.float32))
    assert [dx[name].item() for name in "xyz"] == [-4, -4, 3]


def test_squares_of_a_product():
    """|Wx|^2 with W = [[.1, .5], [-.3, .8]] and x = (.2, .4): q = (.22, .26), f = .116, and both gradients."""
    linear = Linear(2, 2, bias=False).astype("float64")
    linear.weight.value[:] = [[0.1, 0.5], [-0.3, 0.8]]
    net = Sequential(linear, Parallel(Multiply(), Identity(), Identity()), Mean(1))
    x = np.array([[0.2, 0.4]])
    np.testing.assert_allclose(linear(x), [[0.22, 0.26]])
    np.testing.assert_allclose(net.forward(x, training=True) * 2, [0.116])
    np.testing.assert_allclose(net.backward(np.array([2.0])), [[-0.112, 0.636]])
    np.testing.assert_allclose(linear.weight.grad, [[0.088, 0.176], [0.104, 0.208]])


class Gated(Container):
    """A user's container that uses one part of several."""

    def __init__(self, parts):
        self.cut, self.act, self.parts = Chunk(3), Sigmoid(), parts

    def compose(self, x, training):
        return self.act(self.cut(x)[self.parts])


@pytest.mark.parametrize("part", [0, 1, 2])
def test_parts_that_nobody_uses(part):
    net, x = Gated(part), arrays((2, 5, 2, 3))
    rest = slice(2 * part, 2 * part + 2)
    for _ in range(4):
        y = net.forward(x, training=True)
        dx = net.backward(np.ones_like(y))
        wanted = np.zeros_like(x)
        wanted[:, rest] = y * (1 - y)
        np.testing.assert_allclose(y, 1 / (1 + np.exp(-x[:, rest])), rtol=1e-6)
        np.testing.assert_allclose(dx, wanted, rtol=1e-5, atol=1e-7)
        alone = Chunk(3)
        dys = [None if i != part else y * (1 - y) for i, _ in enumerate(alone.forward(x, training=True))]
        np.testing.assert_allclose(alone.backward(tuple(dys)), wanted, rtol=1e-5, atol=1e-7)
    assert alone.forward(x, training=True) and alone.backward((None,) * 3) is None


def test_maxout_by_hand():
    """Of three pieces of each of two outputs the largest; the gradient is that piece's alone."""
    layer = Maxout(1, 2, 3).astype("float64")
    layer.weight.value[:] = [[1], [-1], [0], [2], [0.5], [3]]
    layer.bias.value[:] = [0, 0, 0.5, 0, 1, -9]
    x = np.array([[2.0], [-3], [0.25]])
    assert layer.forward(x, training=True).tolist() == [[2, 4], [3, -0.5], [0.5, 1.125]]
    assert layer.backward(np.array([[1.0, 10], [1, 10], [1, 10]])).tolist() == [[21], [4], [5]]
    assert layer.weight.grad.ravel().tolist() == [2, -3, 0.25, 20, -27.5, 0]
    assert layer.bias.grad.tolist() == [1, 1, 1, 10, 20, 0]


def test_an_empty_row_is_the_identity():
    net = Sequential()
    assert net(X) is X and net.forward(X, training=True) is X and net.backward(X) is X


def test_a_graph_is_fixed():
    graph = Graph({"a": (ReLU(), "input")})
    graph.nodes["a"] = (Softmax(), ("input",))
    assert list(graph.nodes.values()) == [(graph.named_children()[0][1], ("input",))]
    np.testing.assert_array_equal(graph(X), np.maximum(X, 0))


def test_a_list_will_do_for_a_tuple():
    """As what merges, containers and nets are given; what comes back is a tuple."""
    x, dy = [X, 2 * X], np.ones_like(X)
    for merge, expected in (Add(), 3 * X), (Difference(), -X):
        assert type(merge) is Difference or np.array_equal(merge(x), expected)
        for net in (merge, Sequential(Identity(), merge)):
            if net is merge and type(merge) is Difference:
                continue    # alone it gets what it is given
            np.testing.assert_array_equal(net(x), expected)
            np.testing.assert_array_equal(net.forward(x, training=True), expected)
            dx = net.backward(dy)
            assert isinstance(dx, tuple) and len(dx) == 2
            assert net.output_shape([X.shape, X.shape]) == X.shape


def test_results_that_nobody_used():
    """None in dy; the gradient is that of the others alone, and None where nothing comes back."""
    net = Graph({"a": (scale(2), "x"), "b": (scale(3), "a"), "c": (scale(5), "y")}, inputs=("x", "y"),
                outputs=("a", "b", "c"))
    x, one = {"x": X, "y": X}, np.ones_like(X)
    for dy, dx in [((one, None, None), 2), ((None, one, None), 6), ((one, one, None), 8)]:
        net.forward(x, training=True)
        found = net.backward(dict(zip("abc", dy, strict=True)))
        np.testing.assert_array_equal(found["x"], dx * one)
        assert found["y"] is None or not found["y"].any()
    net.forward(x, training=True)
    with pytest.raises(TypeError, match="^Graph: expected dy of the form of y, a dictionary of 3, got one array$"):
        net.backward(one)


class Halved(Sequential):
    """A user's net whose forward and backward do something around what it composes."""

    def forward(self, x, training=False):
        return super().forward(x / 2, training)

    def backward(self, dy, need_dx=True):
        dx = super().backward(dy, need_dx)
        return None if dx is None else dx / 2


@pytest.mark.parametrize("wrap", [lambda net: net, Sequential, lambda net: Residual(Sequential(net))])
def test_a_container_with_a_forward_of_its_own(wrap):
    init.manual_seed(0)
    net = wrap(Halved(Linear(3, 4), Sequential(ReLU(), Linear(4, 3))))
    init.manual_seed(0)
    plain = wrap(Sequential(Scale(Parameter(np.full(1, 0.5, np.float32))), Linear(3, 4), ReLU(), Linear(4, 3)))
    for _ in range(4):
        np.testing.assert_allclose(net(X), plain(X), rtol=1e-6)
        dy = np.array([[1, -1, 0.5]], np.float32)
        np.testing.assert_allclose(net.forward(X, training=True), plain.forward(X, training=True), rtol=1e-6)
        np.testing.assert_allclose(net.backward(dy), plain.backward(dy), rtol=1e-6)
        grads = [parameter.grad for parameter in plain.parameters() if parameter.size > 1]
        for parameter, grad in zip(net.parameters(), grads, strict=True):
            np.testing.assert_allclose(parameter.grad, grad, rtol=1e-6)
        assert net.output_shape((7, 3)) == (7, 3)


class Wrong(Container):
    def __init__(self, how):
        self.how, self.inner = how, Linear(3, 3)

    def compose(self, x, training):
        return self.how(self.inner, x)


@pytest.mark.parametrize("how, text", [
    (lambda inner, x: inner(x) + x, 'computes with NumPy or Python while its net is traced'),
    (lambda inner, x: inner(np.ones((2, 3), np.float32)), 'what it gave to Linear "inner" is neither x nor the result'),
    (lambda inner, x: np.ones((2, 3), np.float32), "what it returned is neither x nor the result of such a call"),
], ids=["arithmetic", "given", "returned"])
def test_compose_is_made_of_calls(how, text):
    net = Wrong(how)
    net.adopt()
    for run in (net, lambda x: net.forward(x, training=True)):
        with pytest.raises(TypeError, match=text) as caught:
            run(np.ones((2, 3), np.float32))
        assert "Wrong" in str(caught.value)


def test_lists_and_dictionaries_of_layers_are_fixed():
    """What is noticed is an assignment: a list becomes a tuple, a dictionary read-only, and names are as in PyTorch."""
    net = Container()
    net.row, net.named = [Linear(3, 3), ReLU()], {"a": Linear(3, 2)}
    assert isinstance(net.row, tuple)
    assert [name for name, _ in net.named_parameters()] == ["row.0.weight", "row.0.bias", "named.a.weight",
                                                           "named.a.bias"]
    for change in (lambda: net.named.update(b=ReLU()), lambda: net.named.pop("a"),
                   lambda: net.named.__setitem__("a", ReLU())):
        with pytest.raises(TypeError, match="cannot be changed: assign another one"):
            change()
    twin = pickle.loads(pickle.dumps(net))
    assert list(twin.state_dict()) == list(net.state_dict())


def test_a_users_container_may_be_anywhere():
    init.manual_seed(1)
    block = Block(3)
    nets = [block, Sequential(Block(3)), Residual(Block(3)), Recompute(Block(3)), Graph({"a": (Block(3), "input")})]
    x = arrays((2, 3, 4, 4))
    state = list(block.state_dict().values())
    for net in nets:
        net.load_state_dict(dict(zip(net.state_dict(), state, strict=True)))
    expected = gradients(block, x, x)
    for net in nets[1:]:
        y, dx, dw = gradients(net, x, x)
        shift = x if isinstance(net, Residual) else 0
        np.testing.assert_allclose(y[0], expected[0][0] + shift, rtol=1e-6)
        np.testing.assert_allclose(dx[0], expected[1][0] + shift, rtol=1e-5, atol=1e-6)
        for ours, theirs in zip(dw, expected[2], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_graph_prints_its_inputs():
    graph = Graph({"fc": (Linear(3, 3), "input"), "sum": (Add(), ["fc", "input"])})
    assert repr(graph) == "Graph(\n  (fc): Linear(3, 3) <- input\n  (sum): Add() <- fc, input\n)"


def test_dropout():
    init.manual_seed(4)
    layer, x = Dropout(0.25), np.ones((100, 100), np.float32)
    assert layer(x) is x
    y = layer.forward(x, training=True)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)} and abs((y == 0).mean() - 0.25) < 0.02
    np.testing.assert_array_equal(layer.backward(x), y)
    again = layer.forward(x, training=True)
    assert 0.3 < (again != y).mean() < 0.45         # 2 p (1 - p) = 0.375 where the two are independent
    init.manual_seed(4)
    np.testing.assert_array_equal(Dropout(0.25).forward(x, training=True), y)
    other = Dropout(0.25).forward(x, training=True)
    assert 0.3 < (other != y).mean() < 0.45


DECIDED = {"attribute": lambda net: setattr(net, "deep", True), "item": lambda net: net.items.append(1),
           "class": lambda net: setattr(type(net), "everywhere", True)}


@pytest.mark.parametrize("how", DECIDED)
def test_what_compose_decides_by(how):
    """As the docstring of Container tells: by attributes that are assigned, and by nothing else."""
    class Net(Container):
        everywhere = False

        def __init__(self):
            self.relu, self.deep, self.items = ReLU(), False, []

        def compose(self, x, training):
            return self.relu(x) if self.deep or self.items or self.everywhere else x

    net, x = Net(), np.float32([[-1, 2]])
    for _ in range(3):
        np.testing.assert_array_equal(net(x), x)
    DECIDED[how](net)
    np.testing.assert_array_equal(net(x), np.maximum(x, 0) if how == "attribute" else x)
