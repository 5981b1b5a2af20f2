"""Winograd convolution: 2.25 to 4 times fewer multiplications for 3x3 and 5x5 kernels with stride 1.

The m x m outputs under one tile are, with D the (m + r - 1)^2 pixels they see and G the kernel,

    Y = A^T [ (F G F^T) * (B^T D B) ] A                                                  (F is the literature's "G")

for matrices that follow from m + r - 1 distinct points (`matrices`). Summed over input channels, the element-wise
products become one matrix product for each of the (m + r - 1)^2 elements, a Winograd *point*. A block takes some tiles
through all three steps, so few that what is between the steps stays in the second cache, and while it multiplies has
the memory fetched that comes next. The gradient for the input is the same convolution with turned kernels; that for the
weights is in `winograd_weight`. Where products of bfloat16 will do, two numbers of a sum share a word, see
`simd.bfloat16`: neighbouring channels here, tiles there.

Sources: Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016; Barabasz et al., "Error analysis and
improving the accuracy of Winograd convolution", 2020, for the points.
"""
import functools

import numpy as np

from fastnet.kernels.cpu import pool, simd, spans
from fastnet.kernels.cpu.conv import packing, patches
from fastnet.kernels.cpu.runtime.array import empty, scratch
from fastnet.kernels.cpu.runtime.jit import Launch, inlined, jit

# Bytes of transformed input that a block may fill; the products take its place. And how many tiles it should hold at
# most: with more, the threads' shares differ, and nothing is gained.
_BLOCK_BYTES, _MOST_TILES = 450_000, 48
# Blocks to share among threads; where tiles make fewer, each is cut into parts of the output channels.
_BLOCKS = 4

# Integers that a block keeps to know what of x, y, add and mask is still to be fetched.
_STATE = 12
_NO_INDEX = np.zeros(1, np.uint8)

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


class Turn:
    """From w (K, C, r, r) to the filters of F(m, r), F G F^T, as (points, panels, rows, panel); `backward` those of the
    gradient for the input, whose kernels are turned by half a circle. One vector is left free after each point, since
    at a power of two all points would share cache lines. If `paired`, two rows make one of words."""

    def __init__(self, w_shape, dtype, m, backward=False, paired=False):
        layout, r, lanes = packing.Layout(w_shape, dtype, 1, backward), w_shape[2], simd.width(dtype)
        points, point = (m + r - 1) ** 2, layout.numbers // (1 + paired) + lanes
        self.numbers, self.spare = points * point, (layout.size + lanes + 2 * points) * lanes
        self.shape = layout.shape(point, backward)
        self.launch = Launch(_filter_kernel(m, r, paired), layout.blocks, self.numbers)

    def __call__(self, w):
        turned = empty(self.numbers, w.dtype)
        self.launch(w.reshape(-1), turned, scratch(self.spare, w.dtype, self.numbers), self.shape)
        return turned


