"""What the processor can do: its vector instructions, how wide its registers are and how many there are."""
import ctypes
import sys
from typing import NamedTuple

import llvmlite.binding
from numba import config

_AVX512 = ("avx512", "skylake-avx512", "cascadelake", "cooperlake", "icelake", "sapphirerapids", "emeraldrapids",
           "graniterapids", "znver4", "znver5", "x86-64-v4")
_BFLOAT16 = ("cooperlake", "sapphirerapids", "emeraldrapids", "graniterapids", "znver4", "znver5")
_AVX2 = ("haswell", "broadwell", "skylake", "alderlake", "znver1", "znver2", "znver3", "x86-64-v3", "core-avx2")


class Shape(NamedTuple):
    """How large a vector and the register tiles are, see `simd.Tiles`.

    A tile keeps rows x vectors of its numbers in registers for as long as it multiplies, and needs ``vectors`` more for
    a row of b and one for the number of a that this row is multiplied with. All of them must fit the processor's
    registers: with 12 rows of 2 vectors 24 + 2 + 1 of 32 are used. One register too many, and the compiler moves sums
    to memory and back at every step, which halves the speed. Fewer rows are safe, but read b more often.
    """

    vector_bytes: int
    rows: int           # of `tile` for every width, and of `tile_plain` whose rows are `vectors` vectors wide
    narrow_rows: int    # of a `tile_plain` whose rows are one vector wide, or half of one
    depth_rows: int     # of a tile of `vectors` vectors that adds to what is in memory; twice as many if narrower
    vectors: int
    held: int           # vectors that Winograd's transforms may hold, as many as there are registers or a few more
    cache_kib: int      # of the second cache that processors with such registers have at least; blocks go by it


_SHAPES = {
    "avx512": Shape(vector_bytes=64, rows=12, narrow_rows=24, depth_rows=8, vectors=2, held=42, cache_kib=1024),
    "avx2": Shape(vector_bytes=32, rows=6, narrow_rows=12, depth_rows=4, vectors=2, held=16, cache_kib=512),
    "neon": Shape(vector_bytes=16, rows=6, narrow_rows=24, depth_rows=6, vectors=4, held=32, cache_kib=1024),
    "plain": Shape(vector_bytes=16, rows=4, narrow_rows=8, depth_rows=4, vectors=2, held=16, cache_kib=1024),
}


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
        wide = name in _AVX512
        bfloat16 = name in _BFLOAT16 and (config.CPU_FEATURES is not None or _multiplies_bfloat16(host))
        features = {"avx512f": wide, "avx2": wide or name in _AVX2, "fma": wide or name in _AVX2,
                    "avx512bf16": bfloat16, "avx512vl": bfloat16}
    # "+avx2,-fma": in what it differs from that processor.
    for change in filter(None, (config.CPU_FEATURES or "").split(",")):
        features[change[1:]] = change[0] == "+"
    return features


def _multiplies_bfloat16(features):
    return all(features.get(name) for name in ("avx512f", "avx512vl", "avx512bf16"))


def instructions():
    """("avx512", "avx2", "neon" or "plain", the widest instruction set that Numba will compile for; whether it
    multiplies bfloat16 numbers)."""
    if not llvmlite.binding.get_process_triple().startswith(("x86_64", "amd64", "i686")):
        arm = llvmlite.binding.get_process_triple().startswith(("aarch64", "arm64"))
        return "neon" if arm else "plain", False
    features = _features()
    if features.get("avx512f"):
        return "avx512", _multiplies_bfloat16(features)
    return "avx2" if features.get("avx2") and features.get("fma") else "plain", False


def special():
    """Whether there are instructions that multiply by powers of two, and that guess reciprocals, and Numba will compile
    for them."""
    there = config.CPU_FEATURES is not None or llvmlite.binding.get_host_cpu_features().get("avx512f", False)
    return instructions()[0] == "avx512" and there


def guesses():
    """Whether a quotient is there sooner by a guess, which products make exact, than by a division. To divide 16
    numbers takes Intel's processors 16 cycles or more, AMD's 10, in a unit of its own, while the products that a guess
    wants hold up all others: x / (1 + exp(-x)) of a vector takes a Zen 4 4.8 ns by division, 7.2 by guessing."""
    name = config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    return special() and not name.lower().startswith("znver")


def multiplies_matrices():
    """Whether there are matrix registers for bfloat16 numbers, see `simd.amx`, and Numba will compile for them."""
    features = _features() if instructions()[1] else {}
    return bool(features.get("amx-tile") and features.get("amx-bf16"))


def permitted():
    """Whether the operating system lets this process use matrix registers: Linux wants to be asked, since they are
    8 KB more to save."""
    if not sys.platform.startswith("linux"):
        return False
    arch_prctl, ask, matrices = 158, 0x1023, 18     # the call's number on x86-64, ARCH_REQ_XCOMP_PERM, XTILEDATA
    try:
        return ctypes.CDLL(None).syscall(arch_prctl, ask, matrices) == 0
    except (OSError, AttributeError):
        return False


HOST, BFLOAT16 = instructions()
SPECIAL = special()
GUESSES = guesses()
# Processors with matrix registers are large Xeons, whose cores are far from the cache that they share.
FAR_CACHE = multiplies_matrices()
AMX = FAR_CACHE and permitted()
SHAPE = _SHAPES[HOST]
