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
    grid's after another's. The offsets in the tables `reads` (tiles, taps, ROWS) and `writes` (tiles, ROWS) of each
    grid start at the first of a group of images: as many as make tiles come out nearly even.
    """

    def __init__(self, batch, source, target, grids, length, groups, dtype):
        images = min(batch, _images(prod(grids[0].size)))
        tables = [_table(images, source, target, grid) for grid in grids]
        self.reads, self.writes = (np.concatenate(parts) for parts in zip(*tables, strict=True))
        in_channels, out_channels = source[2] // groups, target[2] // groups
        panel = panel_width(out_channels, dtype)
        panels, image_groups = groups * -(-out_channels // panel), -(-batch // images)
        tiles = max(writes.size for _, writes in tables) // simd.ROWS
        parts = min(panels, -(-_BLOCKS // (image_groups * -(-tiles // _TILES_PER_BLOCK))))
        per_block = max(1, min(_TILES_PER_BLOCK, tiles * image_groups * parts // _BLOCKS))
        pieces = -(-tiles // per_block)
        numbers = sum(prod(grid.size) * (len(grid.origins) * length + 1) for grid in grids)
        self.launch = Launch(_kernel(simd.tiles_for(out_channels, dtype)), image_groups * pieces * parts,
                             work=batch * target[2] * numbers)
        self.zeros = np.zeros(length, dtype)
        calls = panels // parts * -(-self.writes.size // (simd.ROWS * pieces))
        large = batch * (prod(source) + prod(target)) * dtype.itemsize > _LARGE
        self.shape = np.array([images, batch, prod(source), prod(target), length, in_channels, out_channels, groups,
                               pieces, parts, max(1, calls), large])
        self.grids = np.array([(len(grid.origins), prod(grid.size)) for grid in grids]).reshape(-1)

    def __call__(self, x, w, bias, y, epilogue):
        """Fill y; x and y are flat and channels-last, w and bias packed by `packing`."""
        self.launch(x, w, bias, self.zeros, y, self.reads, self.writes, self.grids, self.shape, epilogue)


def _images(points):
    """How many images, of so many points each, to take together: the fewest that waste little of their last tile."""
    return next((i for i in (1, 2, 3, 4) if -(-points * i // simd.ROWS) * simd.ROWS <= 1.04 * points * i), 4)


def _table(images, source, target, grid):
    """(reads, writes) of a grid."""
    (h, w, c), (_, q, k), (rows, columns) = source, target, grid.size
    points = rows * columns
    tiles = -(-points * images // simd.ROWS)
    number = np.arange(tiles * simd.ROWS)
    real = number < points * images
    image, u, v = number // points, number % points // columns, number % columns
    reads = np.empty((tiles, len(grid.origins), simd.ROWS), np.int64)
    for tap, (dy, dx) in enumerate(grid.origins):
        y, x = u * grid.step[0] + dy, v * grid.step[1] + dx
        inside = real & (0 <= y) & (y < h) & (0 <= x) & (x < w)
        reads[:, tap] = np.where(inside, ((image * h + y) * w + x) * c, -1).reshape(tiles, simd.ROWS)
    pixel = (image * target[0] + u * grid.place[0] + grid.offset[0]) * q + v * grid.place[1] + grid.offset[1]
    return reads.reshape(-1), np.where(real, pixel * k, 0)


@functools.cache
def _kernel(tiles_):
    tile, halves = tiles_.tile, tiles_.halves

    def gather(block, slot, x, w, bias, zeros, y, reads, writes, grids, shape, epilogue):
        """Compute one block: a piece of each grid, for one group of images and some panels of output channels."""
        images, batch, image_x, image_y, length, in_channels, out_channels, groups, pieces, parts = shape[:10]
        calls, large, later = shape[10], shape[11], epilogue.adding or epilogue.masked
        panel = halves * simd.lanes(w) // 2
        panels = (out_channels + panel - 1) // panel
        part, place = block % parts, block // parts
        first, piece = place // pieces * images, place % pieces
        here = min(images, batch - first)
        # What the next block reads and writes is fetched, a little before each tile.
        ahead = place + 2 if large else place + 1
        x_at, x_end = (place + 1) * images * image_x // pieces, min(ahead * images * image_x // pieces, batch * image_x)
        y_at, y_end = (place + 1) * images * image_y // pieces, min(ahead * images * image_y // pieces, batch * image_y)
        line, taps = simd.lanes(x), 0
        x_step, y_step = ((x_end - x_at) // calls // line + 1) * line, ((y_end - y_at) // calls // line + 1) * line
        for grid in range(0, grids.size, 2):
            taps += grids[grid]
        read, write, before = 0, 0, 0
        for grid in range(0, grids.size, 2):
            own, points = grids[grid], grids[grid + 1]
            tiles, last_point = (points * images + simd.ROWS - 1) // simd.ROWS, points * here
            start = piece * tiles // pieces
            stop = min((piece + 1) * tiles // pieces, (last_point + simd.ROWS - 1) // simd.ROWS)
            for number in range(part * groups * panels // parts, (part + 1) * groups * panels // parts):
                group, p = number // panels, number % panels
                to, n = first * image_y + group * out_channels + p * panel, out_channels - p * panel
                for t in range(start, stop):
                    spans.fetch(x, x_at, min(x_at + x_step, x_end))
                    spans.fetch(y, y_at, min(y_at + y_step, y_end))
                    x_at, y_at = x_at + x_step, y_at + y_step
                    tile(x, first * image_x + group * in_channels, reads, read + t * own * simd.ROWS, zeros, own,
                         length, 1, w, (number * taps + before) * length * panel, bias, number * panel,
                         y, to, writes, write + t * simd.ROWS, min(last_point - t * simd.ROWS, simd.ROWS), n,
                         epilogue.bend, not later)
                if later or spans.calls(epilogue):
                    for point in range(start * simd.ROWS, min(stop * simd.ROWS, last_point)):
                        spans.finish(y, to + writes[write + point], min(n, panel), epilogue)
            read, write, before = read + tiles * own * simd.ROWS, write + tiles * simd.ROWS, before + own

    gather.__qualname__ = f"gather_{halves}"
    return jit(gather)
