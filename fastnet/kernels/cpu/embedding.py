"""A table of vectors, and the rows that indices ask for.

The gradient is a sum for each row of the table, over the places where its index stands. One thread sorts the places by
their indices, by counting, places of one index in their order; then each block owns some columns of some rows. So the
bits do not depend on the number of threads, and nothing is added by two of them.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import empty, flat, jit, launch, scratch, settle

# Numbers and columns of a block.
_BLOCK, _COLUMNS = 16_384, 256


def embedding_forward(w, x):
    """y[i] = w[x[i]]."""
    w, x = checks.floating(w, "w"), np.asarray(x)
    shape, dtype = shapes.embedding_forward(w, x)
    settle()
    x, y, (count, columns) = checks.indices(x, w.shape[0]), empty(shape, dtype), shape
    rows = max(1, _BLOCK // columns)
    launch(_gather, -(-count // rows), flat(w), flat(x), y.reshape(-1), columns, rows, work=y.size)
    return y


def embedding_backward(dy, x, rows, padding_idx=None, scale_grad_by_freq=False):
    """dw[v] = the sum of dy[i] where x[i] = v, by how many there are."""
    dy, x = checks.floating(dy, "dy"), np.asarray(x)
    (_, columns), dtype = shapes.embedding_backward(dy, x, rows, padding_idx, scale_grad_by_freq)
    settle()
    x, dw = flat(checks.indices(x, rows)), empty((rows, columns), dtype)
    places = _Places(empty(rows + 2, np.int64), empty(x.size, np.int64))
    launch(_sort, 1, x, places, work=0)
    group, across = max(1, _BLOCK // min(columns, _COLUMNS)), -(-columns // _COLUMNS)
    how = _Sum(columns, group, -1 if padding_idx is None else int(padding_idx), bool(scale_grad_by_freq))
    work = dy.size + dw.size
    total = scratch(simd.width(dtype), np.float64, work, sums.PART)
    launch(_add_up, -(-rows // group) * across, flat(dy), places, flat(dw), total, how, work=work)
    return dw


class _Places(NamedTuple):
    """order[starts[v] : starts[v + 1]] are the places where index v stands."""

    starts: np.ndarray
    order: np.ndarray


class _Sum(NamedTuple):
    """Numbers of a row, rows of a block, the row that stays zero, or -1, and whether the others are divided."""

    columns: int
    group: int
    padding: int
    by_count: bool


@jit
def _gather(block, slot, w, x, y, columns, rows):
    """Some rows of y. An index that somebody has changed meanwhile reads a row of the table all the same."""
    last, stop = w.size // columns - 1, min((block + 1) * rows, x.size)
    for i in range(block * rows, stop):
        source = min(max(x[i], 0), last) * columns
        after = min(max(x[min(i + 1, stop - 1)], 0), last) * columns    # rows lie anywhere: nobody else foresees it
        spans.fetch(w, after, after + columns)
        for j in range(0, columns, simd.lanes(w)):
            simd.store_part(y, i * columns + j, simd.load_part(w, source + j, columns - j), columns - j)


@jit
def _sort(block, slot, x, places):
    starts, last = places.starts, places.starts.size - 3
    for v in range(starts.size):
        starts[v] = 0
    for i in range(x.size):
        starts[min(max(x[i], 0), last) + 2] += 1
    for v in range(2, starts.size):
        starts[v] += starts[v - 1]
    for i in range(x.size):     # starts[v + 1] goes from where v begins to where it ends
        v = min(max(x[i], 0), last)
        places.order[starts[v + 1]] = i
        starts[v + 1] += 1


@jit
def _add_up(block, slot, dy, places, dw, total, how):
    """Some columns of some rows of dw."""
    columns, group = how.columns, how.group
    across, lanes, sum_at = (columns + _COLUMNS - 1) // _COLUMNS, simd.lanes(dw), slot * simd.lanes(dw)
    first, left = block // across * group, block % across * _COLUMNS
    for v in range(first, min(first + group, dw.size // columns)):
        begin, end = places.starts[v], places.starts[v + 1]
        if v == how.padding or begin == end:
            spans.clear(dw, v * columns + left, v * columns + min(left + _COLUMNS, columns))
            continue
        count = simd.full(dw, end - begin if how.by_count else 1)
        for j in range(left, min(left + _COLUMNS, columns), lanes):
            spans.clear(total, sum_at, sum_at + lanes)
            for piece in range(begin, end, sums.CHAIN):
                chain = simd.full(dw, 0)
                for place in range(piece, min(piece + sums.CHAIN, end)):
                    chain = chain + simd.load_part(dy, places.order[place] * columns + j, columns - j)
                simd.accumulate(total, sum_at, chain, lanes)
            simd.store_part(dw, v * columns + j, simd.rounded(total, sum_at, lanes, dw) / count, columns - j)
