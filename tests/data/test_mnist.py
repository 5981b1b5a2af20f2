"""MNIST, Fashion-MNIST and CIFAR-100 in miniature, whole and damaged."""
import gzip
import hashlib
import re
import sys

import numpy as np
import pytest

from fastnet.data import cifar100, fashion_mnist, mnist
from fastnet.data.cifar100 import COARSE, FINE

from .files import write_archive, write_folder

RNG = np.random.default_rng(0)
NAMES = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture
def parts():
    """Images and labels of a training and a test set."""
    return [one for n in (5, 3) for one in (RNG.integers(0, 256, (n, 1, 28, 28), np.uint8),
                                            RNG.integers(0, 10, n, np.uint8))]


@pytest.fixture
def idx(parts):
    """The four files: name -> bytes."""
    return {name: np.array([2051, len(part), 28, 28] if part.ndim > 1 else [2049, len(part)], ">u4").tobytes()
            + part.tobytes() for name, part in zip(NAMES, parts, strict=True)}


def packed(files):
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()}


def check(loaded, parts, source, classes):
    for data, images, labels in zip(loaded, parts[::2], parts[1::2], strict=True):
        np.testing.assert_array_equal(data.images, images)
        np.testing.assert_array_equal(data.labels, labels)
        assert data.images.dtype == np.uint8 and data.labels.dtype == np.int64
        assert data.classes == classes and data.source == str(source)


@pytest.mark.parametrize("form", [dict, packed], ids=["plain", "packed"])
@pytest.mark.parametrize(("load", "place", "first", "last"), [
    (mnist, "", "0", "9"), (mnist, "mnist", "0", "9"), (mnist, "MNIST/raw", "0", "9"),
    (fashion_mnist, "", "T-shirt/top", "Ankle boot"), (fashion_mnist, "FashionMNIST/raw", "T-shirt/top", "Ankle boot")])
def test_folders(idx, parts, tmp_path, form, load, place, first, last):
    folder = write_folder(tmp_path / "there" / place, form(idx))
    loaded = load(tmp_path / "there")
    check(loaded, parts, folder, loaded[0].classes)
    assert loaded[0].classes[0] == first and loaded[0].classes[9] == last and len(loaded[0].classes) == 10


def test_places_are_searched_in_order(idx, parts, tmp_path, monkeypatch):
    for load, name, folder in ((mnist, "MNIST", "mnist"), (fashion_mnist, "Fashion-MNIST", "fashion-mnist")):
        with pytest.raises(FileNotFoundError, match=f"no {name} in .*cache.fastnet.{folder}: set FASTNET_DATA"):
            load(download=False)
        place = write_folder(tmp_path / "cache" / "fastnet" / folder, idx)
        check(load(download=False), parts, place, load(download=False)[0].classes)
    monkeypatch.setenv("FASTNET_DATA", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="FASTNET_DATA is .*, where there is no MNIST: expected train-images"):
        mnist()
    with pytest.raises(FileNotFoundError, match="root is .*, where there is no Fashion-MNIST: expected train-images"):
        fashion_mnist(tmp_path / "nothing")


def test_downloads(idx, parts, tmp_path, monkeypatch):
    module, files = sys.modules["fastnet.data.mnist"], packed(idx)
    write_folder(tmp_path / "mirror", files)
    digests = tuple(hashlib.sha256(content).hexdigest() for content in files.values())
    monkeypatch.setattr(module, "DIGITS", module.DIGITS._replace(sha256=digests, mirrors=(f"file://{tmp_path}/mirror",)))
    check(mnist(progress=False), parts, tmp_path / "cache" / "fastnet" / "mnist", tuple("0123456789"))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz: it is one of MNIST, whose files have the"):
        fashion_mnist(tmp_path / "mirror")


@pytest.mark.parametrize(("name", "damage", "message"), [
    (0, lambda content: content[:-1], "3,935 bytes, expected 3,936 for 5 images: cut off or another file"),
    (0, lambda content: content + b"0", "3,937 bytes, expected 3,936 for 5 images"),
    (1, lambda content: content[:-1], "12 bytes, expected 13 for 5 labels: cut off"),
    (0, lambda content: b"", "it begins with [], expected 2051, a count up to 60,000, 28, 28: damaged or another"),
    (2, lambda content: content[:12], "it begins with [], expected 2051"),
    (0, lambda content: content[:4] + b"\xff" * 4 + content[8:], "it begins with [2051, 4294967295, 28, 28], expected"),
    (0, lambda content: content[:8] + bytes(8) + content[16:], "it begins with [2051, 5, 0, 0], expected 2051"),
    (1, lambda content: content[:4] + bytes(4), "it begins with [2049, 0], expected 2049, a count up to 60,000: damag"),
    (3, lambda content: b"\0" + content[1:3] + b"\3" + content[4:], "it begins with [2051, 3], expected 2049"),
    (3, lambda content: content[:-1] + b"\x0a", "label 10 in record 2, expected 0 to 9: damaged"),
    (0, lambda content: bytes(60_001 * 784 + 16), "it begins with [0, 0, 0, 0], expected 2051"),
])
@pytest.mark.parametrize("form", [dict, packed], ids=["plain", "packed"])
def test_damaged_files(idx, tmp_path, name, damage, message, form):
    idx[NAMES[name]] = damage(idx[NAMES[name]])
    folder = write_folder(tmp_path / "mnist", form(idx))
    with pytest.raises(ValueError, match=re.escape(f"{folder / NAMES[name]}") + "(.gz)?: " + re.escape(message)):
        mnist(tmp_path)


