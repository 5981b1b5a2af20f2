"""What is validated on."""
import numpy as np
import pytest

import fastnet
from fastnet import data

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = np.repeat([0, 1, 2, 0], 10)


def trainer(outputs=3, loss=fastnet.CrossEntropyLoss):
    fastnet.manual_seed(0)
    net = fastnet.Linear(3, outputs).to("naive")
    return fastnet.Trainer(net, loss(backend="naive"), fastnet.SGD(net.parameters(), 0.1, backend="naive"))


def seen(batches):
    """The rows of X that batches show, and how many times each."""
    rows = np.concatenate([x for x, _ in batches])
    return np.flatnonzero([(X == row).all(axis=1).any() for row in X[:0]]) if not len(rows) else np.sort(
        [int(np.flatnonzero((X == row).all(axis=1))[0]) for row in rows])


def test_a_share_of_each_class_is_held_back():
    one = trainer()
    history = one.fit((X, LABELS), 2, validation=0.3, batch_size=7)
    train, held = seen(one.train_batches), seen(one.validation)
    assert len(held) == 12 and sorted([*train, *held]) == list(range(40))
    np.testing.assert_array_equal(np.bincount(LABELS[held]), [6, 3, 3])
    np.testing.assert_array_equal(held, data.train_val_split(LABELS, 0.3)[1])
    assert history[-1]["steps"] == 8 and history["val_loss"][-1] == fastnet.evaluate(
        one.net, [(X[held], LABELS[held])], one.loss_function)[0] == pytest.approx(history["val_loss"][-1])
    one.fit((X, LABELS), 1, validation=0.3)     # the same ones again
    np.testing.assert_array_equal(seen(one.validation), held)
    first, second = (np.concatenate([x for x, _ in one.train_batches]) for _ in range(2))
    assert (first != second).any()  # in another order each time


@pytest.mark.parametrize("targets, loss", [(X[:, :2], fastnet.MSELoss), (LABELS - 1.0, None), (X[:, :1] > 0, None)])
def test_targets_that_are_no_classes_are_divided_at_random(targets, loss):
    one = trainer(1, fastnet.MSELoss)
    targets = np.asarray(targets, np.float32).reshape(40, -1)[:, :1]
    one.fit((X, targets), 1, validation=0.25)
    assert len(seen(one.validation)) == 10


def test_several_arrays_are_divided_alike():
    net = fastnet.Graph({"a": (fastnet.Linear(3, 3), "one"), "b": (fastnet.Linear(3, 3), "two"),
                         "y": (fastnet.Add(), ["a", "b"])}, inputs=("one", "two")).to("naive")
    one = fastnet.Trainer(net, fastnet.CrossEntropyLoss(backend="naive"),
                          fastnet.SGD(net.parameters(), 0.1, backend="naive"))
    one.fit(({"one": X, "two": X}, LABELS), 1, validation=0.1)
    (x, labels), = one.validation
    np.testing.assert_array_equal(x["one"], x["two"])
    assert len(labels) == 4


@pytest.mark.parametrize("given, share, error, message", [
    ((X, LABELS), 1.0, ValueError, "fit: validation, as a share of the training arrays, must be .*below 1, got 1.0"),
    ((X, LABELS), 0.001, ValueError, "fit: validation=0.001 of 40 samples leaves one side empty"),
    ((X, LABELS), 1, TypeError, "fit: validation must be batches, .*, got 1"),
    ((X, LABELS), float("nan"), ValueError, "fit: validation, as a share"),
    ([(X, LABELS)], 0.1, TypeError, r"fit: validation=0.1 divides arrays, train_batches=\(x, y\), got .*train_val_sp"),
    (data.DataLoader(X, LABELS), 0.1, TypeError, "fit: validation=0.1 divides arrays"),
    ((X, LABELS[:-1]), 0.1, ValueError, "x and y must hold as many samples"),
])
def test_bad_shares(given, share, error, message):
    one = trainer()
    before = one.net.state_dict()
    with pytest.raises(error, match=message):
        one.fit(given, 1, validation=share)
    for name, value in one.net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
