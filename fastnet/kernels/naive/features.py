"""Features of images that are not learnt: histograms of oriented gradients, and of hues."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.orientations import CUT, EPSILON, boundaries, hog_shape


def hog(x, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(3, 3), block_norm="L2-Hys"):
    """Gradients, histograms of cells, blocks of them normalised."""
    x = checks.floating(x, "x")
    kind = shapes.hog(x, orientations, pixels_per_cell, cells_per_block, block_norm)
    n, down, across, *block, bins = hog_shape(x.shape, orientations, pixels_per_cell, cells_per_block)
    cells = _cells(*_gradients(x), bins, pixels_per_cell)
    blocks = np.empty((n, down, across, *block, bins))
    for r, c in np.ndindex(down, across):
        blocks[:, r, c] = _normalised(cells[:, r:r + block[0], c:c + block[1]], block_norm)
    return blocks.reshape(kind.shape).astype(kind.dtype)


def _gradients(x):
    """(vertical, horizontal), (N, H, W): of the channel where their squares' sum is the largest, of several the first.
    """
    down, right = np.zeros_like(x), np.zeros_like(x)
    down[:, :, 1:-1] = x[:, :, 2:] - x[:, :, :-2]
    right[:, :, :, 1:-1] = x[:, :, :, 2:] - x[:, :, :, :-2]
    down, right = down.astype(np.float64), right.astype(np.float64)
    longest = (down ** 2 + right ** 2).argmax(axis=1)[:, None]
    return [np.take_along_axis(gradient, longest, axis=1)[:, 0] for gradient in (down, right)]


def _cells(down, right, bins, cell):
    """The histograms of all cells, (N, cells down, cells across, bins)."""
    length = np.sqrt(down ** 2 + right ** 2)
    turned = (down < 0) | (down == 0) & (right < 0)
    down, right = np.where(turned, -down, down), np.where(turned, -right, right)
    place = np.zeros(down.shape, int)
    for cosine, sine in zip(*boundaries(bins), strict=True):
        place += down * cosine >= right * sine
    counts = [size // pixels for size, pixels in zip(down.shape[1:], cell, strict=True)]
    cells = np.empty((len(down), *counts, bins))
    for r, c in np.ndindex(*counts):
        window = (slice(None), slice(r * cell[0], (r + 1) * cell[0]), slice(c * cell[1], (c + 1) * cell[1]))
        for b in range(bins):
            votes = np.where(place[window] == b, length[window], 0)
            cells[:, r, c, b] = votes.sum(axis=(1, 2)) / (cell[0] * cell[1])
    return cells


def _normalised(block, norm):
    """The numbers of one block of every image, divided by what the norm says."""
    def divided(v):
        if norm.startswith("L1"):
            return v / (v.sum(axis=(1, 2, 3), keepdims=True) + EPSILON)
        return v / np.sqrt((v ** 2).sum(axis=(1, 2, 3), keepdims=True) + EPSILON ** 2)

    v = divided(block)
    if norm == "L1-sqrt":
        return np.sqrt(v)
    return divided(np.minimum(v, CUT)) if norm == "L2-Hys" else v


def hue_histogram(x, bins=10):
    """The shares of the bins: hue is p / 6 d, d the largest channel minus the smallest, p by which is which."""
    x = checks.floating(x, "x")
    kind = shapes.hue_histogram(x, bins)
    red, green, blue = x.astype(np.float64).transpose(1, 0, 2, 3)
    largest = np.maximum(np.maximum(red, green), blue)
    d = largest - np.minimum(np.minimum(red, green), blue)
    p = np.where(largest == red, green - blue, np.where(largest == green, 2 * d + (blue - red), 4 * d + (red - green)))
    p = np.where(p < 0, p + 6 * d, p)
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.where(d > 0, bins * p / (6 * d), 0)
    place = np.where(place > 0, np.minimum(place, bins - 1), 0).astype(int).reshape(len(x), -1)
    counts = np.stack([np.bincount(one, minlength=bins) for one in place])
    return (counts / place.shape[1]).astype(kind.dtype)
