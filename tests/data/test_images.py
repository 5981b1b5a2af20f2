"""Images in files as data sets: what they give, how they are divided, and how they come as batches."""
import copy
import gc
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from fastnet.data import (  # noqa: E402  (needs Pillow)
    Augment,
    BalancedSampler,
    DataLoader,
    ImageFiles,
    ImageFolder,
    Normalize,
    split,
    train_val_split,
)
from fastnet.data.windows import window, window_draws, windows  # noqa: E402

RNG = np.random.default_rng(0)
CLASSES = ("ant", "bee", "cat")
EVERY = Augment(crop=1, flip=True, cutout=2, noise=0.1, rotation=10, resized_crop=(0.3, 1), brightness=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """21 images of several sizes in three classes, beside what is none."""
    root = tmp_path_factory.mktemp("images")
    for i in range(21):
        place = root / CLASSES[i % 3] / ("more" if i > 15 else "")
        place.mkdir(parents=True, exist_ok=True)
        coarse = RNG.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize((20 + i, 30 - i // 2), Image.Resampling.BICUBIC).save(
            place / f"{i:02}.{('jpg', 'PNG')[i % 2]}")
    (root / "ant" / "notes.txt").write_text("none")
    (root / "ant" / ".hidden.png").write_text("none")
    (root / ".cache").mkdir()
    (root / "list.csv").write_text("none")
    (root / "bee" / "round").symlink_to(root / "bee")
    return root


@pytest.fixture
def damaged(folder, tmp_path):
    """The paths of seven files, of which the second and the last but one are damaged."""
    paths = [path for path in ImageFolder(folder, 8).paths[:7]]
    for i in (1, 5):
        (tmp_path / f"{i}.jpg").write_bytes(Path(paths[i]).read_bytes()[:200])
        paths[i] = str(tmp_path / f"{i}.jpg")
    return paths


def epoch(loader):
    x, y = zip(*loader, strict=True)
    return np.concatenate(x), np.concatenate(y)


def test_folder(folder):
    files = ImageFolder(folder, (8, 12))
    assert len(files) == 21 and files.classes == CLASSES and files.class_to_idx == {"ant": 0, "bee": 1, "cat": 2}
    assert files.labels.tolist() == [0] * 7 + [1] * 7 + [2] * 7 and files.labels.dtype == np.int64
    assert [path.rpartition("/")[2] for path in files.paths[:7]] == [
        "00.jpg", "03.PNG", "06.jpg", "09.PNG", "12.jpg", "15.PNG", "18.jpg"]
    assert [path.rpartition("/")[2] for path in files.ignored] == ["notes.txt"]
    image, label = files[8]
    assert image.shape == (3, 8, 12) and image.dtype == np.uint8 and label == 1
    assert files[-1][1] == 2 and len(list(files)) == 21
    assert repr(files) == "ImageFolder(21 files, 3 classes, as 3 x 8 x 12)"
    some = ImageFolder(folder, 8, channels=1, classes=["cat", "ant"])
    assert len(some) == 14 and some.classes == ("cat", "ant") and some[0][0].shape == (1, 8, 8)


def test_labels_of_every_kind(folder):
    paths = ImageFolder(folder).paths[:4]
    for labels, numbers, classes in (
            (None, None, None), ([1, 0, 2, 1], [1, 0, 2, 1], ("0", "1", "2")),
            (["b", "a", "b", "c"], [1, 0, 1, 2], ("a", "b", "c")),
            (["10", "9", "9", "2"], [2, 1, 1, 0], ("2", "9", "10")),
            (np.array(["b", "a", "b", "c"]), [1, 0, 1, 2], ("a", "b", "c")),
            (np.arange(8.0).reshape(4, 2), np.arange(8.0).reshape(4, 2).tolist(), None)):
        files = ImageFiles(np.array(paths) if labels is None else paths, labels, 8)
        assert files.classes == classes
        assert labels is None and files.labels is None or files.labels.tolist() == numbers
    assert ImageFiles(paths, ["b"] * 4, 8, classes=["a", "b"]).labels.tolist() == [1] * 4
    assert ImageFiles(paths, [1] * 4, 8, classes=["a", "b"]).classes == ("a", "b")
    batch, = DataLoader(ImageFiles(paths, size=8), shuffle=False)
    assert batch.shape == (4, 3, 8, 8) and batch.dtype == np.float32 and batch.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"paths": "a.jpg"}, TypeError, "paths must be a list of file names, got 'a.jpg': for a folder"),
    ({"paths": []}, ValueError, "paths must hold one file name at least, got none"),
    ({"paths": [3]}, TypeError, "each of them, must be a path"),
    ({"paths": ["nothing.jpg"]}, FileNotFoundError, "1 of 1 files are not there, 'nothing.jpg' first"),
    ({"size": 0}, ValueError, "size must be one or two integers of at least 1, got 0"),
    ({"size": 10**6}, ValueError, "size must be at most 8192, got 1000000"),
    ({"channels": 4}, ValueError, "channels, 1 or 3, must be an integer of at least 1 and at most 3, got 4"),
    ({"channels": 2}, TypeError, "channels must be 1 or 3, got 2"),
    ({"errors": "ignore"}, ValueError, "errors must be 'raise', 'warn' or 'skip', got 'ignore'"),
    ({"resize": 7}, ValueError, "resize, of a size of 8, must be an integer of at least 8, got 7"),
    ({"labels": [1]}, ValueError, "labels must be one for each file, got 1 for 2 files"),
    ({"labels": [1, -1]}, ValueError, "labels must be class numbers from 0, got -1"),
    ({"labels": ["a", "b"], "classes": ["a"]}, ValueError, "labels must be among the classes, got 'b'"),
    ({"labels": [0, 2], "classes": ["a", "b"]}, ValueError, "labels must be class numbers from 0 to 1, got 2"),
    ({"labels": [0, 1], "classes": ["a", "a"]}, ValueError, "classes must be names that differ"),
    ({"labels": [0.5, 1], "classes": ["a", "b"]}, ValueError, "classes must be None where labels are floating"),
])
def test_bad_arguments(folder, change, error, message):
    with pytest.raises(error, match=message):
        ImageFiles(**{"paths": ImageFolder(folder).paths[:2], "size": 8} | change)


