"""A fully connected layer for few samples, y = x w^T + b and dx = dy w: the weights are read once, as they lie in
memory.

With few samples a layer waits for its weights: there are 151 MB of them between 9216 and 4096 features, and each takes
part in no more products than there are samples. To copy them to panels, as `linear` does, is to read and write them
once more; and panels are narrow, so that little is read of each row, which no processor foresees.

    y     a block takes some rows of w, a *span* of columns at a time, which stays in the first cache for the dot
          products with all samples; what spans give is added up in float64
    dx    a block takes a *strip* of columns from the first row of w to the last, a few rows at a time: their multiples
          are added to the strip's columns of dx
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import Launch, jit, kept, scratch

# Up to so many samples it is quicker than panels are.
_FEW = 16
# Longer sums of float32 numbers would round too often.
DEEP = 4096
# Rows of the weights whose multiples are added at once: for 32 registers, or 16.
_DEPTH = 8 if simd.HOST in ("avx512", "neon") else 4
# Columns of a strip at most and at least, how many strips there should be, and how many there have to be.
_WIDEST, _NARROWEST, _STRIPS, _FEWEST_STRIPS = 512, 128, 8, 4
# Forward: rows of the weights and of x whose dot products are taken at once, for 32 registers or 16; rows of a block;
# features from which on this way pays, and samples up to which it does.
_TALL, _BROAD = (6, 4) if simd.HOST in ("avx512", "neon") else (3, 3)
_ROWS = 24
_LONG, _MANY = 64, 64


class Sizes(NamedTuple):
    """N samples, C features, K outputs, and the columns of a strip, or of a span."""

    n: int
    c: int
    k: int
    strip: int


class _Arrays(NamedTuple):
    """Of the forward pass, all flat."""

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    y: np.ndarray


class _Forward:
    """The forward pass for one size and dtype."""

    def __init__(self, n, c, k, dtype):
        self.sizes, self.memory = Sizes(n, c, k, sums.CHAIN * simd.width(dtype)), n * _ROWS
        self.launch = Launch(_dot_products, -(-k // _ROWS), n * k * c)


_forward = kept(_Forward)


def suits_forward(n, c):
    """Whether this way is the quicker for N samples of C features."""
    return n <= _MANY and c >= _LONG


def forward(x, w, b, y, size, epilogue):
    """y = x w^T + b for size = (N, C, K); all arrays are flat."""
    found = _forward(*size, x.dtype)
    memory = scratch(found.memory, np.float64, found.launch.work, sums.PART)
    found.launch(_Arrays(x, w, b, y), memory, found.sizes, epilogue)


_dots = simd.make_dots(_TALL, _BROAD)


@jit
def _dot_products(block, slot, arrays, memory, size, epilogue):
    """Some columns of y. In memory the sums of a sample lie side by side until all is added up."""
    x, w, b, y = arrays
    lanes, n, c, k, span = simd.lanes(x), size.n, size.c, size.k, size.strip
    first, own = block * _ROWS, slot * n * _ROWS
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
        wide = 2 * simd.width(dtype)
        strip = min(_WIDEST, max(_NARROWEST, -(-c // (_STRIPS * wide)) * wide))
        self.sizes, self.memory = Sizes(n, c, k, strip), n * (strip + wide // 2)
        self.launch = Launch(_multiples, -(-c // strip), n * k * c)


_input_gradient = kept(_InputGradient)


def suits(n, c, k):
    """Whether this way is the quicker for (N, C, K), and accurate."""
    return n <= _FEW and c >= _FEWEST_STRIPS * _NARROWEST and k <= DEEP


def input_gradient(dy, w, dx, size, epilogue):
    """dx = dy w for size = (N, C, K); all arrays are flat."""
    found = _input_gradient(*size, dy.dtype)
    found.launch(dy, w, dx, scratch(found.memory, dy.dtype, found.launch.work), found.sizes, epilogue)


_many, _one = simd.make_multiples(_DEPTH), simd.make_multiples(1)


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
