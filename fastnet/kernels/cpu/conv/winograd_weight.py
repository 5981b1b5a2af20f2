"""Winograd's gradient for the weights: with the names of `winograd`, by transposing each of its steps,

    dG = F^T [ sum over tiles of (A dY A^T) * (B^T D B) ] F

What has to stay in the second cache is the sums, a C x K matrix for each point. Where they leave room for the
transforms of some tiles, a block takes its share of the tiles through both steps, and the shares are added in order.
Else some hundred tiles are transformed at a time, and each block adds to the sums of one point, which it owns. Both
give the same bits for any number of threads. Products of some tiles are added up in registers before they go to these
sums, and where tiles are many these are moved to others in float64 every so often: rounding does not grow with their
number.
"""
import functools

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv import packing, patches
from fastnet.kernels.cpu.conv.winograd import matrices
from fastnet.kernels.cpu.runtime.array import empty, scratch
from fastnet.kernels.cpu.runtime.jit import Launch, inlined, jit

# Bytes of sums and transforms that a block may fill, and how many tiles it should then hold at least.
_BLOCK_BYTES = 1_000_000
_FEWEST_TILES = 12
# Bytes of transforms that it takes, where there is room: more would drive out what is fetched ahead.
_ENOUGH_BYTES = 320_000
# Shares of the batch that are summed on their own: at most so many, of no fewer tiles, their sums no more bytes. More
# than the fewer only where each has many tiles, since sums are cleared and collected besides being added to.
_PARTS, _TILES_OF_PART, _SUMS_BYTES = 16, 64, 5 << 20
_FEWER_PARTS, _MANY_TILES = 8, 256
# Otherwise: bytes of transforms that are held at a time, and tiles that a block transforms.
_HELD_BYTES = 24 << 20
_TILES_OF_BLOCK = 16    # even, since tiles may go in pairs
# Words that are added up in registers; how many times that, and how many times all that is held, is added in float32.
_WORDS_OF_RUN = 256
_CHUNKS_OF_SUM, _HELD_OF_SUM = 128, 32
# Integers that a block keeps: a run for the register tile, and what of x and dy is still to be fetched.
_STATE = 9


