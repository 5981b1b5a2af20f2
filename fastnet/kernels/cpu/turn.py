"""Axes in another order: how the numbers of one array become those of another, which lies the other way in memory.

What is left after axes that stay together were joined, and the first ones taken off where they stay first (the
*batch*), is moved in one of three ways:

    few numbers             one by one, as a table says where each of them comes from; small matrices in
                            registers; either way within a cache, from where whole vectors go on to the result
    the last axis stays     as spans of it, as a table says where each of them starts
    another one is last     as matrices of the axis that was last and the one that becomes it, turned in registers
"""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import Launch, in_words, inlined, jit, kept, named, scratch

# Numbers of a block, up to how many are few, and about how many of them are moved within the first cache together.
_BLOCK, _FEW, _CHUNK = 16_384, 1024, 2048


class _Order(NamedTuple):
    """`batch` times the same, of `size` numbers. A block takes `lines` of what it moves: batches, spans of `length`
    numbers, or rows of y that are `length` numbers long. A thread has `room` numbers of scratch memory, so many that
    squares may write behind their matrix. Rows of x and of y are `x_row` and `y_row` numbers apart, and a matrix of x
    has `columns`, of y as many rows: `parts` blocks take them all."""

    batch: int
    size: int
    length: int
    lines: int
    columns: int
    x_row: int
    y_row: int
    parts: int
    room: int = 0
    matrices: int = 0


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
        self.room = 0
        if size <= _FEW:
            self._few(batch, size, axes, simd.width(dtype))
        elif axes[-1][1] == 1:
            self._spans(batch, size, axes)
        else:
            self._matrices(batch, size, axes)
        self.launch, self.dtype = Launch(self.kernel, self.blocks, whole), dtype

    def _few(self, batch, size, axes, width):
        lines, (length, _), (columns, _) = max(1, _CHUNK // size), axes[-1], axes[0]
        matrices = len(axes) == 2 and axes[0][1] == 1 and (length <= width or length % width == 0 or columns in (2, 4))
        self.kernel, self.blocks = _move, -(-batch // (lines * _CHUNKS))
        self.tables, self.room = (_places(axes), _NO_TABLE), lines * size + width * (length + 1)
        self.plan = in_words(_Order(batch, size, length, lines, columns, 0, 0, 1, self.room, matrices))

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
        self.launch(x, y, *self.tables, scratch(self.room, self.dtype, self.launch.work), self.plan)


turn = kept(Turn)
# Chunks of a block.
_CHUNKS = _BLOCK // _CHUNK
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
def _move(block, slot, x, y, places, _, memory, numbers):
    """Some batches at a time are put in order in scratch memory, and go on to y from there."""
    plan, lanes, far = named(_Order, numbers), simd.lanes(x), spans.is_far(y)
    room = slot * plan.room
    for first in range(block * _CHUNKS * plan.lines, min((block + 1) * _CHUNKS * plan.lines, plan.batch), plan.lines):
        last = min(first + plan.lines, plan.batch)
        for one in range(first, last):
            to = room + (one - first) * plan.size
            if plan.matrices:
                _flip(x, one * plan.size, memory, to, plan)
            else:
                for i in range(plan.size):
                    memory[to + i] = x[one * plan.size + places[i]]
        for i in range(first * plan.size, last * plan.size, lanes):
            v = simd.load(memory, room + i - first * plan.size)
            spans.put(y, i, v, last * plan.size - i, far)


@inlined
def _flip(x, start, y, to, plan):
    """Turn a small matrix: few rows are zipped, few columns are picked apart, any other goes in squares of a vector's
    width. What a square writes beyond the matrix lies behind it, and is written again: so squares come in the order of
    y, and so do zips."""
    lanes, rows, columns = simd.lanes(x), plan.length, plan.columns
    if rows == 2 or rows == 4:
        for j in range(0, columns, lanes):
            n, at = columns - j, start + j
            a, b = simd.load_part(x, at, n), simd.load_part(x, at + columns, n)
            if rows == 2:
                _store_zipped(y, to + 2 * j, a, b)
            else:
                c, d = simd.load_part(x, at + 2 * columns, n), simd.load_part(x, at + 3 * columns, n)
                _store_zipped(y, to + 4 * j, simd.zip_first(a, c), simd.zip_first(b, d))
                _store_zipped(y, to + 4 * j + 2 * lanes, simd.zip_last(a, c), simd.zip_last(b, d))
    elif columns == 2 or columns == 4:
        for i in range(0, rows, lanes):
            n, at, left = rows - i, start + i * columns, (rows - i) * columns
            a, b = simd.load_part(x, at, left), simd.load_part(x, at + lanes, left - lanes)
            even, odd = simd.evens(a, b), simd.odds(a, b)
            if columns == 4:
                a, b = simd.load_part(x, at + 2 * lanes, left - 2 * lanes), simd.load_part(x, at + 3 * lanes,
                                                                                          left - 3 * lanes)
                other_even, other_odd = simd.evens(a, b), simd.odds(a, b)
                simd.store_part(y, to + 2 * rows + i, simd.odds(even, other_even), n)
                simd.store_part(y, to + 3 * rows + i, simd.odds(odd, other_odd), n)
                even, odd = simd.evens(even, other_even), simd.evens(odd, other_odd)
            simd.store_part(y, to + i, even, n)
            simd.store_part(y, to + rows + i, odd, n)
    else:
        for j in range(0, columns, lanes):
            for i in range(0, rows, lanes):
                simd.transpose(x, start + i * columns + j, columns, rows - i, columns - j, y, to + j * rows + i, rows)


@inlined
def _store_zipped(y, to, a, b):
    """a[0], b[0], a[1], ..."""
    simd.store(y, to, simd.zip_first(a, b))
    simd.store(y, to + simd.lanes(y), simd.zip_last(a, b))


@jit
def _copy(block, slot, x, y, places, _, memory, numbers):
    plan, far = named(_Order, numbers), spans.is_far(y)
    row, left = block // plan.parts * plan.lines, block % plan.parts * _BLOCK
    right, one, place = min(left + _BLOCK, plan.length), row // places.size, row % places.size
    for at in range(row, min(row + plan.lines, plan.batch * places.size)):
        start, to = one * plan.size + places[place], at * plan.length
        for i in range(left, right, simd.lanes(x)):
            spans.put(y, to + i, simd.load_part(x, start + i, right - i), right - i, far)
        place += 1
        if place == places.size:
            one, place = one + 1, 0


@jit
def _turn(block, slot, x, y, x_places, y_places, memory, numbers):
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
