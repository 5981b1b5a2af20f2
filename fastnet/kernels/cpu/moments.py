"""What the kernels of all norms share: means and squared deviations without cancellation, weights that may be missing.

Numbers are added up relative to one of them, so that a large mean does not swallow what they differ by, and deviations
are squared once the mean of these numbers is known. What runs of numbers give is combined after Chan, Golub and
LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979: one reading of memory, the
second one coming from a cache.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import flat, inlined, jit, kept


class Moments(NamedTuple):
    """For each column of a piece of a matrix its mean, and the sum of the squared deviations from that."""

    means: np.ndarray
    squares: np.ndarray


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
    """The moments of some rows, of which the first begins at x[start], into table[to:]; even and odd rows apart, so
    that one addition does not wait for the other."""
    c, apart, step, means, squares = columns.count, columns.apart, columns.step, table.means, table.squares
    spans.clear(means, to, to + c)
    spans.clear(squares, to, to + c)
    for top in range(0, rows, step):
        bottom, at = min(top + step, rows), start + top * apart
        if apart != c:      # else the processor sees by itself what comes next
            for i in range(bottom, min(bottom + step, rows)):
                spans.fetch(x, start + i * apart, start + i * apart + c)
        _add_rows(x, _Chunk(at, bottom - top, apart), c, x, start, means, to, False)
    share = simd.full(x, 1 / x.dtype.type(rows))
    for j in range(0, c, simd.lanes(x)):
        n, pivot = c - j, simd.load_part(x, start + j, c - j)
        simd.store_part(means, to + j, simd.fma(simd.load_part(means, to + j, n), share, pivot), n)
    for top in range(0, rows, step):
        chunk = _Chunk(start + top * apart, min(step, rows - top), apart)
        _add_rows(x, chunk, c, means, to, squares, to, True)


@inlined
def _add_rows(x, chunk, c, centres, first, totals, to, squared):
    """Add to c totals what the numbers of a chunk are more than the centres, or the squares of that; four vectors side
    by side as long as there are so many: what is read then lies together for long enough that memory keeps up."""
    lanes = simd.lanes(x)
    whole = c // (4 * lanes) * 4 * lanes
    for j in range(0, whole, 4 * lanes):
        _add_four(x, _Chunk(chunk.at + j, chunk.rows, chunk.apart), centres, first + j, totals, to + j, squared)
    for j in range(whole, c, lanes):
        n, centre = c - j, simd.load_part(centres, first + j, c - j)
        at, last = chunk.at + j, chunk.at + j + (chunk.rows - 1) * chunk.apart
        even, odd = simd.full(x, 0), simd.full(x, 0)
        while at < last:
            even = _more(even, simd.load_part(x, at, n) - centre, squared)
            odd = _more(odd, simd.load_part(x, at + chunk.apart, n) - centre, squared)
            at += 2 * chunk.apart
        if at == last:
            even = _more(even, simd.load_part(x, at, n) - centre, squared)
        simd.store_part(totals, to + j, simd.load_part(totals, to + j, n) + (even + odd), n)


@inlined
def _add_four(x, chunk, centres, first, totals, to, squared):
    """`_add_rows` for the four vectors of columns that begin where the chunk does."""
    lanes, at, last = simd.lanes(x), chunk.at, chunk.at + (chunk.rows - 1) * chunk.apart
    zero, centre = simd.full(x, 0), _load_four(centres, first)
    even = odd = zero, zero, zero, zero
    while at < last:
        even = _more_of_four(even, _load_four(x, at), centre, squared)
        odd = _more_of_four(odd, _load_four(x, at + chunk.apart), centre, squared)
        at += 2 * chunk.apart
    if at == last:
        even = _more_of_four(even, _load_four(x, at), centre, squared)
    for i in range(4):
        here = to + i * lanes
        simd.store(totals, here, simd.load(totals, here) + (even[i] + odd[i]))


@inlined
def _load_four(x, at):
    lanes = simd.lanes(x)
    return simd.load(x, at), simd.load(x, at + lanes), simd.load(x, at + 2 * lanes), simd.load(x, at + 3 * lanes)


@inlined
def _more_of_four(totals, numbers, centres, squared):
    (a, b, c, d), (p, q, r, s), (u, v, w, z) = totals, numbers, centres
    return _more(a, p - u, squared), _more(b, q - v, squared), _more(c, r - w, squared), _more(d, s - z, squared)


@inlined
def _more(total, v, squared):
    return simd.fma(v, v, total) if squared else total + v


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