class Convolution:
    """A stride-1 convolution of images `source` (H, W, C) to images `target` (P, Q, K) in the form F(m, r),
    `paired` for products of bfloat16, which want C even."""

    def __init__(self, m, r, batch, source, target, padding, dtype, paired=False):
        (h, w, c), (p, q, k) = source, target
        n, lanes = m + r - 1, simd.width(dtype)
        tiles_, panel = simd.tiles_for(k, dtype, paired), packing.panel_width(k, dtype)
        channels, outputs = -(-c // lanes) * lanes, -(-k // panel) * panel
        wide = max(-(-c // (lanes * tiles_.word)) * lanes, outputs)
        tiles = batch * -(-p // m) * -(-q // m)
        most = min(_BLOCK_BYTES // (n * n * wide * dtype.itemsize), _MOST_TILES)
        count = max(1, most // tiles_.rows) * tiles_.rows
        # A multiple of _BLOCKS blocks, as nearly as short tiles allow, so that threads get equal shares.
        blocks = -(-tiles // (_BLOCKS * count)) * _BLOCKS
        count = -(-tiles // (blocks * tiles_.short_rows)) * tiles_.short_rows
        blocks = -(-tiles // count)
        parts = min(outputs // panel, -(-_BLOCKS // blocks))
        self.launch = Launch(_convolve_kernel(m, r, tiles_), blocks * parts, work=tiles * n * n * c * k)
        self.memory = (n * n + 1) * (count * wide + lanes) + n * n * channels + m * m * lanes
        self.zeros = np.zeros(lanes, dtype)
        self.tables = patches.tables(m, n, *padding, *source, channels, -(-p // m), -(-q // m))
        shape = batch, h, w, c, p, q, k, *padding, count, wide, parts
        self.shapes = {flags: np.array([*shape, *flags]) for flags in np.ndindex(2, 2)}

    def __call__(self, x, filters, bias, y, epilogue):
        """Fill y; x and y are flat and channels-last, filters and bias come from `Turn` and `packing`."""
        self._launch(x, filters, bias, y, _NO_INDEX, self.shapes[False, False], epilogue)

    def pooled(self, x, filters, bias, y, index, relu, epilogue):
        """Fill y and index with the largest of each 2 x 2 pixels, see `pool`; the epilogue is one that does nothing."""
        self._launch(x, filters, bias, y, index, self.shapes[True, bool(relu)], epilogue)

    def _launch(self, x, filters, bias, y, index, shape, epilogue):
        work = self.launch.work
        self.launch(x, filters, bias, y, index, self.zeros, scratch(self.memory, x.dtype, work), self.tables,
                    scratch(_STATE, np.int64, work), shape, epilogue)


@functools.cache
def _filter_kernel(m, r, paired):
    n, word = m + r - 1, 1 + paired
    transform = simd.make_transform(matrices(m, r)[1])

    def turn_filters(block, slot, w, turned, memory, shape):
        """F G F^T for some rows of one panel."""
        panel, panels, parts, rows, columns, row_stride, column_stride, size, point, backward = shape[:10]
        number, lanes = block // parts, simd.lanes(w)
        spare = slot * (size + lanes + 2 * n * n) * lanes
        points = spare + (size + lanes) * lanes
        corner, step = (spare + (size - 1) * lanes, -lanes) if backward else (spare, lanes)
        for j in range(0, panel, lanes):
            left = number * panel + j
            start, count = min(left, columns - 1) * column_stride, max(columns - left, 1)
            for row in range(block % parts * packing.ROWS, min((block % parts + 1) * packing.ROWS, rows)):
                packing.turn_kernels(w, start + row * row_stride, column_stride, count, size, memory, spare)
                to = (number * rows + row) // word * panel + j
                if panel >= lanes and not paired:
                    transform(memory, corner, r * step, step, turned, to, n * point, point)
                    continue
                second = row % word
                transform(memory, corner, r * step, step, memory, points + second * n * n * lanes, n * lanes, lanes)
                if second == word - 1:
                    for i in range(points, points + n * n * lanes, lanes):
                        v = simd.load(memory, i)
                        if paired:
                            v = simd.pair(v, simd.load(memory, i + n * n * lanes))
                        simd.store_part(turned, to + (i - points) // lanes * point, v, panel - j)

    turn_filters.__qualname__ = f"filters_{m}_{r}_{word}"
    return jit(turn_filters)


@functools.cache
def _convolve_kernel(m, r, tiles):
    at, _, bt = matrices(m, r)
    n, halves, word = m + r - 1, tiles.halves, tiles.word
    make_transform = simd.make_transform_gathered if word == 1 else simd.make_transform_halved
    spread = patches.make_spread(n, make_transform(bt), word)
    multiply = _make_multiply(tiles)
    gather_tile = _make_gather_tile(m, n, at)

    def winograd(block, slot, x, filters, bias, y, index, zeros, memory, table, state, shape, epilogue):
        """Take one block's tiles through the transform, the products for some panels and the way back.

        Memory holds one part more than there are points: the transformed input of a point is in the part after it, and
        its products are written to the part before, whose input is needed no longer.
        """
        batch, h, w, c, p, q, k, above, left, count, wide, parts = shape[:12]
        masked = epilogue.masked or epilogue.derivative.address != 0
        lanes, panel = simd.lanes(x), halves * simd.lanes(x) // 2
        panels, channels, words = (k + panel - 1) // panel, (c + lanes - 1) // lanes * lanes, c // word
        down, across = (p + m - 1) // m, (q + m - 1) // m
        from_panel, to_panel = block % parts * panels // parts, (block % parts + 1) * panels // parts
        first, tiles = block // parts * count, batch * down * across
        now = min(count, tiles - first)
        # From point to point one vector more than the tiles fill, see `Turn`.
        point_size, filters_point = count * wide + lanes, panels * words * panel + lanes
        start = slot * ((n * n + 1) * point_size + n * n * channels + m * m * lanes)
        spare = start + (n * n + 1) * point_size
        image, row, column = patches.place(first, down, across)
        for t in range(now):
            spread(x, image, row * m - above, column * m - left, h, w, c, channels, table,
                   table[row] + table[down + column], table[down + across], zeros, memory, spare,
                   memory, start + point_size + t * lanes, n * point_size, point_size, word * lanes, count * lanes)
            image, row, column = patches.following(image, row, column, down, across)
        fetch = slot * _STATE
        _start_fetching(state, fetch, first, now, n * n * (to_panel - from_panel), m, n, shape)
        for point in range(n * n):
            to = start + point * point_size
            for j in range(from_panel, to_panel):
                multiply(memory, to + point_size, count * lanes, words, filters,
                         point * filters_point + j * words * panel, to + j * count * panel, now)
                patches.fetch_portion(state, fetch, x, c)
                patches.fetch_portion(state, fetch + 3, y, k)
                if epilogue.adding:
                    patches.fetch_portion(state, fetch + 6, epilogue.add, k)
                if masked:
                    patches.fetch_portion(state, fetch + 9, epilogue.mask, k)
        spare += n * n * channels
        image, row, column = patches.place(first, down, across)
        for t in range(now):
            gather_tile(memory, start + t * panel, point_size, spare, bias, y, index, image, row * m, column * m,
                        from_panel * panel, min(to_panel * panel, k), panel, shape, epilogue)
            image, row, column = patches.following(image, row, column, down, across)

    winograd.__qualname__ = f"winograd_{m}_{r}_{halves}_{word}"
    return jit(winograd)


@jit
def _start_fetching(state, at, first, now, times, m, n, shape):
    """Note what is fetched between the products of tiles first to first + now - 1: of x what the next block reads, of
    y, add and mask what belongs to this one."""
    batch, h, w, _, p, q, _, above, _, count = shape[:10]
    down, across = (p + m - 1) // m, (q + m - 1) // m
    last, tiles, side = first + now - 1, batch * down * across, 1 + shape[12]
    patches.start_fetching(state, at, patches.pixel_after(last, m, above, n, h, w, down, across),
                           patches.pixel_after(min(last + count, tiles - 1), m, above, n, h, w, down, across), times)
    m, p, q = m // side, p // side, q // side
    for other in range(at + 3, at + 12, 3):
        patches.start_fetching(state, other, patches.pixel_after(first, m, m, m, p, q, down, across),
                               patches.pixel_after(last, m, 0, m, p, q, down, across), times)


def _make_multiply(tiles):
    tile, height, tile_short, short_height = tiles.tile_plain, tiles.rows, tiles.tile_short, tiles.short_rows
    halves = tiles.halves

    @inlined
    def multiply(memory, a, a_next, length, filters, f, b, rows):
        """Products of `rows` rows of a with one panel of filters; up to short_height - 1 rows more, whatever is in
        them, may be computed too."""
        lanes, panel = simd.lanes(memory), halves * simd.lanes(memory) // 2
        whole = rows // height * height
        for t in range(0, whole, height):
            tile(memory, a + t * lanes, a_next, length, filters, f, memory, b + t * panel)
        for t in range(whole, rows, short_height):
            tile_short(memory, a + t * lanes, a_next, length, filters, f, memory, b + t * panel)

    return multiply


def _make_gather_tile(m, n, at):
    transform, transform_finished = simd.make_transform_biased(at), simd.make_transform_finished(at)

    @inlined
    def gather_tile(memory, products, point_size, spare, bias, y, index, image, top, left, channel, stop, panel, shape,
                    epilogue):
        """Transform a tile's products back, and write those pixels that exist, or the largest of each four, for
        channels from `channel` to `stop`."""
        lanes, p, q, k, apart = simd.lanes(y), shape[4], shape[5], shape[6], shape[9] * panel
        pooled, relu, bend = shape[12], shape[13], epilogue.bend
        rows, columns, corner = min(m, p - top), min(m, q - left), (image * p + top) * q + left
        for i in range(channel, stop, lanes):
            product = products + i // panel * apart + i % panel
            if pooled:
                transform(memory, product, n * point_size, point_size, memory, spare, m * lanes, lanes, bias, i, bend,
                          False)
                _pool_tile(memory, spare, m, rows // 2, columns // 2, y, index,
                           ((image * (p // 2) + top // 2) * (q // 2) + left // 2) * k + i, q // 2 * k, k, i, relu)
            elif rows == m and columns == m and i + lanes <= k:
                if epilogue.more:
                    transform_finished(memory, product, n * point_size, point_size, y, corner * k + i, q * k, k,
                                       bias, i, epilogue)
                else:
                    transform(memory, product, n * point_size, point_size, y, corner * k + i, q * k, k, bias, i, bend,
                              True)
            else:
                transform(memory, product, n * point_size, point_size, memory, spare, m * lanes, lanes, bias, i, bend,
                          False)
                for line in range(rows):
                    for j in range(columns):
                        v, to = simd.load(memory, spare + (line * m + j) * lanes), (corner + line * q + j) * k + i
                        simd.store_part(y, to, spans.finished(v, to, k - i, epilogue, epilogue.more), k - i)
        if spans.calls(epilogue):
            for line in range(rows):
                for j in range(columns):
                    pixel = (corner + line * q + j) * k
                    spans.call(y, pixel + channel, pixel + stop, epilogue)

    return gather_tile


@inlined
def _pool_tile(memory, spare, m, rows, columns, y, index, to, row_size, k, channel, relu):
    """Write the largest of each 2 x 2 pixels of a tile, and which of them it is, for a vector of channels."""
    lanes = simd.lanes(y)
    for u in range(rows):
        for v in range(columns):
            corner = spare + (2 * u * m + 2 * v) * lanes
            best, place = simd.load(memory, corner), simd.full(memory, 0)
            for other in range(1, 4):
                value = simd.load(memory, corner + (other // 2 * m + other % 2) * lanes)
                place = simd.pick(value, best, simd.full(memory, other), place)
                best = simd.pick(value, best, value, best)
            pool.keep(y, index, to + u * row_size + v * k, best, place, k - channel, relu, 255)
