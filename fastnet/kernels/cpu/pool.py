"""Pooling: the largest pixel or the mean of each window, and the way back. All of it is bound by memory.

    N images, C channels, H W pixels of x, P Q windows, which are the pixels of y; images lie channels-last:
    x[n, c, h, w] is number ((n H + h) W + w) C + c in memory, so the channels of one pixel lie side by side.

A block is one row of the image that is written, and vectors run over the channels. A vector does not stop at the end of
its pixel: what it writes behind it belongs to the next pixels of the row and is written again, by them, and only the
row's end stops it. So few channels cost no masks:

    C = 3, vectors of 8:   aaabbbcc        the first pixel's vector; only aaa is right
                              bbbcccdd     the next one's, and so on

The backward passes go by the pixels of x and ask each window over them, so that overlapping windows need no atomic
addition.
"""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import Launch, empty_images, flat, jit, kept, launch, scratch


def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), relu=False):
    """(y, index): the largest pixel of each window and its place in it. With relu=True y is that of a ReLU, and index
    says "no gradient" (its dtype's maximum) where y is 0."""
    x = checks.floating(x, "x")
    shape = shapes.maxpool2d_forward(x, kernel_size, stride, padding)[0].shape
    pool = _pool(_MaxPool, x.dtype, *map(tuple, (x.shape, shape, kernel_size, stride, padding)))
    y, index = empty_images(*shape, x.dtype), empty_images(*shape, pool.index)
    pool.forward(flat(x), flat(y), flat(index), pool.windows, bool(relu), pool.nowhere)
    return y, index


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding):
    """dx: every dy[n, c, p, q] goes to the pixel that won its window."""
    dy = checks.floating(dy, "dy")
    shapes.maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding)
    pool = _pool(_MaxPool, dy.dtype, *map(tuple, (x_shape, dy.shape, kernel_size, stride, padding)))
    dx = empty_images(*x_shape, dy.dtype)
    pool.backward(flat(dy), flat(index), flat(dx), pool.windows)
    return dx


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True):
    """The sum over each window divided by R S or, with count_include_pad=False, by its pixels within the image."""
    x = checks.floating(x, "x")
    shape = shapes.avgpool2d_forward(x, kernel_size, stride, padding, count_include_pad).shape
    pool = _pool(_AveragePool, x.dtype, *map(tuple, (x.shape, shape, kernel_size, stride, padding)))
    y = empty_images(*shape, x.dtype)
    memory = scratch(x.shape[1], np.float64, pool.work, sums.PART)
    pool.forward(flat(x), flat(y), memory, pool.windows, bool(count_include_pad))
    return y


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True):
    """dx: every dy[n, c, p, q] is shared out equally among the pixels that were counted."""
    dy = checks.floating(dy, "dy")
    shapes.avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad)
    pool = _pool(_AveragePool, dy.dtype, *map(tuple, (x_shape, dy.shape, kernel_size, stride, padding)))
    dx = empty_images(*x_shape, dy.dtype)
    pool.backward(flat(dy), flat(dx), pool.windows, bool(count_include_pad))
    return dx


def global_avgpool_forward(x):
    """The mean of each channel's image: x (N, C, H, W), y (N, C, 1, 1)."""
    x = checks.floating(x, "x")
    y, (n, c, h, w) = empty_images(*shapes.global_avgpool_forward(x).shape, x.dtype), x.shape
    launch(_global_forward, n, flat(x), flat(y), scratch(c, np.float64, x.size, sums.PART), c, h * w, work=x.size)
    return y


def global_avgpool_backward(dy, x_shape):
    """dx[n, c, :, :] = dy[n, c] / (H W)."""
    dy = checks.floating(dy, "dy")
    n, c, h, w = shapes.global_avgpool_backward(dy, x_shape).shape
    dx = empty_images(n, c, h, w, dy.dtype)
    launch(_global_backward, n, flat(dy), flat(dx), c, h * w, work=dx.size)
    return dx


class Axis(NamedTuple):
    """The windows along one axis of an image: number i covers `kernel` pixels from i step - before on."""

    pixels: int
    windows: int
    kernel: int
    step: int
    before: int


class Windows(NamedTuple):
    """The windows over images of so many channels."""

    channels: int
    down: Axis
    across: Axis


class _Pool:
    """Pooling of images of one shape, all worked out but the numbers."""

    def __init__(self, x_shape, y_shape, kernel_size, stride, padding):
        self.work, (_, c, h, w), (_, _, p, q) = prod(x_shape), x_shape, y_shape
        self.windows = Windows(c, Axis(h, p, kernel_size[0], stride[0], padding[0]),
                               Axis(w, q, kernel_size[1], stride[1], padding[2]))


