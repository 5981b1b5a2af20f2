"""Patches of images for `winograd`: counted, found in memory with zeros around the image, and transformed.

A *patch* is what Winograd's convolution computes at a time: m x m pixels of the result, and the n x n pixels of x,
n = m + r - 1, that they are computed from. With m = 4 and r = 3, padding 1, and an image of 8 x 8 pixels:

      . . . . . . . . . .
      . 0 0 0 0 1 1 1 1 .       0 to 3: the pixels of the result in each of the 2 x 2 patches. Patch 0 reads 6 x 6
      . 0 0 0 0 1 1 1 1 .       pixels from row -1, column -1 on, patch 1 those from row -1, column 3 on: patches
      . 0 0 0 0 1 1 1 1 .       overlap by r - 1 in what they read, not in what they write. A pixel outside of the
      . 0 0 0 0 1 1 1 1 .       image (.) is read as zero.
      . 2 2 2 2 3 3 3 3 .
      ...

The patches of a batch are numbered image by image, row by row.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import inlined, jit, kept, made_for


class Place(NamedTuple):
    """Where a patch is: which image, and which of its rows and columns of patches."""

    image: int
    row: int
    column: int


class Patches(NamedTuple):
    """Images, and how they are cut into patches."""

    x: np.ndarray           # flat and channels-last
    height: int
    width: int
    pixel: int              # numbers from one pixel to the next: the channels of all groups
    first: int              # of the channels that are meant, those of one group
    channels: int           # and how many these are
    whole_channels: int     # rounded up to whole vectors, or panels
    above: int              # rows of padding
    before: int             # columns of padding
    down: int               # patches of an image
    across: int
    offsets: np.ndarray     # see `patch_offsets`
    zeros: np.ndarray       # a vector of them


class Spread(NamedTuple):
    """Where a transformed patch goes: number (i, j) of channel c to
    y[start + i row + j column + c // panel * next_panel + c % panel // word]."""

    y: np.ndarray
    start: int
    row: int
    column: int
    panel: int
    next_panel: int


@jit
def place_of(number, down, across):
    """The Place of a patch, of `down` x `across` in an image."""
    inner = number % (down * across)
    return Place(number // (down * across), inner // across, inner % across)


@jit
def following(place, down, across):
    """The Place of the next patch: counting on is cheaper than dividing for each."""
    image, row, column = place.image, place.row, place.column + 1
    if column == across:
        row, column = row + 1, 0
    if row == down:
        image, row = image + 1, 0
    return Place(image, row, column)


@kept
def patch_offsets(m, size, padding, images, whole_channels, down, across):
    """Where the pixels of each patch are, as one array of int64; `padding` is (above, before), `images` the Images.

    Patches differ in how much of them lies outside of the image, which only those at its edges do; so there are few
    kinds of them, and for each kind a table of size x size entries: how far from its first pixel each pixel begins, or
    -1 for one outside of the image. The array holds

        [i] for i < down, [down + j] for j < across:    the table of patch (i, j) starts at entry [i] + [down + j]
        [down + across]:    where the table of a copied patch starts, whose pixels have `whole_channels` numbers
        then the tables.
    """
    row_kinds, rows = _kinds(m, size, padding[0], images.height, down)
    column_kinds, columns = _kinds(m, size, padding[1], images.width, across)
    place, entries, first = np.arange(size), size * size, down + across + 1
    offsets = (place[:, None] * images.width + place) * images.channels
    tables = [np.where(row_inside[:, None] & column_inside, offsets, -1)
              for row_inside in row_kinds for column_inside in column_kinds]
    tables.append(np.arange(entries) * whole_channels)
    starts = [first + rows * len(column_kinds) * entries, columns * entries, [first + (len(tables) - 1) * entries]]
    return np.concatenate([*starts, *(table.reshape(-1) for table in tables)])


def _kinds(m, size, before, extent, count):
    """(which pixels along a patch are within the image, once for each kind of patch, and the kind of each patch)."""
    pixels = np.arange(count)[:, None] * m - before + np.arange(size)
    return np.unique((0 <= pixels) & (pixels < extent), axis=0, return_inverse=True)


def make_read_to(m, size):
    """A function that says up to where images are read by their patches up to a certain one."""

    @jit
    @made_for(m, size)
    def read_to(number, height, row_size, above, down, across):
        """The place in x at which the first row of pixels starts that no patch up to this one reads: in numbers where
        `row_size` are those of a row, in pixels where it is how many there are in one."""
        place = place_of(number, down, across)
        return (place.image * height + max(0, min(height, place.row * m - above + size))) * row_size

    return read_to


def make_transform_patch(m, size, transform, word=1):
    """A function that transforms the `size` x `size` pixels of patches, made for a transform of patches that a table
    describes, which puts `word` numbers of a vector into one."""

    @jit
    @made_for(size)
    def copy_patch(images, start, table, memory, spare):
        """Copy a patch to memory, with zeros for pixels and channels that do not exist."""
        x, width = images.x, images.whole_channels
        for pixel in range(size * size):
            offset = images.offsets[table + pixel]
            for c in range(0, width, simd.lanes(x)):
                v = simd.full(x, 0)
                if offset >= 0:
                    v = simd.load_part(x, start + offset + c, images.channels - c)
                simd.store(memory, spare + pixel * width + c, v)

    @inlined
    def transform_patch(images, place, memory, spare, to):
        """Transform the patch at a Place, all of its channels. Pixels outside of the image, which the table says, are
        zeros.

        A vector may read on beyond the channels that are meant, and nobody uses that, but not beyond the last pixel of
        x: then the patch is copied to memory[spare] first.
        """
        x, offsets, width, lanes = images.x, images.offsets, images.whole_channels, simd.lanes(images.x)
        read = (width + lanes - 1) // lanes * lanes     # panels may be half a vector
        top, left = place.row * m - images.above, place.column * m - images.before
        start = ((place.image * images.height + top) * images.width + left) * images.pixel + images.first
        table = offsets[place.row] + offsets[images.down + place.column]
        last_row, last_column = min(top + size, images.height) - 1, min(left + size, images.width) - 1
        last_pixel = (place.image * images.height + last_row) * images.width + last_column
        if last_pixel * images.pixel + images.first + read > x.size:
            copy_patch(images, start, table, memory, spare)
            x, start, table = memory, spare, offsets[images.down + images.across]
        target = to.start
        for panel in range(0, width, to.panel):
            for c in range(0, min(to.panel, width - panel), lanes):
                transform(x, start + panel + c, offsets, table, images.zeros, to.y, target + c // word, to.row,
                          to.column)
            target += to.next_panel

    return transform_patch
