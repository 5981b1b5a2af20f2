"""How a chain of convolutions, see `chain`, is cut into bands, and what its kernels are told for each of them."""
from bisect import bisect_left
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.cpu import epilogue, simd
from fastnet.kernels.cpu.conv.amx import AmxTables
from fastnet.kernels.cpu.conv.choice import choose
from fastnet.kernels.cpu.conv.depthwise import Windows, group_size
from fastnet.kernels.cpu.conv.direct_tables import MOST_ENTRIES, GridPlan, Tables
from fastnet.kernels.cpu.conv.geometry import Geometry
from fastnet.kernels.cpu.conv.operands import NUMBERS, Operands
from fastnet.kernels.cpu.conv.passes import AmxForward, DepthwiseForward, DirectForward
from fastnet.kernels.cpu.runtime import begin_function, function_address, in_words
from fastnet.kernels.precision import precision

# Of the second cache, how much a band's wide rows may take, and how many bands all images should have, and have to.
_SHARE, _BANDS, _FEWEST = 0.75, 8, 4
# More products than this with each number in between take so long that bringing it from memory does not matter.
_MOST_PRODUCTS = 384
# What is gained is the time for writing and reading the wide rows, in bytes. What is lost is that for what neighbouring
# bands both compute, so many bytes' for a product, and for reading weights from a near cache for each band. These are
# guesses, so the gain has to be larger by a half.
_PRODUCT, _READ_AGAIN, _GAIN = 0.2, 0.5, 1.5
# Bytes of a result that a cache may not hold.
_LARGE_RESULT = 4 << 20
ONE_BY_ONE = (1, 1), (0, 0, 0, 0), (1, 1), 1


class Chain(NamedTuple):
    """The shapes of x and of the weights of its convolutions, None for one that is missing, and stride, padding,
    dilation and groups of the grouped one."""

    x: tuple
    expand: tuple | None
    grouped: tuple
    project: tuple | None
    where: tuple

    @property
    def wide(self):
        """The shape of what the grouped convolution reads."""
        return _pointwise_shape(self.x, self.expand, "expand")

    @property
    def made(self):
        """The shape of what it makes."""
        return tuple(checks.conv2d_shape(self.wide, self.grouped, *self.where))

    @property
    def stride(self):
        """How many rows below another one a window begins."""
        (down, _), *_ = self.where
        return down

    @property
    def reach(self):
        """How many rows it covers."""
        _, _, (dilation, _), _ = self.where
        _, _, r, _ = self.grouped
        return (r - 1) * dilation + 1

    @property
    def y(self):
        """The shape of the result."""
        return _pointwise_shape(self.made, self.project, "project")


def _pointwise_shape(x, w, name):
    """What becomes of images of shape x by 1x1 weights of shape w, or by none."""
    if w is None:
        return x
    if tuple(w[2:]) != (1, 1):
        raise ValueError(f"expected 1x1 weights to {name}, got weights of shape {tuple(w)}")
    return tuple(checks.conv2d_shape(x, w, *ONE_BY_ONE))


class Band(NamedTuple):
    """Rows of the result, from `first` up to `stop`, and those of x that they are computed from, `top` to `bottom`,
    with so many rows of zeros above and below."""

    first: int
    stop: int
    top: int
    bottom: int
    above: int
    below: int

    @property
    def kind(self):
        """What is the same for all bands that can share tables: rows that are made and read, and those of zeros."""
        return self.stop - self.first, self.bottom - self.top, self.above, self.below


