"""Where the pixels are that the register tiles of `direct` read and write.

The pixels of a result are numbered, row by row, and every ROWS of them, or fewer, make a tile. For each tile the
table `reads` holds, tap by tap, where in x the channels of the pixel begin that each of its rows meets, or -1 for one
outside of the image; the table `writes` holds where in y each of its rows goes. For 3x3 taps, padding 1, images of
32 x 32 pixels of 64 channels, and 12 rows to a tile:

    reads [tile 0, tap 0] =   -1   -1   -1   -1  ...   the row above the image: zeros
          [tile 0, tap 4] =    0   64  128  192  ...   the pixels themselves
          [tile 0, tap 5] =   64  128  192  256  ...   their neighbours to the right
    writes[tile 0]        =    0   64  128  192  ...

All of these count from the first pixel of the images at hand, so one table serves the whole batch. Small images are
taken in groups, as many as make tiles come out nearly even; large ones are cut into *strips*, some rows each, so that
tables need not be as long as an image has pixels.
"""
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv.geometry import Pair
from fastnet.kernels.cpu.conv.operands import Y
from fastnet.kernels.cpu.runtime import Sweep, in_words

# The time of tiles of three vectors to a row for each vector of products, beside those of two: they read fewer numbers
# for it, which counts on large Xeons. On Zen 4, which takes two cycles for a vector, it is the same.
_BROAD = 0.94 if simd.FAR_CACHE else 1

# Lines of memory at a multiple of that many bytes share one set of the first cache, which holds so many of them on most
# processors. Where those of a tile's rows do, ten rows are better than twelve, even for a few more rows in all.
COLLISION, _WAYS, _CROWDED = 4096, 8, 1.05

# Entries of the tables of an image beyond which it is cut into strips, and about how many pixels a strip has: so many
# that those of its last tile that are missing cost little.
MOST_ENTRIES = 1 << 17
STRIP_PIXELS = 1024


class Shape(NamedTuple):
    """Of the register tiles of a convolution."""

    halves: int     # half vectors in a row of a panel
    rows: int
    fewer: int      # rows that a tile may have instead
    gain: float     # if so many times as many rows have to be computed then


class Grid(NamedTuple):
    """Pixels (u, v) to be computed, `size` of them: each reads the pixels ``(u, v) step + origin`` of x, one of the
    `origins` for each tap, and is written to pixel ``(u, v) place + offset`` of y."""

    size: Pair
    step: Pair
    origins: tuple
    place: Pair
    offset: Pair


class Rows(NamedTuple):
    """The rows u of a strip's pixels: from `first` up to `stop`."""

    first: int
    stop: int


class StripPlan(NamedTuple):
    """A strip as the kernel sees it. Strips are of one kind where they read the same within the image and the same
    outside of it: all but those at its upper and lower border. Each kind has tables of its own."""

    x_start: int    # what the tables count from, in an image of x
    y_start: int    # and of y
    kind: int


class GridPlan(NamedTuple):
    """A grid in one kind of strip."""

    taps: int
    taps_before: int    # those of the grids before it, whose filters come first
    pixels: int         # of one image
    reads: int          # where its tables begin
    writes: int


class Tables(NamedTuple):
    """What the kernel of a direct convolution looks up. `reads` and `writes` hold places in the flat arrays x and y."""

    reads: np.ndarray   # for each kind of strip and each grid (tiles, taps, rows); -1 for a pixel outside of the image,
                        # and for the rows of the last tile that lie beyond the last pixel
    writes: np.ndarray  # the same (tiles, rows)
    strips: np.ndarray  # a StripPlan for each strip of an image
    grids: np.ndarray   # for each kind of strip a GridPlan for each grid
    zeros: np.ndarray   # what is read outside of the image


