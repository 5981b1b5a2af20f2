"""Reads the pickled batches of the python versions of CIFAR-10 and CIFAR-100 without running anything that a pickle may
ask for.

A pickle is a program; it can name any function of any module. The published batches name three things, all needed to
rebuild one NumPy array. Those are replaced by `_Array`, which merely remembers what it is given, and every other name
is refused.
"""
import io
import pickle

import numpy as np


class _Array:
    """Stands for a NumPy array or dtype in the pickle, and holds the arguments and the state it came with."""

    def __init__(self, *args):
        self.args, self.state = args, None

    def __setstate__(self, state):
        self.state = state


def _latin1(text, encoding):
    # The way in which Python 3 writes bytes into a pickle that Python 2 can read.
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not permitted")
    return text.encode("latin1")


PERMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Array,
    ("_codecs", "encode"): _latin1,
}


class _Unpickler(pickle._Unpickler):
    """The one in Python: that in C makes room for as many remembered values as a damaged file says."""

    def find_class(self, module, name):
        if (module, name) not in PERMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not permitted")
        return PERMITTED[module, name]


def read_batch(data, where, columns=("labels",), name="CIFAR-10"):
    """The pixels, uint8 (N, 3072), and the labels, a list of N integers for each of `columns`, of one pickled batch
    given as bytes.

    ValueError where the pickle is damaged, asks for more than a batch needs, or holds something else; `where` names the
    file in the text.
    """
    try:
        batch = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        labels = [batch[column.encode()] for column in columns]
        pixels = _uint8_array(batch[b"data"])
    except Exception as error:  # damaged pickles raise nearly anything
        raise ValueError(f"{where}: not a batch of {name}, or damaged ({type(error).__name__}: {error}); nothing was "
                         "run: get the file again from a place you trust") from error
    for column in labels:
        if not isinstance(column, list) or not all(type(label) is int for label in column):
            raise ValueError(f"{where}: the labels are not a list of integers; get the file again")
    return pixels, labels


def _uint8_array(array):
    _, shape, dtype, fortran, raw = array.state
    if dtype.args[0] not in (b"u1", "u1") or not isinstance(raw, bytes):
        raise ValueError(f"the data are of type {dtype.args[0]!r}, expected a uint8 array")
    return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")
