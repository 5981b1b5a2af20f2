"""Launches that are noted while they run, to be run again by one call into machine code, see `replay`.

A launch has its arguments in 64-bit words: an array is its address and its extents. For each array a `Recorder` asks
whose memory that is:

* what `array.empty` lent in the meantime gets a place in the *arena*, one piece of memory in which later launches write
  over what earlier ones have left behind, just as it was when they were recorded;
* what the caller has *bound* to a key, with `tag` before the launches or with `give` after them, has its address told
  anew each time;
* anything else, the tables of an algorithm say, stays where it is, and the recording keeps it alive.

So a recording has no memory of its own, and any number of them can share one arena.
"""
import heapq
import threading
import time
import weakref
from math import prod

import numba
import numpy as np
from numba import config

from fastnet.kernels.cpu.runtime import array, atomic, jit, replay

_ALIGN = 64
# Seconds that one call into machine code should last at most.
_LONG = 0.2
# Up to this many words are quicker written one by one.
_FEW = 12


class Arena:
    """Memory that recordings write into, one at a time: who holds `lock`."""

    def __init__(self):
        self.lock = threading.Lock()
        self._lease = None
        self._user = _nobody
        _arenas[id(self)] = self

    @property
    def user(self):
        """Whose numbers lie here although nobody holds the lock: an object that will come back for them; None."""
        return self._user()

    @user.setter
    def user(self, user):
        self._user = _nobody if user is None else weakref.ref(user)

    def address(self, size):
        """Where at least `size` bytes are. What was there before is lost when it has to grow."""
        if self._lease is None or self._lease.buffer.capacity < size:
            # What served the passes before is free now, and no longer wanted in such pieces.
            self._lease = None
            array.shared_pool.clear()
            self._lease = array.lend((size,), np.dtype(np.uint8))
        return self._lease.buffer.address

    def clear(self):
        """Give the memory back, where nobody is using it."""
        if self.lock.acquire(blocking=False):
            if self.user is None:
                self._lease = None
            self.lock.release()


def _nobody():
    return None


_arenas = weakref.WeakValueDictionary()


def clear_arenas():
    """Give the memory of all arenas back that nobody is using."""
    for arena in list(_arenas.values()):
        arena.clear()


class Recorder:
    """Notes the launches of one thread within ``with recorder:`` blocks."""

    def __init__(self):
        self.scratch = {}           # see `array.scratch`
        self.complete = True        # whether doing these launches again does all of the work again
        self.rows, self.cuts = [], [0]
        self._words, self._parallel = [], []
        self._pieces = []           # of the memory that was lent
        self._bound = {}            # key -> [(index of a word, bytes after the start)]
        self._fixed = {}            # id -> (owner of other memory, its words), and the key that it was given to
        self._layouts = {}          # key -> (shape, dtype, whether it is channels-last) of what was given to it
        self._outer = None
        self.threads = jit.threads()
        self.outdated = False       # whether the number of threads, for which scratch memory is made, has changed

    def __enter__(self):
        self.outdated |= self.threads != jit.threads()
        self._outer = jit.set_recorder(self)

    def __exit__(self, *error):
        jit.set_recorder(self._outer)
        if self._outer is not None:
            self._outer.complete = False    # it knows nothing of what happened in between

    def tag(self, key, x):
        """x as the launches are to see it: an array whose address `Recording.bind` is told."""
        self._bound.setdefault(key, [])
        return np.asarray(_Tag(key, x))

    def give(self, key, x):
        """Have x, the result of a launch, be another array each time, one that `Recording.make` makes."""
        owner = _owner(x)
        if isinstance(owner, _Lent):
            whole, owner.piece.key = owner.piece.size == x.nbytes, key
        elif isinstance(owner, np.ndarray):
            whole = owner.nbytes == x.nbytes
            self._fixed.setdefault(id(owner), [owner, [], None])[2] = key
        else:
            whole = False
        self.complete &= whole      # a part of something larger, or what was given to us, cannot be made anew
        self._layouts[key] = x.shape, x.dtype, x.ndim == 4 and not x.flags.c_contiguous

    def cut(self):
        """End a part, which `Recording.run` runs: returns its number."""
        self.cuts.append(len(self.rows))
        return len(self.cuts) - 2

    def empty(self, shape, dtype):
        """What `array.empty` gives while launches are recorded."""
        size = prod(shape) * dtype.itemsize
        piece = _Piece(size, self.rows)
        self._pieces.append(piece)
        return np.asarray(_Lent(piece, array.take(size), shape, dtype))

    def launched(self, address, blocks, threads, args):
        """Note a launch; `jit` calls this."""
        start = len(self._words)
        self._note(args)
        units = blocks if threads > 1 else min(blocks, 1)
        self.rows.append((replay.entrance(tuple(map(numba.typeof, args))), address, start, blocks, units))
        self._parallel.append(threads > 1)

    def _note(self, args):
        for arg in args:
            if isinstance(arg, np.ndarray):
                self._note_array(arg)
                self._words += arg.shape
            elif isinstance(arg, (float, np.floating)):
                self._words.append(int(np.float64(arg).view(np.int64)))
            else:
                self._words.append(int(np.array(arg).astype(np.int64)))

    def _note_array(self, x):
        owner, address, index = _owner(x), array.address(x), len(self._words)
        self._words.append(address)
        if isinstance(owner, _Lent):
            owner.piece.words.append((index, address - owner.buffer.address))
        elif isinstance(owner, _Tag):
            self._bound[owner.key].append((index, address - owner.address))
        else:
            start = array.address(owner) if isinstance(owner, np.ndarray) else address
            self._fixed.setdefault(id(owner), [owner, [], None])[1].append((index, address - start))

    def finish(self):
        """The `Recording`, or None where doing the launches again would not do all of the work again, or not on any
        number of threads."""
        self.scratch.clear()
        if not self.complete or self.outdated:
            return None
        kept, placed = [], []
        for piece in self._pieces:
            lease = piece.end()
            if piece.key is not None:
                self._bound.setdefault(piece.key, []).extend(piece.words)
            elif lease is not None:
                kept.append(lease)  # somebody keeps it, an algorithm's table say
            elif piece.words:
                placed.append(piece)
        for owner, words, key in self._fixed.values():
            if key is None:
                kept.append(owner)
            else:
                self._bound.setdefault(key, []).extend(words)
        return Recording(self, kept, placed, place(placed), self._words, self._bound, self._layouts, self._parallel)


