"""Images from the data set into a batch, in one compiled pass: moved or turned, normalised, lightened. What is wanted
more seldom, noise and mixtures, are passes of their own over what was written.

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


def fill_batch(out, images, index, views, terms):
    """Writes the images that `index` selects into `out`: moved as `views` tells, normalised, and outside the image zero
    or, with `views.reflect`, the mirror image of what is inside.

    out : float32 (N, C, H, W), channels-last in memory;  images : uint8, float32 or float64 (count, C, H, W),
    contiguous;  index : int64 (N,), each below count;  views : the `Views` of these N
    terms : as `Normalize.terms` gives them; y = (x - center) * scale + shift, which then becomes y * gain + offset, see
    `random_light`.
    Zeros are zeros after normalisation; to reflect, no move may exceed what the image holds beside its border row: 2
    abs(top) < H and 2 abs(left) < W. The arguments come from the loader, which checked them.
    """
    # No work to speak of, so that it stays in this one thread: the others are busy training.
    out = out.transpose(0, 2, 3, 1)
    if views.turns is None:
        launch(_fill, len(index), out, images, _Samples(index, views.moves, views.light), terms, views.reflect, work=0)
    else:
        launch(_fill_turned, len(index), out, images, _Turned(index, views.moves, views.light, views.turns), terms,
               views.reflect, work=0)
    if views.keys is not None:
        launch(_add_noise, len(index), out, views.keys, np.float32(views.noise), views.moves, work=0)


def mix_batch(images, shares, cuts):
    """Mixes each image but the last with the one after it, in place.

    images : float32 (N + 1, C, H, W), channels-last in memory;  shares : float32 (N,), what stays of each
    cuts : int64 (N, 4), rows and columns, ends excluded, that are of the next one altogether
    """
    # One block, from the first image on, so that each is read before it is written.
    launch(_mix, 1, images.transpose(0, 2, 3, 1), shares, cuts, work=0)


class _Samples(NamedTuple):
    index: np.ndarray       # (N,) of the images
    moves: np.ndarray       # (N, 7), see `random_moves`
    light: np.ndarray       # (N, 2), see `random_light`


class _Turned(NamedTuple):
    index: np.ndarray       # (N,) of the images
    moves: np.ndarray       # (N, 7), see `random_moves`
    light: np.ndarray       # (N, 2), see `random_light`
    turns: np.ndarray       # (N, 5), see `Views`


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


@jit
def _fill_turned(i, slot, out, images, samples, terms, reflect):
    # as _fill, where the image that is moved is a window of the image, scaled to its size and turned around its middle
    _, height, width, channels = out.shape
    moves, turns = samples.moves, samples.turns
    image, gain, offset = images[samples.index[i]], samples.light[i, 0], samples.light[i, 1]
    sin, cos = np.sin(turns[i, 0]), np.cos(turns[i, 0])
    first, start, tall, wide = turns[i, 1], turns[i, 2], turns[i, 3], turns[i, 4]
    middle, centre = (height - 1) / 2, (width - 1) / 2
    for p in range(height):
        for q in range(width):
            v = p + moves[i, 0] - middle
            u = (width - 1 - q if moves[i, 2] else q) + moves[i, 1] - centre
            y, x = sin * u + cos * v + middle, cos * u - sin * v + centre
            pixel = out[i, p, q]
            if reflect:
                y, x = _mirrored_place(y, height), _mirrored_place(x, width)
            elif y < -0.5 or y >= height - 0.5 or x < -0.5 or x >= width - 0.5:
                pixel[:] = 0
                continue
            # In the window pixels are repeated beyond its border.
            y = min(max(first + (y + 0.5) * tall / height - 0.5, first), first + tall - 1)
            x = min(max(start + (x + 0.5) * wide / width - 0.5, start), start + wide - 1)
            above, before = int(y), int(x)
            below, behind = min(above + 1, height - 1), min(before + 1, width - 1)
            down, across = np.float32(y - above), np.float32(x - before)
            for c in range(channels):
                upper = _normal(image, terms, c, above, before) * (1 - across) \
                    + _normal(image, terms, c, above, behind) * across
                lower = _normal(image, terms, c, below, before) * (1 - across) \
                    + _normal(image, terms, c, below, behind) * across
                pixel[c] = (upper * (1 - down) + lower * down) * gain + offset
    for p in range(moves[i, 3], moves[i, 4]):
        for q in range(moves[i, 5], moves[i, 6]):
            for c in range(channels):
                out[i, p, q, c] = 0


@jit
def _normal(image, terms, c, y, x):
    return (image[c, y, x] - terms.center[c, y, x]) * terms.scale[c] + terms.shift[c, y, x]


@jit
def _mirrored_place(place, size):
    # as _mirrored, of places that may lie far outside, and between pixels
    if size == 1:
        return 0.0
    place = abs(place) % (2.0 * (size - 1))
    return place if place < size - 1 else 2.0 * (size - 1) - place


@jit
def _add_noise(i, slot, out, keys, deviation, moves):
    # Each number's key follows from the image's and its place: pairs of normal numbers by Box and Muller. What is cut
    # out stays zero.
    _, height, width, channels = out.shape
    key = keys[i]
    for p in range(height):
        for q in range(width):
            inside = moves[i, 3] <= p < moves[i, 4] and moves[i, 5] <= q < moves[i, 6]
            for c in range(channels):
                bits = _bits(key + np.uint64((p * width + q) * channels + c) * np.uint64(0x9E3779B97F4A7C15))
                radius = np.float32((bits >> np.uint64(40)) + np.uint64(1)) * np.float32(2.0**-24)
                angle = np.float32(bits & np.uint64(0xFFFFFF)) * np.float32(2 * np.pi * 2.0**-24)
                if not inside:
                    out[i, p, q, c] += deviation * np.sqrt(np.float32(-2) * np.log(radius)) * np.cos(angle)


@jit
def _bits(z):
    # the finaliser of SplitMix64, as in `draws`
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@jit
def _mix(block, slot, images, shares, cuts):
    count, height, width, channels = images.shape
    for i in range(count - 1):
        share = shares[i]
        for p in range(height):
            inside = cuts[i, 0] <= p < cuts[i, 1]
            for q in range(width):
                whole = inside and cuts[i, 2] <= q < cuts[i, 3]
                for c in range(channels):
                    other = images[i + 1, p, q, c]
                    images[i, p, q, c] = other if whole else share * images[i, p, q, c] + (1 - share) * other
