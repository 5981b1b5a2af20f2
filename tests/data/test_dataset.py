import numpy as np
import pytest

from fastnet.data import Dataset, k_folds, train_val_split

LABELS = np.repeat([0, 1, 2, 3], [40, 20, 30, 10])


@pytest.mark.parametrize(("validation", "counts"), [(0.2, [8, 4, 6, 2]), (50, [20, 10, 15, 5]), (0.9, [36, 18, 27, 9])])
def test_split_takes_the_same_share_of_every_class(validation, counts):
    train, val = train_val_split(LABELS, validation, seed=3)
    assert np.bincount(LABELS[val]).tolist() == counts
    assert sorted([*train, *val]) == list(range(100))
    again = train_val_split(LABELS, validation, seed=3)
    assert (again[0] == train).all() and (again[1] == val).all()
    assert (train_val_split(LABELS, validation, seed=4)[1] != val).any()


@pytest.mark.parametrize("validation", [0, 1.5, 100, -1, 0.001, 0.999])
def test_split_refuses_an_empty_side(validation):
    with pytest.raises(ValueError, match=f"validation={validation} of 100 samples: give a fraction"):
        train_val_split(LABELS, validation)


def test_folds_cover_everything_once_and_keep_the_classes():
    folds = k_folds(LABELS, 5)
    assert sorted(np.concatenate([val for _, val in folds])) == list(range(100))
    for train, val in folds:
        assert np.bincount(LABELS[val]).tolist() == [8, 4, 6, 2]
        assert len(np.intersect1d(train, val)) == 0 and len(train) == 80
    with pytest.raises(ValueError, match="k=1: expected 2 to 100 folds"):
        k_folds(LABELS, 1)


def test_dataset_selects_and_prints_itself():
    images = np.arange(5 * 3 * 2 * 2, dtype=np.uint8).reshape(5, 3, 2, 2)
    data = Dataset(images, np.array([0, 1, 0, 1, 1]), ("cat", "dog"), "memory")
    part = data[np.array([4, 0])]
    assert part.labels.tolist() == [1, 0] and (part.images == images[[4, 0]]).all() and len(data[:2]) == 2
    assert repr(data) == "Dataset(5 images of 3 x 2 x 2, 2 classes, from memory)"
    with pytest.raises(TypeError, match="select by a slice or an array"):
        data[0]
    with pytest.raises(ValueError, match="memory: 5 images but 4 labels"):
        Dataset(images, np.zeros(4), ("cat",), "memory")