def test_bad_folders(folder, tmp_path):
    (tmp_path / "empty" / "a").mkdir(parents=True)
    for place, classes, message in (
            (tmp_path / "none", None, "is no folder, seen from"), (folder / "list.csv", None, "is no folder"),
            (tmp_path / "empty", None, "a' of a class must hold an image"),
            (folder / "cat" / "more", None, r"must hold a folder for each class, got none: .* use ImageFiles\(paths\)"),
            (folder, ["ant", "dog"], "must hold a folder for each class, got none for 'dog'")):
        with pytest.raises(FileNotFoundError, match=message):
            ImageFolder(place, 8, classes=classes)


def test_tables(folder, tmp_path):
    paths = ImageFolder(folder).paths
    table = tmp_path / "list.csv"
    table.write_text("\ufefflabel,path,more\n" + "".join(
        f'{"xyz"[i % 3]},"{path[len(str(folder)) + 1:]}",1\n' for i, path in enumerate(paths)), encoding="utf-8")
    files = ImageFiles.from_csv(table, folder=folder, size=8)
    assert files.paths == paths and files.classes == ("x", "y", "z") and files.labels[:4].tolist() == [0, 1, 2, 0]
    assert ImageFiles.from_csv(table, label=None, folder=folder, size=8).labels is None
    for content, message in (("a,b\n1,2\n", "must have a column 'path', given as path, got"),
                             ("path,label\n", "one line at least"), ("", "must have a column"),
                             ("path,label\na.jpg\n", "line 2, must have all of path, label"),
                             ("path,label\na\0b,c\n", "path|CSV")):
        table.write_text(content)
        with pytest.raises(ValueError, match=message):
            ImageFiles.from_csv(table)
    table.write_bytes(b"path,label\n\xff,\xfe\n")
    with pytest.raises(ValueError, match="cannot be read as a CSV file in UTF-8"):
        ImageFiles.from_csv(table)


