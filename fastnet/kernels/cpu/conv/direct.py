"""Direct convolution: a register tile reads the pixels under each tap through a table of their places.

One kernel serves the forward pass and the gradient for the input, with any stride, padding, dilation and groups. In
the words of a matrix product, the rows of a tile are ROWS pixels of the result, or fewer, its columns a panel of
output channels, and its sum runs over taps and input channels:

    y[writes[i] + j] = bias[j] + sum over taps t and channels c of x[reads[t, i] + c] filters[t, c, j]

The tables `reads` and `writes`, see `direct_tables`, say where pixels begin, and which are outside of the image; there
the tile reads zeros. So no matrix of copied pixels ("im2col") is filled, and borders cost nothing extra (Dukhan, "The
Indirect Convolution Algorithm", 2019).

With a stride, the pixels of the gradient for the input fall into classes that different taps reach. Each class is a
`Grid` of pixels with tables of its own; a block takes the pixels of all grids that lie in its part of the images, so
that what they read and write between each other is fetched once.
"""
import functools
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv.direct_tables import (
    GridPlan,
    StripPlan,
    images_together,
    pixels_of,
    rows_for,
    shape_for,
    strips_of,
    sweep_of,
    tables_of,
)
from fastnet.kernels.cpu.conv.operands import Operands
from fastnet.kernels.cpu.conv.prefetch import ahead, fetch_portion, fetch_results
from fastnet.kernels.cpu.runtime import Launch, entry, in_words, inlined, jit, named

# Tiles that share one pass over the packed filters, and so the filters' trip from L2 to the registers; fewer of them
# where a batch is so small that there would be fewer blocks than that.
_TILES_PER_BLOCK = 8
_BLOCKS = 8
# Bytes of images that a cache may not hold.
_LARGE = 8 << 20
# And of results that are finished together, while they lie in the second cache at least.
_TOGETHER = 1 << 16
# Filters are fetched a panel ahead where no more blocks than this read them, so that many a tile would wait for them,
# and where all of them take more than this share of the second cache.
_READERS, _SHARE = 8, 0.5


class _Plan(NamedTuple):
    batch: int
    images: int         # that are taken together
    strips: int         # of an image; if more than one, images are taken one by one
    x_size: int         # numbers of an image
    y_size: int
    length: int         # numbers that are read from each pixel on
    in_channels: int    # of one group of channels, as the next two
    out_channels: int
    panels: int
    groups: int
    grids: int
    taps: int           # of all grids
    pieces: int         # blocks that share the tiles of some images, or of a strip
    parts: int          # blocks that share the panels
    together: int       # panels after which the epilogue is applied to all of them
    tiles: int          # that a block computes, about: between so many it fetches what comes next
    large: int          # whether the images do not fit the cache
    ahead: int          # how many numbers further on filters are fetched: a panel, or 0 where a cache has them anyway


