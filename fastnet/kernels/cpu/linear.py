"""The fully connected layer: three matrix products on the register tile, and dot products one by one for one
sample, or a few of few features; what is between these two is in `few_samples`.

    x (N, C), w (K, C), y (N, K), all flat, row after row.
    forward          y = x w^T + b        sums over C
    backward_input   dx = dy w            sums over K
    backward_weight  dw = dy^T x          sums over N; many rows go to the gradient of a 1x1 convolution

A register tile (see `simd`) multiplies some rows of one matrix with a *panel* of the other: a few columns, copied to
where the numbers of one row of the panel lie side by side, as many as some vectors hold:

    columns        panel 0        panel 1
    a b c d e f    a b c d        e f . .
    g h i j k l    g h i j        k l . .

A block copies one panel and multiplies it with its share of the rows; where panels have few rows it copies many, and
writes long pieces of the result's rows. The gradients find the numbers of a vector as they are in memory; the forward
pass, whose matrix lies the other way round, turns squares of w in registers.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import epilogue, few_samples, simd, spans, sums
from fastnet.kernels.cpu.conv.direct_tables import COLLISION
from fastnet.kernels.cpu.conv.matrix_weight import MatrixGradient
from fastnet.kernels.cpu.conv.packing import pack_bias
from fastnet.kernels.cpu.runtime import Launch, empty, flat, inlined, jit, kept, scratch

# Up to this many samples a tile would be mostly empty: without many features dot products are quicker, one by one.
FEW_SAMPLES = 4
# Rows of the weights that a block takes then.
_ROWS = 8
# For more samples than this the weights' gradient is that of a 1x1 convolution over so many pixels: it keeps both
# matrices in the first caches, and its sums' accuracy.
_MANY_SAMPLES = 1024
# Sums over more features than this are cut into spans, which are added up in float64, see `sums`.
_DEEP, _SPAN = few_samples.DEEP, 2 * sums.PAIR
# Tiles of a block where there are few panels, and how many blocks are enough.
_TILES_PER_BLOCK = 6
_BLOCKS = 16
# Panels of so few rows are copied together, as many as have so many numbers.
_SHALLOW, _TOGETHER = 64, 1 << 17


def linear_forward(x, w, b=None, activation=None):
    """y = x w^T + b."""
    x = checks.floating(x, "x")
    w, b = checks.floating(w, "w", like=x), checks.optional(b, "b", like=x)
    kind = shapes.linear_forward(x, w, b)
    epilogue.checked(kind, None, activation)
    (n, k), c = kind.shape, x.shape[1]
    few = few_samples.suits_forward(n, c)
    if n > FEW_SAMPLES and not few:
        return _product(n, c, k, c, 1, True, x.dtype)(x, w, b, activation)
    y = empty((n, k), x.dtype)
    bias, out = np.zeros(k, x.dtype) if b is None else flat(b), y.reshape(-1)
    compute = few_samples.forward if few else _few_product(n, c, k, x.dtype)
    compute(flat(x), flat(w), bias, out, (n, c, k), epilogue.make(out, None, activation))
    return y


def linear_backward_input(dy, w, mask=None, masking=None):
    """dx = dy w."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    kind = shapes.linear_backward_input(dy, w)
    _, mask = epilogue.checked(kind, mask=mask, masking=masking)
    (n, c), k = kind.shape, dy.shape[1]
    if not few_samples.suits(n, c, k):
        return _product(n, k, c, k, 1, False, dy.dtype)(dy, w, None, None, mask, masking)
    dx = empty((n, c), dy.dtype)
    out = dx.reshape(-1)
    few_samples.input_gradient(flat(dy), flat(w), out, (n, c, k), epilogue.make(out, None, None, mask, masking))
    return dx


