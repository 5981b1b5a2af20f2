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
is then added in a fixed order. Nothing of this depends on the number of threads. Where a tap is outside of the image no
product is made at all, so what is not finite in dy does not come to dw from there, as 0 times it would.

For a 1x1 kernel, see `matrix_weight`, the pixels are one line, and x and dy may change places: then the sums come out
in the order of the weights. Where pixels then share so few places of the caches that they drive each other out, a block
copies rows too.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv.collect import Collect, CollectPlan
from fastnet.kernels.cpu.conv.geometry import Pair
from fastnet.kernels.cpu.conv.operands import Gradients, Inputs, Sums
from fastnet.kernels.cpu.conv.prefetch import PixelsAhead, fetch_pixels, pixels_ahead
from fastnet.kernels.cpu.runtime import Launch, empty, entry, in_words, jit, named, scratch, whole_lines

# Pixels of a chunk at most; chunks that a partial gradient in float32 adds up at most.
_PIXELS, _CHUNKS_OF_SUM = 128, 64
# The most memory that partial gradients may take, in numbers, and where x and dy are turned, whose panels leave less
# room in the second cache; how many there are at most, and of how many chunks each is at least, unless there are more
# images.
_PARTIAL, _PARTIAL_TURNED = 1 << 20, 1 << 18
_MOST_PARTS, _CHUNKS_OF_PART = 16, 2
# Blocks to share among threads.
_BLOCKS = 8
_COLLISION = 512    # bytes: pixels at a multiple of that distance share few places of the first cache


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
    slices: int             # blocks that share the panels of a part
    row_slices: int         # blocks that share its rows
    chunk_height: int       # at most
    chunk_width: int
    turned: int             # whether x and dy have changed places: the bias is for channels of x
    runs: int               # numbers that a slot has room for to list its runs
    apart: int              # from a pixel of a copy of x to the next; 0 where x is read where it lies


class _Chunk(NamedTuple):
    """Some pixels of y."""

    image: int
    top: int
    left: int
    height: int
    width: int


class _Own(NamedTuple):
    """The part of a partial gradient that a block computes."""

    start: int              # of the partial gradient
    taps: int
    rows: int               # of a tap
    wide: int
    first_row: int
    last_row: int
    left: int               # column, and `right` the one behind the last
    right: int


class _Bias(NamedTuple):
    """What a block adds up for the bias: `columns` numbers of each pixel."""

    start: int              # in the first pixel
    to: int
    columns: int


class _Run(NamedTuple):
    """Pixels under a tap, as `tile_runs` takes them."""

    x: int                  # where the first row's number of the first pixel is
    dy: int                 # where that pixel is in a panel
    pixels: int


