"""Explicit vectors and register tiles: the instructions that the compiled kernels are made of.

A *vector* is one register full of numbers, ``lanes(x)`` of them for the dtype of array ``x`` (16 float32 with AVX-512).
``simd.load(x, i)`` is the vector of x[i], x[i + 1], ...; ``+ - * /`` and `fma` work lane by lane, like NumPy on short
arrays; ``simd.store(x, i, v)`` writes it back:

    for i in range(0, x.size, simd.lanes(x)):           # y = max(x, 0), a vector at a time
        n = x.size - i                                  # the last vector may be partial: only n numbers are touched
        simd.store_part(y, i, simd.relu(simd.load_part(x, i, n)), n)

Memory is always named as (array, index of the first element), and arrays are one-dimensional and C-contiguous. So the
same kernel runs compiled, and, with ``NUMBA_DISABLE_JIT=1``, step by step as plain Python. What a primitive means is
written down once, in NumPy, in `simd.python` and the files whose names begin like that; the other files emit the same
as LLVM instructions: `vectors` vectors, `tiles` register tiles, `rows` products with a matrix as it lies, `windows`
sums over windows of few channels, `transforms` Winograd's small matrices, `bends` activations, `orders` lanes that
change places, `amx` products of whole matrices, `exponential` and `bfloat16` what they say. None of them checks a
bound, unlike `simd.python`.

*Register tiles* multiply matrices, which is nearly all the multiplying there is (Goto and van de Geijn, "Anatomy of
High-Performance Matrix Multiplication", 2008). A tile is a small matrix of sums c that stays in registers while a loop
over the products goes on:

                      b: one row of the panel, 2 vectors          for l in range(length):
                      [ b0 ........ b15 | b16 ....... b31 ]           row = the next 2 vectors of b
      a: a column of                                                  for i in range(12):
      12 numbers      c: 12 x 2 vectors, all of them registers            c[i] += a[i, l] * row
         a0           [ c0,0 ...... c0,15 | c0,16 ... c0,31 ]
         a1           [ c1,0 ...... c1,15 | c1,16 ... c1,31 ]     12 x 32 products for 2 vectors and 12 numbers read:
         ...          [ ...                                 ]     this is how the multipliers are kept busy. b is a
         a11          [ c11,0                        c11,31 ]     *panel*: its rows lie one after the other in memory.

The kinds of tiles, see `Tiles`, differ in how wide a panel is and in how they find the rows of a.
"""
from typing import NamedTuple

import numpy as np
from numba import config

from fastnet.kernels.cpu.simd.host import AMX, BFLOAT16, FAR_CACHE, HOST, SHAPE

__all__ = ["AMX", "BFLOAT16", "FAR_CACHE", "HOST"]

VECTOR_BYTES, ROWS, CACHE_BYTES = SHAPE.vector_bytes, SHAPE.rows, SHAPE.cache_kib * 1024

if config.DISABLE_JIT:
    from fastnet.kernels.cpu.simd import python as _vectors
    from fastnet.kernels.cpu.simd import python_amx as _amx
    from fastnet.kernels.cpu.simd import python_functions as _exponential
    from fastnet.kernels.cpu.simd import python_rows as _rows
    from fastnet.kernels.cpu.simd import python_transforms as _transforms
    from fastnet.kernels.cpu.simd import python_windows as _windows
    _orders = _exponential
    _bends = _bfloat16 = _tiles = _vectors
    _vectors.configure(VECTOR_BYTES)
else:
    from fastnet.kernels.cpu.simd import amx as _amx
    from fastnet.kernels.cpu.simd import bends as _bends
    from fastnet.kernels.cpu.simd import bfloat16 as _bfloat16
    from fastnet.kernels.cpu.simd import code as _code
    from fastnet.kernels.cpu.simd import exponential as _exponential
    from fastnet.kernels.cpu.simd import orders as _orders
    from fastnet.kernels.cpu.simd import rows as _rows
    from fastnet.kernels.cpu.simd import tiles as _tiles
    from fastnet.kernels.cpu.simd import transforms as _transforms
    from fastnet.kernels.cpu.simd import vectors as _vectors
    from fastnet.kernels.cpu.simd import windows as _windows

    _bfloat16.configure(BFLOAT16)
    _code.configure(VECTOR_BYTES)

