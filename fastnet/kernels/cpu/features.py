"""Features of images that are not learnt: histograms of oriented gradients, and of hues. A block is one image.

Gradients are taken row by row, from planes of one channel each, in loops that the compiler turns into vectors; only
the votes, a number added to a bin that another number chooses, go pixel by pixel. In which bin a direction lies is told
by its products with the directions where bins begin, and not by its angle: no arc tangent, and nothing that a rounding
could move from one bin to the next where gradients are whole numbers.
"""
import math
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu.runtime import empty, jit, launch, literal, readable, scratch
from fastnet.kernels.orientations import CUT, EPSILON, NORMS, boundaries, hog_shape


def hog(x, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(3, 3), block_norm="L2-Hys"):
    """Gradients, histograms of cells, blocks of them normalised."""
    x = checks.bytes_or_floating(x, "x")
    kind = shapes.hog(x, orientations, pixels_per_cell, cells_per_block, block_norm)
    n, *blocks, bins = hog_shape(x.shape, orientations, pixels_per_cell, cells_per_block)
    numbers, layout = _readable(x, kind.dtype)
    _, channels, height, width = x.shape
    (cell_h, cell_w), work = map(int, pixels_per_cell), 8 * x.size
    grid = _Grid(height // cell_h, width // cell_w, cell_h, cell_w, *blocks, bins, NORMS.index(block_norm))
    room = _Room(scratch(channels * height * width, kind.dtype, work, 4),
                 *(scratch(width, np.float64, work, which) for which in range(3)), scratch(width, np.int64, work),
                 scratch(grid.down * grid.across * bins, np.float64, work, 3))
    y = empty(kind.shape, kind.dtype)
    launch(_hog, n, numbers, y.reshape(-1), room, _Edges(*boundaries(bins)), layout, grid, work=work)
    return y


def hue_histogram(x, bins=10):
    """The shares of the bins."""
    x = checks.bytes_or_floating(x, "x")
    kind = shapes.hue_histogram(x, bins)
    numbers, layout = _readable(x, kind.dtype)
    y, counts = empty(kind.shape, kind.dtype), scratch(int(bins), np.int64, x.size)
    launch(_hues, len(x), numbers, y.reshape(-1), counts, layout, int(bins), work=4 * x.size)
    return y


class _Layout(NamedTuple):
    """Of images in memory: numbers of each, and how far apart channels, rows and columns are."""

    channels: int
    height: int
    width: int
    channel: int
    row: int
    column: int


class _Grid(NamedTuple):
    """Cells of an image down and across, pixels of a cell, blocks of an image, cells of a block, bins of a cell, and
    which of NORMS."""

    down: int
    across: int
    cell_height: int
    cell_width: int
    blocks_down: int
    blocks_across: int
    block_height: int
    block_width: int
    bins: int
    norm: int


class _Edges(NamedTuple):
    """The directions at which bins begin."""

    cosines: np.ndarray
    sines: np.ndarray


class _Room(NamedTuple):
    """Scratch memory: the planes of an image; of a row of pixels the vertical and horizontal gradient, the square of
    its length, and its bin; the histograms of all cells."""

    planes: np.ndarray
    down: np.ndarray
    right: np.ndarray
    square: np.ndarray
    bin: np.ndarray
    cells: np.ndarray


def _readable(x, dtype):
    """The numbers of images, not copied where they lie in one piece, and their _Layout."""
    numbers, turned = readable(x, dtype)
    _, c, h, w = x.shape
    return numbers, _Layout(c, h, w, *((h * w, w, 1) if turned else (1, w * c, c)))


# Histograms of oriented gradients

@jit
def _hog(block, slot, x, y, room, edges, layout, grid):
    """All of one image."""
    size, cells = layout.channels * layout.height * layout.width, grid.down * grid.across * grid.bins
    planes, histograms = room.planes[slot * size: (slot + 1) * size], room.cells[slot * cells: (slot + 1) * cells]
    first, last = slot * layout.width, (slot + 1) * layout.width
    down, right, square = room.down[first: last], room.right[first: last], room.square[first: last]
    places = room.bin[first: last]
    _separate(x, block * size, planes, layout)
    for i in range(cells):
        histograms[i] = 0
    for row in range(grid.down * grid.cell_height):
        for channel in range(layout.channels):
            _gradients(planes, channel, row, down, right, square, layout)
        _bins(down, right, places, edges.cosines, edges.sines)
        _vote(square, places, histograms, row // grid.cell_height, grid)
    for i in range(cells):
        histograms[i] /= grid.cell_height * grid.cell_width
    _normalise(histograms, y, block * grid.blocks_down * grid.blocks_across * grid.block_height * grid.block_width
               * grid.bins, grid)


@jit
def _separate(x, start, planes, layout):
    """An image as planes, one for each channel."""
    to = 0
    for channel in range(layout.channels):
        for row in range(layout.height):
            source = start + channel * layout.channel + row * layout.row
            for column in range(layout.width):
                planes[to + column] = x[source + column * layout.column]
            to += layout.width


@jit
def _gradients(planes, channel, row, down, right, square, layout):
    """The gradients of a row of pixels, where they are longer than those of the channels before."""
    h, w = layout.height, layout.width
    start, inside = (channel * h + row) * w, 0 < row < h - 1
    here = planes[start: start + w]
    step = w * inside
    above, below = planes[start - step: start - step + w], planes[start + step: start + step + w]
    for i in range(w):
        before, after = max(i - 1, 0), min(i + 1, w - 1)
        v = np.float64(below[i] - above[i])
        u = np.float64(here[after] - here[before]) if after - before == 2 else 0.0
        length = v * v + u * u
        if channel == 0 or length > square[i]:
            down[i], right[i], square[i] = v, u, length


@literal
def _bins(down, right, places, cosines, sines):
    """The bins of a row of gradients: how many directions where one begins are at or before theirs."""
    for i in range(places.size):
        places[i] = 0
        if down[i] < 0 or (down[i] == 0 and right[i] < 0):
            down[i], right[i] = -down[i], -right[i]
    for k in range(cosines.size):
        cosine, sine = cosines[k], sines[k]
        for i in range(places.size):
            places[i] += down[i] * cosine >= right[i] * sine


@jit
def _vote(square, places, histograms, row, grid):
    """The lengths of a row of gradients go to the histograms of a row of cells."""
    for cell in range(grid.across):
        to = (row * grid.across + cell) * grid.bins
        for i in range(cell * grid.cell_width, (cell + 1) * grid.cell_width):
            histograms[to + places[i]] += math.sqrt(square[i])


@jit
def _normalise(histograms, y, to, grid):
    """The blocks of an image, each with its numbers normalised."""
    for block in range(grid.blocks_down * grid.blocks_across):
        top, left = block // grid.blocks_across, block % grid.blocks_across
        scale, again, limit = 1 / _size(histograms, top, left, 1.0, math.inf, grid), 1.0, math.inf
        if grid.norm == 3:
            limit = CUT
            again = 1 / _size(histograms, top, left, scale, limit, grid)
        for row in range(top, top + grid.block_height):
            start = (row * grid.across + left) * grid.bins
            for i in range(start, start + grid.block_width * grid.bins):
                v = min(histograms[i] * scale, limit) * again
                y[to] = math.sqrt(v) if grid.norm == 1 else v
                to += 1


@jit
def _size(histograms, top, left, scale, limit, grid):
    """What a block's numbers, times `scale` and cut at `limit`, are divided by."""
    total = 0.0
    for row in range(top, top + grid.block_height):
        start = (row * grid.across + left) * grid.bins
        for i in range(start, start + grid.block_width * grid.bins):
            v = min(histograms[i] * scale, limit)
            total += v if grid.norm < 2 else v * v
    return total + EPSILON if grid.norm < 2 else math.sqrt(total + EPSILON ** 2)


# Histograms of hues

@jit
def _hues(block, slot, x, y, counts, layout, bins):
    """One image."""
    start, first = block * 3 * layout.height * layout.width, slot * bins
    for i in range(bins):
        counts[first + i] = 0
    for row in range(layout.height):
        for column in range(layout.width):
            at = start + row * layout.row + column * layout.column
            red, green, blue = x[at], x[at + layout.channel], x[at + 2 * layout.channel]
            counts[first + _hue_bin(np.float64(red), np.float64(green), np.float64(blue), bins)] += 1
    for i in range(bins):
        y[block * bins + i] = counts[first + i] / (layout.height * layout.width)


@literal
def _hue_bin(red, green, blue, bins):
    """The bin of a colour; 0 for one that has no hue, or whose hue is no number."""
    largest = max(max(red, green), blue)
    d = largest - min(min(red, green), blue)
    if largest == red:
        p = green - blue
    elif largest == green:
        p = 2 * d + (blue - red)
    else:
        p = 4 * d + (red - green)
    if p < 0:
        p += 6 * d
    place = bins * p / (6 * d) if d > 0 else 0.0
    return int(min(place, bins - 1.0)) if place > 0 else 0
