"""Weights of samples: from arrays and batches to the loss, and into the means."""
import numpy as np
import pytest

import fastnet
from fastnet import data
from fastnet.training import evaluate

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5)).astype(np.float32)
CLASSES, NUMBERS = np.arange(12) % 3, RNG.normal(size=(12, 3)).astype(np.float32)
WEIGHTS = np.array([1, 2, 0, 3, 1, 1, 4, 2, 1, 0, 0, 2])
CASES = [(fastnet.CrossEntropyLoss, CLASSES), (fastnet.MSELoss, NUMBERS)]


def net():
    fastnet.manual_seed(0)
    return fastnet.Sequential(fastnet.Linear(5, 8), fastnet.Tanh(), fastnet.Linear(8, 3)).astype(np.float64)


def trained(loss, batches, accumulate=1, **given):
    model = net()
    trainer = fastnet.Trainer(model, loss, fastnet.SGD(model.parameters(), 0.1), accumulate=accumulate)
    return trainer.fit(batches, 3, **given), model.state_dict()


def assert_close(one, other):
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss, y", CASES)
def test_a_weight_of_two_is_the_sample_twice(loss, y):
    again = np.repeat(np.arange(12), WEIGHTS)
    one, weights = trained(loss(), (X, y, WEIGHTS))
    other, wanted = trained(loss(), (X[again], y[again]))
    assert_close(wanted, weights)
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-9)
    assert one.by_step[0]["loss"] == pytest.approx(other.by_step[0]["loss"])


@pytest.mark.parametrize("loss, y", CASES)
def test_batches_that_are_accumulated_are_one(loss, y):
    parts = [(X[a:b], y[a:b], WEIGHTS[a:b]) for a, b in ((0, 5), (5, 9), (9, 11), (11, 12))]    # one weighs nothing
    one, weights = trained(loss(), parts, accumulate=4)
    other, wanted = trained(loss(), [(X, y, WEIGHTS)])
    assert_close(wanted, weights)
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-9)


def test_means_are_weighted_and_shares_are_not():
    model, loss = net(), fastnet.CrossEntropyLoss()
    each = np.array([loss(model(X[i:i + 1]), CLASSES[i:i + 1])[0] for i in range(12)])
    wanted = (each * WEIGHTS).sum() / WEIGHTS.sum()
    for batches in ((X, CLASSES, WEIGHTS), data.DataLoader(X, CLASSES, 5, shuffle=True, sample_weight=WEIGHTS),
                    [[X[:3], CLASSES[:3], WEIGHTS[:3]], (X[3:], CLASSES[3:], WEIGHTS[3:].astype(np.float32))]):
        found = evaluate(model, batches, loss, {"top1": fastnet.metrics.top_k(1)}, batch_size=5)
        assert found["loss"] == pytest.approx(wanted)
        assert found["accuracy"] == found["top1"] == (model(X).argmax(1) == CLASSES).mean()
    assert evaluate(model, (X, CLASSES, np.zeros(12)), loss)[0] == 0


def test_they_go_with_their_samples():
    """Shuffled, sampled, transformed, by many threads, in order, from an object that gives one sample at a time."""
    tags = np.arange(12, dtype=np.float32)
    loader = data.DataLoader(X, tags, 5, seed=3, workers=3, sample_weight=10 * tags.astype(int))
    assert sorted(np.concatenate([y for _, y, _ in loader])) == tags.tolist()
    loader.transform = lambda x, y: (x, y + 1)
    for some in (loader, data.DataLoader([*zip(X, tags + 1, strict=True)], batch_size=4, sample_weight=10 * tags),
                 data.DataLoader(X, tags + 1, 7, sampler=data.SubsetSampler([3, 8, 2]), sample_weight=10 * tags)):
        batches = list(some)
        assert all(np.array_equal(w, 10 * (y - 1)) and w.dtype.kind == "f" for _, y, w in batches)
    assert [len(batch) for batch in loader.in_order()] == [3, 3, 3]
    assert fastnet.predict(net(), loader).shape == (12, 3)


