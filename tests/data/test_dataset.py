import numpy as np
import pytest

from fastnet.data import Dataset, class_weights, k_folds, split, train_val_split

LABELS = np.repeat([0, 1, 2, 3], [40, 20, 30, 10])


@pytest.mark.parametrize(("validation", "counts"), [(0.2, [8, 4, 6, 2]), (50, [20, 10, 15, 5]), (0.9, [36, 18, 27, 9])])
def test_split_takes_the_same_share_of_every_class(validation, counts):
    train, val = train_val_split(LABELS, validation, seed=3)
    assert np.bincount(LABELS[val]).tolist() == counts
    assert sorted([*train, *val]) == list(range(100))
    again = train_val_split(LABELS, validation, seed=3)
    assert (again[0] == train).all() and (again[1] == val).all()
    assert (train_val_split(LABELS, validation, seed=4)[1] != val).any()


@pytest.mark.parametrize("validation", [0, 1.0, 1.5, 100, -1, 0.001, 0.999, 0.0, float("nan"), 50.0])
def test_split_refuses_an_empty_side(validation):
    with pytest.raises(ValueError, match=f"train_val_split: validation.* must .*, got {validation:g}"):
        train_val_split(LABELS, validation)


@pytest.mark.parametrize("call, message", [
    (lambda: train_val_split(LABELS, True), "train_val_split: validation.* must be an integer"),
    (lambda: train_val_split(LABELS, "0.1"), "train_val_split: validation.* must be a finite number"),
    (lambda: train_val_split(LABELS / 1), r"train_val_split: labels must be .*: give labels.astype\('int64'\)"),
    (lambda: train_val_split(LABELS, seed=None), "train_val_split: seed must be an integer of at least 0, got None"),
    (lambda: k_folds(LABELS, 2.0), "k_folds: k.* must be an integer of at least 2 and at most 100, got 2.0"),
    (lambda: k_folds(LABELS[:, None]), r"k_folds: labels must be .*: give labels.ravel\(\)"),
])
def test_other_kinds_of_things_are_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_numpys_numbers_are_taken():
    assert len(train_val_split(LABELS, np.int64(7))[1]) == 7 and len(train_val_split(LABELS, np.float32(0.5))[1]) == 50
    assert len(k_folds(LABELS.tolist(), np.int8(4))) == 4


def test_folds_cover_everything_once_and_keep_the_classes():
    folds = k_folds(LABELS, 5)
    assert sorted(np.concatenate([val for _, val in folds])) == list(range(100))
    for train, val in folds:
        assert np.bincount(LABELS[val]).tolist() == [8, 4, 6, 2]
        assert len(np.intersect1d(train, val)) == 0 and len(train) == 80
    with pytest.raises(ValueError, match="k_folds: k.* must be .* at least 2 and at most 100, got 1"):
        k_folds(LABELS, 1)


def test_dataset_selects_and_prints_itself():
    images = np.arange(5 * 3 * 2 * 2, dtype=np.uint8).reshape(5, 3, 2, 2)
    data = Dataset(images, np.array([0, 1, 0, 1, 1]), ("cat", "dog"), "memory")
    part = data[np.array([4, 0])]
    assert part.labels.tolist() == [1, 0] and (part.images == images[[4, 0]]).all() and len(data[:2]) == 2
    assert repr(data) == "Dataset(5 images of 3 x 2 x 2, 2 classes, from memory)"
    assert data[np.array([False, True, False, False, True])].labels.tolist() == [1, 1] and len(data[[]]) == 0
    for index, error, message in [
        (0, TypeError, "selected by must be a slice or an array of indices, got 0"),
        (np.array([5]), IndexError, "must be indices of 5 samples, got some from 5 to 5"),
        ([-6, 0], IndexError, "must be indices of 5 samples, got some from -6 to 0"),
        ([0.5], TypeError, "must be a row of integers"), ([True, False], ValueError, r"must have shape \(5,\), got \("),
        ([[0], [1, 2]], TypeError, "must be an array of numbers"),
    ]:
        with pytest.raises(error, match=f"^Dataset: what is .*{message}"):
            data[index]


