"""Which rows of an image those of another one are made of: tables for `resample`.

A `Map` says it of one axis, rows or columns: place `targets[i]` of the result gets `weights[i]` times place
`sources[i]` of what is read. The way back through it is the same with targets and sources exchanged. Doubling three
rows, between two of which lie a quarter and three quarters of each, is

    targets   0   1    1    2    2    3    3    4    4    5
    sources   0   0    1    0    1    1    2    1    2    2
    weights   1  3/4  1/4  1/4  3/4  3/4  1/4  1/4  3/4   1

The kernel reads a Map as an `Axis`, in which it finds the sources of a place by its `Stretch`.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu.runtime import in_words


class Map(NamedTuple):
    """What is made of what along one axis; the targets ascend."""

    length: int     # places that are read
    size: int       # places that are written
    targets: np.ndarray
    sources: np.ndarray
    weights: np.ndarray


class Stretch(NamedTuple):
    """Places that are made alike: `count` sources each, every one of them one further on than for the place before."""

    start: int      # the first place, and how many there are
    length: int
    first: int      # where in an Axis the sources of the first place begin
    count: int
    copies: int     # 1 where there is one source, of weight 1


class Axis(NamedTuple):
    """A Map as the kernel reads it."""

    stretches: np.ndarray   # one Stretch after the other
    places: np.ndarray      # where the sources begin, in numbers of an image or of one row of it
    weights: np.ndarray     # what they weigh, in the dtype that is computed in


def padded(length, before, after, mode):
    """A margin, see `pad2d_forward`."""
    size = length + before + after
    sources = np.arange(size) - before
    if mode == "reflect":
        sources = length - 1 - np.abs(length - 1 - np.abs(sources))
    elif mode == "replicate":
        sources = sources.clip(0, length - 1)
    elif mode == "circular":
        sources %= length
    inside = (0 <= sources) & (sources < length)
    return Map(length, size, np.arange(size)[inside], sources[inside], np.ones(inside.sum()))


def nearest(length, size, step):
    """The nearest place, see `upsample2d_forward`."""
    step = np.float32(length) / np.float32(size) if step is None or size in (length, 2 * length) else np.float32(step)
    sources = (np.arange(size, dtype=np.float32) * step).astype(np.int64).clip(0, length - 1)
    return Map(length, size, np.arange(size), sources, np.ones(size))


def between(length, size, step, align_corners):
    """The two places around a position."""
    places = np.arange(size)
    if align_corners:
        positions = places * (length - 1) / max(1, size - 1)
    else:
        positions = ((places + 0.5) * (step or length / size) - 0.5).clip(0)
    first = np.floor(positions).astype(np.int64).clip(0, length - 1)
    share = np.where(first < length - 1, positions - first, 0)
    two = np.stack([places, places], 1), np.stack([first, first + 1], 1), np.stack([1 - share, share], 1)
    return Map(length, size, *(array[two[2] > 0] for array in two))


def averaged(length, size):
    """Means of neighbours, see `adaptive_avgpool2d_forward`."""
    places = np.arange(size)
    first, stop = places * length // size, -(-(places + 1) * length // size)
    counts = stop - first
    sources = np.arange(counts.sum()) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    return Map(length, size, np.repeat(places, counts), sources, np.repeat(1 / counts, counts))


def nailed(length, factor):
    """Every place followed by factor - 1 empty ones."""
    places = np.arange(length)
    return Map(length, length * factor, places * factor, places, np.ones(length))


def transposed(given):
    """The way back."""
    order = np.argsort(given.sources, kind="stable")
    return Map(given.size, given.length, given.sources[order], given.targets[order], given.weights[order])


def longest(given):
    """The most sources that a place has."""
    return int(np.bincount(given.targets, minlength=1).max())


class Tables(NamedTuple):
    """All that the kernel looks up."""

    down: Axis
    across: Axis
    numbers: np.ndarray     # its plan


def axis_of(given, apart, dtype, joined):
    """The Axis of a Map of what begins `apart` numbers from each other. A stretch is one place, or, where `joined`, as
    many as are made alike."""
    counts = np.bincount(given.targets, minlength=given.size)
    first = np.cumsum(counts) - counts
    starts = np.arange(given.size)
    if joined:
        starts = np.flatnonzero(~_like_the_one_before(given, counts))
    lengths = np.diff(starts, append=given.size)
    copies = counts[starts] == 1
    copies[copies] = given.weights[first[starts][copies]] == 1
    stretches = np.stack([starts, lengths, first[starts], counts[starts], copies], 1)
    return Axis(in_words(*stretches), given.sources * apart, given.weights.astype(dtype))


def _like_the_one_before(given, counts):
    """For each place whether its sources are one further on than those of the place before, and weigh the same."""
    like = np.diff(counts, prepend=-1) == 0
    here = np.flatnonzero(like[given.targets])
    before = here - counts[given.targets[here]]
    differs = (given.sources[here] != given.sources[before] + 1) | (given.weights[here] != given.weights[before])
    like[given.targets[here[differs]]] = False
    return like
