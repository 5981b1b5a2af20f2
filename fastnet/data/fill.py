"""Images from the data set into a batch, in one compiled pass: moved, normalised, lightened.

Imported when the first batch is made, since it takes Numba with it.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu.runtime import empty, empty_images, jit, launch


def batch_of_images(n, shape):
    """Memory for n images of shape (C, H, W), channels-last."""
    return empty_images(n, *shape, np.dtype(np.float32))


def batch_of_rows(n, shape, dtype):
    """Memory for n arrays of this shape."""
    return empty((n, *shape), dtype)


def fill_batch(out, images, index, moves, terms, light, reflect=False):
    """Writes the images that `index` selects into `out`: moved as `moves` tells, normalised, and outside the image zero
    or, with `reflect`, the mirror image of what is inside.

    out : float32 (N, C, H, W), channels-last in memory;  images : uint8, float32 or float64 (count, C, H, W),
    contiguous;  index : int64 (N,), each below count;  moves : int64 (N, 7), as `random_moves` gives them
    terms : as `Normalize.terms` gives them; y = (x - center) * scale + shift.
    light : float32 (N, 2), as `random_light` gives it: y becomes y * gain + offset.
    Zeros are zeros after normalisation; to reflect, no move may exceed what the image holds beside its border row: 2
    abs(top) < H and 2 abs(left) < W. The arguments come from the loader, which checked them.
    """
    # No work to speak of, so that it stays in this one thread: the others are busy training.
    launch(_fill, len(index), out.transpose(0, 2, 3, 1), images, _Samples(index, moves, light), terms, reflect, work=0)


class _Samples(NamedTuple):
    index: np.ndarray       # (N,) of the images
    moves: np.ndarray       # (N, 7), see `random_moves`
    light: np.ndarray       # (N, 2), see `random_light`


@jit
def _fill(i, slot, out, images, samples, terms, reflect):
    # out (N, H, W, C); images (count, C, H, W)
    center, scale, shift = terms.center, terms.scale, terms.shift   # (C, H, W), (C,), (C, H, W)
    _, height, width, channels = out.shape
    moves, light = samples.moves, samples.light
    image, gain, offset = images[samples.index[i]], light[i, 0], light[i, 1]
    top, left, flip = moves[i, 0], moves[i, 1], moves[i, 2]
    first, last = max(0, left), min(width, width + left)  # the columns of the image that can be seen
    step = -1 if flip else 1
    for p in range(height):
        y = p + top
        row = out[i, p]
        if reflect:
            y = _mirrored(y, height)
        elif y < 0 or y >= height:
            row[:] = 0
            continue
        if last - first < width:
            row[:] = 0
        q = width - 1 - (first - left) if flip else first - left
        for x in range(first, last):
            for c in range(channels):
                row[q, c] = ((image[c, y, x] - center[c, y, x]) * scale[c] + shift[c, y, x]) * gain + offset
            q += step
        if reflect and last - first < width:
            for q in range(width):
                x = left + (width - 1 - q if flip else q)
                if x < first or x >= last:  # its mirror image is in this row already
                    seen = q + step * (_mirrored(x, width) - x)
                    for c in range(channels):
                        row[q, c] = row[seen, c]
    for p in range(moves[i, 3], moves[i, 4]):
        for q in range(moves[i, 5], moves[i, 6]):
            for c in range(channels):
                out[i, p, q, c] = 0


@jit
def _mirrored(place, size):
    # the place inside the image that is seen at this one, which may lie outside; the border itself is not repeated
    place = abs(place)
    return place if place < size else 2 * (size - 1) - place
