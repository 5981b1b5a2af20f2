"""Numbers that textbooks and courses give, end to end through public calls. Those of single operations stand beside
these: tests/kernels/test_values.py, tests/losses/test_losses.py."""
import numpy as np
import pytest

import fastnet
from fastnet import (
    L2,
    SGD,
    CrossEntropyLoss,
    Linear,
    MultiMarginLoss,
    Parameter,
    Sequential,
    Softmax,
    init,
)

SCORES = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])


@pytest.mark.parametrize("backend", fastnet.kernels.BACKENDS)
def test_softmax(backend):
    layer = Softmax().to(backend)
    np.testing.assert_allclose(layer(SCORES[:1])[0], [0.130, 0.869, 0.001], atol=5e-4)
    np.testing.assert_allclose(layer(np.array([[1.0, -2.0, 0.0]]))[0], [0.7, 0.04, 0.26], atol=6e-3)
    assert CrossEntropyLoss(backend=backend)(SCORES[:1], [0])[0] == pytest.approx(2.04, abs=5e-3)


@pytest.mark.parametrize("loss, wanted", [(CrossEntropyLoss(), 2.3026), (MultiMarginLoss(over_classes="sum"), 9)])
def test_the_first_loss_of_tiny_weights(loss, wanted):
    fastnet.manual_seed(0)
    net = init.apply(Linear(3072, 10), lambda shape: init.normal(shape, std=1e-5), init.zeros)
    x, y = np.random.default_rng(0).standard_normal((50, 3072)).astype(np.float32), np.arange(50) % 10
    assert loss(net(x), y)[0] == pytest.approx(wanted, rel=1e-3)
    report = fastnet.sanity_check(net, loss, x, y, lr=1e-3)
    assert report.rows[0].passed and f"{wanted:.4g}" in report.rows[0].expected


def test_the_bias_trick():
    """A column of ones in x, and b as a column of w, give w x + b, and b the same gradient."""
    rng = np.random.default_rng(0)
    layer, trick = Linear(4, 3).astype("float64"), Linear(5, 3, bias=False).astype("float64")
    trick.weight.value = np.column_stack([layer.weight.value, layer.bias.value])
    x, dy = rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    y = layer.forward(x, training=True)
    np.testing.assert_allclose(trick.forward(np.column_stack([x, np.ones(6)]), training=True), y, rtol=1e-12)
    layer.backward(dy), trick.backward(dy)
    np.testing.assert_allclose(trick.weight.grad, np.column_stack([layer.weight.grad, layer.bias.grad]), rtol=1e-12)


def test_hubers_tail_goes_on_from_the_parabola():
    """delta |e| - delta^2 / 2, and e^2 / 2 before: equal at delta, as are their slopes."""
    for delta in (0.5, 1.0, 2.0):
        loss = fastnet.HuberLoss(delta=delta)
        for error in (delta, 3 * delta, -4 * delta):
            value, gradient = loss(np.array([[error]]), np.zeros((1, 1)))
            assert value == pytest.approx(delta * abs(error) - delta**2 / 2)
            assert gradient.item() == pytest.approx(delta * np.sign(error))


def test_a_product_of_a_sum():
    """f = (x + y) z at (-2, 5, -4): -12, with gradients -4, -4 and 3."""
    class Product(fastnet.Container):
        def __init__(self):
            self.add, self.multiply = fastnet.Add(), fastnet.Multiply()

        def compose(self, given, training):
            x, y, z = given
            return self.multiply((self.add((x, y)), z))

    net = Product()
    f = net.forward(tuple(np.array([[number]]) for number in (-2.0, 5.0, -4.0)), training=True)
    assert f.item() == -12
    assert [dx.item() for dx in net.backward(np.ones((1, 1)))] == [-4, -4, 3]


def test_the_square_of_a_product():
    """|W x|^2 = 0.116; its gradients by the layers and by a sum of squares as the loss."""
    layer = Linear(2, 2, bias=False).astype("float64")
    layer.weight.value = np.array([[0.1, 0.5], [-0.3, 0.8]])
    q = layer.forward(np.array([[0.2, 0.4]]), training=True)
    value, gradient = fastnet.MSELoss("sum")(q, np.zeros((1, 2)))
    np.testing.assert_allclose(q, [[0.22, 0.26]])
    assert value == pytest.approx(0.116)
    np.testing.assert_allclose(layer.backward(gradient), [[-0.112, 0.636]])
    np.testing.assert_allclose(layer.weight.grad, [[0.088, 0.176], [0.104, 0.208]])


def test_momentum_in_two_signs():
    """v = mu v - lr dx, x += v, and v = rho v + dx, x -= lr v are the same way, which is the optimiser's."""
    parameter = Parameter(np.array([3.0, -2.0]))
    optimizer = SGD([parameter], lr=0.1, momentum=0.9)
    first, second, v, w = np.array([3.0, -2.0]), np.array([3.0, -2.0]), 0.0, 0.0
    for _ in range(20):
        parameter.grad = parameter.value * [1, 20]
        optimizer.step()
        v = 0.9 * v - 0.1 * first * [1, 20]
        first = first + v
        w = 0.9 * w + second * [1, 20]
        second = second - 0.1 * w
        np.testing.assert_allclose(first, second, rtol=1e-10)
        np.testing.assert_allclose(parameter.value, first, rtol=1e-10)


def test_the_penalty_prefers_what_is_spread():
    """Both weights give the same score for ones; L2 is 1 for (1, 0, 0, 0) and 0.25 for (.25, .25, .25, .25)."""
    found = []
    for weight in ([[1.0, 0, 0, 0]], [[0.25] * 4]):
        layer = Linear(4, 1, bias=False).astype("float64")
        layer.weight.value = np.array(weight)
        layer.weight.grad = np.zeros((1, 4))
        assert layer(np.ones((1, 4))).item() == 1
        found.append(L2(1.0).add(layer))
    assert found == [1, 0.25]


def test_parameters_of_small_nets():
    for sizes, count in (((3, 4, 2), 26), ((3, 4, 4, 1), 41)):
        net = Sequential(*(Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)))
        assert fastnet.summary(net, (1, 3)).parameters == count
