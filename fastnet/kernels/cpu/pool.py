"""Pooling: the mean of each window, and the way back. All of pooling is bound by memory; `pool_max` has the largest.

    N images, C channels, H W pixels of x, P Q windows, which are the pixels of y; images lie channels-last:
    x[n, c, h, w] is number ((n H + h) W + w) C + c in memory, so the channels of one pixel lie side by side.

A block is one row of the image that is written, and vectors run over the channels. A vector does not stop at the end of
its pixel: what it writes behind it belongs to the next pixels of the row and is written again, by them, and only the
row's end stops it. So few channels cost no masks:

    C = 3, vectors of 8:   aaabbbcc        the first pixel's vector; only aaa is right
                              bbbcccdd     the next one's, and so on

Which pixels a window covers, and which windows a pixel lies under, stands in the tables of `pool_windows`. The backward
pass goes by the pixels of x and asks each window over them, so that overlapping windows need no atomic addition.
"""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.pool_windows import Over, Window, sliding
from fastnet.kernels.cpu.runtime import Launch, empty_images, entry, flat, inlined, jit, kept, scratch


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True, ceil_mode=False,
                      divisor_override=None):
    """The sum over each window divided by its pixels within the image and its padding, with count_include_pad=False by
    those within the image, or by divisor_override."""
    x = checks.floating(x, "x")
    shape = shapes.avgpool2d_forward(x, kernel_size, stride, padding, count_include_pad, ceil_mode,
                                     divisor_override).shape
    pool = _averages(x.dtype, bool(count_include_pad), *map(tuple, (x.shape, shape, kernel_size, stride, padding)))
    y = empty_images(*shape, x.dtype)
    memory = scratch(x.shape[1], np.float64, pool.work, sums.PART)
    pool.forward(flat(x), flat(y), memory, pool.windows, int(divisor_override or 0))
    return y


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True, ceil_mode=False,
                       divisor_override=None):
    """dx: every dy[n, c, p, q] is shared out equally among the pixels of its window."""
    dy = checks.floating(dy, "dy")
    shapes.avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad, ceil_mode, divisor_override)
    pool = _averages(dy.dtype, bool(count_include_pad), *map(tuple, (x_shape, dy.shape, kernel_size, stride, padding)))
    dx = empty_images(*x_shape, dy.dtype)
    pool.backward(flat(dy), flat(dx), pool.windows, int(divisor_override or 0))
    return dx


def global_avgpool_forward(x):
    """The mean of each channel's image: x (N, C, H, W), y (N, C, 1, 1)."""
    x = checks.floating(x, "x")
    shape = shapes.global_avgpool_forward(x).shape
    mean, y = _whole_images(x.dtype, x.shape), empty_images(*shape, x.dtype)
    mean.forward(flat(x), flat(y), scratch(mean.c, np.float64, x.size, sums.PART), mean.c, mean.pixels)
    return y


def global_avgpool_backward(dy, x_shape):
    """dx[n, c, :, :] = dy[n, c] / (H W)."""
    dy = checks.floating(dy, "dy")
    shape = shapes.global_avgpool_backward(dy, x_shape).shape
    mean, dx = _whole_images(dy.dtype, shape), empty_images(*shape, dy.dtype)
    mean.backward(flat(dy), flat(dx), mean.c, mean.pixels)
    return dx


class _WholeImages:
    """The means of whole images of one shape, all worked out but the numbers."""

    def __init__(self, shape):
        n, self.c, h, w = shape
        self.pixels = h * w
        self.forward, self.backward = (Launch(kernel, n, prod(shape)) for kernel in (_global_forward, _global_backward))


@kept
def _whole_images(dtype, shape):
    """The _WholeImages of this shape; one for each dtype, because a Launch is for one."""
    return _WholeImages(shape)


class _Averages:
    """Pooling of images of one shape, all worked out but the numbers."""

    def __init__(self, x_shape, y_shape, windows):
        self.work, self.windows = prod(x_shape), windows
        self.forward = Launch(_average_forward, x_shape[0] * windows.down.windows, self.work)
        self.backward = Launch(_average_backward, x_shape[0] * windows.down.pixels, self.work)