def test_parts(folder):
    files = ImageFolder(folder, 8)
    train, val = train_val_split(files.labels, 6)
    some = files[val]
    assert [len(files[train]), len(some)] == [15, 6] and np.bincount(some.labels).tolist() == [2, 2, 2]
    assert some.classes == CLASSES and some.paths == [files.paths[i] for i in val] and len(files[3:5]) == 2
    parts = split(files, test=3, validation=6)
    assert [len(part) for part in parts] == [12, 6, 3]
    assert sorted(path for part in parts for path in part.paths) == sorted(files.paths)
    with pytest.raises(ValueError, match="must be one file at least, got none"):
        files[[]]
    with pytest.raises(IndexError, match="there are 21 images, and none of number 21"):
        files[21]
    with pytest.raises(TypeError, match="must be a slice or an array of indices, got 'a'"):
        files["a"]


def test_batches_are_the_images(folder):
    files = ImageFolder(folder, 8)
    images, labels = files.load()
    normalize = Normalize.per_channel(images)
    assert images.shape == (21, 3, 8, 8) and (labels == files.labels).all()
    for augment in (None, Augment(crop=1, flip=True, cutout=2, rotation=20, noise=0.1)):
        options = {"batch_size": 4, "seed": 3, "normalize": normalize, "augment": augment}
        for ours, theirs in zip(epoch(DataLoader(files, **options)), epoch(DataLoader(images, labels, **options)),
                                strict=True):
            np.testing.assert_array_equal(ours, theirs)
    rare = DataLoader(files, sampler=BalancedSampler([0] * 19 + [1] * 2), batch_size=21)
    assert len(set(map(bytes, epoch(rare)[0]))) < 21
    assert repr(rare).startswith("DataLoader(21 image files, as 3 x 8 x 8, 1 batches of 21, shuffle=True")


@pytest.mark.parametrize("augment", [EVERY, Augment(mixup=0.4, cutmix=1.0, resized_crop=(0.3, 1))],
                         ids=["moved", "mixed"])
def test_an_epoch_depends_on_seed_and_number_only(folder, augment):
    files, options = ImageFolder(folder, 8), {"seed": 5, "augment": augment}
    wanted = DataLoader(files, batch_size=4, workers=0, **options)
    rows = [epoch(wanted) for _ in range(2)]
    assert (rows[0][0] != rows[1][0]).any()
    for change in ({"workers": 1}, {"workers": 3, "prefetch": 2}, {"batch_size": 21}, {"prefetch": 0}):
        loader = DataLoader(files, **{"batch_size": 4} | options | change)
        for row in rows:
            for ours, theirs in zip(epoch(loader), row, strict=True):
                np.testing.assert_array_equal(ours, theirs)
    still = np.concatenate([x for x, _ in wanted.in_order()])
    np.testing.assert_array_equal(still, files.load()[0])
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastnet-loader")]


def test_random_windows_are_cut_out_of_the_whole_image(folder):
    files, augment = ImageFolder(folder, 8), Augment(resized_crop=(0.2, 0.6), ratio=(0.5, 2))
    loader = DataLoader(files, batch_size=21, seed=2, shuffle=False, augment=augment)
    (x, _), = loader
    draws = window_draws(2, 0, np.arange(21))
    for i, path in enumerate(files.paths):
        with Image.open(path) as image:
            top, left, height, width = window(draws[i], image.height, image.width, (0.2, 0.6), (0.5, 2))
            seen = image.resize((8, 8), Image.Resampling.BILINEAR, (left, top, left + width, top + height))
        np.testing.assert_array_equal(x[i], np.asarray(seen).transpose(2, 0, 1))


def test_windows():
    found = windows(window_draws(0, 0, np.arange(5000)), 60, 80, (0.1, 0.9), (0.5, 2))
    top, left, height, width = found.T
    assert (found >= 0).all() and (top + height <= 60).all() and (left + width <= 80).all() and (found % 1 == 0).all()
    area, form = height * width / 4800, width / height
    assert area.min() < 0.11 and area.max() > 0.85 and 0.45 < form.min() < 0.55 and 1.9 < form.max() < 2.1
    small = area < 0.3      # those fit with every form: both uniform, the form in its logarithm
    assert abs(area[small].mean() - 0.2) < 0.01 and abs(np.log(form[small]).mean()) < 0.05
    free = left[small] / (80 - width[small])
    assert abs(free.mean() - 0.5) < 0.03 and free.max() == 1 and free.min() == 0
    narrow = windows(window_draws(0, 0, np.arange(9)), 3, 100, (0.9, 1), (0.5, 2))     # none fits: in the middle
    assert narrow.tolist() == [[0, 47, 3, 6]] * 9
    assert windows(window_draws(0, 0, np.arange(9)), 1, 1, (0.08, 1), (3 / 4, 4 / 3)).tolist() == [[0, 0, 1, 1]] * 9


