"""A net's weights as a file: an .npz of plain arrays under the keys of ``net.state_dict()``, without pickle."""
import os
import zipfile
import zlib

import numpy as np


def save_weights(net, path):
    """Write ``net.state_dict()`` to `path`, all or nothing: an old file is replaced once the new one is whole."""
    path = os.fspath(path)
    unfinished = f"{path}.{os.getpid()}.tmp"
    try:
        with open(unfinished, "wb") as file:
            np.savez(file, **net.state_dict())
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.remove(unfinished)


def load_weights(net, path):
    """Read what `save_weights` wrote into `net`. Where anything does not fit, nothing changes.

    FileNotFoundError without that file; ValueError, naming the file, where it is no .npz of plain arrays, is damaged,
    lacks a key, has one too many, or where a shape differs.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such file; save_weights(net, path) writes one")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not an .npz file; save_weights(net, path) writes one")
    try:
        with np.load(path, allow_pickle=False) as file:
            state_dict = {key: file[key] for key in file.files}
    except (EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged, or not plain arrays ({error})") from error
    try:
        net.load_state_dict(state_dict)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error.args[0] if error.args else error}") from error
