import numpy as np
import pytest

from fastnet.data import synthetic
from fastnet.data.synthetic import CLASSES


def test_shape_balance_and_name():
    train, test = synthetic(200, 50)
    for data, n in ((train, 200), (test, 50)):
        assert data.images.shape == (n, 3, 32, 32) and data.images.dtype == np.uint8
        assert data.labels.dtype == np.int64 and (np.bincount(data.labels, minlength=10) == n // 10).all()
        assert data.classes == CLASSES and data.source == "generated images, seed 0 (not CIFAR-10)"


def test_the_seed_decides():
    first, again, other = synthetic(40, 20, seed=7), synthetic(40, 20, seed=7), synthetic(40, 20, seed=8)
    for a, b, c in zip(first, again, other, strict=True):
        assert (a.images == b.images).all() and (a.labels == b.labels).all()
        assert (a.images != c.images).any()
    assert (first[0].images[:20] != first[1].images).any()


def test_colours_hint_at_the_class_and_do_not_tell_it():
    train, test = synthetic(3000, 1000)
    mean = train.images.mean(axis=(2, 3))
    centres = np.stack([mean[train.labels == k].mean(axis=0) for k in range(10)])
    distance = np.linalg.norm(test.images.mean(axis=(2, 3))[:, None] - centres, axis=2)
    assert 0.1 < (distance.argmin(axis=1) == test.labels).mean() < 0.3


def test_a_line_through_the_pixels_learns_something_and_not_much():
    train, test = synthetic(4000, 1000)
    x, z = (np.c_[data.images.reshape(len(data), 3, 8, 4, 8, 4).mean(axis=(3, 5)).reshape(len(data), -1) / 255,
                  np.ones(len(data))] for data in (train, test))
    weights = np.linalg.lstsq(x, np.eye(10)[train.labels], rcond=None)[0]
    assert 0.15 < ((z @ weights).argmax(axis=1) == test.labels).mean() < 0.5


@pytest.mark.parametrize("counts", [(0, 10), (10, 0)])
def test_empty_sets_are_refused(counts):
    with pytest.raises(ValueError, match="synthetic: (train|test) must be an integer of at least 1 and .*, got 0"):
        synthetic(*counts)
