import gc
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastnet.data import DataLoader, Normalize
from fastnet.data.augment import permutation, random_light, random_moves

from .test_augment import reference

RNG = np.random.default_rng(2)
IMAGES = RNG.integers(0, 256, (53, 3, 6, 7), np.uint8)
LABELS = RNG.integers(0, 10, 53)
LABELS.flags.writeable = IMAGES.flags.writeable = False
NORMALIZE = Normalize.per_channel(IMAGES)
ALL = {"crop": 2, "flip": True, "cutout": 2, "normalize": NORMALIZE, "brightness": 0.3, "contrast": 0.4}


def epoch(loader):
    """One epoch as (x, y, sizes), the batches joined."""
    x, y = zip(*loader, strict=True)
    return np.concatenate(x), np.concatenate(y), [len(labels) for labels in y]


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastnet-loader")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    assert workers() == []


def test_what_a_batch_is():
    x, y = next(iter(DataLoader(IMAGES, LABELS.astype(np.int32), 8)))
    assert x.shape == (8, 3, 6, 7) and x.dtype == np.float32 and x.transpose(0, 2, 3, 1).flags.c_contiguous
    assert y.shape == (8,) and y.dtype == np.int64


def test_in_order_and_unchanged_by_default_options():
    x, y, sizes = epoch(DataLoader(IMAGES, LABELS, 20, shuffle=False))
    assert (x == IMAGES).all() and (y == LABELS).all() and sizes == [20, 20, 13]


@pytest.mark.parametrize(("batch_size", "drop_last", "sizes"), [
    (20, True, [20, 20]), (53, True, [53]), (53, False, [53]), (100, False, [53]), (52, False, [52, 1]),
])
def test_sizes_of_batches(batch_size, drop_last, sizes):
    loader = DataLoader(IMAGES, LABELS, batch_size, drop_last=drop_last)
    assert epoch(loader)[2] == sizes and len(loader) == len(sizes)


@pytest.mark.parametrize("images", [IMAGES, IMAGES.astype(np.float32), IMAGES.astype(np.float64),
                                    np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)],
                         ids=["uint8", "float32", "float64", "channels-last"])
@pytest.mark.parametrize("normalize", [NORMALIZE, Normalize.mean_image(IMAGES), None], ids=["channel", "image", "none"])
def test_augmentation_is_the_reference_s(images, normalize):
    loader = DataLoader(images, LABELS, 10, seed=4, **{**ALL, "normalize": normalize})
    loader.set_epoch(3)
    order = permutation(4, 3, 53)
    moves = random_moves(4, 3, order, 6, 7, crop=2, flip=True, cutout=2)
    scale, shift = (normalize or Normalize(np.zeros(3), np.ones(3))).scale_shift((3, 6, 7))
    light = random_light(4, 3, order, brightness=0.3, contrast=0.4)
    x, y, _ = epoch(loader)
    assert (y == LABELS[order]).all()
    np.testing.assert_allclose(x, reference(IMAGES, order, moves, scale, shift, light), rtol=1e-6, atol=1e-5)


def test_every_epoch_shows_every_image_once_in_another_order():
    loader = DataLoader(IMAGES, np.arange(53), 10)
    first, second = epoch(loader)[1], epoch(loader)[1]
    assert sorted(first) == sorted(second) == list(range(53)) and (first != second).any()
    assert loader.epoch == 2


@pytest.mark.parametrize("options", [{"batch_size": 10, "prefetch": 0}, {"batch_size": 7}, {"batch_size": 53},
                                     {"batch_size": 1, "prefetch": 5}])
def test_an_epoch_depends_on_seed_and_number_only(options):
    expected = DataLoader(IMAGES, LABELS, 10, seed=1, **ALL)
    loader = DataLoader(IMAGES, LABELS, seed=1, **options, **ALL)
    for _ in range(2):
        for a, b in zip(epoch(expected)[:2], epoch(loader)[:2], strict=True):
            assert (a == b).all()
    other = DataLoader(IMAGES, LABELS, seed=2, **options, **ALL)
    assert (epoch(other)[0] != epoch(loader)[0]).any()


