"""Depthwise convolution, and others with few channels to a group: no matrix product, so vectors run over the channels.

A vector holds whole groups of channels, `size` channels each: one where a channel has a filter of its own, up to 8
where several groups share a vector. Filters lie as (size R S, C): a vector of them has for each output channel the
weight of one channel of its group under one tap.

A *window* is the pixels under the kernel for one pixel of the result. A block takes some rows of an image of the
result and some vectors of channels, one after the other. It first copies the pixels that its windows read, with zeros
around the image, so that no window is a special case:

    memory of a slot:   size R S vectors of filters     lines x columns vectors of pixels

Then it goes through several windows at once, which share the filters and most of their pixels (`simd.make_windows`).

The gradient for the input is the same with the images in other roles. With a stride its pixels fall into *classes*,
stride x stride of them, each reached by taps of its own; without one there is a single class, as in the forward pass.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv.geometry import Pair
from fastnet.kernels.cpu.conv.operands import Operands
from fastnet.kernels.cpu.runtime import Launch, empty, hash_of, in_words, inlined, jit, named, scratch

# The most bytes of copied pixels, the numbers of the result that a block takes where that makes so many blocks, and
# how many windows may be taken at a time. Taking 4 as well would save a tenth at widths of 4 and 12, and cost a second
# of compiling for each pass and stride.
_COPIED, _BLOCK, _BLOCKS = 1 << 16, 32_768, 8
_COUNTS = 8, 7
# Bytes of images that a cache may not hold.
_LARGE = 4 << 20
# Channels whose filters a block packs.
_PACKED = 32
# More channels to a group than this are left to register tiles.
MOST_CHANNELS = 8


class Windows(NamedTuple):
    """How the windows of images are cut into blocks. Row u of the result reads from line (u + shift) / apart step -
    above of its image on; the same across, where step and apart are constants."""

    height: int         # of what is read
    width: int
    channels: int
    out_height: int     # of the result
    out_width: int
    step: int
    apart: int
    shift: int
    shift_across: int
    above: int
    left: int           # the first copied column is so many before the first of the image
    rows: int           # of the result, that a block takes at most
    parts: int          # blocks that share the rows of an image
    vectors: int        # of channels, that a block takes at most
    slices: int         # blocks that share the channels
    lines: int          # of pixels that are copied for so many rows
    columns: int        # of pixels: the last windows may lie beyond the row
    filters: int        # vectors of them
    large: int          # whether the images do not fit the cache, so that what comes next is to be fetched
    memory: int         # numbers of a slot


class Constants(NamedTuple):
    """What kernels are compiled for; all but the classes across an image."""

    count: int          # of windows that are taken at a time
    step: int
    apart: int
    size: int           # channels of a group
    classes: tuple      # of pixels of the result: for each its taps, see `simd.python_windows`


def group_size(geometry):
    """How many channels the groups have, in and out, where whole groups fill a vector; else 0."""
    (k, size), groups = geometry.w_shape[:2], geometry.groups
    fits = groups > 1 and k == groups * size and size <= MOST_CHANNELS and simd.width(geometry.dtype) % size == 0
    return size if fits else 0


def _taps(geometry, offset, far, backward):
    """The taps of a class of pixels, those of the nearest line and column first."""
    (r, s), stride, dilation, size = geometry.kernel, geometry.stride, geometry.dilation, geometry.w_shape[1]
    taps = []
    for number, (row, column) in enumerate(np.ndindex(r, s)):
        place = Pair(row * dilation.down, column * dilation.across)
        if backward:
            place = Pair(place.down - offset[0], place.across - offset[1])
            if place.down % stride.down or place.across % stride.across:
                continue
            place = Pair(far.down - place.down // stride.down, far.across - place.across // stride.across)
            number = r * s - 1 - number     # filters are rotated: without a stride the kernel is that of a forward pass
        taps += [(place.down, place.across, channel, channel * r * s + number) for channel in range(size)]
    return tuple(sorted(taps, key=lambda tap: (tap[0], tap[2], tap[1])))


def cut(geometry, backward=False):
    """(Windows, Constants) of a convolution, or of its gradient for the input."""
    source, target = (geometry.target, geometry.source) if backward else (geometry.source, geometry.target)
    stride, kernel, padding, lanes = geometry.stride, geometry.kernel, geometry.padding, simd.width(geometry.dtype)
    span = Pair((kernel.down - 1) * geometry.dilation.down, (kernel.across - 1) * geometry.dilation.across)
    step, apart, shift, before = stride, Pair(1, 1), Pair(0, 0), Pair(padding.top, padding.left)
    if backward:
        step, apart, shift = apart, stride, Pair(padding.top, padding.left)
        span = before = Pair(span.down // stride.down, span.across // stride.across)
    across = -(-target.width // apart.across)
    count = min(_COUNTS, key=lambda count: -(-across // count) * count)
    columns = (apart.across > 1) + (-(-across // count) * count - 1) * step.across + span.across + 1

    def lines(rows):
        return (rows - 2 + apart.down) // apart.down * step.down + span.down + 1

    line, every = columns * lanes * geometry.dtype.itemsize, -(-source.channels // lanes)
    parts = next((parts for parts in range(1, target.height)
                  if lines(-(-target.height // parts)) * line <= _COPIED), target.height)
    rows = -(-target.height // parts)
    parts = -(-target.height // rows)
    vectors = max(1, min(_BLOCK // (rows * target.width * lanes), every * geometry.batch * parts // _BLOCKS, every))
    slices = -(-every // vectors)
    filters = geometry.w_shape[1] * kernel.down * kernel.across
    windows = Windows(
        height=source.height, width=source.width, channels=source.channels, out_height=target.height,
        out_width=target.width, step=step.down, apart=apart.down, shift=shift.down, shift_across=shift.across,
        above=before.down, left=before.across - shift.across // apart.across, rows=rows, parts=parts,
        vectors=-(-every // slices), slices=slices, lines=lines(rows), columns=columns, filters=filters,
        large=geometry.batch * (source.numbers + target.numbers) * geometry.dtype.itemsize > _LARGE,
        memory=(lines(rows) * columns + filters) * lanes)
    classes = tuple(_taps(geometry, offset, span, backward) for offset in np.ndindex(*apart))
    return windows, Constants(count, step.across, apart.across, geometry.w_shape[1], classes)


def work_of(geometry):
    """Products of a convolution."""
    return geometry.batch * geometry.target.numbers * int(np.prod(geometry.w_shape[1:]))


class DepthwiseConvolution:
    """y from x, or dx from dy, all worked out but the numbers."""

    def __init__(self, geometry, backward=False):
        windows, constants = cut(geometry, backward)
        self.numbers, self.memory = in_words(windows), windows.memory
        blocks = geometry.batch * windows.parts * windows.slices
        self.launch = Launch(_kernel(constants), blocks, work_of(geometry))

    def __call__(self, x, filters, bias, y, epilogue):
        memory = scratch(self.memory, x.dtype, self.launch.work)
        self.launch(Operands(x, filters, bias, y), memory, self.numbers, epilogue)


class PackFilters:
    """Filters (C, size, R, S) as a flat (size R S, C); for the gradient for the input rotated by half a circle, and
    with the channels of a group in exchanged roles."""

    def __init__(self, w_shape, backward=False):
        k, size, r, s = w_shape
        self.numbers = k, size, r * s, backward
        self.launch = Launch(_pack, -(-k // _PACKED), k * size * r * s)

    def __call__(self, w):
        packed = empty(w.size, w.dtype)
        self.launch(w.reshape(-1), packed, *self.numbers)
        return packed


@jit
def _pack(block, slot, w, packed, channels, size, taps, backward):
    """Pack the filters of some channels."""
    first, stop = block * _PACKED, min(channels, (block + 1) * _PACKED)
    for c in range(size):
        for tap in range(taps):
            to = (c * taps + tap) * channels
            if backward:
                for k in range(first, stop):
                    packed[to + k] = w[((k - k % size + c) * size + k % size + 1) * taps - 1 - tap]
            else:
                for k in range(first, stop):
                    packed[to + k] = w[(k * size + c) * taps + tap]


@inlined
def copy_pixels(x, memory, at, image, top, channel, plan, fresh):
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
def fetch_pixels(x, start, pixels, apart):
    """Ask for a vector of each of so many pixels, which will be read soon."""
    if start >= 0:
        for i in range(start, min(start + pixels * apart, x.size), apart):
            simd.prefetch(x, i)


@functools.cache
def _kernel(constants):
    count, step, apart, size, classes = constants
    windows = simd.make_windows(count, step, size, classes)

    def convolve(block, slot, operands, memory, numbers, epilogue):
        """Compute some rows of the result, and some vectors of channels."""
        plan, x, y, lanes = named(Windows, numbers), operands.x, operands.y, simd.lanes(operands.x)
        c, number, filters = plan.channels, block // plan.slices, slot * plan.memory
        image, first = number // plan.parts, number % plan.parts * plan.rows
        rows, line_size = min(plan.rows, plan.out_height - first), plan.columns * lanes
        first_line, pixels = (first + plan.shift) // plan.apart * plan.step, filters + plan.filters * lanes
        top, start = first_line - plan.above, (image * plan.out_height + first) * plan.out_width * c
        begin = block % plan.slices * plan.vectors * lanes
        end = min(c, begin + plan.vectors * lanes)
        for j in range(begin, end, lanes):
            n, bias = c - j, simd.load_part(operands.bias, j, c - j)
            for tap in range(plan.filters):
                simd.store(memory, filters + tap * lanes, simd.load_part(operands.filters, tap * c + j, n))
            copy_pixels(x, memory, pixels, image, top, j, plan, j == begin)
            # What comes next is fetched meanwhile: more channels of these rows, or the rows below.
            on, on_y = (lanes, lanes) if j + lanes < c else (
                rows * plan.step // plan.apart * plan.width * c - j, rows * plan.out_width * c - j)
            # Divisions would take as long as the windows of a short row, so places are counted on from row to row.
            line, down, fetched = 0, (first + plan.shift) % plan.apart, 0
            for row in range(rows):
                to = start + row * plan.out_width * c + j
                if plan.large:
                    fetch_pixels(y, to + on_y, plan.out_width, c)
                    while fetched * rows < (row + 1) * plan.lines:
                        if 0 <= top + fetched < plan.height:
                            at = (image * plan.height + top + fetched) * plan.width * c + j + on
                            fetch_pixels(x, at, plan.width, c)
                        fetched += 1
                for across in range(apart):
                    left = (across - plan.shift_across) % apart
                    at = pixels + line * line_size
                    at += ((left + plan.shift_across) // apart - plan.shift_across // apart) * step * lanes
                    for column in range(left, plan.out_width, count * apart):
                        windows(memory, at, line_size, down * apart + across, memory, filters, bias, y, to + column * c,
                                apart * c, (plan.out_width - column + apart - 1) // apart, n, epilogue)
                        at += count * step * lanes
                down += 1
                if down == plan.apart:
                    line, down = line + plan.step, 0
        for row in range(rows):
            if begin == 0 and end == c:
                to = start + row * plan.out_width * c
                spans.call_functions(y, to, to + plan.out_width * c, epilogue)
            elif spans.has_calls(epilogue):
                for column in range(plan.out_width):
                    to = start + (row * plan.out_width + column) * c
                    spans.call_functions(y, to + begin, to + end, epilogue)

    convolve.__qualname__ = f"convolve_{count}_{step}_{apart}_{size}_{hash_of(classes)}"
    return jit(convolve)
