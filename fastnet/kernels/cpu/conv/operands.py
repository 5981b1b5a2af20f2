"""The arrays that the kernels of convolutions are given. All are flat, images channels-last."""
from typing import NamedTuple

import numpy as np


class Operands(NamedTuple):
    """Of a convolution; filters and bias are packed, see `packing`, or transformed, see `winograd_filters`."""

    x: np.ndarray
    filters: np.ndarray
    bias: np.ndarray
    y: np.ndarray


# Which argument y is of a kernel that takes Operands first.
Y = Operands._fields.index("y")


class Short(NamedTuple):
    """Which images hold words of two bfloat16 numbers, of channels that follow each other: half as much to move."""

    x: bool
    y: bool     # with what is added to it


NUMBERS = Short(False, False)


class Inputs(NamedTuple):
    """Of a gradient for the weights; also what these two have been transformed to."""

    x: np.ndarray
    dy: np.ndarray


class Sums(NamedTuple):
    """Where the parts of a gradient for the weights are added up, one after the other."""

    partial: np.ndarray     # the part's own layout, in the dtype of x
    total: np.ndarray       # the same in float64; empty where so little is added that nothing need be moved there
    bias: np.ndarray        # the gradient for the bias, in float64


class Gradients(NamedTuple):
    """For weights and for the bias: what all parts have, or their sums. The bias's are empty where nobody asks."""

    weights: np.ndarray
    bias: np.ndarray


class CollectMemory(NamedTuple):
    """Scratch memory for adding up what all parts have."""

    vectors: np.ndarray     # that are taken apart
    sums: np.ndarray        # see `sums.columns_memory`
