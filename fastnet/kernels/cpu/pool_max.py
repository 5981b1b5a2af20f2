"""The largest pixel of each window, and the way back. How the work is cut is told in `pool`.

The backward pass goes by the pixels of x and asks each window over them, so that overlapping windows need no atomic
addition.
"""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels import windows as rules
from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.pool_windows import Over, Window, adaptive, overlap, pixels_nearest, sliding, tap, whole
from fastnet.kernels.cpu.runtime import Launch, empty_images, entry, flat, inlined, jit, kept, planned


def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), dilation=(1, 1), ceil_mode=False, relu=False):
    """(y, index): the largest pixel of each window and its place in it. With relu=True y is that of a ReLU, and index
    says "no gradient" (its dtype's maximum) where y is 0."""
    x = checks.floating(x, "x")
    return _forward(x, planned(_plan, (x,), kernel_size, stride, padding, dilation, ceil_mode), relu)


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    """dx: every dy[n, c, p, q] goes to the pixel that won its window."""
    dy = checks.floating(dy, "dy")
    x = shapes.Kind(tuple(x_shape), dy.dtype)
    pool = planned(_plan, (x,), kernel_size, stride, padding, dilation, ceil_mode)
    if getattr(index, "dtype", None) != pool.index or not index.shape == dy.shape == pool.y_shape:
        shapes.maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding, dilation, ceil_mode)    # raises
    return _backward(dy, index, pool)


