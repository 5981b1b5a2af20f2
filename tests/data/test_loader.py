import gc
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastnet.data import Augment, BalancedSampler, DataLoader, Dataset, Normalize, SubsetSampler, WeightedSampler
from fastnet.data.augment import random_light, random_moves
from fastnet.data.draws import permutation

from .test_augment import reference

RNG = np.random.default_rng(2)
IMAGES = RNG.integers(0, 256, (53, 3, 6, 7), np.uint8)
LABELS = RNG.integers(0, 10, 53)
LABELS.flags.writeable = IMAGES.flags.writeable = False
NORMALIZE = Normalize.per_channel(IMAGES)
AUGMENT = Augment(crop=2, flip=True, cutout=2, brightness=0.3, contrast=0.4)
ALL = {"augment": AUGMENT, "normalize": NORMALIZE}


def epoch(loader):
    """One epoch as (x, y, sizes), the batches joined."""
    x, y = zip(*loader, strict=True)
    return np.concatenate(x), np.concatenate(y), [len(labels) for labels in y]


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastnet-loader")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    if workers():       # an epoch that was left half-way, held by a circle of references
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
    count, batch = iter(range(6)), loader._batches

    def watched(*args):
        assert threading.current_thread() is not threading.main_thread()
        result = batch(*args)
        prepared[next(count)].set()
        return result

    monkeypatch.setitem(vars(loader), "_batches", watched)
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
    batch = loader._batches

    def fails(*args):
        if fails.count == 2:
            raise MemoryError("no memory for a batch")
        fails.count += 1
        return batch(*args)

    fails.count = 0
    monkeypatch.setitem(vars(loader), "_batches", fails)
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
    ({"x": IMAGES[:0]}, ValueError, "x must hold one sample at least, got an array of shape (0, 3, 6, 7)"),
    ({"x": IMAGES * np.float32(np.nan)}, ValueError, "x must be finite, in single precision too, and sample 0"),
    ({"x": np.where(np.arange(53)[:, None] == 7, np.inf, 0)}, ValueError, "in single precision too, and sample 7 is n"),
    ({"x": np.ma.array(IMAGES)}, TypeError, "x is a masked array"),
    ({"x": np.zeros((53, 8, 9, 3), np.uint8)}, ValueError, "looks like channels-last: give images.transpose(0, 3"),
    ({"x": np.zeros((53, 28, 28, 1), np.uint8)}, ValueError, "give images.transpose(0, 3, 1, 2)"),
    ({"x": np.array(["a"] * 53)}, TypeError, "x must hold real numbers, got an array of dtype <U1"),
    ({"x": (IMAGES, IMAGES[1:])}, ValueError, "x[0] and x[1] must hold as many samples, got 53 and 52"),
    ({"x": {"a": IMAGES, "b": 3}}, TypeError, "x['b'] must be a NumPy array, got 3"),
    ({"x": (), "y": None}, ValueError, "x must hold an array at least, got none"),
    ({"x": [], "y": None}, ValueError, "x must hold one sample at least, got none"),
    ({"x": iter([1]), "y": None}, TypeError, "x must be arrays, or an object with len(x) and x[i], got "),
    ({"x": IMAGES.tolist()}, TypeError, "x must be a NumPy array, or a tuple or dictionary of arrays, got a list"),
    ({"y": LABELS[:52]}, ValueError, "x and y must hold as many samples, got 53 and 52"),
    ({"y": "labels"}, TypeError, "y must be a NumPy array, got 'labels'"),
    ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
    ({"batch_size": 2.5}, TypeError, "batch_size must be an integer of at least 1, got 2.5"),
    ({"batch_size": True}, TypeError, "batch_size must be an integer of at least 1, got True"),
    ({"batch_size": 54, "drop_last": True}, ValueError, "batch_size must be at most the number of samples where drop_"),
    ({"shuffle": None}, TypeError, "shuffle must be True or False, got None"),
    ({"drop_last": 1}, TypeError, "drop_last must be True or False, got 1"),
    ({"augment": {"crop": 2}}, TypeError, "augment must be an Augment or None, got {'crop': 2}"),
    ({"augment": Augment(crop=6)}, ValueError, "crop must be below height and width of the images, got 6 for images o"),
    ({"augment": Augment(crop=3, padding_mode="reflect")}, ValueError, "crop must be below half of the images' height"),
    ({"augment": Augment(cutout=15)}, ValueError, "cutout must be at most twice the images' height or width, got 15"),
    ({"x": LABELS, "augment": AUGMENT}, ValueError, "augment needs images of one size as x, got no images"),
    ({"seed": -1}, ValueError, "seed must be an integer of at least 0 and at most 9223372036854775807, got -1"),
    ({"seed": None}, TypeError, "seed must be an integer of at least 0 and at most 9223372036854775807, got None"),
    ({"prefetch": -1}, ValueError, "prefetch must be an integer of at least 0, got -1"),
    ({"normalize": Normalize}, TypeError, "normalize must be a Normalize, or None, got the class Normalize: make an o"),
    ({"normalize": (0.5, 0.5)}, TypeError, "normalize must be a Normalize, or None, got (0.5, 0.5)"),
    ({"normalize": Normalize([1], [1])}, ValueError, "Normalize was fitted to 1 channels, got x of shape (N, 3, 6,"),
    ({"normalize": {"a": NORMALIZE}}, ValueError, "normalize has the key 'a', which x does not have"),
    ({"x": (IMAGES, IMAGES), "normalize": NORMALIZE}, TypeError, "normalize must be {key: Normalize} where x is a dic"),
    ({"transform": 3}, TypeError, "transform must be a function of a batch, got 3"),
    ({"sampler": [1, 2]}, TypeError, "sampler must be a function (rng, n) that gives the numbers of samples, got "),
    ({"sampler": lambda rng, n: [0, 53]}, ValueError, "sampler must give numbers of 53 samples, got some from 0 to 53"),
    ({"sampler": lambda rng, n: [0.5]}, ValueError, "sampler must give a row of integers, the numbers of samples, one"),
    ({"sampler": WeightedSampler([1, 2])}, ValueError, "weights must be one a sample, got 2 for n=53"),
    ({"sampler": BalancedSampler([1, 2])}, ValueError, "labels must be one a sample, got 2 for n=53"),
])
def test_bad_input(change, error, message):
    with pytest.raises(error, match=re.escape(message)):
        DataLoader(**{"x": IMAGES, "y": LABELS, **change})
    loader = DataLoader(IMAGES, LABELS, 54, normalize=NORMALIZE)
    before = dict(vars(loader))
    with pytest.raises((error, AttributeError)):
        for name, value in change.items():
            setattr(loader, name, value)
    assert change.keys() == {"batch_size", "drop_last"} or vars(loader) == before


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"crop": -1}, ValueError, "crop must be an integer of at least 0, got -1"),
    ({"padding_mode": "mirror"}, ValueError, "padding_mode must be 'zeros' or 'reflect', got 'mirror'"),
    ({"flip": "both"}, ValueError, "flip must be False, True or 'alternating', got 'both'"),
    ({"flip": None}, TypeError, "flip must be False, True or 'alternating', got None"),
    ({"cutout": -1}, ValueError, "cutout must be an integer of at least 0, got -1"),
    ({"brightness": -0.1}, ValueError, "brightness must be a finite number of at least 0 and at most 1000, got -0.1"),
    ({"brightness": "0.1"}, TypeError, "brightness must be a finite number of at least 0 and at most 1000, got '0.1'"),
    ({"contrast": 1.5}, ValueError, "contrast must be a finite number of at least 0 and at most 1, got 1.5"),
    ({"contrast": float("nan")}, ValueError, "contrast must be a finite number of at least 0 and at most 1, got nan"),
    ({"mask_fill": 0.5}, TypeError, "mask_fill must be an integer, got 0.5"),
    ({"boxes": 0.5}, TypeError, "boxes must be True, a key of y, a place in it, or a tuple of those, got 0.5"),
])
def test_bad_augmentation(change, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        Augment(**change)
    assert str(caught.value).startswith("Augment: ")


def test_arrays_that_are_nested_in_themselves():
    """What would never end is refused, as samples and as arrays."""
    endless, whole = [], {}
    endless.append(endless)
    whole["a"] = whole
    for x in (endless, whole, (endless, np.ones((1, 2)))):
        with pytest.raises(ValueError, match="DataLoader: x and y must hold arrays at most 30 tuples"):
            DataLoader(x)


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
    augmented = DataLoader(IMAGES, LABELS, 20, augment=AUGMENT, sampler=SubsetSampler([3, 1]))
    np.testing.assert_array_equal(epoch(augmented.in_order())[0], IMAGES)
    assert augmented.augment is AUGMENT and len(augmented) == 1


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
    assert np.shares_memory(loader._source.x, images)


def test_repr():
    assert repr(DataLoader(IMAGES, LABELS, 10, drop_last=True)) == (
        "DataLoader(53 images of 3 x 6 x 7, 5 batches of 10, shuffle=True, seed=0, drop_last=True)")
    assert "augment=Augment(crop=2, flip=True, cutout=2, " in repr(DataLoader(IMAGES, LABELS, 10, augment=AUGMENT))
    assert "53 samples of 2 arrays" in repr(DataLoader((IMAGES, LABELS), LABELS))


# Any arrays

ROWS = RNG.standard_normal((53, 5))


@pytest.mark.parametrize(("y", "dtype"), [
    (LABELS, np.int64), (ROWS, np.float64), (ROWS.astype(np.float32)[:, 0], np.float32), (LABELS > 4, bool),
    (LABELS.astype(np.uint8).reshape(53, 1), np.int64)])
def test_rows_and_targets_of_any_kind(y, dtype):
    loader = DataLoader(ROWS, y, 20, seed=3)
    order = permutation(3, 0, 53)
    for i, (x, part) in enumerate(loader):
        chosen = order[i * 20:(i + 1) * 20]
        np.testing.assert_array_equal(x, ROWS[chosen])
        np.testing.assert_array_equal(part, y[chosen])
        assert (x.dtype, part.dtype) == (np.float64, dtype)


def test_several_arrays_and_none_as_targets():
    x, y = {"image": IMAGES, "more": (ROWS, LABELS)}, {"class": LABELS, "numbers": ROWS}
    order = permutation(0, 0, 53)[:10]
    batch, target = next(iter(DataLoader(x, y, 10, normalize={"image": NORMALIZE})))
    np.testing.assert_allclose(batch["image"], NORMALIZE(IMAGES[order]), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(batch["more"][0], ROWS[order])
    np.testing.assert_array_equal(batch["more"][1], LABELS[order])
    np.testing.assert_array_equal(target["numbers"], ROWS[order])
    alone = next(iter(DataLoader(ROWS, batch_size=10)))
    np.testing.assert_array_equal(alone, ROWS[order])


def test_tables_are_normalised():
    normalize = Normalize.per_channel(ROWS)
    x = np.concatenate([x for x, _ in DataLoader(ROWS, LABELS, 20, normalize=normalize)])
    assert x.dtype == np.float32
    np.testing.assert_allclose([x.mean(axis=0), x.std(axis=0)], [[0] * 5, [1] * 5], atol=1e-6)
    sequences = RNG.standard_normal((9, 4, 7)) * 3 + 1
    made = Normalize.per_channel(sequences)(sequences)
    np.testing.assert_allclose([made.mean(axis=(0, 2)), made.std(axis=(0, 2))], [[0] * 4, [1] * 4], atol=1e-6)
    np.testing.assert_allclose(Normalize.mean_image(sequences)(sequences).mean(axis=0), np.zeros((4, 7)), atol=1e-6)
    low = Normalize.min_max(ROWS)(ROWS)
    np.testing.assert_allclose([low.min(axis=0), low.max(axis=0)], [[0] * 5, [1] * 5], atol=1e-6)


def test_a_dataset_and_a_memory_map(tmp_path):
    names = [str(i) for i in range(10)]
    for a, b in zip(DataLoader(Dataset(IMAGES, LABELS, names, "here")), DataLoader(IMAGES, LABELS), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    np.save(tmp_path / "rows.npy", ROWS)
    mapped = DataLoader(np.load(tmp_path / "rows.npy", mmap_mode="r"), LABELS, 20, shuffle=False)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in mapped]), ROWS)


