"""Pooling of regions: bins of boxes instead of windows, and as many images of y as there are boxes.

Forward a block is a row of bins of one box. Backward any pixel of an image may lie in any bin of any box: a block is
some channels of one image, which it adds up in float64 for all of its pixels, going through all boxes, and then rounds.

`roi_pool` takes the largest pixel of each bin. `roi_align` takes the mean of samples between the pixels; they lie on a
grid, so the weight of pixel (h, w) in bin (p, q) is the product of two, one that tells how much the samples' rows have
of row h, and one for the columns. These are worked out for each box, in scratch memory, as lists of *meetings*:

    found[at]                       how many pixels along an axis the samples of a bin meet
    found[at + 1], found[at + 2] .. which pixels they are
    weights[at + 1] ..              the weight of each

What decides between pixels is compiled with no liberty of rounding, so that every backend decides alike.
"""
import math
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes, windows
from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import empty_images, entry, flat, inlined, jit, launch, literal, scratch, settle

# Channels of a block: a cache line of float32 numbers.
_SOME = 16
_FAR = windows.FAR


class Box(NamedTuple):
    """A row of boxes."""

    image: float
    left: float
    top: float
    right: float
    bottom: float


_NUMBERS = len(Box._fields)


class Side(NamedTuple):
    """The bins along one axis, and how: the least extent of a box, how many samples a bin has (0 if that depends on
    the box), and how many pixels these can meet."""

    pixels: int
    bins: int
    samples: int
    most: int


class Maps(NamedTuple):
    """The images and what becomes of them; boxes times `scale`, less `offset`, are in pixels, at least `least`."""

    images: int
    channels: int
    down: Side
    across: Side
    scale: float
    offset: float
    least: float


class Room(NamedTuple):
    """Scratch memory of all slots: lists of meetings, and sums."""

    found: np.ndarray
    weights: np.ndarray
    sums: np.ndarray


def roi_pool_forward(x, boxes, output_size, spatial_scale=1.0):
    """(y, index): the largest pixel of each bin, and its place h W + w; 0 and H W where there is none."""
    x, boxes = checks.floating(x, "x"), checks.floating(boxes, "boxes")
    m, c, p, q = shapes.roi_pool_forward(x, boxes, output_size, spatial_scale)[0].shape
    settle()
    windows.boxes_within(boxes, x.shape[0])
    y, index = empty_images(m, c, p, q, x.dtype), empty_images(m, c, p, q, windows.UINT32)
    maps = _maps(x.shape, (p, q), spatial_scale)
    launch(_pool_forward, m * p, flat(x), flat(boxes), flat(y), flat(index), maps, work=4 * y.size)
    return y, index


