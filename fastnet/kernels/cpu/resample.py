"""Other pixels for an image: padded, enlarged, averaged, and all ways back, by one kernel.

What these have in common: every row of the result is a weighted sum of a few rows of x, and every pixel of that one of
a few of its pixels. Which, and with what weights, is told by tables, see `resample_tables`. The way back is the same
with other tables, so each block owns the row that it writes:

    y[n, c, p, q] = sum over the sources h of row p and w of column q of weight(p, h) weight(q, w) x[n, c, h, w]

A block is one row of y. Its sources are added up in scratch memory, unless there is but one, which is read where it is;
then its pixels are made of those of that row. Images lie channels-last, so vectors run over the channels of a pixel, or
over all pixels of a stretch with their channels. Like those of `pool` they do not stop at the end of their stretch.

Where more numbers are added up than float32 takes, see `sums`, another kernel adds them up in float64.
"""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.resample_tables import (
    Stretch,
    Tables,
    averaged,
    axis_of,
    between,
    longest,
    nailed,
    nearest,
    padded,
    transposed,
)
from fastnet.kernels.cpu.runtime import Launch, empty_images, entry, flat, in_words, inlined, jit, kept, named, scratch


def pad2d_forward(x, padding, mode="constant", value=0.0):
    """A margin around each image, filled as `mode` says; a negative padding takes away."""
    x = checks.floating(x, "x")
    shapes.pad2d_forward(x, padding, mode, value)
    return _padding(x.dtype, x.shape, tuple(padding), mode, False)(x, float(value))


def pad2d_backward(dy, x_shape, padding, mode="constant"):
    """dx: every pixel of dy is added to the pixel that its place was filled from, if that was one."""
    dy = checks.floating(dy, "dy")
    shapes.pad2d_backward(dy, x_shape, padding, mode)
    return _padding(dy.dtype, tuple(x_shape), tuple(padding), mode, True)(dy)


def upsample2d_forward(x, size, mode="nearest", align_corners=False, steps=None):
    """Images of that size, each pixel of them made of those nearest to it."""
    x = checks.floating(x, "x")
    shape = shapes.upsample2d_forward(x, size, mode, align_corners, steps).shape
    return _upsampling(x.dtype, x.shape, shape, mode, align_corners, steps and tuple(steps), False)(x)


def upsample2d_backward(dy, x_shape, mode="nearest", align_corners=False, steps=None):
    """dx: every pixel of dy is shared out among the pixels that it was made of, by their weights."""
    dy = checks.floating(dy, "dy")
    shapes.upsample2d_backward(dy, x_shape, mode, align_corners, steps)
    return _upsampling(dy.dtype, tuple(x_shape), dy.shape, mode, align_corners, steps and tuple(steps), True)(dy)


def adaptive_avgpool2d_forward(x, output_size):
    """y[p, q] is the mean of the rows floor(p H / P) to ceil((p + 1) H / P) of x, and of its columns likewise."""
    x = checks.floating(x, "x")
    return _averaging(x.dtype, x.shape, shapes.adaptive_avgpool2d_forward(x, output_size).shape, False)(x)


def adaptive_avgpool2d_backward(dy, x_shape):
    """dx: every pixel of dy is shared out equally among those that it is the mean of."""
    dy = checks.floating(dy, "dy")
    return _averaging(dy.dtype, shapes.adaptive_avgpool2d_backward(dy, x_shape).shape, dy.shape, True)(dy)


def bed_of_nails_forward(x, scale_factor):
    """y[p r, q s] = x[p, q], and 0 between them."""
    x = checks.floating(x, "x")
    shapes.bed_of_nails_forward(x, scale_factor)
    return _nailing(x.dtype, x.shape, tuple(scale_factor), False)(x)


def bed_of_nails_backward(dy, x_shape, scale_factor):
    """dx[p, q] = dy[p r, q s]."""
    dy = checks.floating(dy, "dy")
    shapes.bed_of_nails_backward(dy, x_shape, scale_factor)
    return _nailing(dy.dtype, tuple(x_shape), tuple(scale_factor), True)(dy)


@kept
def _padding(dtype, x_shape, padding, mode, back):
    (_, _, h, w), (top, bottom, left, right) = x_shape, padding
    return _Resampling(dtype, x_shape, padded(h, top, bottom, mode), padded(w, left, right, mode), back)


@kept
def _upsampling(dtype, x_shape, y_shape, mode, align_corners, steps, back):
    axes = zip(x_shape[2:], y_shape[2:], steps or (None, None), strict=True)
    maps = [nearest(*axis) if mode == "nearest" else between(*axis, align_corners) for axis in axes]
    return _Resampling(dtype, x_shape, *maps, back)


@kept
def _averaging(dtype, x_shape, y_shape, back):
    return _Resampling(dtype, x_shape, *map(averaged, x_shape[2:], y_shape[2:]), back)


@kept
def _nailing(dtype, x_shape, scale_factor, back):
    return _Resampling(dtype, x_shape, *map(nailed, x_shape[2:], scale_factor), back)


class _Plan(NamedTuple):
    channels: int
    height: int     # of what is read
    width: int
    rows: int       # of what is written
    columns: int
    stretches: int  # of columns
    room: int       # scratch memory of a slot: a row of what is read, and behind it a stretch of what is written