class DirectWeightGradient:
    """The gradient for the weights of a `Geometry`, all worked out but the numbers.

    `source` is the size of x, which may be padded already, and `taps` are the pixels that are met. A row is one input
    channel of the group, or, with `offsets`, one number at that offset from the tap's pixel. `places` holds, for each
    group, tap and row, the place in the gradient (K, C / groups, R, S) of the group's first output channel. Where x and
    dy are `turned`, so are the channels in all of this. In a `line` pixels of x meet those of y one by one.
    """

    def __init__(self, geometry, source, taps, offsets, places, turned=False, line=False):
        groups, dtype, target = geometry.groups, geometry.dtype, geometry.target
        in_channels, out_channels = source.channels // groups, target.channels // groups
        tiles = simd.close_tiles_for(out_channels, dtype)
        panel = tiles.halves * simd.width(dtype) // 2
        rows, depth = _whole_tiles(in_channels, offsets, tiles.depth_rows), tiles.depth_rows
        wide = -(-out_channels // panel) * panel
        size = groups * len(taps) * rows.size * wide
        height = min(target.height, max(1, _PIXELS // target.width))
        self.runs = whole_lines(height * len(_Run._fields), np.int64)
        width = -(-target.width // -(-target.width // _PIXELS))
        chunks = geometry.batch * -(-target.height // height) * -(-target.width // width)
        parts = int(max(1, min(max(geometry.batch, chunks // _CHUNKS_OF_PART), _MOST_PARTS,
                            (_PARTIAL_TURNED if turned else _PARTIAL) // size)))
        copied = line and source.channels * dtype.itemsize % _COLLISION == 0
        slices, row_slices = shares(-(-_BLOCKS // parts), wide // panel, rows.size // depth, copied * panel // depth)
        apart = copied and -(-rows.size // depth // row_slices) * depth + simd.width(dtype)
        self.numbers = in_words(_Plan(
            batch=geometry.batch, height=source.height, width=source.width, out_height=target.height,
            out_width=target.width, stride_down=geometry.stride.down, stride_across=geometry.stride.across,
            groups=groups, in_channels=in_channels, out_channels=out_channels, parts=parts, slices=slices,
            row_slices=row_slices, chunk_height=height, chunk_width=width, turned=turned, runs=self.runs,
            apart=apart))
        self.tables = _Tables(rows, in_words(*taps))
        self.spilling = chunks > parts * _CHUNKS_OF_SUM
        biases = source.channels if turned else target.channels
        self.partial, self.bias = parts * size, parts * biases
        self.memory = height * width * (wide + apart)
        work = geometry.batch * target.height * target.width * len(taps) * rows.size * wide
        adjacent = bool((np.diff(rows) == 1).all())
        self.add_products = Launch(_kernel(tiles, adjacent), parts * groups * slices * row_slices, work)
        real, size_of_all = len(offsets) if offsets else in_channels, int(np.prod(geometry.w_shape))
        in_place = turned and parts == 1 and not self.spilling and size == size_of_all
        self.collect = Collect(CollectPlan(
            groups=0 if in_place else groups, lines=len(taps) * real, biases=biases, parts=parts, part_size=size,
            room=rows.size, rows=real, columns=out_channels, panel=wide, panels=1,
            apart=1 if turned else size_of_all // target.channels), places, size_of_all, dtype, self.spilling)

    def __call__(self, x, dy, bias):
        """(dw, db) from flat channels-last x and dy: both flat, db None without `bias`."""
        dtype, work = dy.dtype, self.add_products.work
        partial, total = empty(self.partial, dtype), sums.room(self.partial if self.spilling else 0)
        of_parts = sums.room(self.bias if bias else 0)
        self.add_products(Inputs(x, dy), Sums(partial, total, of_parts), self.tables, scratch(self.memory, dtype, work),
                          scratch(self.runs, np.int64, work), self.numbers)
        return self.collect(Gradients(total if self.spilling else partial, of_parts), dtype)


def shares(blocks, panels, tiles, dear):
    """(slices, row_slices): so many blocks share the panels, and so many the tiles of rows. A block copies its panels,
    so those are shared first; or, if rows too, a panel being as `dear` as so many tiles, the least is copied in all."""
    ways = [(slices, min(-(-blocks // slices), tiles)) for slices in range(min(blocks, panels), 0, -1)]
    return min(ways, key=lambda way: way[0] * tiles + way[1] * panels * dear) if dear else ways[0]


def _whole_tiles(length, offsets, depth):
    """The offsets of a tap's rows, the last one repeated until they fill whole tiles of `depth` rows."""
    rows = np.array(offsets if offsets else range(length), np.int64)
    return np.concatenate([rows, np.full(-len(rows) % depth, rows[-1])])


@functools.cache
def _kernel(tiles, adjacent):
    tile, halves, depth = tiles.tile_adjacent if adjacent else tiles.tile_runs, tiles.halves, tiles.depth_rows

    def add_products(block, slot, inputs, to, tables, memory, runs, numbers):
        """Add up one block's share of dw: some chunks, one group, some rows and panels; and its share of db."""
        plan, x, dy, rows = named(_Plan, numbers), inputs.x, inputs.dy, tables.offsets
        panel, taps = halves * simd.lanes(dy) // 2, tables.taps.size // 2
        wide, all_out = (plan.out_channels + panel - 1) // panel * panel, plan.groups * plan.out_channels
        share, piece = block // (plan.slices * plan.row_slices), block % (plan.slices * plan.row_slices)
        part, group = share // plan.groups, share % plan.groups
        row_piece, piece, tiles, panels = piece // plan.slices, piece % plan.slices, rows.size // depth, wide // panel
        first_row = row_piece * tiles // plan.row_slices * depth
        last_row = (row_piece + 1) * tiles // plan.row_slices * depth
        left, right = piece * panels // plan.slices * panel, (piece + 1) * panels // plan.slices * panel
        start, channels = share * taps * rows.size * wide, plan.groups * plan.in_channels
        own = _Own(start, taps, rows.size, wide, first_row, last_row, left, right)
        _clear(to, own)
        bias = _bias_of(to, share, group, own, plan)
        spans.clear(to.bias, bias.to, bias.to + bias.columns)
        in_place = plan.groups == 1 and wide == panel == all_out  # dy lies in panels as it is
        packed, columns = dy if in_place else memory, min(right, plan.out_channels) - left
        source, step = memory if plan.apart else x, plan.apart if plan.apart else plan.stride_across * channels
        mine, of_dy = min(last_row, plan.in_channels) - first_row, group * plan.out_channels + left
        run = slot * plan.runs
        times = max(1, taps * (right - left) // panel * (last_row - first_row) // depth)
        chunks = plan.batch * _chunks(plan)
        last = (part + 1) * chunks // plan.parts
        for number in range(part * chunks // plan.parts, last):
            chunk = _chunk(number, plan)
            pixel = (chunk.image * plan.out_height + chunk.top) * plan.out_width + chunk.left
            here, pixels = pixel * all_out, chunk.height * chunk.width
            beside = slot * plan.chunk_height * plan.chunk_width * (wide + plan.apart)
            at = here if in_place else beside + pixels * plan.apart
            if not in_place:
                _copy_to_panels(dy, here + of_dy, all_out, columns, pixels, memory, at, panel)
            if bias.columns:
                if plan.turned:
                    sums.add_rows(to.bias, bias.to, x, bias.start + pixel * channels, pixels, channels, bias.columns)
                else:
                    sums.add_rows(to.bias, bias.to, dy, bias.start + here, pixels, all_out, bias.columns)
            # The next chunk is fetched while this one is multiplied, a portion of it with each tile.
            dy_ahead = pixels_ahead(here + of_dy + pixels * all_out, pixels, all_out, columns, times)
            x_ahead = _next_pixels(x, chunk, channels, times, plan)
            if plan.apart:
                _copy_rows(x, pixel * channels + first_row, channels, mine, pixels, memory, beside, plan.apart)
                x_ahead = pixels_ahead((pixel + pixels) * channels + first_row, pixels, channels, mine, times)
            for t in range(taps):
                count = _list_runs(runs, run, chunk, entry(Pair, tables.taps, t), group, panel, plan)
                if plan.apart:
                    runs[run] = beside - first_row
                for j in range(left, right, panel):
                    for row in range(first_row, last_row, depth):
                        tile(source, rows, row, step, packed, at + (j - left) * pixels, runs, run,
                             count, to.partial, start + (t * rows.size + row) * wide + j, wide)
                        dy_ahead, x_ahead = fetch_pixels(dy, dy_ahead), fetch_pixels(x, x_ahead)
            if to.total.size and (last - number) % _CHUNKS_OF_SUM == 1:
                _spill(to, own)

    add_products.__qualname__ = f"add_products_{halves}{'_adjacent' * adjacent}"
    return jit(add_products)


@jit
def _clear(to, own):
    """Begin with zeros."""
    for t in range(own.taps):
        for row in range(own.first_row, own.last_row):
            at = own.start + (t * own.rows + row) * own.wide
            spans.clear(to.partial, at + own.left, at + own.right)
            if to.total.size:
                spans.clear(to.total, at + own.left, at + own.right)


@jit
def _spill(to, own):
    """Move the sums to those in float64."""
    for t in range(own.taps):
        for row in range(own.first_row, own.last_row):
            at = own.start + (t * own.rows + row) * own.wide
            sums.spill(to.partial, to.total, at + own.left, at + own.right)


@jit
def _bias_of(to, share, group, own, plan):
    """The _Bias of a block. Of the blocks that share the rows or, if turned, the columns that it has nothing to do
    with, the first one adds it up."""
    channels, beside, first, stop = plan.out_channels, own.first_row, own.left, min(own.right, plan.out_channels)
    if plan.turned:
        channels, beside, first, stop = plan.in_channels, own.left, own.first_row, min(own.last_row, plan.in_channels)
    count = stop - first if to.bias.size and beside == 0 else 0
    return _Bias(group * channels + first, share * channels + first, max(0, count))


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
    portion = (size // times // simd.lanes(x) + 1) * simd.lanes(x)
    return PixelsAhead(start, start + size, portion, portion, portion)


@jit
def _copy_rows(x, start, pixel, count, pixels, memory, to, apart):
    """Copy `count` numbers of so many pixels, `pixel` numbers from one to the next, to where they are `apart`."""
    for i in range(pixels):
        for j in range(0, count, simd.lanes(x)):
            simd.store(memory, to + i * apart + j, simd.load_part(x, start + i * pixel + j, count - j))


@jit
def _copy_to_panels(dy, start, pixel, columns, pixels, memory, to, panel):
    """Copy `columns` numbers of so many pixels, `pixel` numbers from one to the next, into panels, with zeros in the
    last one's spare columns."""
    for left in range(0, columns, panel):
        for j in range(0, panel, simd.lanes(dy)):
            n, source, target = columns - left - j, start + left + j, to + left * pixels + j
            for i in range(pixels):
                simd.store_part(memory, target + i * panel, simd.load_part(dy, source + i * pixel, n), panel - j)


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
