"""Which way a pass of a convolution is computed in, and why: direct, or in one of Winograd's forms.

A *cost* is an estimate of cycles of one core, one for a vector of multiply-adds. It follows from shapes and the width
of vectors, not from the number of threads, so that results do not depend on it either. It counts

    products      for each tap, or Winograd point, and each input channel: rows (pixels, or patches) in whole tiles
                  times the vectors of output channels in whole panels
    transforms    Winograd's, for each patch and each vector of its input and output channels
    weights       which are read once for so many rows, from main memory where those of all groups are too many to stay
                  in a cache; in the gradient for the input they are packed in each call as well

Where there are groups it is that of one of them.
"""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv import amx_layout
from fastnet.kernels.cpu.conv.amx_stem import numbers_of, words_at_once
from fastnet.kernels.cpu.conv.direct_tables import images_together, rows_for, shape_for
from fastnet.kernels.cpu.conv.passes import FEW_CHANNELS
from fastnet.kernels.cpu.conv.winograd import most_patches

# For each kernel size, the numbers of outputs on a side that Winograd is accurate and quick for.
WINOGRAD_SIZES = {3: (4, 2), 5: (2,)}
# Up to here transforms, which are done for whole vectors of channels, cost more than products save.
FEWEST_CHANNELS = 8
# A transform of a patch of n x n numbers takes n^4 over so many cycles, for each vector of channels, and so many more
# to read and write it.
_TRANSFORM, _PATCH = 4, 60
# Reading a vector of weights takes so many cycles, and serves about so many rows in the direct way.
_READING, _ROWS_AT_A_TIME = 4, 48
# What a vector takes besides that comes from main memory, and of how many bytes of weights all do: fewer of smaller
# ones, since more of those stay in a cache while the other layers of a net take their turn. Xeons multiply twice as
# quickly as what else was measured, and are further from their cache.
_FROM_MEMORY, _ALL_BYTES = (96, 8 << 20) if simd.FAR_CACHE else (8, 32 << 20)
# What it takes to make a vector of weights as they are given; and to clear one of sums, to add to it, and to bring it
# to the weights' order: the direct way moves number by number there, Winograd's has fewer to move.
_PACKING, _COLLECTING, _COLLECTING_TRANSFORMED = 12, 20, 10
# Winograd has to cost so many times less.
_GAIN = 1.1
# Products of a sum for which matrices of bfloat16 numbers pay: half of what one of them holds in a row.
_FEWEST_SUMMED = amx_layout.CHANNELS // 2
# Products that each number of an image must take part in for rounding it to bfloat16 to pay.
_PAYING_PRODUCTS = 24


class Choice(NamedTuple):
    """How a pass is computed."""

    m: int | None   # outputs on a side of a patch; None for the direct way
    paired: bool    # whether products are of bfloat16
    amx: bool       # whether they are of whole matrices of these
    reason: str


def choose(direction, geometry, precise):
    """The Choice for a pass of a `Geometry`; `precise` is what `precision` holds."""
    if precise == "bfloat16" and simd.AMX:
        if _multiplies_matrices(direction, geometry):
            return Choice(None, True, True, "the processor multiplies whole matrices of bfloat16 numbers")
        precise = "float32"     # such processors are no quicker with vectors of words than of numbers
    pairs = precise == "bfloat16" and _pairs_directly(direction, geometry)
    groups, geometry = geometry.groups, geometry.part
    r, s = geometry.kernel
    channels = min(geometry.source.channels, geometry.target.channels)
    obstacles = {
        "exact() is on": precise == "exact",
        f"{geometry.dtype} numbers": geometry.dtype != np.float32,
        f"{r}x{s} kernel": r != s or r not in WINOGRAD_SIZES,
        f"stride {tuple(geometry.stride)}": geometry.stride != (1, 1),
        f"dilation {tuple(geometry.dilation)}": geometry.dilation != (1, 1),
        f"fewer than {FEWEST_CHANNELS} channels{' a group' * (groups > 1)}": channels < FEWEST_CHANNELS,
    }
    for obstacle, is_there in obstacles.items():
        if is_there:
            return Choice(None, pairs, False, obstacle)
    convolution = geometry.reversed() if direction == "backward_input" else geometry
    costs = {m: winograd_cost(direction, convolution, m, groups) for m in WINOGRAD_SIZES[r]}
    best = min(costs, key=costs.get)
    source, result = convolution.source, convolution.target
    if _GAIN * costs[best] >= direct_cost(direction, convolution, groups):
        return Choice(None, pairs, False, f"Winograd on {result.height}x{result.width} outputs would save too little")
    paired = precise == "bfloat16" and (direction == "backward_weight" or source.channels % 2 == 0)
    saved = result.height * result.width * r * s / (patches_of(convolution, best) * (best + r - 1) ** 2)
    return Choice(best, paired, False, f"{saved:.1f} times fewer multiplications")


