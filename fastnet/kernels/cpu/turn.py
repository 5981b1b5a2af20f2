"""Axes in another order: how the numbers of one array become those of another, which lies the other way in memory.

What is left after axes that stay together were joined, and the first ones taken off where they stay first (the
*batch*), is moved in one of three ways:

    few numbers             one by one, as a table says where each of them comes from; small matrices as squares
    the last axis stays     as spans of it, as a table says where each of them starts
    another one is last     as matrices of the axis that was last and the one that becomes it, turned in registers
"""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import Launch, in_words, jit, kept, named

# Numbers of a block, and up to how many are few.
_BLOCK, _FEW = 16_384, 1024


class _Order(NamedTuple):
    """`batch` times the same, of `size` numbers. A block takes `lines` of what it moves: batches, spans of `length`
    numbers, or rows of y that are `length` numbers long. Rows of x and of y are `x_row` and `y_row` numbers apart, and
    a matrix of x has `columns`, of y as many rows: `parts` blocks take them all."""

    batch: int
    size: int
    length: int
    lines: int
    columns: int
    x_row: int
    y_row: int
    parts: int


class Turn:
    """y.flat of x.flat where axis i of y, as both lie in memory, is axis order[i] of x, all worked out but the
    numbers."""

    def __init__(self, shape, order, dtype):
        steps = np.append(np.cumprod(np.array(shape[:0:-1], np.int64))[::-1], 1).tolist() if shape else []
        axes = _joined([(shape[axis], steps[axis]) for axis in order])
        whole = prod(length for length, _ in axes)
        batch = axes.pop(0)[0] if axes and axes[0][0] * axes[0][1] == whole else 1
        size = whole // batch
        if not axes:    # nothing moves
            batch, size, axes = 1, whole, [(whole, 1)]
        if size <= _FEW:
            self._few(batch, size, axes, simd.width(dtype))
        elif axes[-1][1] == 1:
            self._spans(batch, size, axes)
        else:
            self._matrices(batch, size, axes)
        self.launch = Launch(self.kernel, self.blocks, whole)

    def _few(self, batch, size, axes, width):
        lines, (length, _) = _BLOCK // size, axes[-1]
        matrices = len(axes) == 2 and axes[0][1] == 1 and (length <= width or length % width == 0)
        self.kernel, self.blocks = _flip if matrices else _pick, -(-batch // lines)
        self.tables = _places(axes), _NO_TABLE
        self.plan = in_words(_Order(batch, size, length, lines, axes[0][0], 0, 0, 1))

    def _spans(self, batch, size, axes):
        *others, (length, _) = axes
        parts, lines = -(-length // _BLOCK), max(1, _BLOCK // length)
        rows = batch * size // length
        self.kernel, self.blocks, self.tables = _copy, -(-rows // lines) * parts, (_places(others), _NO_TABLE)
        self.plan = in_words(_Order(batch, size, length, lines, 0, 0, 0, parts))

    def _matrices(self, batch, size, axes):
        last = len(axes) - 1
        first = next(place for place, (_, step) in enumerate(axes) if step == 1)    # the one that is last in x
        y_steps = [prod(length for length, _ in axes[place + 1:]) for place in range(len(axes))]
        others = [place for place in range(last) if place != first]
        (columns, _), (length, x_row) = axes[first], axes[last]
        tables = _places([axes[place] for place in others]), _places([(axes[place][0], y_steps[place])
                                                                      for place in others])
        lines = max(_LANES, _BLOCK // length // _LANES * _LANES)
        parts = -(-columns // lines)
        self.kernel, self.blocks, self.tables = _turn, batch * len(tables[0]) * parts, tables
        self.plan = in_words(_Order(batch, size, length, lines, columns, x_row, y_steps[first], parts))

    def __call__(self, x, y):
        self.launch(x, y, *self.tables, self.plan)


turn = kept(Turn)
# A multiple of the numbers in any vector.
_LANES = 16
_NO_TABLE = np.zeros(0, np.int64)


def _joined(axes):
    """(length, step in x) of the axes of y, without those of length 1, neighbours that are so in x made one."""
    found = []
    for length, step in axes:
        if length == 1:
            continue
        if found and found[-1][1] == length * step:
            length *= found.pop()[0]
        found.append((length, step))
    return found


def _places(axes):
    """Where the numbers of some axes, (length, step), lie, in the order of the axes."""
    places = np.zeros(1, np.int64)
    for length, step in axes:
        places = (places[:, None] + np.arange(length) * step).reshape(-1)
    return places


@jit
def _pick(block, slot, x, y, places, _, numbers):
    plan = named(_Order, numbers)
    for one in range(block * plan.lines, min((block + 1) * plan.lines, plan.batch)):
        start = one * plan.size
        for i in range(plan.size):
            y[start + i] = x[start + places[i]]


@jit
def _flip(block, slot, x, y, places, _, numbers):
    """Small matrices, each turned in squares of a vector's width. What a square writes beyond its matrix lies behind
    it, and is written again: so squares come in the order of y, and the last matrices of a block number by number."""
    plan, lanes = named(_Order, numbers), simd.lanes(x)
    first, last = block * plan.lines, min((block + 1) * plan.lines, plan.batch)
    beyond = (plan.columns + lanes) * plan.length + lanes
    for one in range(first, last):
        start = one * plan.size
        if start + beyond <= last * plan.size:
            for j in range(0, plan.columns, lanes):
                for i in range(0, plan.length, lanes):
                    simd.transpose(x, start + i * plan.columns + j, plan.columns, plan.length - i, plan.columns - j, y,
                                   start + j * plan.length + i, plan.length)
        else:
            for i in range(plan.size):
                y[start + i] = x[start + places[i]]


@jit
def _copy(block, slot, x, y, places, _, numbers):
    plan = named(_Order, numbers)
    row, left = block // plan.parts * plan.lines, block % plan.parts * _BLOCK
    right, one, place = min(left + _BLOCK, plan.length), row // places.size, row % places.size
    for at in range(row, min(row + plan.lines, plan.batch * places.size)):
        start, to = one * plan.size + places[place], at * plan.length
        for i in range(left, right, simd.lanes(x)):
            simd.store_part(y, to + i, simd.load_part(x, start + i, right - i), right - i)
        place += 1
        if place == places.size:
            one, place = one + 1, 0


@jit
def _turn(block, slot, x, y, x_places, y_places, numbers):
    """Some columns of a matrix of x, which are rows of y."""
    plan, lanes = named(_Order, numbers), simd.lanes(x)
    left, matrix = block % plan.parts * plan.lines, block // plan.parts
    right, start = min(left + plan.lines, plan.columns), matrix // x_places.size * plan.size
    x_start, y_start = start + x_places[matrix % x_places.size], start + y_places[matrix % x_places.size]
    for j in range(left, right, lanes):
        for i in range(0, plan.length, lanes):
            source, target = x_start + i * plan.x_row + j, y_start + j * plan.y_row + i
            if i + lanes <= plan.length and j + lanes <= right:
                simd.transpose(x, source, plan.x_row, lanes, lanes, y, target, plan.y_row)
            else:
                for column in range(min(lanes, right - j)):
                    for row in range(min(lanes, plan.length - i)):
                        y[target + column * plan.y_row + row] = x[source + row * plan.x_row + column]
