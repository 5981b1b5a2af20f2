"""Whole states as files: nested dictionaries, lists, numbers, text and arrays, to go on after a crash where one was.

A file is 16 bytes that say what it is, the length of the header (8 bytes, the lowest first), the header, the bytes of
each array, from the next multiple of 64 on, and at the end the BLAKE2b digest (32 bytes) of all that stands before it.
The header is the state as JSON. What JSON has no word for is an object of one entry, whose key begins with $:

    {"$array": [dtype, shape]}     {"$scalar": dtype}     NumPy's; their numbers follow in the order of the header
    {"$list": [dtype, length]}     a long list of floats, or of integers of at most 64 bits, kept as an array
    {"$tuple": [...]}   {"$int": "-0x1f"}   {"$dict": [key, value]}, of one entry, whose key begins with $ itself
"""
import json
import os
import re
import struct
import warnings
from hashlib import blake2b
from math import prod

import numpy as np

from fastnet import arguments, writing

_MAGIC, _ALIGNED, _DIGEST = b"fastnet-state-1\n", 64, 32
# What Python makes of a header takes up to forty times its bytes, of a list of numbers five times.
_LONGEST = 1 << 20  # bytes of a header
_LISTED = 1 << 20   # numbers in lists that are kept as arrays, all lists together
_SHORT = 32         # lists shorter than this stay in the header
_DEEPEST = 100      # how many dictionaries, lists and tuples may lie in each other
_DTYPES = {np.dtype(kind).newbyteorder(order).str for kind in "?bhilqBHILQefdgFDG" for order in "<>"}
_NAME = re.compile(r"step-(\d{12})(-best)?\.checkpoint")
_LAST = 10**12 - 1  # step that a name has digits for


class CheckpointError(ValueError):
    """A file is no checkpoint, or a damaged one.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/torn"
    >>> with open(path, "wb") as file:
    ...     length = file.write(b"half of a file")
    >>> try:
    ...     read(path)
    ... except CheckpointError as error:
    ...     print(str(error).rpartition(": ")[2])
    it does not begin as one does
    """


def write(path, state, who="checkpoint"):
    """Write a state to `path`, all or nothing: an old file is replaced once the new one is whole and on the disk.

    state : dictionaries with strings as keys, lists, tuples, None, bool, int, float, str, NumPy's arrays and scalars
        of numbers or truth values, nested as one likes. `read` gives the same back, every number to the last bit; of
        what derives from dict, list or tuple, a dict, list or tuple.
    TypeError that names the place of anything else; ValueError for what nests deeper than 100, and for what takes more
    than 1 MiB beside the numbers of its arrays, as some 15,000 arrays do. FileNotFoundError without the folder, OSError
    where the system fails: the old file is then as it was. `who` begins what errors say.
    """
    writer = _Writer(who)
    header = json.dumps(writer.encoded(state, "state", 0), separators=(",", ":")).encode("ascii")
    if len(header) > _LONGEST:
        raise ValueError(f"{who}: state takes {len(header)} bytes besides its arrays, at most {_LONGEST} are allowed: "
                         "keep many numbers in arrays")
    with writing.whole(arguments.path(path, f"{who}: path"), who) as file:
        digest, place = blake2b(digest_size=_DIGEST), 0
        for data in (_MAGIC + struct.pack("<Q", len(header)) + header, *writer.arrays):
            if place:
                gap = bytes(-place % _ALIGNED)
                place = _put(file, digest, gap, place)
            place = _put(file, digest, data if isinstance(data, bytes) else _bytes_of(data), place)
        file.write(digest.digest())


