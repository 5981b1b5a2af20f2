"""Direct convolution of bfloat16 numbers on a processor that multiplies whole matrices of them, see `simd.amx`.

    y[position, k] = bias[k] + sum over taps t and channels c of x[position + offset of t, c] w[t, c, k]

A block takes a strip of lines, see `amx_layout`, whose pixels it rounds and writes out to its slot's memory. For each
panel of 32 output channels it then multiplies 32 positions at a time, over all taps and channels, and writes those of
the sums that belong to pixels of the result, with bias and epilogue. As in `direct`, the gradient for the input is such
a convolution of dy, or with a stride one for each class of pixels that the same taps reach, a *grid*.
"""
import functools
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv.amx_layout import (
    POSITIONS,
    WORDS,
    Lines,
    LinesPlan,
    Room,
    Strip,
    columns_at_once,
    run_at,
    words_of,
    write_pixels,
)
from fastnet.kernels.cpu.conv.operands import NUMBERS, Operands
from fastnet.kernels.cpu.conv.prefetch import ahead, fetch_portion
from fastnet.kernels.cpu.runtime import Launch, entry, in_words, inlined, jit, named, scratch

# Words of pixels that a block writes out at most, so that they stay in the second cache beside the filters; how many
# blocks there should be, and how many positions a strip should have for the sake of it.
_MOST_WORDS, BLOCKS, _FEWEST_POSITIONS = 64 << 10, 16, 128
# Where there are many panels, and the words of all of a group's filters are so few that they stay in the second cache
# too, tiles that are multiplied with one panel before the next: so all channels of a pixel are written soon.
_FEW_FILTERS, _PIECE = 64 << 10, 4


class _Plan(NamedTuple):
    lines: int          # of the batch
    strips: int
    size: int           # positions of a phase of a strip
    words: int          # of a pixel that are multiplied
    apart: int          # from a pixel to the next
    y_height: int
    y_width: int
    y_channels: int
    out_channels: int   # of a group
    groups: int
    panels: int         # of a group
    parts: int          # blocks that share the panels
    grids: int
    taps: int           # of all grids
    piece: int          # positions that are multiplied with one panel after the other
    memory: int         # numbers of a slot


class _GridPlan(NamedTuple):
    """A grid as the kernel sees it."""

    taps: int
    taps_before: int    # those of the grids before it
    rows: int
    columns: int
    place_down: int
    place_across: int
    offset_down: int
    offset_across: int


class Columns(NamedTuple):
    """Output channels of a panel: their biases begin at `bias`, their numbers in each pixel of y at `first`."""

    bias: int
    first: int
    count: int


class TileSums(NamedTuple):
    """Where the sums of some positions are, `panel` numbers each."""

    memory: np.ndarray
    start: int
    panel: int


class _Positions(NamedTuple):
    """Positions of a strip, whose first line is `line`; `sums` are those of the first one and of those behind it."""

    sums: TileSums
    line: int
    first: int
    stop: int


class AmxTables(NamedTuple):
    """Where a convolution finds the numbers of its strips; see `amx_layout`."""

    taps: np.ndarray    # where each tap reads, in numbers of bfloat16
    grids: np.ndarray   # a _GridPlan for each
    phases: np.ndarray
    lines: np.ndarray   # the LinesPlan


