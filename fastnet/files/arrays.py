"""Arrays by name in NumPy's .npz files, without pickle."""
import io
import zipfile
import zlib

import numpy as np


def read(path):
    """{name: array} of what an .npz file holds. ValueError, naming it, where it is none, or damaged, or holds objects.
    What is no array in it comes as its bytes: whoever knows the names tells that nobody expects it."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not an .npz file, or cut off; save_weights(net, path) writes one")
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                data = io.BytesIO(archive.read(member))
                if name == member.filename:
                    found[name] = np.frombuffer(data.getvalue(), np.uint8)
                    continue
                found[name] = np.lib.format.read_array(data, allow_pickle=False)
                if data.read(1):
                    raise ValueError("more bytes than its header tells")
    except (EOFError, MemoryError, NotImplementedError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error
            ) as error:
        raise ValueError(f"{path}: damaged, or not plain arrays; save the weights again") from error
    return found


def write(file, arrays):
    """Write {name: array} to an open binary file. Not np.savez, which takes names as keywords, some for its own."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)
