"""The kernels of Winograd's gradient for the weights, see `winograd_weight`.

In memory, room for `words` words of patches, one or two patches each:

    transformed x    (points, words, channels in whole vectors)
    transformed dy   (points + 1, panels, words, panel): behind the points the sums of dy's patches, for the bias
    sums             (groups, parts, points, rows, columns): channels in whole tiles, output channels in whole panels
    sums of dy       (parts, output channels of all groups)

the first two of one group at a time, and all but the last with one vector more from point to point, as in
`winograd_filters`.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv.prefetch import fetch_pixels, pixels_ahead
from fastnet.kernels.cpu.conv.winograd_filters import matrices
from fastnet.kernels.cpu.conv.winograd_patches import (
    Patches,
    Spread,
    following,
    make_read_to,
    make_transform_patch,
    place_of,
)
from fastnet.kernels.cpu.runtime import inlined, jit, named, whole_lines

# Patches that a block transforms where many are held at a time: even, since patches may go in pairs.
PATCHES_OF_BLOCK = 16
# Words that are added up in registers; how many times that, and how many times all that is held, is added in float32.
_WORDS_OF_RUN = 256
CHUNKS_OF_SUM, HELD_OF_SUM = 128, 32
# Input channels whose gradients a block collects, so that these are written in long stretches of memory.
COLLECTED = 16
# Room of a slot for one run.
RUN_SIZE = whole_lines(3, np.int64)


class Plan(NamedTuple):
    """What the kernels of this gradient know of the shapes, and of what part of the patches is at hand."""

    height: int             # of x
    width: int
    groups: int
    channels: int           # of a group, as all channels below
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
    parts: int              # of the patches, which have sums of their own
    group: int              # the one at hand, where many patches are held at a time
    first: int              # patch of those at hand: of all, or of those that are held at a time
    count: int
    to_come: int            # how many times patches will be held after these


class Tables(NamedTuple):
    """What they look up."""

    x_offsets: np.ndarray   # see `patch_offsets`
    dy_offsets: np.ndarray
    zeros: np.ndarray
    rows: np.ndarray        # 0, 1, ...: the rows of a register tile are adjacent channels


class Room(NamedTuple):
    """Scratch memory."""

    memory: np.ndarray      # for the copy of a patch, see `make_transform_patch`
    runs: np.ndarray        # RUN_SIZE for a slot: a run of the register tile, see `simd.python.make_tile_runs`


class _Starts(NamedTuple):
    """Which group is transformed, and where things begin: in transformed x and dy, in scratch memory."""

    group: int
    x: int
    dy: int
    spare: int


class _Point(NamedTuple):
    """A Winograd point, and where its transforms and sums begin."""

    x: int
    dy: int
    sums: int
    run: int


@functools.cache
def kernels(m, r, tiles):
    """The kernels by name, for one F(m, r) and one width of panels."""
    n, word = m + r - 1, tiles.word
    transform_patches = _make_transform_patches(m, r, tiles)
    add_point, add_bias = _make_add_point(tiles), _make_add_bias(tiles)
    made = {"gradient": _make_gradient(m, n, word, transform_patches, add_point, add_bias),
            "transform": _make_transform(m, n, tiles, transform_patches),
            "add_products": _make_add_products(n, add_point, add_bias)}
    for name, kernel in made.items():
        kernel.__qualname__ = f"{name}_{m}_{r}_{tiles.halves}_{word}"
    return {name: jit(kernel) for name, kernel in made.items()}


def _make_transform_patches(m, r, tiles):
    n, halves, word = m + r - 1, tiles.halves, tiles.word

    def make_both(make_transform):
        return (make_transform_patch(m, n, make_transform(matrices(m, r).bt)),
                make_transform_patch(m, m, make_transform(matrices(m, r).at.T, summed=True)))

    first_x, first_dy = second_x, second_dy = make_both(simd.make_transform_gathered)
    if word == 2:   # the second patch of a word is paired with what the first one has put there
        second_x, second_dy = make_both(simd.make_transform_paired)

    @inlined
    def transform_patches(inputs, first, count, transformed, starts, tables, room, plan):
        """Put `count` patches of x into (points, words, channels) and those of dy into (points, panels, words, panel),
        with their sums behind the points: as it is transformed all of a patch is in registers, so these cost next to
        nothing. Patches of dy are m x m pixels, which do not overlap and have no padding."""
        lanes, panel, channels = simd.lanes(inputs.x), halves * simd.lanes(inputs.x) // 2, plan.whole_channels
        x_point, dy_point = plan.words * channels + lanes, plan.words * plan.columns + lanes
        images = Patches(inputs.x, plan.height, plan.width, plan.groups * plan.channels, starts.group * plan.channels,
                         plan.channels, channels, plan.above, plan.before, plan.down, plan.across, tables.x_offsets,
                         tables.zeros)
        gradients = Patches(inputs.dy, plan.out_height, plan.out_width, plan.groups * plan.out_channels,
                            starts.group * plan.out_channels, plan.out_channels, plan.columns, 0, 0, plan.down,
                            plan.across, tables.dy_offsets, tables.zeros)
        place = place_of(first, plan.down, plan.across)
        for t in range(count):
            to_x = Spread(transformed.x, starts.x + t // word * channels, n * x_point, x_point, channels, 0)
            to_dy = Spread(transformed.dy, starts.dy + t // word * panel, n * dy_point, dy_point, panel,
                           plan.words * panel)
            if t % word:
                second_x(images, place, room.memory, starts.spare, to_x)
                second_dy(gradients, place, room.memory, starts.spare, to_dy)
            else:
                first_x(images, place, room.memory, starts.spare, to_x)
                first_dy(gradients, place, room.memory, starts.spare, to_dy)
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
        """Add the sums of `count` patches of dy, which begin at `start`, to bias[to : to + output channels]."""
        panel, words = halves * simd.lanes(dy) // 2, (count + word - 1) // word
        for j in range(0, plan.out_channels, panel):
            add(bias, to + j, dy, start + j * plan.words, words, panel, min(panel, plan.out_channels - j))

    return add_bias


def _make_gradient(m, n, word, transform_patches, add_point, add_bias):
    x_read_to, dy_read_to = make_read_to(m, n), make_read_to(m, m)

    def gradient(block, slot, inputs, transformed, to, tables, room, numbers):
        """Both steps for one part of the patches and one group; between the products, what the next patches read is
        fetched."""
        plan, x, dy, lanes = named(Plan, numbers), inputs.x, inputs.dy, simd.lanes(inputs.x)
        x_point, dy_point = plan.words * plan.whole_channels + lanes, plan.words * plan.columns + lanes
        part, group = block // plan.groups, block % plan.groups
        starts = _Starts(group, slot * n * n * x_point, slot * (n * n + 1) * dy_point,
                         slot * max(n * n * plan.whole_channels, m * m * plan.columns))
        bias, own = block * plan.out_channels, group * plan.parts + part
        point_size = plan.rows * plan.columns + lanes
        start, stop = own * n * n * point_size, (own + 1) * n * n * point_size
        spans.clear(to.partial, start, stop)
        if to.total.size:
            spans.clear(to.total, start, stop)
        if to.bias.size:
            spans.clear(to.bias, bias, bias + plan.out_channels)
        pixel, dy_pixel = plan.groups * plan.channels, plan.groups * plan.out_channels
        held, last = plan.words * word, (part + 1) * plan.count // plan.parts
        for first in range(part * plan.count // plan.parts, last, held):
            count = min(held, last - first)
            transform_patches(inputs, first, count, transformed, starts, tables, room, plan)
            end, next_end = first + count - 1, min(first + count + held, last) - 1
            x_first = x_read_to(end, plan.height, plan.width, plan.above, plan.down, plan.across)
            x_stop = x_read_to(next_end, plan.height, plan.width, plan.above, plan.down, plan.across)
            dy_first = dy_read_to(end, plan.out_height, plan.out_width, 0, plan.down, plan.across)
            dy_stop = dy_read_to(next_end, plan.out_height, plan.out_width, 0, plan.down, plan.across)
            x_ahead = pixels_ahead(x_first * pixel + group * plan.channels, x_stop - x_first, pixel, plan.channels,
                                   n * n)
            dy_ahead = pixels_ahead(dy_first * dy_pixel + group * plan.out_channels, dy_stop - dy_first, dy_pixel,
                                    plan.out_channels, n * n)
            for number in range(n * n):
                point = _Point(starts.x + number * x_point, starts.dy + number * dy_point,
                               start + number * point_size, slot * RUN_SIZE)
                add_point(point, count, transformed, to, tables.rows, room.runs, plan)
                x_ahead, dy_ahead = fetch_pixels(x, x_ahead), fetch_pixels(dy, dy_ahead)
            if to.bias.size:
                add_bias(transformed.dy, starts.dy + n * n * dy_point, count, to.bias, bias, plan)
            if to.total.size and (last - first + held - 1) // held % CHUNKS_OF_SUM == 1:
                sums.spill(to.partial, to.total, start, stop)

    return gradient


def _make_transform(m, n, tiles, transform_patches):
    halves, word = tiles.halves, tiles.word

    def transform(block, slot, inputs, transformed, tables, room, numbers):
        """Transform some of the patches that are held, of the group at hand."""
        plan, panel, start = named(Plan, numbers), halves * simd.lanes(inputs.x) // 2, block * PATCHES_OF_BLOCK
        starts = _Starts(plan.group, start // word * plan.whole_channels, start // word * panel,
                         slot * max(n * n * plan.whole_channels, m * m * plan.columns))
        transform_patches(inputs, plan.first + start, min(PATCHES_OF_BLOCK, plan.count - start), transformed, starts,
                          tables, room, plan)

    return transform


def _make_add_products(n, add_point, add_bias):
    def add_products(block, slot, transformed, to, tables, room, numbers):
        """Add the products of point `block` over all patches that are held, those of one group; what lies behind the
        points is for the bias."""
        plan, lanes = named(Plan, numbers), simd.lanes(transformed.x)
        size, dy = plan.rows * plan.columns, block * (plan.words * plan.columns + lanes)
        if block == n * n:
            if to.bias.size:
                bias = plan.group * plan.out_channels
                if plan.first == 0:
                    spans.clear(to.bias, bias, bias + plan.out_channels)
                add_bias(transformed.dy, dy, plan.count, to.bias, bias, plan)
            return
        point = _Point(block * (plan.words * plan.whole_channels + lanes), dy,
                       (plan.group * n * n + block) * (size + lanes), slot * RUN_SIZE)
        if plan.first == 0:
            spans.clear(to.partial, point.sums, point.sums + size)
            if to.total.size:
                spans.clear(to.total, point.sums, point.sums + size)
        add_point(point, plan.count, transformed, to, tables.rows, room.runs, plan)
        if to.total.size and plan.to_come % HELD_OF_SUM == 0:
            sums.spill(to.partial, to.total, point.sums, point.sums + size)

    return add_products


@functools.cache
def collect_kernel(m, r, spilled):
    """The kernel that brings the sums of all parts back from Winograd's form F(m, r) to r x r weights; `spilled` if
    these are float64, see `sums`."""
    n, taps = m + r - 1, r * r
    transform = simd.make_transform(matrices(m, r).f.T)

    def collect(block, slot, found, made, memory, numbers):
        """F^T products F for some input channels, the parts added in order, to their places in (K, C / groups, r, r);
        or, behind all of these, some biases.

        In memory: the vectors of a kernel's points; those of the kernels of all these channels, tap by tap; and their
        transpose, the numbers of one output channel side by side, as they are in w.
        """
        plan, weights, vectors, lanes = named(Plan, numbers), found.weights, memory.vectors, simd.lanes(found.weights)
        pieces, biases = (plan.channels + COLLECTED - 1) // COLLECTED, plan.groups * plan.out_channels
        group, first = block // pieces, block % pieces * COLLECTED
        if group >= plan.groups:
            if made.bias.size:
                sums.add_up_columns(block - plan.groups * pieces, slot, found.bias, made.bias, memory.sums, plan.parts,
                                    biases, biases)
            return
        point_size, count = plan.rows * plan.columns + simd.lanes(made.weights), min(COLLECTED, plan.channels - first)
        own, wide = group * plan.parts * n * n * point_size + first * plan.columns, COLLECTED * taps
        spare = slot * (n * n + 2 * wide) * lanes
        kernels, turned = spare + n * n * lanes, spare + (n * n + wide) * lanes
        for j in range(0, plan.out_channels, lanes):
            for channel in range(count):
                for point in range(n * n):
                    start = own + point * point_size + channel * plan.columns + j
                    total = simd.load(weights, start)
                    simd.prefetch(weights, start + lanes)
                    for part in range(1, plan.parts):
                        total = total + simd.load(weights, start + part * n * n * point_size)
                    simd.store(vectors, spare + point * lanes, total)
                transform(vectors, spare, n * lanes, lanes, vectors, kernels + channel * taps * lanes, r * lanes, lanes)
            for i in range(0, count * taps, lanes):
                simd.transpose(vectors, kernels + i * lanes, lanes, count * taps - i, lanes, vectors, turned + i, wide)
            for lane in range(min(lanes, plan.out_channels - j)):
                to = ((group * plan.out_channels + j + lane) * plan.channels + first) * taps
                for i in range(0, count * taps, simd.lanes(made.weights)):
                    v = read(vectors, turned + lane * wide + i, count * taps - i, made.weights)
                    simd.store_part(made.weights, to + i, v, count * taps - i)

    @inlined
    def read_sums(vectors, at, n, dw):
        return simd.rounded(vectors, at, n, dw)

    @inlined
    def read_numbers(vectors, at, n, dw):
        return simd.load_part(vectors, at, n)

    read = read_sums if spilled else read_numbers
    collect.__qualname__ = f"collect_{m}_{r}" + "_sums" * spilled
    return jit(collect)