class OneByOne:
    """As the data sets of PyTorch are."""

    def __len__(self):
        return 53

    def __getitem__(self, i):
        return IMAGES[i], int(LABELS[i])


def test_samples_one_by_one_are_those_of_the_arrays():
    for a, b in zip(DataLoader(OneByOne(), batch_size=20, **ALL), DataLoader(IMAGES, LABELS, 20, **ALL), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    listed = DataLoader([{"a": row, "b": 1.5} for row in ROWS], batch_size=53, shuffle=False)
    batch, = listed
    np.testing.assert_array_equal(batch["a"], ROWS)
    assert batch["b"].tolist() == [1.5] * 53
    with pytest.raises(ValueError, match="x of all samples of a batch must have one shape, got .*pad or cut them"):
        list(DataLoader([np.zeros(2), np.zeros(3)], batch_size=2))


def test_datasets_of_pytorch():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(ROWS), torch.tensor(LABELS))
    for (x, y), (a, b) in zip(DataLoader(data, batch_size=20), DataLoader(torch.tensor(ROWS), LABELS, 20), strict=True):
        np.testing.assert_array_equal(x, a)
        np.testing.assert_array_equal(y, b)


def test_masks_and_boxes_move_with_their_images():
    """An image whose channels are its own pixels' places tells where each pixel of the mask has to come from."""
    down, across = np.mgrid[:6, :7]
    places = np.broadcast_to(np.stack([down, across, down]) + 1.0, (53, 3, 6, 7)).astype(np.float32)
    mask = np.broadcast_to(down * 7 + across, (53, 6, 7))
    box = np.tile([[1.0, 2, 4, 5]], (53, 1, 1))
    for mode in ("zeros", "reflect"):
        augment = Augment(crop=2, flip=True, padding_mode=mode, boxes="box")
        targets = {"mask": mask, "box": box, "image": places}
        for x, y in DataLoader(places, targets, 20, augment=augment):
            seen = x[:, 0] > 0
            expected = np.where(seen, (x[:, 0] - 1) * 7 + x[:, 1] - 1, -100)
            np.testing.assert_array_equal(y["mask"], expected)
            np.testing.assert_array_equal(y["image"], x)
            if mode == "reflect":
                continue
            for i in range(len(x)):     # the pixels of the box that are in sight
                inside = (x[i, 1] >= 2) & (x[i, 1] < 5) & (x[i, 0] >= 3) & (x[i, 0] < 6)
                rows, columns = np.nonzero(inside)
                x1, y1, x2, y2 = y["box"][i, 0]
                assert (x2 - x1) * (y2 - y1) == inside.sum()
                if inside.any():
                    assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == [x1, y1, x2, y2]
    with pytest.raises(ValueError, match=r"y: boxes must have shape \(N, 4\) or \(N, M, 4\), got \(53,\)"):
        DataLoader(places, LABELS, augment=Augment(flip=True, boxes=True))