@pytest.mark.parametrize("change, error, message", [
    ({"labels": np.zeros(4, int)}, ValueError, "Dataset: labels must be 5 class numbers, one for each sample"),
    ({"labels": np.array([0, 1, 2, 0, 0])}, ValueError, "Dataset: labels must be class numbers from 0 to 1, got 2 at "),
    ({"labels": np.array([0, 1, -1, 0, 0])}, ValueError, "Dataset: labels must be class numbers from 0 to 1, got -1"),
    ({"labels": np.zeros(5)}, TypeError, r"Dataset: labels must be .*: give labels.astype\('int64'\)"),
    ({"labels": np.full(5, 2**64 - 1, np.uint64)}, ValueError, "Dataset: labels must be .* got 18446744073709551615"),
    ({"images": np.zeros((5, 8, 8, 3), np.uint8)}, ValueError, r"give images.transpose\(0, 3, 1, 2\)"),
    ({"images": np.zeros((5, 8, 8), np.uint8)}, ValueError, r"Dataset: images must .*: give images\[:, None\]"),
    ({"images": None}, TypeError, "Dataset: images must be a NumPy array, got None"),
    ({"classes": "ab"}, TypeError, "Dataset: classes must be a list of names, got 'ab'"),
    ({"classes": 2}, TypeError, "Dataset: classes must be a list of names, got 2"),
    ({"classes": (0, 1)}, TypeError, "Dataset: a name in classes must be a string, got 0"),
    ({"source": None}, TypeError, "Dataset: source must be a string, got None"),
])
def test_what_is_no_set_is_refused(change, error, message):
    images, labels = np.zeros((5, 1, 2, 2), np.uint8), np.zeros(5, int)
    given = {"images": images, "labels": labels, "classes": ("a", "b"), "source": ""}
    Dataset(**given)
    with pytest.raises(error, match=message):
        Dataset(**given | change)


# split

def test_three_parts_of_arrays():
    x = {"a": np.arange(100), "b": np.arange(200).reshape(100, 2)}
    parts = split(x, LABELS, test=0.2, validation=10, seed=3)
    assert [np.bincount(y).tolist() for _, y in parts] == [[28, 14, 21, 7], [4, 2, 3, 1], [8, 4, 6, 2]]
    assert sorted(np.concatenate([x["a"] for x, _ in parts])) == list(range(100))
    for x, y in parts:
        assert (LABELS[x["a"]] == y).all() and (x["b"][:, 0] == 2 * x["a"]).all()
    assert (split(np.arange(100), LABELS, seed=1)[0][0] == split(np.arange(100), LABELS, seed=1)[0][0]).all()
    assert (split(np.arange(100), LABELS, seed=1)[2][0] != split(np.arange(100), LABELS, seed=2)[2][0]).any()


def test_three_parts_without_classes():
    for part, count in zip(split(np.arange(100), test=0.5, validation=0.3, stratify=False), (20, 30, 50), strict=True):
        assert len(part) == count
    by = split(np.arange(100), np.linspace(0, 1, 100), stratify=LABELS)
    assert [np.bincount(LABELS[x]).tolist() for x, _ in by] == [[32, 16, 24, 8], [4, 2, 3, 1], [4, 2, 3, 1]]


def test_three_parts_of_a_dataset():
    data = Dataset(np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1), LABELS, list("abcd"), "here")
    train, val, test = split(data)
    assert [len(train), len(val), len(test)] == [80, 10, 10] and train.classes == data.classes
    assert sorted(np.concatenate([one.images for one in (train, val, test)]).ravel()) == list(range(100))


@pytest.mark.parametrize(("given", "error", "message"), [
    ({"test": 0.6, "validation": 0.5}, ValueError, "must leave something to train with, got 50 and 60 of 100 samples"),
    ({"test": 0.001}, ValueError, "split: test must leave neither side empty, got 0.001 of 100 samples"),
    ({"validation": 100}, ValueError, "split: validation, the number of samples, must be an integer of at least 1 and"),
    ({"validation": 1.5}, ValueError, "split: validation, a fraction or the number of samples, must be a finite"),
    ({"y": np.linspace(0, 1, 100)}, ValueError, r"stratify=True needs class numbers \(N,\) as y, got .*: give strat"),
    ({"y": None}, ValueError, "stratify=True needs class numbers"),
    ({"y": LABELS[:3]}, ValueError, "x and y must be arrays of as many samples each"),
    ({"y": LABELS - 1}, ValueError, "split: y must be class numbers from 0, got -1 at position 0"),
    ({"stratify": LABELS[:3]}, ValueError, "stratify, True, False or class numbers, must be 100 class numbers"),
    ({"x": "text"}, TypeError, "split: x must be"), ({"seed": -1}, ValueError, "split: seed must be an integer of")])
def test_parts_that_cannot_be_made(given, error, message):
    with pytest.raises(error, match=message):
        split(**{"x": np.arange(100), "y": LABELS} | given)


def test_weights_of_classes():
    labels = np.repeat([0, 1, 3], [6, 2, 1])
    weights = class_weights(labels)
    assert weights.shape == (4,) and weights[2] == 0
    np.testing.assert_allclose(np.bincount(labels, weights[labels])[[0, 1, 3]], 3)
    assert class_weights(labels, 9).shape == (9,) and class_weights([1, 0]).tolist() == [1, 1]
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    np.testing.assert_array_equal(weights[[0, 1, 3]], sklearn.compute_class_weight(
        "balanced", classes=np.array([0, 1, 3]), y=labels))
    for given, message in ((np.zeros(0, int), "must be one class number at least"), ([0, 9], ".*from 0 to 2, got 9")):
        with pytest.raises(ValueError, match=f"class_weights: labels {message}"):
            class_weights(given, 3)
