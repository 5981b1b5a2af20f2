"""Recurrent layers: the loop over time of one layer in one direction, forward and backward.

Sequences do not know of each other. So a block owns some of them, as many as fill a register tile or two, and goes
with these through all of the steps; its states stay in scratch memory:

    forward     left: h, the states, a row each          sums: h W_hh^T + b_hh, by register tiles
    backward    left: the gradient for that product      sums: that for h, left times W_hh

Either way a step is a product, sums = left times panels of W_hh (see `linear`), packed once for all blocks and steps,
and what the cell does, a compiled function that the loop is told by its address: forward after the product, backward,
where the steps are taken in the opposite order, before it. So there is one loop for all cells and both passes.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cells import CELLS
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.activations import NO_BEND, Bend
from fastnet.kernels.cpu.cells import STEPS, Plan, Sequence
from fastnet.kernels.cpu.conv.packing import pack_bias
from fastnet.kernels.cpu.linear import Shape, columns_of, copy_panel
from fastnet.kernels.cpu.runtime import Launch, call, empty, flat, function_address, in_words, jit, kept, named, scratch

# Products of a launch, at most: Ctrl-C waits for it to end.
_LONGEST = 1 << 32
# How many rows a register tile may have, and which share of the multipliers' time it makes use of.
_HEIGHTS = {simd.ROWS: 1.0, simd.ROWS * 2 // 3: 0.95, simd.ROWS // 3: 0.75, 1: 0.25}


def recurrent_forward(z, w, cell, b=None, h=None, c=None, reverse=False, batch_first=False):
    """The states after each step, and what the way back needs."""
    return _forward(z, w, cell, (b, h, c), (reverse, batch_first), True)


def recurrent_inference(z, w, cell, b=None, h=None, c=None, reverse=False, batch_first=False):
    """The states after each step."""
    return _forward(z, w, cell, (b, h, c), (reverse, batch_first), False)[:3]


def recurrent_backward(kept, w, cell, dy=None, dh=None, dc=None, reverse=False, batch_first=False):
    """The gradients for z, for h W_hh^T + b_hh, and for the states at the beginning."""
    kept = checks.floating(kept, "kept")
    w, dy, dh, dc = (checks.optional(array, name, like=kept)
                     for array, name in ((w, "w"), (dy, "dy"), (dh, "dh"), (dc, "dc")))
    kinds = shapes.recurrent_backward(kept, w, cell, dy, dh, dc, reverse, batch_first)
    dz, da = (None if kind is None else empty(*kind) for kind in kinds[:2])
    loop = _loop(dz.shape, cell, Way(not reverse, bool(batch_first), True, dy is not None), dz.dtype)
    sequence = Sequence(flat(dz), flat(kept if dy is None else dy), flat(kept), flat(dz if da is None else da))
    return dz, da, *loop(sequence, w, None, dh, dc)


def _forward(z, w, cell, operands, order, training):
    z = checks.floating(z, "z")
    w, b, h, c = (checks.optional(array, name, like=z) for array, name in zip((w, *operands), "wbhc", strict=True))
    reverse, batch_first = order
    kinds = shapes.recurrent_forward(z, w, cell, b, h, c, reverse, batch_first)
    y = empty(*kinds[0])
    kept, before = (empty(*kind) if training and kind is not None else None for kind in kinds[3:])
    loop = _loop(z.shape, cell, Way(bool(reverse), bool(batch_first), False, training), z.dtype)
    sequence = Sequence(flat(z), flat(y), flat(y if kept is None else kept), flat(y if before is None else before))
    return y, *loop(sequence, w, b, h, c), kept, before


class Way(NamedTuple):
    """Whether the loop begins with the last step; which axis is the batch; whether it is the way back; and whether the
    loop writes what the way back needs, or, on the way back, there is a dy."""

    from_end: bool
    batch_first: bool
    back: bool
    full: bool


class _Loop:
    """The loop over z of that shape, all worked out but the numbers."""

    def __init__(self, shape, cell, way, dtype):
        self.row, back, (outer, inner, columns) = CELLS[cell], way.back, shape
        batch, steps = (outer, inner) if way.batch_first else (inner, outer)
        hidden = columns // self.row.gates
        depth, wide = (columns, hidden) if back else (hidden, columns)
        tiles, lanes = simd.tiles_for(wide, dtype), simd.width(dtype)
        height = min(_HEIGHTS, key=lambda rows: -(-batch // rows) * rows / _HEIGHTS[rows])
        panel, rows = tiles.halves * lanes // 2, height * (2 if batch > 4 * height else 1)
        panels, left_row, sums_row = -(-wide // panel), depth + lanes, wide + lanes     # rows that do not collide
        sums, second = rows * left_row, rows * (left_row + sums_row)
        self.shape, self.panel, self.batch = (
            Shape(rows=0, depth=depth, columns=wide, step=1, together=1, parts=1, turned=not back), panel, batch)
        self.packed, self.size = panels * (depth + lanes) * panel, second + rows * hidden
        self.hidden, work = hidden, batch * depth * wide
        self.pack = Launch(_pack, panels, depth * wide)
        count = max(1, min(steps, _LONGEST // work))
        plan = Plan(begin=0, end=0, steps=steps, batch=batch, hidden=hidden, depth=depth, wide=wide, panels=panels,
                    rows=rows, height=height, step_apart=1 if way.batch_first else batch,
                    sequence_apart=steps if way.batch_first else 1, left_row=left_row, sums=sums, sums_row=sums_row,
                    second=second, state=sums if back else 0, state_row=sums_row if back else left_row, size=self.size,
                    from_end=way.from_end, back=back, full=way.full, carries=0)
        cuts = [*range(0, steps, count), steps]
        self.plans = [in_words(plan._replace(begin=begin, end=end,
                                             carries=back and self.row.splits and end == steps))
                      for begin, end in zip(cuts, cuts[1:], strict=False)]
        self.launch = Launch(_kernel(height, tiles.halves), -(-batch // rows), work * steps // lanes)
        self.step, self.address = STEPS[cell][back], None
        self.tables = np.arange(height) * left_row, np.arange(height) * sums_row
        self.no_bias, self.no_state = np.zeros(panels * panel, dtype), np.zeros(batch * hidden, dtype)

    def __call__(self, sequence, w, b, h, c):
        """The two states at the end, (N, H), the second one None where the cell has none; h and c are those at the
        beginning."""
        packed = empty(self.packed, w.dtype)
        self.pack(flat(w), packed, self.panel, self.shape)
        bias = self.no_bias if b is None else pack_bias(b, self.shape.columns, w.dtype)
        h, c = (self.no_state if state is None else flat(state) for state in (h, c))
        for plan in self.plans:
            memory = scratch(self.size, w.dtype, self.launch.work)
            h_n, c_n = (empty((self.batch, self.hidden), w.dtype) for _ in range(2))
            ends, weights = _Ends(h, c, flat(h_n), flat(c_n)), _Weights(packed, bias, *self.tables)
            if self.address is None:
                self.address = function_address(self.step, (sequence, memory, 0, 0, plan))
            self.launch(sequence, ends, weights, memory, plan, _Step(self.address, NO_BEND))
            h, c = ends.h_n, ends.c_n
        return h_n, c_n if self.row.has_c else None


_loop = kept(_Loop)


class _Ends(NamedTuple):
    """The states, or their gradients, where the loop begins and where it ends."""

    h: np.ndarray
    c: np.ndarray
    h_n: np.ndarray
    c_n: np.ndarray


class _Weights(NamedTuple):
    """W_hh in panels, what is added to a product, and where the rows of `left` and of `sums` start, see `simd.tile`."""

    packed: np.ndarray
    bias: np.ndarray
    reads: np.ndarray
    writes: np.ndarray


class _Step(NamedTuple):
    """Where the cell's function is; and that the tile applies no activation."""

    address: int
    bend: Bend


