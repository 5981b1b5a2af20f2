"""Arrays by name in the safetensors format: a header of names, dtypes and shapes, then plain numbers.

What PyTorch writes with ``safetensors.torch`` is read here, and the other way round, bit for bit. The library
`safetensors` checks the header against the file before anything is made of it.
Format: https://huggingface.co/docs/safetensors, "Format".
"""
import json

import numpy as np
import safetensors
from safetensors.numpy import save

from fastnet import arguments
from fastnet.files.numbers import widened

# The names of dtypes in the header; numbers that NumPy does not know are seen as words.
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bfloat16", "I64": "<i8", "I32": "<i4", "I16": "<i2",
          "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
_LONGEST = 2 << 20  # bytes of a header: Python's objects take up to thirty times as much
_WRITTEN = {np.dtype(dtype) for dtype in DTYPES.values() if dtype != "bfloat16"}


def read(path):
    """(arrays, metadata): {name: array} and {name: text}. float16 and bfloat16 become float32, all else stays.

    FileNotFoundError without that file; ValueError, naming it, where it is damaged, is none of this format, or holds
    numbers of a dtype that NumPy has no other for (float8).
    """
    path = arguments.path(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    try:
        metadata = _metadata(data)
        found = safetensors.deserialize(data)
    except (safetensors.SafetensorError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: damaged, or not a file of safetensors ({error})") from None
    arrays = {}
    for name, entry in found:
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{path}: {name!r} holds numbers of the dtype {entry['dtype']}, which NumPy does not know;"
                             " write it as float32")
        arrays[name] = widened(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays, metadata


def packed(arrays, metadata=None):
    """The bytes of a file that holds these arrays, {name: array}, and {name: text}.

    TypeError for a dtype that the format has no name for (complex numbers, objects, text); ValueError for more names
    and texts than `read` takes.
    """
    entries = {}
    for name, array in arrays.items():
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
        if array.dtype not in _WRITTEN:
            raise TypeError(f"{name!r} holds numbers of the dtype {array.dtype}, which safetensors files cannot hold")
        entries[name] = array
    data = save(entries, metadata or None)
    if metadata:
        data = _in_order(data, metadata)
    _metadata(data)
    return data


def _in_order(data, metadata):
    """The same file with its texts in the order in which they were given, which the library draws anew for each file.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start]) | {"__metadata__": metadata}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, memoryview(data)[start:]])


def _metadata(data):
    """The free texts in the header, of which the library has still to find that it is whole."""
    length = int.from_bytes(data[:8], "little")
    if length > min(_LONGEST, len(data) - 8):
        raise ValueError(f"its header would have {length} bytes")
    header = json.loads(data[8: 8 + length])
    return (header.get("__metadata__") if isinstance(header, dict) else None) or {}
