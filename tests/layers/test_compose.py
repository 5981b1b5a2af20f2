"""Containers: what they compute, and a user's layer inside each of them."""
import numpy as np
import pytest

from fastnet import Parameter, init
from fastnet.layers import (
    Add,
    Concat,
    Dropout,
    Graph,
    Identity,
    Linear,
    Merge,
    Parallel,
    ReLU,
    Residual,
    Sequential,
)

from .battery import Scale, arrays, gradients, numeric_gradients

X = np.array([[1.0, -2.0, 3.0]], np.float32)


def scale(factor):
    return Scale(Parameter([factor]))


class Difference(Merge):
    """A user's merge: the first input less the second."""

    def forward(self, x, training=False):
        if training:
            self.saved = ()
        return x[0] - x[1]

    def backward(self, dy, need_dx=True):
        self.take_saved()
        return [dy, -dy] if need_dx else None

    def output_shape(self, input_shape):
        return input_shape[0]


NETS = [
    (lambda: Sequential(scale(2), scale(5)), [[10, -20, 30]]),
    (lambda: Sequential(scale(2), Sequential(scale(-1), ReLU()), Sequential()), [[0, 4, 0]]),
    (lambda: Residual(scale(2)), [[3, -6, 9]]),
    (lambda: Residual(scale(2), scale(10)), [[12, -24, 36]]),
    (lambda: Sequential(Residual(scale(2)), ReLU()), [[3, 0, 9]]),
    (lambda: Parallel(Add(), scale(2), Identity(), scale(3)), [[6, -12, 18]]),
    (lambda: Parallel(Concat(), scale(2), ReLU()), [[2, -4, 6, 1, 0, 3]]),
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
    with pytest.raises(TypeError, match="does not support item assignment"):
        net[0] = ReLU()
    with pytest.raises(AttributeError):
        net.layers = ()
    assert len(Sequential(*net.layers[:1])) == 1


def test_an_empty_row_is_the_identity():
    net = Sequential()
    assert net(X) is X and net.forward(X, training=True) is X and net.backward(X) is X


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
