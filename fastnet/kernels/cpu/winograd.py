"""Winograd convolution: 2.25 to 4 times fewer multiplications for 3x3 and 5x5 kernels with stride 1.

The m x m outputs under one tile are, with D the (m + r - 1)^2 pixels they see and G the kernel,

    Y = A^T [ (F G F^T) * (B^T D B) ] A                                                  (F is the literature's "G")

for matrices that follow from m + r - 1 distinct points (`matrices`). Summed over input channels, the element-wise
products become one matrix product for each of the (m + r - 1)^2 elements, a Winograd *point*. A block takes some tiles
through all three steps, so few that what is between the steps stays in the second cache. The gradient for the input is
the same convolution with turned kernels; the gradient for the weights, by transposing each step, is

    dG = F^T [ sum over tiles of (A dY A^T) * (B^T D B) ] F

Sources: Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016; Barabasz et al., "Error analysis and
improving the accuracy of Winograd convolution", 2020, for the points.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import gather, simd
from fastnet.kernels.cpu._jit import Launch, jit, launch
from fastnet.kernels.cpu.array import empty, scratch

# Bytes of transformed input and products that a block may fill.
_BLOCK_BYTES = 900_000
# The weight gradient holds the transforms of some tiles at a time: of at least this many beside the sums they are added
# to, where both fit into _BLOCK_BYTES, else of as many as fill _CHUNK_BYTES.
_FUSED_TILES = 32
_CHUNK_BYTES = 8 << 20
# Shares of the batch that the fused weight gradient sums on their own, and tiles that one block transforms otherwise.
_PARTS = 16
_TILES = 16
# Where tiles make fewer blocks than this, each is cut into parts of the output channels.
_BLOCKS = 4
# Sums in a block of their addition.
_SUMS = 4096

_POINTS = (0, 1, -1, 2, -2)


@functools.cache
def matrices(m, r):
    """(A^T, F, B^T) of F(m, r): m outputs of a kernel of r from m + r - 1 inputs, as float64.

    A^T and F evaluate polynomials at the points and at infinity, B^T interpolates (Toom and Cook). B^T is scaled to
    integers for the points used here, F takes the inverse factor.
    """
    n = m + r - 1
    points = np.array(_POINTS[: n - 1], np.float64)
    others = [np.delete(points, i) for i in range(n - 1)]
    at = np.zeros((m, n))
    at[:, :-1] = points ** np.arange(m)[:, None]
    at[-1, -1] = 1
    f = np.zeros((n, r))
    f[:-1] = points[:, None] ** np.arange(r)
    f[-1, -1] = 1
    bt = np.zeros((n, n))
    for i, rest in enumerate(others):
        bt[i, :-1] = np.poly(rest)[::-1]
        f[i] /= np.prod(points[i] - rest)
    bt[-1] = np.poly(points)[::-1]
    return at, f, bt


class _Kernels(NamedTuple):
    """The kernels for one F(m, r) and one width of panels."""

    convolve: object
    turn_filters: object
    spread: object
    accumulate: object
    gradient: object
    collect: object


def turn(packed, m, r, c, k):
    """The filters of F(m, r), F G F^T, as (points, panels, C, panel), from filters packed by `gather.pack`."""
    panel = gather.panel_width(k, packed.dtype)
    panels = -(-k // panel)
    filters = empty((m + r - 1) ** 2 * panels * c * panel, packed.dtype)
    launch(_kernels(m, r, simd.tiles_for(k, packed.dtype)).turn_filters, panels, packed, filters, c, work=filters.size)
    return filters


def pad_bias(b, k, dtype):
    """The bias, zeros for None, in whole panels."""
    panel = gather.panel_width(k, dtype)
    padded = np.zeros(-(-k // panel) * panel, dtype)
    if b is not None:
        padded[:k] = b
    return padded


class Convolution:
    """A stride-1 convolution of images `source` (H, W, C) to images `target` (P, Q, K) in the form F(m, r)."""

    def __init__(self, m, r, batch, source, target, padding, dtype):
        (h, w, c), (p, q, k) = source, target
        n, lanes = m + r - 1, simd.width(dtype)
        tiles_, panel = simd.tiles_for(k, dtype), gather.panel_width(k, dtype)
        channels, outputs = -(-c // lanes) * lanes, -(-k // panel) * panel
        tiles = batch * -(-p // m) * -(-q // m)
        per_tile = n * n * (channels + outputs)
        height = tiles_.rows
        count = max(1, min(_BLOCK_BYTES // (per_tile * dtype.itemsize * height), 4)) * height
        while count > height and tiles < 4 * count:  # enough blocks to share among threads
            count -= height
        blocks = -(-tiles // count)
        parts = min(outputs // panel, -(-_BLOCKS // blocks))
        self.launch = Launch(_kernels(m, r, tiles_).convolve, blocks * parts, work=tiles * n * n * c * k)
        self.memory = count * per_tile + n * n * (2 * lanes + channels) + m * m * lanes
        shape = batch, h, w, c, p, q, k, *padding, count, channels, parts
        self.shapes = {flags: np.array([*shape, *flags]) for flags in np.ndindex(2, 2)}

    def __call__(self, x, filters, bias, y, relu=False, mask=None):
        """Fill y; x, y and mask are flat and channels-last, filters and bias come from `turn` and `pad_bias`."""
        masked = mask is not None
        self.launch(x, filters, bias, y, mask if masked else y, scratch(self.memory, x.dtype, self.launch.work),
                    self.shapes[bool(relu), masked])


@functools.lru_cache(maxsize=512)
def convolution(m, r, batch, source, target, padding, dtype):
    """The Convolution for these shapes; `padding` is (top, left)."""
    return Convolution(m, r, batch, source, target, padding, dtype)


def weight_gradient(x, dy, m, r, batch, source, target, padding):
    """(dw as (r, r, C, K), db) from flat channels-last x and dy.

    Where the sums (a C x K matrix for each point) leave room in the second cache, a block takes its share of the images
    through transforms and products, and the shares are added in order. Else some thousand tiles at a time are
    transformed, then each block adds to the sums of one point, which it owns. Neither depends on the number of threads.
    """
    (h, w, c), (p, q, k) = source, target
    n, lanes = m + r - 1, simd.width(x.dtype)
    tiles_, panel = simd.tiles_for(k, x.dtype), gather.panel_width(k, x.dtype)
    depth = tiles_.depth_rows
    kernels = _kernels(m, r, tiles_)
    rows, wide = -(-c // depth) * depth, -(-k // panel) * panel
    channels = -(-rows // lanes) * lanes
    tiles = batch * -(-p // m) * -(-q // m)
    sums, per_tile = n * n * rows * wide, n * n * (channels + wide)
    chunk = (_BLOCK_BYTES // x.itemsize - sums) // per_tile
    fused = chunk >= _FUSED_TILES
    if not fused:
        chunk = max(1, _CHUNK_BYTES // (per_tile * x.itemsize * _TILES)) * _TILES
    parts = min(_PARTS, batch) if fused else 1
    chunk = min(chunk, -(-tiles // parts))
    work = tiles * n * n * c * k
    held = n * n * (chunk * channels + lanes), n * n * (chunk * wide + lanes)
    spread_x, spread_dy = (scratch(size, x.dtype, work) if fused else empty(size, x.dtype) for size in held)
    products, db = empty(parts * sums, x.dtype), np.zeros(parts * wide, x.dtype)
    memory = scratch(max(n * n * channels, m * m * wide), x.dtype, work)
    runs, offsets = scratch(3, np.int64, work), np.arange(depth)
    shape = [batch, h, w, c, p, q, k, *padding, chunk, channels, rows, wide]
    if fused:
        launch(kernels.gradient, parts, x, dy, spread_x, spread_dy, memory, products, db, offsets, runs,
               np.array([*shape, tiles, parts]), work=work)
        launch(_add_parts, -(-sums // _SUMS), products, sums, parts, work=products.size)
        db = db.reshape(parts, wide).sum(axis=0)
    for first in range(0, 0 if fused else tiles, chunk):
        now = min(chunk, tiles - first)
        block = np.array([*shape, first, now])
        launch(kernels.spread, -(-now // _TILES), x, dy, spread_x, spread_dy, memory, block, work=work)
        launch(kernels.accumulate, n * n, spread_x, spread_dy, products, db, offsets, runs, block, work=work)
    dw = empty((r, r, c, wide), x.dtype)
    launch(kernels.collect, c, products, dw.reshape(-1), rows, c, wide, work=products.size)
    return dw[..., :k], db[:k]


@functools.cache
def _kernels(m, r, tiles):
    """Build the kernels of F(m, r): loops around transforms generated from its matrices, and around register tiles."""
    at, f, bt = matrices(m, r)
    n, name = m + r - 1, f"{m}_{r}_{tiles.halves}"
    convolve_ = _convolve_kernel(m, n, simd.make_transform(bt), simd.make_transform_biased(at), tiles, name)
    turn = _filter_kernel(n, r, simd.make_transform(f), tiles.halves, name)
    gradient = _gradient_kernels(m, n, simd.make_transform(bt), simd.make_transform(at.T), tiles, name)
    return _Kernels(convolve_, turn, *gradient, _collect_kernel(n, r, simd.make_transform(f.T), name))


@jit
def _patch(x, image, top, left, size, h, w, c, width, memory, at):
    """Copy `size` x `size` pixels into (size, size, width) numbers of memory, zeros outside of the image and beyond
    c."""
    lanes = simd.lanes(x)
    for i in range(top, top + size):
        for j in range(left, left + size):
            inside = 0 <= i < h and 0 <= j < w
            source = ((image * h + i) * w + j) * c
            for k in range(0, width, lanes):
                if inside:
                    simd.store(memory, at + k, simd.load_part(x, source + k, c - k))
                else:
                    simd.store(memory, at + k, simd.full(memory, 0))
            at += width


def _spreader(size, transform):
    """A function that transforms the `size` x `size` pixels at (top, left) for all channels."""

    @jit
    def channels_of(x, start, row, column, width, y, y0, y_row, y_column, panel, y_panel):
        for k in range(0, width, panel):
            for j in range(0, min(panel, width - k), simd.lanes(x)):
                transform(x, start + k + j, row, column, y, y0 + k // panel * y_panel + j, y_row, y_column)

    @jit
    def spread(x, image, top, left, h, w, c, width, memory, spare, y, y0, y_row, y_column, panel, y_panel):
        source, start, row = x, ((image * h + top) * w + left) * c, w * c
        if width != c or top < 0 or left < 0 or top + size > h or left + size > w:
            _patch(x, image, top, left, size, h, w, c, width, memory, spare)
            source, start, row = memory, spare, size * width
        channels_of(source, start, row, width, width, y, y0, y_row, y_column, panel, y_panel)

    return spread


def _convolve_kernel(m, n, transform_in, transform_out, tiles, name):
    spread = _spreader(n, transform_in)
    tile, height, halves = tiles.tile_plain, tiles.rows, tiles.halves

    @jit
    def place(memory, spare, y, mask, masked, image, top, left, p, q, k, channel):
        """Copy m x m vectors from memory to those pixels that exist, through the mask."""
        for i in range(min(m, p - top)):
            for j in range(min(m, q - left)):
                at = ((image * p + top + i) * q + left + j) * k + channel
                v = simd.load(memory, spare + (i * m + j) * simd.lanes(y))
                if masked:
                    v = simd.positive(v, simd.load_part(mask, at, k - channel))
                simd.store_part(y, at, v, k - channel)

    def winograd(block, slot, x, filters, bias, y, mask, memory, shape):
        """Take one block's tiles through the transform, the products for some panels and the way back."""
        batch, h, w, c, p, q, k, before, left, count, channels, parts, relu, masked = shape[:14]
        lanes, panel = simd.lanes(x), halves * simd.lanes(x) // 2
        panels = (k + panel - 1) // panel
        outputs = panels * panel
        down, across = (p + m - 1) // m, (q + m - 1) // m
        from_panel, to_panel = block % parts * panels // parts, (block % parts + 1) * panels // parts
        first = block // parts * count
        now = min(count, batch * down * across - first)
        # From point to point one vector more than the tiles fill: at a power of two all points would share cache lines.
        a_point, b_point = count * channels + lanes, count * outputs + lanes
        a = slot * (n * n * (a_point + b_point + channels) + m * m * lanes)
        b = a + n * n * a_point
        spare = b + n * n * b_point
        for t in range(now):
            tile_number = first + t
            image, inner = tile_number // (down * across), tile_number % (down * across)
            spread(x, image, inner // across * m - before, inner % across * m - left, h, w, c, channels, memory, spare,
                   memory, a + t * channels, n * a_point, a_point, channels, 0)
        for point in range(n * n):
            for j in range(from_panel, to_panel):
                # The last rows may be left from other tiles: nobody reads their products.
                for t in range(0, now, height):
                    tile(memory, a + point * a_point + t * channels, channels, c,
                         filters, (point * panels + j) * c * panel,
                         memory, b + point * b_point + t * outputs + j * panel, outputs)
        spare += n * n * channels
        for t in range(now):
            tile_number = first + t
            image, inner = tile_number // (down * across), tile_number % (down * across)
            top, here = inner // across * m, inner % across * m
            whole = top + m <= p and here + m <= q and not masked
            for i in range(from_panel * panel, min(to_panel * panel, k), lanes):
                out, to, row, column = y, ((image * p + top) * q + here) * k + i, q * k, k
                direct = whole and i + lanes <= k
                if not direct:
                    out, to, row, column = memory, spare, m * lanes, lanes
                transform_out(memory, b + t * outputs + i, n * b_point, b_point, out, to, row, column, bias, i, relu)
                if not direct:
                    place(memory, spare, y, mask, masked, image, top, here, p, q, k, i)

    winograd.__qualname__ = f"winograd_{name}"
    return jit(winograd)