@kept
def _averages(dtype, count_padding, x_shape, y_shape, kernel_size, stride, padding):
    """The _Averages of these shapes; one for each dtype, because a Launch is for one."""
    return _Averages(x_shape, y_shape, sliding(x_shape, y_shape, kernel_size, stride, padding, (1, 1), count_padding))


@jit
def _average_forward(block, slot, x, y, memory, windows, divisor):
    """One row of windows; a divisor of 0 stands for how many pixels of a window count. Where vectors end with their
    pixels, the loops over common windows are unrolled, and ask nothing."""
    c, down, across, lanes = windows.channels, windows.down, windows.across, simd.lanes(x)
    image, row, ending, step = block // down.windows, block % down.windows, c % lanes == 0, across.pixels * c
    lines = entry(Window, down.table, row)
    rows, top = lines.stop - lines.first, image * down.pixels + lines.start + lines.first
    for column in range(across.windows):
        places = entry(Window, across.table, column)
        columns = places.stop - places.first
        counted = divisor if divisor else lines.counted * places.counted
        to, first = (block * across.windows + column) * c, (top * across.pixels + places.start + places.first) * c
        if rows * columns > sums.CHAIN:
            spans.clear(memory, slot * c, (slot + 1) * c)
            for line in range(rows):
                sums.add_long_rows(memory, slot * c, x, first + line * step, columns, c, c)
            for i in range(0, c, lanes):
                total = simd.rounded(memory, slot * c + i, c - i, y)
                simd.store_part(y, to + i, total / simd.full(y, counted), c - i)
        elif ending and rows == 2 and columns == 2:
            for i in range(0, c, lanes):
                simd.store(y, to + i, _total(x, first + i, lanes, 2, 2, step, c) / simd.full(y, counted))
        elif ending and rows == 3 and columns == 3:
            for i in range(0, c, lanes):
                simd.store(y, to + i, _total(x, first + i, lanes, 3, 3, step, c) / simd.full(y, counted))
        else:
            last = first + (rows - 1) * step + (columns - 1) * c
            for i in range(0, c, lanes):
                total = _total(x, first + i, x.size - last - i, rows, columns, step, c)
                simd.store_part(y, to + i, total / simd.full(y, counted), (block + 1) * across.windows * c - to - i)


@inlined
def _total(x, at, room, rows, columns, step, c):
    """The sums over a window that begins at x[at], as a vector."""
    total = simd.full(x, 0)
    for line in range(rows):
        for place in range(columns):
            total = total + simd.load_part(x, at + line * step + place * c, room)
    return total


class _Pixel(NamedTuple):
    """Where in dx the numbers of a pixel of x belong, and where in dy those of the windows over it are."""

    to: int         # its first number in dx
    end: int        # of the row in dx
    far: bool       # whether to write past the caches
    source: int     # the first window's numbers
    step: int       # from a line of windows to the next
    channels: int


@jit
def _average_backward(block, slot, dy, dx, windows, divisor):
    """A row of x asks every window over each of its pixels. Up to two by two of them, which is most often all, are
    added up in registers, some more in dx, and many line by line as in `pool_max`."""
    c, down, across = windows.channels, windows.down, windows.across
    image, row, far = block // down.pixels, block % down.pixels, spans.is_far(dx) and c % simd.lanes(dx) == 0
    lines, end = entry(Over, down.over, row), (block + 1) * across.pixels * c
    rows = lines.stop - lines.first
    for column in range(across.pixels):
        places, to = entry(Over, across.over, column), (block * across.pixels + column) * c
        columns = places.stop - places.first
        source = ((image * down.windows + lines.first) * across.windows + places.first) * c
        pixel = _Pixel(to, end, far, source, across.windows * c, c)
        if 1 <= rows <= 2 and 1 <= columns <= 2:
            shares = _shares(windows, lines, places, divisor)
            if rows == 1 and columns == 1:
                _take_few(dy, dx, pixel, shares, 1, 1)
            elif rows == 1:
                _take_few(dy, dx, pixel, shares, 1, 2)
            elif columns == 1:
                _take_few(dy, dx, pixel, shares, 2, 1)
            else:
                _take_few(dy, dx, pixel, shares, 2, 2)
        elif rows * columns <= sums.CHAIN:
            spans.clear_within(dx, to, c, end)
            for line in range(rows):
                for place in range(columns):
                    share = 1 / _counted(windows, lines.first + line, places.first + place, divisor)
                    _add_share(dy, dx, pixel, source + line * pixel.step + place * c, share)
        else:
            _take_many(dy, dx, pixel, windows, lines, places, divisor)