def test_files_that_do_not_belong_together(idx, tmp_path):
    write_folder(tmp_path / "mnist", idx | {NAMES[1]: idx[NAMES[3]]})
    with pytest.raises(ValueError, match="train-images-idx3-ubyte has 5 images and train-labels-idx1-ubyte has 3"):
        mnist(tmp_path)
    (tmp_path / "mnist" / NAMES[2]).unlink()
    with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte missing, with .gz or without: copy"):
        mnist(tmp_path)


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: c[:len(c) // 2], lambda c: b"<html>" + c,
                                    lambda c: c[:-8] + bytes([c[-8] ^ 1]) + c[-7:], lambda c: b""])
def test_damaged_packing(idx, tmp_path, damage):
    files = packed(idx)
    files[f"{NAMES[2]}.gz"] = damage(files[f"{NAMES[2]}.gz"])
    folder = write_folder(tmp_path / "mnist", files)
    with pytest.raises(ValueError, match=f"{folder / NAMES[2]}.gz: (cannot be unpacked .*: delete|it begins with)"):
        mnist(tmp_path)


def test_a_packed_bomb_is_not_unpacked(idx, tmp_path):
    files = packed(idx)
    head = np.array([2051, 60_000, 28, 28], ">u4").tobytes()
    files[f"{NAMES[0]}.gz"] = gzip.compress(head + bytes(48 * 10**6), 1)
    write_folder(tmp_path / "mnist", files)
    with pytest.raises(ValueError, match="47,040,017 bytes or more, expected 47,040,016 for 60,000 images"):
        mnist(tmp_path)


# CIFAR-100

@pytest.fixture
def hundred():
    """(pixels, coarse labels, fine labels) of a training and a test set."""
    return [(RNG.integers(0, 256, (n, 3072), np.uint8), RNG.integers(0, 20, n, np.uint8),
             RNG.integers(0, 100, n, np.uint8)) for n in (6, 4)]


@pytest.fixture
def binary(hundred):
    return {name: np.column_stack([coarse, fine, pixels]).tobytes()
            for name, (pixels, coarse, fine) in zip(("train.bin", "test.bin"), hundred, strict=True)}


def pickled(hundred):
    from .files import python2
    return {name: python2({b"filenames": [b"a.png"], b"batch_label": b"one", b"fine_labels": fine.tolist(),
                           b"coarse_labels": coarse.tolist(), b"data": pixels})
            for name, (pixels, coarse, fine) in zip(("train", "test"), hundred, strict=True)}


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("form", ["binary", "pickled", "archive"])
def test_cifar100(hundred, binary, tmp_path, coarse, form):
    if form == "binary":
        source = write_folder(tmp_path / "cifar-100-binary", binary)
    elif form == "pickled":
        source = write_folder(tmp_path / "cifar-100-python", pickled(hundred))
    else:
        source = write_archive(tmp_path / "cifar-100-binary.tar.gz", "cifar-100-binary", binary)
    for data, (pixels, *labels) in zip(cifar100(tmp_path, coarse=coarse), hundred, strict=True):
        np.testing.assert_array_equal(data.images, pixels.reshape(-1, 3, 32, 32))
        np.testing.assert_array_equal(data.labels, labels[0 if coarse else 1])
        assert data.classes == (COARSE if coarse else FINE) and data.source == str(source)


def test_names_of_classes():
    assert (len(FINE), len(COARSE)) == (100, 20) and list(FINE) == sorted(FINE) and list(COARSE) == sorted(COARSE)
    assert FINE[0] == "apple" and FINE[99] == "worm" and COARSE[19] == "vehicles_2" and len(set(FINE)) == 100


@pytest.mark.parametrize(("damage", "message"), [
    (lambda content: content[:-1], "18,443 bytes, expected 50,000 records of 3,074 bytes"),
    (lambda content: b"\x14" + content[1:], "label 20 in record 0, expected 0 to 19"),
    (lambda content: content[:1] + b"\x64" + content[2:], "label 100 in record 0, expected 0 to 99"),
    (lambda content: b"", "0 bytes, expected 50,000 records")])
def test_damaged_cifar100(binary, tmp_path, damage, message):
    binary["train.bin"] = damage(binary["train.bin"])
    folder = write_folder(tmp_path / "cifar-100-binary", binary)
    with pytest.raises(ValueError, match=re.escape(f"{folder / 'train.bin'}: {message}")):
        cifar100(tmp_path)


def test_cifar100_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no CIFAR-100 in .*: set FASTNET_DATA"):
        cifar100(download=False)
    with pytest.raises(FileNotFoundError, match=r"no CIFAR-100: expected an archive \(cifar-100-binary.tar.gz or"):
        cifar100(tmp_path)
    write_folder(tmp_path / "cifar-100-python", {"train": b"x"})
    with pytest.raises(ValueError, match="train: not a batch of CIFAR-100, or damaged"):
        cifar100(tmp_path)