def test_set_epoch_repeats_and_resumes():
    loader, resumed = DataLoader(IMAGES, LABELS, 10, **ALL), DataLoader(IMAGES, LABELS, 10, **ALL)
    rows = [epoch(loader)[0] for _ in range(3)]
    resumed.set_epoch(2)
    assert (epoch(resumed)[0] == rows[2]).all()
    loader.set_epoch(0)
    assert (epoch(loader)[0] == rows[0]).all() and loader.epoch == 1
    assert (rows[0] != rows[1]).any()


def test_two_iterators_at_once():
    loader = DataLoader(IMAGES, LABELS, 10, **ALL)
    expected = [epoch(loader)[0], epoch(loader)[0]]
    loader.set_epoch(0)
    both = list(zip(iter(loader), iter(loader), strict=True))
    for i in range(2):
        assert (np.concatenate([pair[i][0] for pair in both]) == expected[i]).all()


def test_batches_that_are_kept_stay_as_they_are():
    images = RNG.integers(0, 256, (64, 3, 32, 32), np.uint8)  # large enough for pooled buffers
    loader = DataLoader(images, np.zeros(64, np.int64), 8, shuffle=False)
    for kept in (list(loader), [batch for batch in loader]):
        assert (np.concatenate([x for x, _ in kept]) == images).all()


def test_buffers_are_used_again():
    images = np.zeros((400, 3, 32, 32), np.uint8)
    loader = DataLoader(images, np.zeros(400, np.int64), 8)
    assert len({x.ctypes.data for x, _ in loader}) <= 4  # one in use, one kept by the loop, one or two ahead


def test_the_next_batch_is_prepared_meanwhile(monkeypatch):
    loader = DataLoader(IMAGES, LABELS, 10)
    prepared = [threading.Event() for _ in range(6)]
    count, batch = iter(range(6)), loader._batch

    def watched(*args):
        assert threading.current_thread() is not threading.main_thread()
        result = batch(*args)
        prepared[next(count)].set()
        return result

    monkeypatch.setattr(loader, "_batch", watched)
    for i, _ in enumerate(loader):
        assert i == 5 or prepared[i + 1].wait(10)
        assert i > 3 or not prepared[i + 2].is_set()


def test_nothing_starts_before_the_first_batch_and_a_dropped_iterator_ends_its_thread():
    loader = DataLoader(IMAGES, LABELS, 10, prefetch=3)
    batches = iter(loader)
    assert workers() == []
    next(batches)
    assert len(workers()) == 1
    del batches
    assert workers() == []
    for _ in loader:
        break
    assert workers() == []


def test_errors_in_the_background_reach_the_loop(monkeypatch):
    loader = DataLoader(IMAGES, LABELS, 10)
    batch = loader._batch

    def fails(epoch, index):
        if fails.count == 2:
            raise MemoryError("no memory for a batch")
        fails.count += 1
        return batch(epoch, index)

    fails.count = 0
    monkeypatch.setattr(loader, "_batch", fails)
    seen = []
    with pytest.raises(MemoryError, match="no memory for a batch"):
        for x, _ in loader:
            seen.append(len(x))
    assert seen == [10, 10]


