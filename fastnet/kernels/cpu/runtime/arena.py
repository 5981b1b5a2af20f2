"""One piece of memory for all that lies between the launches of a recording.

What is lent while launches are recorded lives from one launch to another. In the arena each of these pieces gets an
offset of its own, and two of them may share bytes where they do not live at the same time:

    offset 0        1024       2048       3072
           | x padded         | y        |              launches 0 to 2
           | z      | scratch |    y     |              launches 2 to 4: z takes the bytes of x
           | z      |         | w        |              ...

All recordings of a net for one kind of pass share one arena, as large as the largest needs it: they run one at a time.
"""
import heapq
import threading
import weakref

import numpy as np

from fastnet.kernels.cpu.runtime import pool

_ALIGN = 64


class Arena:
    """Memory that recordings write into, one at a time: who holds `lock`.

    `user` is the object whose numbers lie here while nobody holds the lock, and which will come back for them: a
    training pass between forward and backward. The arena does not keep it alive.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self._lease = None
        self._user = _nobody
        _arenas[id(self)] = self

    @property
    def user(self):
        return self._user()

    @user.setter
    def user(self, user):
        self._user = _nobody if user is None else weakref.ref(user)

    def address(self, size):
        """Where at least `size` bytes are. What was there before is lost when it has to grow."""
        if self._lease is None or self._lease.buffer.capacity < size:
            # What served the passes before is free now, and no longer wanted in such pieces.
            self._lease = None
            pool.release()
            self._lease = pool.Lease(pool.take(size), (size,), np.dtype(np.uint8))
        return self._lease.buffer.address

    def clear(self):
        """Give the memory back, where nobody is using it."""
        if self.lock.acquire(blocking=False):
            if self.user is None:
                self._lease = None
            self.lock.release()


def _nobody():
    return None


_arenas = weakref.WeakValueDictionary()     # all there are


def clear_arenas():
    """Give the memory of all arenas back that nobody is using."""
    for arena in list(_arenas.values()):
        arena.clear()


def arrange(pieces):
    """Give each piece an `offset` in the arena such that no two pieces that are in use at the same time overlap. A
    piece has `size` bytes and is in use from launch `birth` to launch `death`; it is put into the smallest gap into
    which it fits. Returns how many bytes that takes."""
    gaps, size, ends = [], 0, []    # gaps: [start, stop], in order; ends: (death, number, piece) of those that live
    for number, piece in sorted(enumerate(pieces), key=lambda one: one[1].birth):
        while ends and ends[0][0] <= piece.birth:
            dead = heapq.heappop(ends)[2]
            _add_gap(gaps, dead.offset, dead.offset + _whole(dead.size))
        wanted = _whole(piece.size)
        fitting = [gap for gap in gaps if gap[1] - gap[0] >= wanted]
        if fitting:
            gap = min(fitting, key=lambda gap: gap[1] - gap[0])
            piece.offset, gap[0] = gap[0], gap[0] + wanted
            if gap[0] == gap[1]:
                gaps.remove(gap)
        elif gaps and gaps[-1][1] == size:      # the last gap, and more behind it
            piece.offset, size = gaps[-1][0], gaps[-1][0] + wanted
            gaps.pop()
        else:
            piece.offset, size = size, size + wanted
        heapq.heappush(ends, (piece.death, number, piece))
    return size


def _add_gap(gaps, start, stop):
    """Put a gap among the others, joined with its neighbours."""
    at = next((i for i, gap in enumerate(gaps) if gap[0] > start), len(gaps))
    if at < len(gaps) and gaps[at][0] == stop:
        stop = gaps.pop(at)[1]
    if at and gaps[at - 1][1] == start:
        gaps[at - 1][1] = stop
    else:
        gaps.insert(at, [start, stop])


def _whole(size):
    """Bytes that a piece takes, so that the next one starts at a cache line."""
    return -(-size // _ALIGN) * _ALIGN
