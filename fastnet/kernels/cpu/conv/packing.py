"""Weights and biases in the order in which register tiles read them.

A *panel* is as many columns, output channels of the pass at hand, as a tile is wide. Within it the numbers that a tile
reads one after the other lie one after the other: for 64 output channels, and panels of 32,

    w[k, c, r, s]:   s is innermost, so the numbers of one row of a panel lie C R S apart
    packed:          (group, panel, tap, row = input channel, 32 columns)

        panel 0: tap 0: channel 0: w[0, 0, 0, 0]  w[1, 0, 0, 0]  ...  w[31, 0, 0, 0]
                        channel 1: w[0, 1, 0, 0]  w[1, 1, 0, 0]  ...  w[31, 1, 0, 0]
                        ...
                 tap 1: channel 0: w[0, 0, 0, 1]  ...
        panel 1: tap 0: channel 0: w[32, 0, 0, 0] ...

What lies side by side in w has to lie apart afterwards, so squares of numbers are transposed in registers.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import Launch, empty, flat, in_words, jit, kept, launch, named, scratch

# Rows of a panel that a block packs where there is one tap, and where there are more: in long stretches of memory the
# processor foresees what will be read.
_ROWS, _ROWS_OF_TAPS = 128, 16


class WeightMatrices(NamedTuple):
    """Where the weights (K, C / groups, R, S) lie as matrices, one for each group and tap: rows are the channels that a
    pass reads, columns those that it makes. Forward these are C and K, backward K and C."""

    groups: int
    group_stride: int   # from a number of one group to that of the next
    rows: int
    row_stride: int
    columns: int
    column_stride: int
    taps: int           # R S: their numbers lie side by side
    panel: int          # columns of a panel
    panels: int         # of one group
    block_rows: int     # rows of a panel that a block packs
    parts: int          # blocks that share them

    @property
    def blocks(self):
        return self.groups * self.panels * self.parts

    @property
    def numbers(self):
        """Of one tap in all panels, with those that fill up the last panel of a group."""
        return self.groups * self.panels * self.panel * self.rows


def weight_matrices(w_shape, dtype, groups, backward, choose=simd.tiles_for):
    """The WeightMatrices of weights of that shape, for the tiles that are chosen for their columns."""
    k, c, r, s = w_shape
    inputs, outputs = (c, r * s), (k // groups, c * r * s)  # how many, and how far apart
    (rows, row_stride), (columns, column_stride) = (outputs, inputs) if backward else (inputs, outputs)
    panel = choose(columns, dtype).halves * simd.width(dtype) // 2
    block_rows = _ROWS if r * s == 1 else _ROWS_OF_TAPS
    return WeightMatrices(groups=groups, group_stride=k // groups * c * r * s, rows=rows, row_stride=row_stride,
                          columns=columns, column_stride=column_stride, taps=r * s, panel=panel,
                          panels=-(-columns // panel), block_rows=block_rows, parts=-(-rows // block_rows))


class PackWeights:
    """From weights to (groups, panels, taps, rows, panel) for the tiles that are chosen, and a choice of taps. In a
    last partial panel the numbers that are left over mean nothing."""

    def __init__(self, w_shape, dtype, groups, taps, backward=False, choose=simd.tiles_for):
        w = weight_matrices(w_shape, dtype, groups, backward, choose)
        self.size, self.spare = w.numbers * len(taps), (w.taps + simd.width(dtype)) * simd.width(dtype)
        self.panel, self.taps, self.numbers = w.panel, np.array(taps, np.int64), in_words(w)
        self.launch = Launch(_pack, w.blocks if len(taps) else 0, w.numbers * w.taps)

    def __call__(self, w):
        packed = empty(self.size, w.dtype)
        self.launch(w.reshape(-1), packed, scratch(self.spare, w.dtype, self.launch.work), self.taps, self.numbers)
        return packed


@jit
def _pack(block, slot, w, packed, memory, taps, numbers):
    """Pack some rows of one panel.

    Squares are transposed along whatever lies side by side in w: the rows or the columns if there is but one tap, else
    the taps. Where no columns are left to fill the panel, the last one is taken again.
    """
    plan, lanes = named(WeightMatrices, numbers), simd.lanes(w)
    panel_number, part = block // plan.parts, block % plan.parts
    group, left = panel_number // plan.panels, panel_number % plan.panels * plan.panel
    spare, to = slot * (plan.taps + lanes) * lanes, panel_number * taps.size * plan.rows * plan.panel
    first, last = part * plan.block_rows, min((part + 1) * plan.block_rows, plan.rows)
    for j in range(0, plan.panel, lanes):
        start = group * plan.group_stride + min(left + j, plan.columns - 1) * plan.column_stride
        count, room = max(plan.columns - left - j, 1), plan.panel - j
        if plan.row_stride == 1:
            for row in range(first, last, lanes):
                simd.transpose(w, start + row, plan.column_stride, count, plan.rows - row, memory, spare, lanes)
                for i in range(min(lanes, last - row)):
                    simd.store_part(packed, to + (row + i) * plan.panel + j, simd.load(memory, spare + i * lanes), room)
        elif plan.column_stride == 1:
            for row in range(first, last):
                v = simd.load_part(w, start + row * plan.row_stride, count)
                simd.store_part(packed, to + row * plan.panel + j, v, room)
        else:
            for row in range(first, last):
                transpose_taps(w, start + row * plan.row_stride, count, memory, spare, plan)
                for t in range(taps.size):
                    v = simd.load(memory, spare + taps[t] * lanes)
                    simd.store_part(packed, to + (t * plan.rows + row) * plan.panel + j, v, room)


@jit
def transpose_taps(w, start, count, memory, spare, plan):
    """One vector for each tap, from memory[spare] on: the numbers that this tap has in `count` columns, of which the
    first one's taps are at w[start]. Where these do not fill a vector, the first one is taken again."""
    for i in range(0, plan.taps, simd.lanes(w)):
        simd.transpose(w, start + i, plan.column_stride, count, plan.taps - i, memory, spare + i * simd.lanes(w),
                       simd.lanes(w))


def pack_bias(b, k, dtype, groups=1, choose=simd.tiles_for):
    """The bias of k channels in panels like the weights, zeros behind each group's; for None zeros, to be read only."""
    if b is None:
        return _no_bias(k, dtype, groups, choose)
    columns, wide, blocks = _columns(k, dtype, groups, choose)
    packed = empty(blocks * wide, dtype)
    launch(_pack_bias, blocks, flat(b), packed, columns, wide, work=0)
    return packed


def _columns(k, dtype, groups, choose):
    """A group's channels, how many numbers the panels of so many have, and of how many groups there have to be: one
    more where panels are half a vector, since whole ones are read."""
    columns = k // groups
    panel = choose(columns, dtype).halves * simd.width(dtype) // 2
    return columns, -(-columns // panel) * panel, groups + (panel < simd.width(dtype))


@kept
def _no_bias(k, dtype, groups, choose):
    _, wide, blocks = _columns(k, dtype, groups, choose)
    return np.zeros(blocks * wide, dtype)


@jit
def _pack_bias(block, slot, b, packed, columns, wide):
    """A group's biases, zeros behind them."""
    left = min(columns, b.size - block * columns)
    for i in range(wide):
        packed[block * wide + i] = b[block * columns + i] if i < left else 0