def test_a_transform_of_ones_own():
    def mixed(x, y):
        return x / 2 + x[::-1] / 2, y

    for (x, y), (a, b) in zip(DataLoader(ROWS, LABELS, transform=mixed), DataLoader(ROWS, LABELS), strict=True):
        np.testing.assert_array_equal(x, a / 2 + a[::-1] / 2)
        np.testing.assert_array_equal(y, b)
    assert next(iter(DataLoader(LABELS, transform=np.negative))).max() <= 0
    with pytest.raises(TypeError, match="transform must give the pair"):
        list(DataLoader(ROWS, LABELS, transform=lambda x, y: x))


# Samplers

def test_weighted_sampler():
    weights = np.where(np.arange(53) < 3, 8.0, 0.5)
    drawn = np.concatenate([y for _, y in DataLoader(ROWS, np.arange(53), sampler=WeightedSampler(weights, 20_000))])
    shares = np.bincount(drawn, minlength=53) / len(drawn)
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.02)
    once = WeightedSampler(weights, 40, replacement=False)
    loader = DataLoader(ROWS, np.arange(53), 7, sampler=once)
    first, second = (np.concatenate([y for _, y in loader]) for _ in range(2))
    assert len(set(first)) == len(first) == 40 and len(loader) == 6 and (first != second).any()
    loader.set_epoch(0)
    assert (np.concatenate([y for _, y in loader]) == first).all()


