"""The images of MNIST and Fashion-MNIST: found on this machine or downloaded, read from their IDX files.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998. Xiao, Rasul and
Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms", 2017.
"""
import gzip
import hashlib
import zlib
from typing import NamedTuple

import numpy as np

from fastnet.data import places
from fastnet.data.dataset import Dataset

SIDE, CLASSES = 28, 10
MOST = 60_000           # images in a file as published; a file may hold fewer
IMAGES, LABELS = 2051, 2049     # the numbers that files begin with: 8 bits, 3 axes and 1
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class Idx(NamedTuple):
    """One of the two data sets, whose files have the same names."""

    name: str
    classes: tuple
    folders: tuple      # where they may lie within a folder; the first is that of the cache
    sha256: tuple       # of each file, compressed by gzip
    mirrors: tuple


DIGITS = Idx(
    "MNIST", tuple("0123456789"), ("mnist", "MNIST/raw", "MNIST"),
    ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
     "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
     "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
     "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"))
FASHION = Idx(
    "Fashion-MNIST",
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "FashionMNIST"),
    ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
     "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
     "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
     "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ("https://storage.googleapis.com/tensorflow/tf-keras-datasets",
     "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"))


def mnist(root=None, download=True, progress=True):
    """The training set and the test set of MNIST, two `Dataset`s of 60,000 and 10,000 uint8 images (1, 28, 28) of
    handwritten digits.

    They are looked for as by `cifar10`: in `root`, FASTNET_DATA, the cache folder, and on the mirrors. A folder holds
    the four files, train-images-idx3-ubyte and so on, each as it is or compressed, with .gz; or a folder mnist or
    MNIST/raw with them. What is downloaded, 12 MB, has its SHA-256 checked.

    FileNotFoundError: nothing there (DownloadError, an OSError: nothing could be downloaded). ValueError: a file is
    damaged, or is one of Fashion-MNIST; the text names it.

    >>> train, test = mnist()     # doctest: +SKIP
    """
    return _load("mnist", DIGITS, FASHION, root, download, progress)


def fashion_mnist(root=None, download=True, progress=True):
    """The training set and the test set of Fashion-MNIST, two `Dataset`s of 60,000 and 10,000 uint8 images (1, 28, 28)
    of clothes in 10 classes. As `mnist`; the folder is fashion-mnist or FashionMNIST/raw, the download 30 MB.

    >>> train, test = fashion_mnist()     # doctest: +SKIP
    """
    return _load("fashion_mnist", FASHION, DIGITS, root, download, progress)


def _load(who, version, other, root, download, progress):
    root, download, progress = places.checked(who, root, download, progress)
    expected = f"{NAMES[0]} and so on, with .gz or without, or a folder {' or '.join(version.folders)} with them"
    published = places.Published(
        version.name, expected, lambda place: _look(version, place), version.folders[0],
        tuple((f"{name}.gz", digest) for name, digest in zip(NAMES, version.sha256, strict=True)), version.mirrors)
    folder = places.find(published, root) or places.fetch(published, download, progress)
    parts = [_read(folder, name, other) for name in NAMES]
    for i in (0, 2):
        if len(parts[i]) != len(parts[i + 1]):
            raise ValueError(f"{folder}: {NAMES[i]} has {len(parts[i]):,} images and {NAMES[i + 1]} has "
                             f"{len(parts[i + 1]):,} labels: get them again")
    return tuple(Dataset(parts[i], parts[i + 1].astype(np.int64), version.classes, str(folder)) for i in (0, 2))


def _look(version, place):
    """The folder to read, or None."""
    folders = (*(place / name for name in version.folders), place)
    return next((folder for folder in folders for end in ("", ".gz") if (folder / (NAMES[0] + end)).is_file()), None)


def _read(folder, name, other):
    """The images, uint8 (N, 1, 28, 28), or labels, uint8 (N,), of one file."""
    path = folder / name
    if not path.is_file():
        path = folder / f"{name}.gz"
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: {name} missing, with .gz or without: copy or download it again")
    images = "images" in name
    most = 16 + MOST * SIDE * SIDE if images else 8 + MOST
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if path.suffix == ".gz":
        if hashlib.sha256(data).hexdigest() in other.sha256:
            raise ValueError(f"{path}: it is one of {other.name}, whose files have the same names: put it into a "
                             f"folder {other.folders[0]}")
        data = _unpacked(path, most)
    start = 16 if images else 8
    head = np.frombuffer(data[:start], ">u4").tolist() if len(data) >= start else []
    expected = [IMAGES, SIDE, SIDE] if images else [LABELS]
    if head[:1] + head[2:] != expected or not 0 < head[1] <= MOST:
        raise ValueError(f"{path}: it begins with {head}, expected {expected[0]}, a count up to {MOST:,}"
                         f"{f', {SIDE}, {SIDE}' if images else ''}: damaged or another file; get it again")
    length = start + head[1] * (SIDE * SIDE if images else 1)
    if len(data) != length:
        raise ValueError(f"{path}: {len(data):,} bytes{' or more' * (len(data) > most)}, expected {length:,} for "
                         f"{head[1]:,} {'images' if images else 'labels'}: cut off or another file; get it again")
    numbers = np.frombuffer(data, np.uint8, offset=start)
    if images:
        return numbers.reshape(-1, 1, SIDE, SIDE)
    if numbers.max() >= CLASSES:
        record = int(np.argmax(numbers >= CLASSES))
        raise ValueError(f"{path}: label {numbers[record]} in record {record}, expected 0 to {CLASSES - 1}: damaged or "
                         "another file; get it again")
    return numbers


def _unpacked(path, most):
    """The content of a compressed file, but no more of it than one byte beyond `most`; its checksum is looked at."""
    try:
        with gzip.open(path, "rb") as file:
            return file.read(most + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be unpacked ({error}): delete it and download it again") from error
