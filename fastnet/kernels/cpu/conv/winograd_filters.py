"""Winograd's matrices, and the filters of a convolution in Winograd's form.

The matrices follow from the *nodes* at which polynomials are evaluated: 0, plus and minus 3/4 and 3/2, and infinity.
The geometric mean of the four is near 1, so that no power of one is far from another's, and they are exact in binary;
since two and two differ in signs alone the transforms share sums. With 1 and 2 in their place, the literature's, the
error is twice as large in the mean, and at its largest 3.5 times; without such pairs (1, -1, 1/2, -2) it is 1.4 times
as large, and the transforms take longer.

Source: Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for deep neural networks",
2020.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv import packing
from fastnet.kernels.cpu.runtime import Launch, empty, in_words, jit, named, scratch

# Filters of more bytes are written past the caches: they go to so many places at once that each would be waited for,
# and most have left the caches again before they are read.
_FAR = 8 << 20
# The nodes but for infinity, by their number with it: m + r - 1.
_NODES = {4: (0, 1, -1), 6: (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)}


class Matrices(NamedTuple):
    """The matrices of F(m, r), in float64: m outputs of a kernel of r from n = m + r - 1 inputs. In one dimension
    y = at ((f kernel) * (bt inputs)); see `winograd` for two."""

    at: np.ndarray  # A^T, m x n
    f: np.ndarray   # F, n x r
    bt: np.ndarray  # B^T, n x n


@functools.cache
def matrices(m, r):
    """The Matrices of F(m, r). A^T and F evaluate polynomials at the nodes, B^T interpolates (Toom and
    Cook). The rows of B^T are polynomials whose first coefficient is 1, which few numbers have to be multiplied by; F
    takes the inverse factor."""
    n = m + r - 1
    nodes = np.array(_NODES[n], np.float64)
    others = [np.delete(nodes, i) for i in range(n - 1)]
    at = np.zeros((m, n))
    at[:, :-1] = nodes ** np.arange(m)[:, None]
    at[-1, -1] = 1
    f = np.zeros((n, r))
    f[:-1] = nodes[:, None] ** np.arange(r)
    f[-1, -1] = 1
    bt = np.zeros((n, n))
    for i, rest in enumerate(others):
        bt[i, :-1] = np.poly(rest)[::-1]
        f[i] /= np.prod(nodes[i] - rest)
    bt[-1] = np.poly(nodes)[::-1]
    return Matrices(at, f, bt)


def error_bound(m, r, channels):
    """The most by which an output of F(m, r) in float32 can be wrong: so many times the sum over input channels of the
    largest absolute value in the patch times the sum of the absolute weights.

    Each number goes through two times two transforms, of up to n = m + r - 1 terms, and a sum over channels: no more
    than 4 n + channels roundings, of what the transforms' absolute values make of numbers of size 1 (Higham, Accuracy
    and stability of numerical algorithms, 2002, section 3.1; Barabasz et al., theorem 1).
    """
    at, f, bt = (np.abs(matrix) for matrix in matrices(m, r))
    growth = ((at[:, :, None] * f * bt.sum(axis=1)[:, None]).sum(axis=1)).max() ** 2
    roundings = (4 * (m + r - 1) + channels) * 2.0**-24
    return roundings / (1 - roundings) * growth


class _Plan(NamedTuple):
    point: int      # numbers from one point's filters to the next's
    backward: int


class TransformFilters:
    """From w (K, C / groups, r, r) to the filters of F(m, r), F G F^T for each kernel G, as (points, groups, panels,
    rows, panel).

    A *point* is one of the (m + r - 1)^2 numbers that a kernel is then; rows and panels are as in `packing`. `backward`
    makes those of the gradient for the input, whose kernels are rotated by half a circle. One vector is left free after
    each point, since at a power of two all points would share the same lines of the cache. If `paired`, two rows make
    one of words, see `simd.bfloat16`.
    """

    def __init__(self, w_shape, dtype, m, groups=1, backward=False, paired=False):
        w, r, lanes = packing.weight_matrices(w_shape, dtype, groups, backward), w_shape[2], simd.width(dtype)
        points, point = (m + r - 1) ** 2, w.numbers // (1 + paired) + lanes
        self.size, self.spare = points * point, (w.taps + lanes + 2 * points) * lanes
        self.weights, self.numbers = in_words(w), in_words(_Plan(point, backward))
        self.launch = Launch(_kernel(m, r, paired, self.size * dtype.itemsize > _FAR), w.blocks, self.size)

    def __call__(self, w):
        filters = empty(self.size, w.dtype)
        self.launch(w.reshape(-1), filters, scratch(self.spare, w.dtype, self.size), self.weights, self.numbers)
        return filters


@functools.cache
def _kernel(m, r, paired, far):
    n, word = m + r - 1, 1 + paired
    transform = simd.make_transform(matrices(m, r).f)
    transform_to_place = simd.make_transform(matrices(m, r).f, streams=True) if far else transform

    def transform_filters(block, slot, w, filters, memory, weights, numbers):
        """F G F^T for some rows of one panel, a vector of columns at a time.

        In memory: r r vectors of the taps, some room behind them, and the n n vectors of the result, twice, where it
        cannot go to its place at once: two rows that share words, or panels narrower than a vector.
        """
        plan, matrix, lanes = named(_Plan, numbers), named(packing.WeightMatrices, weights), simd.lanes(w)
        panel_number, part = block // matrix.parts, block % matrix.parts
        group, first = panel_number // matrix.panels, panel_number % matrix.panels * matrix.panel
        taps = slot * (matrix.taps + lanes + 2 * n * n) * lanes
        result, result_size = taps + (matrix.taps + lanes) * lanes, n * n * lanes
        # Rotated by half a circle, taps count down from the last.
        first_tap, step = (taps + (matrix.taps - 1) * lanes, -lanes) if plan.backward else (taps, lanes)
        for j in range(0, matrix.panel, lanes):
            count = max(matrix.columns - first - j, 1)
            start = group * matrix.group_stride + (matrix.columns - count) * matrix.column_stride
            for row in range(part * matrix.block_rows, min((part + 1) * matrix.block_rows, matrix.rows)):
                packing.transpose_taps(w, start + row * matrix.row_stride, count, memory, taps, matrix)
                to = (panel_number * matrix.rows + row) // word * matrix.panel + j
                if matrix.panel >= lanes and not paired:
                    transform_to_place(memory, first_tap, r * step, step, filters, to, n * plan.point, plan.point)
                    continue
                half = row % word
                transform(memory, first_tap, r * step, step, memory, result + half * result_size, n * lanes, lanes)
                if half == word - 1:
                    for point in range(n * n):
                        v = simd.load(memory, result + point * lanes)
                        if paired:
                            v = simd.pair(v, simd.load(memory, result + result_size + point * lanes))
                        simd.store_part(filters, to + point * plan.point, v, matrix.panel - j)

    transform_filters.__qualname__ = f"transform_filters_{m}_{r}_{word}" + "_far" * far
    return jit(transform_filters)
