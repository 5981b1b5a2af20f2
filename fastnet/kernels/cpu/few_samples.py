"""Products of few samples with a matrix of weights, which is read once, as it lies in memory.

With few samples a fully connected layer waits for its weights: there are 151 MB of them between 9216 and 4096 features,
and each takes part in no more products than there are samples. To copy them to panels, as `linear` does, is to read
and write them once more; and panels are narrow, so that little is read of each row, which no processor foresees.

    forward          y = x w^T + b   some rows of w against all samples, a span at a time: sums of vectors, see
                                     `simd.make_dots`, whose lanes are added up in the end
    backward_input   dx = dy w       some columns of w, a *strip*, from the first row to the last, a few rows at a time:
                                     their multiples are added to the strip's columns of dx
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import Launch, jit, kept, made_for, scratch

# Up to so many samples it is quicker than panels are; forward up to fewer, unless the weights have so many bytes that
# they come from main memory.
_FEW, _FEWER, _LARGE = 16, 8, 16 << 20
# Longer sums of float32 numbers would round too often.
DEEP = 4096
# Rows of the weights and samples that are multiplied at once, and rows of a block.
_ROWS, _SAMPLES, _ROWS_OF_BLOCK = 4, 4, 8
# Rows of the weights whose multiples are added at once.
_DEPTH = 8 if simd.HOST in ("avx512", "neon") else 4
# Columns of a strip at most and at least, and how many strips there are, if so many columns are left to each.
_WIDEST, _NARROWEST, _STRIPS = 512, 128, 8


class Sizes(NamedTuple):
    """N samples, C features, K outputs, and the columns of a strip."""

    n: int
    c: int
    k: int
    strip: int


class _Arrays(NamedTuple):
    """Of a forward pass, all flat."""

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    y: np.ndarray


class _Few:
    """Either product, for one size and dtype."""

    def __init__(self, n, c, k, dtype):
        lanes = simd.width(dtype)
        strip = min(_WIDEST, max(_NARROWEST, -(-c // (_STRIPS * 2 * lanes)) * 2 * lanes))
        self.sizes, at_once = Sizes(n, c, k, strip), 1 if n == 1 else _SAMPLES
        self.forward = Launch(_dots(at_once), -(-k // _ROWS_OF_BLOCK), n * k * c)
        self.backward = Launch(_multiples, -(-c // strip), n * k * c)
        self.memory = n * (strip + lanes)
        self.no_bias = np.zeros(k, dtype)
        self.products, self.total = _ROWS * at_once * lanes, _ROWS * -(-n // at_once) * at_once * lanes


_few = kept(_Few)


def suits_forward(n, c, k, dtype):
    """Whether `forward` is the quicker for (N, C, K)."""
    return n <= (_FEW if c * k * dtype.itemsize >= _LARGE else _FEWER)


def suits_backward(n, k):
    """Whether `backward_input` is the quicker, and accurate."""
    return n <= _FEW and k <= DEEP


def forward(x, w, b, y, size, epilogue):
    """y = x w^T + b for size = (N, C, K); all arrays are flat, b None for none."""
    few, dtype = _few(*size, x.dtype), x.dtype
    b, work = few.no_bias if b is None else b, few.forward.work
    few.forward(_Arrays(x, w, b, y), scratch(few.products, dtype, work),
                scratch(few.total, np.float64, work, sums.PART), few.sizes, epilogue)


def backward_input(dy, w, dx, size, epilogue):
    """dx = dy w."""
    few = _few(*size, dy.dtype)
    few.backward(dy, w, dx, scratch(few.memory, dy.dtype, few.backward.work), few.sizes, epilogue)


_many, _one = simd.make_multiples(_DEPTH), simd.make_multiples(1)


@functools.cache
def _dots(samples):
    """The kernel that multiplies so many samples at once."""
    dots = simd.make_dots(_ROWS, samples)

    @jit
    @made_for(samples)
    def few(block, slot, arrays, products, total, size, epilogue):
        """Some rows of w against all samples. In `total` each row and sample has a vector."""
        x, w, b, y = arrays.x, arrays.w, arrays.b, arrays.y
        n, c, lanes = size.n, size.c, simd.lanes(x)
        whole, span, groups = c // lanes * lanes, sums.CHAIN * lanes, (n + samples - 1) // samples
        held, at = slot * _ROWS * samples * lanes, slot * _ROWS * groups * samples * lanes
        start, stop = block * _ROWS_OF_BLOCK, min((block + 1) * _ROWS_OF_BLOCK, size.k)
        for row in range(start, stop, _ROWS):
            rows = min(_ROWS, stop - row)
            spans.clear(total, at, at + _ROWS * groups * samples * lanes)
            for first in range(0, c, span):
                length = (min(first + span, whole) - first) // lanes
                for group in range(groups):
                    sample = group * samples
                    dots(w, row * c + first, c, rows, x, sample * c + first, c, n - sample, length, products, held)
                    to = at + group * _ROWS * samples * lanes
                    for i in range(0, _ROWS * samples * lanes, lanes):
                        simd.accumulate(total, to + i, simd.load(products, held + i), lanes)
            for i in range(rows):
                for sample in range(n):
                    place = at + ((sample // samples * _ROWS + i) * samples + sample % samples) * lanes
                    sum_of_all = 0.0
                    for lane in range(0, lanes, simd.lanes(total)):
                        sum_of_all += simd.total(simd.load(total, place + lane))
                    for j in range(whole, c):
                        sum_of_all += w[(row + i) * c + j] * x[sample * c + j]
                    y[sample * size.k + row + i] = sum_of_all + b[row + i]
        for sample in range(n):
            spans.apply_all(y, sample * size.k + start, stop - start, epilogue)

    return few


@jit
def _multiples(block, slot, dy, w, dx, memory, size, epilogue):
    """A strip of dx: in memory its rows lie side by side until all is added up."""
    lanes, c, k, strip = simd.lanes(dy), size.c, size.k, size.strip
    apart, left = strip + lanes, block * strip
    own, columns = slot * size.n * apart, min(strip, c - left)
    spans.clear(memory, own, own + size.n * apart)
    whole = k // _DEPTH * _DEPTH
    for row in range(0, whole, _DEPTH):
        for j in range(0, columns, 2 * lanes):
            _many(dy, row, k, size.n, w, row * c + left + j, c, columns - j, memory, own + j, apart)
    for row in range(whole, k):
        for j in range(0, columns, 2 * lanes):
            _one(dy, row, k, size.n, w, row * c + left + j, c, columns - j, memory, own + j, apart)
    for i in range(size.n):
        start = i * c + left
        for j in range(0, columns, lanes):
            n = columns - j
            v = spans.in_registers(simd.load(memory, own + i * apart + j), start + j, n, epilogue, epilogue.level)
            simd.store_part(dx, start + j, v, n)
        spans.call_functions(dx, start, start + columns, epilogue)
