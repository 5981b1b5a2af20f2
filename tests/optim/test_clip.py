"""Clipping as functions: by hand, PyTorch as outside judge, and what they refuse."""
import numpy as np
import pytest

from fastnet import optim
from fastnet.parameter import Parameter

INF, NAN = float("inf"), float("nan")


def parameters(dtype=np.float64, shapes=((4, 3), (5,), (), (200, 100))):
    rng = np.random.default_rng(0)
    result = [Parameter(np.zeros(shape, dtype)) for shape in (*shapes, (2,))]
    for parameter in result[:-1]:
        parameter.grad = rng.standard_normal(parameter.shape).astype(dtype)
    return result


def grads(params):
    return [parameter.grad for parameter in params if parameter.grad is not None]


def theirs_of(params):
    torch = pytest.importorskip("torch")
    result = [torch.zeros(parameter.shape, requires_grad=True) for parameter in params]
    for parameter, other in zip(params, result, strict=True):
        other.data = torch.tensor(parameter.value)
        other.grad = None if parameter.grad is None else torch.tensor(parameter.grad)
    return torch.nn.utils, result


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 3e-6), (np.float64, 1e-12)])
@pytest.mark.parametrize("norm_type", [2.0, 2, 1, 3.5, 0.5, INF])
@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e30, INF, 0.0])
def test_torch_agrees_on_norms(dtype, rtol, norm_type, max_norm):
    params = parameters(dtype)
    judge, theirs = theirs_of(params)
    before = grads(params)
    kept = [grad.copy() for grad in before]
    expected = judge.clip_grad_norm_(theirs, max_norm, norm_type)
    norm = optim.clip_grad_norm(params, max_norm, norm_type)
    assert type(norm) is float and norm == pytest.approx(expected.item(), rel=100 * rtol)
    for ours, other in zip(params, theirs, strict=True):
        if ours.grad is None:
            continue
        assert ours.grad.dtype == dtype and ours.grad.shape == ours.shape
        np.testing.assert_allclose(ours.grad, other.grad.numpy(), rtol=100 * rtol)
    for old, copy in zip(before, kept, strict=True):    # nobody writes into what it was given
        np.testing.assert_array_equal(old, copy)


@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
@pytest.mark.parametrize("norm_type", [2.0, 1.0, INF])
def test_norms_that_are_not_finite(wrong, norm_type):
    params = parameters()
    params[0].grad[1, 1] = wrong
    with pytest.raises(ValueError, match="clip_grad_norm: the norm of the gradients is (nan|inf), .* look for what ma"):
        optim.clip_grad_norm(params, 1.0, norm_type, error_if_nonfinite=True)
    judge, theirs = theirs_of(params)
    expected = judge.clip_grad_norm_(theirs, 1.0, norm_type).item()
    np.testing.assert_equal(optim.clip_grad_norm(params, 1.0, norm_type), expected)
    for ours, other in zip(params[:-1], theirs, strict=False):
        np.testing.assert_allclose(ours.grad, other.grad.numpy())


def test_a_float32_sum_would_overflow():
    parameter = Parameter(np.zeros(4, np.float32))
    parameter.grad = np.full(4, 2e38, np.float32)
    assert optim.clip_grad_norm([parameter], 1.0) == pytest.approx(4e38)
    np.testing.assert_allclose(parameter.grad, 0.5, rtol=1e-6)


def test_torch_agrees_on_values():
    params = parameters()
    params[0].grad[0] = NAN, INF, -INF
    judge, theirs = theirs_of(params)
    before = grads(params)
    judge.clip_grad_value_(theirs, 0.5)
    assert optim.clip_grad_value(params, 0.5) is None
    for ours, other, old in zip(params[:-1], theirs, before, strict=False):
        np.testing.assert_array_equal(ours.grad, other.grad.numpy())
        assert ours.grad is not old
    single = Parameter(np.zeros(2))
    single.grad = np.array([3.0, -3.0])
    optim.clip_grad_value(single, 1)
    assert single.grad.tolist() == [1, -1]
    assert optim.clip_grad_norm(single, 1e9) == 2**0.5 and optim.clip_grad_norm([], 1.0) == 0


@pytest.mark.parametrize("call, message", [
    (lambda p: optim.clip_grad_norm(p, -1), "clip_grad_norm: max_norm must be a finite number of at least 0, got -1"),
    (lambda p: optim.clip_grad_norm(p, 1, 0), "clip_grad_norm: norm_type must be a finite number above 0, got 0"),
    (lambda p: optim.clip_grad_norm(p, 1, 2, 1), "clip_grad_norm: error_if_nonfinite must be True or False, got 1"),
    (lambda p: optim.clip_grad_norm([p[0].grad], 1), "clip_grad_norm: parameters must be Parameters, such as .*, got "),
    (lambda p: optim.clip_grad_value(p, NAN), "clip_grad_value: clip_value must be a finite number of at least 0, go"),
    (lambda p: (setattr(p[1], "grad", [1.0] * 5), optim.clip_grad_value(p, 1)), "gradient of parameters.1. must be a "),
    (lambda p: (setattr(p[1], "grad", np.ones(5, int)), optim.clip_grad_norm(p, 1)), "must be float32 or float64, "),
])
def test_what_is_refused_changes_nothing(call, message):
    params = parameters()
    first = params[0].grad
    with pytest.raises((TypeError, ValueError), match=message):
        call(params)
    assert params[0].grad is first