@jit
def _pack(block, slot, w, packed, panel, shape):
    """One panel."""
    to = block * (shape.depth + simd.lanes(w)) * panel
    copy_panel(w, columns_of(block * panel, panel, shape), panel, packed, to)


@functools.cache
def _kernel(height, halves):
    tile = simd.make_tile(height, halves)

    def recurrent(block, slot, sequence, ends, weights, memory, numbers, step):
        """Some of the sequences."""
        plan, packed = named(Plan, numbers), weights.packed
        at, panel = slot * plan.size, halves * simd.lanes(packed) // 2
        first, stop = block * plan.rows, min((block + 1) * plan.rows, plan.batch)
        _begin(ends, memory, at, first, stop, plan)
        for turn in range(2 * plan.begin, 2 * plan.end):
            if turn % 2 == plan.back:
                for p in range(plan.panels):
                    for i in range(first, stop, plan.height):
                        tile(memory, at + (i - first) * plan.left_row, weights.reads, 0, memory, 1, plan.depth, 1,
                             packed, p * (plan.depth + simd.lanes(packed)) * panel, weights.bias, p * panel, memory,
                             at + plan.sums + (i - first) * plan.sums_row + p * panel, weights.writes, 0,
                             min(plan.height, stop - i), min(panel, plan.wide - p * panel), step.bend, 0)
            else:
                t = plan.steps - 1 - turn // 2 if plan.from_end else turn // 2
                call(step.address, (first, stop, sequence, memory, at, t, numbers))
        _end(ends, memory, at, first, stop, plan)

    recurrent.__qualname__ = f"recurrent_{height}x{halves}"
    return jit(recurrent)


@jit
def _begin(ends, memory, at, first, stop, plan):
    """Copy the states to where the first step reads them."""
    for i in range(first, stop):
        state, second = at + plan.state + (i - first) * plan.state_row, at + plan.second + (i - first) * plan.hidden
        for j in range(0, plan.hidden, simd.lanes(memory)):
            n, source = plan.hidden - j, i * plan.hidden + j
            simd.store_part(memory, state + j, simd.load_part(ends.h, source, n), n)
            simd.store_part(memory, second + j, simd.load_part(ends.c, source, n), n)


@jit
def _end(ends, memory, at, first, stop, plan):
    """Copy the states from where the last step left them; the second is a share of the first where the plan says so."""
    for i in range(first, stop):
        state, second = at + plan.state + (i - first) * plan.state_row, at + plan.second + (i - first) * plan.hidden
        for j in range(0, plan.hidden, simd.lanes(memory)):
            n, target = plan.hidden - j, i * plan.hidden + j
            h, c = simd.load_part(memory, state + j, n), simd.load_part(memory, second + j, n)
            if plan.carries:
                h, c = h + c, simd.full(memory, 0)
            simd.store_part(ends.h_n, target, h, n)
            simd.store_part(ends.c_n, target, c, n)