def shape_for(columns, dtype):
    """The Shape of the tiles for so many output channels: those of `simd.close_tiles_for`, or with AVX-512 three
    vectors wide and two thirds as high, where these leave few enough columns without use, for 48, 144 or 240 say."""
    close, count = simd.close_tiles_for(columns, dtype), simd.width(dtype)
    if simd.HOST == "avx512" and close in (simd.WIDE, simd.THREE_HALVES):
        time = -(-2 * columns // (close.halves * count)) * close.halves
        time *= simd.THREE_HALVES_TIME if close is simd.THREE_HALVES else 1
        if -(-columns // (3 * count)) * 6 * _BROAD < time:
            return Shape(6, simd.ROWS * 2 // 3, simd.ROWS * 2 // 3 - 1, 0.96)
    return Shape(close.halves, simd.ROWS, simd.ROWS - simd.ROWS // 6, 0.99)


def images_together(pixels):
    """How many images, of so many pixels each, to take together: the fewest that waste little of their last tile, or
    as many as fill one."""
    most = max(4, -(-simd.ROWS // pixels))
    return next((i for i in range(1, most) if -(-pixels * i // simd.ROWS) * simd.ROWS <= 1.04 * pixels * i), most)


def strips_of(grids):
    """The strips of an image: the Rows of each. One for all of it where the tables are short enough."""
    rows, columns = (max(extents) for extents in zip(*(grid.size for grid in grids), strict=True))
    entries = sum(prod(grid.size) * (len(grid.origins) + 1) for grid in grids)
    height = rows if entries <= MOST_ENTRIES else min(rows, -(-STRIP_PIXELS // columns))
    return [Rows(first, min(first + height, rows)) for first in range(0, rows, height)]


def pixels_of(grid, strip):
    """How many pixels a grid has in a strip of one image."""
    return max(0, min(strip.stop, grid.size.down) - strip.first) * grid.size.across


def rows_for(pixels, shape, apart):
    """How many rows the tiles for so many pixels should have: fewer where that leaves fewer without use, or where
    pixels of x, so many bytes `apart`, drive each other out of the first cache."""
    many, few = shape.rows, shape.fewer
    gain = _CROWDED if apart % COLLISION == 0 and many > _WAYS else shape.gain
    return few if -(-pixels // few) * few < gain * (-(-pixels // many) * many) else many


def tables_of(images, source, target, grids, strips, rows, zeros):
    """The Tables for `images` images at a time, `source` and `target` being the Images of x and y, and tiles of so many
    rows."""
    step, place = grids[0].step.down, grids[0].place.down
    above = min((origin.down for grid in grids for origin in grid.origins), default=0)
    kinds, strip_plans, grid_plans, reads, writes = {}, [], [], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for strip in strips:
        top = strip.first * step + above if len(strips) > 1 else 0  # the first row of x that it may read
        kind = _kind(strip, source, grids)
        if kind not in kinds:
            kinds[kind] = len(kinds)
            taps = 0
            for grid in grids:
                grid_plans.append(GridPlan(len(grid.origins), taps, pixels_of(grid, strip), sum(map(len, reads)),
                                           sum(map(len, writes))))
                taps += len(grid.origins)
                read, write = _table(images, source, target, grid, strip, top, rows)
                reads.append(read)
                writes.append(write)
        strip_plans.append(StripPlan(top * source.width * source.channels,
                                     strip.first * place * target.width * target.channels, kinds[kind]))
    return Tables(np.concatenate(reads), np.concatenate(writes), in_words(*strip_plans), in_words(*grid_plans), zeros)


def _kind(strip, source, grids):
    """What is the same for all strips that can share tables."""
    rows = np.arange(strip.first, strip.stop) * grids[0].step.down
    inside = [(0 <= rows + origin.down) & (rows + origin.down < source.height)
              for grid in grids for origin in grid.origins]
    return *(pixels_of(grid, strip) for grid in grids), *(which.tobytes() for which in inside)


def _table(images, source, target, grid, strip, top, rows):
    """(reads, writes) of a grid in a strip, flat, counted from row `top` of x and from the strip's first pixel."""
    pixels = pixels_of(grid, strip)
    tiles = -(-pixels * images // rows)
    number = np.arange(tiles * rows)
    real = number < pixels * images     # the last tile may have rows to spare
    image, u, v = _pixel(number, pixels, grid)
    reads = np.empty((tiles, len(grid.origins), rows), np.int64)
    for tap, origin in enumerate(grid.origins):
        row, column = (strip.first + u) * grid.step.down + origin.down, v * grid.step.across + origin.across
        inside = real & (0 <= row) & (row < source.height) & (0 <= column) & (column < source.width)
        pixel = (image * source.height + row - top) * source.width + column
        reads[:, tap] = np.where(inside, pixel * source.channels, -1).reshape(tiles, rows)
    row, column = u * grid.place.down + grid.offset.down, v * grid.place.across + grid.offset.across
    pixel = (image * target.height + row) * target.width + column
    return reads.reshape(-1), np.where(real, pixel * target.channels, 0)


def _pixel(number, pixels, grid):
    """Image, row and column of the pixels of these numbers, where a strip has so many `pixels` of a grid."""
    pixels = max(1, pixels)
    return number // pixels, number % pixels // grid.size.across, number % grid.size.across


def sweep_of(batch, images, target, grids, strips, rows, pieces):
    """The Sweep over y of blocks that each compute one of so many pieces of the tiles of a strip, or of `images` images
    at a time, in all panels."""
    first = np.arange(0, batch, images)[:, None]
    starts, stops = (np.full((len(first), len(strips), pieces), end) for end in (batch * target.numbers, 0))
    for grid, (s, strip) in product(grids, enumerate(strips)):
        pixels, place = pixels_of(grid, strip), grid.place
        tiles = np.arange(pieces + 1) * -(-images * pixels // rows) // pieces
        begin, end = np.broadcast_arrays(
            tiles[:-1] * rows, np.minimum(tiles[1:] * rows, pixels * np.minimum(images, batch - first)))
        some = begin < end
        for ends, number, choose, after in ((starts, begin, np.minimum, 0), (stops, end - 1, np.maximum, 1)):
            image, u, v = _pixel(number, pixels, grid)
            row = (first + image) * target.height + (strip.first + u) * place.down + grid.offset.down
            at = (row * target.width + v * place.across + grid.offset.across + after) * target.channels
            ends[:, s] = np.where(some, choose(ends[:, s], at), ends[:, s])
    starts, stops = starts.reshape(-1), stops.reshape(-1)
    return Sweep(Y, np.minimum.accumulate(starts[::-1])[::-1], np.maximum.accumulate(stops))
