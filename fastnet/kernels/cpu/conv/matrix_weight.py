"""The gradient for a matrix of weights, that of a 1x1 convolution or of a linear layer: `direct_weight` for one line of
pixels, where x and dy change places if that is less to do."""
import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv.direct_weight import DirectWeightGradient
from fastnet.kernels.cpu.conv.geometry import Geometry


class MatrixGradient:
    """The gradient for weights (K, C) between so many pixels of C numbers and of K, all worked out but the numbers."""

    def __init__(self, pixels, c, k, dtype):
        self.turned = 1.1 * _room(c, k, dtype) >= _room(k, c, dtype)
        (rows, columns), places = ((k, c), np.arange(k) * c) if self.turned else ((c, k), np.arange(c))
        where = (1, 1), (0, 0, 0, 0), (1, 1), 1
        line = Geometry.of((1, rows, 1, pixels), (columns, rows, 1, 1), (1, columns, 1, pixels), dtype, where)
        self.gradient = DirectWeightGradient(line, line.source, line.taps, None, places, self.turned, line=True)

    def __call__(self, x, dy, bias):
        """As that of a DirectWeightGradient."""
        return self.gradient(dy, x, bias) if self.turned else self.gradient(x, dy, bias)


def _room(rows, columns, dtype):
    """What whole tiles of sums take."""
    tiles = simd.close_tiles_for(columns, dtype)
    panel = tiles.halves * simd.width(dtype) // 2
    return -(-rows // tiles.depth_rows) * tiles.depth_rows * -(-columns // panel) * panel
