"""Launches that take turns: the second reads what the first has just written, while it lies in a cache.

A large image that one launch writes has gone to memory before the next one reads its first number. But many launches go
over their arrays from one end to the other, and say so by a `Sweep`. Where one reads what the one before writes, a
recording lets both run together, in *units* of some blocks of each:

    thread 0   | unit 0: blocks 0 to 3 of the first, 0 of the second | unit 1: blocks 4 to 7, 2 and 3 | ...
    thread 1   | unit 8: ...

A block of the second that reads what two neighbouring units write, as block 1 here, is run by whoever is the second to
have done its own of them. Every block computes what it always does, so the bits are the same, whoever runs it and when.
"""
from typing import NamedTuple

import numpy as np

# Bytes that the first launch writes in a unit, which the second cache holds beside all else, and the most of them, of
# which the third one has those of all threads; and units of a thread, where there are so many, so that threads finish
# together.
_BYTES, _MOST, _UNITS = 1 << 18, 1 << 21, 8


class Sweep(NamedTuple):
    """How a launch goes over an array from one end to the other. Its blocks fall into groups, equal and in order; group
    i touches no number of it but those from starts[i] on, and before stops[i], also where it is given as another
    argument too. Neither ever decreases."""

    argument: int       # which array: its place among the arguments, NamedTuples replaced by their fields
    starts: np.ndarray
    stops: np.ndarray

    @classmethod
    def even(cls, argument, groups, size):
        """With so many numbers to a group."""
        starts = np.arange(groups) * size
        return cls(argument, starts, starts + size)

    @classmethod
    def of_rows(cls, argument, count, rows, size, in_group, parts):
        """With `parts` groups of `in_group` rows of so many numbers for each of `count` times `rows`; the last of them
        have fewer rows, or none."""
        first, row = np.arange(count)[:, None] * rows, np.arange(parts) * in_group
        starts, stops = (first + np.minimum(ends, rows) for ends in (row, row + in_group))
        return cls(argument, starts.reshape(-1) * size, stops.reshape(-1) * size)


class Unit(NamedTuple):
    """Words of a table, which has one such row for each unit and a last one."""

    first: int      # block of the first launch
    begin: int      # block of the second that reads of this unit alone; those before it read of the one before too
    end: int        # the block behind these
    done: int       # counts those of this unit and the one before that are done, from run to run


def units_of(writes, reads, blocks, itemsize, threads):
    """The table of units, flat, for two launches of ``blocks = (of the first, of the second)``; None where they had
    better run one after the other."""
    nbytes, groups = int(writes.stops[-1]) * itemsize, len(writes.starts)
    fewest = max(nbytes // _MOST, min(blocks[0], _UNITS * threads))
    count = min(groups, max(nbytes // _BYTES, _UNITS * threads))
    # The first and the last group that each one of the second launch reads of; one that reads nothing waits for some.
    behind = np.maximum(np.searchsorted(writes.starts, reads.stops, "left") - 1, 0)
    before = np.minimum(np.searchsorted(writes.stops, reads.starts, "right"), behind)
    while count >= fewest:
        firsts = groups * np.arange(count + 1) // count
        lower, upper = (np.searchsorted(firsts, group, "right") - 1 for group in (before, behind))
        if np.all(upper - lower <= 1):
            begin = np.searchsorted(lower, np.arange(count + 1), "left")
            end = np.searchsorted(upper, np.arange(count + 1), "right")
            each, every = blocks[0] // groups, blocks[1] // len(reads.starts)
            return np.stack([firsts * each, begin * every, end * every, np.zeros(count + 1, int)], 1).reshape(-1)
        count //= 2
    return None


class Place(NamedTuple):
    """Where an array that a launch takes lies: so many bytes behind the start of some memory, which `holder` stands
    for."""

    holder: object
    offset: int
    nbytes: int
    itemsize: int

    def equals(self, other):
        """Whether it is the same array."""
        return other is not None and self.holder is other.holder and self[1:] == other[1:]


class Note(NamedTuple):
    """A launch, for the question of whether it may take turns with another."""

    places: list    # of each argument its Place, or None if it is no array
    sweeps: tuple   # over what it reads and what it writes, each a Sweep or None
    blocks: int
    shared: bool    # among threads

    def holders(self, apart=None):
        """The memory that it reads or writes, but for the array at the place `apart`."""
        return {id(place.holder) for place in self.places if place and place.nbytes and not place.equals(apart)}


class Pair(NamedTuple):
    """Launches `first` and `last`, which take turns by a table of Units. Those between them, too small to be shared
    among threads, run before both."""

    first: int
    last: int
    table: np.ndarray


def pairs_of(notes, cuts, threads):
    """The Pairs among the launches of these Notes, in order; none reaches over a cut, the number of the launch behind
    it."""
    pairs, last = [], 0
    shared = [number for number, note in enumerate(notes) if note.shared]
    for number, behind in zip(shared, shared[1:], strict=False):
        if number >= last and not any(number < cut <= behind for cut in cuts):
            pair = _pair(notes, number, behind, threads)
            if pair is not None:
                pairs.append(pair)
                last = behind + 1
    return pairs


def _pair(notes, first, last, threads):
    """The Pair of two launches of which the last one reads what the first one writes; None where they have other memory
    in common, or what lies between them has some with the first."""
    (_, writes), (reads, _) = notes[first].sweeps, notes[last].sweeps
    if writes is None or reads is None:
        return None
    written, read = notes[first].places[writes.argument], notes[last].places[reads.argument]
    between = set().union(*(note.holders() for note in notes[first + 1:last]))
    if not written.equals(read) or notes[first].holders(written) & notes[last].holders(written) or \
            notes[first].holders() & between:
        return None
    table = units_of(writes, reads, (notes[first].blocks, notes[last].blocks), written.itemsize, threads)
    return None if table is None else Pair(first, last, table)
