"""The gradient for the filters of a depthwise convolution, or of one with few channels to a group, and for its bias.

dw[r, s, c] = sum over n, p, q of x[n, p stride + r dilation - top, q stride + s dilation - left, c] dy[n, p, q, c]

With the windows of `depthwise`: what the forward pass adds up over taps is added up over windows here, for some taps
at once, whose sums stay in registers (`simd.make_window_products`). A block takes a part of the rows of all images and
some vectors of channels, one after the other. Of some rows, a *piece*, it copies the pixels that their windows read,
with zeros around the image, so that no window is a special case:

    memory of a slot:   lines x columns vectors of pixels, and behind them vectors of dy where channels do not fill one

A block has a partial gradient (size R S, C) of its own. Products of some windows are added up in registers before they
go there; where there are many, the partial gradient is moved to one in float64 every so often, see `sums`. What all
parts have is added in order.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv.depthwise import BLOCKS, LARGE, Course, constants_of, work_of
from fastnet.kernels.cpu.conv.operands import Inputs, Sums
from fastnet.kernels.cpu.runtime import Launch, empty, hash_of, in_words, inlined, jit, launch, named, scratch

# About how many blocks there are, and the most taps whose sums are in registers together.
_BLOCKS, _TAPS = 16, 16
# The most bytes of copied pixels, and numbers of dy that a block takes of a piece.
_COPIED, _PIECE = 1 << 16, 32_768
# How often a partial gradient is added to before it is moved to one in float64.
_CHAINS_OF_SUM = 64


class _Windows(NamedTuple):
    """How the windows of a convolution are cut into pieces."""

    height: int         # of x
    width: int
    channels: int
    out_height: int     # of dy
    out_width: int
    step: int
    above: int          # lines before the first of an image that the first row reads
    left: int
    rows: int           # of a piece at most
    parts: int          # pieces of an image
    vectors: int        # of channels, that a block takes at most
    slices: int         # blocks that share the channels
    lines: int          # of pixels that are copied
    columns: int        # of pixels: the last windows may lie beyond the row
    large: int          # whether the images do not fit the cache, so that what comes next is to be fetched
    memory: int         # numbers of the copies


class _Plan(NamedTuple):
    filters: int        # vectors of them, for one of channels
    parts: int          # of the rows of all images
    pieces: int
    chain_rows: int     # of dy, that are added up in registers together
    chain_columns: int
    together: int       # pieces after which a partial gradient is moved to float64
    memory: int         # numbers of a slot


def _cut(course, batch, dtype):
    """The _Windows of so many images."""
    source, target, lanes, count = course.source, course.target, simd.width(dtype), course.count
    columns = (-(-target.width // count) * count - 1) * course.step.across + course.span.across + 1
    parts = next((parts for parts in range(1, target.height)
                  if course.lines(-(-target.height // parts)) * columns * simd.VECTOR_BYTES <= _COPIED), target.height)
    rows, every = -(-target.height // parts), -(-source.channels // lanes)
    parts, lines = -(-target.height // rows), course.lines(rows)
    vectors = max(1, min(_PIECE // (rows * target.width * lanes), every * batch * parts // BLOCKS, every))
    slices = -(-every // vectors)
    return _Windows(
        height=source.height, width=source.width, channels=source.channels, out_height=target.height,
        out_width=target.width, step=course.step.down, above=course.before.down, left=course.before.across, rows=rows,
        parts=parts, vectors=-(-every // slices), slices=slices, lines=lines, columns=columns,
        large=batch * (source.numbers + target.numbers) * dtype.itemsize > LARGE, memory=lines * columns * lanes)


class DepthwiseWeightGradient:
    """dw and db from x and dy, all worked out but the numbers."""

    def __init__(self, geometry):
        dtype, self.biases, course = geometry.dtype, geometry.source.channels, Course.of(geometry)
        windows, constants = _cut(course, geometry.batch, dtype), constants_of(geometry, course)
        pieces, self.filters = geometry.batch * windows.parts, int(np.prod(geometry.w_shape[1:]))
        self.parts = min(pieces, -(-_BLOCKS // windows.slices))
        chain_columns = min(windows.out_width, sums.CHAIN // constants.count * constants.count)
        chain_rows = max(1, sums.CHAIN // windows.out_width)
        chains = -(-windows.rows // chain_rows) * -(-windows.out_width // chain_columns)    # of a piece
        together, self.size = max(1, _CHAINS_OF_SUM // chains), self.filters * self.biases
        self.spilling = pieces > self.parts * together
        self.memory = windows.memory + windows.rows * windows.out_width * simd.width(dtype)
        self.windows = in_words(windows)
        self.numbers = in_words(
            _Plan(self.filters, self.parts, pieces, chain_rows, chain_columns, together, self.memory))
        self.launch = Launch(_kernel(constants._replace(classes=_groups(constants.classes[0]))),
                             self.parts * windows.slices, work_of(geometry))
        self.add_up = sums.ColumnSums(self.parts, self.size, self.size, dtype, np.float64 if self.spilling else dtype)
        self.add_up_bias = sums.ColumnSums(self.parts, self.biases, self.biases, dtype, np.float64)

    def __call__(self, x, dy, bias):
        """(dw, db): both flat, dw in the order of (C, size, R, S), db None without `bias`."""
        dtype, size = x.dtype, self.parts * self.size
        partial, total = empty(size, dtype), sums.room(size if self.spilling else 0)
        to = Sums(partial, total, empty(self.parts * self.biases, np.float64))
        memory = scratch(self.memory, dtype, self.launch.work)
        self.launch(Inputs(x, dy), to, memory, self.windows, self.numbers, bool(bias))
        dw = empty(self.size, dtype)
        launch(_transpose, 1, self.add_up(to.total if self.spilling else to.partial), dw, self.filters, work=0)
        return dw, self.add_up_bias(to.bias) if bias else None


def _groups(taps):
    """The taps in groups whose sums fit into registers: whole rows of the kernel where they do."""
    groups, rows = [[]], {}
    for tap in taps:
        rows.setdefault((tap[0], tap[2]), []).append(tap)
    for row in rows.values():
        for piece in (row[start: start + _TAPS] for start in range(0, len(row), _TAPS)):
            if len(groups[-1]) + len(piece) > _TAPS:
                groups.append([])
            groups[-1] += piece
    return tuple(map(tuple, groups))


@jit
def _transpose(block, slot, x, y, rows):
    """y = x^T for the matrix x of so many rows."""
    columns = x.size // rows
    for column in range(columns):
        for row in range(rows):
            y[column * rows + row] = x[row * columns + column]


@inlined
def _copy_gradients(dy, start, pixels, apart, n, memory, to):
    """Copy n numbers of each of so many pixels of dy to whole vectors."""
    for i in range(pixels):
        simd.store(memory, to + i * simd.lanes(dy), simd.load_part(dy, start + i * apart, n))


@inlined
def _copy_pixels(x, memory, at, image, top, channel, plan, fresh):
    """Copy the lines x columns pixels from row `top` of an image, and from its padding, on: one vector of channels
    each. In `fresh` memory zeros are written for those outside; else they are there already, from other channels."""
    lanes, zero, n, left = simd.lanes(x), simd.full(x, 0), plan.channels - channel, -plan.left
    for line in range(top, top + plan.lines):
        first = min(plan.columns, max(0, -left))
        stop = max(first, min(plan.columns, plan.width - left)) if 0 <= line < plan.height else first
        source = ((image * plan.height + line) * plan.width + left) * plan.channels + channel
        if fresh:
            for i in range(first):
                simd.store(memory, at + i * lanes, zero)
            for i in range(stop, plan.columns):
                simd.store(memory, at + i * lanes, zero)
        if n >= lanes:
            whole = first + (stop - first) // 4 * 4
            for i in range(first, whole, 4):    # four loads that do not wait for each other's stores
                pixel, to, c = source + i * plan.channels, at + i * lanes, plan.channels
                v0, v1, v2 = simd.load(x, pixel), simd.load(x, pixel + c), simd.load(x, pixel + 2 * c)
                v3 = simd.load(x, pixel + 3 * c)
                simd.store(memory, to, v0)
                simd.store(memory, to + lanes, v1)
                simd.store(memory, to + 2 * lanes, v2)
                simd.store(memory, to + 3 * lanes, v3)
            for i in range(whole, stop):
                simd.store(memory, at + i * lanes, simd.load(x, source + i * plan.channels))
        else:
            for i in range(first, stop):
                simd.store(memory, at + i * lanes, simd.load_part(x, source + i * plan.channels, n))
        at += plan.columns * lanes


@inlined
def _fetch_pixels(x, start, pixels, apart):
    """Ask for a vector of each of so many pixels, which will be read soon."""
    if start >= 0:
        for i in range(start, min(start + pixels * apart, x.size), apart):
            simd.prefetch(x, i)


@functools.cache
def _kernel(constants):
    count, step, _, size, groups = constants
    products, all_groups = simd.make_window_products(count, step, size, groups), len(groups)

    def add_products(block, slot, inputs, to, memory, windows, numbers, biased):
        """One part of the rows of all images, and some vectors of channels."""
        plan, own, x, dy = named(_Windows, windows), named(_Plan, numbers), inputs.x, inputs.dy
        lanes, c, pixels, part = simd.lanes(x), plan.channels, slot * own.memory, block // plan.slices
        begin = block % plan.slices * plan.vectors * lanes
        end, line_size = min(c, begin + plan.vectors * lanes), plan.columns * lanes
        for number in range(part * own.filters, (part + 1) * own.filters):
            spans.clear(to.partial, number * c + begin, number * c + end)
            if to.total.size:
                spans.clear(to.total, number * c + begin, number * c + end)
        spans.clear(to.bias, part * c + begin, part * c + end)
        last = (part + 1) * own.pieces // own.parts
        for piece in range(part * own.pieces // own.parts, last):
            image, first = piece // plan.parts, piece % plan.parts * plan.rows
            rows, top = min(plan.rows, plan.out_height - first), first * plan.step - plan.above
            source = (image * plan.out_height + first) * plan.out_width * c
            for j in range(begin, end, lanes):
                _copy_pixels(x, memory, pixels, image, top, j, plan, j == begin)
                # What comes next is fetched meanwhile: more channels of these rows, or the rows below.
                further = j + lanes < end
                on = lanes if further else rows * plan.step * plan.width * c - j + begin
                on_dy = lanes if further else rows * plan.out_width * c - j + begin
                g, g_apart = source + j, c
                gradients = dy
                if c - j < lanes:
                    g, g_apart, gradients = pixels + plan.memory, lanes, memory
                    _copy_gradients(dy, source + j, rows * plan.out_width, c, c - j, memory, g)
                if biased:
                    sums.add_rows(to.bias, part * c + j, dy, source + j, rows * plan.out_width, c, min(c - j, lanes))
                for row in range(0, rows, own.chain_rows):
                    height = min(own.chain_rows, rows - row)
                    if plan.large:
                        _fetch_pixels(dy, source + j + on_dy + row * plan.out_width * c, height * plan.out_width,
                                     c)
                    for k in range(row * plan.lines // rows, (row + height) * plan.lines // rows):
                        if plan.large and 0 <= top + k < plan.height:
                            _fetch_pixels(x, (image * plan.height + top + k) * plan.width * c + j + on, plan.width, c)
                    for left in range(0, plan.out_width, own.chain_columns):
                        width = min(own.chain_columns, plan.out_width - left)
                        at = pixels + row * plan.step * line_size + left * step * lanes
                        for group in range(all_groups):
                            products(group, memory, at, plan.step * line_size, line_size, gradients,
                                     g + (row * plan.out_width + left) * g_apart, plan.out_width * g_apart, g_apart,
                                     height, width, to.partial, part * own.filters * c + j, c, c - j)
            if to.total.size and (last - piece - 1) % own.together == 0:
                for number in range(part * own.filters, (part + 1) * own.filters):
                    sums.spill(to.partial, to.total, number * c + begin, number * c + end)

    add_products.__qualname__ = f"add_products_{count}_{step}_{size}_{hash_of(groups)}"
    return jit(add_products)