class Recording:
    """Launches that can be run again, in parts: `arena_size` bytes of an arena are written over."""

    def __init__(self, recorder, kept, placed, arena_size, words, bound, layouts, parallel):
        self.arena_size, self._kept, self._layouts = arena_size, kept, layouts
        self._threads, self._base = recorder.threads, 0
        self._words = np.array(words, np.int64)
        self._arena = [np.array(numbers, np.int64) for numbers in
                       zip(*((index, piece.place + offset) for piece in placed for index, offset in piece.words),
                           strict=True)] or 2 * [np.zeros(0, np.int64)]
        self._bound, self._plans = bound, {}
        frames = self._words.ctypes.data
        rows = [(enter, kernel, frames + 8 * start, *counts) for enter, kernel, start, *counts in recorder.rows]
        self._rows = np.array(rows, np.int64).reshape(-1, replay.LAUNCH)
        self._parallel = parallel
        # Each part in pieces, (first, last + 1) of its launches.
        self._parts = [[(first, stop)] for first, stop in zip(recorder.cuts, recorder.cuts[1:], strict=False)]
        self._counters = np.zeros((self._threads + 1) * atomic.APART * len(self._rows), np.int64)
        self.nbytes = self._words.nbytes + self._counters.nbytes + sum(
            owner.nbytes for owner in kept if isinstance(owner, np.ndarray))

    def outdated(self):
        """Whether it was made for another number of threads than there are now."""
        return self._threads != jit.threads()

    def move(self, base):
        """Use an arena that begins at this address."""
        if base != self._base:
            index, offset = self._arena
            self._words[index] = base + offset
            self._base = base

    def bind(self, keys, addresses):
        """Tell the addresses of what is bound to these keys, a tuple."""
        plan = self._plans.get(keys)
        if plan is None:
            words = [(index, which, offset) for which, key in enumerate(keys) for index, offset in
                     self._bound.get(key, ())]
            plan = words if len(words) <= _FEW else np.array(words, np.int64).T.copy()
            self._plans[keys] = plan
        words = self._words
        if isinstance(plan, list):
            for index, which, offset in plan:
                words[index] = addresses[which] + offset
        else:
            index, which, offset = plan
            words[index] = np.array(addresses, np.int64)[which] + offset

    def make(self, key):
        """A new array for what was given to `key` when it was recorded: (array, address)."""
        shape, dtype, channels_last = self._layouts[key]
        if channels_last:
            n, c, h, w = shape
            x = array.empty((n, h, w, c), dtype)
            return x.transpose(0, 3, 1, 2), array.address(x)
        x = array.empty(shape, dtype)
        return x, array.address(x)

    def run(self, part):
        """Run part number `part` of the launches. What took long is run in two pieces the next time: Ctrl-C waits for
        a call into machine code to end."""
        pieces, cut = self._parts[part], []
        for first, stop in pieces:
            began, parallel = time.perf_counter(), any(self._parallel[first:stop])
            replay.run(self._rows[first:stop].reshape(-1), self._counters, self._threads, parallel)
            long = time.perf_counter() - began > _LONG and stop - first > 1
            middle = (first + stop) // 2
            cut += [(first, middle), (middle, stop)] if long else [(first, stop)]
        if len(cut) > len(pieces):
            self._parts[part] = cut


def recorder():
    """A new `Recorder`; None without the compiler, since there is no machine code then to run again."""
    return None if config.DISABLE_JIT else Recorder()


class _Tag:
    """Memory that is bound to a key, as launches see it: writable, since kernels are compiled for such arrays."""

    __slots__ = ("__array_interface__", "key", "address", "kept")

    def __init__(self, key, x):
        self.key, self.kept, self.address = key, x, array.address(x)
        self.__array_interface__ = {**x.__array_interface__, "data": (self.address, False)}


class _Piece:
    """Memory that was lent before launch `birth`, and given back before launch `death`."""

    __slots__ = ("size", "birth", "death", "words", "key", "place", "lease", "_rows")

    def __init__(self, size, rows):
        self.size, self.birth, self.death, self.words, self.key, self._rows = size, len(rows), None, [], None, rows
        self.lease = self.place = None

    def died(self):
        self.death = len(self._rows)

    def end(self):
        """Called once: the lease, where the memory is still in use."""
        self._rows, lease = (), None if self.lease is None else self.lease()
        if lease is None and self.death is None:
            self.death = self.birth
        return lease


class _Lent(array.Lease):
    """A lease of memory that was lent while launches were recorded."""

    __slots__ = ("piece",)

    def __init__(self, piece, buffer, shape, dtype):
        super().__init__(buffer, shape, dtype)
        self.piece = piece
        piece.lease = weakref.ref(self)

    def __del__(self):
        self.piece.died()
        super().__del__()


def _owner(x):
    """What holds the memory of an array: a lease, a tag, the array itself or one that it is a view of."""
    while isinstance(x, np.ndarray) and x.base is not None:
        x = x.base
    return x


def place(pieces):
    """Give each piece a place in the arena that nobody else needs as long as it lives: the smallest gap into which it
    fits. Returns how many bytes that takes."""
    gaps, size, ends = [], 0, []    # gaps: [start, stop], in order
    for number, piece in sorted(enumerate(pieces), key=lambda one: one[1].birth):
        while ends and ends[0][0] <= piece.birth:
            old = heapq.heappop(ends)[2]
            _free(gaps, old.place, old.place + _aligned(old.size))
        wanted = _aligned(piece.size)
        fitting = [gap for gap in gaps if gap[1] - gap[0] >= wanted]
        if fitting:
            gap = min(fitting, key=lambda gap: gap[1] - gap[0])
            piece.place, gap[0] = gap[0], gap[0] + wanted
            if gap[0] == gap[1]:
                gaps.remove(gap)
        elif gaps and gaps[-1][1] == size:
            piece.place, size = gaps[-1][0], gaps[-1][0] + wanted
            gaps.pop()
        else:
            piece.place, size = size, size + wanted
        heapq.heappush(ends, (piece.death, number, piece))
    return size


def _free(gaps, start, stop):
    """Put a gap among the others, joined with its neighbours."""
    at = next((i for i, gap in enumerate(gaps) if gap[0] > start), len(gaps))
    if at < len(gaps) and gaps[at][0] == stop:
        stop = gaps.pop(at)[1]
    if at and gaps[at - 1][1] == start:
        gaps[at - 1][1] = stop
    else:
        gaps.insert(at, [start, stop])


def _aligned(size):
    return -(-size // _ALIGN) * _ALIGN