class WeightGradient:
    """The gradient for the weights (K, C, r, r) from images `source` (H, W, C) and gradients `target` (P, Q, K), all
    worked out but the numbers; `paired` for products of bfloat16."""

    def __init__(self, m, r, batch, source, target, padding, dtype, paired=False):
        (h, w, c), (p, q, k) = source, target
        n, lanes = m + r - 1, simd.width(dtype)
        tiles_, panel = simd.tiles_for(k, dtype, paired), packing.panel_width(k, dtype)
        depth = tiles_.depth_rows
        rows, wide = -(-c // depth) * depth, -(-k // panel) * panel
        channels = -(-rows // lanes) * lanes
        down, across = -(-p // m), -(-q // m)
        tiles = batch * down * across
        size, per_tile = n * n * (rows * wide + lanes), n * n * (channels + wide) // tiles_.word
        chunk = (_BLOCK_BYTES // dtype.itemsize - size) // per_tile
        self.fused = chunk >= _FEWEST_TILES
        if self.fused:
            chunk = min(chunk, max(_FEWEST_TILES, _ENOUGH_BYTES // (per_tile * dtype.itemsize)))
        else:
            chunk = max(1, _HELD_BYTES // (per_tile * dtype.itemsize * _TILES_OF_BLOCK)) * _TILES_OF_BLOCK
        most = min(_PARTS, max(_FEWER_PARTS, tiles // _MANY_TILES), tiles // _TILES_OF_PART,
                   _SUMS_BYTES // (size * dtype.itemsize))
        parts = max(1, most) if self.fused else 1
        chunk = min(chunk, -(-tiles // parts))
        chunk += -chunk % tiles_.word
        words = chunk // tiles_.word
        self.held = n * n * (words * channels + lanes), n * n * (words * wide + lanes)
        self.work, self.sums, self.parts, self.wide = tiles * n * n * c * k, parts * size, parts, wide
        self.memory, self.spare = max(n * n * channels, m * m * wide), (n * n + r * r) * lanes
        self.offsets, self.zeros = np.arange(depth), np.zeros(lanes, dtype)
        self.tables = (patches.tables(m, n, *padding, *source, channels, down, across),
                       patches.tables(m, m, 0, 0, *target, wide, down, across))
        shape = [batch, h, w, c, p, q, k, *padding, words, channels, rows, wide, parts]
        self.size, self.shape = (k, c, r, r), np.array(shape)
        kernels = _gradient_kernels(m, r, tiles_)
        chunks = [(first, min(chunk, tiles - first)) for first in range(0, tiles, chunk)]
        self.chunks = [np.array([*shape, first, now, (tiles - first - now + chunk - 1) // chunk])
                       for first, now in ([(0, tiles)] if self.fused else chunks)]
        self.spilling = len(chunks) > (parts * _CHUNKS_OF_SUM if self.fused else _HELD_OF_SUM)
        self.gradient = Launch(kernels["gradient"], parts, self.work)
        self.spread = [Launch(kernels["spread"], -(-now // _TILES_OF_BLOCK), self.work) for _, now in chunks]
        self.accumulate = Launch(kernels["accumulate"], n * n, self.work)
        self.collect = Launch(_collect_kernel(m, r), c, parts * size)
        self.add_up = sums.ColumnSums(parts, wide, k, dtype, np.float64)

    def __call__(self, x, dy, bias):
        """(dw as (K, C, r, r), db or None without `bias`) from flat channels-last x and dy."""
        dtype, work, x_size, dy_size = x.dtype, self.work, *self.held
        memory, state = scratch(self.memory, dtype, work), scratch(_STATE, np.int64, work)
        products, totals = empty(self.sums, dtype), sums.room(self.sums if self.spilling else 0)
        db = empty(self.parts * self.wide, np.float64)
        if self.fused:
            self.gradient(x, dy, scratch(x_size, dtype, work, 1), scratch(dy_size, dtype, work, 2), memory, products,
                          totals, db, self.offsets, state, self.zeros, *self.tables, self.chunks[0])
        else:
            to_x, to_dy = empty(x_size, dtype), empty(dy_size, dtype)
            for spread, chunk in zip(self.spread, self.chunks, strict=True):
                spread(x, dy, to_x, to_dy, memory, self.zeros, *self.tables, chunk)
                self.accumulate(to_x, to_dy, products, totals, db, self.offsets, state, chunk)
        dw, source = empty(self.size, dtype), totals if self.spilling else products
        self.collect(source, dw.reshape(-1), scratch(self.spare, source.dtype, self.collect.work), self.shape)
        return dw, self.add_up(db) if bias else None


@functools.cache
def _gradient_kernels(m, r, tiles):
    """The kernels by name, for one F(m, r) and one width of panels."""
    n, word = m + r - 1, tiles.word
    transform, add_point = _make_transform_tiles(m, r, tiles), _make_add_point(n, tiles)
    kernels = {"gradient": _make_gradient(m, n, word, transform, add_point),
               "spread": _make_spread(m, n, tiles, transform), "accumulate": _make_accumulate(m, n, add_point)}
    for name, kernel in kernels.items():
        kernel.__qualname__ = f"{name}_{m}_{r}_{tiles.halves}_{word}"
    return {name: jit(kernel) for name, kernel in kernels.items()}


def _make_transform_tiles(m, r, tiles):
    n, halves, word = m + r - 1, tiles.halves, tiles.word
    at, _, bt = matrices(m, r)

    def make_put(make_transform):
        spread_x, spread_dy = patches.make_spread(n, make_transform(bt)), patches.make_spread(m, make_transform(at.T))

        @inlined
        def put(x, dy, image, row, column, to_x, x0, to_dy, dy0, memory, spare, zeros, table_x, table_dy, shape):
            """Transform a tile of x and one of dy."""
            h, w, c, p, q, k, above, left, room, channels, _, wide = shape[1:13]
            lanes, panel = simd.lanes(x), halves * simd.lanes(x) // 2
            x_point, dy_point = room * channels + lanes, room * wide + lanes
            down, across = (p + m - 1) // m, (q + m - 1) // m
            spread_x(x, image, row * m - above, column * m - left, h, w, c, channels, table_x,
                     table_x[row] + table_x[down + column], table_x[down + across], zeros, memory, spare,
                     to_x, x0, n * x_point, x_point, channels, 0)
            spread_dy(dy, image, row * m, column * m, p, q, k, wide, table_dy,
                      table_dy[row] + table_dy[down + column], table_dy[down + across], zeros, memory, spare,
                      to_dy, dy0, n * dy_point, dy_point, panel, room * panel)

        return put

    put, put_second = make_put(simd.make_transform_gathered), make_put(simd.make_transform_paired)

    @inlined
    def transform_tiles(x, dy, first, now, to_x, x0, to_dy, dy0, memory, spare, zeros, table_x, table_dy, shape):
        """Put `now` tiles of x into (points, words, channels) and those of dy into (points, panels, words, panel)."""
        p, q, room, channels, wide = shape[4], shape[5], shape[9], shape[10], shape[12]
        lanes, panel = simd.lanes(x), halves * simd.lanes(x) // 2
        down, across = (p + m - 1) // m, (q + m - 1) // m
        image, row, column = patches.place(first, down, across)
        for t in range(now):
            here_x, here_dy = x0 + t // word * channels, dy0 + t // word * panel
            if t % word:
                put_second(x, dy, image, row, column, to_x, here_x, to_dy, here_dy, memory, spare, zeros, table_x,
                           table_dy, shape)
            else:
                put(x, dy, image, row, column, to_x, here_x, to_dy, here_dy, memory, spare, zeros, table_x, table_dy,
                    shape)
            image, row, column = patches.following(image, row, column, down, across)
        if now % word:
            for point in range(n * n):
                _pair_with_zeros(to_x, x0 + now // word * channels + point * (room * channels + lanes), channels)
                for j in range(0, wide, panel):
                    _pair_with_zeros(to_dy, dy0 + now // word * panel + j * room + point * (room * wide + lanes), panel)

    return transform_tiles


@inlined
def _pair_with_zeros(x, start, count):
    """Make words of the last tile alone."""
    for i in range(start, start + count, simd.lanes(x)):
        simd.store(x, i, simd.pair(simd.load(x, i), simd.full(x, 0)))


def _make_add_point(n, tiles):
    tile, halves, word = tiles.tile_adjacent, tiles.halves, tiles.word

    @inlined
    def add_point(point, to_x, x0, to_dy, dy0, now, products, start, db, db0, offsets, state, run, shape):
        """Add one point's products over `now` tiles to its sums; the point that sums a tile's dy gives the bias its
        own."""
        room, channels, rows, wide = shape[9:13]
        lanes, panel = simd.lanes(to_x), halves * simd.lanes(to_x) // 2
        words = (now + word - 1) // word
        for first in range(0, words, _WORDS_OF_RUN):
            state[run + 1], state[run + 2] = 0, min(_WORDS_OF_RUN, words - first)
            for j in range(0, wide, panel):
                columns = dy0 + j * room + first * panel
                for row in range(0, rows, offsets.size):
                    state[run] = x0 + first * channels + row
                    tile(to_x, offsets, 0, channels, to_dy, columns, state, run, 1, products, start + row * wide + j,
                         wide)
        if point == n + 1:
            for j in range(0, wide, panel):
                if word == 1:
                    sums.add_rows(db, db0 + j, to_dy, dy0 + j * room, words, panel, panel)
                else:
                    for i in range(j, j + panel, lanes):
                        _add_pairs(db, db0 + i, to_dy, dy0 + j * room + i - j, words, panel)

    return add_point


@jit
def _add_pairs(db, to, words, start, rows, apart):
    """Add `rows` vectors of words, so far apart, to one of float64 sums."""
    lanes = simd.lanes(words)
    for top in range(0, rows, sums.CHAIN):
        low = high = simd.full(words, 0)
        for i in range(top, min(top + sums.CHAIN, rows)):
            v = simd.load(words, start + i * apart)
            low, high = low + simd.low(v), high + simd.high(v)
        simd.accumulate(db, to, low + high, lanes)


def _make_gradient(m, n, word, transform, add_point):
    def gradient(block, slot, x, dy, to_x, to_dy, memory, products, totals, db, offsets, state, zeros, table_x,
                 table_dy, shape):
        """Both steps for one share of the tiles; between the products, what the next tiles read is fetched."""
        batch, h, w, c, p, q, k, above, _, room, channels, rows, wide, parts, _, tiles = shape[:16]
        x_point, dy_point = room * channels + simd.lanes(x), room * wide + simd.lanes(x)
        x0, dy0, spare = slot * n * n * x_point, slot * n * n * dy_point, slot * max(n * n * channels, m * m * wide)
        down, across, at = (p + m - 1) // m, (q + m - 1) // m, slot * _STATE
        matrix = rows * wide + simd.lanes(x)
        start, end_of_sums = block * n * n * matrix, (block + 1) * n * n * matrix
        spans.clear(products, start, end_of_sums)
        if totals.size:
            spans.clear(totals, start, end_of_sums)
        spans.clear(db, block * wide, (block + 1) * wide)
        chunk, last = room * word, (block + 1) * tiles // parts
        for first in range(block * tiles // parts, last, chunk):
            now = min(chunk, last - first)
            transform(x, dy, first, now, to_x, x0, to_dy, dy0, memory, spare, zeros, table_x, table_dy, shape)
            end, next_end = first + now - 1, min(first + now + chunk, last) - 1
            patches.start_fetching(state, at + 3, patches.pixel_after(end, m, above, n, h, w, down, across),
                                   patches.pixel_after(next_end, m, above, n, h, w, down, across), n * n)
            patches.start_fetching(state, at + 6, patches.pixel_after(end, m, 0, m, p, q, down, across),
                                   patches.pixel_after(next_end, m, 0, m, p, q, down, across), n * n)
            for point in range(n * n):
                add_point(point, to_x, x0 + point * x_point, to_dy, dy0 + point * dy_point, now, products,
                          start + point * matrix, db, block * wide, offsets, state, at, shape)
                patches.fetch_portion(state, at + 3, x, c)
                patches.fetch_portion(state, at + 6, dy, k)
            if totals.size and (last - first + chunk - 1) // chunk % _CHUNKS_OF_SUM == 1:
                sums.spill(products, totals, start, end_of_sums)

    return gradient


def _make_spread(m, n, tiles, transform):
    halves, word = tiles.halves, tiles.word

    def spread(block, slot, x, dy, to_x, to_dy, memory, zeros, table_x, table_dy, shape):
        """Transform some of the tiles that are held."""
        channels, _, wide, _, first, now = shape[10:16]
        spare, panel = slot * max(n * n * channels, m * m * wide), halves * simd.lanes(x) // 2
        start = block * _TILES_OF_BLOCK
        transform(x, dy, first + start, min(_TILES_OF_BLOCK, now - start), to_x, start // word * channels, to_dy,
                  start // word * panel, memory, spare, zeros, table_x, table_dy, shape)

    return spread


def _make_accumulate(m, n, add_point):
    def accumulate(block, slot, to_x, to_dy, products, totals, db, offsets, state, shape):
        """Add the products of point `block` over all tiles that are held."""
        room, channels, rows, wide, _, first, now, to_come = shape[9:17]
        lanes = simd.lanes(to_x)
        start = block * (rows * wide + lanes)
        if first == 0:
            spans.clear(products, start, start + rows * wide)
            if totals.size:
                spans.clear(totals, start, start + rows * wide)
            if block == n + 1:  # the point that add_point sums dy from
                spans.clear(db, 0, wide)
        add_point(block, to_x, block * (room * channels + lanes), to_dy, block * (room * wide + lanes), now, products,
                  start, db, 0, offsets, state, slot * _STATE, shape)
        if totals.size and to_come % _HELD_OF_SUM == 0:
            sums.spill(products, totals, start, start + rows * wide)

    return accumulate


@functools.cache
def _collect_kernel(m, r):
    n = m + r - 1
    transform = simd.make_transform(matrices(m, r)[1].T)

    def collect(block, slot, products, dw, memory, shape):
        """F^T products F for one input channel, the shares added in order, to its place in (K, C, r, r)."""
        c, k, rows, wide, parts = shape[3], shape[6], shape[11], shape[12], shape[13]
        lanes, matrix = simd.lanes(products), rows * wide + simd.lanes(dw)
        spare = slot * (n * n + r * r) * lanes
        turned = spare + n * n * lanes
        for j in range(0, k, lanes):
            for point in range(n * n):
                at = point * matrix + block * wide + j
                total = simd.load(products, at)
                for part in range(1, parts):
                    total = total + simd.load(products, at + part * n * n * matrix)
                simd.store(memory, spare + point * lanes, total)
            transform(memory, spare, n * lanes, lanes, memory, turned, r * lanes, lanes)
            for lane in range(min(lanes, k - j)):
                for tap in range(r * r):
                    dw[((j + lane) * c + block) * r * r + tap] = memory[turned + tap * lanes + lane]

    collect.__qualname__ = f"collect_{m}_{r}"
    return jit(collect)
