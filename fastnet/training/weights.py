"""A net's weights as a file: an .npz of plain arrays under the keys of ``net.state_dict()``, without pickle."""
import io
import os
import zipfile
import zlib

import numpy as np

from fastnet import arguments, writing


def save_weights(net, path):
    """Write ``net.state_dict()`` to `path`, all or nothing: an old file is replaced once the new one is whole.

    A symbolic link is followed, and an old file's permissions are kept. FileNotFoundError without the folder, any
    OSError where the system fails, ValueError for a name of a parameter that no file can hold.
    """
    arguments.having(net, ("state_dict",), "save_weights: net", "a layer")
    path = arguments.path(path, "save_weights: path")
    save_state(net.state_dict(), path, "save_weights")


def save_state(state, path, who):
    """Write a dictionary of arrays as `save_weights` does; `who` begins what errors say."""
    entries = {_entry(name, who): np.asarray(value) for name, value in state.items()}
    with writing.whole(path, who) as file, zipfile.ZipFile(file, "w") as archive:
        for entry, value in entries.items():
            # Not np.savez, which takes names as keywords, some of them for its own.
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)


def load_weights(net, path):
    """Read what `save_weights` wrote into `net`. Where anything does not fit, nothing changes.

    FileNotFoundError without that file; ValueError, naming the file, where it is no .npz of plain arrays, is damaged,
    lacks a key, has one too many, or where a shape differs.
    """
    arguments.having(net, ("load_state_dict",), "load_weights: net", "a layer")
    path = arguments.path(path, "load_weights: path")
    if os.path.isdir(path):
        raise IsADirectoryError(f"load_weights: {path} is a folder; give the name of a file")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"load_weights: {path}: no such file; save_weights(net, path) writes one")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"load_weights: {path}: not an .npz file, or cut off; save_weights(net, path) writes one")
    state_dict = _arrays(path)
    try:
        net.load_state_dict(state_dict)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"load_weights: {path}: {error.args[0] if error.args else error}") from error


def _arrays(path):
    """{name: array} of what an .npz file holds."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                data = io.BytesIO(archive.read(member))
                if name == member.filename:     # no array: the net tells that it expects none of that name
                    found[name] = np.frombuffer(data.getvalue(), np.uint8)
                    continue
                found[name] = np.lib.format.read_array(data, allow_pickle=False)
                if data.read(1):
                    raise ValueError("more bytes than its header tells")
    except (EOFError, MemoryError, NotImplementedError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error
            ) as error:
        raise ValueError(f"load_weights: {path}: damaged, or not plain arrays; save the weights again") from error
    return found


def _entry(name, who):
    """What a parameter is called in the file: ValueError where that cannot be."""
    try:
        name.encode()
    except (AttributeError, UnicodeEncodeError):
        name = "\0"
    if "\0" in name:
        raise ValueError(f"{who}: net has a parameter whose name no file can hold: it must be a string without "
                         "null characters")
    return f"{name}.npy"
