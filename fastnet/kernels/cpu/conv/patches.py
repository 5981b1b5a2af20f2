"""Tiles of images for `winograd`: counted, read with zeros around the image, transformed, fetched ahead.

The tiles of a batch are numbered image by image, row by row; each stands for m x m outputs.
"""
import functools

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime.jit import inlined, jit


@jit
def place(number, down, across):
    """(image, row, column) of a tile, of `down` x `across` in an image."""
    inner = number % (down * across)
    return number // (down * across), inner // across, inner % across


@jit
def following(image, row, column, down, across):
    """The place of the next tile: counting on is cheaper than dividing for each."""
    column += 1
    if column == across:
        column, row = 0, row + 1
    if row == down:
        row, image = 0, image + 1
    return image, row, column


@jit
def pixel_after(number, m, above, size, h, w, down, across):
    """The pixel at which the first image row starts that the tiles up to `number` do not read, where a tile in row i
    reads `size` rows from i m - above on."""
    image, row, _ = place(number, down, across)
    return (image * h + max(0, min(h, row * m - above + size))) * w


@jit
def start_fetching(state, at, first, last, times):
    """Note in state[at : at + 3] that the pixels in range(first, last) are to be fetched in so many portions.

    The memory that comes next is fetched in small portions between products: many requests at once would only queue.
    """
    state[at], state[at + 1], state[at + 2] = first, last, (last - first) // times + 1


@inlined
def fetch_portion(state, at, x, c):
    """Have the next pixels brought into the second cache."""
    first, stop = state[at], min(state[at] + state[at + 2], state[at + 1])
    state[at] = stop
    spans.fetch(x, first * c, stop * c)


@functools.lru_cache(maxsize=512)
def tables(m, size, above, before, h, w, c, width, down, across):
    """What `spread` has to know about the patches of an image, as one array of int64.

    Tile (i, j) sees the pixels from (i m - above, j m - before) on. Patches differ in how much of them lies outside
    of the image; each kind has a table of where its pixels start, counted from the first, with -1 for those outside.
    The table of tile (i, j) starts at entry [i] + entry [down + j]; the table for a copy of a patch, `width` numbers a
    pixel, starts at entry [down + across].
    """
    row_kinds, rows = _kinds(m, size, above, h, down)
    column_kinds, columns = _kinds(m, size, before, w, across)
    place = np.arange(size)
    offsets = (place[:, None] * w + place) * c
    found = [np.where(inside_y[:, None] & inside_x, offsets, -1) for inside_y in row_kinds for inside_x in column_kinds]
    found.append(np.arange(size * size) * width)
    first, entries = down + across + 1, size * size
    starts = [first + rows * len(column_kinds) * entries, columns * entries, [first + (len(found) - 1) * entries]]
    return np.concatenate([*starts, *(table.reshape(-1) for table in found)])


def _kinds(m, size, before, extent, count):
    """(which pixels along a patch are within the image, once for each kind of tile, and the kind of each tile)."""
    pixels = np.arange(count)[:, None] * m - before + np.arange(size)
    return np.unique((0 <= pixels) & (pixels < extent), axis=0, return_inverse=True)


def make_spread(size, transform, word=1):
    """A function that transforms the `size` x `size` pixels from (top, left) of an image on, `width` channels in whole
    vectors; the table that starts at `t` says where they are.

    The result for channel i goes to y[y0 + i // panel * y_panel + i % panel // word], `word` being how many numbers of
    a vector the transform puts into one of y.
    """

    @jit
    def copy(x, start, c, width, table, t, memory, spare):
        """Copy the first c of `width` channels of a patch to memory, zeros for all others."""
        for place in range(size * size):
            offset = table[t + place]
            for k in range(0, width, simd.lanes(x)):
                v = simd.load_part(x, start + offset + k, c - k) if offset >= 0 else simd.full(x, 0)
                simd.store(memory, spare + place * width + k, v)

    @inlined
    def spread(x, image, top, left, h, w, c, width, table, t, copied, zeros, memory, spare, y, y0, y_row, y_column,
               panel, y_panel):
        source, start = x, ((image * h + top) * w + left) * c
        # Vectors may read on beyond a pixel's channels, and nobody uses that, but not beyond the last pixel's.
        corner = (image * h + min(top + size, h) - 1) * w + min(left + size, w) - 1
        if corner * c + width > x.size:
            copy(x, start, c, width, table, t, memory, spare)
            source, start, t = memory, spare, copied
        for k in range(0, width, panel):
            for j in range(0, min(panel, width - k), simd.lanes(x)):
                transform(source, start + k + j, table, t, zeros, y, y0 + j // word, y_row, y_column)
            y0 += y_panel

    return spread
