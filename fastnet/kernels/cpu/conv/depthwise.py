"""Depthwise convolution, and others with few channels to a group: no matrix product, so vectors run over the channels.

A vector holds whole groups of channels, `size` channels each: one where a channel has a filter of its own, up to 8
where several groups share a vector. A vector of filters has for each output channel the weight of one channel of its
group under one tap; those that belong to the same channels lie side by side.

A *window* is the pixels under the kernel for one pixel of the result. A block takes some rows of an image of the
result and some vectors of channels. It goes through several windows of a row at once, which share the filters and most
of their pixels (`simd.make_windows`), and with them through its vectors of channels, which lie side by side in memory;
what lies outside of the image is read from a row of zeros. Images of fewer channels than a vector has are first copied
to pixels of a whole vector.

The gradient for the input is the same with the images in other roles. With a stride its pixels fall into *classes*,
stride x stride of them, each reached by taps of its own; without one there is a single class, as in the forward pass.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv.geometry import Images, Pair
from fastnet.kernels.cpu.conv.operands import Operands, Y
from fastnet.kernels.cpu.runtime import Launch, Sweep, empty, hash_of, in_words, inlined, jit, named, scratch

# How many blocks there should be at least, the fewest rows and vectors of channels that images are cut to for that if
# either will do, and how many windows may be taken at a time. Taking 4 as well would save a tenth at widths of 4 and
# 12, and cost a second of compiling for each pass and stride.
BLOCKS = 8
_ROWS, _VECTORS = 8, 4
_COUNTS = 8, 7
# Of the first cache, how many bytes the lines under one row of windows may take: each of them is read again for the
# next row. Where that leaves fewer than _VECTORS, they stay in this share of the second cache.
_NEAR, _SHARE = 32 << 10, 0.5
# The most bytes of pixels that are copied where the channels are few.
_COPIED = 1 << 16
# Bytes of images that a cache may not hold; and bytes of results of which the blocks that share some rows make no more
# if they can, so that the second cache has them when a launch takes turns with these, see `runtime.pairs`.
LARGE, _PART = 4 << 20, 1 << 18
# More channels to a group than this are left to register tiles.
MOST_CHANNELS = 8


class Course(NamedTuple):
    """How windows go over the images `source` to make those of `target`: row u of the result reads from line
    (u + shift) / apart step - before of its image on; the same across. `span` is how far the last line and column under
    a window are from the first."""

    source: Images
    target: Images
    step: Pair
    apart: Pair
    shift: Pair
    before: Pair
    span: Pair

    @classmethod
    def of(cls, geometry, backward=False):
        """That of a convolution, or of its gradient for the input."""
        stride, kernel, dilation, padding = geometry.stride, geometry.kernel, geometry.dilation, geometry.padding
        span, one = Pair((kernel.down - 1) * dilation.down, (kernel.across - 1) * dilation.across), Pair(1, 1)
        shift = Pair(padding.top, padding.left)
        if not backward:
            return cls(geometry.source, geometry.target, stride, one, Pair(0, 0), shift, span)
        span = Pair(span.down // stride.down, span.across // stride.across)
        return cls(geometry.target, geometry.source, one, stride, shift, span, span)

    @property
    def count(self):
        """How many windows are taken at a time."""
        across = -(-self.target.width // self.apart.across)
        return min(_COUNTS, key=lambda count: -(-across // count) * count)

    def lines(self, rows):
        """How many lines so many rows of the result read."""
        return (rows - 2 + self.apart.down) // self.apart.down * self.step.down + self.span.down + 1


class Windows(NamedTuple):
    """How the windows of a `Course` are cut into blocks. Numbers across are constants where they are not here."""

    height: int         # of what is read
    width: int
    channels: int
    out_height: int     # of the result
    out_width: int
    step: int
    apart: int
    shift: int
    shift_across: int
    above: int          # lines before the first of an image that the first row reads
    left: int
    under: int          # lines under one row of windows
    rows: int           # of the result, that a block takes at most
    parts: int          # blocks that share the rows of an image
    vectors: int        # whole ones of channels, that a block takes at most; the last one takes what is left as well
    slices: int         # blocks that share the channels
    copied: int         # lines that a block copies, if channels are few
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


def constants_of(geometry, course, backward=False):
    """The Constants of a convolution, or of its gradient for the input."""
    classes = tuple(_taps(geometry, offset, course.span, backward) for offset in np.ndindex(*course.apart))
    return Constants(course.count, course.step.across, course.apart.across, geometry.w_shape[1], classes)


def share(channels, line, dtype):
    """(vectors, slices): how many whole vectors of channels a block takes, of each of which a row of windows reads
    `line` vectors, and how many blocks share the channels."""
    whole, line = channels // simd.width(dtype), line * simd.VECTOR_BYTES
    most = _NEAR // line if _NEAR // line >= _VECTORS else max(1, int(_SHARE * simd.CACHE_BYTES) // line)
    vectors = max(1, -(-whole // -(-whole // most))) if whole else 1
    return vectors, max(1, -(-whole // vectors))


def _cut(course, batch, dtype, blocks):
    """The Windows of so many images, for so many blocks at least if there can be."""
    source, target, lanes = course.source, course.target, simd.width(dtype)
    whole, wanted, under = source.channels // lanes, -(-blocks // batch), course.span.down + 1
    _, slices = share(source.channels, under * source.width, dtype)
    parts = min(max(1, target.height // _ROWS), -(-wanted // slices))
    slices = max(slices, min(whole // _VECTORS, -(-wanted // parts)))
    parts = min(target.height, max(parts, -(-wanted // slices)))
    parts = max(parts, min(target.height // _ROWS, target.numbers * dtype.itemsize // _PART))
    rows, vectors, copied = -(-target.height // parts), max(1, -(-whole // slices)), 0
    memory = 2 * (vectors + 1) * lanes      # zeros, and where sums go that nobody wants
    if not whole:
        rows = max(1, min(rows, _COPIED // (course.step.down * source.width * simd.VECTOR_BYTES)))
        copied = course.lines(rows)
        memory += (copied * source.width + target.width) * lanes
    return Windows(
        height=source.height, width=source.width, channels=source.channels, out_height=target.height,
        out_width=target.width, step=course.step.down, apart=course.apart.down, shift=course.shift.down,
        shift_across=course.shift.across, above=course.before.down, left=course.before.across, under=under, rows=rows,
        parts=-(-target.height // rows), vectors=vectors, slices=max(1, -(-whole // vectors)), copied=copied,
        large=batch * (source.numbers + target.numbers) * dtype.itemsize > LARGE, memory=memory)


def work_of(geometry):
    """Products of a convolution."""
    return geometry.batch * geometry.target.numbers * int(np.prod(geometry.w_shape[1:]))


class DepthwiseConvolution:
    """y from x, or dx from dy, all worked out but the numbers."""

    def __init__(self, geometry, backward=False, blocks=BLOCKS):
        course = Course.of(geometry, backward)
        windows = _cut(course, geometry.batch, geometry.dtype, blocks)
        self.numbers, self.memory = in_words(windows), windows.memory
        batch, (height, width, channels) = geometry.batch, course.target
        self.launch = Launch(_kernel(constants_of(geometry, course, backward)), batch * windows.parts * windows.slices,
                             work_of(geometry),
                             writes=Sweep.of_rows(Y, batch, height, width * channels, windows.rows, windows.parts))

    def __call__(self, x, filters, bias, y, epilogue):
        memory = scratch(self.memory, x.dtype, self.launch.work)
        self.launch(Operands(x, filters, bias, y), memory, self.numbers, epilogue)


class PackFilters:
    """Filters (C, size, R, S) as a flat (vectors of channels, size R S, a vector). The last of these is for the last
    channels, some of which are in the one before too, or has zeros behind them if they are few. For the gradient for
    the input filters are rotated by half a circle, and the channels of a group have exchanged roles."""

    def __init__(self, w_shape, dtype, backward=False):
        (k, size, r, s), lanes = w_shape, simd.width(dtype)
        vectors = -(-k // lanes)
        self.numbers, self.size = (k, size, r * s, backward), vectors * size * r * s * lanes
        self.launch = Launch(_pack, vectors, self.size)

    def __call__(self, w):
        packed = empty(self.size, w.dtype)
        self.launch(w.reshape(-1), packed, *self.numbers)
        return packed


@jit
def _pack(block, slot, w, packed, channels, size, taps, backward):
    """Pack the filters of one vector of channels."""
    lanes = simd.lanes(w)
    first = max(0, min(block * lanes, channels - lanes))
    stop = min(channels, first + lanes)
    for c in range(size):
        for tap in range(taps):
            to = ((block * size + c) * taps + tap) * lanes
            spans.clear(packed, to, to + lanes)
            if backward:
                for k in range(first, stop):
                    packed[to + k - first] = w[((k - k % size + c) * size + k % size + 1) * taps - 1 - tap]
            else:
                for k in range(first, stop):
                    packed[to + k - first] = w[(k * size + c) * taps + tap]


@inlined
def copy_pixels(x, start, pixels, channels, memory, to):
    """Copy pixels of fewer channels than a vector has to whole vectors."""
    for i in range(pixels):
        simd.store(memory, to + i * simd.lanes(x), simd.load_part(x, start + i * channels, channels))


@inlined
def fetch_pixels(x, start, pixels, apart, n):
    """Ask for n numbers of each of so many pixels, which will be read soon."""
    if start >= 0:
        for i in range(start, min(start + pixels * apart, x.size), apart):
            spans.fetch(x, i, i + n)


@inlined
def _finish_row(y, at, n, plan, epilogue):
    """What is left to do for n channels of a row of the result, which begins there."""
    if n == plan.channels:
        spans.apply_rest(y, at, plan.out_width * n, epilogue)
    elif epilogue.adding or epilogue.masked or spans.has_calls(epilogue):
        for i in range(plan.out_width):
            spans.apply_rest(y, at + i * plan.channels, n, epilogue)


@functools.cache
def _kernel(constants):
    count, step, apart, size, classes = constants
    windows, filters = simd.make_windows(count, step, size, classes), sum(map(len, classes))

    def convolve(block, slot, operands, memory, numbers, epilogue):
        """Compute some rows of the result, and some vectors of channels."""
        plan, x, y, lanes = named(Windows, numbers), operands.x, operands.y, simd.lanes(operands.x)
        c, now, zeros = plan.channels, not (epilogue.adding or epilogue.masked), slot * plan.memory
        spare, part, piece = zeros + (plan.vectors + 1) * lanes, block % plan.slices, block // plan.slices
        image, first, begin = piece // plan.parts, piece % plan.parts * plan.rows, part * plan.vectors * lanes
        n = c - begin if part == plan.slices - 1 else plan.vectors * lanes
        spans.clear(memory, zeros, spare)
        # Divisions would take as long as the windows of a short row, so places are counted on from row to row.
        line, down = (first + plan.shift) // plan.apart * plan.step - plan.above, (first + plan.shift) % plan.apart
        source, pixel, start = x, c, image * plan.height * plan.width * c + begin
        result = to = (image * plan.out_height + first) * plan.out_width * c + begin    # where the row begins
        target, out = y, c      # how far it is to the next pixel there
        if plan.copied:
            source, pixel, target, out, to = memory, lanes, memory, lanes, 2 * spare - zeros
            copies, top, stop = to + plan.out_width * lanes, max(0, line), min(plan.height, line + plan.copied)
            copy_pixels(x, start + top * plan.width * c, (stop - top) * plan.width, c, memory, copies)
            start = copies - top * plan.width * lanes
        for _ in range(min(plan.rows, plan.out_height - first)):
            new = line + plan.under     # lines that the next row is the first to read, up to `stop`
            stop = min(plan.height, new + plan.step) if down + 1 == plan.apart else 0
            for across in range(apart):
                left = (across - plan.shift_across) % apart
                column = (left + plan.shift_across) // apart * step - plan.left
                for v in range(left, plan.out_width, count * apart):
                    if plan.large and across == 0:  # fetch what is below these windows
                        below = result + (plan.out_width + v) * c
                        fetch_pixels(y, below, min(count * apart, plan.out_width - v), c, n)
                        for k in range(max(0, new), stop):
                            at = (image * plan.height + k) * plan.width + max(0, column)
                            fetch_pixels(x, at * c + begin, min(count * step, plan.width - column), c, n)
                    windows(source, start + (line * plan.width + column) * pixel, pixel, plan.width * pixel,
                            line, plan.height, column, plan.width, down * apart + across,
                            operands.filters, begin * filters, operands.bias, begin,
                            target, to + v * out, apart * out, (plan.out_width - v + apart - 1) // apart,
                            max(n, lanes), memory, zeros, spare, epilogue.bend, now)
                    column += count * step
            if plan.copied:
                for i in range(plan.out_width):
                    simd.store_part(y, result + i * c, simd.load(memory, to + i * lanes), c)
            else:
                to += plan.out_width * c
            _finish_row(y, result, n, plan, epilogue)
            result, down = result + plan.out_width * c, down + 1
            if down == plan.apart:
                line, down = line + plan.step, 0

    convolve.__qualname__ = f"convolve_{count}_{step}_{apart}_{size}_{hash_of(classes)}"
    return jit(convolve)
