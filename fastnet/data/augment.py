"""Random crop, flip, cutout, brightness and contrast, and the normalisation of images, in one compiled pass from the
data set into a batch.

All randomness comes from `random_bits`, which has no state: the numbers of a sample follow from the seed, the epoch and
the sample's place in the data set, so that neither batch size nor threads nor prefetching can change them.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu.runtime import jit, launch

# What a random number is for: the order and the augmentation of an epoch must not depend on each other.
ORDER, TOP, LEFT, FLIP, CUT_ROW, CUT_COLUMN, BRIGHTNESS, CONTRAST = range(8)


def random_bits(seed, epoch, index, purpose):
    """64 random bits for every element of `index`, as uint64 of its shape.

    The four numbers pass one after the other through the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", OOPSLA 2014; constants: Stafford's mix 13).
    """
    bits = np.zeros(1, np.uint64)
    for word in (seed, epoch, purpose, index):
        bits = _mix((bits ^ np.asarray(word).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15))
    return bits


def _mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def permutation(seed, epoch, n):
    """The numbers 0 to n - 1 in the random order of this seed and epoch, int64."""
    return np.argsort(random_bits(seed, epoch, np.arange(n), ORDER), kind="stable")


def random_moves(seed, epoch, index, height, width, crop=0, flip=False, cutout=0):
    """What happens to each sample of `index`: int64 (N, 7), top, left, flip, and the rows and columns that are cut out.

    flip is False, True (an even chance in every epoch) or "alternating": a random half of the images in epoch 0, the
    other half in epoch 1 and so on, so that two epochs show each image both ways (Jordan, "94% on CIFAR-10 in 3.29
    seconds on a single GPU", 2024, section 3.6).
    The output's pixel (p, q) is the image's pixel (p + top, q + left), where -crop <= top, left <= crop; with flip = 1
    the columns then run from right to left. Rows cut[0] to cut[1] and columns cut[2] to cut[3], ends excluded, of the
    output are set to zero: a square of `cutout` pixels around a random pixel, clipped at the border (DeVries and
    Taylor, "Improved regularization of convolutional neural networks with cutout", 2017).
    """
    def below(bound, purpose, epoch=epoch):  # uniform on 0 ... bound - 1, from the upper half of the bits
        bits = random_bits(seed, epoch, index, purpose)
        return (((bits >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    moves = np.zeros((len(index), 7), np.int64)
    if crop:
        moves[:, 0] = below(2 * crop + 1, TOP) - crop
        moves[:, 1] = below(2 * crop + 1, LEFT) - crop
    if flip == "alternating":
        moves[:, 2] = (below(2, FLIP, epoch=0) + epoch) % 2
    elif flip:
        moves[:, 2] = below(2, FLIP)
    if cutout:
        for column, size, purpose in ((3, height, CUT_ROW), (5, width, CUT_COLUMN)):
            start = below(size, purpose) - cutout // 2
            moves[:, column] = np.maximum(start, 0)
            moves[:, column + 1] = np.minimum(start + cutout, size)
    return moves


def random_light(seed, epoch, index, brightness=0.0, contrast=0.0):
    """(gain, offset) for each sample of `index`: float32 (N, 2), uniform on 1 - contrast ... 1 + contrast and on
    -brightness ... brightness. Howard, "Some improvements on deep convolutional neural network based image
    classification", 2013, section 2.2."""
    light = np.tile(np.float32((1, 0)), (len(index), 1))
    for column, most, purpose in ((0, contrast, CONTRAST), (1, brightness, BRIGHTNESS)):
        if most:
            share = (random_bits(seed, epoch, index, purpose) >> np.uint64(40)) / 2**23 - 1  # from -1 to 1
            light[:, column] += (most * share).astype(np.float32)
    return light


def fill_batch(out, images, index, moves, terms, reflect=False, light=None):
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
    light = random_light(0, 0, index) if light is None else light
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
