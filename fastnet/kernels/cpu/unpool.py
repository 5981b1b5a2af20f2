"""Max-unpooling: numbers go back to the places where the largest pixels stood, and the way back from there.

Places are numbers h W + w within an image, int64 or, exact as well, floating-point. Forward a block is an image, or,
where there are few of them, some of its channels: any pixel of it may be written. Backward a block is a row of what is
written, as usual.

Where windows lie side by side, which is most often so, each pixel of the small image has a window of the large one for
itself:

    row p, column q of x        rows p down to p down + down - 1 of y, columns q across to q across + across - 1

Then vectors run over the channels, and each pixel of a window takes the number where its own place is asked for, else
0: y is written once, in order. A place outside of its pixel's window ends that, and numbers are taken one by one: as
behind windows that overlap, or that leave so many rows over that `down` is not their height.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes, windows
from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import empty, empty_images, flat, inlined, jit, launch, settle

# Channels of a block: a cache line of float32 numbers; and how many images are enough for blocks of all channels.
_SOME, _MANY = 16, 4
# Distances within a window that can be told apart as float32.
_NEAR = 1 << 24


class _Maps(NamedTuple):
    """Rows and columns of a small image, and of the large one that it is spread over, their channels, and how many of
    these are in a block."""

    rows: int
    columns: int
    height: int
    width: int
    channels: int
    some: int


class _Row(NamedTuple):
    """A row of a small image, as far as it is asked for: its first number, that of its large image, the first pixel of
    its windows there, how many channels, and whether what is written goes past the caches."""

    small: int
    large: int
    corner: int
    channels: int
    far: bool


def maxunpool2d_forward(x, indices, output_size):
    """y[n, c, h, w] is x[n, c, p, q] where h W + w is indices[n, c, p, q], and 0 elsewhere."""
    x, indices = checks.floating(x, "x"), windows.places(indices)
    n, c, h, w = shapes.maxunpool2d_forward(x, indices, output_size).shape
    some = c if n >= _MANY else min(_SOME, c)
    blocks = n * -(-c // some)
    y, outside = empty_images(n, c, h, w, x.dtype), empty(blocks, np.int64)
    maps = _Maps(*x.shape[2:], h, w, c, some)
    launch(_scatter, blocks, flat(x), flat(indices), flat(y), outside, maps, work=y.size)
    settle()
    if outside.any():
        windows.refuse_outside(indices, (h, w))
    return y


def maxunpool2d_backward(dy, indices):
    """dx[n, c, p, q] is dy[n, c, h, w] where h W + w is indices[n, c, p, q]."""
    dy, indices = checks.floating(dy, "dy"), windows.places(indices)
    n, c, p, q = shapes.maxunpool2d_backward(dy, indices).shape
    dx = empty_images(n, c, p, q, dy.dtype)
    maps = _Maps(p, q, *dy.shape[2:], c, c)
    launch(_gather, n * p, flat(dy), flat(indices), flat(dx), maps, work=dx.size)
    return dx


# Forward

@jit
def _scatter(block, slot, x, indices, y, outside, maps):
    """`outside` tells of each block how many places lie outside of the image; nothing is written there."""
    c, blocks = maps.channels, (maps.channels + maps.some - 1) // maps.some
    image, first = block // blocks, block % blocks * maps.some
    n, large = min(maps.some, c - first), maps.height * maps.width
    source, to = image * maps.rows * maps.columns * c + first, image * large * c + first
    outside[block] = 0
    if not _spread(x, indices, y, source, to, n, maps):
        _clear(y, to, 0, large, c, n, False)
        outside[block] = _scatter_one_by_one(x, indices, y, source, to, n, maps)


@jit
def _spread(x, indices, y, source, to, n, maps):
    """Write n channels of an image, which begin at x[source] and y[to], window by window. Whether all places were in
    their windows: if not, what was written is of no use."""
    c, down, across = maps.channels, maps.height // maps.rows, maps.width // maps.columns
    far = spans.is_far(y) and simd.lanes(y) * y.itemsize >= 64
    if not _has_windows(maps):
        return False
    for line in range(maps.rows):
        top = line * down * maps.width
        row = _Row(source + line * maps.columns * c, to, top, n, far)
        if down == across == 2:     # as most often: the loops over a window are unrolled
            missed = _spread_row(x, indices, y, row, maps, 2, 2)
        else:
            missed = _spread_row(x, indices, y, row, maps, down, across)
        if missed:
            return False
        for end in range(top + maps.width, top + (down + 1) * maps.width, maps.width):
            _clear(y, to, end - maps.width % maps.columns, end, c, n, far)
    _clear(y, to, maps.rows * down * maps.width, maps.height * maps.width, c, n, far)
    return True


@inlined
def _spread_row(x, indices, y, row, maps, down, across):
    """Write all of the windows of a row of x. Whether any place was not in its window."""
    missed, one, c = simd.full(y, 0), simd.full(y, 1), maps.channels
    for column in range(maps.columns):
        at, corner = row.small + column * c, row.corner + column * across
        for j in range(0, row.channels, simd.lanes(y)):
            n, found = row.channels - j, simd.full(y, 0)
            number, place = simd.load_part(x, at + j, n), simd.load_distances(indices, at + j, n, corner, y)
            for line in range(down):
                for pixel in range(across):
                    away = line * maps.width + pixel
                    here, to = simd.full(y, away), row.large + (corner + away) * c + j
                    found = found + simd.matching(one, place, here)
                    spans.put(y, to, simd.matching(number, place, here), n, row.far)
            missed = missed + (one - found)
    return simd.largest(missed) > 0


@inlined
def _has_windows(maps):
    """Whether the large image is large enough for windows side by side, and these are not too large."""
    down = maps.height // maps.rows
    return 0 < down * maps.width < _NEAR and maps.columns <= maps.width


@jit
def _scatter_one_by_one(x, indices, y, source, to, n, maps):
    """The numbers of those places that are in the image; returns how many are not."""
    missed, c, large = 0, maps.channels, maps.height * maps.width
    for at in range(source, source + maps.rows * maps.columns * c, c):
        for i in range(n):
            place = indices[np.uint64(at + i)]
            if _is_place(place, large):
                y[np.uint64(to + i) + np.uint64(place) * np.uint64(c)] = x[np.uint64(at + i)]
            else:
                missed += 1
    return missed


@inlined
def _is_place(place, large):
    """Whether an index, an integer or not, is the number of a pixel."""
    if not 0 <= place < large:
        return False
    return np.uint64(place) == place


@jit
def _clear(y, to, first, last, c, n, far):
    """Zeros for n channels of the pixels from `first` to `last` - 1."""
    rows, count = (1, (last - first) * c) if n == c else (last - first, n)
    for row in range(rows):
        at = to + (first + row) * c
        for i in range(0, count, simd.lanes(y)):
            spans.put(y, at + i, simd.full(y, 0), count - i, far)


# Backward

@jit
def _gather(block, slot, dy, indices, dx, maps):
    """One row of dx."""
    c, image, line = maps.channels, block // maps.rows, block % maps.rows
    down, across = maps.height // maps.rows, maps.width // maps.columns
    to, source, missed = block * maps.columns * c, image * maps.height * maps.width * c, True
    row = _Row(to, source, line * down * maps.width, c, False)
    if _has_windows(maps):
        if down == across == 2:
            missed = _gather_row(dy, indices, dx, row, maps, 2, 2)
        else:
            missed = _gather_row(dy, indices, dx, row, maps, down, across)
    if missed:
        _gather_one_by_one(dy, indices, dx, source, to, maps)


@inlined
def _gather_row(dy, indices, dx, row, maps, down, across):
    """A row of dx from its windows of dy. Whether any place was not in its window: then it is of no use."""
    missed, one, c = simd.full(dx, 0), simd.full(dx, 1), maps.channels
    for column in range(maps.columns):
        at, corner = row.small + column * c, row.corner + column * across
        for j in range(0, c, simd.lanes(dx)):
            n, number, found = c - j, simd.full(dx, 0), simd.full(dx, 0)
            place = simd.load_distances(indices, at + j, n, corner, dx)
            for line in range(down):
                for pixel in range(across):
                    away = line * maps.width + pixel
                    here, there = simd.full(dx, away), simd.load_part(dy, row.large + (corner + away) * c + j, n)
                    found = found + simd.matching(one, place, here)
                    number = number + simd.matching(there, place, here)
            missed = missed + (one - found)
            simd.store_part(dx, at + j, number, n)
    return simd.largest(missed) > 0


@jit
def _gather_one_by_one(dy, indices, dx, source, to, maps):
    """The same, from wherever the places are in the image."""
    c, large = np.uint64(maps.channels), np.uint64(maps.height * maps.width)
    for pixel in range(maps.columns):
        here = np.uint64(to) + np.uint64(pixel) * c
        for i in range(maps.channels):
            at = here + np.uint64(i)
            place = np.uint64(max(indices[at], 0))
            inside = 0 <= indices[at] and place < large
            dx[at] = dy[np.uint64(source) + place * c + np.uint64(i)] if inside else 0
