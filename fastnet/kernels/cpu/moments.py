"""What the kernels of all norms share: means and squared deviations without cancellation, weights that may be missing.

Numbers are added up relative to one of them, so that a large mean does not swallow what they differ by, and deviations
are squared once the mean of these numbers is known. What runs of numbers give is combined after Chan, Golub and
LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979: one reading of memory, the
second one coming from a cache.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import flat, jit, kept


class Moments(NamedTuple):
    """For each column of a piece of a matrix its mean, and the sum of the squared deviations from that."""

    means: np.ndarray
    squares: np.ndarray


class Columns(NamedTuple):
    """`count` numbers side by side in each row of a matrix, whose rows start `apart` numbers from each other; `step`
    rows are gone through at a time, while as many are fetched ahead."""

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


@jit
def of_columns(x, start, rows, columns, table, to):
    """The moments of some rows, of which the first begins at x[start], into table[to:]; even and odd rows apart, so
    that one addition does not wait for the other."""
    c, apart, step, means, squares = columns.count, columns.apart, columns.step, table.means, table.squares
    spans.clear(means, to, to + c)
    spans.clear(squares, to, to + c)
    for top in range(0, rows, step):
        bottom = min(top + step, rows)
        if apart == c:
            spans.fetch(x, start + bottom * c, start + (bottom + step) * c)
        else:
            for i in range(bottom, min(bottom + step, rows)):
                spans.fetch(x, start + i * apart, start + i * apart + c)
        for j in range(0, c, simd.lanes(x)):
            n, at = c - j, start + j
            pivot = simd.load_part(x, at, n)
            even, odd = simd.full(x, 0), simd.full(x, 0)
            for i in range(top, bottom - 1, 2):
                even = even + (simd.load_part(x, at + i * apart, n) - pivot)
                odd = odd + (simd.load_part(x, at + (i + 1) * apart, n) - pivot)
            if (bottom - top) % 2:
                even = even + (simd.load_part(x, at + (bottom - 1) * apart, n) - pivot)
            simd.store_part(means, to + j, simd.load_part(means, to + j, n) + (even + odd), n)
    share = simd.full(x, 1 / x.dtype.type(rows))
    for j in range(0, c, simd.lanes(x)):
        n, pivot = c - j, simd.load_part(x, start + j, c - j)
        simd.store_part(means, to + j, simd.fma(simd.load_part(means, to + j, n), share, pivot), n)
    for top in range(0, rows, step):
        bottom = min(top + step, rows)
        for j in range(0, c, simd.lanes(x)):
            n, at, mean = c - j, start + j, simd.load_part(means, to + j, c - j)
            even, odd = simd.full(x, 0), simd.full(x, 0)
            for i in range(top, bottom - 1, 2):
                v = simd.load_part(x, at + i * apart, n) - mean
                w = simd.load_part(x, at + (i + 1) * apart, n) - mean
                even, odd = simd.fma(v, v, even), simd.fma(w, w, odd)
            if (bottom - top) % 2:
                v = simd.load_part(x, at + (bottom - 1) * apart, n) - mean
                even = simd.fma(v, v, even)
            simd.store_part(squares, to + j, simd.load_part(squares, to + j, n) + (even + odd), n)


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
