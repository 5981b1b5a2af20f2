"""Max-unpooling: numbers go back to the places where the largest pixels stood, and the way back from there.

Places are numbers h W + w within an image, int64 or, exact as well, floating-point. Forward a block is an image, or,
where there are few of them, some of its channels: any pixel of it may be written. Backward a block is a row of what is
written, as usual.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes, windows
from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import empty, empty_images, flat, inlined, jit, launch, scratch

# Channels of a block: a cache line of float32 numbers; and how many images are enough for blocks of all channels.
_SOME, _MANY = 16, 4
# Numbers of y that are put together in the second cache.
_ROOM = 1 << 15


class _Maps(NamedTuple):
    """Pixels of a small image, and of a row of it, pixels of the image that it is spread over, their channels, and how
    many of these are in a block."""

    small: int
    row: int
    large: int
    channels: int
    some: int


def maxunpool2d_forward(x, indices, output_size):
    """y[n, c, h, w] is x[n, c, p, q] where h W + w is indices[n, c, p, q], and 0 elsewhere."""
    x, indices = checks.floating(x, "x"), windows.places(indices)
    n, c, h, w = shapes.maxunpool2d_forward(x, indices, output_size).shape
    some = c if n >= _MANY else min(_SOME, c)
    blocks = n * -(-c // some)
    y, outside = empty_images(n, c, h, w, x.dtype), empty(blocks, np.int64)
    maps = _Maps(x.shape[2] * x.shape[3], x.shape[3], h * w, c, some)
    memory = scratch(_ROOM, x.dtype, y.size)
    launch(_scatter, blocks, flat(x), flat(indices), flat(y), outside, memory, maps, work=y.size)
    if outside.any():
        windows.refuse_outside(indices, (h, w))
    return y


def maxunpool2d_backward(dy, indices):
    """dx[n, c, p, q] is dy[n, c, h, w] where h W + w is indices[n, c, p, q]."""
    dy, indices = checks.floating(dy, "dy"), windows.places(indices)
    n, c, p, q = shapes.maxunpool2d_backward(dy, indices).shape
    dx = empty_images(n, c, p, q, dy.dtype)
    maps = _Maps(p * q, q, dy.shape[2] * dy.shape[3], c, c)
    launch(_gather, n * p, flat(dy), flat(indices), flat(dx), maps, work=dx.size)
    return dx


@jit
def _scatter(block, slot, x, indices, y, outside, memory, maps):
    """`outside` tells of each block how many places lie outside of the image; nothing is written there. Places mostly
    rise from row to row of x. A row whose places all lie behind those of the rows before is put together in scratch
    memory, and goes on to y as a whole."""
    c, blocks = maps.channels, (maps.channels + maps.some - 1) // maps.some
    image, first = block // blocks, block % blocks * maps.some
    n, aside, far = min(maps.some, c - first), slot * _ROOM, spans.is_far(y)
    to, missed, done = image * maps.large * c + first, 0, 0
    for row in range(0, maps.small, maps.row):
        source, pixels = (image * maps.small + row) * c + first, min(maps.row, maps.small - row)
        low, high = _reach(indices, source, pixels, c, n, maps.large)
        if low >= done and n == c and (high - low + 1) * c <= _ROOM:
            size = (high - low + 1) * c
            _clear(y, to, done, low, c, n, far)
            spans.clear(memory, aside, aside + size)
            _scatter_row(x, indices, memory, source, pixels, aside - low * c, c, n)
            for i in range(0, size, simd.lanes(y)):
                spans.put(y, to + low * c + i, simd.load_part(memory, aside + i, size - i), size - i, far)
            done = high + 1
        elif low >= 0:
            _clear(y, to, done, high + 1, c, n, False)
            _scatter_row(x, indices, y, source, pixels, to, c, n)
            done = max(done, high + 1)
        else:
            _clear(y, to, done, maps.large, c, n, False)
            missed += _scatter_some(x, indices, y, source, pixels, to, n, maps)
            done = maps.large
    _clear(y, to, done, maps.large, c, n, far)
    outside[block] = missed


@jit
def _reach(indices, start, pixels, c, n, large):
    """The lowest and the highest of the places of n channels of some pixels, or -1 twice where any of them is the
    number of no pixel."""
    low, high, good = np.int64(large), np.int64(0), True
    for at in range(start, start + pixels * c, c):
        for i in range(n):
            place = indices[np.uint64(at + i)]
            number = np.int64(place)
            good &= number == place
            low, high = number if number < low else low, number if number > high else high
    return (low, high) if good and low >= 0 and high < large else (np.int64(-1), np.int64(-1))


@jit
def _scatter_row(x, indices, y, start, pixels, to, c, n):
    """The numbers of n channels of some pixels, all of whose places are in the image, which begins at y[to]."""
    for at in range(start, start + pixels * c, c):
        for i in range(n):
            y[np.uint64(to + i + np.int64(indices[np.uint64(at + i)]) * c)] = x[np.uint64(at + i)]


@jit
def _scatter_some(x, indices, y, start, pixels, to, n, maps):
    """The numbers of those places that are in the image; returns how many are not."""
    missed, c, large = 0, maps.channels, maps.large
    for at in range(start, start + pixels * c, c):
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


@jit
def _gather(block, slot, dy, indices, dx, maps):
    """One row of dx."""
    c, large = np.uint64(maps.channels), np.uint64(maps.large)
    start = np.uint64(block * maps.row // maps.small) * large * c
    for pixel in range(block * maps.row, (block + 1) * maps.row):
        here = np.uint64(pixel) * c
        for i in range(maps.channels):
            at = here + np.uint64(i)
            place = np.uint64(max(indices[at], 0))
            inside = 0 <= indices[at] and place < large
            dx[at] = dy[start + place * c + np.uint64(i)] if inside else 0
