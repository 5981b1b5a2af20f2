"""Tiles of images for `winograd`: counted, read with zeros around the image, transformed, fetched ahead.

The tiles of a batch are numbered image by image, row by row; each stands for m x m outputs.
"""
from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu._jit import jit


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


@jit
def fetch_portion(state, at, x, c):
    """Have the next pixels brought into the second cache."""
    first, stop = state[at], min(state[at] + state[at + 2], state[at + 1])
    state[at] = stop
    spans.fetch(x, first * c, stop * c)


@jit
def start_table(table, t, size, w, c):
    """Fill table[t : t + size^2] with where the pixels of a patch within the image start, from the first of them."""
    for i in range(size):
        for j in range(size):
            table[t + i * size + j] = (i * w + j) * c


def make_spread(size, transform):
    """A function that transforms the `size` x `size` pixels at (top, left) of an image, `width` channels in whole
    vectors. Outside of the image are zeros.

    The result for channel i goes to y[y0 + i // panel * y_panel + i % panel]. In the table is, from t0
    on, what `start_table` wrote, and as much room again.
    """

    @jit
    def edge_table(table, t, top, left, h, w, c):
        """The table for a patch on the edge of the image: -1 outside of it."""
        for i in range(size):
            for j in range(size):
                inside = 0 <= top + i < h and 0 <= left + j < w
                table[t + i * size + j] = (i * w + j) * c if inside else -1

    @jit
    def copy(x, start, c, width, table, t, memory, spare):
        """Copy the first c of `width` channels of the table's pixels to memory, zeros for all others."""
        for place in range(size * size):
            offset = table[t + place]
            for k in range(0, width, simd.lanes(x)):
                v = simd.load_part(x, start + offset + k, c - k) if offset >= 0 else simd.full(x, 0)
                simd.store(memory, spare + place * width + k, v)

    @jit
    def spread(x, image, top, left, h, w, c, width, table, t0, zeros, memory, spare, y, y0, y_row, y_column, panel,
               y_panel):
        source, start, t = x, ((image * h + top) * w + left) * c, t0
        if top < 0 or left < 0 or top + size > h or left + size > w:
            t += size * size
            edge_table(table, t, top, left, h, w, c)
        # Vectors may read on beyond a pixel's channels, and nobody uses that, but not beyond the last pixel's.
        corner = (image * h + min(top + size, h) - 1) * w + min(left + size, w) - 1
        if corner * c + width > x.size:
            copy(x, start, c, width, table, t, memory, spare)
            source, start, t = memory, spare, t0 + size * size
            start_table(table, t, size, size, width)
        for k in range(0, width, panel):
            for j in range(0, min(panel, width - k), simd.lanes(x)):
                transform(source, start + k + j, table, t, zeros, y, y0 + j, y_row, y_column)
            y0 += y_panel

    return spread
