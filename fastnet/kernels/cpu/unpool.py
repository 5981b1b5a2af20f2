"""Max-unpooling: numbers go back to the places where the largest pixels stood, and the way back from there.

Places are numbers h W + w within an image, int64 or, exact as well, floating-point. Forward a block is an image, or,
where there are few of them, some of its channels: any pixel of it may be written. Backward a block is a row of what is
written, as usual.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes, windows
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import empty, empty_images, flat, inlined, jit, launch

# Channels of a block: a cache line of float32 numbers; and how many images are enough for blocks of all channels.
_SOME, _MANY = 16, 4
# Pixels that are cleared ahead of the one that asks for it.
_AHEAD = 64


class _Maps(NamedTuple):
    """Pixels of a small image, of the one that it is spread over, their channels, and how many are in a block."""

    small: int
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
    maps = _Maps(x.shape[2] * x.shape[3], h * w, c, some)
    launch(_scatter, blocks, flat(x), flat(indices), flat(y), outside, maps, work=y.size)
    if outside.any():
        windows.refuse_outside(indices, (h, w))
    return y


def maxunpool2d_backward(dy, indices):
    """dx[n, c, p, q] is dy[n, c, h, w] where h W + w is indices[n, c, p, q]."""
    dy, indices = checks.floating(dy, "dy"), windows.places(indices)
    n, c, p, q = shapes.maxunpool2d_backward(dy, indices).shape
    dx = empty_images(n, c, p, q, dy.dtype)
    launch(_gather, n * p, flat(dy), flat(indices), flat(dx), _Maps(p * q, dy.shape[2] * dy.shape[3], c, q),
           work=dx.size)
    return dx


@jit
def _scatter(block, slot, x, indices, y, outside, maps):
    """`outside` tells of each block how many places lie outside of the image; nothing is written there. Zeros are
    written no earlier than they are needed, so that the numbers among them come while the cache holds them: places
    mostly rise with the pixels that they are of."""
    c, blocks = maps.channels, (maps.channels + maps.some - 1) // maps.some
    image, first = block // blocks, block % blocks * maps.some
    n = min(maps.some, c - first)
    to, missed, cleared, large = image * maps.large * c + first, 0, 0, np.uint64(maps.large)
    for pixel in range(maps.small):
        source = (image * maps.small + pixel) * c + first
        highest = np.uint64(cleared)
        for i in range(n):
            place = indices[np.uint64(source + i)]
            if _is_place(place, large) and np.uint64(place) >= highest:
                highest = np.uint64(place) + np.uint64(1)
        if highest > np.uint64(cleared):
            cleared = _clear(y, to, cleared, min(np.int64(highest) + _AHEAD, maps.large), c, n)
        for i in range(n):
            place = indices[np.uint64(source + i)]
            if _is_place(place, large):
                y[np.uint64(to + i) + np.uint64(place) * np.uint64(c)] = x[np.uint64(source + i)]
            else:
                missed += 1
    _clear(y, to, cleared, maps.large, c, n)
    outside[block] = missed


@inlined
def _is_place(place, large):
    """Whether an index, an integer or not, is the number of a pixel."""
    if place < 0:
        return False
    number = np.uint64(place)
    return number < large and number == place


@jit
def _clear(y, to, first, last, c, n):
    """Zeros for n channels of the pixels from first to last, which is returned."""
    for pixel in range(first, last):
        for i in range(0, n, simd.lanes(y)):
            simd.store_part(y, to + pixel * c + i, simd.full(y, 0), n - i)
    return last


@jit
def _gather(block, slot, dy, indices, dx, maps):
    """One row of dx, `some` pixels."""
    c, large = np.uint64(maps.channels), np.uint64(maps.large)
    start = np.uint64(block * maps.some // maps.small) * large * c
    for pixel in range(block * maps.some, (block + 1) * maps.some):
        here = np.uint64(pixel) * c
        for i in range(maps.channels):
            at = here + np.uint64(i)
            place = np.uint64(max(indices[at], 0))
            inside = 0 <= indices[at] and place < large
            dx[at] = dy[start + place * c + np.uint64(i)] if inside else 0
