"""The rules that the histograms of oriented gradients share: how many there are, and where their bins end."""
import math

import numpy as np

from fastnet import arguments
from fastnet.kernels import checks

NORMS = ("L1", "L1-sqrt", "L2", "L2-Hys")
# What is added to sums that blocks are divided by, and where "L2-Hys" cuts.
EPSILON, CUT = 1e-5, 0.2
# A bin for each degree is more than enough.
MOST_BINS = 360


def hog_shape(x_shape, orientations, pixels_per_cell, cells_per_block):
    """(N, blocks down, blocks across, cells of a block down, across, orientations) of images (N, C, H, W)."""
    n, _, *hw = checks.images(x_shape)
    bins = arguments.integer(orientations, "orientations", 1, MOST_BINS)
    cell = arguments.integers(pixels_per_cell, "pixels_per_cell", 2, 1)
    block = arguments.integers(cells_per_block, "cells_per_block", 2, 1)
    down, across = (length // pixels - cells + 1 for length, pixels, cells in zip(hw, cell, block, strict=True))
    if min(down, across) < 1:
        raise ValueError(f"a block of {block[0]} x {block[1]} cells covers {block[0] * cell[0]} x {block[1] * cell[1]} "
                         f"pixels, more than images of {hw[0]} x {hw[1]}: use fewer or smaller cells, or larger images")
    checks.image_size(down * block[0], across * block[1] * bins)
    return n, down, across, *block, bins


def boundaries(orientations):
    """(cosines, sines) of the directions at which bins 1, 2 .. begin, float64. Those at multiples of 45 degrees, the
    only ones that a gradient of whole numbers can have exactly, compare exactly: a direction there is in the bin above.
    """
    cosines, sines = np.empty((2, orientations - 1))
    for i in range(1, orientations):
        angle = math.pi * i / orientations
        half = math.sqrt(0.5)
        exact = {1: (half, half), 2: (0.0, 1.0), 3: (-half, half)}.get(4 * i / orientations)
        cosines[i - 1], sines[i - 1] = exact or (math.cos(angle), math.sin(angle))
    return cosines, sines