def test_the_program_ends_with_an_iterator_open():
    code = ("import numpy as np; from fastnet.data import DataLoader\n"
            "batches = iter(DataLoader(np.zeros((9, 1, 2, 2), np.uint8), np.arange(9), 2)); next(batches)\n"
            "print('end')")
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env)
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"images": IMAGES[0]}, ValueError, "images have shape (3, 6, 7), expected (N, C, H, W)"),
    ({"images": IMAGES[:0]}, ValueError, "images are empty: shape (0, 3, 6, 7); give at least one sample"),
    ({"images": IMAGES.astype(np.int32)}, TypeError, "images have dtype int32, expected uint8 or float32"),
    ({"images": IMAGES * np.float32(np.nan)}, ValueError, "image 0 holds values that are not finite"),
    ({"labels": LABELS[:52]}, ValueError, "labels have shape (52,), expected (53,): one for each image"),
    ({"labels": LABELS[:, None]}, ValueError, "labels have shape (53, 1), expected (53,): one for each image"),
    ({"labels": LABELS * 1.0}, TypeError, "labels have dtype float64, expected integers: use labels.astype('int64')"),
    ({"labels": LABELS - 10}, ValueError, "expected class numbers from 0"),
    ({"batch_size": 0}, ValueError, "DataLoader: batch_size=0, expected at least 1"),
    ({"batch_size": -5}, ValueError, "DataLoader: batch_size=-5, expected at least 1"),
    ({"batch_size": 2.5}, TypeError, "DataLoader: batch_size=2.5 is not an integer"),
    ({"batch_size": 54, "drop_last": True}, ValueError, "no batch: 53 images are fewer than batch_size=54"),
    ({"crop": -1}, ValueError, "DataLoader: crop=-1, expected from 0 to 5"),
    ({"crop": 6}, ValueError, "DataLoader: crop=6, expected from 0 to 5"),
    ({"padding_mode": "mirror"}, ValueError, """DataLoader: padding_mode='mirror', expected "zeros" or "reflect\""""),
    ({"crop": 3, "padding_mode": "reflect"}, ValueError, 'DataLoader: crop=3 is too much for padding_mode="reflect"'),
    ({"flip": "both"}, ValueError, "DataLoader: flip='both', expected False, True or \"alternating\""),
    ({"cutout": -1}, ValueError, "DataLoader: cutout=-1, expected from 0 to 14"),
    ({"brightness": -0.1}, ValueError, "DataLoader: brightness=-0.1, expected from 0 to 1000"),
    ({"brightness": "0.1"}, TypeError, "DataLoader: brightness='0.1' is not a number"),
    ({"contrast": 1.5}, ValueError, "DataLoader: contrast=1.5, expected from 0 to 1"),
    ({"contrast": float("nan")}, ValueError, "DataLoader: contrast=nan, expected from 0 to 1"),
    ({"seed": -1}, ValueError, "DataLoader: seed=-1, expected from 0 to"),
    ({"seed": None}, TypeError, "DataLoader: seed=None is not an integer"),
    ({"prefetch": -1}, ValueError, "DataLoader: prefetch=-1, expected at least 0"),
    ({"normalize": Normalize([1], [1])}, ValueError, "Normalize was fitted to 1 channels, got images of shape (N, 3"),
])
def test_bad_input(change, error, message):
    with pytest.raises(error, match=re.escape(message)):
        DataLoader(**{"images": IMAGES, "labels": LABELS, **change})


def test_bad_epoch():
    with pytest.raises(ValueError, match="DataLoader: epoch=-1, expected from 0"):
        DataLoader(IMAGES, LABELS).set_epoch(-1)


def test_neither_images_nor_flags_are_changed():
    images, labels = IMAGES.copy(), LABELS.copy()
    loader = DataLoader(images, labels, 10, **ALL)
    epoch(loader)
    assert (images == IMAGES).all() and (labels == LABELS).all() and images.flags.writeable
    assert np.shares_memory(loader.images, images)


def test_repr():
    assert repr(DataLoader(IMAGES, LABELS, 10, crop=2, flip=True)) == (
        "DataLoader(53 images of 3 x 6 x 7, 6 batches of 10, shuffle=True, seed=0, crop=2, flip=True)")
    assert repr(DataLoader(IMAGES, LABELS, 10, brightness=0.2, contrast=1)).endswith(
        "seed=0, brightness=0.2, contrast=1.0)")