# Damaged files

def test_damaged_files_raise(damaged):
    files = ImageFiles(damaged, [0] * 7, 8)
    with pytest.raises(ValueError, match=r"ImageFiles: .*1\.jpg: cannot be read as an image: .*Repair or remove"):
        list(DataLoader(files, batch_size=2, workers=2))
    with pytest.raises(ValueError, match=r"ImageFiles: .*1\.jpg: cannot be read"):
        files.load()
    assert files.damaged == {}


@pytest.mark.parametrize("workers", [0, 3])
def test_damaged_files_are_left_out_and_counted(damaged, workers):
    files = ImageFiles(damaged, np.arange(7), 8, errors="skip")
    loader = DataLoader(files, batch_size=3, shuffle=False, workers=workers)
    with pytest.warns(UserWarning, match=r"2 of 7 files could not be read and were left out: .*1\.jpg, .*5\.jpg"):
        x, y = epoch(loader)
    good = [0, 2, 3, 4, 6]
    assert y.tolist() == good and sorted(files.damaged) == sorted([damaged[1], damaged[5]])
    np.testing.assert_array_equal(x, ImageFiles([damaged[i] for i in good], size=8).load()[0])
    assert epoch(loader)[1].tolist() == good        # and told of no more
    assert repr(files).endswith("2 left out)")
    one_by_one = DataLoader(files, batch_size=1, shuffle=False)
    assert [y.tolist() for _, y in one_by_one] == [[i] for i in good]
    with pytest.raises(ValueError, match="cannot be read"):
        files[1]


def test_damaged_files_are_warned_of(damaged, tmp_path):
    files = ImageFiles([*damaged, str(tmp_path / "none.jpg")], np.arange(8), 8, errors="warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, labels = files.load()
    texts = [str(one.message) for one in caught]
    assert labels.tolist() == [0, 2, 3, 4, 6] and len(texts) == 4
    assert "1.jpg: cannot be read as an image: " in texts[0] and texts[0].endswith("; it is left out")
    assert "No such file" in texts[2] and "3 of 8 files" in texts[3]


def test_nothing_that_can_be_read(damaged):
    files = ImageFiles([damaged[1], damaged[5]], size=8, errors="skip")
    with pytest.warns(UserWarning, match="2 of 2 files"), pytest.raises(ValueError, match="got none in 2 files"):
        list(DataLoader(files))


@pytest.mark.parametrize("mixes", [False, True])
def test_mixtures_without_the_damaged(damaged, mixes):
    files = ImageFiles(damaged, [0, 1, 2, 0, 1, 2, 0], 8, errors="skip")
    augment = Augment(mixup=0.5) if mixes else None
    with pytest.warns(UserWarning, match="2 of 7 files"):
        _, y = epoch(DataLoader(files, batch_size=7, augment=augment))
    assert y.shape == ((5, 3) if mixes else (5,))


def test_copies_and_other_arguments(folder):
    loader = DataLoader(ImageFolder(folder, 8), batch_size=5, augment=EVERY, workers=2)
    for other in (copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))):
        np.testing.assert_array_equal(epoch(other)[0], epoch(copy.copy(loader))[0])
    with pytest.raises(ValueError, match="crop must be below height and width of the images, got 8 for images of 8"):
        DataLoader(ImageFolder(folder, 8), augment=Augment(crop=8))
    with pytest.raises(ValueError, match="Normalize was fitted to 1 channels, got x of shape"):
        DataLoader(ImageFolder(folder, 8), normalize=Normalize([0], [1]))
    with pytest.raises((TypeError, ValueError), match="DataLoader: x"):
        DataLoader(ImageFolder(folder, 8), np.zeros(21))
    with pytest.raises(TypeError, match=r"got .*: for images in a folder give ImageFolder\(x, size\)"):
        DataLoader(folder)
    with pytest.raises(TypeError, match=r"per_channel: x must be an array, got .*files\[:1000\].load\(\)\[0\]"):
        Normalize.per_channel(ImageFolder(folder, 8))


def test_without_pillow(monkeypatch, folder):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"ImageFolder needs Pillow.*pip install 'fastnet-numba\[images\]'"):
        ImageFolder(folder)
