"""Memory of the compiled kernels: canonical inputs, channels-last views, and the pool of buffers.

A fresh large array costs more in page faults than most kernels cost in work, so outputs come from a pool. An array that
`empty` gave out holds a lease on its buffer; when the array and all views of it are gone, the lease ends and the buffer
is free to be given out again.
"""
import bisect
import collections
import contextlib
import mmap
import operator
import os
import sys
import threading
import weakref
from math import prod

import numpy as np

from fastnet.kernels.cpu.runtime import jit

# Below this a fresh array is cheap, and not worth keeping.
_SMALL = 1 << 17
# A buffer may be so many times larger than what it is used for: more than twice, since what comes behind a stride or
# pooling of 2 has about half the size.
_LOOSE = 2.5
# Free buffers beyond this many bytes are returned to the system, the smallest first.
_KEPT = 1 << 30
_ALIGN = 64
# What large pages hold.
_HUGE = 2 << 20


class _Buffer:
    """Memory that arrays are laid over, with the address of its first aligned byte. What is large is a mapping of its
    own, which the system has back at once when the buffer goes; malloc would keep it among what it could not give
    back. Where Linux can, it comes in pages of 2 MB: the first writing costs a fifth of what it does by 4 KB."""

    __slots__ = ("address", "capacity", "memory")

    def __init__(self, capacity):
        if capacity < _SMALL:
            self.memory, align = np.empty(capacity + _ALIGN, np.uint8), _ALIGN
        else:
            self.memory, align = _map(capacity)
        address = self.memory.__array_interface__["data"][0]
        self.address = address + -address % align
        self.capacity = capacity


def _map(size):
    """(memory, align): a fresh mapping that holds `size` bytes from the first place on that `align` divides."""
    align = _HUGE if size >= _HUGE and hasattr(mmap, "MADV_HUGEPAGE") else _ALIGN
    # Without these flags a child process would share the memory with its parent.
    flags = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    try:
        memory = mmap.mmap(-1, size + align, **flags)
    except OSError as error:
        raise MemoryError(f"cannot allocate {size:,} bytes ({error})") from None
    if align == _HUGE:
        with contextlib.suppress(OSError):  # a system built without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8), align


class Pool:
    """Buffers that are free."""

    def __init__(self):
        self._lock = threading.Lock()
        self._free = []  # buffers, by capacity
        self._free_bytes = 0
        # Leases end wherever the garbage collector happens to run, even while this thread holds the lock: what they
        # give back waits here, appended in one step, until somebody who holds the lock collects it.
        self._returned = collections.deque()

    def take(self, size):
        """A free buffer of at least `size` bytes and at most _LOOSE times as many, or a new one."""
        with self._lock:
            self._collect()
            place = bisect.bisect_left(self._free, size, key=_capacity)
            if place < len(self._free) and self._free[place].capacity <= _LOOSE * size:
                buffer = self._free.pop(place)
                self._free_bytes -= buffer.capacity
                return buffer
        return _Buffer(size)

    def give(self, buffer):
        self._returned.append(buffer)
        if self._lock.acquire(blocking=False):
            try:
                self._collect()
            finally:
                self._lock.release()

    def clear(self):
        with self._lock:
            self._collect()
            self._free.clear()
            self._free_bytes = 0

    def after_fork(self):
        """Another thread of the parent process may have held the lock, and will not release the child's copy of it."""
        self._lock = threading.Lock()

    def _collect(self):
        while self._returned:
            buffer = self._returned.popleft()
            bisect.insort(self._free, buffer, key=_capacity)
            self._free_bytes += buffer.capacity
        while self._free_bytes > _KEPT:
            self._free_bytes -= self._free.pop(0).capacity


class _Scratches(dict):
    """The scratch memory of a thread."""

    __slots__ = ("__weakref__",)


class _Scratch(threading.local):
    def __init__(self):
        self.arrays = _Scratches()
        _scratches[id(self.arrays)] = self.arrays


_scratches = weakref.WeakValueDictionary()     # of all threads
_scratch = _Scratch()
_capacity = operator.attrgetter("capacity")
shared_pool = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=shared_pool.after_fork)


class Lease:
    """Exposes a buffer of the pool to NumPy; every array and view over it keeps the lease alive."""

    __slots__ = ("__array_interface__", "__weakref__", "buffer")

    def __init__(self, buffer, shape, dtype):
        self.buffer = buffer
        self.__array_interface__ = {"shape": shape, "typestr": dtype.str, "data": (buffer.address, False), "version": 3}

    def __del__(self, finalizing=sys.is_finalizing):
        # When Python ends, what the pool is made of may be gone before the last array. Small buffers are not kept.
        if not finalizing() and self.buffer.capacity >= _SMALL:
            shared_pool.give(self.buffer)


