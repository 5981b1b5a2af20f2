"""The direct gradient for a convolution's weights, and for its bias.

dw[r, s, c, k] = sum over n, p, q of x[n, p stride + r dilation - top, q stride + s dilation - left, c] dy[n, p, q, k]

In the words of a matrix product: for each tap, the rows of the result are input channels, its columns output channels,
and the sum runs over all pixels of the result y. Those are cut into *chunks* of at most 128 pixels: some rows of an
image, or a piece of one row. A block owns a part of the chunks and some of the rows. It goes through its chunks one by
one, so that what it reads lies in the first caches:

    dy, the pixels of a chunk          copied to panels (panels, pixels, panel), unless they are one as they are
    x, the pixels a tap meets there    not copied: those of a row of the chunk that are inside of the image are a *run*,
                                       (where it starts in x, where in the panel, how many pixels), for `simd.tile_runs`
    partial gradient                   (taps, rows, columns), to which the tile adds what a chunk gives

Where a part has many chunks, the partial gradient goes to float64 sums every so often, see `sums`. What all parts have
is then added in a fixed order. Nothing of this depends on the number of threads.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv.geometry import Pair
from fastnet.kernels.cpu.conv.operands import Inputs, Sums
from fastnet.kernels.cpu.conv.prefetch import ahead, fetch_portion
from fastnet.kernels.cpu.runtime import Launch, empty, entry, in_words, jit, named, scratch

# Pixels of a chunk at most; chunks that a partial gradient in float32 adds up at most.
_PIXELS, _CHUNKS_OF_SUM = 128, 64
# The most memory that partial gradients may take, in numbers; how many there are at most, and of how many chunks each
# is at least, unless there are more images.
_PARTIAL = 1 << 20
_MOST_PARTS, _CHUNKS_OF_PART = 16, 16


class _Tables(NamedTuple):
    offsets: np.ndarray     # of the rows: where the number of each is, counted from the tap's pixel
    taps: np.ndarray        # a Pair for each


class _Plan(NamedTuple):
    batch: int
    height: int             # of x
    width: int
    out_height: int         # of y
    out_width: int
    stride_down: int
    stride_across: int
    groups: int
    in_channels: int        # of a group
    out_channels: int       # of a group
    parts: int              # of the chunks, each with a partial gradient of its own
    slices: int             # of the rows
    slice_rows: int
    chunk_height: int       # at most
    chunk_width: int


class _Chunk(NamedTuple):
    """Some pixels of y."""

    image: int
    top: int
    left: int
    height: int
    width: int


class _Run(NamedTuple):
    """Pixels under a tap, as `tile_runs` takes them."""

    x: int                  # where the first row's number of the first pixel is
    dy: int                 # where that pixel is in a panel
    pixels: int


class _CollectPlan(NamedTuple):
    parts: int
    part_size: int
    taps_rows: int          # rows of a tap, with those that fill up its last tile
    rows: int               # without
    columns: int
    wide: int               # columns with those that fill up the last panel
    apart: int              # from an output channel's gradient to the next one's


class DirectWeightGradient:
    """The gradient for the weights of a `Geometry`, all worked out but the numbers.

    `source` is the size of x, which may be padded already, and `taps` are the pixels that are met. A row is one input
    channel of the group, or, with `offsets`, one number at that offset from the tap's pixel. `places` holds, for each
    group, tap and row, the place in the gradient (K, C / groups, R, S) of the group's first output channel.
    """

    def __init__(self, geometry, source, taps, offsets, places):
        groups, dtype, target = geometry.groups, geometry.dtype, geometry.target
        in_channels, out_channels = source.channels // groups, target.channels // groups
        tiles, panel = simd.tiles_for(out_channels, dtype), simd.panel_width(out_channels, dtype)
        rows, depth = _whole_tiles(in_channels, offsets, tiles.depth_rows), tiles.depth_rows
        wide = -(-out_channels // panel) * panel
        size = groups * len(taps) * rows.size * wide
        height = min(target.height, max(1, _PIXELS // target.width))
        width = -(-target.width // -(-target.width // _PIXELS))
        chunks = geometry.batch * -(-target.height // height) * -(-target.width // width)
        parts = int(max(1, min(max(geometry.batch, chunks // _CHUNKS_OF_PART), _MOST_PARTS, _PARTIAL // size)))
        slices = 1 if parts >= 8 else min(8, rows.size // depth)
        self.numbers = in_words(_Plan(
            batch=geometry.batch, height=source.height, width=source.width, out_height=target.height,
            out_width=target.width, stride_down=geometry.stride.down, stride_across=geometry.stride.across,
            groups=groups, in_channels=in_channels, out_channels=out_channels, parts=parts, slices=slices,
            slice_rows=-(-(rows.size // depth) // slices) * depth, chunk_height=height, chunk_width=width))
        self.tables, self.places = _Tables(rows, in_words(*taps)), places
        self.spilling = chunks > parts * _CHUNKS_OF_SUM
        self.partial, self.bias = parts * size, parts * target.channels
        self.memory, self.runs = height * width * wide, height * len(_Run._fields)
        work = geometry.batch * target.height * target.width * len(taps) * rows.size * wide
        adjacent = bool((np.diff(rows) == 1).all())
        self.add_products = Launch(_kernel(tiles, adjacent), parts * groups * slices, work)
        real, self.size = len(offsets) if offsets else in_channels, int(np.prod(geometry.w_shape))
        self.collect_numbers = in_words(_CollectPlan(
            parts=parts, part_size=size, taps_rows=rows.size, rows=real, columns=out_channels, wide=wide,
            apart=self.size // target.channels))
        self.collect, self.lanes = Launch(_collect, groups * len(taps) * real, parts * size), simd.width(dtype)
        self.add_up_bias = sums.ColumnSums(parts, target.channels, target.channels, dtype, np.float64)

    def __call__(self, x, dy, bias):
        """(dw, db) from flat channels-last x and dy: both flat, db None without `bias`."""
        dtype, work = dy.dtype, self.add_products.work
        partial, total = empty(self.partial, dtype), sums.room(self.partial if self.spilling else 0)
        db = empty(self.bias, np.float64)
        self.add_products(Inputs(x, dy), Sums(partial, total, db), self.tables, scratch(self.memory, dtype, work),
                          scratch(self.runs, np.int64, work), self.numbers)
        dw, source = empty(self.size, dtype), total if self.spilling else partial
        memory = scratch(self.lanes, source.dtype, self.collect.work)
        self.collect(source, dw, self.places, memory, self.collect_numbers)
        return dw, self.add_up_bias(db) if bias else None


def _whole_tiles(length, offsets, depth):
    """The offsets of a tap's rows, the last one repeated until they fill whole tiles of `depth` rows."""
    rows = np.array(offsets if offsets else range(length), np.int64)
    return np.concatenate([rows, np.full(-len(rows) % depth, rows[-1])])


