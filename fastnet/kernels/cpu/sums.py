"""Sums that keep float32's accuracy, however many numbers they run over.

Adding n numbers one by one in float32 gives a sum that may be wrong by n / 4 roundings, 1.5e-8 n of itself, even where
all of them are equal. So the kernels that use this file add up short chains only, in registers: `CHAIN` numbers at most
in each lane. What a chain gives goes to a sum in float64 (`simd.accumulate`), or some of that to one in float32 first,
which is then moved to float64 (`spill`). All is rounded once, at the end. Where a chain ends depends on the shapes
alone, so the bits are the same for any number of threads. Register tiles have chains of their own: as long as the
channels and taps of a convolution, or 4,096 features of a product with weights.
"""
import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import Launch, empty, inlined, jit, kept, scratch

# The most numbers that are added one by one in a lane: the error stays below 1e-6. And the rows of a matrix that are
# added up together, in two or four such chains, or shorter ones: sums that do not wait for each other.
CHAIN = 64
PAIR = 2 * CHAIN

# Rows and columns of a block.
_ROWS, _COLUMNS = 1024, 256
_NO_ROOM = np.zeros(0)
# Which of a thread's scratch arrays float64 sums lie in: another one than a kernel for float64 has for its numbers.
PART = 3


@inlined
def add_rows(sums, to, x, start, rows, apart, columns):
    """sums[to + j] += the sum over i < rows of x[start + i apart + j], for j < columns; sums are float64."""
    for top in range(0, rows, PAIR):
        bottom = min(top + PAIR, rows)
        for j in range(0, columns, simd.lanes(x)):
            n, at, last = columns - j, start + top * apart + j, start + (bottom - 1) * apart + j
            a = b = c = d = simd.full(x, 0)     # four chains, which do not wait for each other
            while at + 3 * apart <= last:
                a, b = a + simd.load_part(x, at, n), b + simd.load_part(x, at + apart, n)
                at += 2 * apart
                c, d = c + simd.load_part(x, at, n), d + simd.load_part(x, at + apart, n)
                at += 2 * apart
            while at <= last:
                a = a + simd.load_part(x, at, n)
                at += apart
            simd.accumulate(sums, to + j, (a + b) + (c + d), n)


@jit
def add_long_rows(sums, to, x, start, rows, apart, columns):
    """`add_rows` in an order that lets memory keep up, and takes as little as half the time: eight whole rows at a time
    where these are long, else four vectors side by side."""
    lanes = simd.lanes(x)
    if columns > 8 * lanes:
        rest = rows % 8
        for at in range(start, start + (rows - rest) * apart, 8 * apart):
            for j in range(0, columns, lanes):
                simd.accumulate(sums, to + j, _sum_of_eight(x, at + j, apart, columns - j), columns - j)
        if rest:
            add_rows(sums, to, x, start + (rows - rest) * apart, rest, apart, columns)
    else:
        strips = columns // (4 * lanes) * 4 * lanes
        for top in range(0, rows, PAIR):
            for j in range(0, strips, 4 * lanes):
                _add_strip(sums, to + j, x, start + top * apart + j, min(PAIR, rows - top), apart)
        if strips < columns:
            add_rows(sums, to + strips, x, start + strips, rows, apart, columns - strips)


@inlined
def _sum_of_eight(x, at, apart, n):
    """The sum of eight rows, for the n columns, or a vector of them, from x[at] on."""
    first = simd.load_part(x, at, n) + simd.load_part(x, at + apart, n)
    second = simd.load_part(x, at + 2 * apart, n) + simd.load_part(x, at + 3 * apart, n)
    at += 4 * apart
    third = simd.load_part(x, at, n) + simd.load_part(x, at + apart, n)
    fourth = simd.load_part(x, at + 2 * apart, n) + simd.load_part(x, at + 3 * apart, n)
    return (first + second) + (third + fourth)


