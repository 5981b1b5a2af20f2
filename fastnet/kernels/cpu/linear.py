"""The fully connected layer: three matrix products on the register tile, and dot products for a few samples.

A tile wants one operand in panels, with the numbers that share a vector side by side. Each block brings together the
panel it needs: the gradients find the numbers of a vector so, the forward pass turns squares of w in registers.
"""
import functools

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import epilogue, simd, spans, sums
from fastnet.kernels.cpu.conv.packing import pack_bias
from fastnet.kernels.cpu.runtime import Launch, empty, flat, jit, kept, scratch

# Up to this many samples dot products read the weights once and waste nothing; a tile would be mostly empty.
FEW_SAMPLES = 4
# Rows of the weights that a block takes then.
_ROWS = 8
# Tiles of a block where there are few panels, and how many blocks are enough.
_TILES_PER_BLOCK = 6
_BLOCKS = 16
# Rows at a multiple of this distance, in bytes, share so few places of the first cache that those of a tile drive each
# other out.
_COLLISION = 4096


def linear_forward(x, w, b=None, activation=None):
    """y = x w^T + b."""
    x = checks.floating(x, "x")
    w, b = checks.floating(w, "w", like=x), checks.optional(b, "b", like=x)
    kind = shapes.linear_forward(x, w, b)
    epilogue.checked(kind, None, activation)
    (n, k), c = kind.shape, x.shape[1]
    if n > FEW_SAMPLES:
        return _product(n, c, k, c, 1, True, x.dtype)(x, w, b, activation)
    y = empty((n, k), x.dtype)
    bias, out = np.zeros(k, x.dtype) if b is None else flat(b), y.reshape(-1)
    _few_product(n, c, k, x.dtype)(flat(x), flat(w), bias, out, n, c, k, epilogue.make(out, None, activation))
    return y


def linear_backward_input(dy, w, mask=None, masking=None):
    """dx = dy w."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    kind = shapes.linear_backward_input(dy, w)
    _, mask = epilogue.checked(kind, mask=mask, masking=masking)
    (n, c), k = kind.shape, dy.shape[1]
    return _product(n, k, c, k, 1, False, dy.dtype)(dy, w, None, None, mask, masking)


def linear_backward_weight(dy, x, bias=True):
    """dw = dy^T x and db = sum of dy over the batch; dy (N, K), x (N, C), dw (K, C), db (K,) or None."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    shapes.linear_backward_weight(dy, x, bias)
    n, k = dy.shape
    dw = _product(k, n, x.shape[1], 1, k, False, dy.dtype)(dy, x)
    return dw, sums.column_sums(n, k, k, dy.dtype, dy.dtype)(flat(dy)) if bias else None


