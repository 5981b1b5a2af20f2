"""gradient_check finds planted faults, and nothing where all is right."""
import numpy as np
import pytest

import fastnet
from fastnet import CrossEntropyLoss, Linear, MSELoss, Sequential, gradient_check

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 4)).astype(np.float32), np.arange(6) % 3


class Planted(fastnet.Layer):
    """y = x w^T + b in NumPy, with a fault in its backward pass."""

    def __init__(self, fault=""):
        self.weight = fastnet.Parameter(RNG.standard_normal((3, 4)))
        self.bias = fastnet.Parameter(RNG.standard_normal(3))
        self.fault = fault

    def forward(self, x, training=False):
        if training:
            self.saved = (x,)
        return x @ self.weight.value.T + self.bias.value

    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        self.weight.grad = (1.001 if self.fault == "weight" else 1) * (dy.T @ x)
        if self.fault != "no bias":
            self.bias.grad = dy.sum(axis=0)
        return -(dy @ self.weight.value) if self.fault == "x" else dy @ self.weight.value


@pytest.mark.parametrize("fault, wrong", [("", []), ("weight", ["weight"]), ("no bias", ["bias"]), ("x", ["x"])])
def test_planted_faults_are_found(fault, wrong):
    found = gradient_check(Planted(fault), CrossEntropyLoss(), X, Y)
    assert [row.name for row in found.rows if not row.right] == wrong
    assert found.passed == (not wrong)
    assert ("wrong: " + ", ".join(wrong) if wrong else "all gradients are right") in str(found)
    assert ("backward assigns no gradient" in str(found)) == (fault == "no bias")


def test_a_gradient_left_from_before_does_not_hide_that_none_is_assigned():
    layer = Planted("no bias")
    layer.bias.grad = np.ones(3)
    assert not gradient_check(layer, CrossEntropyLoss(), X, Y).passed


def test_the_numbers_are_those_of_the_formula():
    """L = mean of (w x)^2: dL/dw = 2 w x^2."""
    layer = Linear(1, 1, bias=False)
    layer.weight.value = np.array([[1.5]])
    found = gradient_check(layer, MSELoss(), np.array([[2.0]]), np.array([[0.0]]))
    weight, x = found.rows
    assert (weight.backward, x.backward) == (12.0, 9.0) and found.error < 1e-9
    assert weight.difference == pytest.approx(12, rel=1e-9) and weight.where == (0, 0)


def test_every_number_or_a_seeded_sample():
    net = Sequential(Linear(4, 5), fastnet.Tanh(), Linear(5, 3))
    found = gradient_check(net, CrossEntropyLoss(), X, Y, samples=None)
    assert [row.checked for row in found.rows] == [20, 5, 15, 3, 24] and found.passed
    found = [gradient_check(net, CrossEntropyLoss(), X, Y, samples=7, seed=seed) for seed in (1, 1, 2)]
    assert found[0].rows == found[1].rows != found[2].rows and found[0].rows[0].checked == 7


def test_kinks_are_told_and_not_judged():
    """A ReLU at exactly 0 has the derivatives 0 and 1, and no difference quotient is either."""
    x = np.array([[0.0, 1.0, -1.0, 0.0]])
    found = gradient_check(fastnet.ReLU(), MSELoss("sum"), x, np.ones((1, 4)))
    row, = found.rows
    assert row.kinks == 2 and row.right and "a kink was hit 2 times" in str(found)
    found = gradient_check(fastnet.ReLU(), MSELoss("sum"), np.zeros((1, 3)), np.ones((1, 3)))
    assert found.rows[0].kinks == 3 and "not judged: kinks only" in str(found)


def test_a_wrong_derivative_is_no_kink():
    class Wrong(fastnet.ReLU):
        traceable = False

        def backward(self, dy, need_dx=True):
            return 1.01 * super().backward(dy, need_dx)

    found = gradient_check(Sequential(Wrong()), MSELoss(), X, X[::-1])
    assert not found.passed and found.rows[0].kinks == 0


def test_noise_is_the_same_in_each_pass_and_the_net_stays_as_it_is():
    fastnet.manual_seed(0)
    net = Sequential(Linear(4, 8), fastnet.BatchNorm1d(8), fastnet.Dropout(0.5), Linear(8, 3))
    before, generator = net.state_dict(), repr(net[2].generator.bit_generator.state)
    found = gradient_check(net, CrossEntropyLoss(), X, Y)
    assert found.passed, found
    assert all(np.array_equal(value, before[name]) for name, value in net.state_dict().items())
    assert repr(net[2].generator.bit_generator.state) == generator and net.dtype == np.float32
    assert net[0].weight.grad is None


def test_frozen_parameters_and_integers_are_left_out():
    net = Sequential(fastnet.Embedding(5, 4), Linear(4, 3))
    fastnet.freeze(net, "1")
    rows = gradient_check(net, CrossEntropyLoss(), Y, Y).rows
    assert [row.name for row in rows] == ["0.weight"]


def test_several_inputs():
    names = [row.name for row in gradient_check(fastnet.Multiply(), MSELoss(), (X, X + 1), X).rows]
    assert names == ["x, array 0", "x, array 1"]


class Noisy(fastnet.Layer):
    def forward(self, x, training=False):
        return x * np.random.default_rng().standard_normal()


@pytest.mark.parametrize("change, text", [
    (dict(net=Noisy()), "gradient_check: loss must depend on weights and x alone"),
    (dict(x=np.full((6, 4), np.inf)), "gradient_check: loss must be finite, got nan"),
    (dict(x=X[:, :2]), "gradient_check: loss.*Linear: expected"),
    (dict(y=Y[:2]), "gradient_check: loss.*targets must be 6 class numbers"),
    (dict(net=fastnet.Linear), "gradient_check: net must be a net, got the class Linear"),
    (dict(loss=lambda outputs, targets: 1.0), "gradient_check: loss must give"),
    (dict(samples=0), "gradient_check: samples must be"),
    (dict(eps=0), "gradient_check: eps must be"),
    (dict(net=fastnet.freeze(Linear(4, 3)), x=Y[:, None]), "gradient_check: "),
])
def test_what_cannot_be_checked_is_refused(change, text):
    with pytest.raises((TypeError, ValueError), match=text):
        gradient_check(**dict(net=Linear(4, 3), loss=CrossEntropyLoss(), x=X, y=Y) | change)
