"""Softmax and its logarithm. A block is some rows; a row is one sample of scores x (N, C), or what lies along the axis
of a softmax: side by side in memory for the channels of images, else it is turned there and back.

The largest score of each row is taken off first, so that nothing overflows; NaN, or a row of -inf alone, gives NaN.
Sums over a row are added up in float64 from parts of a few vectors, see `sums`.
"""
import math
from math import prod

from fastnet.kernels import axes, checks, shapes
from fastnet.kernels.cpu import simd, sums
from fastnet.kernels.cpu.move import memory_order
from fastnet.kernels.cpu.runtime import empty, flat, jit, launch, like
from fastnet.kernels.cpu.turn import turn

_ROWS = 16


def softmax_forward(x, dim=1):
    """y[n, c] = exp(x[n, c]) / sum over j of exp(x[n, j])."""
    return _rowwise(_softmax, x, dim)


def softmax_backward(dy, y, dim=1):
    """dx = y (dy - sum of dy y along the axis); y is the output of softmax_forward."""
    return _rowwise_backward(_softmax_backward, dy, y, dim)


def log_softmax_forward(x, dim=1):
    """y[n, c] = x[n, c] - log(sum over j of exp(x[n, j]))."""
    return _rowwise(_log_softmax, x, dim)


def log_softmax_backward(dy, y, dim=1):
    """dx = dy - exp(y) (sum of dy along the axis); y is the output of log_softmax_forward."""
    return _rowwise_backward(_log_softmax_backward, dy, y, dim)


def _rowwise(kernel, x, dim):
    x = checks.floating(x, "x")
    shapes.softmax_forward(x, dim)
    return _along(kernel, dim, x)


def _rowwise_backward(kernel, dy, y, dim):
    dy = checks.floating(dy, "dy")
    y = checks.floating(y, "y", like=dy)
    shapes.softmax_backward(dy, y, dim)
    return _along(kernel, dim, dy, y)


def _along(kernel, dim, *arrays):
    """What a kernel makes of rows of arrays of one shape: of what lies along axis `dim`."""
    first, order = arrays[0], memory_order(arrays[0].ndim)
    place = order.index(axes.axis(dim, first.shape))
    lengths = [first.shape[axis] for axis in order]
    c, inner = lengths[place], prod(lengths[place + 1:])
    outer, y, given = first.size // (c * inner), like(first), [flat(array) for array in arrays]
    result = flat(y)
    if inner > 1:
        there = turn((outer, c, inner), (0, 2, 1), first.dtype)
        turned = [empty(first.size, first.dtype) for _ in arrays]
        for source, target in zip(given, turned, strict=True):
            there(source, target)
        given, result = turned, empty(first.size, first.dtype)
    launch(kernel, -(-outer * inner // _ROWS), *given, result, outer * inner, c, work=10 * first.size)
    if inner > 1:
        turn((outer, inner, c), (0, 2, 1), first.dtype)(result, flat(y))
    return y


@jit
def exponentials(x, y, start, c):
    """y = exp(x - largest) for the row at `start`; returns the largest of x, NaN where one of them is, and the sum of
    y."""
    lowest = simd.full(x, -math.inf)
    best, total, chunk = lowest, 0.0, sums.CHAIN * simd.lanes(x)
    for i in range(0, c, simd.lanes(x)):
        v = simd.load_filled(x, start + i, c - i, lowest)
        best = simd.pick(v, best, v, best)
    largest = simd.largest(best)
    for first in range(0, c, chunk):
        part = simd.full(x, 0)
        for i in range(first, min(first + chunk, c), simd.lanes(x)):
            v = simd.exp(simd.load_filled(x, start + i, c - i, lowest) - simd.full(x, largest))
            simd.store_part(y, start + i, v, c - i)
            part = part + v
        total += simd.total(part)
    return largest, x.dtype.type(total)


@jit
def row_sum(x, start, c, shift):
    """The sum of x - shift over the row at `start`, in float64."""
    shift, total, chunk = simd.full(x, shift), 0.0, sums.CHAIN * simd.lanes(x)
    for first in range(0, c, chunk):
        part = simd.full(x, 0)
        for i in range(first, min(first + chunk, c), simd.lanes(x)):
            part = part + (simd.load_filled(x, start + i, c - i, shift) - shift)
        total += simd.total(part)
    return total


@jit
def _sum_of_products(x, y, start, c):
    """The sum of x y over the row at `start`, in float64."""
    total, lanes, chunk = 0.0, simd.lanes(x), sums.PAIR * simd.lanes(x)
    for first in range(0, c, chunk):
        even = odd = simd.full(x, 0)
        for i in range(first, min(first + chunk, c), 2 * lanes):
            at, n = start + i, c - i
            even = simd.fma(simd.load_part(x, at, n), simd.load_part(y, at, n), even)
            odd = simd.fma(simd.load_part(x, at + lanes, n - lanes), simd.load_part(y, at + lanes, n - lanes), odd)
        total += simd.total(even + odd)
    return total


@jit
def _softmax(block, slot, x, y, n, c):
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        start = row * c
        _, total = exponentials(x, y, start, c)
        factor = simd.full(x, x.dtype.type(1) / total)
        for i in range(0, c, simd.lanes(x)):
            simd.store_part(y, start + i, simd.load_part(y, start + i, c - i) * factor, c - i)


@jit
def _softmax_backward(block, slot, dy, y, dx, n, c):
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        start = row * c
        total = simd.full(dy, dy.dtype.type(_sum_of_products(dy, y, start, c)))
        for i in range(0, c, simd.lanes(dy)):
            v = simd.load_part(y, start + i, c - i) * (simd.load_part(dy, start + i, c - i) - total)
            simd.store_part(dx, start + i, v, c - i)


@jit
def _log_softmax(block, slot, x, y, n, c):
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        start = row * c
        largest, total = exponentials(x, y, start, c)
        logarithm = simd.full(x, math.log(total))
        for i in range(0, c, simd.lanes(x)):
            v = simd.load_part(x, start + i, c - i) - simd.full(x, largest) - logarithm
            simd.store_part(y, start + i, v, c - i)


@jit
def _log_softmax_backward(block, slot, dy, y, dx, n, c):
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        start = row * c
        total = simd.full(dy, dy.dtype.type(row_sum(dy, start, c, 0)))
        for i in range(0, c, simd.lanes(dy)):
            v = simd.load_part(dy, start + i, c - i) - simd.exp(simd.load_part(y, start + i, c - i)) * total
            simd.store_part(dx, start + i, v, c - i)
