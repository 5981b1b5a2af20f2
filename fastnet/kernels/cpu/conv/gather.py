"""Direct convolution by implicit GEMM: a register tile reads its rows through a table of offsets.

One kernel serves the forward pass and the gradient for the input, with any stride, padding, dilation and groups. A
*point* is a place of the output, a *tap* a place of the kernel. The table holds, for each tile of ``ROWS`` points and
each tap, where in the image each point's channels start, or -1 outside of the image; there the tile reads zeros. So no
im2col buffer is filled, and borders cost nothing extra (Dukhan, "The Indirect Convolution Algorithm", 2019).

With a stride, the pixels of the gradient for the input fall into classes that different taps reach. Each class is a
`Grid` of points; a block takes the points of all grids that lie in its part of the images, so that what they read and
write between each other is fetched once.
"""
import functools
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv.packing import panel_width
from fastnet.kernels.cpu.runtime.jit import Launch, jit

# Tiles that share one pass over the packed filters, and so the filters' trip from L2 to the registers; fewer of them
# where a batch is so small that there would be fewer blocks than that.
_TILES_PER_BLOCK = 8
_BLOCKS = 8
# Bytes of images that a cache may not hold.
_LARGE = 8 << 20
# Entries of the tables of an image beyond which it is cut into strips, and about how many points a strip has: so many
# that those of its last tile that are missing cost little.
_MOST_ENTRIES = 1 << 17
_STRIP_POINTS = 1024


class Grid(NamedTuple):
    """Points (u, v), `size` = (rows, columns) of them: each reads the pixels ``(u, v) * step + origin``, for each of
    the `origins`, one to a tap, and is written to pixel ``(u, v) * place + offset``."""

    size: tuple
    step: tuple
    origins: tuple
    place: tuple
    offset: tuple