@inlined
def _add_strip(sums, to, x, at, rows, apart):
    """The sums of a pair of chains, for the four vectors of columns that begin at x[at]."""
    lanes, last = simd.lanes(x), at + (rows - 1) * apart
    a = b = c = d = p = q = r = s = simd.full(x, 0)
    while at < last:
        a, b = a + simd.load(x, at), b + simd.load(x, at + lanes)
        c, d = c + simd.load(x, at + 2 * lanes), d + simd.load(x, at + 3 * lanes)
        at += apart
        p, q = p + simd.load(x, at), q + simd.load(x, at + lanes)
        r, s = r + simd.load(x, at + 2 * lanes), s + simd.load(x, at + 3 * lanes)
        at += apart
    if at == last:
        a, b = a + simd.load(x, at), b + simd.load(x, at + lanes)
        c, d = c + simd.load(x, at + 2 * lanes), d + simd.load(x, at + 3 * lanes)
    simd.accumulate(sums, to, a + p, lanes)
    simd.accumulate(sums, to + lanes, b + q, lanes)
    simd.accumulate(sums, to + 2 * lanes, c + r, lanes)
    simd.accumulate(sums, to + 3 * lanes, d + s, lanes)


@inlined
def add_rows_of_words(sums, to, words, start, rows, apart, columns):
    """`add_rows` for words of two bfloat16 numbers, see `simd.bfloat16`: both are added."""
    for top in range(0, rows, CHAIN):
        for j in range(0, columns, simd.lanes(words)):
            low = high = simd.full(words, 0)
            for i in range(top, min(top + CHAIN, rows)):
                pair = simd.load_part(words, start + i * apart + j, columns - j)
                low, high = low + simd.low(pair), high + simd.high(pair)
            simd.accumulate(sums, to + j, low + high, columns - j)


@jit
def spill(x, sums, start, stop):
    """Move x[start : stop] to the float64 sums in the same places: they are added there, and x starts anew from 0."""
    for i in range(start, stop, simd.lanes(x)):
        simd.accumulate(sums, i, simd.load_part(x, i, stop - i), stop - i)
        simd.store_part(x, i, simd.full(x, 0), stop - i)


def room(size):
    """Uninitialised room for so many sums in float64, which may be none."""
    return empty(size, np.float64) if size else _NO_ROOM


class ColumnSums:
    """The sums, as `columns` numbers of a dtype, of so many rows that start `apart` numbers from each other in a flat
    array, all worked out but the numbers. The array's dtype is `source`: a Launch is for one, so each dtype has
    ColumnSums of its own."""

    def __init__(self, rows, apart, columns, dtype, source):
        self.steps = []
        while rows > _ROWS:  # the sums of some rows each, and then of these
            parts = -(-rows // _ROWS)
            self.steps.append(self._step(rows, apart, columns, parts, np.dtype(np.float64)))
            rows, apart = parts, columns
        self.steps.append(self._step(rows, apart, columns, 1, np.dtype(dtype)))

    def _step(self, rows, apart, columns, parts, dtype):
        run = Launch(add_up_columns, parts * column_blocks(columns), rows * columns)
        return run, (rows, apart, columns), parts * columns, dtype

    def __call__(self, x):
        for run, shape, size, dtype in self.steps:
            y = empty(size, dtype)
            run(x, y, columns_memory(run.work), *shape)
            x = y
        return x


column_sums = kept(ColumnSums)


def column_blocks(columns):
    """The blocks of `add_up_columns` that so many columns of a few rows take."""
    return -(-columns // _COLUMNS)


def columns_memory(work):
    """The scratch memory of `add_up_columns` within a launch of that work."""
    return scratch(_COLUMNS, np.float64, work, PART)


@jit
def add_up_columns(block, slot, x, y, memory, rows, apart, columns):
    """Some columns of one part of the rows, of which there is one where there are few rows."""
    across = (columns + _COLUMNS - 1) // _COLUMNS
    part, left, sums = block // across, block % across * _COLUMNS, slot * _COLUMNS
    top, count = part * _ROWS, min(_COLUMNS, columns - left)
    spans.clear(memory, sums, sums + count)
    add_rows(memory, sums, x, top * apart + left, min(_ROWS, rows - top), apart, count)
    for j in range(0, count, simd.lanes(y)):
        simd.store_part(y, part * columns + left + j, simd.rounded(memory, sums + j, count - j, y), count - j)
