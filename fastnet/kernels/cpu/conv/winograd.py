"""Winograd convolution: 2.25 to 4 times fewer multiplications for 3x3 and 5x5 kernels with stride 1.

The m x m outputs of one patch are, with D the n x n pixels that they are computed from, n = m + r - 1, and G the
kernel,

    Y = A^T [ (F G F^T) * (B^T D B) ] A                                                  (F is the literature's "G")

for the matrices of `winograd_filters`. The element-wise products, summed over input channels, are one matrix product,
patches by input channels times input channels by output channels, for each of the n n elements, a Winograd *point*.

A block takes some patches through all three steps, so few that what is between the steps stays in the second cache, and
while it multiplies has the memory fetched that comes next. The gradient for the input is the same convolution with
rotated kernels; that for the weights is in `winograd_weight`. Where products of bfloat16 will do, two numbers of a sum
share a word, see `simd.bfloat16`: neighbouring channels here, patches there.

What rounds is numbers of the size of the largest in a patch, so an output is wrong relative to that and not to itself,
see `winograd_filters.error_bound`. An infinity or NaN reaches all outputs of its patches; what is 0 by definition may
come out a little below it.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import pool_max, simd, spans
from fastnet.kernels.cpu.conv.operands import Operands, Y
from fastnet.kernels.cpu.conv.prefetch import ahead, fetch_portion, fetch_results
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
from fastnet.kernels.cpu.runtime import Launch, Sweep, in_words, inlined, jit, made_for, named, scratch

# Bytes of transformed input that a block may fill; the products take its place. And how many patches it should hold at
# most: with more, the threads' shares differ, and nothing is gained. In a small second cache both are less, where that
# does not mean that large weights are read more often.
_BLOCK_BYTES, _MOST_PATCHES = 450_000, 48
_SMALLER = max(1, (1 << 20) // simd.CACHE_BYTES)
# Blocks to share among threads; where patches make fewer, or weights are large, each is cut into parts of the output
# channels.
_BLOCKS = 4
# Bytes of weights beyond which fewer blocks of more patches read them, each one its part: more than the third cache
# keeps beside all else. Up to there it costs less to read weights again than to transform each patch for every part.
_LARGE = 12 << 20

_NO_INDEX = np.zeros(1, np.uint8)


class _Plan(NamedTuple):
    batch: int
    height: int         # of x
    width: int
    groups: int
    channels: int       # of a group
    out_height: int     # of y, before any pooling
    out_width: int
    out_channels: int   # of a group
    above: int          # padding
    before: int
    down: int           # patches of an image
    across: int
    patches: int        # of a block
    patch_size: int     # numbers of a patch at one point: input or output channels, whichever are more
    parts: int          # blocks that share the output channels
    pooled: int         # whether the largest of each 2 x 2 pixels is all that is written
    relu: int           # whether that is 0 where it is negative


class _Tables(NamedTuple):
    offsets: np.ndarray     # see `patch_offsets`
    zeros: np.ndarray


class WinogradConvolution:
    """The convolution of a `Geometry` with stride 1 in the form F(m, r), all worked out but the numbers; `paired` for
    products of bfloat16, which want an even number of channels."""

    def __init__(self, geometry, m, paired=False):
        source, target, r, dtype = geometry.source, geometry.target, geometry.kernel.down, geometry.dtype
        groups, read, made = geometry.groups, geometry.part.source.channels, geometry.part.target.channels
        n, lanes, tiles = m + r - 1, simd.width(dtype), simd.tiles_for(made, dtype, paired)
        panel = simd.panel_width(made, dtype)
        channels, outputs = -(-read // lanes) * lanes, -(-made // panel) * panel
        patch_size = _patch_size(read, made, dtype, paired)
        down, across = -(-target.height // m), -(-target.width // m)
        total = geometry.batch * down * across
        count, enough = most_patches(n * n, read, made, dtype, paired), -(-_BLOCKS // groups)
        blocks = -(-total // count)
        if groups * n * n * read * outputs * dtype.itemsize <= _LARGE or blocks >= enough:
            # A multiple of `enough` blocks, as nearly as short tiles allow, so that threads get equal shares.
            count = most_patches(n * n, read, made, dtype, paired, _SMALLER)
            blocks = -(-total // (enough * count)) * enough
        count = -(-total // (blocks * tiles.short_rows)) * tiles.short_rows
        blocks = -(-total // count)
        parts = min(outputs // panel, -(-enough // blocks))
        launch = _kernel(m, r, tiles), groups * blocks * parts, groups * total * n * n * read * made
        self.launch = Launch(*launch, writes=_sweep(geometry.batch, target, m, count))
        self.launch_pooled = Launch(*launch)
        self.memory = (n * n + 1) * (count * patch_size + lanes) + n * n * channels + m * m * lanes
        padding = geometry.padding.top, geometry.padding.left
        self.tables = _Tables(patch_offsets(m, n, padding, source, channels, down, across), np.zeros(lanes, dtype))
        plan = _Plan(
            batch=geometry.batch, height=source.height, width=source.width, groups=groups, channels=read,
            out_height=target.height, out_width=target.width, out_channels=made,
            above=geometry.padding.top, before=geometry.padding.left, down=down, across=across, patches=count,
            patch_size=patch_size, parts=parts, pooled=0, relu=0)
        self.numbers, pooled = in_words(plan), plan._replace(pooled=1)
        self.pooled_numbers = {relu: in_words(pooled._replace(relu=int(relu))) for relu in (False, True)}

    def __call__(self, x, filters, bias, y, epilogue):
        """Fill y; x and y are flat and channels-last, filters and bias come from `TransformFilters` and `packing`."""
        self._run(self.launch, Operands(x, filters, bias, y), _NO_INDEX, self.numbers, epilogue)

    def pooled(self, operands, index, relu, epilogue):
        """Fill y and index with the largest of each 2 x 2 pixels, see `pool_max`; the epilogue does nothing."""
        self._run(self.launch_pooled, operands, index, self.pooled_numbers[bool(relu)], epilogue)

    def _run(self, launch, operands, index, numbers, epilogue):
        memory = scratch(self.memory, operands.x.dtype, launch.work)
        launch(operands, index, self.tables, memory, numbers, epilogue)


def _sweep(batch, target, m, count):
    """The Sweep over y of blocks of `count` patches: from the first row of the first to the last row of the last."""
    down, across = -(-target.height // m), -(-target.width // m)
    first = np.arange(0, batch * down * across, count)
    last = np.minimum(first + count, batch * down * across) - 1

    def rows_to(number, after):
        """How many rows of y come before those of a patch or, `after` it, up to its last one."""
        image, row = np.divmod(number // across, down)
        return image * target.height + np.minimum((row + after) * m, target.height)

    row = target.width * target.channels
    return Sweep(Y, rows_to(first, 0) * row, rows_to(last, 1) * row)


def most_patches(points, in_channels, out_channels, dtype, paired=False, smaller=1):
    """How many patches a block takes at most, or one that is so many times `smaller`."""
    rows = simd.tiles_for(out_channels, dtype, paired).rows
    size = points * _patch_size(in_channels, out_channels, dtype, paired) * dtype.itemsize
    return max(1, min(_BLOCK_BYTES // size, _MOST_PATCHES) // smaller // rows) * rows


def _patch_size(in_channels, out_channels, dtype, paired):
    """Numbers of a patch at one point: input or output channels, whichever are more."""
    lanes, panel = simd.width(dtype), simd.panel_width(out_channels, dtype)
    return max(-(-in_channels // (lanes * (1 + paired))) * lanes, -(-out_channels // panel) * panel)


class _Share(NamedTuple):
    """What a block computes, and where in memory it does."""

    group: int
    first: int          # patch
    count: int
    first_panel: int    # of the group's output channels
    last_panel: int     # the one behind them
    start: int          # of the slot's memory
    point_size: int     # of a section
    spare: int          # behind all sections


@functools.cache
def _kernel(m, r, tiles):
    n, halves, word, at = m + r - 1, tiles.halves, tiles.word, matrices(m, r).at
    transform_all, multiply_all = _make_transform_all(m, n, r, word), _make_multiply_all(m, n, tiles)
    write_patch = _make_write_patch(m, n, at)

    def winograd(block, slot, operands, index, tables, memory, numbers, epilogue):
        """Take one block's patches through the transform, the products for some panels and the way back.

        The slot's memory has n n + 1 sections and some spare room. The transformed input of point i is in section
        i + 1, and its products are written to section i, whose input was that of point i - 1 and is needed no longer:

            section   0             1             2             ...    n n             spare
            first                   input of 0    input of 1           input of n n - 1
            then      products of 0 products of 1 products of 2        (free)

        An input is (vectors of channels, patches, lanes), as `tile_plain` reads it; products are (panels, patches,
        panel). A section has one vector more than they fill, see `TransformFilters`.
        """
        plan, lanes, panel = named(_Plan, numbers), simd.lanes(memory), halves * simd.lanes(memory) // 2
        panels, channels = (plan.out_channels + panel - 1) // panel, (plan.channels + lanes - 1) // lanes * lanes
        part, group = block % plan.parts, block // plan.parts % plan.groups
        first = block // (plan.parts * plan.groups) * plan.patches
        count = min(plan.patches, plan.batch * plan.down * plan.across - first)
        point_size = plan.patches * plan.patch_size + lanes
        start = slot * ((n * n + 1) * point_size + n * n * channels + m * m * lanes)
        spare = start + (n * n + 1) * point_size
        first_panel, last_panel = part * panels // plan.parts, (part + 1) * panels // plan.parts
        share = _Share(group, first, count, first_panel, last_panel, start, point_size, spare)
        images = Patches(operands.x, plan.height, plan.width, plan.groups * plan.channels, group * plan.channels,
                         plan.channels, channels, plan.above, plan.before, plan.down, plan.across, tables.offsets,
                         tables.zeros)
        transform_all(images, memory, share, plan)
        multiply_all(operands, memory, share, plan, epilogue)
        place = place_of(first, plan.down, plan.across)
        for t in range(count):
            products = _Products(memory, start + t * panel, point_size, panel, plan.patches * panel,
                                 spare + n * n * channels, group, group * panels * panel)
            write_patch(products, operands, index, place, first_panel * panel,
                        min(last_panel * panel, plan.out_channels), plan, epilogue)
            place = following(place, plan.down, plan.across)

    winograd.__qualname__ = f"winograd_{m}_{r}_{halves}_{word}"
    return jit(winograd)


def _make_transform_all(m, n, r, word):
    make_transform = simd.make_transform_gathered if word == 1 else simd.make_transform_halved
    transform_patch = make_transform_patch(m, n, make_transform(matrices(m, r).bt), word)

    @inlined
    def transform_all(images, memory, share, plan):
        """The first step, B^T D B for each patch."""
        lanes, start = simd.lanes(memory), share.start + share.point_size
        place = place_of(share.first, plan.down, plan.across)
        for t in range(share.count):
            to = Spread(memory, start + t * lanes, n * share.point_size, share.point_size, word * lanes,
                        plan.patches * lanes)
            transform_patch(images, place, memory, share.spare, to)
            place = following(place, plan.down, plan.across)

    return transform_all


def _make_multiply_all(m, n, tiles):
    halves, word, multiply = tiles.halves, tiles.word, _make_multiply(tiles)
    read_to, written_to = make_read_to(m, n), _make_written_to(m)

    @inlined
    def multiply_all(operands, memory, share, plan, epilogue):
        """The second step, the products of each point for each panel. Between them memory is fetched: of x what the
        next patches read, which the blocks of all groups share among them; of y, and of what the epilogue reads, what
        belongs to this one. Where several blocks write channels of the same pixels, only x is fetched: asking for y
        would take lines away from the threads that write them, and most of the rest belongs to other blocks."""
        x, y, lanes, panel = operands.x, operands.y, simd.lanes(memory), halves * simd.lanes(memory) // 2
        panels, words = (plan.out_channels + panel - 1) // panel, plan.channels // word
        filters_size = plan.groups * panels * words * panel + lanes
        last, total = share.first + share.count - 1, plan.batch * plan.down * plan.across
        times = n * n * (share.last_panel - share.first_panel)
        row_size, next_last = plan.width * plan.groups * plan.channels, min(last + plan.patches, total - 1)
        x_start = read_to(last, plan.height, row_size, plan.above, plan.down, plan.across)
        x_size = read_to(next_last, plan.height, row_size, plan.above, plan.down, plan.across) - x_start
        x_ahead = ahead(x, x_start + x_size * share.group // plan.groups,
                        x_start + x_size * (share.group + 1) // plan.groups, times)
        y_ahead = ahead(y, written_to(share.first, False, plan), written_to(last, True, plan), times)
        for point in range(n * n):
            to = share.start + point * share.point_size
            for j in range(share.first_panel, share.last_panel):
                filters = point * filters_size + (share.group * panels + j) * words * panel
                multiply(memory, to + share.point_size, plan.patches * lanes, words, operands.filters, filters,
                         to + j * plan.patches * panel, share.count)
                x_ahead = fetch_portion(x, x_ahead)
                if plan.parts * plan.groups == 1:
                    y_ahead = fetch_results(y, epilogue, y_ahead)

    return multiply_all


def _make_written_to(m):
    @jit
    @made_for(m)
    def written_to(number, after, plan):
        """Where in y the first row of patch `number` starts or, `after` it, the row behind its last one."""
        side = 1 + plan.pooled
        height, width, rows = plan.out_height // side, plan.out_width // side, m // side
        place = place_of(number, plan.down, plan.across)
        row = max(0, min(height, (place.row + after) * rows))
        return (place.image * height + row) * width * plan.groups * plan.out_channels

    return written_to


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


class _Products(NamedTuple):
    """Where the products of one patch are: those of point i and channel c at
    memory[start + i point_size + c // panel * next_panel + c % panel]."""

    memory: np.ndarray
    start: int
    point_size: int
    panel: int
    next_panel: int
    spare: int          # where in memory m x m vectors may be put down
    group: int
    bias: int           # where its biases are


def _make_write_patch(m, n, at):
    transform, transform_finished = simd.make_transform_biased(at), simd.make_transform_finished(at)
    write_largest = _make_write_largest(m)

    @inlined
    def write_patch(products, operands, index, place, first, stop, plan, epilogue):
        """Transform a patch's products back, and write those of its m x m pixels that exist, or the largest of each
        four, for channels `first` to `stop`.

        Patches are laid over y from its first pixel on, so those in the last row and column may reach beyond it: of
        m x m pixels the first `rows` x `columns` exist. If all do, and all channels of the vector, the transform writes
        to y at once. Else it writes to memory, from where those that exist are copied. Channels are counted in the
        group.
        """
        memory, bias, y, lanes = products.memory, operands.bias, operands.y, simd.lanes(operands.y)
        top, left, bend = place.row * m, place.column * m, epilogue.bend
        rows, columns = min(m, plan.out_height - top), min(m, plan.out_width - left)
        pixel, row_size = plan.groups * plan.out_channels, plan.out_width * plan.groups * plan.out_channels
        corner = (place.image * plan.out_height + top) * row_size + left * pixel + products.group * plan.out_channels
        for c in range(first, stop, lanes):
            start = products.start + c // products.panel * products.next_panel + c % products.panel
            whole = not plan.pooled and rows == m and columns == m and c + lanes <= plan.out_channels
            if whole and epilogue.level:
                transform_finished(memory, start, n * products.point_size, products.point_size,
                                   y, corner + c, row_size, pixel, bias, products.bias + c, epilogue)
                continue
            to, at, to_row, to_pixel = memory, products.spare, m * lanes, lanes
            if whole:
                to, at, to_row, to_pixel = y, corner + c, row_size, pixel
            transform(memory, start, n * products.point_size, products.point_size,
                      to, at, to_row, to_pixel, bias, products.bias + c, bend, whole)
            if plan.pooled:
                write_largest(products, c, y, index, place, plan)
            elif not whole:
                for row in range(rows):
                    for column in range(columns):
                        v = simd.load(memory, products.spare + (row * m + column) * lanes)
                        i = corner + row * row_size + column * pixel + c
                        count = plan.out_channels - c
                        simd.store_part(y, i, spans.in_registers(v, i, count, epilogue, epilogue.level), count)
        if spans.has_calls(epilogue):
            # Pixels that were written as a whole lie side by side, and make one span.
            together = columns if stop - first == pixel else 1
            for row in range(rows):
                for column in range(0, columns, together):
                    to = corner + row * row_size + column * pixel + first
                    spans.call_functions(y, to, to + together * (stop - first), epilogue)

    return write_patch


def _make_write_largest(m):
    @inlined
    def write_largest(products, channel, y, index, place, plan):
        """Write the largest of each 2 x 2 pixels of a patch, and which of them it is, for a vector of channels. The
        m x m pixels are in memory[products.spare]; m is even, and those that make no four are left out."""
        memory, lanes = products.memory, simd.lanes(y)
        height, width = plan.out_height // 2, plan.out_width // 2
        top, left = place.row * (m // 2), place.column * (m // 2)
        for row in range(min(m // 2, height - top)):
            for column in range(min(m // 2, width - left)):
                first = products.spare + (2 * row * m + 2 * column) * lanes
                best, which = simd.load(memory, first), simd.full(memory, 0)
                for other in range(1, 4):
                    value = simd.load(memory, first + (other // 2 * m + other % 2) * lanes)
                    which = simd.pick(value, best, simd.full(memory, other), which)
                    best = simd.pick(value, best, value, best)
                pixel = (place.image * height + top + row) * width + left + column
                at = (pixel * plan.groups + products.group) * plan.out_channels + channel
                pool_max.keep(y, index, at, best, which, plan.out_channels - channel, plan.relu, 255)

    return write_largest