class Convolution:
    """A convolution from images `source` (H, W, C) to images `target` (P, Q, K), all worked out but the numbers.

    Each point reads `length` numbers from each of its pixels on; the packed filters have the taps of all `grids`, one
    grid's after another's. Small images are taken in groups, as many as make tiles come out nearly even; large ones are
    cut into strips, a group each, so that tables need not be as long as an image has points.
    """

    def __init__(self, batch, source, target, grids, length, groups, dtype):
        cut = _cut(grids)
        images = min(batch, _images(prod(grids[0].size))) if len(cut) == 1 else 1
        self.reads, self.writes, self.strips = _tables(images, source, target, grids, cut)
        in_channels, out_channels = source[2] // groups, target[2] // groups
        panel = panel_width(out_channels, dtype)
        panels, image_groups = groups * -(-out_channels // panel), -(-batch // images) * len(cut)
        counts = [-(-images * points // simd.ROWS) for points in _points(grids, cut[0])]
        tiles = max(counts)
        parts = min(panels, -(-_BLOCKS // (image_groups * -(-tiles // _TILES_PER_BLOCK))))
        per_block = max(1, min(_TILES_PER_BLOCK, tiles * image_groups * parts // _BLOCKS))
        pieces = -(-tiles // per_block)
        numbers = sum(prod(grid.size) * (len(grid.origins) * length + 1) for grid in grids)
        self.launch = Launch(_kernel(simd.tiles_for(out_channels, dtype)), image_groups * pieces * parts,
                             work=batch * target[2] * numbers)
        self.zeros = np.zeros(length, dtype)
        calls = panels // parts * -(-sum(counts) // pieces)
        large = batch * (prod(source) + prod(target)) * dtype.itemsize > _LARGE
        self.shape = np.array([images, batch, prod(source), prod(target), length, in_channels, out_channels, groups,
                               pieces, parts, max(1, calls), large, len(cut)])

    def __call__(self, x, w, bias, y, epilogue):
        """Fill y; x and y are flat and channels-last, w and bias packed by `packing`."""
        self.launch(x, w, bias, self.zeros, y, self.reads, self.writes, self.strips, self.shape, epilogue)


def _images(points):
    """How many images, of so many points each, to take together: the fewest that waste little of their last tile."""
    return next((i for i in (1, 2, 3, 4) if -(-points * i // simd.ROWS) * simd.ROWS <= 1.04 * points * i), 4)


def _cut(grids):
    """The strips of an image: (first row, one behind the last) of the grids' points."""
    rows, columns = (max(grid.size[axis] for grid in grids) for axis in (0, 1))
    entries = sum(prod(grid.size) * (len(grid.origins) + 1) for grid in grids)
    height = rows if entries <= _MOST_ENTRIES else min(rows, -(-_STRIP_POINTS // columns))
    return [(first, min(first + height, rows)) for first in range(0, rows, height)]


def _points(grids, strip):
    """How many points each of the grids has in a strip of one image."""
    return [max(0, min(strip[1], grid.size[0]) - strip[0]) * grid.size[1] for grid in grids]


def _tables(images, source, target, grids, cut):
    """(reads, writes, strips): the offsets `reads` (tiles, taps, ROWS) and `writes` (tiles, ROWS) of each grid, for
    each kind of strip. A row of `strips` says where in x and y the offsets of a strip are counted from and, for each
    grid, its taps, its points, and where its tables start in reads and writes. Strips are of one kind where they read
    the same within the image and the same outside of it: all but those at its upper and lower border."""
    above = min((dy for grid in grids for dy, _ in grid.origins), default=0)
    known, strips, reads, writes = {}, [], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for strip in cut:
        points, top = _points(grids, strip), strip[0] * grids[0].step[0] + above if len(cut) > 1 else 0
        rows = np.arange(*strip) * grids[0].step[0]
        kind = *points, *(((0 <= rows + dy) & (rows + dy < source[0])).tobytes()
                          for grid in grids for dy, _ in grid.origins)
        if kind not in known:
            known[kind] = []
            for grid, count in zip(grids, points, strict=True):
                known[kind] += [len(grid.origins), count, sum(map(len, reads)), sum(map(len, writes))]
                for tables, made in zip((reads, writes), _table(images, source, target, grid, strip, top), strict=True):
                    tables.append(made)
        strips.append([top * source[1] * source[2], strip[0] * grids[0].place[0] * target[1] * target[2], *known[kind]])
    return np.concatenate(reads), np.concatenate(writes), np.array(strips, np.int64).reshape(-1)


def _table(images, source, target, grid, strip, top):
    """(reads, writes) of a grid in a strip, counted from image row `top` and from the strip's first point."""
    (h, w, c), (_, q, k), (_, columns) = source, target, grid.size
    points, = _points([grid], strip)
    tiles = -(-points * images // simd.ROWS)
    number = np.arange(tiles * simd.ROWS)
    real = number < points * images
    points = max(1, points)
    image, u, v = number // points, number % points // columns, number % columns
    reads = np.empty((tiles, len(grid.origins), simd.ROWS), np.int64)
    for tap, (dy, dx) in enumerate(grid.origins):
        y, x = (strip[0] + u) * grid.step[0] + dy, v * grid.step[1] + dx
        inside = real & (0 <= y) & (y < h) & (0 <= x) & (x < w)
        reads[:, tap] = np.where(inside, ((image * h + y - top) * w + x) * c, -1).reshape(tiles, simd.ROWS)
    pixel = (image * target[0] + u * grid.place[0] + grid.offset[0]) * q + v * grid.place[1] + grid.offset[1]
    return reads.reshape(-1), np.where(real, pixel * k, 0)


@functools.cache
def _kernel(tiles_):
    tile, halves = tiles_.tile, tiles_.halves

    def gather(block, slot, x, w, bias, zeros, y, reads, writes, strips, shape, epilogue):
        """Compute one block: a piece of each grid, for a group of images or a strip of one, and some panels of output
        channels."""
        images, batch, image_x, image_y, length, in_channels, out_channels, groups, pieces, parts = shape[:10]
        calls, large, cut, later = shape[10], shape[11], shape[12], epilogue.adding or epilogue.masked
        panel = halves * simd.lanes(w) // 2
        panels = (out_channels + panel - 1) // panel
        part, place = block % parts, block // parts
        first, piece = place // pieces // cut * images, place % pieces
        here = min(images, batch - first)
        strip_size = strips.size // cut
        strip = place // pieces % cut * strip_size
        x_start, y_start = first * image_x + strips[strip], first * image_y + strips[strip + 1]
        # What the next block reads and writes is fetched, a little before each tile.
        ahead = place + 2 if large else place + 1
        shares = cut * pieces
        x_at, x_end = (place + 1) * images * image_x // shares, min(ahead * images * image_x // shares, batch * image_x)
        y_at, y_end = (place + 1) * images * image_y // shares, min(ahead * images * image_y // shares, batch * image_y)
        line, taps = simd.lanes(x), 0
        x_step, y_step = ((x_end - x_at) // calls // line + 1) * line, ((y_end - y_at) // calls // line + 1) * line
        for grid in range(strip + 2, strip + strip_size, 4):
            taps += strips[grid]
        before = 0
        for grid in range(strip + 2, strip + strip_size, 4):
            own, points, read, write = strips[grid], strips[grid + 1], strips[grid + 2], strips[grid + 3]
            tiles, last_point = (points * images + simd.ROWS - 1) // simd.ROWS, points * here
            start = piece * tiles // pieces
            stop = min((piece + 1) * tiles // pieces, (last_point + simd.ROWS - 1) // simd.ROWS)
            for number in range(part * groups * panels // parts, (part + 1) * groups * panels // parts):
                group, p = number // panels, number % panels
                to, n = y_start + group * out_channels + p * panel, out_channels - p * panel
                for t in range(start, stop):
                    spans.fetch(x, x_at, min(x_at + x_step, x_end))
                    spans.fetch(y, y_at, min(y_at + y_step, y_end))
                    x_at, y_at = x_at + x_step, y_at + y_step
                    tile(x, x_start + group * in_channels, reads, read + t * own * simd.ROWS, zeros, own,
                         length, 1, w, (number * taps + before) * length * panel, bias, number * panel,
                         y, to, writes, write + t * simd.ROWS, min(last_point - t * simd.ROWS, simd.ROWS), n,
                         epilogue.bend, not later)
                if later or spans.calls(epilogue):
                    for point in range(start * simd.ROWS, min(stop * simd.ROWS, last_point)):
                        spans.finish(y, to + writes[write + point], min(n, panel), epilogue)
            before += own

    gather.__qualname__ = f"gather_{halves}"
    return jit(gather)