def roi_pool_backward(dy, index, boxes, x_shape):
    """dx: every dy[m, c, p, q] is added to the pixel that won its bin."""
    dy, boxes = checks.floating(dy, "dy"), checks.floating(boxes, "boxes")
    n, c, h, w = shapes.roi_pool_backward(dy, index, boxes, x_shape).shape
    settle()
    windows.boxes_within(boxes, n)
    dx, work = empty_images(n, c, h, w, dy.dtype), n * c * h * w + 4 * dy.size
    memory = scratch(h * w * _SOME, np.float64, work, sums.PART)
    launch(_pool_backward, n * -(-c // _SOME), flat(dy), flat(index), flat(boxes), flat(dx), memory,
           _maps(x_shape, dy.shape[2:]), work=work)
    return dx


def roi_align_forward(x, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """The mean of the samples in each bin."""
    x, boxes = checks.floating(x, "x"), checks.floating(boxes, "boxes")
    m, c, p, q = shapes.roi_align_forward(x, boxes, output_size, spatial_scale, sampling_ratio, aligned).shape
    settle()
    windows.boxes_within(boxes, x.shape[0])
    y, maps = empty_images(m, c, p, q, x.dtype), _maps(x.shape, (p, q), spatial_scale, sampling_ratio, aligned)
    room = _room(maps, simd.VECTOR_BYTES // x.itemsize, 16 * y.size)
    launch(_align_forward, m * p, flat(x), flat(boxes), flat(y), room, maps, work=16 * y.size)
    return y


def roi_align_backward(dy, boxes, x_shape, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """dx: every dy[m, c, p, q] goes to the pixels that its samples were made of, with their weights."""
    dy, boxes = checks.floating(dy, "dy"), checks.floating(boxes, "boxes")
    n, c, h, w = shapes.roi_align_backward(dy, boxes, x_shape, spatial_scale, sampling_ratio, aligned).shape
    settle()
    windows.boxes_within(boxes, n)
    maps, work = _maps(x_shape, dy.shape[2:], spatial_scale, sampling_ratio, aligned), n * c * h * w + 16 * dy.size
    dx, room = empty_images(n, c, h, w, dy.dtype), _room(maps, h * w * _SOME, work)
    launch(_align_backward, n * -(-c // _SOME), flat(dy), flat(boxes), flat(dx), room, maps, work=work)
    return dx


def _maps(x_shape, output_size, scale=1.0, samples=0, aligned=False):
    n, c, *hw = x_shape
    samples = max(0, int(samples))
    sides = [Side(pixels, bins, samples, 2 * samples or pixels) for pixels, bins in zip(hw, output_size, strict=True)]
    return Maps(n, c, *sides, float(scale), 0.5 if aligned else 0.0, -math.inf if aligned else 1.0)


def _room(maps, count, work):
    """Scratch memory for the meetings of all bins of a box, and for `count` sums."""
    meetings = sum(side.bins * (side.most + 1) for side in (maps.down, maps.across))
    return Room(scratch(meetings, np.int64, work), scratch(meetings, np.float64, work),
                scratch(count, np.float64, work, sums.PART))


# Where boxes and bins are

@jit
def _image(boxes, box, maps):
    """The image that a box is in; -1 where there is no such image."""
    number = entry(Box, boxes, box).image
    return np.int64(number) if 0 <= number < maps.images and np.int64(number) == number else -1


@literal
def _scaled(v, maps):
    """A coordinate of a box in pixels."""
    v = np.float64(v) * maps.scale
    return min(v, _FAR) if v > -_FAR else -_FAR     # which is not far in an image, and comes of NaN too


@literal
def _nearest(v):
    """The whole number nearest to it, halves away from 0."""
    return np.int64(math.floor(v + 0.5)) if v >= 0 else np.int64(math.ceil(v - 0.5))


@literal
def _bin(low, high, i, side, maps):
    """(first, last + 1) of the pixels of an image in bin i of a box from low to high."""
    start = _nearest(_scaled(low, maps))
    size = max(_nearest(_scaled(high, maps)) - start + 1, 1)
    first, stop = i * size // side.bins, ((i + 1) * size + side.bins - 1) // side.bins
    return min(max(start + first, 0), side.pixels), min(max(start + stop, 0), side.pixels)


# The largest pixel of each bin

@jit
def _pool_forward(block, slot, x, boxes, y, index, maps):
    c, down, across = maps.channels, maps.down, maps.across
    box = block // down.bins
    place, image = entry(Box, boxes, box), _image(boxes, box, maps)
    top, bottom = _bin(place.top, place.bottom, block % down.bins, down, maps)
    for column in range(across.bins):
        left, right = _bin(place.left, place.right, column, across, maps)
        to = (block * across.bins + column) * c
        for i in range(0, c, simd.lanes(x)):
            best, won = simd.full(x, 0), simd.full(x, down.pixels * across.pixels)
            if image >= 0 and top < bottom and left < right:
                first = ((image * down.pixels + top) * across.pixels + left) * c + i
                best, won = simd.load_part(x, first, c - i), simd.full(x, top * across.pixels + left)
                for h in range(top, bottom):
                    for w in range(left, right):
                        value = simd.load_part(x, ((image * down.pixels + h) * across.pixels + w) * c + i, c - i)
                        won = simd.pick(value, best, simd.full(x, h * across.pixels + w), won)
                        best = simd.pick(value, best, value, best)
            simd.store_part(y, to + i, best, c - i)
            simd.store_index(index, to + i, won, c - i)


@jit
def _pool_backward(block, slot, dy, index, boxes, dx, memory, maps):
    c, pixels = maps.channels, maps.down.pixels * maps.across.pixels
    bins, groups = maps.down.bins * maps.across.bins, (c + _SOME - 1) // _SOME
    image, first, base = block // groups, block % groups * _SOME, slot * pixels * _SOME
    n = min(_SOME, c - first)
    spans.clear(memory, base, base + pixels * _SOME)
    for box in range(boxes.size // _NUMBERS):
        if _image(boxes, box, maps) == image:
            for source in range(box * bins * c + first, (box + 1) * bins * c + first, c):
                for j in range(n):
                    place = np.int64(index[source + j])
                    if place < pixels:
                        memory[base + place * _SOME + j] += dy[source + j]
    _round(memory, base, dx, image * pixels * c + first, n, pixels, c)


@inlined
def _round(memory, base, dx, to, n, pixels, c):
    """Write the sums of n channels of an image."""
    for pixel in range(pixels):
        for i in range(0, n, simd.lanes(dx)):
            v = simd.rounded(memory, base + pixel * _SOME + i, n - i, dx)
            simd.store_part(dx, to + pixel * c + i, v, n - i)


# The mean of the samples in each bin

@literal
def _meet(room, at, low, high, i, side, maps):
    """Work out which pixels the samples of bin i meet, in a box from low to high."""
    start = _scaled(low, maps) - maps.offset
    extent = max(_scaled(high, maps) - maps.offset - start, maps.least) / side.bins
    grid = float(side.samples) if side.samples else math.ceil(extent) * 1.0
    room.found[at] = 0
    if not grid > 0:
        return
    begin, first, stop = start + i * extent, 0, np.int64(grid)
    if not side.samples:    # at least one for each pixel, but the box may reach far beyond the image
        first = max(0, np.int64(math.floor((-1 - begin) / extent * grid)) - 2)
        stop = min(stop, first + 2 * side.pixels + 8)
    for k in range(first, stop):
        v = begin + (k + 0.5) * extent / grid
        if -1 <= v <= side.pixels:
            v = min(max(v, 0.0), side.pixels - 1.0)
            pixel = np.int64(v)
            _add(room, at, pixel, (pixel + 1 - v) / grid)
            _add(room, at, min(pixel + 1, side.pixels - 1), (v - pixel) / grid)


@literal
def _add(room, at, pixel, weight):
    """Give a pixel more weight; if it is listed already, then as one of the last two."""
    last = at + room.found[at]
    for k in range(max(at + 1, last - 1), last + 1):
        if room.found[k] == pixel:
            room.weights[k] += weight
            return
    room.found[last + 1], room.weights[last + 1] = pixel, weight
    room.found[at] += 1


@jit
def _align_forward(block, slot, x, boxes, y, room, maps):
    c, down, across = maps.channels, maps.down, maps.across
    box, line, lanes = block // down.bins, block % down.bins, simd.lanes(x)
    place, image = entry(Box, boxes, box), _image(boxes, box, maps)
    rows_at = slot * (down.bins * (down.most + 1) + across.bins * (across.most + 1))
    at, memory = rows_at + down.most + 1, slot * lanes
    _meet(room, rows_at, place.top, place.bottom, line, down, maps)
    if image < 0:
        room.found[rows_at] = 0
    for column in range(across.bins):
        _meet(room, at, place.left, place.right, column, across, maps)
        many = room.found[rows_at] * room.found[at] > sums.CHAIN
        to = (block * across.bins + column) * c
        for i in range(0, c, lanes):
            total = simd.full(x, 0)
            if many:
                spans.clear(room.sums, memory, memory + lanes)
            for h in range(rows_at + 1, rows_at + 1 + room.found[rows_at]):
                first = (image * down.pixels + room.found[h]) * across.pixels
                for start in range(at + 1, at + 1 + room.found[at], sums.CHAIN):
                    part = simd.full(x, 0)
                    for w in range(start, min(start + sums.CHAIN, at + 1 + room.found[at])):
                        v = simd.load_part(x, (first + room.found[w]) * c + i, c - i)
                        part = simd.fma(simd.full(x, room.weights[h] * room.weights[w]), v, part)
                    if many:
                        simd.accumulate(room.sums, memory, part, lanes)
                    else:
                        total = total + part
            if many:
                total = simd.rounded(room.sums, memory, lanes, x)
            simd.store_part(y, to + i, total, c - i)


@jit
def _align_backward(block, slot, dy, boxes, dx, room, maps):
    c, down, across, pixels = maps.channels, maps.down, maps.across, maps.down.pixels * maps.across.pixels
    groups, size = (c + _SOME - 1) // _SOME, down.bins * (down.most + 1)
    image, first, base = block // groups, block % groups * _SOME, slot * pixels * _SOME
    rows_at, n = slot * (size + across.bins * (across.most + 1)), min(_SOME, c - first)
    spans.clear(room.sums, base, base + pixels * _SOME)
    for box in range(boxes.size // _NUMBERS):
        if _image(boxes, box, maps) == image:
            place = entry(Box, boxes, box)
            for line in range(down.bins):
                _meet(room, rows_at + line * (down.most + 1), place.top, place.bottom, line, down, maps)
            for column in range(across.bins):
                at = rows_at + size + column * (across.most + 1)
                _meet(room, at, place.left, place.right, column, across, maps)
                for line in range(down.bins):
                    source = ((box * down.bins + line) * across.bins + column) * c + first
                    _spread(room, rows_at + line * (down.most + 1), at, dy, source, n, base, across)
    _round(room.sums, base, dx, image * pixels * c + first, n, pixels, c)


@jit
def _spread(room, rows_at, at, dy, source, n, base, across):
    """Add what arrives for n channels of one bin to the sums of the pixels that it was made of."""
    for h in range(rows_at + 1, rows_at + 1 + room.found[rows_at]):
        for w in range(at + 1, at + 1 + room.found[at]):
            to = base + (room.found[h] * across.pixels + room.found[w]) * _SOME
            weight = simd.full(dy, room.weights[h] * room.weights[w])
            for i in range(0, n, simd.lanes(dy)):
                simd.accumulate(room.sums, to + i, weight * simd.load_part(dy, source + i, n - i), n - i)