def _filter_kernel(n, r, transform, halves, name):
    def turn_filters(block, slot, packed, filters, c):
        """F G F^T for the filters of one panel, from (panels, taps, C, panel) to (points, panels, C, panel)."""
        panel = halves * simd.lanes(packed) // 2
        panels = packed.size // (r * r * c * panel)
        for i in range(0, c * panel, simd.lanes(packed)):
            transform(packed, block * r * r * c * panel + i, r * c * panel, c * panel, filters, block * c * panel + i,
                      n * panels * c * panel, panels * c * panel)

    turn_filters.__qualname__ = f"filters_{name}"
    return jit(turn_filters)


def _gradient_kernels(m, n, transform_x, transform_dy, tiles, name):
    tile, halves = tiles.tile_runs, tiles.halves
    spread_x, spread_dy = _spreader(n, transform_x), _spreader(m, transform_dy)

    @jit
    def transform_tile(x, dy, number, to_x, x0, to_dy, dy0, memory, spare, shape):
        """Put tile `number` of x into (points, tiles, channels) and that of dy into (points, panels, tiles, panel)."""
        h, w, c, p, q, k, before, left, chunk, channels, _, wide = shape[1:13]
        lanes, panel = simd.lanes(x), halves * simd.lanes(x) // 2
        down, across = (p + m - 1) // m, (q + m - 1) // m
        image, inner = number // (down * across), number % (down * across)
        top, here = inner // across * m, inner % across * m
        x_point, dy_point = chunk * channels + lanes, chunk * wide + lanes
        spread_x(x, image, top - before, here - left, h, w, c, channels, memory, spare, to_x, x0, n * x_point, x_point,
                 channels, 0)
        spread_dy(dy, image, top, here, p, q, k, wide, memory, spare, to_dy, dy0, n * dy_point, dy_point, panel,
                  chunk * panel)

    @jit
    def add_point(point, to_x, x0, to_dy, dy0, now, products, start, db, db0, offsets, runs, run, shape):
        """Add one point's products over `now` tiles to its sums; the point that sums a tile's dy gives the bias its
        own."""
        chunk, channels, rows, wide = shape[9:13]
        lanes, panel = simd.lanes(to_x), halves * simd.lanes(to_x) // 2
        runs[run + 1], runs[run + 2] = 0, now
        for j in range(0, wide, panel):
            columns = dy0 + point * (chunk * wide + lanes) + j * chunk
            for row in range(0, rows, offsets.size):
                runs[run] = x0 + point * (chunk * channels + lanes) + row
                tile(to_x, offsets, 0, channels, to_dy, columns, runs, run, 1, products, start + row * wide + j, wide)
            if point == n + 1:
                for i in range(0, panel, lanes):
                    total = simd.load(db, db0 + j + i)
                    for t in range(now):
                        total = total + simd.load(to_dy, columns + t * panel + i)
                    simd.store(db, db0 + j + i, total)

    @jit
    def clear(products, start, stop):
        for i in range(start, stop):
            products[i] = 0

    def spread(block, slot, x, dy, to_x, to_dy, memory, shape):
        """Transform some of the tiles that are held."""
        channels, _, wide, first, now = shape[10:15]
        spare, panel = slot * max(n * n * channels, m * m * wide), halves * simd.lanes(x) // 2
        for t in range(block * _TILES, min((block + 1) * _TILES, now)):
            transform_tile(x, dy, first + t, to_x, t * channels, to_dy, t * panel, memory, spare, shape)

    def accumulate(block, slot, to_x, to_dy, products, db, offsets, runs, shape):
        """Add the products of point `block` over all tiles that are held."""
        rows, wide, first, now = shape[11:15]
        if first == 0:
            clear(products, block * rows * wide, (block + 1) * rows * wide)
        add_point(block, to_x, 0, to_dy, 0, now, products, block * rows * wide, db, 0, offsets, runs, slot * 3, shape)

    def gradient(block, slot, x, dy, to_x, to_dy, memory, products, db, offsets, runs, shape):
        """Both, for one share of the tiles."""
        chunk, channels, rows, wide, tiles, parts = shape[9:15]
        lanes, panel = simd.lanes(x), halves * simd.lanes(x) // 2
        spare = slot * max(n * n * channels, m * m * wide)
        x0, dy0 = slot * n * n * (chunk * channels + lanes), slot * n * n * (chunk * wide + lanes)
        start = block * n * n * rows * wide
        clear(products, start, start + n * n * rows * wide)
        last = (block + 1) * tiles // parts
        for first in range(block * tiles // parts, last, chunk):
            now = min(chunk, last - first)
            for t in range(now):
                transform_tile(x, dy, first + t, to_x, x0 + t * channels, to_dy, dy0 + t * panel, memory, spare, shape)
            for point in range(n * n):
                add_point(point, to_x, x0, to_dy, dy0, now, products, start + point * rows * wide, db, block * wide,
                          offsets, runs, slot * 3, shape)

    for kernel in (spread, accumulate, gradient):
        kernel.__qualname__ = f"{kernel.__name__}_{name}"
    return jit(spread), jit(accumulate), jit(gradient)


@jit
def _add_parts(block, slot, products, size, parts):
    """Add the sums of all parts to those of the first, in order."""
    stop = min((block + 1) * _SUMS, size)
    for i in range(block * _SUMS, stop, simd.lanes(products)):
        total = simd.load_part(products, i, stop - i)
        for part in range(1, parts):
            total = total + simd.load_part(products, part * size + i, stop - i)
        simd.store_part(products, i, total, stop - i)


def _collect_kernel(n, r, transform, name):
    def collect(block, slot, products, dw, rows, c, wide):
        """F^T products F for one input channel, from (points, rows, K) to (taps, C, K)."""
        for i in range(0, wide, simd.lanes(dw)):
            transform(products, block * wide + i, n * rows * wide, rows * wide, dw, block * wide + i, r * c * wide,
                      c * wide)

    collect.__qualname__ = f"collect_{name}"
    return jit(collect)
