"""What the parts of a gradient for weights have added up, each on its own, becomes the gradient."""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, sums
from fastnet.kernels.cpu.conv.operands import Gradients
from fastnet.kernels.cpu.runtime import Launch, empty, in_words, inlined, jit, named, scratch, whole_lines

# Lines of a block: so many numbers that lie side by side in the gradient are then written one soon after the other.
_LINES = 64


class CollectPlan(NamedTuple):
    """What parts have: for each group and tap, panels of columns, and in each `room` rows of a panel."""

    groups: int             # or none, where the only part's sums are the gradient, and biases alone are added up
    lines: int              # of a group: real rows of all its taps
    biases: int
    parts: int
    part_size: int
    room: int               # rows of a tap, with those that fill up its last tile
    rows: int               # without
    columns: int
    panel: int              # numbers of a row that lie side by side
    panels: int             # of a tap
    apart: int              # from a column's number in the gradient to the next one's
    memory: int = 0         # numbers of a slot


class _Memory(NamedTuple):
    """Scratch memory."""

    squares: np.ndarray     # of numbers of the gradient, two: rows of sums, and columns of them
    sums: np.ndarray        # see `sums.columns_memory`


class _Lines(NamedTuple):
    """For each line, in the order of places, where its first column's number is."""

    sources: np.ndarray     # in the sums of a part
    places: np.ndarray      # in the gradient (K, C / groups, R, S)


class Collect:
    """Adds the sums of all parts in order, and puts them where they belong in the gradient, of `size` numbers: the
    first column of group, tap and row in `places`. The sums are float64 if `spilled`, see `sums`."""

    def __init__(self, plan, places, size, dtype, spilled=False):
        lanes = simd.width(dtype)
        plan = plan._replace(memory=whole_lines(2 * lanes * lanes, dtype))
        order = np.argsort(places)
        taps, rows = np.divmod(order, plan.rows)
        self.size, self.biases, self.in_place, self.memory = size, plan.biases, not plan.groups, plan.memory
        self.lines = _Lines((taps * plan.panels * plan.room + rows) * plan.panel, places[order])
        self.numbers = in_words(plan)
        blocks = plan.groups * -(-plan.lines // _LINES)
        self.launch = Launch(_kernel(spilled), blocks + sums.column_blocks(plan.biases),
                             plan.parts * (plan.part_size if blocks else plan.biases))

    def __call__(self, found, dtype):
        """(dw, db), both flat, from the sums of all parts; db None where nobody asked for biases."""
        bias, work = found.bias.size > 0, self.launch.work
        dw, db = found.weights if self.in_place else empty(self.size, dtype), empty(self.biases if bias else 0, dtype)
        if bias or not self.in_place:
            memory = _Memory(scratch(self.memory, dtype, work), sums.columns_memory(work))
            self.launch(found, Gradients(dw, db), self.lines, memory, self.numbers)
        return dw, db if bias else None


@functools.cache
def _kernel(spilled):
    def collect(block, slot, found, made, at, memory, numbers):
        """Bring some lines to their places. Behind all of these, add up some biases."""
        plan, weights, dw, lanes = named(CollectPlan, numbers), found.weights, made.weights, simd.lanes(made.weights)
        blocks = (plan.lines + _LINES - 1) // _LINES
        if block >= plan.groups * blocks:
            if made.bias.size:
                sums.add_up_columns(block - plan.groups * blocks, slot, found.bias, made.bias, memory.sums, plan.parts,
                                    plan.biases, plan.biases)
            return
        before, first = block // blocks * plan.lines, block % blocks * _LINES
        stop, first = before + min(first + _LINES, plan.lines), before + first
        square, turned = slot * plan.memory, slot * plan.memory + lanes * lanes
        for j in range(0, plan.columns, lanes):
            n, column = plan.columns - j, j // plan.panel * plan.room * plan.panel + j % plan.panel
            for line in range(first, stop, lanes):
                count = min(lanes, stop - line)
                for i in range(count):
                    total = total_of(weights, at.sources[line + i] + column, n, dw, plan)
                    simd.store(memory.squares, square + i * lanes, total)
                if plan.apart == 1:
                    for i in range(count):
                        v = simd.load(memory.squares, square + i * lanes)
                        simd.store_part(dw, at.places[line + i] + j, v, n)
                else:   # the places of lines are adjacent
                    simd.transpose(memory.squares, square, lanes, count, lanes, memory.squares, turned, lanes)
                    for lane in range(min(lanes, n)):
                        v = simd.load(memory.squares, turned + lane * lanes)
                        simd.store_part(dw, at.places[line] + (j + lane) * plan.apart, v, count)

    @inlined
    def total_of_sums(weights, start, n, dw, plan):
        """The sum over all parts of n numbers of a line, rounded."""
        for part in range(1, plan.parts):
            add_part(weights, start, part, n, plan, dw)
        return simd.rounded(weights, start, n, dw)

    @inlined
    def total_of_numbers(weights, start, n, dw, plan):
        """The sum over all parts of n numbers of a line."""
        total = simd.load_part(weights, start, n)
        for part in range(1, plan.parts):
            total = total + simd.load_part(weights, part * plan.part_size + start, n)
        return total

    @inlined
    def add_part(weights, start, part, n, plan, dw):
        """Add what a part has to what the first one has."""
        for i in range(0, min(n, simd.lanes(dw)), simd.lanes(weights)):
            v = simd.load_part(weights, part * plan.part_size + start + i, n - i)
            simd.accumulate(weights, start + i, v, n - i)

    total_of = total_of_sums if spilled else total_of_numbers
    collect.__qualname__ = "collect" + "_sums" * spilled
    return jit(collect)