@functools.cache
def _kernel(tiles, adjacent):
    tile, halves, depth = tiles.tile_adjacent if adjacent else tiles.tile_runs, tiles.halves, tiles.depth_rows

    def add_products(block, slot, inputs, to, tables, memory, runs, numbers):
        """Add up one block's share of dw: some chunks, one group, some rows; and of db where the first row is among
        them."""
        plan, x, dy, rows = named(_Plan, numbers), inputs.x, inputs.dy, tables.offsets
        part, group = block // (plan.groups * plan.slices), block // plan.slices % plan.groups
        piece = block % plan.slices
        panel, taps = halves * simd.lanes(dy) // 2, tables.taps.size // 2
        wide = (plan.out_channels + panel - 1) // panel * panel
        channels, all_out = plan.groups * plan.in_channels, plan.groups * plan.out_channels
        first_row, last_row = piece * plan.slice_rows, min((piece + 1) * plan.slice_rows, rows.size)
        start, size = (part * plan.groups + group) * taps * rows.size * wide, (last_row - first_row) * wide
        db = part * all_out + group * plan.out_channels
        for t in range(taps):
            own = start + (t * rows.size + first_row) * wide
            spans.clear(to.partial, own, own + size)
            if to.total.size:
                spans.clear(to.total, own, own + size)
        if piece == 0:
            spans.clear(to.bias, db, db + plan.out_channels)
        in_place = plan.groups == 1 and wide == panel == all_out  # dy lies in panels as it is
        panels = dy if in_place else memory
        run, times = slot * plan.chunk_height * 3, max(1, taps * (wide // panel) * ((last_row - first_row) // depth))
        chunks = plan.batch * _chunks(plan)
        last = (part + 1) * chunks // plan.parts
        for number in range(part * chunks // plan.parts, last):
            chunk = _chunk(number, plan)
            pixel = (chunk.image * plan.out_height + chunk.top) * plan.out_width + chunk.left
            here, pixels = pixel * all_out, chunk.height * chunk.width
            at = here if in_place else slot * plan.chunk_height * plan.chunk_width * wide
            if not in_place:
                _copy_to_panels(dy, here + group * plan.out_channels, all_out, plan.out_channels, pixels, memory, at,
                                panel)
            if piece == 0:
                sums.add_rows(to.bias, db, dy, here + group * plan.out_channels, pixels, all_out, plan.out_channels)
            # The next chunk is fetched while this one is multiplied, a portion of it with each tile.
            dy_ahead = ahead(dy, here + pixels * all_out, here + 2 * pixels * all_out, times)
            x_ahead = _next_pixels(x, chunk, channels, times, plan)
            for t in range(taps):
                count = _list_runs(runs, run, chunk, entry(Pair, tables.taps, t), group, panel, plan)
                for j in range(0, wide, panel):
                    for row in range(first_row, last_row, depth):
                        tile(x, rows, row, plan.stride_across * channels, panels, at + j * pixels, runs, run, count,
                             to.partial, start + (t * rows.size + row) * wide + j, wide)
                        dy_ahead, x_ahead = fetch_portion(dy, dy_ahead), fetch_portion(x, x_ahead)
            if to.total.size and (last - number) % _CHUNKS_OF_SUM == 1:
                for t in range(taps):
                    own = start + (t * rows.size + first_row) * wide
                    sums.spill(to.partial, to.total, own, own + size)

    add_products.__qualname__ = f"add_products_{halves}{'_adjacent' * adjacent}"
    return jit(add_products)


@jit
def _chunks(plan):
    """How many chunks an image has."""
    across = (plan.out_width + plan.chunk_width - 1) // plan.chunk_width
    return (plan.out_height + plan.chunk_height - 1) // plan.chunk_height * across


@jit
def _chunk(number, plan):
    """One of the chunks of all images."""
    across = (plan.out_width + plan.chunk_width - 1) // plan.chunk_width
    image, inner = number // _chunks(plan), number % _chunks(plan)
    top, left = inner // across * plan.chunk_height, inner % across * plan.chunk_width
    return _Chunk(image, top, left, min(plan.chunk_height, plan.out_height - top),
                  min(plan.chunk_width, plan.out_width - left))


@jit
def _next_pixels(x, chunk, channels, times, plan):
    """What the next chunk reads of x, about: below this one, or to its right."""
    row, column = chunk.top * plan.stride_down, chunk.left * plan.stride_across
    if plan.chunk_width >= plan.out_width:
        row += chunk.height * plan.stride_down
    else:
        column += chunk.width * plan.stride_across
    start = ((chunk.image * plan.height + row) * plan.width + column) * channels
    size = chunk.height * chunk.width * plan.stride_down * plan.stride_across * channels
    return ahead(x, start, start + size, times)


@jit
def _copy_to_panels(dy, start, pixel, columns, pixels, memory, to, panel):
    """Copy `columns` numbers of so many pixels, `pixel` numbers from one to the next, into panels, with zeros in the
    last one's spare columns."""
    lanes = simd.lanes(dy)
    for j in range(0, columns, lanes):
        n, source, target = columns - j, start + j, to + j // panel * pixels * panel + j % panel
        for i in range(pixels):
            v = simd.load_part(dy, source + i * pixel, n)
            simd.store_part(memory, target + i * panel, v, panel - j % panel)
    # From the last vector that was filled to the end of its panel: whole vectors, since narrow panels end with it.
    for j in range((columns + lanes - 1) // lanes * lanes, (columns + panel - 1) // panel * panel, lanes):
        for i in range(pixels):
            simd.store(memory, to + j // panel * pixels * panel + j % panel + i * panel, simd.full(memory, 0))


@jit
def _list_runs(runs, at, chunk, tap, group, panel, plan):
    """Write a `_Run` to runs[at], runs[at + 3], ... for each row of a chunk that has pixels inside of the image under a
    tap; returns how many.

    Under the tap, pixel (p, q) meets (p stride + tap.down, q stride + tap.across), so it is inside for q from `first`
    up to `last`, the same in every row.
    """
    channels, last_column = plan.groups * plan.in_channels, plan.width - 1 - tap.across
    first = 0 if tap.across >= 0 else (-tap.across + plan.stride_across - 1) // plan.stride_across
    last = last_column // plan.stride_across + 1 if last_column >= 0 else 0
    first, last = max(chunk.left, first), min(chunk.left + chunk.width, last)
    count = 0
    if last <= first:
        return count
    for line in range(chunk.height):
        row = (chunk.top + line) * plan.stride_down + tap.down
        if 0 <= row < plan.height:
            pixel = (chunk.image * plan.height + row) * plan.width + first * plan.stride_across + tap.across
            run = _Run(pixel * channels + group * plan.in_channels, (line * chunk.width + first - chunk.left) * panel,
                       last - first)
            runs[at + 3 * count], runs[at + 3 * count + 1], runs[at + 3 * count + 2] = run.x, run.dy, run.pixels
            count += 1
    return count


@jit
def _collect(block, slot, partial, dw, places, memory, numbers):
    """Add the partial gradients of one row (a tap's input channel) in order, and put them where they belong in
    (K, C / groups, R, S). They are float64 where they were spilled."""
    plan, lanes = named(_CollectPlan, numbers), simd.lanes(partial)
    tap, row = block // plan.rows, block % plan.rows
    source = (tap * plan.taps_rows + row) * plan.wide
    for j in range(0, plan.columns, lanes):
        n = plan.columns - j
        v = simd.load_part(partial, source + j, n)
        for part in range(1, plan.parts):
            v = v + simd.load_part(partial, part * plan.part_size + source + j, n)
        simd.store(memory, slot * lanes, v)
        for lane in range(min(lanes, n)):
            dw[places[block] + (j + lane) * plan.apart] = memory[slot * lanes + lane]
