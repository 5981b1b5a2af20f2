"""One piece of memory for all that lies between the launches of a recording.

What is lent while launches are recorded lives from one launch to another. In the arena each of these pieces gets an
offset of its own, and two of them may share bytes where they do not live at the same time:

    offset 0        1024       2048       3072
           | x padded         | y        |              launches 0 to 2
           | z      | scratch |    y     |              launches 2 to 4: z takes the bytes of x
           | z      |         | w        |              ...

All recordings of a net for one kind of pass share one arena, as large as the largest needs it: they run one at a time.
"""
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
    piece has `size` bytes and is in use from launch `birth` to launch `death`. Returns how many bytes that takes.

    The largest come first, each as low as it fits among those that have their place: so small ones, of which there are
    many, do not stand in the way of large ones. On nets it takes what lives at the same time, or a percent more.
    Source: Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020, section 5.2.
    """
    sizes = np.array([_whole(piece.size) for piece in pieces], np.int64)
    births, deaths = (np.array([getattr(piece, end) for piece in pieces], np.int64) for end in ("birth", "death"))
    starts, stops = np.zeros_like(sizes), np.zeros_like(sizes)
    placed = np.zeros(len(pieces), bool)
    for i in np.lexsort((births, -sizes)):
        others = np.flatnonzero(placed & (births < deaths[i]) & (deaths > births[i]))
        others = others[np.argsort(starts[others])]
        free_from = np.maximum.accumulate(np.append(0, stops[others]))
        fits = starts[others] - free_from[:-1] >= sizes[i]
        gap = fits.argmax() if fits.any() else len(others)
        starts[i], stops[i], placed[i] = free_from[gap], free_from[gap] + sizes[i], True
        pieces[i].offset = int(starts[i])
    return int(stops.max(initial=0))


def _whole(size):
    """Bytes that a piece takes, so that the next one starts at a cache line."""
    return -(-size // _ALIGN) * _ALIGN
