"""Arrays by name in NumPy's .npz files, without pickle."""
import io
import struct
import zipfile
import zlib
from math import prod

import numpy as np

from fastnet.files import archives

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_HEADER = 1 << 16   # bytes in which NumPy's header has ended
_FREE = 32 << 20    # bytes that any file may unpack to
_CHUNK = 1 << 20


def read(path):
    """{name: array} of what an .npz file holds. ValueError, naming it, where it is none, or damaged, or holds objects,
    or unpacks to far more than its size. What is no array in it comes as its bytes: whoever knows the names tells that
    nobody expects it."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not an .npz file, or cut off; save_weights(net, path) writes one")
    try:
        with archives.opened(path) as (archive, size):
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > 2 * size + _FREE:
                raise ValueError(f"{path}: it would unpack to {unpacked} bytes, which is far more than its {size}; "
                                 "where you trust it, load it with NumPy and save it without compression")
            return {entry.filename.removesuffix(".npy"): _content(archive, entry) for entry in entries}
    except (EOFError, MemoryError, NotImplementedError, OSError, RuntimeError, ValueError, Warning, struct.error,
            zipfile.BadZipFile, zlib.error) as error:      # Warning: on headers of old, where warnings are errors
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: damaged, or not plain arrays; save the weights again") from error


def _content(archive, entry):
    """What an entry holds: an array, or, where its name does not say so, its bytes."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("packed in a way that NumPy does not use")
    data, place = bytearray(entry.file_size), 0
    with archive.open(entry) as member:
        while chunk := member.read(_CHUNK):     # so that no more is unpacked than the entry says
            data[place:place + len(chunk)] = chunk
            place += len(chunk)
    if place != entry.file_size:
        raise ValueError("cut off")
    return _array(data) if entry.filename.endswith(".npy") else np.frombuffer(data, np.uint8)


def _array(data):
    """The array in the bytes of an .npy file, of which it is a view."""
    start = io.BytesIO(memoryview(data)[:_HEADER])
    version = np.lib.format.read_magic(start)
    if version not in _HEADERS:
        raise ValueError("written by a newer NumPy")
    shape, fortran, dtype = _HEADERS[version](start)
    if dtype.kind not in "biufc":
        raise ValueError("no numbers")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != len(data) - start.tell():
        raise ValueError("not as many numbers as its header tells")
    return np.ndarray(shape, dtype, data, start.tell(), order="F" if fortran else "C")


def write(file, arrays):
    """Write {name: array} to an open binary file. Not np.savez, which takes names as keywords, some for its own."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)