class _MaxPool(_Pool):
    def __init__(self, x_shape, y_shape, kernel_size, stride, padding):
        super().__init__(x_shape, y_shape, kernel_size, stride, padding)
        n, h, p = x_shape[0], x_shape[2], y_shape[2]
        self.work //= 4  # little is done for each number
        self.index = np.dtype(checks.pool_index_dtype(kernel_size))
        self.nowhere = int(np.iinfo(self.index).max)
        pairs = kernel_size == (2, 2) and not any(padding)
        self.forward = Launch(_max_forward_2x2 if pairs else _max_forward, n * p, self.work)
        apart = stride[0] >= kernel_size[0] and stride[1] >= kernel_size[1]
        self.backward = Launch(*(_max_backward_apart, n * p) if apart else (_max_backward, n * h), self.work)


class _AveragePool(_Pool):
    def __init__(self, x_shape, y_shape, kernel_size, stride, padding):
        super().__init__(x_shape, y_shape, kernel_size, stride, padding)
        self.forward = Launch(_average_forward, x_shape[0] * y_shape[2], self.work)
        self.backward = Launch(_average_backward, x_shape[0] * x_shape[2], self.work)


@kept
def _pool(kind, dtype, *shapes):
    """The _MaxPool or _AveragePool of these shapes; one for each dtype, because a Launch is for one."""
    return kind(*shapes)


# Which pixels a window covers, and which windows a pixel lies under

@jit
def _pixels_under(axis, window):
    """(first, last + 1) of the pixels within the image that a window covers."""
    start = window * axis.step - axis.before
    return max(0, start), min(axis.pixels, start + axis.kernel)


@jit
def _pixels_nearest(axis, window):
    """(first, last + 1) of the pixels from the start of a window to that of the next: the first and last windows take
    what is left at the edges."""
    start = window * axis.step - axis.before
    return max(0, start), start + axis.step if window < axis.windows - 1 else axis.pixels


