"""The loss of a data set is that of one batch of everything, however the data are cut into batches."""
import numpy as np
import pytest

import fastnet as F

_X = np.random.default_rng(0).standard_normal((20, 5)).astype("f")
_Y = np.arange(20) % 3
_IGNORED = np.where(np.arange(20) < 3, _Y, -100)
_SOFT = np.eye(3, dtype="f")[_Y] * 0.7 + 0.1
_WEIGHT = [1.0, 5.0, 0.25]

LOSSES = {
    "ignored": (F.CrossEntropyLoss(), _IGNORED),
    "weighted": (F.CrossEntropyLoss(weight=_WEIGHT), _Y),
    "both": (F.CrossEntropyLoss(weight=_WEIGHT, ignore_index=1, label_smoothing=0.1), _Y),
    "sum": (F.CrossEntropyLoss(reduction="sum"), _IGNORED),
    "probabilities": (F.CrossEntropyLoss(weight=_WEIGHT), _SOFT),
    "nll": (F.NLLLoss(weight=_WEIGHT, ignore_index=0), _Y),
    "focal": (F.FocalLoss(alpha=_WEIGHT, ignore_index=2), _Y),
    "margin": (F.MultiMarginLoss(weight=_WEIGHT), _Y),
    "margin, sum": (F.MultiMarginLoss(reduction="sum"), _Y),
    "squares": (F.MSELoss(), _SOFT),
    "squares, sum": (F.MSELoss(reduction="sum"), _SOFT),
    "batchmean": (F.KLDivLoss("batchmean"), _SOFT),
}


def _net():
    F.manual_seed(1)
    return F.Sequential(F.Linear(5, 3), F.LogSoftmax())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_evaluate_does_not_depend_on_the_batches(name, weighted):
    loss, y = LOSSES[name]
    net, more = _net(), (np.linspace(0, 2, 20),) if weighted else ()
    wanted = loss(net(_X), y, *more).value
    for size in (20, 5, 3, 1):
        assert F.evaluate(net, (_X, y, *more), loss, batch_size=size)[0] == pytest.approx(wanted, rel=1e-5), size


@pytest.mark.parametrize("name", LOSSES)
def test_histories_do_not_either(name):
    loss, y = LOSSES[name]
    net = _net()
    optimizer = F.SGD(net.parameters(), 0.0)
    wanted = pytest.approx(loss(net(_X), y).value, rel=1e-5)
    for size, accumulate in ((20, 1), (3, 1), (3, 2)):
        row = F.Trainer(net, loss, optimizer, accumulate=accumulate).fit((_X, y), 1, (_X, y), batch_size=size)[-1]
        assert (row["loss"], row["val_loss"]) == (wanted, wanted)


@pytest.mark.parametrize("name", LOSSES)
def test_accumulated_gradients_are_those_of_one_batch(name):
    loss, y = LOSSES[name]
    whole, parts = _net(), _net()
    F.Trainer(whole, loss, F.SGD(whole.parameters(), 0.1)).fit([(_X, y)], 1)
    F.Trainer(parts, loss, F.SGD(parts.parameters(), 0.1), accumulate=7).fit(
        [(_X[i:i + 3], y[i:i + 3]) for i in range(0, 20, 3)], 1)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        np.testing.assert_allclose(other.value, one.value, rtol=1e-4, atol=1e-5)


def test_a_batch_without_a_label_counts_for_nothing():
    net, loss = _net(), F.CrossEntropyLoss()
    first = F.evaluate(net, [(_X[:3], _Y[:3])], loss)[0]
    assert F.evaluate(net, [(_X[:3], _Y[:3]), (_X, np.full(20, -100))], loss)[0] == first


def test_pixels_are_counted_in_images_of_any_size():
    net, loss, rng = F.Conv2d(2, 3, 1), F.CrossEntropyLoss(ignore_index=0), np.random.default_rng(0)
    images = [rng.standard_normal((1, 2, size, size)).astype("f") for size in (3, 5)]
    labels = [rng.integers(0, 3, (1, size, size)) for size in (3, 5)]
    kept = [np.count_nonzero(one) for one in labels]
    values = [loss(net(x), y).value for x, y in zip(images, labels, strict=True)]
    found = F.evaluate(net, list(zip(images, labels, strict=True)), loss)[0]
    assert found == pytest.approx(np.average(values, weights=kept))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_heads_that_divide_by_the_same(reduction):
    loss = F.WeightedSum((F.CrossEntropyLoss(reduction=reduction), F.MSELoss(reduction)), (1, 2))

    def net(x):
        return x[:, :3], x

    wanted = loss(net(_X), (_Y, _X + 1)).value
    for size in (20, 3):
        assert F.evaluate(net, (_X, (_Y, _X + 1)), loss, batch_size=size)[0] == pytest.approx(wanted)
