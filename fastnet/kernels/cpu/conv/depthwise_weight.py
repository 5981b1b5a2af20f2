"""The gradient for the filters of a depthwise convolution, or of one with few channels to a group, and for its bias.

dw[r, s, c] = sum over n, p, q of x[n, p stride + r dilation - top, q stride + s dilation - left, c] dy[n, p, q, c]

With the windows of `depthwise`: what the forward pass adds up over taps is added up over windows here, some of a row at
a time, for some taps, in registers (`simd.make_window_products`). A block takes some rows of all images and some
vectors of channels, and has a partial gradient of its own, for each vector of channels those of all its filters side by
side. What some windows give is added there in float32; every so often, within long rows too, the partial gradient is
moved to one in float64, see `sums`. What all parts have is added in order.
"""
import functools
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv.depthwise import LARGE, Course, constants_of, copy_pixels, fetch_pixels, share, work_of
from fastnet.kernels.cpu.conv.operands import Inputs, Sums
from fastnet.kernels.cpu.runtime import Launch, empty, hash_of, in_words, inlined, jit, named, scratch

# About how many blocks there are, and the most taps whose sums are in registers together.
_BLOCKS, _TAPS = 16, 16
# How often a partial gradient is added to before it is moved to one in float64, about.
_ADDED = 64


class _Plan(NamedTuple):
    height: int         # of x
    width: int
    channels: int
    out_height: int     # of dy
    out_width: int
    step: int
    above: int          # lines before the first of an image that the first row reads
    left: int
    under: int          # lines under one row of windows
    vectors: int        # whole ones of channels, that a block takes at most; the last one takes what is left as well
    slices: int         # blocks that share the channels
    parts: int          # blocks that share the rows of all images
    rows: int           # of all images
    together: int       # rows after which a partial gradient is moved to float64
    wide: int           # windows after which it is, within a row that has more of them
    size: int           # numbers of a partial gradient
    large: int          # whether the images do not fit the cache, so that what comes next is to be fetched
    memory: int         # numbers of a slot


class _Row(NamedTuple):
    """A row of windows: x, where the first of its pixels would be, how far it is to the next, and the same of dy; and
    the first line of the image that it reads."""

    x: np.ndarray
    at: int
    dy: np.ndarray
    g: int
    pixel: int
    line: int


