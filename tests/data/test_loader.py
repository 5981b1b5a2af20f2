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
    terms = (normalize or Normalize(np.zeros(3), np.ones(3))).terms((3, 6, 7))
    light = random_light(4, 3, order, brightness=0.3, contrast=0.4)
    x, y, _ = epoch(loader)
    assert (y == LABELS[order]).all()
    np.testing.assert_allclose(x, reference(IMAGES, order, moves, terms, light), rtol=1e-6, atol=1e-5)


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

    def fails(*args):
        if fails.count == 2:
            raise MemoryError("no memory for a batch")
        fails.count += 1
        return batch(*args)

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
    ({"images": IMAGES[0]}, ValueError, "images must have shape (N, C, H, W), got (3, 6, 7): give images[:, None]"),
    ({"images": IMAGES[:0]}, ValueError, "images must hold one pixel at least, got shape (0, 3, 6, 7)"),
    ({"images": IMAGES.astype(np.int32)}, TypeError, "images must be uint8 or float, got an array of shape (53, 3, 6,"),
    ({"images": IMAGES * np.float32(np.nan)}, ValueError, "images must be finite, in single precision too, and image "),
    ({"images": IMAGES.tolist()}, TypeError, "images must be a NumPy array, got a list of 53 elements: make one with"),
    ({"images": np.ma.array(IMAGES)}, TypeError, "images is a masked array"),
    ({"images": np.zeros((53, 8, 9, 3), np.uint8)}, ValueError, "looks like channels-last: give images.transpose(0, 3"),
    ({"images": np.zeros((53, 28, 28, 1), np.uint8)}, ValueError, "give images.transpose(0, 3, 1, 2)"),
    ({"labels": LABELS[:52]}, ValueError, "labels must be 53 class numbers, one for each sample, got an array of shap"),
    ({"labels": LABELS[:, None]}, ValueError, "labels must be integers, one class number for each sample, got an array "
     "of shape (53, 1) and dtype int64: give labels.ravel()"),
    ({"labels": LABELS * 1.0}, TypeError, "dtype float64: give labels.astype('int64')"),
    ({"labels": LABELS - 10}, ValueError, "labels must be class numbers from 0, got -"),
    ({"labels": LABELS.astype(np.uint64) + np.uint64(2**63)}, ValueError, "class numbers from 0, got 9223372036854775"),
    ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
    ({"batch_size": 2.5}, TypeError, "batch_size must be an integer of at least 1, got 2.5"),
    ({"batch_size": True}, TypeError, "batch_size must be an integer of at least 1, got True"),
    ({"batch_size": 54, "drop_last": True}, ValueError, "batch_size must be at most the number of images where drop_l"),
    ({"shuffle": None}, TypeError, "shuffle must be True or False, got None"),
    ({"drop_last": 1}, TypeError, "drop_last must be True or False, got 1"),
    ({"crop": -1}, ValueError, "crop must be an integer of at least 0 and at most 5, got -1"),
    ({"crop": 6}, ValueError, "crop must be an integer of at least 0 and at most 5, got 6"),
    ({"padding_mode": "mirror"}, ValueError, "padding_mode must be 'zeros' or 'reflect', got 'mirror'"),
    ({"crop": 3, "padding_mode": "reflect"}, ValueError, "crop must be below half of the images' height and width"),
    ({"flip": "both"}, ValueError, "flip must be False, True or 'alternating', got 'both'"),
    ({"flip": None}, TypeError, "flip must be False, True or 'alternating', got None"),
    ({"cutout": -1}, ValueError, "cutout must be an integer of at least 0 and at most 14, got -1"),
    ({"brightness": -0.1}, ValueError, "brightness must be a finite number of at least 0 and at most 1000, got -0.1"),
    ({"brightness": "0.1"}, TypeError, "brightness must be a finite number of at least 0 and at most 1000, got '0.1'"),
    ({"contrast": 1.5}, ValueError, "contrast must be a finite number of at least 0 and at most 1, got 1.5"),
    ({"contrast": float("nan")}, ValueError, "contrast must be a finite number of at least 0 and at most 1, got nan"),
    ({"seed": -1}, ValueError, "seed must be an integer of at least 0 and at most 9223372036854775807, got -1"),
    ({"seed": None}, TypeError, "seed must be an integer of at least 0 and at most 9223372036854775807, got None"),
    ({"prefetch": -1}, ValueError, "prefetch must be an integer of at least 0, got -1"),
    ({"normalize": Normalize}, TypeError, "normalize must be a Normalize or None, got the class Normalize: make an ob"),
    ({"normalize": (0.5, 0.5)}, TypeError, "normalize must be a Normalize or None, got (0.5, 0.5)"),
    ({"normalize": Normalize([1], [1])}, ValueError, "Normalize was fitted to 1 channels, got images of shape (N, 3"),
])
def test_bad_input(change, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        DataLoader(**{"images": IMAGES, "labels": LABELS, **change})
    assert "Normalize was" in message or str(caught.value).startswith("DataLoader: ")
    loader = DataLoader(IMAGES, LABELS, 54, normalize=NORMALIZE)
    before = dict(vars(loader))
    with pytest.raises((error, AttributeError)):
        for name, value in change.items():
            setattr(loader, name, value)
    assert change.keys() == {"batch_size", "drop_last"} or change.keys() == {"crop", "padding_mode"} or (
        vars(loader) == before)


def test_options_may_be_assigned():
    loader, wanted = DataLoader(IMAGES, LABELS, 10), DataLoader(IMAGES, LABELS, 7, seed=3, **ALL)
    list(loader)
    for name, value in {"batch_size": np.int64(7), "seed": 3, **ALL}.items():
        setattr(loader, name, value)
    loader.epoch = 0
    assert repr(loader) == repr(wanted)
    for ours, theirs in zip(epoch(loader), epoch(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_in_order_gives_all_samples_and_leaves_the_loader_alone():
    loader = DataLoader(IMAGES, LABELS, 20, drop_last=True, normalize=NORMALIZE)
    x, y, sizes = epoch(loader.in_order())
    np.testing.assert_array_equal(y, LABELS)
    np.testing.assert_allclose(x, NORMALIZE(IMAGES), rtol=1e-6, atol=1e-6)
    assert sizes == [20, 20, 13] and loader.epoch == 0 and loader.shuffle and loader.drop_last


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_small_deviation_beside_a_large_mean_keeps_its_digits(dtype):
    """float32 still tells these apart by a hundredth of their deviation; with float64 the numbers are near exact."""
    mean = {np.float32: 1e5, np.float64: 1e9}[dtype]
    images = (mean + np.random.default_rng(0).standard_normal((40, 2, 8, 8))).astype(dtype)
    exact = images.astype(np.float64)
    for fit, axes in ((Normalize.per_channel, (0, 2, 3)), (Normalize.mean_image, 0)):
        normalize = fit(images)
        center = exact.mean(axis=axes, keepdims=True)
        expected = (exact - center) / np.sqrt(((exact - center) ** 2).mean(axis=(0, 2, 3), keepdims=True))
        np.testing.assert_allclose(normalize(images), expected, rtol=1e-5, atol=1e-6)
        x, _, _ = epoch(DataLoader(images, np.zeros(40, int), 16, shuffle=False, normalize=normalize))
        np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6)


def test_bad_epoch():
    with pytest.raises(ValueError, match="DataLoader: epoch must be an integer of at least 0 and"):
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
