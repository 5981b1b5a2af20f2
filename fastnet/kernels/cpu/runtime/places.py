"""Where arrays lie in memory, told fast; and many of them looked at by one call: whether they are what an update takes.

What NumPy tells Python of an array, its address above all, costs a microsecond: an eighth of a call of a small net, and
an optimiser asks that of four arrays for each parameter in each step. It is read here where it lies: in CPython
``id(x)`` is the address of the object, and NumPy's binary interface says what stands there behind CPython's header
(`PyArrayObject_fields` in ndarraytypes.h):

    header ... type | data | number of axes, 32 bits | extents | strides | base | dtype | flags, 32 bits
"""
import ctypes
import sys

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from fastnet.kernels import checks
from fastnet.kernels.cpu.runtime import cache
from fastnet.kernels.cpu.runtime.compiler import entrance

HEADER = object.__basicsize__
_HALF = 0xFFFFFFFF
# NPY_ARRAY_C_CONTIGUOUS, _ALIGNED, _WRITEABLE
_IN_ORDER, _WRITEABLE = 0x1 | 0x100, 0x400
_ALL = _IN_ORDER | _WRITEABLE
_Word = ctypes.c_int64


def _is_readable():
    """Whether arrays, tuples and floats lie in memory as the module and `frames` say: else nothing is read there."""
    x = np.zeros((3, 5), np.float32)
    kind, data, axes, extents, _, _, dtype, flags = (_Word * 8).from_address(id(x) + HEADER - 8)
    if not (kind == id(np.ndarray) and data == x.__array_interface__["data"][0] and axes & _HALF == 2
            and dtype == id(x.dtype) and flags & _ALL == _ALL):
        return False
    few, number, short = (x, "second"), 0.3, np.float32(0.3)
    return (tuple((_Word * 2).from_address(extents)) == x.shape
            and _Word.from_address(id(few) + HEADER).value == len(few)
            and tuple((_Word * 2).from_address(id(few) + tuple.__basicsize__)) == tuple(map(id, few))
            and ctypes.c_double.from_address(id(number) + HEADER).value == number
            and ctypes.c_float.from_address(id(short) + HEADER).value == short and sys.byteorder == "little")


READABLE = sys.implementation.name == "cpython" and ctypes.sizeof(ctypes.c_void_p) == 8 and _is_readable()

if READABLE:
    def address(x):
        """Where the first element of an array is."""
        return _Word.from_address(id(x) + HEADER).value
else:
    def address(x):
        """Where the first element of an array is."""
        return x.__array_interface__["data"][0]


@intrinsic
def _word_at(typingctx, address):
    def emit(context, builder, signature, args):
        return builder.load(builder.inttoptr(args[0], ir.IntType(64).as_pointer()), align=1)

    return types.int64(types.int64), emit


if config.DISABLE_JIT:
    def word_at(address):
        """Within kernels: the 64 bits there."""
        return ctypes.c_uint64.from_address(int(address)).value
else:
    word_at = _word_at


def places(columns, read=1):
    """Where the arrays of some lists lie: int64 (lists, arrays in each). None unless all are arrays of NumPy's own
    class, all float32 or all float64, C-contiguous and aligned, the i-th of each list of one shape, and all can be
    written to but those of list number `read`."""
    count, dtype = len(columns[0]), getattr(columns[0][0], "dtype", None)
    if dtype is not checks.FLOAT32 and dtype is not checks.FLOAT64 or config.DISABLE_JIT or not READABLE:
        return None
    ids = np.array([id(array) for column in columns for array in column], np.int64).reshape(-1, count)
    found = np.empty_like(ids)
    return found if _find(ids, found, id(np.ndarray), id(dtype), HEADER, read) else None


def _find_all(ids, found, kind, dtype, header, read):
    """The addresses, as `found`, of the arrays with these ids; whether all are as `places` says."""
    for i in range(ids.shape[1]):
        first = ids[0, i] + header
        if word_at(first - 8) != kind:
            return False
        axes, extents = word_at(first + 8) & _HALF, word_at(first + 16)
        for column in range(ids.shape[0]):
            x = ids[column, i] + header
            wanted = _IN_ORDER if column == read else _ALL
            if word_at(x - 8) != kind or word_at(x + 40) != dtype or word_at(x + 48) & wanted != wanted \
                    or word_at(x + 8) & _HALF != axes:
                return False
            its_extents = word_at(x + 16)
            for axis in range(axes):
                if word_at(its_extents + 8 * axis) != word_at(extents + 8 * axis):
                    return False
            found[column, i] = word_at(x)
    return True


_find = cache.attach(entrance(_find_all))
