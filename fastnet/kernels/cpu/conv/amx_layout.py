"""Where the pixels of images lie for products of whole matrices, see `simd.amx`, whose rows must be a constant apart.

Images of a strip, some rows of the batch, are written out one pixel after the other, with zeros between them: pixels
that lie side by side in the result then read, under each tap, pixels that lie side by side as well. 3 x 3 taps over
images of 4 x 3 pixels, `0` being what padding is read as:

      position 0 1 2 3        the tap one row up, one to the left reads for positions 0, 1, 2, ... those 5 before them;
               a b c 0        position 3 is none of the result's: it is computed and not used
               d e f 0
               g h i 0        one column of zeros between the last pixel of a row and the first of the next serves both,
               j k l 0        and one row of zeros two images
               0 0 0 0
               A B C 0  ...

A *line* is such a row of positions, `pitch` of them; the lines of all images are counted through, `height` an image.
With a stride the pixels of x fall into stride x stride *phases*, images of their own: taps whose places differ by
multiples of the stride read one phase, again without gaps.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import entry, in_words, inlined, jit

# Positions, and input channels, that are multiplied at once: rows of two matrix registers, numbers of a row of one.
POSITIONS, CHANNELS = 32, 32
WORDS = CHANNELS // 2
# Words of the lines around a strip, which each strip writes out besides its own, that are not too many.
MOST_WORDS_BESIDE = 48 << 10
# Words of a pixel that are a multiple of so many would share few places of the first cache with those of others.
_COLLISION = 512


class Panel(NamedTuple):
    """Output channels that are multiplied at once, in half vectors as `simd.Tiles` has them."""

    halves: int


def panel_for(columns, dtype):
    """The Panel for so many output channels."""
    return Panel(2 * columns_at_once(columns) // simd.width(dtype))


def columns_at_once(columns):
    """How many of so many output channels are multiplied at once: 16, or 32 of more than 16."""
    return WORDS if columns <= WORDS else CHANNELS


class Phase(NamedTuple):
    """Pixels of x, a stride apart, that taps read: the first one, and how many there are; of columns some may lie to
    the left of the image."""

    top: int
    left: int
    rows: int
    columns: int


class LinesPlan(NamedTuple):
    """How lines are made of images."""

    batch: int
    x_height: int
    x_width: int
    x_channels: int     # of all groups
    channels: int       # of a group
    stride_down: int
    stride_across: int
    height: int         # lines of an image
    pitch: int          # positions of a line
    above: int          # lines that taps reach upwards
    below: int
    before: int         # positions that they reach to the left of a line
    behind: int
    phases: int


class Lines:
    """The lines of images `source` under `grids`, pairs (rows and columns of the result, taps), `stride` from each to
    the next pixel of x. Without `gaps` lines are an even number of positions with no zeros between them, for whoever
    sees to it that taps do not reach beyond them: so with `by_column`, where each column of taps reads phases of its
    own, which begin at the pixels that the first column of the result reads, be they to the left of the image."""

    def __init__(self, batch, source, channels, stride, grids, gaps=True, by_column=False):
        places = [[_place(tap, stride, by_column) for tap in taps] for _, taps in grids]
        origins = [origin for taps in places for _, origin in taps] or [(0, 0)]
        self.keys = sorted({phase for taps in places for phase, _ in taps}) or [(0, 0)]
        self.rows, columns = (max(size[axis] for size, _ in grids) for axis in (0, 1))
        above, before = (max(0, -min(origin[axis] for origin in origins)) for axis in (0, 1))
        below, behind = (max(0, max(origin[axis] for origin in origins)) for axis in (0, 1))
        phases = []
        for key in self.keys:
            mine = [origin for taps in places for phase, origin in taps if phase == key] or [(0, 0)]
            down, across = (max(origin[axis] for origin in mine) for axis in (0, 1))
            phases.append(Phase(*key, _count(source.height, key[0], stride.down, self.rows + down),
                                _count(source.width, key[1], stride.across, columns + across)))
        self.phase_rows, wide = (max(phase[axis] for phase in phases) for axis in (2, 3))
        height = max(self.rows + below, self.phase_rows + above)
        pitch = max(columns + behind, wide + before)
        if not gaps:
            before, behind, pitch = 0, 0, max(2, wide + wide % 2)
        self.phases = in_words(*phases)
        self.plan = LinesPlan(batch=batch, x_height=source.height, x_width=source.width, x_channels=source.channels,
                              channels=channels, stride_down=stride.down, stride_across=stride.across, height=height,
                              pitch=pitch, above=above, below=below, before=before, behind=behind, phases=len(phases))
        self.places = places
        # By how many pixels of a phase the taps of each grid are apart, to the right.
        self.across = [sorted({origin[1] for _, origin in taps}) for taps in places]

    @property
    def count(self):
        """Lines of the batch that have pixels of the result."""
        return (self.plan.batch - 1) * self.plan.height + self.rows

    @property
    def reached(self):
        """Lines of the batch that have pixels of the result or of x."""
        return (self.plan.batch - 1) * self.plan.height + max(self.rows, self.phase_rows)

    def size(self, lines):
        """Positions of a phase that so many lines take, with those around that taps reach."""
        plan = self.plan
        return plan.before + (lines + plan.above + plan.below) * plan.pitch + plan.behind + POSITIONS

    def offsets(self, apart, phase_apart):
        """For each tap where position 0 reads, positions and phases being so far apart."""
        plan = self.plan
        return np.array([self.keys.index(phase) * phase_apart
                         + (plan.before + (plan.above + down) * plan.pitch + across) * apart
                         for taps in self.places for phase, (down, across) in taps], np.int64)


def _place(tap, stride, by_column):
    """(phase, origin) of a tap: the phase that it reads, and which pixel of that for the first of the result."""
    (down, top), (across, left) = divmod(tap.down, stride.down), divmod(tap.across, stride.across)
    if by_column:
        across, left = 0, tap.across
    return (top, left), (down, across)


def _count(pixels, first, stride, most):
    """How many of so many pixels a phase has, up to the last one that its taps read."""
    return max(0, min(-(-(pixels - first) // stride), most))


def words_of(channels):
    """(words of so many channels in whole registers, words from a pixel to the next)."""
    words = -(-channels // CHANNELS) * WORDS
    return words, words + simd.width(np.float32) * (words % _COLLISION == 0)


class Strip(NamedTuple):
    """Some lines of a group of channels."""

    group: int
    first: int
    last: int           # the one behind the last


class Room(NamedTuple):
    """Where in memory pixels are written out."""

    start: int
    size: int           # positions of a phase
    words: int          # of a position
    apart: int          # from a position to the next


@jit
def write_pixels(x, strip, memory, room, phases, plan, short):
    """Write the words of all phases of a strip; of an x that holds words itself if it is `short`."""
    apart = room.apart
    for number in range(plan.phases):
        phase, to = entry(Phase, phases, number), room.start + number * room.size * apart
        spans.clear(memory, to, to + plan.before * apart)
        to += plan.before * apart
        for line in range(strip.first - plan.above, strip.last + plan.below):
            image, row = line // plan.height, line % plan.height
            pixels = phase.columns if 0 <= line < plan.batch * plan.height and row < phase.rows else 0
            row = image * plan.x_height + row * plan.stride_down + phase.top
            at = (row * plan.x_width + phase.left) * plan.x_channels + strip.group * plan.channels
            for column in range(pixels):
                write_words(x, at + column * plan.stride_across * plan.x_channels, plan.channels, memory,
                            to + column * apart, room.words, short)
            spans.clear(memory, to + pixels * apart, to + plan.pitch * apart)
            to += plan.pitch * apart


@inlined
def write_words(x, at, channels, memory, to, words, short):
    """Write the words of a pixel whose numbers begin at number `at` of x, with zeros behind them up to so many."""
    if short:
        for i in range(0, words, simd.lanes(x)):
            simd.store(memory, to + i, simd.load_part(x, at // 2 + i, channels // 2 - i))
    else:
        lanes = simd.lanes(x)
        for i in range(0, 2 * words, 2 * lanes):
            first, second = (simd.load_part(x, at + i, channels - i),
                             simd.load_part(x, at + i + lanes, channels - i - lanes))
            simd.store_short(memory, 2 * to + i, first, second, 2 * lanes, False)


class Run(NamedTuple):
    """Positions of one line."""

    line: int
    column: int
    count: int


@inlined
def run_at(position, stop, first, pitch):
    """The Run from a position on, up to position `stop` at most, where positions count from line `first`."""
    column = position % pitch
    return Run(first + position // pitch, column, min(stop - position, pitch - column))