@jit
def _windows_over(axis, pixel):
    """(first, last + 1) of the windows that cover a pixel."""
    reach = pixel + axis.before
    return max(0, (reach - axis.kernel) // axis.step + 1), min(axis.windows, reach // axis.step + 1)


# The largest pixel of each window

@jit
def _max_forward(block, slot, x, y, index, windows, relu, nowhere):
    c, down, across = windows.channels, windows.down, windows.across
    image, row = block // down.windows, block % down.windows
    top, bottom = _pixels_under(down, row)
    first_r = top - row * down.step + down.before  # the kernel's row that meets the first pixel
    for column in range(across.windows):
        left, right = _pixels_under(across, column)
        first_s = left - column * across.step + across.before
        first = ((image * down.pixels + top) * across.pixels + left) * c
        last = ((image * down.pixels + bottom - 1) * across.pixels + right - 1) * c
        for i in range(0, c, simd.lanes(x)):
            room = x.size - last - i  # behind the last pixel, and so behind all: LLVM then asks once
            best, place = simd.load_part(x, first + i, room), simd.full(x, first_r * across.kernel + first_s)
            for r in range(bottom - top):
                for s in range(right - left):
                    value = simd.load_part(x, first + (r * across.pixels + s) * c + i, room)
                    here = simd.full(x, (first_r + r) * across.kernel + first_s + s)
                    place = simd.pick(value, best, here, place)
                    best = simd.pick(value, best, value, best)
            to = (block * across.windows + column) * c + i
            keep(y, index, to, best, place, (block + 1) * across.windows * c - to, relu, nowhere)


@jit
def _max_forward_2x2(block, slot, x, y, index, windows, relu, nowhere):
    """The commonest windows, without padding: the loop over one is unrolled, and takes half the time."""
    c, down, across = windows.channels, windows.down, windows.across
    image, row = block // down.windows, block % down.windows
    for column in range(across.windows):
        first = ((image * down.pixels + row * down.step) * across.pixels + column * across.step) * c
        for i in range(0, c, simd.lanes(x)):
            room = x.size - first - (across.pixels + 1) * c - i
            best, place = simd.load_part(x, first + i, room), simd.full(x, 0)
            for k in range(1, 4):
                value = simd.load_part(x, first + (k // 2 * across.pixels + k % 2) * c + i, room)
                place = simd.pick(value, best, simd.full(x, k), place)
                best = simd.pick(value, best, value, best)
            to = (block * across.windows + column) * c + i
            keep(y, index, to, best, place, (block + 1) * across.windows * c - to, relu, nowhere)


@jit
def keep(y, index, to, best, place, n, relu, nowhere):
    """Write the largest of n windows, and its place in them."""
    if relu:
        # Where best is 0 or less no gradient passes, but where it is NaN; the numbers are small and exact.
        place = simd.positive(place - simd.full(y, nowhere), best) + simd.full(y, nowhere)
        best = simd.relu(best)
    simd.store_part(y, to, best, n)
    simd.store_index(index, to, place, n)


@jit
def _max_backward(block, slot, dy, index, dx, windows):
    """Windows that overlap: a row of x asks every window over each of its pixels. What a pixel gets is added up line by
    line of windows, so that rounding grows with the windows' side only."""
    c, down, across = windows.channels, windows.down, windows.across
    image, row = block // down.pixels, block % down.pixels
    first_line, last_line = _windows_over(down, row)
    for column in range(across.pixels):
        first_place, last_place = _windows_over(across, column)
        to = (block * across.pixels + column) * c
        for i in range(0, c, simd.lanes(dx)):
            total = simd.full(dx, 0)
            for line in range(first_line, last_line):
                of_line = simd.full(dx, 0)
                for place in range(first_place, last_place):
                    source = ((image * down.windows + line) * across.windows + place) * c + i
                    r = row + down.before - line * down.step
                    here = r * across.kernel + column + across.before - place * across.step
                    won = simd.load_index(index, source, dy.size - source, dx)
                    v = simd.load_part(dy, source, dy.size - source)
                    of_line = of_line + simd.matching(v, won, simd.full(dx, here))
                total = total + of_line
            simd.store_part(dx, to + i, total, (block + 1) * across.pixels * c - to - i)


@jit
def _max_backward_apart(block, slot, dy, index, dx, windows):
    """Windows that do not overlap: a row of them writes the rows of the image down to the next one's."""
    c, down, across = windows.channels, windows.down, windows.across
    image, line = block // down.windows, block % down.windows
    top, bottom = _pixels_nearest(down, line)
    for row in range(top, bottom):
        r = row + down.before - line * down.step
        for place in range(across.windows):
            left, right = _pixels_nearest(across, place)
            for column in range(left, right):
                s = column + across.before - place * across.step
                here = simd.full(dx, r * across.kernel + s if r < down.kernel and s < across.kernel else -1)
                to = ((image * down.pixels + row) * across.pixels + column) * c
                for i in range(0, c, simd.lanes(dx)):
                    source = (block * across.windows + place) * c + i
                    won = simd.load_index(index, source, dy.size - source, dx)
                    v = simd.matching(simd.load_part(dy, source, dy.size - source), won, here)
                    simd.store_part(dx, to + i, v, (across.pixels - column) * c - i)


# The mean of each window

@jit
def _average_forward(block, slot, x, y, memory, windows, count_all):
    c, down, across = windows.channels, windows.down, windows.across
    image, row = block // down.windows, block % down.windows
    top, bottom = _pixels_under(down, row)
    for column in range(across.windows):
        left, right = _pixels_under(across, column)
        seen = (bottom - top) * (right - left)
        counted = down.kernel * across.kernel if count_all else seen
        to, first = (block * across.windows + column) * c, image * down.pixels * across.pixels * c
        if seen > sums.CHAIN:
            spans.clear(memory, slot * c, (slot + 1) * c)
            for line in range(top, bottom):
                sums.add_rows(memory, slot * c, x, first + (line * across.pixels + left) * c, right - left, c, c)
            for i in range(0, c, simd.lanes(y)):
                total = simd.rounded(memory, slot * c + i, c - i, y)
                simd.store_part(y, to + i, total / simd.full(y, counted), c - i)
            continue
        for i in range(0, c, simd.lanes(x)):
            total = simd.full(x, 0)
            for line in range(top, bottom):
                for place in range(left, right):
                    source = first + (line * across.pixels + place) * c + i
                    total = total + simd.load_part(x, source, x.size - source)
            simd.store_part(y, to + i, total / simd.full(y, counted), (block + 1) * across.windows * c - to - i)


@jit
def _average_backward(block, slot, dy, dx, windows, count_all):
    """A row of x asks every window over each of its pixels, line by line as in `_max_backward`."""
    c, down, across = windows.channels, windows.down, windows.across
    image, row = block // down.pixels, block % down.pixels
    first_line, last_line = _windows_over(down, row)
    for column in range(across.pixels):
        first_place, last_place = _windows_over(across, column)
        to = (block * across.pixels + column) * c
        for i in range(0, c, simd.lanes(dx)):
            total = simd.full(dx, 0)
            for line in range(first_line, last_line):
                top, bottom = _pixels_under(down, line)
                of_line = simd.full(dx, 0)
                for place in range(first_place, last_place):
                    left, right = _pixels_under(across, place)
                    counted = down.kernel * across.kernel if count_all else (bottom - top) * (right - left)
                    source = ((image * down.windows + line) * across.windows + place) * c + i
                    of_line = of_line + simd.load_part(dy, source, dy.size - source) / simd.full(dx, counted)
                total = total + of_line
            simd.store_part(dx, to + i, total, (block + 1) * across.pixels * c - to - i)


@jit
def _global_forward(block, slot, x, y, memory, c, pixels):
    """One image: the sums of all channels in float64, then their means."""
    start = slot * c
    spans.clear(memory, start, start + c)
    sums.add_rows(memory, start, x, block * pixels * c, pixels, c, c)
    for i in range(0, c, simd.lanes(y)):
        total = simd.rounded(memory, start + i, c - i, y)
        simd.store_part(y, block * c + i, total / simd.full(y, pixels), c - i)


@jit
def _global_backward(block, slot, dy, dx, c, pixels):
    """One image."""
    for pixel in range(pixels):
        to = (block * pixels + pixel) * c
        for i in range(c):
            dx[to + i] = dy[block * c + i] / dx.dtype.type(pixels)
