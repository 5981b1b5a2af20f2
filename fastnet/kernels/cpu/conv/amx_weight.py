"""The gradient for a convolution's weights from bfloat16 numbers, on a processor that multiplies whole matrices of
them, see `simd.amx`.

    dw[t, c, k] = sum over positions of x[position, c] dy[position - offset of tap t, k]

Positions are those of the pixels of x, see `amx_layout`, and dy has zeros wherever there is no pixel of the result. The
sum runs over positions, so they must lie side by side in both matrices: x is turned, one row of positions for each
channel, and words of dy pair the numbers of two positions.

    x, rows are channels:    c0: p0 p1 p2 p3 ...          dy, rows are pairs of positions:    k0(p0 p1)  k1(p0 p1) ...
                             c1: p0 p1 p2 p3 ...                                              k0(p2 p3)  k1(p2 p3) ...

Taps move dy, whose rows begin at a cache line whatever the row; a row of x moved by some positions would lie across
two. Up and down a tap is an even number of positions, lines having one, and so a number of rows. To the left and right
it is a *copy*, moved within its lines: where a pixel moves out of its line it would be multiplied with zeros, so that
lines need none between them. Copies are made of dy, or of x, phases of their own: of what is less work to write.

A block takes its part of the lines chunk by chunk. For each it writes all matrices to its slot's memory, and adds the
products to a partial gradient (taps, panels of columns, channels, panel); see `collect` for what becomes of those.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv.amx_layout import POSITIONS, WORDS, Lines, LinesPlan, Phase, columns_at_once
from fastnet.kernels.cpu.conv.collect import Collect, CollectPlan
from fastnet.kernels.cpu.conv.direct_weight import shares
from fastnet.kernels.cpu.conv.operands import Gradients, Inputs
from fastnet.kernels.cpu.runtime import Launch, empty, entry, in_words, jit, made_for, named, scratch

# Words of a chunk's two matrices that stay in the second cache, and positions that one has at most; fewer where a
# chunk is multiplied in many products, each of some rows and columns: these then stay in the first cache for all taps.
_CHUNK_WORDS, _CHUNK_POSITIONS, _FEW_POSITIONS, _MANY_PRODUCTS = 96 << 10, 768, 256, 96
# The most memory that partial gradients may take, in numbers; how many there are at most, of how many positions each is
# at least, and how many blocks there should be.
_PARTIAL, _MOST_PARTS, _POSITIONS_OF_PART, _BLOCKS = 5 << 18, 16, 1024, 8
# In what time a number of x is written that is turned, where one of dy is in 1.
_TURNED = 2


class _Plan(NamedTuple):
    out_height: int
    out_width: int
    out_channels: int   # of a group
    groups: int
    lines: int          # of the batch
    parts: int          # of the lines, each with a partial gradient of its own
    slices: int         # blocks that share the columns of a part
    row_slices: int     # blocks that share its rows
    taps: int
    rows: int           # input channels with those that fill up registers
    wide: int           # output channels likewise
    chunk: int          # lines at most
    length: int         # numbers of bfloat16 in a row of x
    most_rows: int      # of a block
    copies: int         # of dy
    pairs: int          # rows of a panel of one
    copy: int           # words of one
    memory: int         # numbers of a slot


class _Tables(NamedTuple):
    taps: np.ndarray    # where each tap's phase of x begins, in numbers of bfloat16
    moved: np.ndarray   # a _Moved for each tap
    across: np.ndarray  # by how many pixels each copy of dy is moved to the right
    phases: np.ndarray
    lines: np.ndarray   # the LinesPlan


class _Moved(NamedTuple):
    """What a tap reads of dy."""

    copy: int
    row: int    # the first pair of positions


class _Own(NamedTuple):
    """The part of a partial gradient that a block computes, and where in memory its matrices are."""

    first_row: int
    last_row: int
    left: int
    right: int
    x: int
    dy: int
    spare: int          # room for 16 words of each row of x


class AmxWeightGradient:
    """The gradient for the weights of a `Geometry`, all worked out but the numbers."""

    def __init__(self, geometry):
        (k, channels, r, s), groups, dtype = geometry.w_shape, geometry.groups, geometry.dtype
        target, taps, out_channels = geometry.target, geometry.taps, k // groups
        grid = (target.height, target.width), taps
        deep, across = columns_at_once(channels), columns_at_once(out_channels)
        rows, wide = -(-channels // deep) * deep, -(-out_channels // across) * across
        ways = [Lines(geometry.batch, geometry.source, channels, geometry.stride, [grid], False, by_column)
                for by_column in (False, True)]
        lines = min(ways, key=lambda way: _TURNED * way.plan.phases * rows + len(way.across[0]) * wide)
        across_of = lines.across[0]
        size, pitch, phases, copies = groups * len(taps) * rows * wide, lines.plan.pitch, lines.plan.phases, \
            len(across_of)
        count = lines.reached
        parts = max(1, min(_MOST_PARTS, count, count * pitch // _POSITIONS_OF_PART, _PARTIAL // size))
        slices, row_slices = shares(-(-_BLOCKS // (parts * groups)), wide // across, rows // deep,
                                    copies / phases / _TURNED)
        most_rows, most_columns = -(-rows // deep // row_slices) * deep, -(-wide // across // slices) * across
        words = (phases * most_rows + copies * most_columns) * pitch // 2     # of a line
        many = len(taps) * (rows // deep) * (wide // across) >= _MANY_PRODUCTS
        positions = _FEW_POSITIONS if many else _CHUNK_POSITIONS
        chunk = max(1, min(_CHUNK_WORDS // words, positions // pitch, -(-count // parts)))
        # A row begins at an odd number of cache lines from the one before it, so that they share few places of a cache.
        length = -(-chunk * pitch // POSITIONS) * POSITIONS
        pairs = (length + (lines.plan.above + lines.plan.below) * pitch) // 2
        length += POSITIONS * (length // POSITIONS % 2 == 0)
        self.memory = phases * most_rows * length // 2 + copies * pairs * most_columns + WORDS * most_rows
        self.tables = _Tables(
            np.array([lines.keys.index(phase) * most_rows * length for phase, _ in lines.places[0]], np.int64),
            in_words(*(_Moved(across_of.index(right), (lines.plan.below - down) * pitch // 2)
                       for _, (down, right) in lines.places[0])),
            np.array(across_of, np.int64), lines.phases, in_words(lines.plan))
        self.numbers = in_words(_Plan(
            out_height=target.height, out_width=target.width, out_channels=out_channels,
            groups=groups, lines=count, parts=parts, slices=slices, row_slices=row_slices, taps=len(taps),
            rows=rows, wide=wide, chunk=chunk, length=length, most_rows=most_rows, copies=copies, pairs=pairs,
            copy=pairs * most_columns, memory=self.memory))
        self.partial, self.bias = parts * size, parts * k
        work = count * pitch * len(taps) * rows * wide // WORDS
        self.add_products = Launch(_kernel(deep, across), parts * groups * slices * row_slices, work)
        # Where in (K, C / groups, R, S) the tap and row of a group's first filter are.
        places = np.arange(channels * r * s).reshape(channels, r * s).T
        places = (np.arange(0, k, out_channels)[:, None] * places.size + places.reshape(-1)).reshape(-1)
        self.collect = Collect(CollectPlan(
            groups=groups, lines=len(taps) * channels, biases=k, parts=parts, part_size=size, room=rows, rows=channels,
            columns=out_channels, panel=across, panels=wide // across, apart=channels * r * s), places,
            k * channels * r * s, dtype)

    def __call__(self, x, dy, bias):
        """(dw, db) from flat channels-last x and dy: both flat, db None without `bias`."""
        partial, of_parts = empty(self.partial, dy.dtype), sums.room(self.bias if bias else 0)
        memory = scratch(self.memory, dy.dtype, self.add_products.work)
        self.add_products(Inputs(x, dy), Gradients(partial, of_parts), self.tables, memory, self.numbers)
        return self.collect(Gradients(partial, of_parts), dy.dtype)


@functools.cache
def _kernel(deep, across):
    product, open_amx = simd.make_amx_product(deep // WORDS, across // WORDS), simd.make_open_amx()

    def add_products_amx(block, slot, inputs, to, tables, memory, numbers):
        """Add up one block's share of dw: a part of the lines, of one group, for some rows and columns; and its share
        of db."""
        plan, lines = named(_Plan, numbers), named(LinesPlan, tables.lines)
        share, piece = block // (plan.slices * plan.row_slices), block % (plan.slices * plan.row_slices)
        part, group = share // plan.groups, share % plan.groups
        own = own_of(piece, slot, lines, plan)
        start, bias = share * plan.taps * plan.rows * plan.wide, share * plan.out_channels + own.left
        columns = min(own.right, plan.out_channels) - own.left
        channels = _Channels(group * plan.out_channels + own.left, columns, own.right - own.left, across)
        summing = to.bias.size > 0 and own.first_row == 0
        if summing:
            spans.clear(to.bias, bias, bias + columns)
        first, last = part * plan.lines // plan.parts, (part + 1) * plan.lines // plan.parts
        for top in range(first, last, plan.chunk):
            bottom = min(top + plan.chunk, last)
            count = (bottom - top) * lines.pitch
            words = (count + POSITIONS - 1) // POSITIONS * WORDS
            positions = _Positions(top, 0, count, lines.height, lines.pitch, lines.batch)
            _turn_pixels(inputs.x, group, positions, memory, own, tables.phases, lines, plan)
            _pair_copies(inputs.dy, top, channels, memory, own, tables.across, lines, plan)
            open_amx()
            for i in range(own.first_row, own.last_row, deep):
                for j in range(own.left, own.right, across):
                    for t in range(plan.taps):
                        moved = entry(_Moved, tables.moved, t)
                        dy = own.dy + moved.copy * plan.copy + (j - own.left) * plan.pairs + moved.row * across
                        product(memory, 2 * own.x + (i - own.first_row) * plan.length, plan.length, tables.taps, t, 1,
                                words, memory, dy, across, to.weights,
                                start + (t * plan.wide + j) * plan.rows + i * across, across, top > first)
            simd.close_amx()
            if summing:
                for line in range(top, bottom):
                    _add_bias(inputs.dy, line, channels, to, bias, lines, plan)

    @jit
    @made_for(deep, across)
    def own_of(piece, slot, lines, plan):
        """The _Own of a block: which of a part's pieces, and which slot's memory."""
        row_piece, piece, tiles, panels = piece // plan.slices, piece % plan.slices, plan.rows // deep, \
            plan.wide // across
        x = slot * plan.memory
        dy = x + lines.phases * plan.most_rows * plan.length // 2
        spare = x + plan.memory - WORDS * plan.most_rows
        return _Own(row_piece * tiles // plan.row_slices * deep, (row_piece + 1) * tiles // plan.row_slices * deep,
                    piece * panels // plan.slices * across, (piece + 1) * panels // plan.slices * across, x, dy, spare)

    add_products_amx.__qualname__ = f"add_products_amx_{deep}x{across}"
    return jit(add_products_amx)


class _Pixels(NamedTuple):
    """Images that lines are made of: every `down`-th row and `across`-th column, from (top, left) on."""

    height: int
    width: int
    channels: int
    top: int
    left: int
    down: int
    across: int
    rows: int       # of an image in its lines
    first: int      # positions of a line that have pixels
    columns: int    # the position behind the last one


class _Channels(NamedTuple):
    """Some channels of each pixel, `count` from the first one on, as words that fill `size`, in panels."""

    first: int
    count: int
    size: int
    panel: int


class _Positions(NamedTuple):
    """Positions from a column of a line on, zeros behind so many of them."""

    line: int
    column: int
    count: int
    lines: int      # of an image
    pitch: int
    batch: int


@jit
def _turn_pixels(x, group, positions, memory, own, phases, lines, plan):
    """Write the rows of all phases of x, zeros where there is no pixel: words that pair positions first, 16 of each
    channel, and these turned."""
    lanes, rows, apart = simd.lanes(x), own.last_row - own.first_row, plan.length // 2
    count = min(own.last_row, lines.channels) - own.first_row
    channels = _Channels(group * lines.channels + own.first_row, count, rows, rows)
    for number in range(lines.phases):
        phase, to, strip = entry(Phase, phases, number), own.x + number * plan.most_rows * apart, positions
        inside = (max(0, -phase.left) + lines.stride_across - 1) // lines.stride_across
        images = _Pixels(lines.x_height, lines.x_width, lines.x_channels, phase.top, phase.left, lines.stride_down,
                         lines.stride_across, phase.rows, inside, phase.columns)
        for word in range(0, (positions.count + 1) // 2, WORDS):
            strip = _pair_positions(x, images, strip, channels, WORDS, WORDS, memory, own.spare)
            for part in range(0, WORDS, lanes):
                for c in range(0, rows, lanes):
                    simd.transpose(memory, own.spare + part * rows + c, rows, lanes, lanes, memory,
                                   to + c * apart + word + part, apart)


@jit
def _pair_copies(dy, top, channels, memory, own, across, lines, plan):
    """Write all copies of dy for the lines from `top` on, and for those around that taps reach: of a line all copies,
    as long as its pixels are in the first cache."""
    strip = _Positions(top - lines.below, 0, 2 * plan.pairs, lines.height, lines.pitch, lines.batch)
    for first in range(0, plan.pairs, lines.pitch // 2):
        following = strip
        for copy in range(plan.copies):
            right = across[copy]
            images = _Pixels(plan.out_height, plan.out_width, plan.groups * plan.out_channels, 0, -right, 1, 1,
                             plan.out_height, max(0, right), plan.out_width + right)
            to = own.dy + copy * plan.copy + first * channels.panel
            following = _pair_positions(dy, images, strip, channels, min(lines.pitch // 2, plan.pairs - first),
                                        plan.pairs, memory, to)
        strip = following


@jit
def _pair_positions(x, images, strip, channels, pairs, rows, memory, to):
    """Write the words of so many pairs of positions of a strip, zeros where there is no pixel: of each panel all pairs,
    the panels `rows` pairs apart. What is left of the strip."""
    line, column, panel = strip.line, strip.column, channels.panel
    image, row = line // strip.lines, line % strip.lines
    places = 0, 0
    for pair in range(pairs):
        counts = 0, 0
        for position in range(2 * pair, 2 * pair + 2):
            inside = images.first <= column < images.columns and row < images.rows and 0 <= image < strip.batch
            inside = inside and position < strip.count
            pixel = (image * images.height + row * images.down + images.top) * images.width
            place = (pixel + column * images.across + images.left) * images.channels + channels.first
            places, counts = (places[1], place), (counts[1], channels.count if inside else 0)
            column += 1
            if column == strip.pitch:
                column, row = 0, row + 1
                if row == strip.lines:
                    row, image = 0, image + 1
        for left in range(0, channels.size, panel):
            for j in range(left, left + panel, simd.lanes(x)):
                lower = simd.load_part(x, places[0] + j, counts[0] - j)
                upper = simd.load_part(x, places[1] + j, counts[1] - j)
                simd.store(memory, to + left * rows + pair * panel + j - left, simd.pair(lower, upper))
    return _Positions(image * strip.lines + row, column, strip.count - 2 * pairs, strip.lines, strip.pitch, strip.batch)


@jit
def _add_bias(dy, line, channels, to, bias, lines, plan):
    """Add the pixels of a line to the sums for the bias."""
    image, row, apart = line // lines.height, line % lines.height, plan.groups * plan.out_channels
    if row < plan.out_height:
        pixel = (image * plan.out_height + row) * plan.out_width
        sums.add_rows(to.bias, bias, dy, pixel * apart + channels.first, plan.out_width, apart, channels.count)