class _Resampling:
    """Rows and columns of images of `x_shape` made of others as two Maps say, or `back`; all but the numbers."""

    def __init__(self, dtype, x_shape, down, across, back):
        n, c, _, _ = x_shape
        if back:
            down, across = transposed(down), transposed(across)
        self.shape, self.dtype = (n, c, down.size, across.size), dtype
        rows = axis_of(down, across.length * c, dtype, joined=False)
        columns = axis_of(across, c, dtype, joined=True)
        long = dtype == np.float32 and longest(down) + longest(across) > sums.CHAIN
        self.sums_dtype = np.dtype(np.float64) if long else dtype
        stretches = columns.stretches.reshape(-1, len(Stretch._fields))
        self.room = (across.length + int(stretches[:, Stretch._fields.index("length")].max())) * c
        plan = _Plan(c, down.length, across.length, down.size, across.size, len(stretches), self.room)
        self.tables = Tables(rows, columns, in_words(plan))
        self.work = max(n * c * down.length * across.length, prod(self.shape))
        self.launch = Launch(_resample_long if long else _resample, n * down.size, self.work)

    def __call__(self, x, value=0.0):
        """`value` is written where there are no sources."""
        y = empty_images(*self.shape, self.dtype)
        memory = scratch(self.room, self.sums_dtype, self.work, sums.PART)
        self.launch(flat(x), flat(y), memory, value, self.tables)
        return y


@jit
def _resample(block, slot, x, y, memory, value, tables):
    plan, down, across = named(_Plan, tables.numbers), tables.down, tables.across
    c, row = plan.channels, entry(Stretch, down.stretches, block % plan.rows)
    length, image = plan.width * c, block // plan.rows * plan.height * plan.width * c
    to, stop = block * plan.columns * c, (block + 1) * plan.columns * c
    if row.count == 0:
        _fill(y, to, stop, value)
        return
    if row.copies:
        source, start = x, image + down.places[row.first]
    else:
        source, start = memory, slot * plan.room
        _add_up(memory, start, length, start + length, x, image, down, row)
    for i in range(plan.stretches):
        stretch = entry(Stretch, across.stretches, i)
        at = to + stretch.start * c
        if stretch.count == 0:
            _fill(y, at, at + stretch.length * c, value)
        else:
            _add_up(y, at, stretch.length * c, stop, source, start, across, stretch)


@inlined
def _add_up(y, to, n, stop, x, start, axis, stretch):
    """y[to : to + n] is the sum over the stretch's sources of weight x[start + place : + n]. What is written behind
    these n numbers, though not beyond `stop`, is written again by the stretches that follow."""
    first = stretch.first
    if stretch.copies:
        source = start + axis.places[first]
        for i in range(0, n, simd.lanes(x)):
            simd.store_part(y, to + i, simd.load_part(x, source + i, x.size - source - i), stop - to - i)
        return
    if stretch.count == 2:  # as most often where there are several
        one, other = start + axis.places[first], start + axis.places[first + 1]
        weight, rest = simd.full(x, axis.weights[first]), simd.full(x, axis.weights[first + 1])
        for i in range(0, n, simd.lanes(x)):
            room = x.size - max(one, other) - i
            total = weight * simd.load_part(x, one + i, room)
            total = simd.fma(rest, simd.load_part(x, other + i, room), total)
            simd.store_part(y, to + i, total, stop - to - i)
        return
    for i in range(0, n, simd.lanes(x)):
        total = simd.full(x, 0)
        for k in range(first, first + stretch.count):
            source = start + axis.places[k] + i
            v = simd.load_part(x, source, x.size - source)
            total = simd.fma(simd.full(x, axis.weights[k]), v, total)
        simd.store_part(y, to + i, total, stop - to - i)


@jit
def _resample_long(block, slot, x, y, memory, value, tables):
    """The same for many sources, for float32: chains of them are added up in float64."""
    plan, down, across = named(_Plan, tables.numbers), tables.down, tables.across
    c, row = plan.channels, entry(Stretch, down.stretches, block % plan.rows)
    length, image = plan.width * c, block // plan.rows * plan.height * plan.width * c
    to, start = block * plan.columns * c, slot * plan.room
    if row.count == 0:
        _fill(y, to, to + plan.columns * c, value)
        return
    spans.clear(memory, start, start + length)
    for i in range(0, length, simd.lanes(x)):
        for first in range(row.first, row.first + row.count, sums.CHAIN):
            total = simd.full(x, 0)
            for k in range(first, min(first + sums.CHAIN, row.first + row.count)):
                v = simd.load_part(x, image + down.places[k] + i, length - i)
                total = simd.fma(simd.full(x, down.weights[k]), v, total)
            simd.accumulate(memory, start + i, total, length - i)
    made = start + length
    for i in range(plan.stretches):
        stretch = entry(Stretch, across.stretches, i)
        at, n = to + stretch.start * c, stretch.length * c
        if stretch.count == 0:
            _fill(y, at, at + n, value)
            continue
        for j in range(0, n, simd.lanes(memory)):
            total = simd.full(memory, 0)
            for k in range(stretch.first, stretch.first + stretch.count):
                v = simd.load_part(memory, start + across.places[k] + j, n - j)
                total = simd.fma(simd.full(memory, across.weights[k]), v, total)
            simd.store_part(memory, made + j, total, n - j)
        for j in range(0, n, simd.lanes(y)):
            simd.store_part(y, at + j, simd.rounded(memory, made + j, n - j, y), n - j)


@inlined
def _fill(y, start, stop, value):
    """y[start : stop] = value."""
    for i in range(start, stop, simd.lanes(y)):
        simd.store_part(y, i, simd.full(y, value), stop - i)