class DepthwiseWeightGradient:
    """dw and db from x and dy, all worked out but the numbers."""

    def __init__(self, geometry):
        dtype, course = geometry.dtype, Course.of(geometry)
        (source, target, *_), lanes, constants = course, simd.width(dtype), constants_of(geometry, course)
        filters, rows, under = prod(geometry.w_shape[1:]), geometry.batch * target.height, course.span.down + 1
        vectors, slices = share(source.channels, under * source.width + target.width + filters, dtype)
        parts = min(rows, -(-_BLOCKS // slices))
        together = max(1, _ADDED // (target.width // constants.count + target.width % constants.count))
        wide = _ADDED * constants.count
        few = (under * source.width + target.width) * lanes if source.channels < lanes else 0
        self.sizes = source.channels, filters, lanes
        size, self.biases = -(-source.channels // lanes) * filters * lanes, source.channels
        plan = _Plan(
            height=source.height, width=source.width, channels=source.channels, out_height=target.height,
            out_width=target.width, step=course.step.down, above=course.before.down, left=course.before.across,
            under=under, vectors=vectors, slices=slices, parts=parts, rows=rows, together=together, wide=wide,
            size=size, large=geometry.batch * (source.numbers + target.numbers) * dtype.itemsize > LARGE,
            memory=(vectors + 1) * lanes + few)
        self.spilling = rows > parts * together or target.width > wide
        self.numbers, self.parts, self.size, self.memory = in_words(plan), parts, size, plan.memory
        groups = _groups(constants.classes[0])
        self.launch = Launch(_kernel(constants._replace(classes=groups)), parts * slices, work_of(geometry))
        self.add_up = sums.ColumnSums(parts, size, size, dtype, np.float64 if self.spilling else dtype)
        self.add_up_bias = sums.ColumnSums(parts, self.biases, self.biases, dtype, np.float64)
        self.order = Launch(_order, 1, 0)

    def __call__(self, x, dy, bias):
        """(dw, db): both flat, dw in the order of (C, size, R, S), db None without `bias`."""
        dtype, size, (channels, filters, lanes) = x.dtype, self.parts * self.size, self.sizes
        partial, total = empty(size, dtype), sums.room(size if self.spilling else 0)
        to = Sums(partial, total, empty(self.parts * self.biases, np.float64))
        memory = scratch(self.memory, dtype, self.launch.work)
        self.launch(Inputs(x, dy), to, memory, self.numbers, bool(bias))
        dw = empty(channels * filters, dtype)
        self.order(self.add_up(to.total if self.spilling else to.partial), dw, channels, filters, lanes)
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
def _order(block, slot, x, dw, channels, filters, lanes):
    """dw (C, size R S) from sums for vectors of channels, of which the last one has the last channels."""
    for k in range(channels):
        vector = k // lanes
        lane = k - max(0, min(vector * lanes, channels - lanes))
        for number in range(filters):
            dw[k * filters + number] = x[(vector * filters + number) * lanes + lane]


@inlined
def _row_of(inputs, at, g, line, plan, memory, copies):
    """The _Row whose pixels begin at x[at] and dy[g]. Where they have fewer channels than a vector, they are copied, to
    a whole vector each."""
    x, dy, c, lanes = inputs.x, inputs.dy, plan.channels, simd.lanes(inputs.x)
    if c >= lanes:
        return _Row(x, at, dy, g, c, line)
    gradients = copies + plan.under * plan.width * lanes
    for k in range(max(0, line), min(plan.height, line + plan.under)):
        copy_pixels(x, at + (k - line) * plan.width * c, plan.width, c, memory,
                    copies + (k - line) * plan.width * lanes)
    copy_pixels(dy, g, plan.out_width, c, memory, gradients)
    return _Row(memory, copies, memory, gradients, lanes, line)


@functools.cache
def _kernel(constants):
    count, step, _, size, groups = constants
    many, one = (simd.make_window_products(some, step, size, groups) for some in (count, 1))
    filters, all_groups = sum(map(len, groups)), len(groups)

    @inlined
    def add_windows(row, first, plan, to, start, n, memory, zeros):
        """Add what some windows of a _Row give, from number `first` on."""
        last, pixel, next_line = min(first + plan.wide, plan.out_width), row.pixel, plan.width * row.pixel
        done = first + (last - first) // count * count
        for v in range(first, done, count):
            column = v * step - plan.left
            for group in range(all_groups):
                many(row.x, row.at + column * pixel, pixel, next_line, row.line, plan.height, column, plan.width, group,
                     row.dy, row.g + v * pixel, pixel, to, start, n, memory, zeros)
        for v in range(done, last):
            column = v * step - plan.left
            for group in range(all_groups):
                one(row.x, row.at + column * pixel, pixel, next_line, row.line, plan.height, column, plan.width, group,
                    row.dy, row.g + v * pixel, pixel, to, start, n, memory, zeros)

    def add_products(block, slot, inputs, to, memory, numbers, biased):
        """One part of the rows of all images, and some vectors of channels."""
        plan, x, dy, lanes = named(_Plan, numbers), inputs.x, inputs.dy, simd.lanes(inputs.x)
        c, part, piece, zeros = plan.channels, block // plan.slices, block % plan.slices, slot * plan.memory
        begin, copies = piece * plan.vectors * lanes, zeros + (plan.vectors + 1) * lanes
        n = c - begin if piece == plan.slices - 1 else plan.vectors * lanes
        start, bias = part * plan.size + begin * filters, part * c + begin
        stop = start + (n + lanes - 1) // lanes * lanes * filters
        spans.clear(memory, zeros, copies)
        spans.clear(to.partial, start, stop)
        if to.total.size:
            spans.clear(to.total, start, stop)
        spans.clear(to.bias, bias, bias + n)
        last = (part + 1) * plan.rows // plan.parts
        for number in range(part * plan.rows // plan.parts, last):
            image, line = number // plan.out_height, number % plan.out_height * plan.step - plan.above
            at, g = (image * plan.height + line) * plan.width * c + begin, number * plan.out_width * c + begin
            if biased:
                sums.add_rows(to.bias, bias, dy, g, plan.out_width, c, n)
            if plan.large:
                fetch_pixels(dy, g + plan.out_width * c, plan.out_width, c, n)
                new = line + plan.under     # lines that the next row is the first to read
                for k in range(max(0, new), min(plan.height, new + plan.step)):
                    fetch_pixels(x, at + (k - line) * plan.width * c, plan.width, c, n)
            row = _row_of(inputs, at, g, line, plan, memory, copies)
            for first in range(0, plan.out_width, plan.wide):
                add_windows(row, first, plan, to.partial, start, max(n, lanes), memory, zeros)
                if to.total.size and (last - 1 - number) % plan.together == 0:
                    sums.spill(to.partial, to.total, start, stop)

    add_products.__qualname__ = f"add_products_{count}_{step}_{size}_{hash_of(groups)}"
    return jit(add_products)
