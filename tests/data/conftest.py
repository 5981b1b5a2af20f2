"""CIFAR-10 in miniature, in both published forms, and a machine on which nothing of it is to be found."""
import sys

import numpy as np
import pytest

import fastnet.data  # noqa: F401  (loads the module that is patched below)

from .files import python2, python3

COUNTS = [3, 2, 4, 1, 5, 6]  # records in the five training batches and the test batch


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    """No variable, no cache, and mirrors that lead nowhere, so that no test reaches for the network."""
    for name in ("FASTNET_DATA", "FASTNET_MIRRORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # By this way, because the name fastnet.data.cifar10 is the function.
    for name in ("cifar10", "cifar100"):
        monkeypatch.setattr(sys.modules[f"fastnet.data.{name}"], "MIRRORS", ())
    for name in ("DIGITS", "FASHION"):
        version = getattr(sys.modules["fastnet.data.mnist"], name)
        monkeypatch.setattr(sys.modules["fastnet.data.mnist"], name, version._replace(mirrors=()))


@pytest.fixture
def batches():
    """The pixels (n, 3072) and the labels (n,) of six small batches."""
    rng = np.random.default_rng(5)
    return [(rng.integers(0, 256, (n, 3072), np.uint8), rng.integers(0, 10, n, np.uint8)) for n in COUNTS]


@pytest.fixture
def binary(batches):
    """The six files of the binary version: name -> bytes."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    return {name: np.column_stack([labels, pixels]).tobytes()
            for name, (pixels, labels) in zip(names, batches, strict=True)}


@pytest.fixture(params=[python2, python3])
def python(batches, request):
    """The six files of the python version: name -> bytes, as published and as Python 3 writes them."""
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    return {name: request.param({b"batch_label": b"a batch", b"labels": labels.tolist(), b"data": pixels,
                                 b"filenames": [b"a.png"] * len(labels)})
            for name, (pixels, labels) in zip(names, batches, strict=True)}
