"""Losses: known values, their gradients against finite differences, and PyTorch as outside judge."""
import math

import numpy as np
import pytest

from fastnet import kernels
from fastnet.losses import CrossEntropyLoss, MSELoss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 4))
LABELS = np.array([0, 3, 1, 1, 2])
TARGET = RNG.normal(size=(5, 4))


@pytest.fixture(params=kernels.BACKENDS)
def backend(request):
    return request.param


def test_known_values(backend):
    loss = CrossEntropyLoss(backend=backend)
    value, _ = loss(np.array([[3.2, 5.1, -1.7]], np.float32), np.array([0]))
    assert value == pytest.approx(2.0404, abs=1e-4)
    value, dlogits = loss(np.zeros((7, 10), np.float32), np.arange(7))
    assert type(value) is float and value == pytest.approx(math.log(10), rel=1e-6)
    assert dlogits.dtype == np.float32
    np.testing.assert_allclose(dlogits, (0.1 - np.eye(7, 10)) / 7, rtol=1e-6)


def test_smoothing_mixes_the_label_with_all_classes(backend):
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    target = 0.8 * np.eye(4)[LABELS] + 0.2 / 4
    value, dlogits = CrossEntropyLoss(0.2, backend)(LOGITS, LABELS)
    assert value == pytest.approx(-(target * log_p).sum() / 5, rel=1e-12)
    np.testing.assert_allclose(dlogits, (np.exp(log_p) - target) / 5, atol=1e-15)


def test_mse_by_hand():
    value, gradient = MSELoss()(np.array([[1.0, 2.0], [3.0, 5.0]], np.float32), [[1, 0], [0, 1]])
    assert value == (0 + 4 + 9 + 16) / 4
    np.testing.assert_array_equal(gradient, np.array([[0, 1], [1.5, 2]], np.float32))
    assert gradient.dtype == np.float32


@pytest.mark.parametrize("loss, target", [
    (CrossEntropyLoss(), LABELS), (CrossEntropyLoss(0.1), LABELS), (CrossEntropyLoss(1.0), LABELS), (MSELoss(), TARGET),
], ids=repr)
def test_gradient_against_finite_differences(loss, target):
    _, gradient = loss(LOGITS, target)
    step = 1e-5
    for i in np.ndindex(LOGITS.shape):
        up, down = LOGITS.copy(), LOGITS.copy()
        up[i] += step
        down[i] -= step
        assert (loss(up, target)[0] - loss(down, target)[0]) / (2 * step) == pytest.approx(gradient[i], abs=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, None])
def test_torch_agrees(smoothing, backend):
    torch = pytest.importorskip("torch")
    logits = torch.tensor(LOGITS, requires_grad=True)
    if smoothing is None:
        ours, theirs = MSELoss()(LOGITS, TARGET), torch.nn.MSELoss()(logits, torch.tensor(TARGET))
    else:
        ours = CrossEntropyLoss(smoothing, backend)(LOGITS, LABELS)
        theirs = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(logits, torch.tensor(LABELS))
    theirs.backward()
    assert ours[0] == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(ours[1], logits.grad.numpy(), rtol=1e-9, atol=1e-15)


def test_a_loss_may_overflow_without_a_warning():
    value, gradient = MSELoss()(np.full((1, 2), 3e38, np.float32), np.full((1, 2), -3e38, np.float32))
    assert value == math.inf and np.isinf(gradient).all()


