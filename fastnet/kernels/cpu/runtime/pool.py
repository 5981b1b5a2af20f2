"""Memory for large arrays: buffers that are used again and again.

A fresh large array costs more in page faults than most kernels cost in work, so outputs come from a pool:

    Pool ----- free buffers, by size
      | take                                  ^ give
      v                                       |
    _Buffer ---- Lease <---- array <---- views of it

An array from the pool uses the memory of a buffer, and a `Lease` ties the two together. NumPy keeps the lease alive as
long as the array or any view of it; then the lease ends, and the buffer is free. Free buffers go back to the system
when they take too many bytes in all, the smallest first, and when somebody calls `release`.
"""
import bisect
import collections
import contextlib
import mmap
import operator
import os
import sys
import threading
from math import prod

import numpy as np

# Below so many bytes a fresh array is cheap, and not worth keeping.
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
    back. Where Linux can, it comes in pages of 2 MB, of which fewer have to be found."""

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
    found = np.frombuffer(memory, np.uint8)
    if align == _HUGE:
        # Only those that are used whole: of the last one there would be as much again in a buffer of 2 MB.
        with contextlib.suppress(OSError):  # a system built without them
            memory.madvise(mmap.MADV_HUGEPAGE, -found.ctypes.data % _HUGE, size // _HUGE * _HUGE)
    return found, align


class Pool:
    """Buffers that are free."""

    def __init__(self):
        self._lock = threading.Lock()
        # By capacity; of equal ones the last to be given back stands first, and goes first: its memory is still cached.
        self._free = []
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
            bisect.insort_left(self._free, buffer, key=_capacity)
            self._free_bytes += buffer.capacity
        while self._free_bytes > _KEPT:
            self._free_bytes -= self._free.pop(0).capacity


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


def lease(shape, dtype):
    """A `Lease` for an array of its own; None where the array is so small that NumPy may make it."""
    size = prod(shape) * dtype.itemsize
    return Lease(shared_pool.take(size), shape, dtype) if is_large(size) else None


def is_large(size):
    """Whether an array of so many bytes has its memory from the pool."""
    return size >= _SMALL


def release():
    """Return the memory of all free buffers to the system."""
    shared_pool.clear()