def read(path):
    """The state in a file of `write`. All of it is checked before anything is made of it, and nothing in it is run.

    FileNotFoundError without that file; `CheckpointError`, naming it, where it is cut off, changed or none of these.
    """
    path = arguments.path(path, "checkpoint: path")
    if os.path.isdir(path):
        raise IsADirectoryError(f"checkpoint: {path} is a folder; give the name of a file")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"checkpoint: {path}: no such file")
    with open(path, "rb") as file:
        data = file.read()
    try:
        return _state(memoryview(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint: {error}") from None


class Checkpoints:
    """The checkpoints of a training in one folder: the last few, and the best one.

    folder : made when the first is saved.  keep : how many of the last ones stay, beside the best.
    A file is named by its step, "step-000000001200.checkpoint", or "step-000000001200-best.checkpoint": names sort by
    step. States are what `fastnet.files.checkpoints.write` takes: nested dictionaries, lists, numbers, text and arrays.

    >>> import tempfile
    >>> checkpoints = Checkpoints(tempfile.mkdtemp(), keep=2)
    >>> for step in 10, 20, 30:
    ...     path = checkpoints.save({"step": step}, step)
    >>> state, path = checkpoints.latest()
    >>> state, len(checkpoints.paths())
    ({'step': 30}, 2)
    """

    def __init__(self, folder, keep=3):
        self.folder = arguments.path(folder, "Checkpoints: folder")
        self.keep = arguments.integer(keep, "Checkpoints: keep", 1)

    def save(self, state, step, best=False):
        """Write a state; returns the path. Once it is whole and on the disk, older ones that are not to stay are
        removed, and what writers that were killed have left.

        ValueError where there is a whole checkpoint of a later step, for `latest` would never give this one. TypeError
        and ValueError as `write` has them, OSError where the system fails: then all checkpoints are as they were.
        """
        step = arguments.integer(step, "Checkpoints.save: step", 0, _LAST)
        best = arguments.flag(best, "Checkpoints.save: best")
        later = [path for path in self.paths() if _step(path) > step]
        whole = next((path for path in later if _is_whole(path)), None)
        if whole:
            raise ValueError(f"Checkpoints.save: step {step} comes before {whole}: go on from there with latest(), or "
                             "take another folder")
        os.makedirs(self.folder, exist_ok=True)
        writing.clean(self.folder)
        path = os.path.join(self.folder, f"step-{step:012d}{'-best' * best}.checkpoint")
        write(path, state, "Checkpoints.save")
        self._remove(path, later)
        return path

    def latest(self):
        """(state, path) of the newest checkpoint that is whole; (None, None) where there is none. A warning names each
        newer file that is damaged."""
        return _newest(self.paths())

    def best(self):
        """(state, path) of the newest one that was saved as the best, as `latest` does."""
        return _newest([path for path in self.paths() if _is_best(path)])

    def paths(self):
        """The paths of all checkpoints, whole or not, the oldest first."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return [os.path.join(self.folder, name) for name in sorted(filter(_NAME.fullmatch, names))]

    def _remove(self, new, torn):
        """Remove what is not to stay beside the checkpoint that has just been written; one of the same step is an older
        state, and stays where it is the best."""
        others = [path for path in self.paths() if path not in torn and path != new]
        before = [path for path in others if _step(path) != _step(new)]
        keep = {new, *before[max(len(before) - (self.keep - 1), 0):]}
        if not _is_best(new):
            keep.update([path for path in others if _is_best(path)][-1:])
        for path in self.paths():
            if path not in keep:
                try:
                    os.remove(path)
                except FileNotFoundError:
                    pass    # another process was first
                except OSError as error:
                    warnings.warn(f"an old checkpoint stays: {error}", stacklevel=3)

    def __repr__(self):
        return f"Checkpoints({self.folder!r}, keep={self.keep})"


def _step(path):
    return int(_NAME.fullmatch(os.path.basename(path))[1])


def _is_best(path):
    return _NAME.fullmatch(os.path.basename(path))[2] is not None


def _is_whole(path):
    try:
        read(path)
    except (CheckpointError, FileNotFoundError):
        return False
    return True


def _newest(paths):
    for path in reversed(paths):
        try:
            return read(path), path
        except (CheckpointError, OSError) as error:
            warnings.warn(f"a checkpoint is passed over: {error}", stacklevel=3)
    return None, None


# Writing

def _put(file, digest, data, place):
    file.write(data)
    digest.update(data)
    return place + len(data)


def _bytes_of(array):
    """An array's numbers in the order of its axes, without a copy where they lie so."""
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


class _Writer:
    """Says in words of JSON what a state is, and gathers its arrays."""

    def __init__(self, who):
        self.arrays, self._who, self._listed = [], who, 0

    def encoded(self, value, where, depth):
        """What stands in the header for a value; `where` is its place in the state."""
        if depth > _DEEPEST:
            raise ValueError(f"{self._who}: {where[:100]}... is nested deeper than {_DEEPEST}, or holds itself")
        if isinstance(value, (np.ndarray, np.generic)) and not isinstance(value, np.str_):
            return self._array(value, where)
        if value is None or isinstance(value, (bool, str, float)):
            return value
        if isinstance(value, int):
            return value if -2**63 <= value < 2**63 else {"$int": hex(value)}
        if isinstance(value, dict):
            return self._dict(value, where, depth)
        if isinstance(value, (list, tuple)):
            return self._list(value, where, depth)
        remedy = ": give its state_dict()" if hasattr(value, "state_dict") else ""
        raise TypeError(f"{self._who}: {where} must be a dictionary, list, tuple, number, text, None or an array of "
                        f"numbers, got {arguments.shown(value)}{remedy}")

    def _array(self, value, where):
        array = np.asarray(value)
        dtype = array.dtype.str
        if dtype not in _DTYPES:
            raise TypeError(f"{self._who}: {where} must hold numbers or truth values, got {arguments.shown(array)}")
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{self._who}: {where} is a masked array, and its mask would be lost: give filled(value)")
        self.arrays.append(array)
        return {"$scalar": dtype} if isinstance(value, np.generic) else {"$array": [dtype, list(array.shape)]}

    def _dict(self, value, where, depth):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{self._who}: {where} must have strings as keys, got {arguments.shown(key)}: give "
                                "str(key)")
        found = {key: self.encoded(one, f"{where}[{key!r}]", depth + 1) for key, one in value.items()}
        mistaken = len(found) == 1 and next(iter(found)).startswith("$")
        return {"$dict": [*found.items()][0]} if mistaken else found

    def _list(self, value, where, depth):
        if type(value) is list and len(value) >= _SHORT and self._listed + len(value) <= _LISTED:
            dtype = _common(value)
            if dtype:
                self._listed += len(value)
                self.arrays.append(np.array(value, dtype))
                return {"$list": [dtype, len(value)]}
        found = [self.encoded(one, f"{where}[{i}]", depth + 1) for i, one in enumerate(value)]
        return {"$tuple": found} if isinstance(value, tuple) else found


def _common(values):
    """The dtype of a list that is floats alone, or alone integers of at most 64 bits; None for any other."""
    if all(type(one) is float for one in values):
        return "<f8"
    return "<i8" if all(type(one) is int and -2**63 <= one < 2**63 for one in values) else None


# Reading

def _state(data):
    """What the bytes of a file hold; ValueError or TypeError, in words, where they are damaged."""
    begin = len(_MAGIC) + 8
    if data[:len(_MAGIC)] != _MAGIC:
        raise ValueError("it does not begin as one does")
    if len(data) < begin + _DIGEST or blake2b(data[:-_DIGEST], digest_size=_DIGEST).digest() != data[-_DIGEST:]:
        raise ValueError("it is cut off or changed")
    length, = struct.unpack("<Q", data[len(_MAGIC):begin])
    if length > min(_LONGEST, len(data) - begin - _DIGEST):
        raise ValueError(f"its header would have {length} bytes")
    text = str(data[begin:begin + length], "ascii")
    return _Reader(data[:-_DIGEST], begin + length).value(text)


class _Reader:
    """Makes values of a header, and arrays of the bytes behind it."""

    def __init__(self, data, place):
        self._data, self._place, self._listed = data, place, 0
        self._make = {"$array": self._array, "$scalar": self._scalar, "$list": self._list, "$tuple": _tuple,
                      "$int": _int, "$dict": _dict}

    def value(self, text):
        """The state; ValueError, TypeError, or RecursionError from the library that reads JSON."""
        found = json.loads(text, object_pairs_hook=self._object)
        if self._place != len(self._data):
            raise ValueError(f"{len(self._data) - self._place} bytes are too many")
        _check_depth(found)
        return found

    def _object(self, pairs):
        """What an object of JSON stands for."""
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice in its header")
        key, inside = pairs[0] if len(pairs) == 1 else ("", None)
        if not key.startswith("$"):
            return found
        if key not in self._make:
            raise ValueError(f"{arguments.shown(key)} in its header is not known")
        return self._make[key](inside)

    def _numbers(self, dtype, shape):
        """The next array of the file, a copy of its own."""
        if not isinstance(dtype, str) or dtype not in _DTYPES or not isinstance(shape, list) or len(shape) > 64 or not (
                all(type(extent) is int and 0 <= extent < 2**62 for extent in shape)):
            raise ValueError("an array is described by something else than a dtype and sizes")
        dtype = np.dtype(dtype)
        begin = self._place + -self._place % _ALIGNED
        end = begin + prod(shape) * dtype.itemsize
        if end > len(self._data):
            raise ValueError(f"an array of shape {arguments.shown(shape)} reaches beyond its end")
        self._place = end
        return np.ndarray(shape, dtype, self._data, begin).copy()

    def _array(self, described):
        dtype, shape = _pair(described)
        return self._numbers(dtype, shape)

    def _scalar(self, dtype):
        return self._numbers(dtype, [])[()]

    def _list(self, described):
        dtype, length = _pair(described)
        numbers = self._numbers(dtype, [length])
        self._listed += length
        if self._listed > _LISTED:
            raise ValueError("its lists are too long")
        return numbers.tolist()


def _pair(value):
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("its header describes something by other words than it should")
    return value


def _tuple(value):
    return tuple(arguments.instance(value, list, "a tuple", "a list"))


def _int(value):
    return int(arguments.text(value, "an integer"), 16)


def _dict(value):
    key, one = _pair(value)
    return {arguments.text(key, "a key"): one}


def _check_depth(value):
    level = [value]
    for _ in range(_DEEPEST + 2):
        level = [inner for one in level if isinstance(one, (dict, list, tuple))
                 for inner in (one.values() if isinstance(one, dict) else one)]
        if not level:
            return
    raise ValueError("its header is nested too deep")
