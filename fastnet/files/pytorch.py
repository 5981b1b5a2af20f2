"""Reads what ``torch.save`` wrote, without PyTorch and without running anything that the file may ask for.

Such a file is a zip archive: `data.pkl`, a pickle that says what there is, and one entry of plain numbers for each
storage that its tensors lie in. A pickle is a program, and Python's own unpickler can be asked for any function of any
module. So the program is not handed to it: the few instructions that lists, dictionaries, numbers, text and tensors
need are carried out here, on values that this file makes, and any other instruction or name is refused by its name.

Format: the docstring of torch.serialization, and Lib/pickletools.py for the instructions.
"""
import pickletools
import struct
import zipfile
import zlib
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.files import archives
from fastnet.files.numbers import widened

# For each class of storage the dtype that its bytes have; numbers that NumPy does not know are seen as words.
STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16",
            "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1",
            "ByteStorage": "u1", "BoolStorage": "?"}
_REMEDY = "; in PyTorch write plain tensors: torch.save(net.state_dict(), path)"
# Bytes and instructions of the pickle, which names tensors and does not hold their numbers: some ten thousand of them.
_LONGEST, _MOST = 16 << 20, 1 << 19


def read(path):
    """What was saved: dictionaries, lists, tuples, numbers and text as they were, tensors as arrays.

    Tensors that share memory are views of one array. float16 and bfloat16 become float32, every other dtype stays. The
    whole file is checked before an array is made. FileNotFoundError without that file; ValueError, naming it, where it
    is none of torch.save, is damaged, was written before PyTorch 1.6 or for another order of bytes, or holds anything
    but tensors, numbers, text and collections of them.
    """
    path = arguments.path(path)
    try:
        with archives.opened(path) as (archive, size):
            return _Archive(archive, size).value()
    except _Refused as refused:
        raise ValueError(f"{path}: {refused}") from None
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except zipfile.BadZipFile as error:
        old = "; it was written by PyTorch before 1.6, or is no such file" if "not a zip" in str(error) else ""
        raise ValueError(f"{path}: not a whole zip archive, as torch.save writes it{old}") from error
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, struct.error) as error:
        raise ValueError(f"{path}: damaged ({error})") from error


class _Tensors:
    """The numbers of an archive: each storage once, and views of them."""

    def __init__(self, folder, entries, load):
        self._folder, self._entries, self._load, self._storages = folder, entries, load, {}

    def storage(self, kind, key, count):
        """The flat array of a storage."""
        if key not in self._storages:
            dtype = STORAGES[kind]
            name, itemsize = f"{self._folder}/data/{key}", 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
            if name not in self._entries or self._entries[name].file_size != count * itemsize:
                raise _Refused(f"the {count} numbers of storage {key!r} are not there, or not as many")
            self._storages[key] = kind, widened(self._load(name), dtype)
        found, array = self._storages[key]
        if found != kind or array.size != count:
            raise _Refused(f"storage {key!r} is described in two ways")
        return array

    @staticmethod
    def view(storage, offset, shape, strides):
        """The array of that shape in a storage, at an offset and with strides in numbers."""
        if not (isinstance(storage, np.ndarray) and _are_sizes((offset,)) and _are_sizes(shape)
                and _are_sizes(strides) and len(shape) == len(strides) <= 32):
            raise _Refused("a tensor is described by something else than sizes")
        last = offset + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))
        if prod(shape) > storage.size or prod(shape) and last >= storage.size:
            raise _Refused(f"a tensor of shape {shape} reaches beyond its storage of {storage.size} numbers")
        if not prod(shape):
            return np.empty(shape, storage.dtype)
        bytes_ = tuple(stride * storage.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, bytes_)


class _Refused(Exception):
    """What is wrong with the file."""


