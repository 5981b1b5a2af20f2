"""The direct gradient for a convolution's weights: products accumulated over pixels, and the bias gradient beside it.

dw[r, s, c, k] = sum over n, p, q of x[n, p stride + r dilation - top, q stride + s dilation - left, c] dy[n, p, q, k]

A block owns the partial gradient of some images for some of the rows (an input channel at a tap). It goes through its
images a few output rows at a time, so that what it reads lies in the first caches: dy is copied into panels, and for
each tap the rows of x that overlap the image are listed as runs for `simd.tile_runs`. The partial sums of all blocks
are then added in a fixed order. Neither depends on the number of threads.
"""
import functools

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.rows import sum_rows
from fastnet.kernels.cpu.runtime.array import empty, scratch
from fastnet.kernels.cpu.runtime.jit import Launch, jit

# Pixels of dy that are copied into panels at a time, and the most memory that partial gradients may take, in numbers.
_PIXELS = 128
_PARTIAL = 1 << 20
_MOST_PARTS = 16


def _rows(length, offsets, depth):
    """The offsets of a tap's rows, the last one repeated until they fill whole tiles of `depth` rows."""
    rows = np.array(offsets if offsets else range(length), np.int64)
    return np.concatenate([rows, np.full(-len(rows) % depth, rows[-1])])


