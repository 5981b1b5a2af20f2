"""Arrays as kernels take them: where they come from, and how they lie in memory.

Kernels see flat C-contiguous arrays. A batch of images (N, C, H, W) is channels-last in memory: an (N, H, W, C) array,
seen through ``transpose(0, 3, 1, 2)``, so that `flat` of it is (N, H, W, C) in a row.

Where launches are recorded, see `record`, the recorder has its own ways of giving memory; it is asked first.
"""
import threading
import weakref
from math import prod

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from fastnet.kernels import copies
from fastnet.kernels.cpu.runtime import launches, pool
from fastnet.sealed import is_sealed

# Bytes of a cache line.
_LINE = 64


class _Scratch(dict):
    """The scratch memory of a thread: (dtype, section) -> array."""

    __slots__ = ("__weakref__",)


class _Here(threading.local):
    """What each thread of Python has of its own."""

    def __init__(self):
        self.scratch = _Scratch()
        _all_scratch[id(self.scratch)] = self.scratch


_all_scratch = weakref.WeakValueDictionary()
_here = _Here()


def empty(shape, dtype=np.float32):
    """An uninitialised C-contiguous array, from the pool where it is large, and what the recorder gives where launches
    are recorded."""
    dtype, recorder = np.dtype(dtype), launches.recorder()
    if recorder is not None:
        return recorder.empty(_integers(shape), dtype)
    size = (prod(shape) if isinstance(shape, (tuple, list)) else shape) * dtype.itemsize
    if pool.is_large(size):
        return np.asarray(pool.lease(_integers(shape), dtype))
    return np.empty(shape, dtype)


def _integers(shape):
    return tuple(map(int, shape)) if isinstance(shape, (tuple, list)) else (int(shape),)


@intrinsic
def _lying_at(typingctx, address, size, like):
    kind = types.Array(like.dtype, 1, "C")

    def emit(context, builder, signature, args):
        array, words = context.make_array(kind)(context, builder), ir.IntType(64)
        itemsize = words(like.dtype.bitwidth // 8)
        populate_array(array, builder.inttoptr(args[0], array.data.type), [args[1]], [itemsize], itemsize, None)
        return array._getvalue()

    return kind(types.int64, types.int64, like), emit


if config.DISABLE_JIT:
    def lying_at(address, size, like):
        """Within kernels: the `size` numbers at an address, of the dtype of the array `like`, as a flat array."""
        numbers = np.ctypeslib.as_ctypes_type(like.dtype) * int(size)
        return np.ctypeslib.as_array(numbers.from_address(int(address)))
else:
    lying_at = _lying_at


def aligned(count, dtype):
    """`empty` for one axis, at the start of a cache line however short it is."""
    more = _LINE // np.dtype(dtype).itemsize
    memory = empty(count + more, dtype)
    start = -memory.ctypes.data % _LINE // memory.itemsize
    return memory[start: start + count]


def empty_images(n, c, h, w, dtype=np.float32):
    """An uninitialised batch of images: an NCHW view of a channels-last buffer.

    >>> empty_images(8, 3, 5, 6, dtype=np.float32).transpose(0, 2, 3, 1).flags.c_contiguous
    True
    """
    return empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)


def scratch(size, dtype, work, which=0):
    """Scratch memory for a launch of that much work: `size` numbers, in one flat array, for each slot.

    A Python thread keeps one such array for each dtype and `which`, the largest so far, and gets it again and again: it
    is good for one launch. A kernel that needs two of one dtype asks for two numbers `which`. While launches are
    recorded they get an array that belongs to the recording, since any thread may run them again.
    """
    count, recorder = launches.slots(work) * size, launches.recorder()
    arrays = _here.scratch if recorder is None else recorder.scratch
    memory = arrays.get((dtype, which))
    if memory is None or memory.size < count:
        memory = arrays[dtype, which] = aligned(count, dtype)
    return memory[:count]


def whole_lines(size, dtype):
    """`size` numbers of a slot's scratch memory, or so many more that no two slots write to one line of the cache, nor
    to two that are fetched together: threads would take that line from one another at every number."""
    numbers = 2 * _LINE // np.dtype(dtype).itemsize
    return -(-size // numbers) * numbers


def release_scratch():
    """Let go of the scratch memory of all threads; launches under way keep theirs."""
    for arrays in list(_all_scratch.values()):
        arrays.clear()


def flat(x):
    """x as one flat C-contiguous array in memory order, an image batch channels-last. It is copied if it lies
    otherwise, and if it is read-only (but for `sealed` ones, which kernels only read), not aligned or of foreign byte
    order, for which no kernel is compiled.

    >>> flat(np.float32([[[[1, 2]], [[10, 20]]]]))  # an image of two channels and two pixels
    array([ 1., 10.,  2., 20.], dtype=float32)
    """
    if x.ndim == 4:
        x = x.transpose(0, 2, 3, 1)
    flags = x.flags
    if flags.c_contiguous and flags.aligned and x.dtype.isnative and (flags.writeable or is_sealed(x)):
        return (x if flags.writeable else np.asarray(_Alias(x))).reshape(-1)
    copies.announce()
    copy = empty(x.shape, x.dtype.newbyteorder("="))
    copy[...] = x
    return copy.reshape(-1)


def _note_copy():
    """A copy is no launch: a recording of launches would not do it again, and what waits in line has to run before."""
    launches.settle()
    if launches.recorder() is not None:
        launches.recorder().complete = False


copies.before(_note_copy)


class _Alias:
    """Shows a read-only array as one that may be written to, since kernels are compiled for those alone. The kernel
    must only read it."""

    def __init__(self, x):
        self.kept = x
        self.__array_interface__ = {"shape": x.shape, "typestr": x.dtype.str, "data": (x.ctypes.data, False),
                                    "version": 3}


def readable(x, dtype):
    """(numbers, turned): those of any array as a flat one for a kernel that only reads, in x's own dtype if a machine
    has it, else in `dtype`. turned is true if images lie in the order (N, C, H, W); else the order is that of
    `flat`."""
    flags, native = x.flags, x.dtype.kind in "biu" or x.dtype.kind == "f" and x.itemsize in (4, 8)
    if native and x.dtype.isnative and flags.aligned:
        last = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
        if last.flags.c_contiguous or flags.c_contiguous:
            x, turned = (last, False) if last.flags.c_contiguous else (x, True)
            return (x if flags.writeable else np.asarray(_Alias(x))).reshape(-1), turned
    copies.announce()
    with np.errstate(over="ignore"):
        return flat(x.astype(dtype)), False


def like(x):
    """An uninitialised array of x's shape and dtype, in the layout that `flat` expects.

    >>> like(np.zeros((8, 3, 5, 5), np.float32)).transpose(0, 2, 3, 1).flags.c_contiguous
    True
    """
    if x.ndim == 4:
        return empty_images(*x.shape, dtype=x.dtype)
    if launches.recorder() is None and not pool.is_large(x.nbytes):
        return np.empty(x.shape, x.dtype)   # what `empty` gives, without its questions
    return empty(x.shape, x.dtype)