@pytest.mark.parametrize("call, error, message", [
    (lambda: CrossEntropyLoss(1.5), ValueError, "CrossEntropyLoss: label_smoothing must be .* at most 1, got 1.5"),
    (lambda: CrossEntropyLoss(backend="gpu"), ValueError, "CrossEntropyLoss: backend must be 'naive' or 'cpu', got 'g"),
    (lambda: CrossEntropyLoss()(LOGITS, [0, 1, 2, 3, 4]), ValueError,
     "CrossEntropyLoss: labels must be class numbers from 0 to 3, got 4 at position 4"),
    (lambda: CrossEntropyLoss()(LOGITS, [0, 1, 2, -1, 0]), ValueError, "from 0 to 3, got -1 at position 3"),
    (lambda: CrossEntropyLoss()(LOGITS, LABELS.astype(np.uint64) + np.uint64(2**63)), ValueError,
     "from 0 to 3, got 9223372036854775808 at position 0"),
    (lambda: CrossEntropyLoss()(LOGITS, [0, 1]), ValueError, "CrossEntropyLoss: labels must be 5 class numbers"),
    (lambda: CrossEntropyLoss()(LOGITS, LABELS / 1), TypeError, r"labels must be .*: give labels.astype\('int64'\)"),
    (lambda: CrossEntropyLoss()(LOGITS, np.eye(4)[LABELS]), TypeError, r"one-hot .*, give labels.argmax\(axis=1\)"),
    (lambda: CrossEntropyLoss()(LOGITS, np.eye(4, dtype=int)[LABELS]), ValueError, r"give labels.argmax\(axis=1\)"),
    (lambda: CrossEntropyLoss()(LOGITS, LABELS[:, None]), ValueError, r"labels must be .*: give labels.ravel\(\)"),
    (lambda: CrossEntropyLoss()(LOGITS, np.array(list("abcde"))), TypeError, r"np.unique\(labels, return_inverse=True"),
    (lambda: CrossEntropyLoss()(LOGITS, list("abcde")), TypeError, "labels must be .*: number the classes"),
    (lambda: CrossEntropyLoss()(LOGITS, [(0, 1), (2,)]), TypeError, "labels must be an array of class numbers, got"),
    (lambda: CrossEntropyLoss()(LOGITS, np.ma.array(LABELS)), TypeError, "labels is a masked array"),
    (lambda: CrossEntropyLoss()(LOGITS, None), TypeError, "CrossEntropyLoss: labels must be a NumPy array, got None"),
    (lambda: CrossEntropyLoss()(LOGITS[0], LABELS), ValueError, r"CrossEntropyLoss: logits must have shape \(N, C\)"),
    (lambda: CrossEntropyLoss()(LOGITS[:0], LABELS[:0]), ValueError, "empty batch"),
    (lambda: MSELoss()(np.zeros((3, 1)), np.zeros(3)), ValueError,
     r"MSELoss.*same shape, got \(3, 1\) and \(3,\): give target\[:, None\]"),
    (lambda: MSELoss()(np.zeros((0, 1)), np.zeros((0, 1))), ValueError, "empty batch"),
    (lambda: MSELoss()(np.zeros(2, complex), np.zeros(2)), TypeError, "MSELoss: prediction must hold real numbers"),
    (lambda: MSELoss()(np.zeros(2), np.ma.zeros(2)), TypeError, "MSELoss: target is a masked array"),
])
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_refused_smoothing_leaves_the_old_one():
    loss = CrossEntropyLoss(0.1)
    with pytest.raises(TypeError):
        loss.label_smoothing = None
    assert loss.label_smoothing == 0.1


def test_tensors_of_pytorch_are_taken(backend):
    torch = pytest.importorskip("torch")
    for ours, theirs in zip(CrossEntropyLoss(backend=backend)(torch.tensor(LOGITS), torch.tensor(LABELS)),
                            CrossEntropyLoss(backend=backend)(LOGITS, LABELS), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("loss, target", [(CrossEntropyLoss(), np.zeros(300_000, int)),
                                          (MSELoss(), np.zeros((300_000, 4), np.float32))], ids=repr)
def test_the_mean_over_many_rows_keeps_single_precision(loss, target):
    logits = np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (300_000, 1))
    one, _ = loss(logits[:1].astype(np.float64), target[:1].astype(np.float64 if target.ndim == 2 else int))
    assert loss(logits, target)[0] == pytest.approx(one, rel=1e-6)