# Memory
lanes = _vectors.lanes
wide_lanes = _vectors.wide_lanes
load = _vectors.load
load_wide = _vectors.load_wide
load_part = _vectors.load_part
load_filled = _vectors.load_filled
make_load_spread = _orders.make_load_spread
load_index = _vectors.load_index
load_distances = _vectors.load_distances
store = _vectors.store
store_part = _vectors.store_part
stream_part = _vectors.stream_part
store_index = _vectors.store_index
accumulate = _vectors.accumulate
rounded = _vectors.rounded
prefetch = _vectors.prefetch
transpose = _vectors.transpose
# Register tiles of any height, see `Tiles` for those of the common ones
make_tile = _tiles.make_tile
make_tile_fetching = _tiles.make_tile_fetching
# Products with a matrix as it lies
make_multiples = _rows.make_multiples
make_dots = _rows.make_dots
# Lane by lane
full = _vectors.full
fma = _vectors.fma
plus = _vectors.plus
quotient = _vectors.quotient
size = _vectors.size
sqrt = _vectors.sqrt
relu = _vectors.relu
positive = _vectors.positive
clip = _vectors.clip
pick = _vectors.pick
above = _vectors.above
matching = _vectors.matching
exp = _exponential.exp
exp_of_minus_size = _exponential.exp_of_minus_size
expm1 = _exponential.expm1
log = _exponential.log
# Lanes of two vectors in another order
zip_first = _orders.zip_first
zip_last = _orders.zip_last
evens = _orders.evens
odds = _orders.odds
# All lanes to one number
total = _vectors.total
largest = _vectors.largest
has_nan = _vectors.has_nan
# Epilogues
bound = _bends.bound
finish = _bends.finish
unbend = _bends.unbend
through = _bends.through
# Words of two bfloat16 numbers
load_short = _bfloat16.load_short
store_short = _bfloat16.store_short
pair = _bfloat16.pair
low = _bfloat16.low
high = _bfloat16.high
# Matrix registers
make_open_amx = _amx.make_open_amx
close_amx = _amx.close_amx
make_amx_product = _amx.make_amx_product
# Winograd's transforms, made for one matrix each
make_transform = _transforms.make_transform
make_transform_gathered = _transforms.make_transform_gathered
make_transform_halved = _transforms.make_transform_halved
make_transform_paired = _transforms.make_transform_paired
make_transform_biased = _transforms.make_transform_biased
make_transform_finished = _transforms.make_transform_finished
# Windows of convolutions with few channels to a group
make_windows = _windows.make_windows
make_window_products = _windows.make_window_products


class Tiles(NamedTuple):
    """The register tiles for one width of panels; how many rows each has follows from `host.Shape`.

    All compute c = a b for some rows of a and one panel b, `halves` half vectors wide. They differ in how they find
    their rows of a:

        tile            ROWS rows wherever a table says, -1 for a row of zeros; with bias, edges and activation
        tile_plain      `rows` rows that lie side by side, vector by vector; nothing else
        tile_short      the same for `short_rows` rows, for the few that may be left over
        tile_runs       c += a^T b: each of its `depth_rows` rows of c takes its numbers from one column of a, where a
                        list of runs says
        tile_adjacent   the same where these columns are adjacent in memory

    `tile` has ROWS rows for every width of panels. All but `tile_runs` can also multiply *words*, elements of two
    bfloat16 numbers each: then `word` is 2.
    """

    halves: int
    rows: int
    short_rows: int
    depth_rows: int
    word: int
    tile: object
    tile_plain: object
    tile_short: object
    tile_runs: object
    tile_adjacent: object


def _tiles_of(halves, rows, depth_rows):
    """(those for numbers as they are, those for words)."""
    short = max(1, rows // 3)
    tile_runs = _tiles.make_tile_runs(depth_rows, halves, False)
    return [Tiles(halves, rows, short, depth_rows, word, _tiles.make_tile(ROWS, halves, word == 2),
                  _tiles.make_tile_plain(rows, halves, word == 2), _tiles.make_tile_plain(short, halves, word == 2),
                  tile_runs, _tiles.make_tile_runs(depth_rows, halves, True, word == 2)) for word in (1, 2)]


# Panels of half a vector, of one, and of several.
_HALVES = HALF, HALF_PAIRS = _tiles_of(1, SHAPE.narrow_rows, 2 * SHAPE.depth_rows)
_NARROWS = NARROW, NARROW_PAIRS = _tiles_of(2, SHAPE.narrow_rows, 2 * SHAPE.depth_rows)
_WIDES = WIDE, WIDE_PAIRS = _tiles_of(2 * SHAPE.vectors, ROWS, SHAPE.depth_rows)
# And of a vector and a half, which processors that do a whole one in two steps multiply in three.
THREE_HALVES, _ = _tiles_of(3, ROWS, SHAPE.depth_rows)
# They read more numbers for their products, and take so many times as long for each vector of them as two vectors do.
THREE_HALVES_TIME = 1.1


def tiles_for(columns, dtype, paired=False):
    """The tiles that waste the least on so many columns; `paired` those for words."""
    count = width(dtype)
    plain, pairs = _HALVES if 2 * columns <= count else _NARROWS if columns <= count else _WIDES
    return pairs if paired else plain


def close_tiles_for(columns, dtype):
    """The tiles of `tiles_for`, or those of a vector and a half where these leave so many fewer columns without use
    that it pays: for kernels whose panels need not be whole vectors."""
    plain, count = tiles_for(columns, dtype), width(dtype)
    if HOST != "avx512" or plain is not WIDE:
        return plain
    times = -(-2 * columns // (3 * count)) * 3 * THREE_HALVES_TIME, -(-columns // (2 * count)) * 4
    return THREE_HALVES if times[0] < times[1] else plain


def panel_width(columns, dtype):
    """How many numbers a row of a panel for so many columns has."""
    return tiles_for(columns, dtype).halves * width(dtype) // 2


def width(dtype):
    """Numbers of that dtype in one vector: `lanes` for use outside of kernels."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize
