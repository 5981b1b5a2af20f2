"""The fully connected layer: three matrix products on the register tile.

A tile wants one operand in panels, with the numbers that share a vector side by side. The forward pass packs the batch,
which is smaller than the weights, and so computes the transpose of y; the gradients find their panels as they are.
"""
import functools

import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.cpu import gather, simd
from fastnet.kernels.cpu._jit import jit, launch
from fastnet.kernels.cpu.array import empty, flat, scratch

# Up to this many samples dot products read the weights once and waste nothing; a panel would be mostly empty.
FEW_SAMPLES = 4
_TILES_PER_BLOCK = 4


def linear_forward(x, w, b=None, relu=False):
    """y = x w^T + b; x (N, C), w (K, C), b (K,), y (N, K)."""
    x = checks.floating(x, "x")
    w = checks.floating(w, "w", like=x)
    n, k = checks.linear_shape(x.shape, w.shape)
    b = checks.operand(b, (k,), "b", like=x)
    c = x.shape[1]
    flat_x, flat_w, y = flat(x), flat(w), empty((n, k), x.dtype)
    bias = np.zeros(k, x.dtype) if b is None else flat(b)
    work = n * k * c
    if n <= FEW_SAMPLES:
        launch(_few, -(-k // 8), flat_x, flat_w, bias, y.reshape(-1), n, c, k, bool(relu), work=work)
        return y
    packed = gather.pack(flat_x, (0,), 1, c, 0, c, n, 1)
    wide = simd.tiles_for(n, x.dtype)
    panel = wide.halves * simd.width(x.dtype) // 2
    panels = -(-n // panel)
    length = c + simd.width(x.dtype)
    memory = scratch(simd.ROWS * (length + panel), x.dtype, work)
    shape = np.array([n, c, k, panels, relu, length])
    launch(_transposed(wide), -(-k // simd.ROWS), flat_w, packed, bias, y.reshape(-1), _rows(simd.ROWS, length),
           _rows(simd.ROWS, panel), np.zeros(panel, x.dtype), memory, shape, work=work)
    return y


def linear_backward_input(dy, w, mask=None):
    """dx = dy w; dy (N, K), w (K, C), dx and mask (N, C)."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    n, k = checks.scores(dy.shape, "dy")
    if w.ndim != 2 or w.shape[0] != k or w.size == 0:
        raise ValueError(f"expected w of shape ({k}, C), got w of shape {w.shape}")
    mask = checks.operand(mask, (n, w.shape[1]), "mask", like=dy)
    return _product(dy, k, 1, n, w, None if mask is None else flat(mask))


def linear_backward_weight(dy, x, bias=True):
    """dw = dy^T x and db = sum of dy over the batch; dy (N, K), x (N, C), dw (K, C), db (K,) or None."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    n, k = checks.scores(dy.shape, "dy")
    if checks.scores(x.shape)[0] != n:
        raise ValueError(f"dy and x must have the same batch size, got dy of shape {dy.shape} and x of shape {x.shape}")
    return _product(dy, 1, k, k, x), dy.sum(axis=0) if bias else None


@jit
def _few(block, slot, x, w, b, y, n, c, k, relu):
    """Eight rows of w against every sample."""
    lanes = simd.lanes(w)
    for row in range(block * 8, min(block * 8 + 8, k)):
        for sample in range(n):
            first, second = simd.full(w, 0), simd.full(w, 0)
            i, j = row * c, sample * c
            whole = c // (2 * lanes) * 2 * lanes
            for at in range(0, whole, 2 * lanes):
                first = simd.fma(simd.load(w, i + at), simd.load(x, j + at), first)
                second = simd.fma(simd.load(w, i + at + lanes), simd.load(x, j + at + lanes), second)
            for at in range(whole, c, lanes):
                first = simd.fma(simd.load_part(w, i + at, c - at), simd.load_part(x, j + at, c - at), first)
            value = simd.total(first + second) + b[row]
            y[sample * k + row] = 0 if relu and value <= 0 else value


@functools.cache
def _transposed(tiles):
    tile, halves = tiles.tile, tiles.halves

    def transposed(block, slot, w, packed, b, y, reads, writes, none, memory, shape):
        """One tile of rows of w against all panels of samples: columns of y, turned as they are written.

        The rows are copied first, to a distance that is no power of two: else all of them would share cache lines.
        """
        n, c, k, panels, relu, length = shape[:6]
        panel, lanes = halves * simd.lanes(w) // 2, simd.lanes(w)
        first = block * simd.ROWS
        m = min(simd.ROWS, k - first)
        left = slot * simd.ROWS * (length + panel)
        at = left + simd.ROWS * length
        for i in range(m):
            for j in range(0, c, lanes):
                simd.store(memory, left + i * length + j, simd.load_part(w, (first + i) * c + j, c - j))
        for p in range(panels):
            tile(memory, left, reads, 0, memory, 1, c, 1, packed, p * c * panel, none, 0, memory, at, writes, 0, m,
                 panel, 0)
            for j in range(min(panel, n - p * panel)):
                for i in range(m):
                    value = memory[at + i * panel + j] + b[first + i]
                    y[(p * panel + j) * k + first + i] = 0 if relu and value <= 0 else value

    transposed.__qualname__ = f"transposed_{halves}"
    return jit(transposed)


@functools.lru_cache(maxsize=256)
def _rows(count, stride):
    return np.arange(count) * stride


@functools.cache
def _panel_product(tiles):
    tile, halves = tiles.tile, tiles.halves

    def product(block, slot, a, b, c, reads, writes, none, memory, mask, shape):
        """Some tiles of rows of a against one panel of b, which is first copied to where it lies close together."""
        rows, depth, columns, step, parts, panels, masked = shape[:7]
        panel, lanes = halves * simd.lanes(b) // 2, simd.lanes(b)
        p, part = block % panels, block // panels
        at, left = slot * depth * panel, p * panel
        n = min(panel, columns - left)
        for d in range(depth):
            for j in range(0, panel, lanes):
                simd.store_part(memory, at + d * panel + j, simd.load_part(b, d * columns + left + j, n - j), panel - j)
        tiles = (rows + simd.ROWS - 1) // simd.ROWS
        for t in range(part * tiles // parts, (part + 1) * tiles // parts):
            first = t * simd.ROWS
            m = min(simd.ROWS, rows - first)
            tile(a, 0, reads, first, a, 1, depth, step, memory, at, none, 0, c, left, writes, first, m, n, 0)
            if masked:
                for i in range(first, first + m):
                    for j in range(0, n, lanes):
                        place = i * columns + left + j
                        v = simd.positive(simd.load_part(c, place, n - j), simd.load_part(mask, place, n - j))
                        simd.store_part(c, place, v, n - j)

    product.__qualname__ = f"product_{halves}"
    return jit(product)


def _product(a, row_stride, step, rows, b, mask=None):
    """The matrix with c[i, j] = sum over d of a.flat[i row_stride + d step] b[d, j]."""
    depth, columns = b.shape
    c = empty((rows, columns), a.dtype)
    wide = simd.tiles_for(columns, a.dtype)
    panel = wide.halves * simd.width(a.dtype) // 2
    panels, tiles = -(-columns // panel), -(-rows // simd.ROWS)
    parts = 1 if panels >= 16 else -(-tiles // _TILES_PER_BLOCK)
    work = rows * columns * depth
    shape = np.array([rows, depth, columns, step, parts, panels, mask is not None])
    launch(_panel_product(wide), panels * parts, flat(a), flat(b), c.reshape(-1),
           _rows(tiles * simd.ROWS, row_stride), _rows(tiles * simd.ROWS, columns), np.zeros(panel, a.dtype),
           scratch(depth * panel, a.dtype, work), c.reshape(-1) if mask is None else mask, shape, work=work)
    return c
