"""Winograd's gradient for the weights: with the names of `winograd`, by transposing each of its steps,

    dG = F^T [ sum over patches of (A dY A^T) * (B^T D B) ] F

At each Winograd point the sum is a matrix product, input channels by patches times patches by output channels. What has
to stay in the second cache is these sums, a C x K matrix for each point. Where they leave room for the transforms of
some patches, a block takes its part of the patches through both steps, and the parts are added in order ("fused"). Else
some hundred patches are transformed at a time, and each block adds to the sums of one point, which it owns. Both give
the same bits for any number of threads. Some products are added up in registers before they go to these sums, and where
patches are many these are moved to others in float64 every so often: rounding does not grow with their number.

In memory, room for `words` words of patches, one or two patches each:

    transformed x    (points, words, channels in whole vectors)
    transformed dy   (points + 1, panels, words, panel): behind the points the sums of dy's patches, for the bias
    sums             (points, rows, columns): channels in whole tiles, output channels in whole panels

with one vector more from point to point, as in `winograd_filters`.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv.operands import Inputs, Sums
from fastnet.kernels.cpu.conv.prefetch import ahead, fetch_portion
from fastnet.kernels.cpu.conv.winograd_filters import matrices
from fastnet.kernels.cpu.conv.winograd_patches import (
    Patches,
    Spread,
    following,
    make_read_to,
    make_transform_patch,
    patch_offsets,
    place_of,
)
from fastnet.kernels.cpu.runtime import Launch, empty, in_words, inlined, jit, named, scratch

# Bytes of sums and transforms that a block may fill, and how many patches it should then hold at least.
_BLOCK_BYTES, _FEWEST_PATCHES = 1_000_000, 12
# Bytes of transforms that it takes, where there is room: more would drive out what is fetched ahead.
_ENOUGH_BYTES = 320_000
# Parts of the batch that are summed on their own: at most so many, of no fewer patches, their sums no more bytes. More
# than the fewer only where each has many patches, since sums are cleared and collected besides being added to.
_PARTS, _PATCHES_OF_PART, _SUMS_BYTES = 16, 64, 5 << 20
_FEWER_PARTS, _MANY_PATCHES = 8, 256
# Otherwise: bytes of transforms that are held at a time, and patches that a block transforms.
_HELD_BYTES, _PATCHES_OF_BLOCK = 24 << 20, 16   # the latter even, since patches may go in pairs
# Words that are added up in registers; how many times that, and how many times all that is held, is added in float32.
_WORDS_OF_RUN = 256
_CHUNKS_OF_SUM, _HELD_OF_SUM = 128, 32


class _Plan(NamedTuple):
    batch: int
    height: int             # of x
    width: int
    channels: int
    out_height: int         # of y
    out_width: int
    out_channels: int
    above: int              # padding
    before: int
    down: int               # patches of an image
    across: int
    words: int              # for which there is room
    whole_channels: int     # channels in whole vectors
    rows: int               # channels in whole tiles
    columns: int            # output channels in whole panels
    parts: int
    first: int              # patch of those at hand: of all, or of those that are held at a time
    count: int
    to_come: int            # how many times patches will be held after these


class _Tables(NamedTuple):
    x_offsets: np.ndarray   # see `patch_offsets`
    dy_offsets: np.ndarray
    zeros: np.ndarray
    rows: np.ndarray        # 0, 1, ...: the rows of a register tile are adjacent channels


class _Room(NamedTuple):
    """Scratch memory."""

    memory: np.ndarray      # for the copy of a patch, see `make_transform_patch`
    runs: np.ndarray        # three integers for a run of the register tile, see `simd.python.make_tile_runs`


class _Starts(NamedTuple):
    """Where things begin: in transformed x and dy, in scratch memory, in the bias gradient (-1 where it has none)."""

    x: int
    dy: int
    spare: int
    bias: int


class _Point(NamedTuple):
    """A Winograd point, and where its transforms and sums begin."""

    x: int
    dy: int
    sums: int
    run: int


class WinogradWeightGradient:
    """The gradient for the weights (K, C, r, r) of a `Geometry` in the form F(m, r), all worked out but the numbers;
    `paired` for products of bfloat16."""

    def __init__(self, geometry, m, paired=False):
        source, target, r, dtype = geometry.source, geometry.target, geometry.kernel.down, geometry.dtype
        n, lanes = m + r - 1, simd.width(dtype)
        tiles, panel = simd.tiles_for(target.channels, dtype, paired), simd.panel_width(target.channels, dtype)
        rows = -(-source.channels // tiles.depth_rows) * tiles.depth_rows
        columns, channels = -(-target.channels // panel) * panel, -(-rows // lanes) * lanes
        down, across = -(-target.height // m), -(-target.width // m)
        patches = geometry.batch * down * across
        size, per_patch = n * n * (rows * columns + lanes), n * n * (channels + columns) // tiles.word
        self.fused, held, parts = _cut(patches, size, per_patch, dtype.itemsize)
        held += -held % tiles.word
        words = held // tiles.word
        self.transformed = n * n * (words * channels + lanes), (n * n + 1) * (words * columns + lanes)
        self.sums, self.bias, self.w_shape = parts * size, parts * columns, geometry.w_shape
        self.memory, self.spare = max(n * n * channels, m * m * columns), (n * n + r * r) * lanes
        padding = geometry.padding.top, geometry.padding.left
        self.tables = _Tables(patch_offsets(m, n, padding, source, channels, down, across),
                              patch_offsets(m, m, (0, 0), target, columns, down, across), np.zeros(lanes, dtype),
                              np.arange(tiles.depth_rows))
        at_a_time = [(first, min(held, patches - first)) for first in range(0, patches, held)]
        self.numbers = [
            in_words(_Plan(geometry.batch, *source, *target, *padding, down, across, words, channels, rows, columns,
                           parts, first, count, to_come=-(-(patches - first - count) // held)))
            for first, count in ([(0, patches)] if self.fused else at_a_time)]
        self.spilling = len(at_a_time) > (parts * _CHUNKS_OF_SUM if self.fused else _HELD_OF_SUM)
        kernels, self.work = _kernels(m, r, tiles), patches * n * n * source.channels * target.channels
        self.gradient = Launch(kernels["gradient"], parts, self.work)
        self.transform = [Launch(kernels["transform"], -(-count // _PATCHES_OF_BLOCK), self.work)
                          for _, count in at_a_time]
        self.add_products = Launch(kernels["add_products"], n * n + 1, self.work)
        self.collect = Launch(_collect_kernel(m, r), source.channels, self.sums)
        self.add_up_bias = sums.ColumnSums(parts, columns, target.channels, dtype, np.float64)

    def __call__(self, x, dy, bias):
        """(dw as (K, C, r, r), db or None without `bias`) from flat channels-last x and dy."""
        dtype, work, (x_size, dy_size) = x.dtype, self.work, self.transformed
        room = _Room(scratch(self.memory, dtype, work), scratch(3, np.int64, work))
        products, totals = empty(self.sums, dtype), sums.room(self.sums if self.spilling else 0)
        inputs, to = Inputs(x, dy), Sums(products, totals, sums.room(self.bias if bias else 0))
        if self.fused:
            transformed = Inputs(scratch(x_size, dtype, work, 1), scratch(dy_size, dtype, work, 2))
            self.gradient(inputs, transformed, to, self.tables, room, self.numbers[0])
        else:
            transformed = Inputs(empty(x_size, dtype), empty(dy_size, dtype))
            for transform, numbers in zip(self.transform, self.numbers, strict=True):
                transform(inputs, transformed, to.bias, self.tables, room, numbers)
                self.add_products(transformed, to, self.tables, room, numbers)
        dw, source = empty(self.w_shape, dtype), totals if self.spilling else products
        memory = scratch(self.spare, source.dtype, self.collect.work)
        self.collect(source, dw.reshape(-1), memory, self.numbers[0])
        return dw, self.add_up_bias(to.bias) if bias else None


def _cut(patches, sums_size, per_patch, itemsize):
    """(whether both steps are fused, patches that are held at a time, parts) for so many patches, numbers of all sums,
    and numbers of a patch's transforms."""
    held = (_BLOCK_BYTES // itemsize - sums_size) // per_patch
    if held < _FEWEST_PATCHES:
        return False, min(max(1, _HELD_BYTES // (per_patch * itemsize * _PATCHES_OF_BLOCK)) * _PATCHES_OF_BLOCK,
                          patches), 1
    held = min(held, max(_FEWEST_PATCHES, _ENOUGH_BYTES // (per_patch * itemsize)))
    parts = max(1, min(_PARTS, max(_FEWER_PARTS, patches // _MANY_PATCHES), patches // _PATCHES_OF_PART,
                       _SUMS_BYTES // (sums_size * itemsize)))
    return True, min(held, -(-patches // parts)), parts


@functools.cache
def _kernels(m, r, tiles):
    """The kernels by name, for one F(m, r) and one width of panels."""
    n, word = m + r - 1, tiles.word
    transform_patches = _make_transform_patches(m, r, tiles)
    add_point, add_bias = _make_add_point(tiles), _make_add_bias(tiles)
    kernels = {"gradient": _make_gradient(m, n, word, transform_patches, add_point, add_bias),
               "transform": _make_transform(m, n, tiles, transform_patches),
               "add_products": _make_add_products(n, add_point, add_bias)}
    for name, kernel in kernels.items():
        kernel.__qualname__ = f"{name}_{m}_{r}_{tiles.halves}_{word}"
    return {name: jit(kernel) for name, kernel in kernels.items()}


@inlined
def _patches_of_x(inputs, tables, plan):
    return Patches(inputs.x, plan.height, plan.width, plan.channels, plan.whole_channels, plan.above, plan.before,
                   plan.down, plan.across, tables.x_offsets, tables.zeros)


@inlined
def _patches_of_dy(inputs, tables, plan):
    """The m x m pixels of each: they do not overlap, and there is no padding."""
    return Patches(inputs.dy, plan.out_height, plan.out_width, plan.out_channels, plan.columns, 0, 0, plan.down,
                   plan.across, tables.dy_offsets, tables.zeros)


def _make_transform_patches(m, r, tiles):
    n, halves, word = m + r - 1, tiles.halves, tiles.word

    def make_transform_both(make_transform):
        transform_x = make_transform_patch(m, n, make_transform(matrices(m, r).bt))
        transform_dy = make_transform_patch(m, m, make_transform(matrices(m, r).at.T))
        sum_dy = make_transform_patch(m, m, make_transform(np.ones((1, m))))

        @inlined
        def transform_both(images, gradients, place, room, starts, to_x, to_dy, to_sum):
            transform_x(images, place, room.memory, starts.spare, to_x)
            transform_dy(gradients, place, room.memory, starts.spare, to_dy)
            if starts.bias >= 0:
                sum_dy(gradients, place, room.memory, starts.spare, to_sum)

        return transform_both

    # The second patch of a word is paired with what the first one has put there.
    first_of_word = make_transform_both(simd.make_transform_gathered)
    second_of_word = make_transform_both(simd.make_transform_paired)

    @inlined
    def transform_patches(inputs, first, count, transformed, starts, tables, room, plan):
        """Put `count` patches of x into (points, words, channels) and those of dy into (points, panels, words, panel),
        with their sums behind the points if there is a `starts.bias`."""
        lanes, panel, channels = simd.lanes(inputs.x), halves * simd.lanes(inputs.x) // 2, plan.whole_channels
        x_point, dy_point = plan.words * channels + lanes, plan.words * plan.columns + lanes
        images, gradients = _patches_of_x(inputs, tables, plan), _patches_of_dy(inputs, tables, plan)
        place = place_of(first, plan.down, plan.across)
        for t in range(count):
            to_x = Spread(transformed.x, starts.x + t // word * channels, n * x_point, x_point, channels, 0)
            to_dy = Spread(transformed.dy, starts.dy + t // word * panel, n * dy_point, dy_point, panel,
                           plan.words * panel)
            to_sum = Spread(transformed.dy, to_dy.start + n * n * dy_point, 0, 0, panel, plan.words * panel)
            if t % word:
                second_of_word(images, gradients, place, room, starts, to_x, to_dy, to_sum)
            else:
                first_of_word(images, gradients, place, room, starts, to_x, to_dy, to_sum)
            place = following(place, plan.down, plan.across)
        if count % word:
            x_word, dy_word = starts.x + count // word * channels, starts.dy + count // word * panel
            for point in range(n * n):
                _pair_with_zeros(transformed.x, x_word + point * x_point, channels)
            for point in range(n * n + 1):
                for j in range(0, plan.columns, panel):
                    _pair_with_zeros(transformed.dy, dy_word + point * dy_point + j * plan.words, panel)

    return transform_patches


@inlined
def _pair_with_zeros(x, start, count):
    """Make words of the last patch alone."""
    for i in range(start, start + count, simd.lanes(x)):
        simd.store(x, i, simd.pair(simd.load(x, i), simd.full(x, 0)))


def _make_add_point(tiles):
    tile, halves, word = tiles.tile_adjacent, tiles.halves, tiles.word

    @inlined
    def add_point(point, count, transformed, to, rows, runs, plan):
        """Add one point's products over `count` patches to its sums."""
        panel = halves * simd.lanes(transformed.x) // 2
        words, channels = (count + word - 1) // word, plan.whole_channels
        for first in range(0, words, _WORDS_OF_RUN):
            runs[point.run + 1], runs[point.run + 2] = 0, min(_WORDS_OF_RUN, words - first)
            for j in range(0, plan.columns, panel):
                columns = point.dy + j * plan.words + first * panel
                for row in range(0, plan.rows, rows.size):
                    runs[point.run] = point.x + first * channels + row
                    tile(transformed.x, rows, 0, channels, transformed.dy, columns, runs, point.run, 1,
                         to.partial, point.sums + row * plan.columns + j, plan.columns)

    return add_point


def _make_add_bias(tiles):
    halves, word = tiles.halves, tiles.word
    add = sums.add_rows if word == 1 else sums.add_rows_of_words

    @inlined
    def add_bias(dy, start, count, bias, to, plan):
        """Add the sums of `count` patches of dy, which begin at `start`, to bias[to : to + columns]."""
        panel, words = halves * simd.lanes(dy) // 2, (count + word - 1) // word
        for j in range(0, plan.columns, panel):
            add(bias, to + j, dy, start + j * plan.words, words, panel, panel)

    return add_bias


def _make_gradient(m, n, word, transform_patches, add_point, add_bias):
    x_read_to, dy_read_to = make_read_to(m, n), make_read_to(m, m)

    def gradient(block, slot, inputs, transformed, to, tables, room, numbers):
        """Both steps for one part of the patches; between the products, what the next patches read is fetched."""
        plan, x, dy, lanes = named(_Plan, numbers), inputs.x, inputs.dy, simd.lanes(inputs.x)
        x_point, dy_point = plan.words * plan.whole_channels + lanes, plan.words * plan.columns + lanes
        starts = _Starts(slot * n * n * x_point, slot * (n * n + 1) * dy_point,
                         slot * max(n * n * plan.whole_channels, m * m * plan.columns),
                         block * plan.columns if to.bias.size else -1)
        point_size = plan.rows * plan.columns + lanes
        start, stop = block * n * n * point_size, (block + 1) * n * n * point_size
        spans.clear(to.partial, start, stop)
        if to.total.size:
            spans.clear(to.total, start, stop)
        if to.bias.size:
            spans.clear(to.bias, starts.bias, starts.bias + plan.columns)
        images, gradients = _patches_of_x(inputs, tables, plan), _patches_of_dy(inputs, tables, plan)
        held, last = plan.words * word, (block + 1) * plan.count // plan.parts
        for first in range(block * plan.count // plan.parts, last, held):
            count = min(held, last - first)
            transform_patches(inputs, first, count, transformed, starts, tables, room, plan)
            end, next_end = first + count - 1, min(first + count + held, last) - 1
            x_ahead = ahead(x, x_read_to(end, images), x_read_to(next_end, images), n * n)
            dy_ahead = ahead(dy, dy_read_to(end, gradients), dy_read_to(next_end, gradients), n * n)
            for number in range(n * n):
                point = _Point(starts.x + number * x_point, starts.dy + number * dy_point,
                               start + number * point_size, slot * 3)
                add_point(point, count, transformed, to, tables.rows, room.runs, plan)
                x_ahead, dy_ahead = fetch_portion(x, x_ahead), fetch_portion(dy, dy_ahead)
            if to.bias.size:
                add_bias(transformed.dy, starts.dy + n * n * dy_point, count, to.bias, starts.bias, plan)
            if to.total.size and (last - first + held - 1) // held % _CHUNKS_OF_SUM == 1:
                sums.spill(to.partial, to.total, start, stop)

    return gradient


def _make_transform(m, n, tiles, transform_patches):
    halves, word = tiles.halves, tiles.word

    def transform(block, slot, inputs, transformed, bias, tables, room, numbers):
        """Transform some of the patches that are held, and sum those of dy if there is room for a bias."""
        plan, panel, start = named(_Plan, numbers), halves * simd.lanes(inputs.x) // 2, block * _PATCHES_OF_BLOCK
        starts = _Starts(start // word * plan.whole_channels, start // word * panel,
                         slot * max(n * n * plan.whole_channels, m * m * plan.columns), 0 if bias.size else -1)
        transform_patches(inputs, plan.first + start, min(_PATCHES_OF_BLOCK, plan.count - start), transformed, starts,
                          tables, room, plan)

    return transform


def _make_add_products(n, add_point, add_bias):
    def add_products(block, slot, transformed, to, tables, room, numbers):
        """Add the products of point `block` over all patches that are held; what lies behind the points is for the
        bias."""
        plan, lanes = named(_Plan, numbers), simd.lanes(transformed.x)
        size, dy = plan.rows * plan.columns, block * (plan.words * plan.columns + lanes)
        if block == n * n:
            if to.bias.size:
                if plan.first == 0:
                    spans.clear(to.bias, 0, plan.columns)
                add_bias(transformed.dy, dy, plan.count, to.bias, 0, plan)
            return
        point = _Point(block * (plan.words * plan.whole_channels + lanes), dy, block * (size + lanes), slot * 3)
        if plan.first == 0:
            spans.clear(to.partial, point.sums, point.sums + size)
            if to.total.size:
                spans.clear(to.total, point.sums, point.sums + size)
        add_point(point, plan.count, transformed, to, tables.rows, room.runs, plan)
        if to.total.size and plan.to_come % _HELD_OF_SUM == 0:
            sums.spill(to.partial, to.total, point.sums, point.sums + size)

    return add_products


@functools.cache
def _collect_kernel(m, r):
    n = m + r - 1
    transform = simd.make_transform(matrices(m, r).f.T)

    def collect(block, slot, products, dw, memory, numbers):
        """F^T products F for one input channel, the parts added in order, to its place in (K, C, r, r)."""
        plan, lanes = named(_Plan, numbers), simd.lanes(products)
        point_size = plan.rows * plan.columns + simd.lanes(dw)
        spare = slot * (n * n + r * r) * lanes
        result = spare + n * n * lanes
        for j in range(0, plan.out_channels, lanes):
            for point in range(n * n):
                start = point * point_size + block * plan.columns + j
                total = simd.load(products, start)
                for part in range(1, plan.parts):
                    total = total + simd.load(products, start + part * n * n * point_size)
                simd.store(memory, spare + point * lanes, total)
            transform(memory, spare, n * lanes, lanes, memory, result, r * lanes, lanes)
            for lane in range(min(lanes, plan.out_channels - j)):
                for tap in range(r * r):
                    place = ((j + lane) * plan.channels + block) * r * r + tap
                    dw[place] = memory[result + tap * lanes + lane]

    collect.__qualname__ = f"collect_{m}_{r}"
    return jit(collect)