@functools.cache
def _kernel(tiles, adjacent):
    tile, halves, depth = tiles.tile_adjacent if adjacent else tiles.tile_runs, tiles.halves, tiles.depth_rows

    def reduce(block, slot, x, dy, rows, taps, partial, bias, memory, runs, shape):
        """Add up one block's share of dw: some images, one group, some rows; and of db where the first row is among
        them."""
        batch, parts, slices, slice_rows, groups, in_channels, out_channels, h, w, p, q, step_h, step_w = shape[:13]
        part, group, share = block // (groups * slices), block // slices % groups, block % slices
        panel = halves * simd.lanes(dy) // 2
        wide = (out_channels + panel - 1) // panel * panel
        channels, all_out = groups * in_channels, groups * out_channels
        first_row, last_row = share * slice_rows, min((share + 1) * slice_rows, rows.size)
        count, height = taps.size // 2, min(p, max(1, _PIXELS // q))
        start, db = (part * groups + group) * count * rows.size * wide, part * all_out + group * out_channels
        for t in range(count):
            spans.clear(partial, start + (t * rows.size + first_row) * wide, start + (t * rows.size + last_row) * wide)
        if share == 0:
            spans.clear(bias, db, db + out_channels)
        in_place = groups == 1 and wide == panel == all_out  # dy lies in panels as it is
        right = dy if in_place else memory
        table = slot * height * 3
        tiles = max(1, count * (wide // panel) * ((last_row - first_row) // depth))
        chunks = (p + height - 1) // height
        for chunk in range(part * batch // parts * chunks, (part + 1) * batch // parts * chunks):
            image, top = chunk // chunks, chunk % chunks * height
            lines = min(height, p - top)
            here, pixel = (image * p + top) * q * all_out, (image * h + top * step_h) * w * channels
            to = here if in_place else slot * height * q * wide
            _panels(dy, here + group * out_channels, all_out, out_channels, lines * q, memory, to, panel, bias, db,
                    share == 0, not in_place)
            # The next chunk is fetched while this one is multiplied, a share of it with each tile.
            fetch_dy, fetch_x = here + lines * q * all_out, pixel + lines * step_h * w * channels
            share_dy, share_x = (fetch_dy - here) // tiles + 1, (fetch_x - pixel) // tiles + 1
            for t in range(count):
                listed = _runs(runs, table, panel, image, top, lines, taps[2 * t], taps[2 * t + 1], h, w, q, step_h,
                               step_w, channels, group * in_channels)
                for j in range(0, wide, panel):
                    for row in range(first_row, last_row, depth):
                        tile(x, rows, row, step_w * channels, right, to + j * lines * q, runs, table, listed, partial,
                             start + (t * rows.size + row) * wide + j, wide)
                        spans.fetch(dy, fetch_dy, fetch_dy + share_dy)
                        spans.fetch(x, fetch_x, fetch_x + share_x)
                        fetch_dy += share_dy
                        fetch_x += share_x

    reduce.__qualname__ = f"reduce_{halves}{'_adjacent' * adjacent}"
    return jit(reduce)


@jit
def _panels(dy, start, stride, columns, pixels, memory, to, panel, bias, bias_at, summing, copying):
    """Copy `pixels` rows of dy into panels, zeros in the last one's spare columns, and add them to the bias
    gradient."""
    lanes = simd.lanes(dy)
    for j in range(0, columns, lanes):
        n, source = columns - j, start + j
        if copying:
            target = to + j // panel * pixels * panel + j % panel
            for i in range(pixels):
                v = simd.load_part(dy, source + i * stride, n)
                simd.store_part(memory, target + i * panel, v, panel - j % panel)
        if summing:
            even, odd = simd.load_part(bias, bias_at + j, n), simd.full(dy, 0)
            for i in range(0, pixels - 1, 2):
                even = even + simd.load_part(dy, source + i * stride, n)
                odd = odd + simd.load_part(dy, source + (i + 1) * stride, n)
            if pixels % 2:
                even = even + simd.load_part(dy, source + (pixels - 1) * stride, n)
            simd.store_part(bias, bias_at + j, even + odd, n)
    if copying:
        # From the last vector that was filled to the end of its panel: whole vectors, since narrow panels end with it.
        for j in range((columns + lanes - 1) // lanes * lanes, (columns + panel - 1) // panel * panel, lanes):
            for i in range(pixels):
                simd.store(memory, to + j // panel * pixels * panel + j % panel + i * panel, simd.full(memory, 0))


@jit
def _runs(runs, at, panel, image, top, lines, dy, dx, h, w, q, step_h, step_w, channels, channel):
    """List where the rows of x under one tap start, where those of dy start, and how long both are; returns how many.

    The tap reads pixel (p step_h + dy, q step_w + dx); only those inside of the image count.
    """
    first = 0 if dx >= 0 else (-dx + step_w - 1) // step_w
    last = min(q, (w - 1 - dx) // step_w + 1) if w - 1 - dx >= 0 else 0
    count = 0
    if last <= first:
        return count
    for line in range(lines):
        y = (top + line) * step_h + dy
        if 0 <= y < h:
            entry = at + 3 * count
            runs[entry] = ((image * h + y) * w + first * step_w + dx) * channels + channel
            runs[entry + 1] = (line * q + first) * panel
            runs[entry + 2] = last - first
            count += 1
    return count


@jit
def _fold(block, slot, partial, dw, places, memory, shape):
    """Add the partial gradients of one row (a tap's input channel) in order, and put them where they belong in
    (K, C / groups, R, S)."""
    parts, stride, rows, columns, wide, tap_rows, apart = shape[:7]
    tap, row = block // rows, block % rows
    source, lanes = (tap * tap_rows + row) * wide, simd.lanes(dw)
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
        parts = int(max(1, min(batch, _MOST_PARTS, _PARTIAL // size)))
        slices = 1 if parts >= 8 else min(8, self.rows.size // depth)
        slice_rows = -(-(self.rows.size // depth) // slices) * depth
        height = min(p, max(1, _PIXELS // q))
        self.work = batch * p * q * len(taps) * self.rows.size * wide
        self.parts, self.channels, self.partial = parts, k, parts * size
        self.memory, self.runs = height * q * wide, height * 3
        self.reduce = Launch(_kernel(tiles, bool((np.diff(self.rows) == 1).all())), parts * groups * slices, self.work)
        self.shape = np.array([batch, parts, slices, slice_rows, groups, in_channels, out_channels, h, w, p, q, *step])
        self.fold = Launch(_fold, groups * len(taps) * real, parts * size)
        self.fold_shape = np.array([parts, size, real, out_channels, wide, self.rows.size, apart])
        self.places, self.size, self.lanes = places, k * apart, simd.width(dtype)

    def __call__(self, x, dy, bias):
        """(dw, db) from flat channels-last x and dy: both flat, db None without `bias`."""
        dtype, work = dy.dtype, self.work
        partial, sums = empty(self.partial, dtype), empty(self.parts * self.channels, dtype)
        self.reduce(x, dy, self.rows, self.taps, partial, sums, scratch(self.memory, dtype, work),
                    scratch(self.runs, np.int64, work), self.shape)
        dw = empty(self.size, dtype)
        self.fold(partial, dw, self.places, scratch(self.lanes, dtype, self.fold.work), self.fold_shape)
        return dw, sum_rows(sums, self.parts, self.channels, self.channels) if bias else None
