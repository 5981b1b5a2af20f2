"""The direct gradient for a convolution's weights: products accumulated over pixels, and the bias gradient beside it.

dw[r, s, c, k] = sum over n, p, q of x[n, p stride + r dilation - top, q stride + s dilation - left, c] dy[n, p, q, k]

The output pixels are cut into chunks of at most 128: some rows of an image, or a piece of one row. A block owns the
partial gradient of a part of the chunks for some of the rows (an input channel at a tap). It goes through them one by
one, so that what it reads lies in the first caches: dy is copied into panels, and for each tap the rows of x that
overlap the image are listed as runs for `simd.tile_runs`, which adds up a chunk in registers before it adds that to the
partial gradient. Where a part has many chunks, the partial gradient goes to float64 sums every so often. What all parts
have is then added in a fixed order. Nothing of this depends on the number of threads.
"""
import functools

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime.array import empty, scratch
from fastnet.kernels.cpu.runtime.jit import Launch, jit

# Pixels of a chunk at most; chunks that a partial gradient in float32 adds up at most.
_PIXELS, _CHUNKS_OF_SUM = 128, 64
# The most memory that partial gradients may take, in numbers; how many there are at most, and of how many chunks each
# is at least, unless there are more images.
_PARTIAL = 1 << 20
_MOST_PARTS, _CHUNKS_OF_PART = 16, 16


def _rows(length, offsets, depth):
    """The offsets of a tap's rows, the last one repeated until they fill whole tiles of `depth` rows."""
    rows = np.array(offsets if offsets else range(length), np.int64)
    return np.concatenate([rows, np.full(-len(rows) % depth, rows[-1])])


