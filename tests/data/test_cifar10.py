import codecs
import gzip
import os
import pickle
import re
import sys

import numpy as np
import pytest

from fastnet.data import cifar10, cifar10_or_synthetic
from fastnet.data.unpickle import read_batch

from .files import python2, write_archive, write_folder

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def check(loaded, batches, source):
    """The two sets hold the batches, in order."""
    for data, parts in zip(loaded, (batches[:5], batches[5:]), strict=True):
        assert data.images.dtype == np.uint8 and data.labels.dtype == np.int64
        assert (data.images == np.concatenate([pixels for pixels, _ in parts]).reshape(-1, 3, 32, 32)).all()
        assert (data.labels == np.concatenate([labels for _, labels in parts])).all()
        assert data.images.flags.c_contiguous and data.classes == CLASSES and data.source == str(source)


@pytest.mark.parametrize("nested", [True, False], ids=["in a folder", "the files themselves"])
def test_binary_folder(binary, batches, tmp_path, nested):
    folder = write_folder(tmp_path / "cifar-10-batches-bin", binary)
    check(cifar10(tmp_path if nested else folder), batches, folder)


def test_python_folder(python, batches, tmp_path):
    folder = write_folder(tmp_path / "cifar-10-batches-py", python)
    check(cifar10(tmp_path), batches, folder)


@pytest.mark.parametrize("named", [True, False], ids=["the archive", "its folder"])
def test_binary_archive(binary, batches, tmp_path, named):
    archive = write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", binary)
    check(cifar10(archive if named else tmp_path), batches, archive)
    assert os.listdir(tmp_path) == [archive.name]  # nothing was extracted


def test_python_archive_and_uncompressed_one(python, batches, tmp_path):
    archive = write_archive(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", python)
    check(cifar10(tmp_path), batches, archive)
    plain = tmp_path / "cifar.tar"
    plain.write_bytes(gzip.decompress(archive.read_bytes()))
    check(cifar10(plain), batches, plain)


def test_places_are_searched_in_order(binary, batches, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no CIFAR-10 in .*cache.fastnet: set FASTNET_DATA"):
        cifar10(download=False)
    in_cache = write_archive(tmp_path / "cache/fastnet/cifar-10-binary.tar.gz", "cifar-10-batches-bin", binary)
    check(cifar10(download=False), batches, in_cache)
    in_variable = write_folder(tmp_path / "variable", binary)
    monkeypatch.setenv("FASTNET_DATA", str(in_variable))
    check(cifar10(download=False), batches, in_variable)
    given = write_folder(tmp_path / "given", binary)
    check(cifar10(given), batches, given)


@pytest.mark.parametrize("load", [cifar10, cifar10_or_synthetic])
def test_a_named_place_must_hold_the_data(load, binary, tmp_path, monkeypatch):
    write_archive(tmp_path / "cache/fastnet/cifar-10-binary.tar.gz", "cifar-10-batches-bin", binary)
    nothing = tmp_path / "nothing"
    with pytest.raises(FileNotFoundError, match=f"root is '{nothing}', where there is no CIFAR-10: expected an arch"):
        load(nothing)
    monkeypatch.setenv("FASTNET_DATA", str(nothing))
    with pytest.raises(FileNotFoundError, match=f"FASTNET_DATA is '{nothing}'"):
        load()


def test_generated_images_replace_missing_ones_loudly(tmp_path, monkeypatch):
    module = sys.modules["fastnet.data.cifar10"]
    monkeypatch.setattr(module, "MIRRORS", (f"file://{tmp_path}/no",))
    with pytest.warns(UserWarning, match="TRAINING ON GENERATED IMAGES, NOT ON CIFAR-10: (.|\n)*could not be downl"):
        train, test = cifar10_or_synthetic(progress=False)
    assert len(train) == 20_000 and len(test) == 4_000
    assert train.source == "generated images, seed 0 (not CIFAR-10)"


def test_damaged_files_are_not_replaced_by_generated_images(binary, tmp_path):
    binary["test_batch.bin"] = b""
    write_folder(tmp_path / "cache/fastnet/cifar-10-batches-bin", binary)
    with pytest.raises(ValueError, match="test_batch.bin: 0 bytes, expected"):
        cifar10_or_synthetic()


def cut(content):
    return content[:-1]


def empty(content):
    return b""


def wrong_label(content):
    return content[:3073] + b"\x0a" + content[3074:]


def too_many(content):
    return bytes(10_001 * 3073)


def far_too_many(content):
    return bytes(20_001 * 3073)


@pytest.mark.parametrize(("damage", "message"), [
    (cut, "12,291 bytes, expected 10,000 records of 3,073 bytes (or a smaller whole number of them): cut off"),
    (empty, "0 bytes, expected 10,000 records"),
    (wrong_label, "label 10 in record 1, expected 0 to 9: damaged or another file"),
    (too_many, "30,733,073 bytes, expected 10,000 records"),
    (far_too_many, "61,463,073 bytes are too many for a batch of CIFAR-10"),
])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_damaged_binary_files(binary, tmp_path, damage, message, packed):
    binary["data_batch_3.bin"] = damage(binary["data_batch_3.bin"])
    if packed:
        place = write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", binary)
        name = f"{place}: cifar-10-batches-bin/data_batch_3.bin"
    else:
        name = write_folder(tmp_path / "cifar-10-batches-bin", binary) / "data_batch_3.bin"
    with pytest.raises(ValueError, match=re.escape(f"{name}: {message}")):
        cifar10(tmp_path)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_missing_batches(binary, tmp_path, packed):
    del binary["data_batch_2.bin"], binary["test_batch.bin"]
    if packed:
        place = write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", binary)
    else:
        place = write_folder(tmp_path / "cifar-10-batches-bin", binary)
    with pytest.raises(FileNotFoundError, match=f"{place}: data_batch_2.bin, test_batch.bin missing: copy or download"):
        cifar10(tmp_path)


def damage_middle(content):
    return content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]


def damage_checksum(content):
    return content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]