def linear_backward_weight(dy, x, bias=True):
    """dw = dy^T x and db = sum of dy over the batch; dy (N, K), x (N, C), dw (K, C), db (K,) or None."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    shapes.linear_backward_weight(dy, x, bias)
    (n, k), c = dy.shape, x.shape[1]
    if n > _MANY_SAMPLES:
        dw, db = _many_products(n, c, k, dy.dtype)(flat(x), flat(dy), bias)
        return dw.reshape(k, c), db
    dw = _product(k, n, c, 1, k, False, dy.dtype)(dy, x)
    return dw, sums.column_sums(n, k, k, dy.dtype, dy.dtype)(flat(dy)) if bias else None


class _Matrices(NamedTuple):
    """c = a b + bias, and where the rows of a and of c start."""

    a: np.ndarray
    b: np.ndarray
    bias: np.ndarray
    c: np.ndarray
    reads: np.ndarray
    writes: np.ndarray


class Shape(NamedTuple):
    """Of a product: number (i, d) of a is a[reads[i] + d step]; b is `turned` where its number (d, j) is b[j, d]. So
    many panels `together` are for `parts` blocks."""

    rows: int
    depth: int
    columns: int
    step: int
    together: int
    parts: int
    turned: bool


class _Product:
    """The matrix c[i, j] = sum over d of a.flat[i row + d step] b[d, j], or b[j, d] where b is `turned`, all worked out
    but the numbers; i < rows, d < depth, j < columns."""

    def __init__(self, rows, depth, columns, row, step, turned, dtype):
        wide, lanes = simd.tiles_for(columns, dtype), simd.width(dtype)
        panel = wide.halves * lanes // 2
        panels, tiles = -(-columns // panel), -(-rows // simd.ROWS)
        together = max(1, min(panels, _TOGETHER // max(1, depth * panel))) if depth <= _SHALLOW else 1
        groups = -(-panels // together)
        parts = min(-(-tiles // _TILES_PER_BLOCK), -(-_BLOCKS // groups))
        self.size, self.work = (rows, columns), rows * depth * columns // lanes
        deep = depth > _DEEP
        kernel = _deep_kernel(wide) if deep else _kernel(wide)
        self.launch = Launch(kernel, groups * parts, self.work)
        count, length = (rows, row) if step == 1 else (depth, step)    # of a, as it lies in memory
        collide = length * dtype.itemsize % COLLISION == 0
        self.spread = Launch(_spread, count, count * length // lanes) if collide else None
        self.apart = count * (length + lanes), length, length + lanes
        if collide:
            row, step = (length + lanes, 1) if step == 1 else (row, length + lanes)
        self.reads = np.arange(tiles * simd.ROWS) * row
        self.no_bias, self.length = np.zeros(panels * panel, dtype), (together * depth + lanes) * panel
        if deep:
            self.total, self.length = simd.ROWS * panel, self.length + (simd.ROWS + 1) * panel
            self.writes = np.arange(simd.ROWS) * panel
        else:
            self.total, self.writes = 0, np.arange(tiles * simd.ROWS) * columns
        self.shape = Shape(rows, depth, columns, step, together, parts, bool(turned))

    def __call__(self, a, b, bias=None, activation=None, mask=None, masking=None):
        """c plus bias[j], and its epilogue, see `epilogue.make`."""
        dtype, a = a.dtype, flat(a)
        if self.spread:
            size, length, row = self.apart
            apart = empty(size, dtype)
            self.spread(a, apart, length, row)
            a = apart
        whole = bias is not None and bias.size == self.no_bias.size     # panels without anything behind the last column
        padded = self.no_bias if bias is None else flat(bias) if whole else pack_bias(bias, self.size[1], dtype)
        c = empty(self.size, dtype)
        out = c.reshape(-1)
        memory = scratch(self.length, dtype, self.work)
        total = scratch(self.total, np.float64, self.work, sums.PART)
        self.launch(_Matrices(a, flat(b), padded, out, self.reads, self.writes), memory, total, self.shape,
                    epilogue.make(out, None, activation, mask, masking))
        return c


_product = kept(_Product)


@kept
def _few_product(n, c, k, dtype):
    """The launch for a few samples, of one dtype."""
    return Launch(_few, -(-k // _ROWS), n * k * c)


_many_products = kept(MatrixGradient)


@jit
def _few(block, slot, x, w, b, y, shape, epilogue):
    """Some rows of w against every sample."""
    n, c, k = shape
    start, stop = block * _ROWS, min((block + 1) * _ROWS, k)
    for row in range(start, stop):
        for sample in range(n):
            y[sample * k + row] = _dot(w, row * c, x, sample * c, c) + b[row]
    for sample in range(n):
        spans.apply_all(y, sample * k + start, stop - start, epilogue)


@jit
def _dot(w, i, x, j, c):
    """The sum of w[i + at] x[j + at] over at < c, in float64 from chains of vectors, see `sums`."""
    total, lanes = 0.0, simd.lanes(w)
    for start in range(0, c, sums.PAIR * lanes):
        stop = min(start + sums.PAIR * lanes, c)
        even = odd = simd.full(w, 0)
        whole = start + (stop - start) // (2 * lanes) * 2 * lanes
        for at in range(start, whole, 2 * lanes):
            even = simd.fma(simd.load(w, i + at), simd.load(x, j + at), even)
            odd = simd.fma(simd.load(w, i + at + lanes), simd.load(x, j + at + lanes), odd)
        for at in range(whole, stop, lanes):
            even = simd.fma(simd.load_part(w, i + at, stop - at), simd.load_part(x, j + at, stop - at), even)
        total += simd.total(even + odd)
    return total


@jit
def _spread(block, slot, a, apart, length, row):
    """A row of a where the next one does not start at the same place of the cache."""
    for i in range(0, length, simd.lanes(a)):
        simd.store(apart, block * row + i, simd.load(a, block * length + i))


class Columns(NamedTuple):
    """Some columns of a matrix in a flat array. Number d < depth of column j < count is at start + d apart + j, or,
    where the matrix is `turned`, at start + j apart + d."""

    start: int
    apart: int
    depth: int
    count: int
    turned: bool


@jit
def columns_of(left, panel, shape):
    """Those of b from `left` on that are in one panel."""
    count = min(panel, shape.columns - left)
    if shape.turned:
        return Columns(left * shape.depth, shape.depth, shape.depth, count, True)
    return Columns(left, shape.columns, shape.depth, count, False)


@inlined
def copy_panel(b, columns, panel, memory, at):
    """Copy Columns of b to memory[at:], a row of the panel after the other, zeros behind the last column. Where b is
    turned up to a vector of rows is written behind the panel's last one."""
    lanes, n = simd.lanes(b), columns.count
    if columns.turned:
        for j in range(0, panel, lanes):
            first = columns.start + min(j, n - 1) * columns.apart
            for d in range(0, columns.depth, lanes):
                simd.transpose(b, first + d, columns.apart, n - j, columns.depth - d, memory, at + d * panel + j, panel)
    else:
        for d in range(columns.depth):
            for j in range(0, panel, lanes):
                v = simd.load_part(b, columns.start + d * columns.apart + j, n - j)
                simd.store_part(memory, at + d * panel + j, v, panel - j)