class AmxConvolution:
    """As `direct.DirectConvolution`, for pixels of float32 or, where they are `operands.Short`, of bfloat16: the packed
    filters hold words, for each panel and tap those of `words_of` the channels. `blocks` is how many there should be:
    each writes out its pixels for itself, so whoever runs all of them in one thread wants one."""

    def __init__(self, batch, source, target, stride, grids, groups, blocks=BLOCKS):
        channels, out_channels = source.channels // groups, target.channels // groups
        lines = Lines(batch, source, channels, stride, [(grid.size, grid.origins) for grid in grids])
        words, apart = words_of(channels)
        columns = columns_at_once(out_channels)
        panels, phases, pitch = -(-out_channels // columns), lines.plan.phases, lines.plan.pitch
        most = max(1, _MOST_WORDS // (phases * pitch * apart) - lines.plan.above - lines.plan.below)
        wanted = min(-(-blocks // groups), lines.count * pitch // _FEWEST_POSITIONS)
        strips = min(lines.count, max(-(-lines.count // most), wanted, 1))
        parts = min(panels, -(-blocks // (strips * groups)))
        height = -(-lines.count // strips)
        size = lines.size(height)
        self.memory = phases * size * apart + POSITIONS * columns
        before = np.cumsum([0] + [len(grid.origins) for grid in grids])
        self.tables = AmxTables(lines.offsets(2 * apart, 2 * apart * size), in_words(*(
            _GridPlan(len(grid.origins), taps, *grid.size, *grid.place, *grid.offset)
            for grid, taps in zip(grids, before[:-1], strict=True))), lines.phases, in_words(lines.plan))
        all_words = int(before[-1]) * words * panels * columns
        self.numbers = in_words(_Plan(
            lines=lines.count, strips=strips, size=size, words=words, apart=apart, y_height=target.height,
            y_width=target.width, y_channels=target.channels, out_channels=out_channels, groups=groups, panels=panels,
            parts=parts, grids=len(grids), taps=int(before[-1]), memory=self.memory,
            piece=_PIECE * POSITIONS if panels > 2 and all_words <= _FEW_FILTERS else height * pitch))
        work = batch * target.channels * sum(prod(grid.size) * (len(grid.origins) * words + 1) for grid in grids)
        self.launch = Launch(_kernel(columns), strips * groups * parts, work)

    def __call__(self, x, filters, bias, y, epilogue, short=NUMBERS):
        """Fill y; x and y are flat and channels-last, filters and bias packed."""
        memory = scratch(self.memory, x.dtype, self.launch.work)
        self.launch(Operands(x, filters, bias, y), memory, self.tables, self.numbers, epilogue, short)


@functools.cache
def _kernel(panel):
    product, open_amx = simd.make_amx_product(POSITIONS // WORDS, panel // WORDS), simd.make_open_amx()

    def convolve(block, slot, operands, memory, tables, numbers, epilogue, short):
        """Compute one block: a strip of lines of one group, in some panels of output channels."""
        plan, lines, x, y = named(_Plan, numbers), named(LinesPlan, tables.lines), operands.x, operands.y
        part, share = block % plan.parts, block // plan.parts
        group, number = share % plan.groups, share // plan.groups
        strip = Strip(group, number * plan.lines // plan.strips, (number + 1) * plan.lines // plan.strips)
        room = Room(slot * plan.memory, plan.size, plan.words, plan.apart)
        positions = (strip.last - strip.first) * lines.pitch
        sums = room.start + lines.phases * plan.size * plan.apart
        write_pixels(x, strip, memory, room, tables.phases, lines, short.x)
        first_panel, last_panel = part * plan.panels // plan.parts, (part + 1) * plan.panels // plan.parts
        times = plan.grids * (last_panel - first_panel) * ((positions + POSITIONS - 1) // POSITIONS)
        x_ahead, y_ahead = _next_strip(x, number, times, plan), _next_strip(y, number, times, plan)
        if lines.phases < lines.stride_down * lines.stride_across:  # much of x is never read
            x_ahead = ahead(x, 0, 0, times)
        if short.y and spans.is_far(y):
            y_ahead = ahead(y, 0, 0, times)
        open_amx()
        for g in range(plan.grids):
            grid = entry(_GridPlan, tables.grids, g)
            for begin in range(0, positions, plan.piece):
                for p in range(group * plan.panels + first_panel, group * plan.panels + last_panel):
                    filters = (p * plan.taps + grid.taps_before) * plan.words * panel
                    left = p % plan.panels * panel
                    columns = Columns(p * panel, group * plan.out_channels + left,
                                      min(panel, plan.out_channels - left))
                    for position in range(begin, min(begin + plan.piece, positions), POSITIONS):
                        x_ahead, y_ahead = fetch_portion(x, x_ahead), fetch_portion(y, y_ahead)
                        product(memory, 2 * (room.start + position * plan.apart), 2 * plan.apart, tables.taps,
                                grid.taps_before, grid.taps, plan.words, operands.filters, filters, panel, memory, sums,
                                panel, 0)
                        made = _Positions(TileSums(memory, sums, panel), strip.first, position,
                                          min(position + POSITIONS, positions))
                        _write_sums(made, columns, operands, grid, plan, lines, epilogue, short.y)
                if spans.has_calls(epilogue) and not short.y:
                    made = _Positions(TileSums(memory, sums, panel), strip.first, begin,
                                      min(begin + plan.piece, positions))
                    channel = first_panel * panel
                    columns = Columns(0, group * plan.out_channels + channel,
                                      min(last_panel * panel, plan.out_channels) - channel)
                    _call_functions(made, columns, y, grid, plan, lines, epilogue)
        simd.close_amx()

    convolve.__qualname__ = f"convolve_amx_{panel}"
    return jit(convolve)


@inlined
def _next_strip(x, strip, times, plan):
    """What the next strip reads of x, or writes of y, about: to be fetched a little before each product."""
    return ahead(x, (strip + 1) * x.size // plan.strips, min(strip + 2, plan.strips) * x.size // plan.strips, times)


@inlined
def _pixels_of(run, grid, plan, lines):
    """(the first pixel of y, how many) that a Run of the grid's positions stands for; some stand for none."""
    image, row = run.line // lines.height, run.line % lines.height
    down, across = row * grid.place_down + grid.offset_down, run.column * grid.place_across + grid.offset_across
    count = min(run.count, grid.columns - run.column) if row < grid.rows else 0
    return (image * plan.y_height + down) * plan.y_width + across, count


@inlined
def _write_sums(made, columns, operands, grid, plan, lines, epilogue, short):
    """Write the sums that belong to pixels of the grid to some channels of y, of words if it is `short`."""
    sums, apart = made.sums, grid.place_across * plan.y_channels
    position, at = made.first, sums.start
    while position < made.stop:
        run = run_at(position, made.stop, made.line, lines.pitch)
        pixel, pixels = _pixels_of(run, grid, plan, lines)
        write_run(TileSums(sums.memory, at, sums.panel), columns, operands, pixel * plan.y_channels + columns.first,
                  apart, pixels, epilogue, short)
        position, at = position + run.count, at + run.count * sums.panel


@inlined
def _call_functions(made, columns, y, grid, plan, lines, epilogue):
    """Have the epilogue's functions do their work on what sums were written to: in one go where pixels lie side by
    side, since a function for few numbers takes little more time than its call."""
    position, apart = made.first, grid.place_across * plan.y_channels
    while position < made.stop:
        run = run_at(position, made.stop, made.line, lines.pitch)
        pixel, pixels = _pixels_of(run, grid, plan, lines)
        together = max(1, pixels) if apart == columns.count else 1
        for i in range(0, pixels, together):
            to = pixel * plan.y_channels + columns.first + i * apart
            spans.call_functions(y, to, to + together * columns.count, epilogue)
        position += run.count


@inlined
def write_run(sums, columns, operands, to, apart, pixels, epilogue, short):
    """Write the sums of some pixels to some channels of y, from its number `to` on and `apart` numbers from one pixel
    to the next. With the level a constant there is less to do in each step."""
    if short and epilogue.level == spans.BOUND:
        _write_short_run(sums, columns, operands, to, apart, pixels, epilogue, spans.BOUND)
    elif short and epilogue.level == spans.OPERANDS:
        _write_short_run(sums, columns, operands, to, apart, pixels, epilogue, spans.OPERANDS)
    elif short:
        _write_short_run(sums, columns, operands, to, apart, pixels, epilogue, spans.SLOPED)
    elif epilogue.level == spans.BOUND:
        _write_run(sums, columns, operands, to, apart, pixels, epilogue, spans.BOUND)
    elif epilogue.level == spans.OPERANDS:
        _write_run(sums, columns, operands, to, apart, pixels, epilogue, spans.OPERANDS)
    else:
        _write_run(sums, columns, operands, to, apart, pixels, epilogue, spans.SLOPED)


@inlined
def _write_run(sums, columns, operands, to, apart, pixels, epilogue, level):
    """Where y holds numbers; functions are called later, on y itself."""
    y = operands.y
    for i in range(sums.start, sums.start + pixels * sums.panel, sums.panel):
        for j in range(0, columns.count, simd.lanes(y)):
            v = simd.load(sums.memory, i + j) + simd.load(operands.bias, columns.bias + j)
            v = spans.in_registers(v, to + j, columns.count - j, epilogue, level)
            simd.store_part(y, to + j, v, columns.count - j)
        to += apart


@inlined
def _write_short_run(sums, columns, operands, to, apart, pixels, epilogue, level):
    """Where y and what is added to it hold words. Functions are called on numbers of float32, which are written over
    the sums for that."""
    y, memory, lanes, called = operands.y, sums.memory, simd.lanes(operands.y), spans.has_calls(epilogue)
    stop, first, far = sums.start + pixels * sums.panel, to, spans.is_far(y)
    for i in range(sums.start, stop, sums.panel):
        for j in range(0, columns.count, 2 * lanes):
            v = _finished(memory, i, columns, j, operands.bias, to, epilogue, level)
            w = simd.full(y, 0)
            if sums.panel > lanes:
                w = _finished(memory, i, columns, j + lanes, operands.bias, to, epilogue, level)
            if not called:
                simd.store_short(y, to + j, v, w, columns.count - j, far)
            else:
                simd.store(memory, i + j, v)
                if sums.panel > lanes:
                    simd.store(memory, i + j + lanes, w)
        to += apart
    if called:
        spans.call_functions(memory, sums.start, stop, epilogue)
        for i in range(sums.start, stop, sums.panel):
            for j in range(0, columns.count, 2 * lanes):
                v, w = simd.load(memory, i + j), simd.full(y, 0)
                if sums.panel > lanes:
                    w = simd.load(memory, i + j + lanes)
                simd.store_short(y, first + j, v, w, columns.count - j, far)
            first += apart


@inlined
def _finished(memory, i, columns, j, bias, to, epilogue, level):
    """The vector of sums from column j on, after all steps of the epilogue that need no function; of those that use a
    mask there are none, since nothing is short in training."""
    v = simd.load(memory, i + j) + simd.load(bias, columns.bias + j)
    if level:
        added = simd.full(memory, -0.0)
        if epilogue.adding:
            added = simd.load_short(epilogue.add, to + j, columns.count - j)
        return simd.finish(v, added, simd.full(memory, 1), epilogue, level == spans.SLOPED)
    return simd.bound(v, epilogue.bend)