@inlined
def _counted(windows, line, place, divisor):
    """What a window's sum is divided by."""
    if divisor:
        return divisor
    return entry(Window, windows.down.table, line).counted * entry(Window, windows.across.table, place).counted


@inlined
def _shares(windows, lines, places, divisor):
    """What dy of each window over a pixel is multiplied by, where there are up to two by two: (left, right) of the
    first line, then of the last."""
    above, below, left, right = lines.first, lines.stop - 1, places.first, places.stop - 1
    return ((1 / _counted(windows, above, left, divisor), 1 / _counted(windows, above, right, divisor)),
            (1 / _counted(windows, below, left, divisor), 1 / _counted(windows, below, right, divisor)))


@inlined
def _take_few(dy, dx, pixel, shares, rows, columns):
    """dx of a pixel under `rows` by `columns` windows."""
    for i in range(0, pixel.channels, simd.lanes(dx)):
        total = simd.full(dx, 0)
        for line in range(rows):
            for place in range(columns):
                source = pixel.source + line * pixel.step + place * pixel.channels + i
                total = total + simd.full(dx, shares[line][place]) * simd.load_part(dy, source, dy.size - source)
        spans.put(dx, pixel.to + i, total, pixel.end - pixel.to - i, pixel.far)


@inlined
def _add_share(dy, dx, pixel, source, share):
    """Add its share of what arrives at a window to dx of a pixel."""
    for i in range(0, pixel.channels, simd.lanes(dx)):
        to, room = pixel.to + i, pixel.end - pixel.to - i
        v = simd.full(dx, share) * simd.load_part(dy, source + i, dy.size - source - i)
        simd.store_part(dx, to, v + simd.load_part(dx, to, room), room)


@inlined
def _take_many(dy, dx, pixel, windows, lines, places, divisor):
    """dx of a pixel under many windows."""
    for i in range(0, pixel.channels, simd.lanes(dx)):
        total = simd.full(dx, 0)
        for line in range(lines.first, lines.stop):
            of_line, start = simd.full(dx, 0), pixel.source + (line - lines.first) * pixel.step + i
            for place in range(places.first, places.stop):
                source = start + (place - places.first) * pixel.channels
                shared = simd.full(dx, _counted(windows, line, place, divisor))
                of_line = of_line + simd.load_part(dy, source, dy.size - source) / shared
            total = total + of_line
        simd.store_part(dx, pixel.to + i, total, pixel.end - pixel.to - i)


@jit
def _global_forward(block, slot, x, y, memory, c, pixels):
    """One image: the sums of all channels in float64, then their means."""
    start = slot * c
    spans.clear(memory, start, start + c)
    sums.add_long_rows(memory, start, x, block * pixels * c, pixels, c, c)
    for i in range(0, c, simd.lanes(y)):
        total = simd.rounded(memory, start + i, c - i, y)
        simd.store_part(y, block * c + i, total / simd.full(y, pixels), c - i)


@jit
def _global_backward(block, slot, dy, dx, c, pixels):
    """One image: its first pixel, which is then copied to the others while the cache has it."""
    start, stop, size, far = block * pixels * c, (block + 1) * pixels * c, simd.full(dx, pixels), spans.is_far(dx)
    for i in range(0, c, simd.lanes(dx)):
        simd.store_part(dx, start + i, simd.load_part(dy, block * c + i, c - i) / size, c - i)
    for at in range(start + c, stop, c):
        for i in range(0, c, simd.lanes(dx)):
            spans.put(dx, at + i, simd.load_part(dx, start + i, c - i), c - i, far)
