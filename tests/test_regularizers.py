"""Regularisers: values and gradients by hand, whom they are for, and what they do in a training."""
import numpy as np
import pytest

import fastnet
from fastnet import L1, L2, ElasticNet, MaxNorm, kernels
from fastnet.regularizers import Regularizer


def net():
    fastnet.manual_seed(0)
    return fastnet.Sequential(fastnet.Conv2d(2, 3, 3), fastnet.BatchNorm2d(3), fastnet.Flatten(), fastnet.Linear(12, 4))


def with_gradients(net):
    rng = np.random.default_rng(0)
    for parameter in net.parameters():
        parameter.grad = rng.standard_normal(parameter.shape).astype(np.float32)
    return net, {name: parameter.grad.copy() for name, parameter in net.named_parameters()}


@pytest.mark.parametrize("backend", kernels.BACKENDS)
def test_penalty_of_the_course(backend):
    """Two weights of the same score: the spread one is the cheaper by L2."""
    for w, wanted in (([1, 0, 0, 0], 1), ([0.25] * 4, 0.25)):
        model = fastnet.Linear(4, 1, bias=False)
        model.weight.value, model.weight.grad = np.array([w], np.float32), np.zeros((1, 4), np.float32)
        assert L2(1, backend=backend).add(model) == wanted
        np.testing.assert_array_equal(model.weight.grad, 2 * np.array([w]))
        assert L1(0.5, backend=backend).add(model) == 0.5


@pytest.mark.parametrize("backend", kernels.BACKENDS)
@pytest.mark.parametrize("kind, strengths, l1, l2", [(L1, (0.2,), 0.2, 0), (L2, (0.3,), 0, 0.3),
                                                     (ElasticNet, (0.2, 0.3), 0.2, 0.3)])
@pytest.mark.parametrize("on, meant", [("weights", ["0.weight", "3.weight"]), ("3.*", ["3.weight", "3.bias"]),
                                       ("all", ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"])])
def test_values_and_gradients(kind, strengths, l1, l2, on, meant, backend):
    model, before = with_gradients(net())
    value, wanted = kind(*strengths, on=on, backend=backend).add(model), 0
    for name, parameter in model.named_parameters():
        w, change = parameter.value.astype(float), 0
        if name in meant:
            wanted += l1 * np.abs(w).sum() + l2 * np.square(w).sum()
            change = l1 * np.sign(w) + 2 * l2 * w
        np.testing.assert_allclose(parameter.grad, before[name] + change, rtol=1e-5, atol=1e-6)
    assert value == pytest.approx(wanted, rel=1e-6)


def test_what_has_no_gradient_is_left_alone():
    model, _ = with_gradients(net())
    fastnet.freeze(model, "3")
    value = L2(1).add(model)
    assert value == pytest.approx(np.square(model[0].weight.value.astype(float)).sum(), rel=1e-6)
    assert model[3].weight.grad is None
    frozen = model[3].weight.value.copy()
    MaxNorm(1e-3).project(model)
    np.testing.assert_array_equal(model[3].weight.value, frozen)
    np.testing.assert_allclose(np.linalg.norm(model[0].weight.value.reshape(3, -1), axis=1), 1e-3, rtol=1e-5)


@pytest.mark.parametrize("backend", kernels.BACKENDS)
@pytest.mark.parametrize("axis", [None, 0, (0, 1), (3, 2), 1, (0, 1, 2, 3)])
def test_max_norm(axis, backend):
    model, _ = with_gradients(fastnet.Conv2d(5, 4, (2, 3)))
    w = model.weight.value.astype(float)
    axes = (1, 2, 3) if axis is None else axis
    norms = np.sqrt(np.square(w).sum(axis=axes, keepdims=True))
    limit = float(np.median(norms))
    MaxNorm(limit, axis, backend=backend).project(model)
    np.testing.assert_allclose(model.weight.value, w * np.minimum(1, limit / norms), rtol=1e-5)
    kept = model.weight.value.copy()
    MaxNorm(10, axis, backend=backend).project(model)
    np.testing.assert_array_equal(model.weight.value, kept)


def test_numbers_beyond_float32_are_clipped_all_the_same():
    model = fastnet.Linear(3, 1)
    model.weight.value, model.weight.grad = np.array([[3e30, 0, 4e30]], np.float32), np.zeros((1, 3), np.float32)
    MaxNorm(5).project(model)
    np.testing.assert_allclose(model.weight.value, [[3, 0, 4]], rtol=1e-6)


def test_a_sum_is_both():
    both, (model, _) = L2(0.5) + L1(0.25) + MaxNorm(0.1), with_gradients(net())
    other, _ = with_gradients(net())
    assert both.add(model) == pytest.approx(ElasticNet(0.25, 0.5).add(other), rel=1e-6)
    np.testing.assert_allclose(model[3].weight.grad, other[3].weight.grad, rtol=1e-5, atol=1e-7)
    both.project(model)
    assert np.linalg.norm(model[3].weight.value, axis=1).max() < 0.1001
    assert repr(both) == "L2(0.5) + L1(0.25) + MaxNorm(0.1)"
    assert repr(ElasticNet(1, 2, on="all")) == "ElasticNet(1, 2, on='all')" and repr(MaxNorm(3, (0, 1))) == (
        "MaxNorm(3, axis=(0, 1))")


@pytest.mark.parametrize("call, error, message", [
    (lambda: L2(-1), ValueError, "L2: strength must be a finite number of at least 0, got -1"),
    (lambda: L1("x"), TypeError, "L1: strength must be a finite number"),
    (lambda: ElasticNet(0.1, np.nan), ValueError, "ElasticNet: l2 must be a finite number"),
    (lambda: MaxNorm(0), ValueError, "MaxNorm: limit must be a finite number above 0, got 0"),
    (lambda: MaxNorm(1, -1), ValueError, "MaxNorm: axis must be an axis, a tuple of axes, or None, got"),
    (lambda: MaxNorm(1, ()), ValueError, "MaxNorm: axis must be .*, got an empty tuple"),
    (lambda: MaxNorm(1, 2).project(with_gradients(fastnet.Linear(2, 2))[0]), ValueError, "axis must be axes of each p"),
    (lambda: MaxNorm(1, on="all").project(with_gradients(fastnet.Linear(2, 2))[0]), ValueError, "axes of each paramet"),
    (lambda: L2(1, on=3), TypeError, "L2: on must be a string, got 3"),
    (lambda: L2(1, on="head.*").add(net()), ValueError, "L2: on must be .*'head.*', which no parameter of the net fit"),
    (lambda: L2(1, backend="gpu"), ValueError, "L2: backend must be 'naive' or 'cpu', got 'gpu'"),
    (lambda: L2(1) + 3, TypeError, "unsupported operand"),
    (lambda: fastnet.Trainer(model := net(), fastnet.MSELoss(), fastnet.SGD(model.parameters(), 0.1), regularizer=L2),
     TypeError, r"Trainer: regularizer must be a regulariser, such as L2\(1e-4\), .* make an object of it"),
])
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_regulariser_of_ones_own_may_do_nothing():
    model, before = with_gradients(net())
    assert Regularizer().add(model) == 0 and Regularizer().project(model) is None
    np.testing.assert_array_equal(model[3].weight.grad, before["3.weight"])
