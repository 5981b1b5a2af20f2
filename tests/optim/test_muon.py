"""Muon: its step by hand, the polynomial that makes it orthogonal, and PyTorch as outside judge."""
import numba
import numpy as np
import pytest

from fastnet import kernels
from fastnet.optim import SGD, Muon, orthogonalize
from fastnet.optim.muon import norm

from .test_optim import parameters


@pytest.fixture(params=kernels.BACKENDS)
def backend(request):
    return request.param


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (5, 5), (1, 4), (4, 1)], ids=str)
def test_orthogonalize_drives_all_singular_values_towards_one(backend, shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values /= np.linalg.norm(values)
    for _ in range(5):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    assert 0.6 < values.min() and values.max() < 1.3
    result = orthogonalize(matrix, ops=kernels.load(backend))
    np.testing.assert_allclose(result, left * values @ right, atol=1e-6)
    assert not orthogonalize(0 * matrix, ops=kernels.load(backend)).any()


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 12])
def test_orthogonalize_in_single_precision(backend, steps):
    """Directions that are a million times shorter than others neither get lost nor grow out of bounds."""
    rng = np.random.default_rng(0)
    left, right = np.linalg.qr(rng.normal(size=(24, 24)))[0], np.linalg.qr(rng.normal(size=(90, 24)))[0]
    values = np.logspace(0, -6, 24)
    matrix = (left * values @ right.T).astype(np.float32)
    values /= np.linalg.norm(values)
    for _ in range(steps):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    result = orthogonalize(matrix, steps, kernels.load(backend))
    assert result.dtype == np.float32
    error = np.linalg.norm(result - left * values @ right.T) / np.linalg.norm(values)
    assert error < (2e-5 if steps <= 5 else 5e-3)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_muon_by_hand(backend, nesterov, normalize):
    weight, = parameters(shapes=((6, 1, 2, 2),))  # a tall matrix, whose steps are longer
    value, velocity, rng = weight.value.reshape(6, 4).copy(), np.zeros((6, 4)), np.random.default_rng(1)
    optimizer = Muon([weight], lr=0.1, momentum=0.5, weight_decay=0.2, nesterov=nesterov, ns_steps=3,
                     normalize=normalize, backend=backend)
    for _ in range(3):
        weight.grad = rng.normal(size=weight.shape)
        optimizer.step()
        gradient = weight.grad.reshape(6, 4)
        velocity = 0.5 * velocity + gradient
        value *= 1 - 0.1 * 0.2
        if normalize:
            value *= 6**0.5 / (np.sqrt((value**2).sum()) + 1e-7)
        value -= 0.1 * 1.5**0.5 * orthogonalize(gradient + 0.5 * velocity if nesterov else velocity, steps=3)
        np.testing.assert_allclose(weight.value.reshape(6, 4), value, rtol=1e-12)


def test_muon_agrees_with_torch():
    torch = pytest.importorskip("torch", "2.9")
    ours = parameters(shapes=((6, 10), (10, 6)))
    theirs = [torch.tensor(parameter.value.copy(), requires_grad=True) for parameter in ours]
    optimizer, judge = Muon(ours, lr=0.05), torch.optim.Muon(theirs, lr=0.05)
    rng = np.random.default_rng(1)
    for _ in range(5):
        for parameter, other in zip(ours, theirs, strict=True):
            parameter.grad = rng.normal(size=parameter.shape)
            other.grad = torch.tensor(parameter.grad.copy())
        optimizer.step()
        judge.step()
    for parameter, other in zip(ours, theirs, strict=True):  # PyTorch computes the products in bfloat16
        np.testing.assert_allclose(parameter.value, other.detach().numpy(), atol=0.01)


def test_muon_clips_what_it_adds_to_its_momentum(backend):
    filters, = parameters(shapes=((4, 3, 2, 2),))
    optimizer = Muon([filters], lr=0.1, max_norm=0.5, backend=backend)
    optimizer.step()
    clipped = filters.grad * 0.5 / (np.linalg.norm(filters.grad) + 1e-6)
    np.testing.assert_allclose(optimizer.state_dict()["0.momentum_buffer"], clipped, rtol=1e-12)


def test_muon_leaves_other_groups_to_sgd(backend):
    (weight, bias), (_, judge) = parameters(), parameters()
    optimizer = Muon([{"params": [weight]}, {"params": [bias], "orthogonal": False, "lr_scale": 2.0}], lr=0.1,
                     momentum=0.8, weight_decay=0.3, backend=backend)
    sgd = SGD([judge], lr=0.2, momentum=0.8, weight_decay=0.3, nesterov=True, backend=backend)
    for _ in range(3):
        optimizer.step()
        sgd.step()
    np.testing.assert_array_equal(bias.value, judge.value)


@pytest.mark.parametrize("max_norm", [None, 1.0])
def test_the_same_bits_for_any_number_of_threads(max_norm):
    """Of a weight large enough that NumPy's own product would share it out among threads."""
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        try:
            weight = parameters(np.float32, ((96, 3000),))
            optimizer = Muon(weight, lr=0.1, normalize=True, max_norm=max_norm)
            for _ in range(2):
                optimizer.step()
        finally:
            numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        results.append((weight[0].value, optimizer.grad_norm))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_norms_are_added_up_in_float64():
    """Whatever the number of threads that NumPy's own product would take."""
    array = np.full((2048, 1024), 0.1, np.float32)
    assert norm(array, kernels.load("cpu")) == pytest.approx(np.float64(np.float32(0.1)) * 2**10.5, rel=1e-12)