class _Archive:
    """An open zip archive of torch.save."""

    def __init__(self, archive, size):
        self._archive, self._size = archive, size
        self._entries = {entry.filename: entry for entry in archive.infolist()}

    def value(self):
        """What was saved."""
        pickles = [name for name in self._entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise _Refused("there is no data.pkl in it, so torch.save did not write it" + _REMEDY)
        folder = pickles[0].partition("/")[0]
        self._check(folder, pickles[0])
        tensors = _Tensors(folder, self._entries, self._archive.read)
        return _Machine(tensors).run(self._archive.read(pickles[0]))

    def _check(self, folder, pickle):
        """Refuse what would take more memory than the file is large, and other orders of bytes."""
        for entry in self._entries.values():
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise _Refused(f"the entry {entry.filename!r} is compressed or encrypted, which torch.save never does")
        if sum(entry.file_size for entry in self._entries.values()) > self._size:
            raise _Refused("its entries overlap")
        if self._entries[pickle].file_size > _LONGEST:
            raise _Refused(f"{pickle} has more than {_LONGEST >> 20} MiB, and should hold names and sizes only")
        if any(name.startswith(f"{folder}/code/") for name in self._entries):
            raise _Refused("it is a program of TorchScript" + _REMEDY)
        order = f"{folder}/byteorder"
        if order in self._entries and self._entries[order].file_size < 10 and self._archive.read(order) != b"little":
            raise _Refused("its numbers have their most significant byte first" + _REMEDY)


# What a pickle may name. `OrderedDict` and tensors are made here; all other names are refused.

class _Name(NamedTuple):
    """A function or class that the pickle names."""

    module: str
    name: str

    def __str__(self):
        return f"{self.module}.{self.name}"


def _rebuild_tensor(storage, offset, shape, strides, *_):
    return _Tensors.view(storage, offset, shape, strides)


def _ordered(*pairs):
    """An OrderedDict is saved empty, and filled later."""
    if pairs:
        raise _Refused("an OrderedDict is made in a way that torch.save does not use")
    return {}


def _size(sizes):
    if not isinstance(sizes, tuple):
        raise TypeError
    return sizes


_CALLS = {
    _Name("collections", "OrderedDict"): _ordered,
    _Name("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    _Name("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    _Name("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    _Name("torch", "Size"): _size,
}
_NAMED = {*_CALLS, *(_Name("torch", storage) for storage in STORAGES)}


def _are_sizes(numbers):
    return isinstance(numbers, tuple) and all(type(number) is int and 0 <= number < 1 << 62 for number in numbers)


# Instructions that put the value they carry, or one that they stand for, on the stack; those that are only notes.
_PUTS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
         "BINBYTES", "SHORT_BINBYTES"}
_MAKES = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "NONE": lambda: None,
          "NEWTRUE": lambda: True, "NEWFALSE": lambda: False}
_NOTES = {"PROTO", "FRAME", "STOP"}
_MARK = object()


class _Machine:
    """Carries out a pickle: a stack of values, and a memo of those that are wanted again."""

    def __init__(self, tensors):
        self._tensors, self._stack, self._memo = tensors, [], {}

    def run(self, pickle):
        """The value that the pickle describes."""
        try:
            for i, (instruction, argument, _) in enumerate(pickletools.genops(pickle)):
                if i == _MOST:
                    raise _Refused(f"its description of the tensors has more than {_MOST} instructions")
                self._do(instruction.name, argument)
            value, = self._stack
        except _Refused:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, Warning) as error:    # Warning: on text of
            # another kind than tensors have, where warnings are errors
            raise _Refused(f"its description of the tensors is damaged ({type(error).__name__})") from error
        if isinstance(value, _Name):
            raise _Refused(f"it holds {value} and no tensors" + _REMEDY)
        return value

    def _do(self, name, argument):
        if name in _PUTS:
            self._stack.append(argument)
        elif name in _MAKES:
            self._stack.append(_MAKES[name]())
        elif name not in _NOTES:
            method = getattr(self, f"_{name.lower()}", None)
            if method is None:
                raise _Refused(f"its description of the tensors uses the instruction {name}, which no tensor, number, "
                               "text or collection needs" + _REMEDY)
            method(argument)

    def _since_mark(self):
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError
        values = self._stack[place + 1:]
        del self._stack[place:]
        return values

    def _top(self, kind):
        if type(self._stack[-1]) is not kind:
            raise TypeError
        return self._stack[-1]

    def _mark(self, _):
        self._stack.append(_MARK)

    def _tuple(self, _):
        self._stack.append(tuple(self._since_mark()))

    def _join(self, count):
        if len(self._stack) < count:
            raise IndexError
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _tuple1(self, _):
        self._join(1)

    def _tuple2(self, _):
        self._join(2)

    def _tuple3(self, _):
        self._join(3)

    def _append(self, _):
        value = self._stack.pop()
        self._top(list).append(value)

    def _appends(self, _):
        values = self._since_mark()
        self._top(list).extend(values)

    def _setitem(self, _):
        key, value = self._stack[-2:]
        del self._stack[-2:]
        self._top(dict)[_key(key)] = value

    def _setitems(self, _):
        values = self._since_mark()
        self._top(dict).update(zip(map(_key, values[::2]), values[1::2], strict=True))

    def _binput(self, place):
        self._memo[place] = self._stack[-1]

    _long_binput = _binput

    def _memoize(self, _):
        self._memo[len(self._memo)] = self._stack[-1]

    def _binget(self, place):
        self._stack.append(self._memo[place])

    _long_binget = _binget

    def _global(self, argument):
        module, _, name = argument.partition(" ")
        self._name(module, name)

    def _stack_global(self, _):
        module, name = self._stack[-2:]
        del self._stack[-2:]
        self._name(module, name)

    def _name(self, module, name):
        named = _Name(module, name)
        if named not in _NAMED:
            raise _Refused(f"it asks for {arguments.shown(str(named))}, which is neither a tensor nor a number, text "
                           "or collection; nothing was run" + _REMEDY)
        self._stack.append(named)

    def _reduce(self, _):
        function, given = self._stack[-2:]
        del self._stack[-2:]
        self._stack.append(_CALLS[function](*given))

    def _build(self, _):
        """The attributes of an OrderedDict, `_metadata` of a state dict, are left out."""
        self._stack.pop()
        self._top(dict)

    def _binpersid(self, _):
        word, kind, key, _, count = self._stack.pop()
        if word != "storage" or kind.module != "torch" or type(key) is not str or not _are_sizes((count,)):
            raise TypeError
        self._stack.append(self._tensors.storage(kind.name, key, count))


def _key(value):
    if not isinstance(value, (str, int, float, tuple, type(None))):
        raise TypeError
    return value
