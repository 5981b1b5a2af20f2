"""Features of images that are not learnt: no gradient flows through them."""
from math import prod

from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.orientations import MOST_BINS, NORMS, hog_shape
from fastnet.kernels.shapes.kind import Kind


def hog(x, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(3, 3), block_norm="L2-Hys"):
    """Histograms of oriented gradients. The gradient at a pixel is the difference of its neighbours below and above
    and that of its neighbours to the right and the left, 0 at the border, taken from the channel where it is longest. A
    cell is pixels_per_cell (vertical, horizontal); what is left at the right and the bottom belongs to none. The
    histogram of a cell has `orientations` bins, each for 180 / orientations degrees of the gradient's direction, signs
    apart, the first from 0 on, where brightness changes along a row; in it are the lengths of the gradients, summed up
    and divided by the number of pixels. A block is cells_per_block, one starts at each cell where it fits, and its
    numbers v are normalised together, with e = 1e-5:

        "L1" v / (sum v + e), "L1-sqrt" the root of that, "L2" v / sqrt(sum v^2 + e^2), "L2-Hys" the same, then cut at
        0.2 and once more.

    x (N, C, H, W); y (N, D), D numbers an image, block after block, cell after cell of the block. Dalal and Triggs,
    Histograms of oriented gradients for human detection (2005), section 6."""
    n, *sizes = hog_shape(x.shape, orientations, pixels_per_cell, cells_per_block)
    arguments.choice(block_norm, NORMS, "block_norm")
    return Kind((n, prod(sizes)), checks.result_dtype(x, "x"))


def hue_histogram(x, bins=10):
    """y[n, b] is the share of the pixels of image n whose hue lies in bin b: from b / bins up to (b + 1) / bins of the
    way round the colours from red through green and blue. A gray pixel counts as red. x (N, 3, H, W), y (N, bins)."""
    n, c, _, _ = checks.images(x.shape)
    if c != 3:
        raise ValueError(f"expected x of 3 channels, red, green and blue, got x of shape {tuple(x.shape)}")
    return Kind((n, arguments.integer(bins, "bins", 1, MOST_BINS)), checks.result_dtype(x, "x"))
