"""A fully connected layer for few samples, y = x w^T + b and dx = dy w: the weights are read once, as they lie in
memory.

With few samples a layer waits for its weights: there are 151 MB of them between 9216 and 4096 features, and each takes
part in no more products than there are samples. To copy them to panels, as `linear` does, is to read and write them
once more; and panels are narrow, so that little is read of each row, which no processor foresees.

    y     a block takes some rows of w, a *span* of columns at a time, which stays in the first cache for the dot
          products with all samples; what spans give is added up in float64
    dx    a block takes a *strip* of columns from the first row of w to the last, some rows at a time: their multiples
          are added to the strip's columns of dx, a few vectors of them at a time, which stay in registers meanwhile
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import Launch, jit, kept, scratch

# Up to so many samples dx is quicker in this way than by panels, or up to _MANY where there are so many weights.
_FEW, _LARGE = 32, 1 << 20
# Longer sums of float32 numbers would round too often.
DEEP = 4096
# Samples and vectors of columns whose sums stay in registers, of which there are 32, or 16; and the rows of the weights
# whose multiples are added to them meanwhile.
_SAMPLES, _VECTORS = (8, 3) if simd.HOST in ("avx512", "neon") else (4, 3)
_SOME = 32
# Columns of a strip at most and at least, how many strips there should be, and how many there have to be.
_WIDEST, _NARROWEST, _STRIPS, _FEWEST_STRIPS = 768, 128, 8, 4
# Forward: rows of the weights and of x whose dot products are taken at once, for 32 registers or 16; rows of a block;
# features from which on this way pays, and samples up to which it does.
_TALL, _BROAD = (6, 4) if simd.HOST in ("avx512", "neon") else (3, 3)
_ROWS = 24
_LONG, _MANY = 64, 64


class _Sizes(NamedTuple):
    """N samples, C features, K outputs, the columns of a strip, or of a span, and the numbers that a block keeps."""

    n: int
    c: int
    k: int
    strip: int
    memory: int


class _Arrays(NamedTuple):
    """Of the forward pass, all flat."""

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    y: np.ndarray


class _Forward:
    """The forward pass for one size and dtype."""

    def __init__(self, n, c, k, dtype):
        self.sizes = _Sizes(n, c, k, sums.CHAIN * simd.width(dtype), n * _ROWS)
        self.launch = Launch(_dot_products, -(-k // _ROWS), n * k * c)


_forward = kept(_Forward)


def suits_forward(n, c):
    """Whether this way is the quicker for N samples of C features."""
    return 1 < n <= _MANY and c >= _LONG


def forward(x, w, b, y, size, epilogue):
    """y = x w^T + b for size = (N, C, K); all arrays are flat."""
    found = _forward(*size, x.dtype)
    memory = scratch(found.sizes.memory, np.float64, found.launch.work, sums.PART)
    found.launch(_Arrays(x, w, b, y), memory, found.sizes, epilogue)


_dots = simd.make_dots(_TALL, _BROAD)


@jit
def _dot_products(block, slot, arrays, memory, size, epilogue):
    """Some columns of y. In memory the sums of a sample lie side by side until all is added up."""
    x, w, b, y = arrays
    lanes, n, c, k, span = simd.lanes(x), size.n, size.c, size.k, size.strip
    first, own = block * _ROWS, slot * size.memory
    rows = min(_ROWS, k - first)
    spans.clear(memory, own, own + n * _ROWS)
    for left in range(0, c, span):
        for row in range(0, rows, _TALL):
            for sample in range(0, n, _BROAD):
                _dots(w, (first + row) * c + left, c, rows - row, x, sample * c + left, c, n - sample,
                      min(span, c - left), memory, own + sample * _ROWS + row, _ROWS)
    for sample in range(n):
        at, here = sample * k + first, own + sample * _ROWS
        for j in range(0, rows, lanes):
            v = simd.rounded(memory, here + j, rows - j, y) + simd.load_part(b, first + j, rows - j)
            simd.store_part(y, at + j, spans.in_registers(v, at + j, rows - j, epilogue, epilogue.level), rows - j)
        spans.call_functions(y, at, at + rows, epilogue)


class _InputGradient:
    """That for one size and dtype."""

    def __init__(self, n, c, k, dtype):
        lanes = simd.width(dtype)
        wide = _VECTORS * lanes
        strip = -(-min(_WIDEST, max(_NARROWEST, -(-c // _STRIPS))) // wide) * wide
        self.sizes = _Sizes(n, c, k, strip, n * (strip + lanes + _SOME) + _SOME * wide)
        self.launch = Launch(_add_multiples, -(-c // strip), n * k * c)


_input_gradient = kept(_InputGradient)


def suits(n, c, k):
    """Whether this way is the quicker for (N, C, K), and accurate."""
    return n <= (_FEW if c * k < _LARGE else _MANY) and c >= _FEWEST_STRIPS * _NARROWEST and k <= DEEP


def input_gradient(dy, w, dx, size, epilogue):
    """dx = dy w for size = (N, C, K); all arrays are flat."""
    found = _input_gradient(*size, dy.dtype)
    found.launch(dy, w, dx, scratch(found.sizes.memory, dy.dtype, found.launch.work), found.sizes, epilogue)


_multiples = simd.make_multiples(_SAMPLES, _VECTORS)


@jit
def _add_multiples(block, slot, dy, w, dx, memory, size, epilogue):
    """A strip of dx: in memory its rows lie side by side until all is added up, and behind them what dy multiplies some
    rows of w by."""
    lanes, n, c, k, strip = simd.lanes(dy), size.n, size.c, size.k, size.strip
    wide, apart, left, own = _VECTORS * lanes, strip + lanes, block * strip, slot * size.memory
    columns, factors = min(strip, c - left), own + n * apart
    whole, edge = columns // wide * wide, factors + n * _SOME
    spans.clear(memory, own, factors)
    for top in range(0, k, _SOME):
        rows, start = min(_SOME, k - top), top * c + left
        for i in range(n):      # samples are often so far apart that one set of the first cache would have to hold all
            for j in range(0, rows, lanes):
                v = simd.load_part(dy, i * k + top + j, rows - j)
                simd.store_part(memory, factors + i * _SOME + j, v, rows - j)
        for j in range(0, whole, wide):
            for row in range(rows):
                spans.fetch(w, start + (_SOME + row) * c + j, start + (_SOME + row) * c + j + wide)
            for i in range(0, n, _SAMPLES):
                _multiples(memory, factors + i * _SOME, _SOME, n - i, rows, w, start + j, c,
                           memory, own + i * apart + j, apart)
        if whole < columns:
            for row in range(rows):
                for j in range(0, wide, lanes):
                    v = simd.load_part(w, start + row * c + whole + j, columns - whole - j)
                    simd.store(memory, edge + row * wide + j, v)
            for i in range(0, n, _SAMPLES):
                _multiples(memory, factors + i * _SOME, _SOME, n - i, rows, memory, edge, wide,
                           memory, own + i * apart + whole, apart)
    for i in range(n):
        start = i * c + left
        for j in range(0, columns, lanes):
            some = columns - j
            v = spans.in_registers(simd.load(memory, own + i * apart + j), start + j, some, epilogue, epilogue.level)
            simd.store_part(dx, start + j, v, some)
        spans.call_functions(dx, start, start + columns, epilogue)