@pytest.mark.parametrize("bad", [[], [-1, 2], [0, 0], [np.nan, 1], [[1, 2]]])
def test_weights_that_are_none(bad):
    with pytest.raises((ValueError, TypeError), match="WeightedSampler: weights must be one finite number a sample"):
        WeightedSampler(bad)


def test_weights_that_are_too_few():
    with pytest.raises(ValueError, match="without replacement at most 1 samples can be drawn"):
        WeightedSampler([0, 1], 2, replacement=False)


def test_balanced_sampler():
    labels = np.repeat([0, 1, 2], [40, 10, 3])
    y = np.concatenate([y for _, y in DataLoader(ROWS, labels, sampler=BalancedSampler(labels))])
    assert sorted(np.bincount(y)) == [17, 18, 18]
    places = np.concatenate([p for _, p in DataLoader(ROWS, np.arange(53), sampler=BalancedSampler(labels, 30))])
    assert np.bincount(labels[places]).tolist() == [10, 10, 10]
    assert len(set(places[labels[places] == 1])) == 10      # each once before one comes again


def test_subset_sampler():
    loader = DataLoader(ROWS, np.arange(53), 2, sampler=SubsetSampler([5, 7, 9]))
    epochs = [np.concatenate([y for _, y in loader]).tolist() for _ in range(8)]
    assert all(sorted(one) == [5, 7, 9] for one in epochs) and len(set(map(tuple, epochs))) > 1
    with pytest.raises(ValueError, match="SubsetSampler: indices must be a row of integers from 0"):
        SubsetSampler([-1])


