"""What the kernels of all norms share: means and squared deviations without cancellation, weights that may be missing.

Numbers are added up relative to one of them, or to the mean of some, so that a large mean does not swallow what they
differ by. What runs of numbers give is combined after Chan, Golub and LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances", 1979: one reading of memory, and where there is a second one it comes from a
cache.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import flat, inlined, jit, kept

# How many deviations the mean may be away from a pivot, squared: a variance's error grows to 1 + _FAR times at most.
_FAR = 4
# A pivot is the mean of so many rows, here and there among the others: of neighbours, images have many that are alike.
_SAMPLES = 4


class Moments(NamedTuple):
    """For each column of a piece of a matrix its mean, and the sum of the squared deviations from that; and the pivot,
    relative to which both were found."""

    means: np.ndarray
    squares: np.ndarray
    pivots: np.ndarray


class Columns(NamedTuple):
    """`count` numbers side by side in each row of a matrix, whose rows start `apart` numbers from each other; `step`
    rows are gone through at a time. Where there are other numbers between rows, the next ones are fetched meanwhile."""

    count: int
    apart: int
    step: int


class Affine(NamedTuple):
    """y = gamma xhat + beta."""

    gamma: np.ndarray
    beta: np.ndarray


def affine(gamma, beta, size, dtype):
    """Both, flat: ones and zeros where there is none."""
    return Affine(constant(1, size, dtype) if gamma is None else flat(gamma),
                  constant(0, size, dtype) if beta is None else flat(beta))


class Operands(NamedTuple):
    """What a norm has beside its numbers: gamma and beta, mean and var of what is normalised together, and whether the
    mean is taken off, or 0."""

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    eps: float
    centred: bool


def operands(weights, mean, var, eps, centred=True):
    """The Operands of an `Affine`, all flat."""
    return Operands(*weights, flat(mean), flat(var), float(eps), centred)


@kept
def constant(value, size, dtype):
    """An array of equal numbers, to be read only."""
    return np.full(size, value, dtype)


class _Chunk(NamedTuple):
    """Rows that are gone through together: their first number, how many they are and how far from each other."""

    at: int
    rows: int
    apart: int


@jit
def of_columns(x, start, rows, columns, table, to):
    """The moments of some rows, of which the first begins at x[start], into table[to:].

    The numbers and their squares are added up in one reading, relative to a pivot p for each column:

        mean = p + s,   squares = sum of (x - p)^2 - rows s^2,   s = sum of (x - p) / rows

    Where p happens to be far from the mean the two terms of `squares` cancel: then all is done once more, with the mean
    as the pivot."""
    c, samples = columns.count, min(rows, _SAMPLES)
    share, apart = simd.full(x, 1 / x.dtype.type(samples)), rows // samples * columns.apart
    for j in range(0, c, simd.lanes(x)):
        pivot = simd.full(x, 0)
        for i in range(samples):
            pivot = simd.fma(simd.load_part(x, start + j + i * apart, c - j), share, pivot)
        simd.store_part(table.pivots, to + j, pivot, c - j)
    if _around_pivots(x, start, rows, columns, table, to):
        for j in range(to, to + c):
            table.pivots[j] = table.means[j]
        _around_pivots(x, start, rows, columns, table, to)


@jit
def _around_pivots(x, start, rows, columns, table, to):
    """The moments by way of the pivots in the table; whether one of these was too far from the mean."""
    c, apart, step, means, squares = columns.count, columns.apart, columns.step, table.means, table.squares
    spans.clear(means, to, to + c)
    spans.clear(squares, to, to + c)
    for top in range(0, rows, step):
        bottom, at = min(top + step, rows), start + top * apart
        if apart != c:      # else the processor sees by itself what comes next
            for i in range(bottom, min(bottom + step, rows)):
                spans.fetch(x, start + i * apart, start + i * apart + c)
        _add_rows(x, _Chunk(at, bottom - top, apart), c, table, to)
    count, yes, no, far = simd.full(x, rows), simd.full(x, 1), simd.full(x, 0), simd.full(x, 0)
    for j in range(to, to + c, simd.lanes(x)):
        n = to + c - j
        away = simd.load_part(means, j, n) / count
        lost = away * away * count
        square = simd.relu(simd.load_part(squares, j, n) - lost)
        # Asked in this way, the answer is yes too where squares have become infinite, and NaN what is left of them.
        far = far + simd.above(lost, no, simd.above(simd.full(x, _FAR) * square, lost, no, yes), no)
        simd.store_part(means, j, simd.load_part(table.pivots, j, n) + away, n)
        simd.store_part(squares, j, square, n)
    return simd.largest(far) > 0


@inlined
def _add_rows(x, chunk, c, table, to):
    """Add to the table what the numbers of a chunk are more than the pivots, and the squares of that; four vectors side
    by side as long as there are so many: what is read then lies together for long enough that memory keeps up."""
    lanes, means, squares = simd.lanes(x), table.means, table.squares
    whole = c // (4 * lanes) * 4 * lanes
    for j in range(0, whole, 4 * lanes):
        _add_four(x, _Chunk(chunk.at + j, chunk.rows, chunk.apart), table, to + j)
    for j in range(whole, c, lanes):
        n, pivot = c - j, simd.load_part(table.pivots, to + j, c - j)
        at, last = chunk.at + j, chunk.at + j + (chunk.rows - 1) * chunk.apart
        even = odd = even_squared = odd_squared = simd.full(x, 0)     # so that one addition does not wait for another
        while at < last:
            v, w = simd.load_part(x, at, n) - pivot, simd.load_part(x, at + chunk.apart, n) - pivot
            even, odd = even + v, odd + w
            even_squared, odd_squared = simd.fma(v, v, even_squared), simd.fma(w, w, odd_squared)
            at += 2 * chunk.apart
        if at == last:
            v = simd.load_part(x, at, n) - pivot
            even, even_squared = even + v, simd.fma(v, v, even_squared)
        simd.store_part(means, to + j, simd.load_part(means, to + j, n) + (even + odd), n)
        simd.store_part(squares, to + j, simd.load_part(squares, to + j, n) + (even_squared + odd_squared), n)


@inlined
def _add_four(x, chunk, table, to):
    """`_add_rows` for the four vectors of columns that begin where the chunk does."""
    lanes, pivots = simd.lanes(x), load_four(table.pivots, to)
    added = squared = simd.full(x, 0), simd.full(x, 0), simd.full(x, 0), simd.full(x, 0)
    for at in range(chunk.at, chunk.at + chunk.rows * chunk.apart, chunk.apart):
        (a, b, c, d), (p, q, r, s) = load_four(x, at), pivots
        a, b, c, d = a - p, b - q, c - r, d - s
        added = added[0] + a, added[1] + b, added[2] + c, added[3] + d
        squared = (simd.fma(a, a, squared[0]), simd.fma(b, b, squared[1]),
                   simd.fma(c, c, squared[2]), simd.fma(d, d, squared[3]))
    for i in range(4):
        here = to + i * lanes
        simd.store(table.means, here, simd.load(table.means, here) + added[i])
        simd.store(table.squares, here, simd.load(table.squares, here) + squared[i])


@inlined
def load_four(x, at):
    """Four vectors side by side."""
    lanes = simd.lanes(x)
    return simd.load(x, at), simd.load(x, at + lanes), simd.load(x, at + 2 * lanes), simd.load(x, at + 3 * lanes)


@jit
def of_run(x, start, count, centred):
    """(mean, variance) of x[start : start + count], in float64; where it is not `centred` 0 stands for the mean, and
    the mean of the squares for the variance."""
    lanes = simd.lanes(x)
    mean, square, few = 0.0, 0.0, sums.PAIR * lanes
    for first in range(0, count, few):
        n, at, centre = min(few, count - first), start + first, x.dtype.type(0)
        if centred:
            pivot = simd.full(x, x[at])
            even, odd = simd.full(x, 0), simd.full(x, 0)
            for i in range(0, n, 2 * lanes):
                even = even + (simd.load_filled(x, at + i, n - i, pivot) - pivot)
                odd = odd + (simd.load_filled(x, at + i + lanes, n - i - lanes, pivot) - pivot)
            centre = x.dtype.type(x[at] + simd.total(even + odd) / n)
        middle = simd.full(x, centre)
        even, odd = simd.full(x, 0), simd.full(x, 0)
        for i in range(0, n, 2 * lanes):
            v = simd.load_filled(x, at + i, n - i, middle) - middle
            w = simd.load_filled(x, at + i + lanes, n - i - lanes, middle) - middle
            even, odd = simd.fma(v, v, even), simd.fma(w, w, odd)
        away, share = centre - mean, n / (first + n)
        square += simd.total(even + odd) + away * away * first * share
        mean += away * share
    return mean, square / count