def not_an_archive(content):
    return b"<html>404</html>"


@pytest.mark.parametrize("damage", [damage_middle, damage_checksum, not_an_archive, empty, cut,
                                    lambda content: content[:len(content) // 2]])
def test_damaged_archives(binary, tmp_path, damage):
    archive = write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", binary)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ValueError, match=f"{archive}: cannot be read as an archive .*: delete it and download it"):
        cifar10(tmp_path)


def test_an_archive_of_something_else(tmp_path):
    archive = write_archive(tmp_path / "cifar-10-python.tar.gz", "cifar-100-python", {"train": b"x", "test": b"y"})
    with pytest.raises(FileNotFoundError, match=f"{archive}: data_batch_1.bin, .* missing"):
        cifar10(archive)


class Runs:
    """A pickle of this calls a function of any module when it is loaded."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def spoil(**changes):
    batch = {b"labels": [1, 2], b"data": np.zeros((2, 3072), np.uint8)}
    batch.update({key.encode(): value for key, value in changes.items()})
    return batch


@pytest.mark.parametrize(("batch", "message"), [
    (spoil(extra=Runs(os.mkdir, "pwned")), "mkdir, which is not permitted); nothing was run"),
    (Runs(eval, "__import__('os').mkdir('pwned')"), "builtin__.eval, which is not permitted"),
    (spoil(extra=Runs(getattr, [], "append")), "getattr, which is not permitted"),
    (spoil(extra=Runs(np.load, "file")), "which is not permitted"),
    (spoil(data=np.zeros((2, 3072))), "the data are of type 'f8', expected a uint8 array"),
    (spoil(data=np.zeros((2, 3072), object)), "the data are of type 'O8', expected a uint8 array"),
    (spoil(data=np.zeros((2, 3071), np.uint8)), "pixels of shape (2, 3071) and 2 labels, expected (10000, 3072)"),
    (spoil(data=np.zeros((3, 3072), np.uint8)), "pixels of shape (3, 3072) and 2 labels"),
    (spoil(data=b"pixels"), "not a batch of CIFAR-10, or damaged (AttributeError"),
    (spoil(labels=[1, -2]), "label -2 in record 1, expected 0 to 9"),
    (spoil(labels=[1, 10]), "label 10 in record 1, expected 0 to 9"),
    (spoil(labels=[1, 2.0]), "the labels are not a list of integers"),
    (spoil(labels=(1, 2)), "the labels are not a list of integers"),
    ({b"data": np.zeros((2, 3072), np.uint8)}, "not a batch of CIFAR-10, or damaged (KeyError: b'labels')"),
    ([1, 2], "not a batch of CIFAR-10, or damaged (TypeError"),
])
def test_bad_pickles(python, tmp_path, monkeypatch, batch, message):
    monkeypatch.chdir(tmp_path)
    python["data_batch_4"] = pickle.dumps(batch, protocol=2)
    folder = write_folder(tmp_path / "cifar-10-batches-py", python)
    with pytest.raises(ValueError, match=re.escape(f"{folder / 'data_batch_4'}: ") + ".*" + re.escape(message)):
        cifar10(tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_the_malicious_pickle_is_one(tmp_path, monkeypatch):
    """Without the guard it would have run: else the test above proves nothing."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(spoil(extra=Runs(os.mkdir, "pwned")), protocol=2))
    assert (tmp_path / "pwned").exists()


@pytest.mark.parametrize("length", [0, 1, 50, 3000, 6000])
def test_truncated_pickles(python, tmp_path, length):
    python["test_batch"] = python["test_batch"][:length]
    folder = write_folder(tmp_path / "cifar-10-batches-py", python)
    with pytest.raises(ValueError, match=f"{folder}.test_batch: not a batch of CIFAR-10, or damaged .*nothing was run"):
        cifar10(tmp_path)


def test_foreign_encodings_in_pickles_are_refused():
    with pytest.raises(ValueError, match="encoding 'rot13' is not permitted"):
        read_batch(pickle.dumps(spoil(extra=Runs(codecs.encode, "a", "rot13")), protocol=2), "here")


@pytest.mark.parametrize("order", ["C", "F"])
def test_both_orders_of_pickled_arrays(order):
    pixels = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072)
    result, labels = read_batch(python2(spoil(data=pixels.copy(order))), "here")
    assert (result == pixels).all() and labels == [[1, 2]]