def _multiplies_matrices(direction, geometry):
    """Whether the matrix registers, see `simd.amx`, would not be mostly empty: what is rounded, and written to memory
    as their rows, has to be multiplied by enough. And whether taps, with a large dilation say, do not reach over more
    lines than a block can write out, which would be written again and again."""
    (k, channels, r, s), groups, padding = geometry.w_shape, geometry.groups, geometry.padding
    read, made, images = channels, k // groups, geometry.source
    down, across = (r - 1) * geometry.dilation.down, (s - 1) * geometry.dilation.across
    rows, columns = max(down, padding.top), max(across, padding.left)
    if direction == "backward_input":
        read, made, images = made, read, geometry.target
        rows, columns = -(-rows // geometry.stride.down), -(-columns // geometry.stride.across)
    if direction == "forward" and channels <= FEW_CHANNELS:
        width = (images.width + columns) * numbers_of(channels) // 2
        near = geometry.kernel.down * geometry.dilation.down * width <= amx_layout.MOST_WORDS_BESIDE
        return (geometry.dtype == np.float32 and groups == 1 and geometry.dilation.across == 1 and near
                and made >= FEWEST_CHANNELS and words_at_once(s, channels) is not None)
    near = rows * (images.width + columns) * amx_layout.words_of(read)[1] <= amx_layout.MOST_WORDS_BESIDE
    enough = direction == "backward_weight" or read * r * s >= _FEWEST_SUMMED
    return geometry.dtype == np.float32 and read > FEW_CHANNELS and made >= FEWEST_CHANNELS and near and enough


def _pairs_directly(direction, geometry):
    """Whether the direct way multiplies bfloat16 numbers where it may: each number of the images is then rounded before
    it is read, which only so many products with it pay for."""
    if direction == "backward_weight" or geometry.dtype != np.float32:
        return False
    (k, channels, r, s), groups = geometry.w_shape, geometry.groups
    read, made = (k // groups, channels) if direction == "backward_input" else (channels, k // groups)
    pixels, outputs = (image.height * image.width for image in (geometry.source, geometry.target))
    products = made * r * s * (outputs / pixels if direction == "forward" else 1)
    return read > FEW_CHANNELS and read % 2 == 0 and products >= _PAYING_PRODUCTS


def patches_of(convolution, m):
    """How many patches of m x m outputs an image has."""
    return -(-convolution.target.height // m) * -(-convolution.target.width // m)


def direct_cost(direction, convolution, groups=1):
    """That of the direct way, for one of so many groups."""
    target, dtype = convolution.target, convolution.dtype
    pixels = target.height * target.width
    images = min(convolution.batch, images_together(pixels))
    apart = convolution.source.channels * convolution.stride.across * dtype.itemsize
    height = rows_for(images * pixels, shape_for(target.channels, dtype), apart)
    tiled = -(-images * pixels // height) * height * -(-convolution.batch // images)
    vectors = _vectors(target.channels, dtype, simd.close_tiles_for if direction == "backward_weight" else shape_for)
    weights = prod(convolution.kernel) * convolution.source.channels * vectors
    rows = convolution.batch * pixels
    if direction == "backward_weight":
        return weights * (rows + _COLLECTING)
    return _product_cost(direction, weights, groups, rows, tiled, _ROWS_AT_A_TIME)


def winograd_cost(direction, convolution, m, groups=1):
    """That of F(m, r), for one of so many groups."""
    source, target, dtype, r = convolution.source, convolution.target, convolution.dtype, convolution.kernel.down
    rows, short = convolution.batch * patches_of(convolution, m), simd.tiles_for(target.channels, dtype).short_rows
    vectors, lanes, points = _vectors(target.channels, dtype), simd.width(dtype), (m + r - 1) ** 2
    transforms = (points ** 2 / _TRANSFORM + _PATCH) * (-(-source.channels // lanes) + -(-target.channels // lanes))
    weights = points * source.channels * vectors
    if direction == "backward_weight":
        return rows * transforms + weights * (rows + _COLLECTING_TRANSFORMED)
    at_a_time = most_patches(points, source.channels, target.channels, dtype)
    return rows * transforms + _product_cost(direction, weights, groups, rows, -(-rows // short) * short, at_a_time)


def _product_cost(direction, weights, groups, rows, tiled, at_a_time):
    """That of the products of so many vectors of a group's weights with so many rows, `tiled` with those that fill up
    tiles."""
    missing = min(1, groups * weights * simd.VECTOR_BYTES / _ALL_BYTES) ** 2
    packing = _PACKING if direction == "backward_input" else 0
    return weights * (tiled + _READING * -(-rows // at_a_time) + missing * _FROM_MEMORY + packing)


def _vectors(columns, dtype, choose_tiles=simd.tiles_for):
    """How many vectors the panels for so many columns are wide."""
    halves = choose_tiles(columns, dtype).halves
    return -(-2 * columns // (halves * simd.width(dtype))) * halves / 2