class _Product:
    """The matrix c[i, j] = sum over d of a.flat[i row + d step] b[d, j], or b[j, d] where b is `turned`, all worked out
    but the numbers; i < rows, d < depth, j < columns."""

    def __init__(self, rows, depth, columns, row, step, turned, dtype):
        wide, lanes = simd.tiles_for(columns, dtype), simd.width(dtype)
        panel = wide.halves * lanes // 2
        panels, tiles = -(-columns // panel), -(-rows // simd.ROWS)
        parts = min(-(-tiles // _TILES_PER_BLOCK), -(-_BLOCKS // panels))
        self.size, self.work = (rows, columns), rows * depth * columns // lanes
        self.launch = Launch(_kernel(wide), panels * parts, self.work)
        collide = step == 1 and row * dtype.itemsize % _COLLISION == 0
        self.spread = Launch(_spread, rows, rows * row // lanes) if collide else None
        self.row = row + lanes if self.spread else row
        self.reads = np.arange(tiles * simd.ROWS) * self.row
        self.writes = np.arange(tiles * simd.ROWS) * columns
        self.no_bias = np.zeros(panels * panel, dtype)
        self.length = (depth + lanes) * panel
        self.shape = np.array([rows, depth, columns, step, parts, self.length, turned])

    def __call__(self, a, b, bias=None, activation=None, mask=None, masking=None):
        """c plus bias[j], and what follows, see `epilogue.make`."""
        dtype, a = a.dtype, flat(a)
        if self.spread:
            apart = empty(self.size[0] * self.row, dtype)
            self.spread(a, apart, a.size // self.size[0], self.row)
            a = apart
        padded = self.no_bias if bias is None else pack_bias(bias, self.size[1], dtype)
        c = empty(self.size, dtype)
        out = c.reshape(-1)
        self.launch(a, flat(b), padded, out, self.reads, self.writes, scratch(self.length, dtype, self.work),
                    self.shape, epilogue.make(out, None, activation, mask, masking))
        return c


_product = kept(_Product)


@kept
def _few_product(n, c, k, dtype):
    """The launch for a few samples, of one dtype."""
    return Launch(_few, -(-k // _ROWS), n * k * c)


@jit
def _few(block, slot, x, w, b, y, n, c, k, epilogue):
    """Some rows of w against every sample."""
    lanes, start, stop = simd.lanes(w), block * _ROWS, min((block + 1) * _ROWS, k)
    for row in range(start, stop):
        for sample in range(n):
            first, second = simd.full(w, 0), simd.full(w, 0)
            i, j = row * c, sample * c
            whole = c // (2 * lanes) * 2 * lanes
            for at in range(0, whole, 2 * lanes):
                first = simd.fma(simd.load(w, i + at), simd.load(x, j + at), first)
                second = simd.fma(simd.load(w, i + at + lanes), simd.load(x, j + at + lanes), second)
            for at in range(whole, c, lanes):
                first = simd.fma(simd.load_part(w, i + at, c - at), simd.load_part(x, j + at, c - at), first)
            y[sample * k + row] = simd.total(first + second) + b[row]
    for sample in range(n):
        for i in range(start, stop, lanes):
            at = sample * k + i
            v = simd.load_part(y, at, stop - i)
            simd.store_part(y, at, spans.finished(v, at, stop - i, epilogue, epilogue.more), stop - i)
        spans.call(y, sample * k + start, sample * k + stop, epilogue)


@jit
def _spread(block, slot, a, apart, length, row):
    """A row of a where the next one does not start at the same place of the cache."""
    for i in range(0, length, simd.lanes(a)):
        simd.store(apart, block * row + i, simd.load(a, block * length + i))


@functools.cache
def _kernel(tiles):
    tile, halves = tiles.tile, tiles.halves

    def product(block, slot, a, b, bias, c, reads, writes, memory, shape, epilogue):
        """Some tiles of rows of a against one panel of b, which is first copied to where it lies close together."""
        rows, depth, columns, step, parts, length, turned = shape[:7]
        panel, lanes = halves * simd.lanes(b) // 2, simd.lanes(b)
        part, at, left = block % parts, slot * length, block // parts * panel
        n = min(panel, columns - left)
        if turned:
            for j in range(0, panel, lanes):
                row = min(left + j, columns - 1)
                for d in range(0, depth, lanes):
                    simd.transpose(b, row * depth + d, depth, n - j, depth - d, memory, at + d * panel + j, panel)
        else:
            for d in range(depth):
                for j in range(0, panel, lanes):
                    v = simd.load_part(b, d * columns + left + j, n - j)
                    simd.store_part(memory, at + d * panel + j, v, panel - j)
        tiles = (rows + simd.ROWS - 1) // simd.ROWS
        for t in range(part * tiles // parts, (part + 1) * tiles // parts):
            first = t * simd.ROWS
            m = min(simd.ROWS, rows - first)
            tile(a, 0, reads, first, a, 1, depth, step, memory, at, bias, left, c, left, writes, first, m, n,
                 epilogue.bend, not epilogue.masked)
            if epilogue.masked or spans.calls(epilogue):
                for i in range(first, first + m):
                    spans.finish(c, i * columns + left, n, epilogue)

    product.__qualname__ = f"product_{halves}"
    return jit(product)
