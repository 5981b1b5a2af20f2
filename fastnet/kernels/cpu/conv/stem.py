"""Direct convolution of images with few channels, as the first ones of nets are.

A tap of 3 channels is too short a run of products, so here whole rows of the kernel are the taps: in an image with its
padding written out, the pixels under such a row lie side by side, and one run of products covers them:

    y[pixel, j] = bias[j] + sum over kernel rows r and i < S C of padded[row r of the window, i] filters[r, i, j]

A block computes some rows of one image, with the register tile and the tables of `direct`. It first copies the rows of
x that these read, with zeros around the image, to its slot's memory, which stays in the cache: a padded copy of all
images would have to go out to memory and back. Seen from there all blocks look alike, at the borders too, so one table
of as many pixels as a block has serves them all.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv.direct_tables import Grid, Rows, tables_of
from fastnet.kernels.cpu.conv.geometry import Images, Pair
from fastnet.kernels.cpu.conv.operands import Operands, Y
from fastnet.kernels.cpu.conv.padding import copy_rows
from fastnet.kernels.cpu.conv.prefetch import ahead, fetch_portion
from fastnet.kernels.cpu.runtime import Launch, Sweep, in_words, jit, named, scratch

# Tiles of a block at most, and how many blocks there should be.
_TILES, _BLOCKS = 32, 8


class _Plan(NamedTuple):
    height: int
    width: int
    channels: int
    top: int
    left: int
    padded_width: int
    out_height: int
    out_width: int
    out_channels: int
    stride: int
    reach: int          # rows of x under a window
    taps: int
    length: int         # numbers of a tap
    panels: int
    rows: int           # of y that a block computes
    pieces: int         # blocks of an image
    memory: int         # numbers of a slot


class StemConvolution:
    """y from x, all worked out but the numbers; for one group, and no dilation across."""

    def __init__(self, geometry):
        x, y, kernel, padding, dtype = (geometry.source, geometry.target, geometry.kernel, geometry.padding,
                                        geometry.dtype)
        stride, dilation = geometry.stride.down, geometry.dilation.down
        rows, length, reach = _rows(y, geometry.batch), kernel.across * x.channels, (kernel.down - 1) * dilation + 1
        padded = Images((rows - 1) * stride + reach, x.width + padding.left + padding.right, x.channels)
        taps = tuple(Pair(row * dilation, 0) for row in range(kernel.down))
        grid = Grid(Pair(rows, y.width), geometry.stride, taps, Pair(1, 1), Pair(0, 0))
        self.tables = tables_of(1, padded, y._replace(height=rows), [grid], [Rows(0, rows)], simd.ROWS,
                                np.zeros(length, dtype))
        shape, pieces = simd.close_tiles_for(y.channels, dtype), -(-y.height // rows)
        panel, self.memory = shape.halves * simd.width(dtype) // 2, padded.numbers
        self.numbers = in_words(_Plan(
            height=x.height, width=x.width, channels=x.channels, top=padding.top, left=padding.left,
            padded_width=padded.width, out_height=y.height, out_width=y.width, out_channels=y.channels, stride=stride,
            reach=reach, taps=len(taps), length=length, panels=-(-y.channels // panel), rows=rows, pieces=pieces,
            memory=self.memory))
        work = geometry.batch * y.numbers * (len(taps) * length + 1)
        self.launch = Launch(_kernel(shape), geometry.batch * pieces, work,
                             writes=Sweep.of_rows(Y, geometry.batch, y.height, y.width * y.channels, rows, pieces))

    def __call__(self, x, filters, bias, y, epilogue):
        """Fill y; x and y are flat and channels-last, filters and bias packed by `packing`."""
        memory = scratch(self.memory, x.dtype, self.launch.work)
        self.launch(Operands(x, filters, bias, y), memory, self.tables, self.numbers, epilogue)


def _rows(y, batch):
    """How many rows of y a block takes: those of the second half of what it may that fill tiles the best."""
    most = max(1, min(y.height, _TILES * simd.ROWS // y.width, y.height * batch // _BLOCKS))
    return min(range(most, most // 2, -1), key=lambda rows: -(-rows * y.width // simd.ROWS) / rows)


@functools.cache
def _kernel(tiles):
    tile, halves = tiles.tile, tiles.halves

    def convolve(block, slot, operands, memory, tables, numbers, epilogue):
        """Compute some rows of an image, in all panels of output channels."""
        plan, x, y = named(_Plan, numbers), operands.x, operands.y
        later = epilogue.adding or epilogue.masked      # done when all panels are finished, not in the tile
        panel, image = halves * simd.lanes(y) // 2, block // plan.pieces
        row = block % plan.pieces * plan.rows
        pixels = min(plan.rows, plan.out_height - row) * plan.out_width
        tiles, top, read = (pixels + simd.ROWS - 1) // simd.ROWS, row * plan.stride, slot * plan.memory
        bottom = top + (pixels // plan.out_width - 1) * plan.stride + plan.reach
        copy_rows(x, memory, read, image, top, bottom, plan)
        times, x_row = tiles * plan.panels, plan.width * plan.channels
        x_end = (image * plan.height + bottom - plan.top) * x_row
        x_ahead = ahead(x, max(0, x_end), x_end + (bottom - top) * x_row, times)
        y_start = (image * plan.out_height + row) * plan.out_width * plan.out_channels
        y_size = pixels * plan.out_channels
        y_ahead = ahead(y, y_start + y_size, y_start + 2 * y_size, times)
        for p in range(plan.panels):
            left = p * panel
            columns, filters, write = plan.out_channels - left, p * plan.taps * plan.length * panel, y_start + left
            for t in range(tiles):
                x_ahead, y_ahead = fetch_portion(x, x_ahead), fetch_portion(y, y_ahead)
                tile(memory, read, tables.reads, t * plan.taps * simd.ROWS, tables.zeros, plan.taps, plan.length, 1,
                     operands.filters, filters, operands.bias, left, y, write, tables.writes, t * simd.ROWS,
                     min(pixels - t * simd.ROWS, simd.ROWS), columns, epilogue.bend, not later)
        if later or spans.has_calls(epilogue):
            spans.apply_rest(y, y_start, y_size, epilogue)

    convolve.__qualname__ = f"convolve_stem_{halves}"
    return jit(convolve)