@functools.cache
def _kernel(tiles, adjacent):
    tile, halves, depth = tiles.tile_adjacent if adjacent else tiles.tile_runs, tiles.halves, tiles.depth_rows

    def reduce(block, slot, x, dy, rows, taps, partial, total, bias, memory, runs, shape):
        """Add up one block's share of dw: some chunks, one group, some rows; and of db where the first row is among
        them. Where there is room in `total`, dw is moved to it every so often."""
        batch, parts, slices, slice_rows, groups, in_channels, out_channels, h, w, p, q, step_h, step_w = shape[:13]
        height, width = shape[13:15]
        part, group, share = block // (groups * slices), block // slices % groups, block % slices
        panel = halves * simd.lanes(dy) // 2
        wide = (out_channels + panel - 1) // panel * panel
        channels, all_out = groups * in_channels, groups * out_channels
        first_row, last_row = share * slice_rows, min((share + 1) * slice_rows, rows.size)
        count = taps.size // 2
        start, db = (part * groups + group) * count * rows.size * wide, part * all_out + group * out_channels
        for t in range(count):
            spans.clear(partial, start + (t * rows.size + first_row) * wide, start + (t * rows.size + last_row) * wide)
            if total.size:
                spans.clear(total, start + (t * rows.size + first_row) * wide,
                            start + (t * rows.size + last_row) * wide)
        if share == 0:
            spans.clear(bias, db, db + out_channels)
        in_place = groups == 1 and wide == panel == all_out  # dy lies in panels as it is
        right = dy if in_place else memory
        table = slot * height * 3
        tiles = max(1, count * (wide // panel) * ((last_row - first_row) // depth))
        pieces = (q + width - 1) // width
        chunks = (p + height - 1) // height * pieces
        last = (part + 1) * batch * chunks // parts
        for chunk in range(part * batch * chunks // parts, last):
            image, top, left = chunk // chunks, chunk % chunks // pieces * height, chunk % pieces * width
            lines, columns = min(height, p - top), min(width, q - left)
            here, pixels = ((image * p + top) * q + left) * all_out, lines * columns
            to = here if in_place else slot * height * width * wide
            if not in_place:
                _panels(dy, here + group * out_channels, all_out, out_channels, pixels, memory, to, panel)
            if share == 0:
                sums.add_rows(bias, db, dy, here + group * out_channels, pixels, all_out, out_channels)
            # The next chunk is fetched while this one is multiplied, a share of it with each tile.
            fetch_dy = here + pixels * all_out
            fetch_x = ((image * h + top * step_h) * w + left * step_w) * channels
            fetch_x += lines * step_h * w * channels if pieces == 1 else columns * step_w * channels
            share_dy, share_x = pixels * all_out // tiles + 1, pixels * step_h * step_w * channels // tiles + 1
            for t in range(count):
                listed = _runs(runs, table, panel, image, top, lines, left, columns, taps[2 * t], taps[2 * t + 1], h, w,
                               step_h, step_w, channels, group * in_channels)
                for j in range(0, wide, panel):
                    for row in range(first_row, last_row, depth):
                        tile(x, rows, row, step_w * channels, right, to + j * pixels, runs, table, listed, partial,
                             start + (t * rows.size + row) * wide + j, wide)
                        spans.fetch(dy, fetch_dy, fetch_dy + share_dy)
                        spans.fetch(x, fetch_x, fetch_x + share_x)
                        fetch_dy += share_dy
                        fetch_x += share_x
            if total.size and (last - chunk) % _CHUNKS_OF_SUM == 1:
                for t in range(count):
                    sums.spill(partial, total, start + (t * rows.size + first_row) * wide,
                               start + (t * rows.size + last_row) * wide)

    reduce.__qualname__ = f"reduce_{halves}{'_adjacent' * adjacent}"
    return jit(reduce)


@jit
def _panels(dy, start, stride, columns, pixels, memory, to, panel):
    """Copy `pixels` rows of dy into panels, zeros in the last one's spare columns."""
    lanes = simd.lanes(dy)
    for j in range(0, columns, lanes):
        n, source, target = columns - j, start + j, to + j // panel * pixels * panel + j % panel
        for i in range(pixels):
            v = simd.load_part(dy, source + i * stride, n)
            simd.store_part(memory, target + i * panel, v, panel - j % panel)
    # From the last vector that was filled to the end of its panel: whole vectors, since narrow panels end with it.
    for j in range((columns + lanes - 1) // lanes * lanes, (columns + panel - 1) // panel * panel, lanes):
        for i in range(pixels):
            simd.store(memory, to + j // panel * pixels * panel + j % panel + i * panel, simd.full(memory, 0))


@jit
def _runs(runs, at, panel, image, top, lines, left, columns, dy, dx, h, w, step_h, step_w, channels, channel):
    """List where the rows of x under one tap start, where those of dy start, and how long both are; returns how many.

    For the chunk of `lines` x `columns` pixels from (top, left) on. The tap reads pixel (p step_h + dy, q step_w + dx);
    only those inside of the image count.
    """
    first = max(left, 0 if dx >= 0 else (-dx + step_w - 1) // step_w)
    last = min(left + columns, (w - 1 - dx) // step_w + 1) if w - 1 - dx >= 0 else 0
    count = 0
    if last <= first:
        return count
    for line in range(lines):
        y = (top + line) * step_h + dy
        if 0 <= y < h:
            entry = at + 3 * count
            runs[entry] = ((image * h + y) * w + first * step_w + dx) * channels + channel
            runs[entry + 1] = (line * columns + first - left) * panel
            runs[entry + 2] = last - first
            count += 1
    return count


@jit
def _fold(block, slot, partial, dw, places, memory, shape):
    """Add the partial gradients of one row (a tap's input channel) in order, and put them where they belong in
    (K, C / groups, R, S). They are float64 where they were spilled."""
    parts, stride, rows, columns, wide, tap_rows, apart = shape[:7]
    tap, row = block // rows, block % rows
    source, lanes = (tap * tap_rows + row) * wide, simd.lanes(partial)
    for j in range(0, columns, lanes):
        v = simd.load_part(partial, source + j, columns - j)
        for part in range(1, parts):
            v = v + simd.load_part(partial, part * stride + source + j, columns - j)
        simd.store(memory, slot * lanes, v)
        for lane in range(min(lanes, columns - j)):
            dw[places[block] + (j + lane) * apart] = memory[slot * lanes + lane]


class WeightGradient:
    """The gradient for the weights from images `source` (H, W, C) and gradients `target` (P, Q, K), all worked out but
    the numbers. A row is one input channel of the group, or, with `offsets`, one number at that offset from the tap's
    pixel. `places` holds, for each group, tap and row, the place in the gradient of the group's first output channel;
    those of the next lie `apart` from each other."""

    def __init__(self, batch, source, target, step, taps, groups, offsets, places, apart, dtype):
        (h, w, c), (p, q, k) = source, target
        in_channels, out_channels = c // groups, k // groups
        tiles = simd.tiles_for(out_channels, dtype)
        depth, panel = tiles.depth_rows, tiles.halves * simd.width(dtype) // 2
        self.rows, self.taps = _rows(in_channels, offsets, depth), np.array(taps, np.int64).reshape(-1)
        real, wide = len(offsets) if offsets else in_channels, -(-out_channels // panel) * panel
        size = groups * len(taps) * self.rows.size * wide
        height, width = min(p, max(1, _PIXELS // q)), -(-q // -(-q // _PIXELS))
        chunks = batch * -(-p // height) * -(-q // width)
        parts = int(max(1, min(max(batch, chunks // _CHUNKS_OF_PART), _MOST_PARTS, _PARTIAL // size)))
        slices = 1 if parts >= 8 else min(8, self.rows.size // depth)
        slice_rows = -(-(self.rows.size // depth) // slices) * depth
        self.spilling = chunks > parts * _CHUNKS_OF_SUM
        self.work = batch * p * q * len(taps) * self.rows.size * wide
        self.parts, self.channels, self.partial = parts, k, parts * size
        self.memory, self.runs = height * width * wide, height * 3
        self.reduce = Launch(_kernel(tiles, bool((np.diff(self.rows) == 1).all())), parts * groups * slices, self.work)
        self.shape = np.array([batch, parts, slices, slice_rows, groups, in_channels, out_channels, h, w, p, q, *step,
                               height, width])
        self.fold = Launch(_fold, groups * len(taps) * real, parts * size)
        self.fold_shape = np.array([parts, size, real, out_channels, wide, self.rows.size, apart])
        self.add_up = sums.ColumnSums(parts, k, k, dtype, np.float64)
        self.places, self.size, self.lanes = places, k * apart, simd.width(dtype)

    def __call__(self, x, dy, bias):
        """(dw, db) from flat channels-last x and dy: both flat, db None without `bias`."""
        dtype, work = dy.dtype, self.work
        partial, total = empty(self.partial, dtype), sums.room(self.partial if self.spilling else 0)
        db = empty(self.parts * self.channels, np.float64)
        self.reduce(x, dy, self.rows, self.taps, partial, total, db, scratch(self.memory, dtype, work),
                    scratch(self.runs, np.int64, work), self.shape)
        dw, source = empty(self.size, dtype), total if self.spilling else partial
        self.fold(source, dw, self.places, scratch(self.lanes, source.dtype, self.fold.work), self.fold_shape)
        return dw, self.add_up(db) if bias else None