def test_a_sampler_that_changes_its_mind():
    sizes = iter([5, 4, 5])
    loader = DataLoader(ROWS, LABELS, sampler=lambda rng, n: np.arange(next(sizes)))
    with pytest.raises(ValueError, match="as many samples in each epoch, got 5 in the first and 4 in epoch 0"):
        list(loader)


def test_state():
    loader, other = DataLoader(IMAGES, LABELS, 10, seed=5, **ALL), DataLoader(IMAGES, LABELS, 10, **ALL)
    list(loader)
    other.load_state_dict(loader.state_dict())
    for a, b in zip(loader, other, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    for bad in ({"epoch": 1}, {"epoch": -1, "seed": 0}, {"epoch": 1, "seed": -1}, 3):
        before = other.state_dict()
        with pytest.raises((TypeError, ValueError)):
            other.load_state_dict(bad)
        assert other.state_dict() == before


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("sampler", [None, BalancedSampler(np.arange(11) % 3)])
def test_an_epoch_may_begin_in_its_midst(prefetch, sampler):
    """With the same batches, and none of those before computed."""
    images, computed = np.random.default_rng(0).integers(0, 256, (11, 2, 6, 6), np.uint8), []

    def count(x, y):
        computed.append(len(x))
        return x, y

    loader = DataLoader(images, np.arange(11), 3, seed=4, prefetch=prefetch, sampler=sampler,
                        augment=Augment(crop=1, flip=True), transform=count)
    for first in range(5):
        loader.set_epoch(7)
        whole = list(loader)
        loader.set_epoch(7)
        computed.clear()
        rest = list(loader.iterate_from(first))
        assert len(computed) == len(rest) == 4 - first and loader.epoch == 8
        for (x, y), (wanted, labels) in zip(rest, whole[first:], strict=True):
            np.testing.assert_array_equal(x, wanted)
            np.testing.assert_array_equal(y, labels)
    with pytest.raises(ValueError, match="DataLoader.iterate_from: first, one of 4 batches, must be an integer of .*5"):
        loader.iterate_from(5)
    assert loader.epoch == 8
