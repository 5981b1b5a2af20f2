"""Filters in the order in which register tiles read them.

A *panel* is as many columns, output channels of the pass at hand, as a tile is wide; within it the numbers that a tile
reads one after the other lie one after the other. In the weights (K, C, R, S) the elements of one kernel do, so squares
of them are turned in registers.
"""
import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime.array import empty, flat, scratch
from fastnet.kernels.cpu.runtime.jit import Launch, jit, launch

# Rows of a panel that a block packs.
ROWS = 16


def panel_width(columns, dtype):
    """How many numbers a row of a panel for so many columns has."""
    return simd.tiles_for(columns, dtype).halves * simd.width(dtype) // 2


class Layout:
    """Where the filters w (K, C / groups, R, S) lie as matrices, one for each group and element of the kernel: rows are
    the channels that a pass reads, columns those that it makes, C and K forward, K and C backward. All in numbers."""

    def __init__(self, w_shape, dtype, groups, backward):
        k, c, r, s = w_shape
        ways = [(c, r * s), (k // groups, c * r * s)]
        (self.rows, self.row_stride), (self.columns, self.column_stride) = reversed(ways) if backward else ways
        self.size, self.group_stride = r * s, k // groups * c * r * s
        self.panel = panel_width(self.columns, dtype)
        self.panels = -(-self.columns // self.panel)
        self.parts = -(-self.rows // ROWS)
        self.blocks = groups * self.panels * self.parts
        self.numbers = groups * self.panels * self.panel * self.rows

    def shape(self, *more):
        """The layout for kernels, with more numbers of theirs."""
        return np.array([self.panel, self.panels, self.parts, self.rows, self.columns, self.row_stride,
                         self.column_stride, self.size, *more])


class Pack:
    """From weights to filters as (groups, panels, taps, rows, panel), for a choice of elements of the kernel, the
    `taps`. In a last partial panel the numbers that are left over mean nothing."""

    def __init__(self, w_shape, dtype, groups, taps, backward=False):
        layout, lanes = Layout(w_shape, dtype, groups, backward), simd.width(dtype)
        self.numbers, self.spare = layout.numbers * len(taps), (layout.size + lanes) * lanes
        self.taps, self.shape = np.array(taps, np.int64), layout.shape(layout.group_stride)
        self.launch = Launch(_pack, layout.blocks if len(taps) else 0, layout.numbers * layout.size)

    def __call__(self, w):
        packed = empty(self.numbers, w.dtype)
        self.launch(w.reshape(-1), packed, scratch(self.spare, w.dtype, self.launch.work), self.taps, self.shape)
        return packed


def pack_bias(b, k, dtype, groups=1):
    """The bias of k channels in panels like the filters; zeros for None."""
    columns = k // groups
    panel = panel_width(columns, dtype)
    wide = -(-columns // panel) * panel
    if b is None:
        return np.zeros(groups * wide, dtype)
    packed = empty(groups * wide, dtype)
    launch(_pack_bias, groups, flat(b), packed, columns, wide, work=0)
    return packed


@jit
def _pack_bias(block, slot, b, packed, columns, wide):
    """A group's biases, zeros behind them."""
    for i in range(wide):
        packed[block * wide + i] = b[block * columns + i] if i < columns else 0


@jit
def turn_kernels(w, start, apart, count, size, memory, spare):
    """The `size` elements of kernels that are `apart` from each other: one vector of them for each element. Where
    `count` kernels do not fill a vector, the first one is taken again."""
    for i in range(0, size, simd.lanes(w)):
        simd.transpose(w, start + i, apart, count, size - i, memory, spare + i * simd.lanes(w), simd.lanes(w))


@jit
def _pack(block, slot, w, packed, memory, taps, shape):
    """Pack some rows of one panel."""
    panel, panels, parts, rows, columns, row_stride, column_stride, size, group_stride = shape[:9]
    number, lanes, count = block // parts, simd.lanes(w), taps.size
    group, left = number // panels, number % panels * panel
    spare, to = slot * (size + lanes) * lanes, number * count * rows * panel
    first, last = block % parts * ROWS, min(block % parts * ROWS + ROWS, rows)
    for j in range(0, panel, lanes):
        # Where there are no columns left, any will do.
        start, n = group * group_stride + min(left + j, columns - 1) * column_stride, max(columns - left - j, 1)
        if row_stride == 1:
            for row in range(first, last, lanes):
                simd.transpose(w, start + row, column_stride, n, rows - row, memory, spare, lanes)
                for i in range(min(lanes, last - row)):
                    simd.store_part(packed, to + (row + i) * panel + j, simd.load(memory, spare + i * lanes), panel - j)
        elif column_stride == 1:
            for row in range(first, last):
                v = simd.load_part(w, start + row * row_stride, n)
                simd.store_part(packed, to + row * panel + j, v, panel - j)
        else:
            for row in range(first, last):
                turn_kernels(w, start + row * row_stride, column_stride, n, size, memory, spare)
                for t in range(count):
                    v = simd.load(memory, spare + taps[t] * lanes)
                    simd.store_part(packed, to + (t * rows + row) * panel + j, v, panel - j)