def test_validation_has_its_own():
    kept = trained(fastnet.CrossEntropyLoss(), (X, CLASSES, WEIGHTS), validation=(X, CLASSES, WEIGHTS))
    model = net()
    model.load_state_dict(kept[1])
    wanted, _ = evaluate(model, (X, CLASSES, WEIGHTS), fastnet.CrossEntropyLoss())
    assert kept[0]["val_loss"][-1] == pytest.approx(wanted)
    share, weights = trained(fastnet.CrossEntropyLoss(), (X, CLASSES, WEIGHTS), validation=0.25)
    _, held = data.train_val_split(CLASSES, 0.25)
    model.load_state_dict(weights)
    wanted = evaluate(model, (X[held], CLASSES[held], WEIGHTS[held]), fastnet.CrossEntropyLoss())
    assert (share["val_loss"][-1], share["val_accuracy"][-1]) == pytest.approx(wanted)


def test_losses_of_ones_own_and_of_heads():
    def own(outputs, targets, sample_weight=None):
        return fastnet.MSELoss()(outputs, targets, sample_weight)

    assert_close(trained(own, (X, NUMBERS, WEIGHTS))[1], trained(fastnet.MSELoss(), (X, NUMBERS, WEIGHTS))[1])
    assert_close(trained(lambda *args, **options: own(*args, **options), (X, NUMBERS, WEIGHTS))[1],
                 trained(own, (X, NUMBERS, WEIGHTS))[1])
    fastnet.manual_seed(1)
    model = fastnet.Graph({"a": (fastnet.Linear(5, 3), ["x"]), "b": (fastnet.Linear(5, 3), ["x"])}, ["x"], ["a", "b"])
    both = fastnet.WeightedSum({"a": fastnet.CrossEntropyLoss(), "b": fastnet.MSELoss()})
    trainer = fastnet.Trainer(model, both, fastnet.SGD(model.parameters(), 0.1))
    history = trainer.fit((X, {"a": CLASSES, "b": NUMBERS}, WEIGHTS), 1)
    assert {"a_accuracy", "b_mae"} < history[0].keys()
    with pytest.raises(TypeError, match="weights of samples, and the loss .* takes none: give one that does"):
        trained(lambda outputs, targets: own(outputs, targets), (X, NUMBERS, WEIGHTS))


def test_what_went_wrong_is_looked_for_with_them():
    x = X.copy()
    x[3] = 1e30
    bad = fastnet.Sequential(fastnet.Linear(5, 3))
    trainer = fastnet.Trainer(bad, fastnet.MSELoss(), fastnet.SGD(bad.parameters(), 0.1))
    with pytest.raises(fastnet.NonFiniteError, match="all layers gave finite outputs"), np.errstate(all="ignore"):
        trainer.fit((x, NUMBERS, WEIGHTS), 1)
    model, loss = net(), fastnet.MSELoss()
    found = fastnet.lr_range_test(model, loss, fastnet.SGD(model.parameters(), 0.1), (X, NUMBERS, WEIGHTS), steps=3)
    assert found.losses[0] == pytest.approx(loss(model(X), NUMBERS, sample_weight=WEIGHTS)[0])


@pytest.mark.parametrize("given, error, message", [
    (lambda: data.DataLoader(X, sample_weight=WEIGHTS), TypeError, "sample_weight goes to the loss with y, and there "),
    (lambda: data.DataLoader(list(X), sample_weight=WEIGHTS), TypeError, "sample_weight goes to the loss with y"),
    (lambda: data.DataLoader(X, CLASSES, sample_weight=WEIGHTS[:4]), ValueError, "one number for each of 12 samples"),
    (lambda: data.DataLoader(X, CLASSES, sample_weight=WEIGHTS - 1), ValueError, "finite numbers of at least 0, got"),
    (lambda: data.DataLoader(X, CLASSES, sample_weight="balanced"), TypeError, "sample_weight must be a NumPy array"),
    (lambda: data.DataLoader(np.zeros((12, 3, 8, 8), np.uint8), CLASSES, sample_weight=WEIGHTS,
                             augment=data.Augment(mixup=0.2)), ValueError, "leave out mixup and cutmix"),
])
def test_what_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        given()
