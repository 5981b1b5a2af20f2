"""Features of images that are not learnt: histograms of oriented gradients, and of hues.

A linear classifier, or a net of two layers, does better on these than on raw pixels. `fastnet.estimators` has them as
transformers of scikit-learn.
"""
from fastnet import arguments
from fastnet.data.normalize import check_images
from fastnet.kernels import load
from fastnet.kernels.orientations import MOST_BINS, NORMS

__all__ = ["hog", "hue_histogram"]


def hog(images, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(3, 3), block_norm="L2-Hys"):
    """Histograms of oriented gradients: in which directions brightness changes, in cells of some pixels.

    images : (N, C, H, W), uint8 or float, of any range; of several channels, each pixel takes the one that changes most
    orientations : bins, each for 180 / orientations degrees, signs apart;  pixels_per_cell : (vertical, horizontal)
    cells_per_block : cells whose numbers are normalised together; blocks start at each cell where one fits
    block_norm : with e = 1e-5, "L1" v / (sum |v| + e), "L1-sqrt" the root of it, "L2" v / sqrt(sum v^2 + e^2), "L2-Hys"
    the same, then cut at 0.2 and once more
    Returns float32 (float64 of float64 images) of shape (N, D), D the product of blocks down, blocks across, cells of a
    block and orientations: the order of scikit-image's ``hog``, as all else. ValueError or TypeError for what does not
    fit. Dalal and Triggs, "Histograms of oriented gradients for human detection" (2005).

    >>> import numpy as np
    >>> hog(np.zeros((1, 3, 240, 320), np.uint8), cells_per_block=(1, 1)).shape
    (1, 10800)
    """
    images = check_images(images, "hog: images")
    arguments.integer(orientations, "hog: orientations", 1, MOST_BINS)
    cell = arguments.integers(pixels_per_cell, "hog: pixels_per_cell", 2, 1)
    block = arguments.integers(cells_per_block, "hog: cells_per_block", 2, 1)
    arguments.choice(block_norm, NORMS, "hog: block_norm")
    least = cell[0] * block[0], cell[1] * block[1]
    if images.shape[2] < least[0] or images.shape[3] < least[1]:
        raise ValueError(f"hog: cells_per_block {block} of pixels_per_cell {cell} cover {least[0]} x {least[1]} pixels "
                         f"and images have {images.shape[2]} x {images.shape[3]}: use fewer or smaller cells")
    return load("cpu").hog(images, orientations, cell, block, block_norm)


def hue_histogram(images, bins=10):
    """The shares of each image's pixels whose hue lies in each of `bins` equal parts of the way round the colours, from
    red through green and blue back to red. Grey pixels, which have no hue, count as red.

    images : (N, 3, H, W), red, green and blue, uint8 or float, of any range
    Returns float32 (float64 of float64 images) of shape (N, bins), each row of which adds up to 1. ValueError or
    TypeError for what does not fit.

    >>> import numpy as np
    >>> green = np.zeros((1, 3, 4, 4), np.uint8)
    >>> green[:, 1] = 200
    >>> hue_histogram(green, bins=3)
    array([[0., 1., 0.]], dtype=float32)
    """
    images = check_images(images, "hue_histogram: images")
    if images.shape[1] != 3:
        raise ValueError("hue_histogram: images must have 3 channels, red, green and blue, got shape "
                         f"{images.shape}")
    return load("cpu").hue_histogram(images, arguments.integer(bins, "hue_histogram: bins", 1, MOST_BINS))
