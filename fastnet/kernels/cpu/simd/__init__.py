"""Explicit vectors and register tiles, the instructions that the compiled kernels are made of.

A vector holds as many numbers as one register of the host does: ``lanes(x)`` of them for the dtype of array ``x``. All
primitives name memory as (array, index of the first element), so the same kernel source runs compiled, and step by step
as plain Python with ``NUMBA_DISABLE_JIT=1``. `simd.python` says in NumPy what each primitive does; `simd.llvm`,
`simd.bends`, `simd.exponential`, `simd.bfloat16`, `simd.tiles` and `simd.transforms` emit the same as LLVM vector
instructions. Arrays are one-dimensional and C-contiguous.

Register tiles do all the multiplying (Goto and van de Geijn, "Anatomy of High-Performance Matrix
Multiplication", 2008; for the table of row offsets see Dukhan, "The Indirect Convolution Algorithm", 2019):

A tile is some rows of accumulators, a row one *panel* of columns: `WIDE` panels have ``VECTORS`` vectors, `NARROW` ones
a single vector and more rows, `HALF` ones half of one.
"""
from typing import NamedTuple

import llvmlite.binding
import numpy as np
from numba import config

_AVX512 = ("avx512", "skylake-avx512", "cascadelake", "cooperlake", "icelake", "sapphirerapids", "emeraldrapids",
           "graniterapids", "znver4", "znver5", "x86-64-v4")
_BFLOAT16 = ("cooperlake", "sapphirerapids", "emeraldrapids", "graniterapids", "znver4", "znver5")
_AVX2 = ("haswell", "broadwell", "skylake", "alderlake", "znver1", "znver2", "znver3", "x86-64-v3", "core-avx2")


def _features():
    """LLVM's names of x86 features, and whether Numba will compile for them.

    Numba compiles for the host unless NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say otherwise, and so does this. A name
    alone is taken for the whole processor, though Numba then still compiles for the host's features: set
    NUMBA_CPU_FEATURES to the empty string for those of the named one. Too narrow or too wide a vector costs speed only;
    the instructions for bfloat16 must be there.
    """
    host = dict(llvmlite.binding.get_host_cpu_features())
    if config.CPU_NAME in (None, llvmlite.binding.get_host_cpu_name()):
        features = host
    else:
        name = config.CPU_NAME.lower()
        wide, bfloat16 = name in _AVX512, name in _BFLOAT16 and (config.CPU_FEATURES is not None or _pairs(host))
        features = {"avx512f": wide, "avx2": wide or name in _AVX2, "fma": wide or name in _AVX2,
                    "avx512bf16": bfloat16, "avx512vl": bfloat16}
    # "+avx2,-fma": in what it differs from that processor.
    for change in filter(None, (config.CPU_FEATURES or "").split(",")):
        features[change[1:]] = change[0] == "+"
    return features


def _pairs(features):
    return all(features.get(name) for name in ("avx512f", "avx512vl", "avx512bf16"))


def _host():
    """("avx512", "avx2", "neon" or "plain", the widest instruction set that Numba will compile for; whether it
    multiplies bfloat16 numbers)."""
    if not llvmlite.binding.get_process_triple().startswith(("x86_64", "amd64", "i686")):
        arm = llvmlite.binding.get_process_triple().startswith(("aarch64", "arm64"))
        return "neon" if arm else "plain", False
    features = _features()
    if features.get("avx512f"):
        return "avx512", _pairs(features)
    return "avx2" if features.get("avx2") and features.get("fma") else "plain", False


HOST, BFLOAT16 = _host()
# Bytes of a vector register, and the tile shapes: accumulators, one row of b and one broadcast must fit the register
# file (32 registers with AVX-512 and NEON, 16 otherwise).
VECTOR_BYTES, ROWS, NARROW_ROWS, DEPTH_ROWS, VECTORS = {
    "avx512": (64, 12, 24, 8, 2),
    "avx2": (32, 6, 12, 4, 2),
    "neon": (16, 6, 24, 6, 4),
    "plain": (16, 4, 8, 4, 2),
}[HOST]

if config.DISABLE_JIT:
    from fastnet.kernels.cpu.simd import python as _implementation
    _bends = _exponential = _pairing = _tiles = _transforms = _implementation
else:
    from fastnet.kernels.cpu.simd import bends as _bends
    from fastnet.kernels.cpu.simd import bfloat16 as _pairing
    from fastnet.kernels.cpu.simd import exponential as _exponential
    from fastnet.kernels.cpu.simd import llvm as _implementation
    from fastnet.kernels.cpu.simd import tiles as _tiles
    from fastnet.kernels.cpu.simd import transforms as _transforms

    _pairing.configure(BFLOAT16)

_implementation.configure(VECTOR_BYTES)
lanes = _implementation.lanes
load = _implementation.load
load_part = _implementation.load_part
load_filled = _implementation.load_filled
store = _implementation.store
store_part = _implementation.store_part
accumulate = _implementation.accumulate
prefetch = _implementation.prefetch
full = _implementation.full
fma = _implementation.fma
relu = _implementation.relu
positive = _implementation.positive
clip = _implementation.clip
pick = _implementation.pick
matching = _implementation.matching
load_index = _implementation.load_index
store_index = _implementation.store_index
turn = _implementation.turn
total = _implementation.total
largest = _implementation.largest
bound = _bends.bound
finish = _bends.finish
unbend = _bends.unbend
through = _bends.through
exp = _exponential.exp
expm1 = _exponential.expm1
pair = _pairing.pair
low = _pairing.low
high = _pairing.high
make_transform = _transforms.make_transform
make_transform_gathered = _transforms.make_transform_gathered
make_transform_halved = _transforms.make_transform_halved
make_transform_paired = _transforms.make_transform_paired
make_transform_biased = _transforms.make_transform_biased
make_transform_finished = _transforms.make_transform_finished


class Tiles(NamedTuple):
    """The register tiles for one width of panels, and that width in half vectors. `tile_short` is `tile_plain` for the
    few rows that may be left over, `tile_adjacent` is `tile_runs` where the rows of a are adjacent numbers. These three
    read words of `word` numbers: a float32 number, or two of bfloat16."""

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
    """(those for numbers as they are, those for pairs)."""
    short = max(1, rows // 3)
    tile, tile_runs = _tiles.make_tile(ROWS, halves), _tiles.make_tile_runs(depth_rows, halves, False)
    return [Tiles(halves, rows, short, depth_rows, word, tile, _tiles.make_tile_plain(rows, halves, word == 2),
                  _tiles.make_tile_plain(short, halves, word == 2), tile_runs,
                  _tiles.make_tile_runs(depth_rows, halves, True, word == 2)) for word in (1, 2)]


# Panels of a half vector, of one and of several: the fewest columns that a tile can be wide and still hold `n` numbers.
_HALVES = HALF, HALF_PAIRS = _tiles_of(1, NARROW_ROWS, 2 * DEPTH_ROWS)
_NARROWS = NARROW, NARROW_PAIRS = _tiles_of(2, NARROW_ROWS, 2 * DEPTH_ROWS)
_WIDES = WIDE, WIDE_PAIRS = _tiles_of(2 * VECTORS, ROWS, DEPTH_ROWS)


def tiles_for(columns, dtype, paired=False):
    """The tiles that waste the least on so many columns."""
    count = width(dtype)
    plain, pairs = _HALVES if 2 * columns <= count else _NARROWS if columns <= count else _WIDES
    return pairs if paired else plain


def width(dtype):
    """Numbers of that dtype in one vector: `lanes` for use outside of kernels."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize
