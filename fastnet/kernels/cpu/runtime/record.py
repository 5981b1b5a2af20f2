"""Launches that are noted while they run, to be run again by one call into machine code, see `replay`.

Within ``with recorder:`` a `Recorder` is told of each launch of its thread, and writes down what will be needed to do
it again: five words, see `replay.Entry`, and its arguments, see `frames`, all in one array:

    frames    | address of x | 128 | address of w | 288 | 0.01 | address of y | 128 | address of y | 128 | ...
                ^ launch 0: kernel(x, w, 0.01, y)                               ^ launch 1: kernel(y, ...)

Of each array it asks whose memory that is, for the address will be another one when the launches run again:

* *lent*: it came from `empty` in the meantime. It gets an offset in the arena. Two such arrays may share an offset if
  the last launch that uses one comes before the first that uses the other, see `arena.arrange`;
* *bound*: the caller has named it by a key, with `tag` before the launches or with `give` after them, and tells its
  address before each run: inputs, weights, results;
* *fixed*: anything else, the tables of an algorithm say, stays where it is, and the recording keeps it alive.

So the arrays of a `Recording` are not its own: it has its frames, its counters and its list of launches, and any number
of recordings can share one arena. It holds for one number of threads, since scratch memory is as large as they need it.
"""
import time
import weakref
from collections import defaultdict
from math import prod
from typing import NamedTuple

import numpy as np
from numba import config

from fastnet.kernels.cpu.runtime import atomic, frames, launches, pairs, pool, replay
from fastnet.kernels.cpu.runtime.arena import arrange
from fastnet.kernels.cpu.runtime.array import empty
from fastnet.kernels.cpu.runtime.places import address

# Seconds that one call into machine code should last at most.
_LONG = 0.2
# Which word of an entry it is.
_TABLE = replay.Entry._fields.index("table")
# Up to this many words are quicker written one by one.
_FEW = 12


class Word(NamedTuple):
    """A word of the frames that is an address: so many bytes after where some memory starts."""

    index: int
    offset: int


class Layout(NamedTuple):
    """How a result lies in memory, so that another one like it can be made."""

    shape: tuple
    dtype: np.dtype
    channels_last: bool
    small: bool     # whether NumPy makes its memory, not the pool


class Recorder:
    """Notes the launches of one thread within ``with recorder:`` blocks."""

    def __init__(self):
        self.scratch = {}           # see `array.scratch`
        self.complete = True        # whether doing these launches again does all of the work again
        self.outdated = False       # whether the number of threads has changed in between
        self.threads = launches.threads()
        self._entries, self._work, self._notes, self._cuts = [], [], [], [0]
        self._words = []            # of the frames
        self._lent = []             # all `_Piece`s
        self._bound = defaultdict(list)     # key -> Words
        self._fixed = {}            # id of an owner of other memory -> _Fixed
        self._layouts = {}          # key -> Layout of what was given to it
        self._outer = None

    def __enter__(self):
        self.outdated |= self.threads != launches.threads()
        self._outer = launches.set_recorder(self)

    def __exit__(self, *error):
        launches.set_recorder(self._outer)
        if self._outer is not None:
            self._outer.complete = False    # it knows nothing of what happened in between

    # What the caller says

    def tag(self, key, x):
        """x as the launches are to be given it, so that the recorder knows it by its key. Before each replay
        `Recording.bind` is told where that array lies then."""
        return np.asarray(_Tag(key, x))

    def give(self, key, x):
        """Say that x, the result of a launch, is for the caller to keep: in each replay a new array, which
        `Recording.make` makes, takes its place."""
        owner = _owner(x)
        if isinstance(owner, _Lent):
            whole, owner.piece.key = owner.piece.size == x.nbytes, key
        elif isinstance(owner, np.ndarray):
            whole = owner.nbytes == x.nbytes
            self._fixed.setdefault(id(owner), _Fixed(owner)).key = key
        else:
            whole = False
        self.complete &= whole      # a part of something larger, or what was given to us, cannot be made anew
        self._layouts[key] = Layout(x.shape, x.dtype, x.ndim == 4 and not x.flags.c_contiguous,
                                    not pool.is_large(x.nbytes))

    def cut(self):
        """End a section of the launches, which `Recording.run` runs by itself: returns its number."""
        self._cuts.append(len(self._entries))
        return len(self._cuts) - 2

    # What happens meanwhile

    def empty(self, shape, dtype):
        """What `array.empty` gives while launches are recorded."""
        size = prod(shape) * dtype.itemsize
        piece = _Piece(size, self._entries)
        self._lent.append(piece)
        return np.asarray(_Lent(piece, pool.take(size), shape, dtype))

    def note(self, kernel, entrance, blocks, work, args, sweeps):
        """Write down a launch that is about to happen; `launches` calls this. `work` is 0 for one that is not shared by
        threads, `sweeps` those over what it reads and what it writes, see `pairs`."""
        frame, places = len(self._words), []
        for arg in args:
            places.append(self._note_array(arg) if isinstance(arg, np.ndarray) else None)
            self._words += frames.words([arg])
        units = blocks if work else min(blocks, 1)
        self._entries.append(replay.Entry(entrance, kernel, frame, blocks, units, -1))
        self._work.append(work)
        self._notes.append(pairs.Note(places, sweeps, blocks, work > 0))

    def _note_array(self, x):
        owner, start, index = _owner(x), address(x), len(self._words)
        if isinstance(owner, _Lent):
            holder, words, first = owner.piece, owner.piece.words, owner.buffer.address
        elif isinstance(owner, _Tag):
            holder = words = self._bound[owner.key]
            first = owner.address
        else:
            holder = self._fixed.setdefault(id(owner), _Fixed(owner))
            words, first = holder.words, address(owner) if isinstance(owner, np.ndarray) else start
        words.append(Word(index, start - first))
        return pairs.Place(holder, start - first, x.nbytes, x.itemsize)

    def finish(self):
        """The `Recording`; None if NumPy did some of the work, or if the number of threads changed meanwhile, since
        then doing the launches again would not do all of it again."""
        self.scratch.clear()
        if not self.complete or self.outdated:
            return None
        kept, in_arena = [], []
        for piece in self._lent:
            lease = piece.end()
            if piece.key is not None:
                self._bound[piece.key] += piece.words
            elif lease is not None:
                kept.append(lease)  # somebody keeps it, an algorithm's table say
            elif piece.words:
                in_arena.append(piece)
        for fixed in self._fixed.values():
            if fixed.key is None:
                kept.append(fixed.owner)
            else:
                self._bound[fixed.key] += fixed.words
        launched, births, deaths = self._launched()
        for piece in in_arena:
            piece.birth, piece.death = births[piece.birth], deaths[piece.death]
        arena_size = arrange(in_arena)
        moving = [Word(word.index, piece.offset + word.offset) for piece in in_arena for word in piece.words]
        return Recording(launched, self.threads, arena_size, moving, dict(self._bound), self._layouts, kept)

    def _launched(self):
        """(the `Launched`, in which pairs of launches take turns, births, deaths): what these list for a number of a
        launch is to take its place where memory is born or dies, since all launches from the first to the last one of
        a pair run at the same time."""
        entries, work, tables = list(self._entries), list(self._work), [np.zeros(0, np.int64)]
        births, deaths, units = list(range(len(entries) + 1)), list(range(len(entries) + 1)), 0
        for first, last, table in pairs.pairs_of(self._notes, self._cuts, self.threads):
            order, count = [*range(first + 1, last), first, last], len(table) // len(pairs.Unit._fields)
            entries[first:last + 1], work[first:last + 1] = ([each[i] for i in order] for each in (entries, work))
            entries[last - 1] = entries[last - 1]._replace(units=count - 1, table=units)
            entries[last] = entries[last]._replace(units=0)
            tables.append(table)
            units += count
            births[first + 1:last + 1] = [first] * (last - first)
            deaths[first + 1:last + 1] = [last + 1] * (last - first)
        return Launched(self._words, entries, work, np.concatenate(tables), self._cuts), births, deaths


class Launched(NamedTuple):
    """The launches of a recording, by parts."""

    words: list     # of the frames
    entries: list   # of `replay.Entry`, whose frame is the index of its first word
    work: list      # of each entry, 0 where it ran on one thread
    tables: np.ndarray  # of those that take turns, see `pairs`
    cuts: list      # where parts start and end: part i is entries[cuts[i] : cuts[i + 1]]


class Piece(NamedTuple):
    """Some launches in a row, which one call runs."""

    first: int      # of the entries
    stop: int
    parallel: bool  # whether on several threads
    args: tuple     # of that call


class Recording:
    """Launches that can be run again, in parts: `arena_size` bytes of an arena are written over.

    Before a run, `move` tells where the arena is and `bind` where what is bound lies: both write into the frames.
    """

    def __init__(self, launched, threads, arena_size, moving, bound, layouts, kept):
        self.arena_size, self._threads, self._layouts, self._kept = arena_size, threads, layouts, kept
        self._frames = np.array(launched.words, np.int64)
        self._arena_start = 0   # for which the words of what lies in it are right
        self._moving = np.array(moving, np.int64).reshape(-1, 2).T
        self._bound, self._plans = bound, {}
        frames = address(self._frames)
        entries = [entry._replace(frame=frames + 8 * entry.frame) for entry in launched.entries]
        self._entries = np.array(entries, np.int64).reshape(-1, len(replay.Entry._fields))
        self._work, self._tables = launched.work, launched.tables
        self._counters = np.zeros((threads + 1) * atomic.APART * len(self._entries), np.int64)
        self._parts = [[self._piece(*ends)] for ends in zip(launched.cuts, launched.cuts[1:], strict=False)]
        self.nbytes = self._frames.nbytes + self._counters.nbytes + self._tables.nbytes + sum(
            owner.nbytes for owner in kept if isinstance(owner, np.ndarray))

    def outdated(self):
        """Whether it was made for another number of threads than there are now."""
        return self._threads != launches.threads()

    def move(self, start):
        """Use an arena that starts at this address."""
        if start != self._arena_start:
            index, offset = self._moving
            self._frames[index] = start + offset
            self._arena_start = start

    def bind(self, keys, addresses):
        """Tell the addresses of what is bound to these keys, a tuple."""
        plan = self._plans.get(keys)
        if plan is None:
            plan = self._plans[keys] = self._plan(keys)
        frames = self._frames
        if isinstance(plan, list):
            for index, which, offset in plan:
                frames[index] = addresses[which] + offset
        else:
            index, which, offset = plan
            frames[index] = np.array(addresses, np.int64)[which] + offset

    def _plan(self, keys):
        """The words that change with the addresses of these keys: (index, which of the keys, offset) of each in a list,
        or all of each in an array."""
        words = [(index, which, offset) for which, key in enumerate(keys) for index, offset in self._bound.get(key, ())]
        return words if len(words) <= _FEW else np.array(words, np.int64).T.copy()

    def make(self, key):
        """A new array for what was given to `key` when it was recorded: (array, address)."""
        layout = self._layouts[key]
        if layout.channels_last:
            n, c, h, w = layout.shape
            x = empty((n, h, w, c), layout.dtype)
            return x.transpose(0, 3, 1, 2), address(x)
        if layout.small and launches.recorder() is None:
            x = np.empty(layout.shape, layout.dtype)    # what `empty` gives, without its questions
        else:
            x = empty(layout.shape, layout.dtype)
        return x, address(x)

    def _piece(self, first, stop):
        """The launches from `first` up to `stop` as one call runs them."""
        return Piece(first, stop, *replay.prepared(
            self._entries[first:stop].reshape(-1), self._tables, self._counters, self._threads,
            sum(self._work[first:stop]) > launches.SERIAL_SCRIPT))

    def _middle(self, piece):
        """Where to cut it: before a launch in the middle, which does not take turns with the one before. None where
        there is no such launch."""
        middle = (piece.first + piece.stop) // 2
        middle += middle > piece.first and self._entries[middle - 1, _TABLE] >= 0
        return middle if piece.first < middle < piece.stop else None

    def run(self, part):
        """Run part number `part` of the launches. What took long is run in two pieces the next time: Ctrl-C waits for
        a call into machine code to end."""
        pieces, long = self._parts[part], set()
        for piece in pieces:
            began = time.perf_counter()
            replay.run(piece.parallel, piece.args)
            if time.perf_counter() - began > _LONG and self._middle(piece) is not None:
                long.add(piece.first)
        if long:
            cut = []
            for piece in pieces:
                middle = self._middle(piece)
                cut += [self._piece(piece.first, middle), self._piece(middle, piece.stop)] if piece.first in long \
                    else [piece]
            self._parts[part] = cut


def recorder():
    """A new `Recorder`; None without the compiler, since there is no machine code then to run again."""
    return None if config.DISABLE_JIT else Recorder()


class _Tag:
    """Memory that is bound to a key, as launches see it: writable, since kernels are compiled for such arrays."""

    __slots__ = ("__array_interface__", "key", "address", "kept")

    def __init__(self, key, x):
        self.key, self.kept, self.address = key, x, address(x)
        self.__array_interface__ = {**x.__array_interface__, "data": (self.address, False)}


class _Fixed:
    """Memory that is neither lent nor tagged: what owns it, the words that point into it, and the key that it was given
    to, if any."""

    __slots__ = ("owner", "words", "key")

    def __init__(self, owner):
        self.owner, self.words, self.key = owner, [], None


class _Piece:
    """Memory that was lent before launch `birth`, and given back before launch `death`; the words that point into it,
    the key that it was given to, if any, and its offset in the arena."""

    __slots__ = ("size", "birth", "death", "words", "key", "offset", "lease", "_entries")

    def __init__(self, size, entries):
        self.size, self.birth, self.death, self._entries = size, len(entries), None, entries
        self.words, self.key, self.offset, self.lease = [], None, None, None

    def died(self):
        self.death = len(self._entries)

    def end(self):
        """Called once: the lease, where the memory is still in use."""
        self._entries, lease = (), None if self.lease is None else self.lease()
        if lease is None and self.death is None:
            self.death = self.birth
        return lease


class _Lent(pool.Lease):
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