def take(size):
    """A buffer of at least so many bytes."""
    return shared_pool.take(size) if size >= _SMALL else _Buffer(size)


def lend(shape, dtype):
    """A lease of memory for an array."""
    return Lease(take(prod(shape) * dtype.itemsize), shape, dtype)


def empty(shape, dtype=np.float32):
    """An uninitialised C-contiguous array, from the pool where it is large, and what the recorder gives where launches
    are recorded."""
    dtype = np.dtype(dtype)
    shape = tuple(map(int, shape)) if isinstance(shape, (tuple, list)) else (int(shape),)
    recorder = jit.recorder()
    if recorder is not None:
        return recorder.empty(shape, dtype)
    if prod(shape) * dtype.itemsize < _SMALL:
        return np.empty(shape, dtype)
    return np.asarray(lend(shape, dtype))


def address(x):
    """Where the first element of an array is."""
    return x.__array_interface__["data"][0]


def _aligned(count, dtype):
    """`empty` for one axis, at the start of a cache line however short it is."""
    more = _ALIGN // np.dtype(dtype).itemsize
    memory = empty(count + more, dtype)
    start = -memory.ctypes.data % _ALIGN // memory.itemsize
    return memory[start: start + count]


def empty_images(n, c, h, w, dtype=np.float32):
    """An uninitialised batch of images: an NCHW view of a channels-last buffer."""
    return empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)


def release():
    """Return the memory of all free buffers to the system."""
    shared_pool.clear()


def release_scratch():
    """Return the scratch memory of all threads, where no launch is using it."""
    for arrays in list(_scratches.values()):
        arrays.clear()


def scratch(size, dtype, work, part=0):
    """Scratch memory for a launch of that much work: `size` numbers, in one flat array, for each slot.

    A Python thread keeps one such array for each dtype and `part`, and gets it again and again: it is lent for one
    launch. Where launches are recorded it is a part of what they need, since any thread may run them again.
    """
    count, recorder = jit.slots(work) * size, jit.recorder()
    arrays = _scratch.arrays if recorder is None else recorder.scratch
    memory = arrays.get((dtype, part))
    if memory is None or memory.size < count:
        memory = arrays[dtype, part] = _aligned(count, dtype)
    return memory[:count]


def flat(x):
    """x as one flat C-contiguous array in memory order (an image batch channels-last), copied only where it must be."""
    if x.ndim == 4:
        x = x.transpose(0, 2, 3, 1)
    flags = x.flags
    if flags.c_contiguous and flags.aligned and flags.writeable and x.dtype.isnative:
        return x.reshape(-1)
    # Kernels are compiled for one layout; the read-only flag is part of it.
    if jit.recorder() is not None:
        jit.recorder().complete = False  # this copy is no launch
    copy = empty(x.shape, x.dtype.newbyteorder("="))
    copy[...] = x
    return copy.reshape(-1)


class _Alias:
    """The memory of an array as if it might be written to, for a kernel that only reads: one compiled for read-only
    arrays would be another one."""

    def __init__(self, x):
        self.kept = x
        self.__array_interface__ = {"shape": x.shape, "typestr": x.dtype.str, "data": (x.ctypes.data, False),
                                    "version": 3}


def readable(x, dtype):
    """(numbers, turned): those of any array as a flat one for a kernel that only reads, in x's own dtype if a machine
    has it, else in `dtype`. The order is that of `flat`, or, where images are `turned`, (N, C, H, W)."""
    flags, native = x.flags, x.dtype.kind in "biu" or x.dtype.kind == "f" and x.itemsize in (4, 8)
    if native and x.dtype.isnative and flags.aligned:
        last = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
        if last.flags.c_contiguous or flags.c_contiguous:
            x, turned = (last, False) if last.flags.c_contiguous else (x, True)
            return (x if flags.writeable else np.asarray(_Alias(x))).reshape(-1), turned
    if jit.recorder() is not None:
        jit.recorder().complete = False  # this copy is no launch
    with np.errstate(over="ignore"):
        return flat(x.astype(dtype)), False


def like(x):
    """An uninitialised array of x's shape and dtype, in the layout that `flat` expects."""
    if x.ndim == 4:
        return empty_images(*x.shape, dtype=x.dtype)
    return empty(x.shape, x.dtype)