class DirectConvolution:
    """A convolution from images `source` to images `target`, all worked out but the numbers.

    Each pixel of the result reads `length` numbers from each of its pixels on; the packed filters have the taps of all
    `grids`, one grid's after another's. If `paired`, images and filters hold words of two bfloat16 numbers, see
    `bfloat16`, and words are counted in place of numbers.
    """

    def __init__(self, batch, source, target, grids, length, groups, dtype, paired=False):
        self.strips = strips_of(grids)
        images = min(batch, images_together(prod(grids[0].size))) if len(self.strips) == 1 else 1
        out_channels = target.channels // groups
        shape = shape_for(out_channels, dtype)
        apart = source.channels * grids[0].step.across * dtype.itemsize
        rows = rows_for(images * pixels_of(grids[0], self.strips[0]), shape, apart)
        self.tables = tables_of(images, source, target, grids, self.strips, rows, np.zeros(length, dtype))
        panel = shape.halves * simd.width(dtype) // 2
        panels = groups * -(-out_channels // panel)
        shares = -(-batch // images) * len(self.strips)
        tiles = [-(-images * pixels_of(grid, self.strips[0]) // rows) for grid in grids]
        parts = min(panels, -(-_BLOCKS // (shares * -(-max(tiles) // _TILES_PER_BLOCK))))
        pieces = -(-max(tiles) // max(1, min(_TILES_PER_BLOCK, max(tiles) * shares * parts // _BLOCKS)))
        filters = sum(len(grid.origins) for grid in grids) * length * panel     # numbers of a panel
        few, many = shares * pieces <= _READERS, panels * filters * dtype.itemsize > _SHARE * simd.CACHE_BYTES
        self.numbers = in_words(_Plan(
            batch=batch, images=images, strips=len(self.strips), x_size=source.numbers, y_size=target.numbers,
            length=length, in_channels=source.channels // groups, out_channels=out_channels, panels=panels // groups,
            groups=groups, grids=len(grids), taps=sum(len(grid.origins) for grid in grids), pieces=pieces, parts=parts,
            together=max(1, _TOGETHER // (-(-max(tiles) // pieces) * rows * panel * dtype.itemsize)),
            tiles=max(1, panels // parts * -(-sum(tiles) // pieces)),
            large=batch * (source.numbers + target.numbers) * dtype.itemsize > _LARGE,
            ahead=filters if few or many else 0))
        work = batch * target.channels * sum(prod(grid.size) * (len(grid.origins) * length + 1) for grid in grids)
        self.launch = Launch(_kernel(rows, shape.halves, paired), shares * pieces * parts, work,
                             writes=sweep_of(batch, images, target, grids, self.strips, rows, pieces))

    def __call__(self, x, filters, bias, y, epilogue):
        """Fill y; x and y are flat and channels-last, filters and bias packed by `packing`."""
        self.launch(Operands(x, filters, bias, y), self.tables, self.numbers, epilogue)


@functools.cache
def _kernel(rows, halves, paired):
    tile = simd.make_tile_fetching(rows, halves, paired)

    def convolve(block, slot, operands, tables, numbers, epilogue):
        """Compute one block: a piece of each grid, for some images or a strip of one, and some panels of output
        channels.

        Panels are the outer loop and tiles of pixels the inner one: a panel's filters, read again by every tile, stay
        in L1 or L2, and the few tiles' pixels, read again for every panel, in L2.
        """
        plan, x, y = named(_Plan, numbers), operands.x, operands.y
        # Something is added when some panels are done, not in the tile, and functions are called then.
        later = epilogue.adding or epilogue.masked
        finishes = later or spans.has_calls(epilogue)
        panel, panels, a_line = halves * simd.lanes(y) // 2, plan.groups * plan.panels, 64 // y.itemsize
        part, place = block % plan.parts, block // plan.parts
        piece, share = place % plan.pieces, place // plan.pieces
        strip, first_image = entry(StripPlan, tables.strips, share % plan.strips), share // plan.strips * plan.images
        x_start, y_start = first_image * plan.x_size + strip.x_start, first_image * plan.y_size + strip.y_start
        x_ahead, y_ahead = _next_block(x, place, plan.x_size, plan), _next_block(y, place, plan.y_size, plan)
        for g in range(plan.grids):
            grid = entry(GridPlan, tables.grids, strip.kind * plan.grids + g)
            all_tiles = (grid.pixels * plan.images + rows - 1) // rows
            pixels = grid.pixels * min(plan.images, plan.batch - first_image)
            start = piece * all_tiles // plan.pieces
            stop = min((piece + 1) * all_tiles // plan.pieces, (pixels + rows - 1) // rows)
            last = (part + 1) * panels // plan.parts - 1
            unfinished = y_start + _channel(part * panels // plan.parts, panel, plan)   # from here on
            for p in range(part * panels // plan.parts, last + 1):
                left = p % plan.panels * panel
                columns, filters = plan.out_channels - left, (p * plan.taps + grid.taps_before) * plan.length * panel
                read, write = x_start + p // plan.panels * plan.in_channels, y_start + _channel(p, panel, plan)
                line = 0    # which line of each row of the next panel a tile fetches
                for t in range(start, stop):
                    x_ahead, y_ahead = fetch_portion(x, x_ahead), fetch_results(y, epilogue, y_ahead)
                    tile(x, read, tables.reads, grid.reads + t * grid.taps * rows, tables.zeros,
                         grid.taps, plan.length, 1, operands.filters, filters, operands.bias, p * panel,
                         y, write, tables.writes, grid.writes + t * rows,
                         min(pixels - t * rows, rows), columns, epilogue.bend, not later, plan.ahead + line)
                    line = line + a_line if line + a_line < panel else 0
                if finishes and (p == last or (p + 1) % plan.together == 0):
                    end = write + min(columns, panel)
                    spans.apply_rest_to_pixels(y, unfinished, tables.writes, grid.writes + start * rows,
                                               grid.writes + min(stop * rows, pixels), end - unfinished, epilogue)
                    unfinished = end

    convolve.__qualname__ = f"convolve_{rows}x{halves}" + "_words" * paired
    return jit(convolve)


@inlined
def _channel(p, panel, plan):
    """The first channel of a panel."""
    return p // plan.panels * plan.out_channels + p % plan.panels * panel


@jit
def _next_block(x, place, size, plan):
    """What the next block reads of x, or writes of y, images of `size` numbers: to be fetched a little before each
    tile. Nothing where the images are in a cache anyway."""
    shares, numbers = plan.strips * plan.pieces, plan.images * size
    stop = (place + 2 if plan.large else place + 1) * numbers // shares
    return ahead(x, (place + 1) * numbers // shares, min(stop, plan.batch * size), plan.tiles)