def bands_of(chain, dtype):
    """The Bands of an image; None where a chain would not pay, or cannot be cut."""
    (n, _, h, w), (_, wide, p, q), itemsize = chain.x, chain.made, np.dtype(dtype).itemsize
    products = (chain.x[1] if chain.expand else 0) + (chain.y[1] if chain.project else 0)
    if not group_size(Geometry.of(chain.wide, chain.grouped, chain.made, dtype, chain.where)) or \
            products > _MOST_PRODUCTS:
        return None
    read = w * wide * itemsize if chain.expand else 0       # bytes of a wide row that is read
    made = q * wide * itemsize if chain.project else 0      # and of one that is made

    def too_large(rows):
        """Whether the second cache does not hold the wide rows of a band, or one strip of the direct way its pixels."""
        lines = min(h, (rows - 1) * chain.stride + chain.reach)
        return max(lines * w, rows * q) > MOST_ENTRIES // 2 or \
            lines * read + rows * made > _SHARE * simd.CACHE_BYTES

    most = bisect_left(range(1, p + 1), True, key=too_large)    # rows that a band may have
    if not most:
        return None
    weights = sum(prod(shape) for shape in (chain.expand, chain.grouped, chain.project) if shape) * itemsize
    expanding = prod(chain.expand) * w if chain.expand else 0   # products of a wide row
    needed = -(-p // most)
    for count in range(max(needed, min(p, -(-_BANDS // n))), max(needed, -(-_FEWEST // n)) - 1, -1):
        bands = _cut(chain, count)
        again = sum(band.bottom - band.top for band in bands) - h
        lost = again * expanding * _PRODUCT + len(bands) * weights * _READ_AGAIN
        whole = all(band.bottom > band.top for band in bands)
        if whole and n * len(bands) >= _FEWEST and 2 * (h * read + p * made) >= _GAIN * lost:
            return bands
    return None


def _cut(chain, count):
    """So many Bands, or fewer, as even as they can be."""
    (_, _, h, _), (_, _, p, _), (_, (top, *_), _, _) = chain.x, chain.made, chain.where
    rows, bands = -(-p // count), []
    for first in range(0, p, rows):
        stop = min(p, first + rows)
        begin, end = first * chain.stride - top, (stop - 1) * chain.stride - top + chain.reach
        bands.append(Band(first, stop, max(0, begin), min(h, end), max(0, -begin), max(0, end - h)))
    return bands


class StagePlan(NamedTuple):
    """One convolution of a kind of bands: the address of its kernel, and its blocks."""

    kernel: int
    blocks: int


class Stage:
    """One convolution of a chain, for all kinds of bands: `plans`, `numbers` and `tables` are theirs, one behind the
    other, and `memory` the most numbers of scratch that any wants; `way` packs its weights. Without a way there is
    none."""

    def __init__(self, dtype, ways=()):
        self.way, self.memory = ways[0] if ways else None, 0
        self._kernels, self.wanted, self.numbers, nothing = [], [], [], np.zeros(0, np.int64)
        self.plans = [StagePlan(0, 0)] * (not ways)
        self._array = np.zeros(0, dtype)
        self.tables = self._no_tables(nothing)
        for way in ways:
            self._add(way.convolve)
        self.numbers, self.plans = np.concatenate([nothing, *self.numbers]), in_words(*self.plans)

    def complete(self):
        """Put the addresses of the kernels in place: late, so that the kernels of all stages are compiled side by side.
        """
        for plan, kernel in zip(self.plans.reshape(-1, len(StagePlan._fields)), self._kernels, strict=False):
            plan[StagePlan._fields.index("kernel")] = function_address(*kernel)

    def _add(self, convolve):
        """Take in what the convolution of one kind of bands has been worked out to: each kind of stage has its own."""
        raise NotImplementedError

    def _no_tables(self, nothing):
        """Those of a stage that is missing, of empty arrays."""
        return Tables(nothing, nothing, nothing, nothing, self._array)

    def _plan(self, convolve, numbers, before, blocks, *behind):
        """Add a convolution that is launched with these numbers, and such tables or scratch memory before them, and
        more behind the epilogue."""
        array = self._array
        operands, how = Operands(array, array, array, array), epilogue.make(array)
        self.numbers.append(numbers)
        kernel = convolve.launch.body, (operands, *before, numbers, how, *behind)
        self.wanted.append(begin_function(*kernel))
        self._kernels.append(kernel)
        self.plans.append(StagePlan(0, blocks))


class PointwiseStage(Stage):
    """A 1x1 convolution, by `direct`."""

    def _add(self, convolve):
        found, before = convolve.tables, self.tables
        grid = GridPlan(*map(int, found.grids))
        grid = grid._replace(reads=grid.reads + before.reads.size, writes=grid.writes + before.writes.size)
        # A band is one strip in all kinds, which read the same zeros.
        self.tables = Tables(np.concatenate([before.reads, found.reads]), np.concatenate([before.writes, found.writes]),
                             found.strips, np.concatenate([before.grids, in_words(grid)]), found.zeros)
        self._plan(convolve, convolve.numbers, (found,), convolve.launch.blocks)


class _AmxInOneThread(AmxForward):
    """That of a band, all of whose blocks are computed by one thread."""

    blocks = 1


class _DepthwiseInOneThread(DepthwiseForward):
    """The same."""

    blocks = 1


class MatrixStage(Stage):
    """A 1x1 convolution, by `amx`. The tables of all kinds are of one size."""

    def _no_tables(self, nothing):
        return AmxTables(nothing, nothing, nothing, nothing)

    def _add(self, convolve):
        self.memory = max(self.memory, convolve.memory)
        self.tables = AmxTables(*map(np.concatenate, zip(self.tables, convolve.tables, strict=True)))
        self._plan(convolve, convolve.numbers, (self._array, convolve.tables), convolve.launch.blocks, NUMBERS)


class GroupedStage(Stage):
    """The grouped convolution, by `depthwise`; it asks early for what it writes to where that is `far`, not in a cache.
    """

    def __init__(self, dtype, ways, far):
        self.far = far
        super().__init__(dtype, ways)

    def _add(self, convolve):
        self.memory = max(self.memory, convolve.memory)
        numbers = in_words(Windows(*map(int, convolve.numbers))._replace(large=self.far))
        self._plan(convolve, numbers, (self.tables.zeros,), convolve.launch.blocks)


def by_matrices(chain, dtype):
    """(expand, project): which 1x1 convolutions of a chain multiply matrices of bfloat16 numbers."""
    (_, _, *x), (_, _, *y) = chain.x, chain.y
    return tuple(w_shape is not None and choose(
        "forward", _pointwise_geometry(w_shape, size, np.dtype(dtype)), precision.get()).amx
        for w_shape, size in ((chain.expand, x), (chain.project, y)))


def _pointwise_geometry(w_shape, size, dtype):
    """That of a 1x1 convolution of one image of so many pixels."""
    k, c, *_ = w_shape
    return Geometry.of((1, c, *size), w_shape, (1, k, *size), dtype, ONE_BY_ONE)


def stages_of(chain, kinds, dtype, matrices):
    """(expand, grouped, project): the Stages of bands of these kinds; `matrices` is what `by_matrices` tells."""
    (_, _, _, w), (_, wide, _, q) = chain.x, chain.made
    stride, (_, _, *sides), dilation, groups = chain.where

    def pointwise(w_shape, sizes, by_amx):
        stage, way = (MatrixStage, _AmxInOneThread) if by_amx else (PointwiseStage, DirectForward)
        return stage(dtype, [way(_pointwise_geometry(w_shape, size, dtype)) for size in sizes] if w_shape else ())

    ways = [_DepthwiseInOneThread(Geometry.of((1, wide, read, w), chain.grouped, (1, wide, made, q), dtype,
                                              (stride, (above, below, *sides), dilation, groups)))
            for made, read, above, below in kinds]
    far = chain.project is None and prod(chain.y) * dtype.itemsize > _LARGE_RESULT
    return (pointwise(chain.expand, [(read, w) for _, read, _, _ in kinds], matrices[0]),
            GroupedStage(dtype, ways, far),
            pointwise(chain.project, [(made, q) for made, _, _, _ in kinds], matrices[1]))