def maxpool2d_indices(index, x_shape, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    """The places h W + w of those pixels in their images."""
    y = shapes.maxpool2d_indices(index, x_shape, kernel_size, stride, padding, dilation, ceil_mode)
    return _indices(index, _sliding(y.dtype, *map(tuple, (x_shape, y.shape, kernel_size, stride, padding, dilation))))


def adaptive_maxpool2d_forward(x, output_size, relu=False):
    """The same for as many windows as output_size has pixels, which hold all of the image."""
    x = checks.floating(x, "x")
    return _forward(x, _adaptive(x.dtype, x.shape, shapes.adaptive_maxpool2d_forward(x, output_size)[0].shape), relu)


def adaptive_maxpool2d_backward(dy, index, x_shape, output_size):
    """dx: every dy[n, c, p, q] goes to the pixel that won its window."""
    dy = checks.floating(dy, "dy")
    shapes.adaptive_maxpool2d_backward(dy, index, x_shape, output_size)
    return _backward(dy, index, _adaptive(dy.dtype, tuple(x_shape), dy.shape))


def adaptive_maxpool2d_indices(index, x_shape, output_size):
    """The places h W + w of those pixels in their images."""
    y = shapes.adaptive_maxpool2d_indices(index, x_shape, output_size)
    return _indices(index, _adaptive(y.dtype, tuple(x_shape), y.shape))


class Steps(NamedTuple):
    """How far it is from a tap to the one below and to the next one, and how many there are in a row."""

    down: int
    across: int
    kernel: int


class _MaxPool:
    """Pooling of images of one shape, all worked out but the numbers."""

    def __init__(self, dtype, x_shape, y_shape, windows):
        n, down, across = x_shape[0], windows.down, windows.across
        self.x_shape, self.y_shape, self.windows = x_shape, y_shape, windows
        self.index = np.dtype(rules.pool_index_dtype((down.kernel, across.kernel)))
        self.nowhere = int(np.iinfo(self.index).max)
        work = prod(x_shape) // 4   # little is done for each number
        pairs = (down.kernel, across.kernel) == (2, 2) and down.dilation == across.dilation == 1 \
            and whole(down) and whole(across)
        self.forward = Launch(_max_forward_2x2 if pairs else _max_forward, n * down.windows, work)
        apart = not overlap(down) and not overlap(across)
        side_by_side = pairs and apart and down.pixels == 2 * down.windows and across.pixels == 2 * across.windows
        if side_by_side and x_shape[1] % simd.width(dtype) == 0:
            self.backward = Launch(_max_backward_2x2, n * down.windows, work)
        else:
            self.backward = Launch(*(_max_backward_apart, n * down.windows) if apart else
                                   (_max_backward, n * down.pixels), work)
        self.indices = Launch(_find_indices, n * down.windows, prod(y_shape))
        r, s = np.divmod(np.arange(down.kernel * across.kernel), across.kernel)
        self.offsets = r * down.dilation * across.pixels + s * across.dilation  # from the first tap to each


@kept
def _sliding(dtype, x_shape, y_shape, kernel_size, stride, padding, dilation):
    """Pooling with windows of one size; one for each dtype, because a Launch is for one."""
    return _MaxPool(dtype, x_shape, y_shape, sliding(x_shape, y_shape, kernel_size, stride, padding, dilation))


@kept
def _plan(kinds, options, types):
    """`_sliding` for what the checks let through."""
    x = shapes.Kind(*kinds[0])
    y = shapes.maxpool2d_forward(x, *options)[0]
    return _sliding(y.dtype, x.shape, y.shape, *map(tuple, options[:4]))


@kept
def _adaptive(dtype, x_shape, y_shape):
    """Adaptive pooling, likewise."""
    return _MaxPool(dtype, x_shape, y_shape, adaptive(x_shape, y_shape))


def _forward(x, pool, relu):
    y, index = empty_images(*pool.y_shape, x.dtype), empty_images(*pool.y_shape, pool.index)
    pool.forward(flat(x), flat(y), flat(index), pool.windows, bool(relu), pool.nowhere)
    return y, index


def _backward(dy, index, pool):
    dx = empty_images(*pool.x_shape, dy.dtype)
    pool.backward(flat(dy), flat(index), flat(dx), pool.windows)
    return dx


def _indices(index, pool):
    y = empty_images(*pool.y_shape, np.int64)
    pool.indices(flat(index), flat(y), pool.offsets, pool.windows)
    return y


@jit
def _max_forward(block, slot, x, y, index, windows, relu, nowhere):
    c, down, across, lanes = windows.channels, windows.down, windows.across, simd.lanes(x)
    image, row, ending = block // down.windows, block % down.windows, c % lanes == 0
    step_down, step_across = down.dilation * across.pixels * c, across.dilation * c
    line = entry(Window, down.table, row)
    rows, steps = line.stop - line.first, Steps(step_down, step_across, across.kernel)
    top = image * down.pixels + line.start + line.first * down.dilation
    common = ending and rows == 3 and down.kernel == 3 and across.kernel == 3
    for column in range(across.windows):
        place = entry(Window, across.table, column)
        columns = place.stop - place.first
        first = (top * across.pixels + place.start) * c + place.first * step_across
        to = (block * across.windows + column) * c
        start = line.first * across.kernel + place.first
        if common and columns == 3:     # the loops are unrolled, and ask nothing
            for i in range(0, c, lanes):
                best, won = _scan(x, first + i, lanes, 0, 3, 3, Steps(step_down, step_across, 3))
                keep(y, index, to + i, best, won, lanes, relu, nowhere)
            continue
        if c % (2 * lanes) == 0:
            for i in range(0, c, 2 * lanes):
                best, won, other, other_won = _scan_two(x, first + i, start, rows, columns, steps)
                keep(y, index, to + i, best, won, lanes, relu, nowhere)
                keep(y, index, to + i + lanes, other, other_won, lanes, relu, nowhere)
            continue
        if ending:
            for i in range(0, c, lanes):
                best, won = _scan(x, first + i, lanes, start, rows, columns, steps)
                keep(y, index, to + i, best, won, lanes, relu, nowhere)
            continue
        last = first + (rows - 1) * step_down + (columns - 1) * step_across
        for i in range(0, c, lanes):
            room = x.size - last - i  # behind the last pixel, and so behind all: LLVM then asks once
            best, won = _scan(x, first + i, room, start, rows, columns, steps)
            keep(y, index, to + i, best, won, (block + 1) * across.windows * c - to - i, relu, nowhere)


@inlined
def _scan(x, at, room, start, rows, columns, steps):
    """The largest pixels of a window, as a vector, and the places in the window where they stand; it starts at x[at],
    under tap number `start`. The sum of all pixels tells whether one is NaN, which takes more than one comparison."""
    best, won, all_ = simd.load_part(x, at, room), simd.full(x, start), simd.full(x, 0)
    for r in range(rows):
        for s in range(columns):
            value = simd.load_part(x, at + r * steps.down + s * steps.across, room)
            won = simd.above(value, best, simd.full(x, start + r * steps.kernel + s), won)
            best = simd.above(value, best, value, best)
            all_ = all_ + value
    if simd.has_nan(all_):
        best, won = _scan_carefully(x, at, room, start, rows, columns, steps)
    return best, won


@inlined
def _scan_two(x, at, start, rows, columns, steps):
    """`_scan` for two vectors that lie side by side: neither waits for the other, and large windows take half the
    time."""
    lanes = simd.lanes(x)
    best, won, other, other_won = simd.load(x, at), simd.full(x, start), simd.load(x, at + lanes), simd.full(x, start)
    all_ = other_all = simd.full(x, 0)
    for r in range(rows):
        for s in range(columns):
            here, place = at + r * steps.down + s * steps.across, simd.full(x, start + r * steps.kernel + s)
            value, beside = simd.load(x, here), simd.load(x, here + lanes)
            won, other_won = simd.above(value, best, place, won), simd.above(beside, other, place, other_won)
            best, other = simd.above(value, best, value, best), simd.above(beside, other, beside, other)
            all_, other_all = all_ + value, other_all + beside
    if simd.has_nan(all_ + other_all):
        best, won = _scan_carefully(x, at, lanes, start, rows, columns, steps)
        other, other_won = _scan_carefully(x, at + lanes, lanes, start, rows, columns, steps)
    return best, won, other, other_won


@jit
def _scan_carefully(x, at, room, start, rows, columns, steps):
    """`_scan` where there may be NaN, which is larger than all, or infinities of both signs."""
    best, won = simd.load_part(x, at, room), simd.full(x, start)
    for r in range(rows):
        for s in range(columns):
            value = simd.load_part(x, at + r * steps.down + s * steps.across, room)
            won = simd.pick(value, best, simd.full(x, start + r * steps.kernel + s), won)
            best = simd.pick(value, best, value, best)
    return best, won


@jit
def _max_forward_2x2(block, slot, x, y, index, windows, relu, nowhere):
    """The commonest windows, without padding: the loop over one is unrolled, and takes half the time."""
    c, down, across, lanes = windows.channels, windows.down, windows.across, simd.lanes(x)
    image, row, steps = block // down.windows, block % down.windows, Steps(across.pixels * c, c, 2)
    top = image * down.pixels + entry(Window, down.table, row).start
    for column in range(across.windows):
        first = (top * across.pixels + entry(Window, across.table, column).start) * c
        to = (block * across.windows + column) * c
        if c % (2 * lanes) == 0:
            for i in range(0, c, 2 * lanes):
                best, won, other, other_won = _scan_two(x, first + i, 0, 2, 2, steps)
                keep(y, index, to + i, best, won, lanes, relu, nowhere)
                keep(y, index, to + i + lanes, other, other_won, lanes, relu, nowhere)
            continue
        for i in range(0, c // lanes * lanes, lanes):
            best, won = _scan(x, first + i, lanes, 0, 2, 2, steps)
            keep(y, index, to + i, best, won, lanes, relu, nowhere)
        for i in range(c // lanes * lanes, c, lanes):
            best, won = _scan(x, first + i, x.size - first - steps.down - c - i, 0, 2, 2, steps)
            keep(y, index, to + i, best, won, (block + 1) * across.windows * c - to - i, relu, nowhere)


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
    """Windows that overlap: a row of x asks every window over each of its pixels. Where these are many, what a pixel
    gets is added up line by line of windows, so that rounding grows with the windows' side only."""
    c, down, across, lanes = windows.channels, windows.down, windows.across, simd.lanes(dx)
    image, row = block // down.pixels, block % down.pixels
    lines = entry(Over, down.over, row)
    some, far = lines.stop - lines.first, spans.is_far(dx)
    common, near = c % lanes == 0 and down.dilation == across.dilation == 1, some == 1
    for column in range(across.pixels):
        places = entry(Over, across.over, column)
        to, end = (block * across.pixels + column) * c, (block + 1) * across.pixels * c
        first = ((image * down.windows + lines.first) * across.windows + places.first) * c
        few = places.stop - places.first
        if common and 0 < some <= 2 and 0 < few <= 2:   # the loops are unrolled, and ask nothing
            r, s = tap(down, row, lines.first), tap(across, column, places.first)
            at, size = r * across.kernel + s, across.windows * c
            below, right = (tap(down, row, lines.first + some - 1) - r) * across.kernel, \
                tap(across, column, places.first + few - 1) - s
            if near and few == 1:
                _take(dy, index, dx, first, to, _Over(at, below, right, size, c, far), 1, 1)
            elif near:
                _take(dy, index, dx, first, to, _Over(at, below, right, size, c, far), 1, 2)
            elif few == 1:
                _take(dy, index, dx, first, to, _Over(at, below, right, size, c, far), 2, 1)
            else:
                _take(dy, index, dx, first, to, _Over(at, below, right, size, c, far), 2, 2)
            continue
        if some * few <= sums.CHAIN:
            spans.clear_within(dx, to, c, end)
            for line in range(lines.first, lines.stop):
                r = tap(down, row, line)
                for place in range(places.first, places.stop):
                    s = tap(across, column, place)
                    if r >= 0 and s >= 0:
                        source = ((image * down.windows + line) * across.windows + place) * c
                        _add(dy, index, dx, source, to, end, r * across.kernel + s, c)
            continue
        for i in range(0, c, lanes):
            total = simd.full(dx, 0)
            for line in range(lines.first, lines.stop):
                r, of_line = tap(down, row, line), simd.full(dx, 0)
                for place in range(places.first, places.stop):
                    source = ((image * down.windows + line) * across.windows + place) * c + i
                    s = tap(across, column, place)
                    here = r * across.kernel + s if r >= 0 and s >= 0 else -1
                    won = simd.load_index(index, source, dy.size - source, dx)
                    v = simd.matching(simd.load_part(dy, source, dy.size - source), won, simd.full(dx, here))
                    of_line = of_line + v
                total = total + of_line
            simd.store_part(dx, to + i, total, end - to - i)


@inlined
def _add(dy, index, dx, source, to, end, here, c):
    """Add to the c numbers of a pixel what a window has for it, if they won there."""
    for i in range(0, c, simd.lanes(dx)):
        won = simd.load_index(index, source + i, dy.size - source - i, dx)
        v = simd.matching(simd.load_part(dy, source + i, dy.size - source - i), won, simd.full(dx, here))
        simd.store_part(dx, to + i, simd.load_part(dx, to + i, end - to - i) + v, end - to - i)


class _Over(NamedTuple):
    """The windows over a pixel: which tap of the first one meets it, how many taps further the one `below` and the one
    to the `right` do, how far apart lines of windows are, and the channels; for `far` see `spans.put`."""

    at: int
    below: int
    right: int
    size: int
    c: int
    far: bool


@inlined
def _take(dy, index, dx, first, to, over, lines, places):
    """What a pixel gets of so many lines and places of windows, for c channels that fill vectors."""
    lanes, c = simd.lanes(dx), over.c
    for i in range(0, c, lanes):
        total = simd.full(dx, 0)
        for line in range(lines):
            for place in range(places):
                source = first + line * over.size + place * c + i
                here = simd.full(dx, over.at + line * over.below + place * over.right)
                won = simd.load_index(index, source, lanes, dx)
                total = total + simd.matching(simd.load(dy, source), won, here)
        spans.put(dx, to + i, total, lanes, over.far)


@jit
def _max_backward_apart(block, slot, dy, index, dx, windows):
    """Windows that do not overlap: a row of them writes the rows of the image down to the next one's."""
    c, down, across = windows.channels, windows.down, windows.across
    image, line, far = block // down.windows, block % down.windows, spans.is_far(dx)
    top, bottom = pixels_nearest(down, line)
    for row in range(top, bottom):
        r = row - entry(Window, down.table, line).start
        for place in range(across.windows):
            left, right = pixels_nearest(across, place)
            for column in range(left, right):
                s = column - entry(Window, across.table, place).start
                here = simd.full(dx, r * across.kernel + s if r < down.kernel and s < across.kernel else -1)
                to = ((image * down.pixels + row) * across.pixels + column) * c
                for i in range(0, c, simd.lanes(dx)):
                    source = (block * across.windows + place) * c + i
                    won = simd.load_index(index, source, dy.size - source, dx)
                    v = simd.matching(simd.load_part(dy, source, dy.size - source), won, here)
                    if far:     # nothing is written twice
                        simd.stream_part(dx, to + i, v, c - i)
                    else:
                        simd.store_part(dx, to + i, v, (across.pixels - column) * c - i)


@jit
def _max_backward_2x2(block, slot, dy, index, dx, windows):
    """Windows of 2 x 2 side by side, and channels that fill vectors: dx is written in the order in which it lies, which
    takes half the time of writing a window's four pixels at once."""
    c, across, lanes, far = windows.channels, windows.across, simd.lanes(dx), spans.is_far(dx)
    first, to = block * across.windows * c, 4 * block * across.windows * c
    for r in range(2):
        for source in range(first, first + across.windows * c, c):
            for s in range(2):
                here = simd.full(dx, 2 * r + s)
                for i in range(0, c, lanes):
                    won = simd.load_index(index, source + i, lanes, dx)
                    spans.put(dx, to + i, simd.matching(simd.load(dy, source + i), won, here), lanes, far)
                to += c


@jit
def _find_indices(block, slot, index, y, offsets, windows):
    """One row of windows. Unsigned places spare Numba the question whether they are negative."""
    c, down, across = windows.channels, windows.down, windows.across
    line = entry(Window, down.table, block % down.windows)
    for column in range(across.windows):
        start = line.start * across.pixels + entry(Window, across.table, column).start
        first = np.uint64((block * across.windows + column) * c)
        for i in range(c):
            place = np.uint64(index[first + np.uint64(i)])
            y[first + np.uint64(i)] = start + offsets[place] if place < np.uint64(offsets.size) else -1