@functools.cache
def _kernel(tiles):
    tile, halves = tiles.tile, tiles.halves

    def product(block, slot, matrices, memory, total, shape, epilogue):
        """Some tiles of rows of a against some panels of b."""
        a, bias, c, reads, writes = matrices.a, matrices.bias, matrices.c, matrices.reads, matrices.writes
        panel, parts = halves * simd.lanes(a) // 2, shape.parts
        size, part, left = shape.depth * panel, block % parts, block // parts * shape.together * panel
        at, right = slot * (shape.together * size + simd.lanes(a) * panel), left + shape.together * panel
        right = min(right, shape.columns)
        for j in range(left, right, panel):
            copy_panel(matrices.b, columns_of(j, panel, shape), panel, memory, at + (j - left) // panel * size)
        tiles = (shape.rows + simd.ROWS - 1) // simd.ROWS
        for t in range(part * tiles // parts, (part + 1) * tiles // parts):
            first = t * simd.ROWS
            m = min(simd.ROWS, shape.rows - first)
            for j in range(left, right, panel):
                here = at + (j - left) // panel * size
                tile(a, 0, reads, first, a, 1, shape.depth, shape.step, memory, here, bias, j, c, j, writes, first, m,
                     right - j, epilogue.bend, not epilogue.masked)
            if epilogue.masked or spans.has_calls(epilogue):
                for i in range(first, first + m):
                    spans.apply_rest(c, i * shape.columns + left, right - left, epilogue)

    product.__qualname__ = f"product_{halves}"
    return jit(product)


@functools.cache
def _deep_kernel(tiles):
    tile, halves = tiles.tile, tiles.halves

    def deep_product(block, slot, matrices, memory, total, shape, epilogue):
        """The same for sums over many numbers: each tile is computed span by span, and the spans are added up in
        float64. Behind the panel, memory holds one tile and a row of zeros; `writes` is for that tile."""
        a, bias, c, reads, writes = matrices.a, matrices.bias, matrices.c, matrices.reads, matrices.writes
        lanes, panel, parts = simd.lanes(a), halves * simd.lanes(a) // 2, shape.parts
        size, length = simd.ROWS * panel, (shape.depth + simd.lanes(a)) * panel
        at, part, left = slot * (length + size + panel), block % parts, block // parts * panel
        aside, zeros, sum_at = at + length, at + length + size, slot * size
        copy_panel(matrices.b, columns_of(left, panel, shape), panel, memory, at)
        spans.clear(memory, zeros, zeros + panel)
        n, tiles = min(panel, shape.columns - left), (shape.rows + simd.ROWS - 1) // simd.ROWS
        for t in range(part * tiles // parts, (part + 1) * tiles // parts):
            first = t * simd.ROWS
            m = min(simd.ROWS, shape.rows - first)
            spans.clear(total, sum_at, sum_at + size)
            for d in range(0, shape.depth, _SPAN):
                tile(a, d * shape.step, reads, first, a, 1, min(_SPAN, shape.depth - d), shape.step, memory,
                     at + d * panel, memory, zeros, memory, aside, writes, 0, m, panel, epilogue.bend, False)
                for i in range(0, m * panel, lanes):
                    v = simd.load_part(memory, aside + i, m * panel - i)
                    simd.accumulate(total, sum_at + i, v, m * panel - i)
            for i in range(m):
                row = (first + i) * shape.columns + left
                for j in range(0, n, lanes):
                    v = simd.rounded(total, sum_at + i * panel + j, n - j, c) + simd.load_part(bias, left + j, n - j)
                    v = spans.in_registers(v, row + j, n - j, epilogue, epilogue.level)
                    simd.store_part(c, row + j, v, n - j)
                spans.call_functions(c, row, row + n, epilogue)

    deep_product.__qualname__ = f"deep_product_{halves}"
    return jit(deep_product)
