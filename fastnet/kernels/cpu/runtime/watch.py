"""Telling whether arrays have changed: a hash of their bytes at about the speed at which memory can be read.

The bytes are read as words of 64 bits, and word i goes into hash number i mod 32, a *lane*: ``lane = (lane ^ word) K``
with an odd K, as FNV-1a does for bytes (Fowler, Noll, Vo: The FNV non-cryptographic hash algorithm, 1991), then ``lane
^= lane >> 32``, by which the top bits, where signs are, reach all others. Neither loses anything of lane or word, so a
change of one word is always seen; several changes pass unseen with a chance of about 1 in 2^64.
"""
import functools
import threading

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnet.kernels.cpu.runtime.compiler import jit
from fastnet.kernels.cpu.runtime.launches import Launch
from fastnet.kernels.cpu.runtime.places import word_at

_MULTIPLIER = 0x9E3779B97F4A7C15
_WORD = 8
_WIDTH, _VECTORS = 8, 4  # words in a vector; LLVM cuts it into what the processor has
_STRIDE = _WORD * _WIDTH * _VECTORS
# Bytes that a block reads; and bytes that are read in the time of what `launch` counts as one operation.
_BLOCK, _PER_OPERATION = 65_536, 64

if config.DISABLE_JIT:
    def _mix(lane, word):
        """(lane ^ word) K in 64 bits, its upper half folded into the lower one."""
        lane = ((lane ^ word) * _MULTIPLIER) & (2**64 - 1)
        return lane ^ (lane >> 32)

    def _lanes(address, count):
        """All lanes, mixed into one, after `count` strides of memory."""
        lanes = list(range(_WIDTH * _VECTORS))
        for i in range(count * len(lanes)):
            lanes[i % len(lanes)] = _mix(lanes[i % len(lanes)], word_at(address + i * _WORD))
        return functools.reduce(_mix, lanes)
else:
    def _emit_mix(builder, lane, word):
        product = builder.mul(builder.xor(lane, word), _constant(lane.type, _MULTIPLIER))
        return builder.xor(product, builder.lshr(product, _constant(lane.type, 32)))

    def _constant(kind, value):
        return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)

    @intrinsic
    def _mix(typingctx, lane, word):
        def emit(context, builder, signature, args):
            return _emit_mix(builder, *args)

        return types.int64(types.int64, types.int64), emit

    @intrinsic
    def _lanes(typingctx, address, count):
        def emit(context, builder, signature, args):
            address, count = args
            word, vector = ir.IntType(64), ir.VectorType(ir.IntType(64), _WIDTH)
            starts = [ir.Constant(vector, list(range(j * _WIDTH, (j + 1) * _WIDTH))) for j in range(_VECTORS)]
            lanes = [cgutils.alloca_once_value(builder, start) for start in starts]
            with cgutils.for_range(builder, count) as loop:
                here = builder.add(address, builder.mul(loop.index, word(_STRIDE)))
                for j, lane in enumerate(lanes):
                    place = builder.add(here, word(j * _WORD * _WIDTH))
                    words = builder.load(builder.inttoptr(place, vector.as_pointer()), align=1)
                    builder.store(_emit_mix(builder, builder.load(lane), words), lane)
            joined = functools.reduce(functools.partial(_emit_mix, builder), [builder.load(lane) for lane in lanes])
            parts = [builder.extract_element(joined, ir.IntType(32)(i)) for i in range(_WIDTH)]
            return functools.reduce(functools.partial(_emit_mix, builder), parts)

        return types.int64(types.int64, types.int64), emit


class Watcher:
    """See `watcher`."""

    def __init__(self):
        self._lock = threading.Lock()
        self._arrays = []  # keeps the memory at the addresses alive
        self._copies = []  # (array, its bytes) where the memory is not one run of whole words
        self._blocks, self._count, self._hashes = np.empty((2, 0), np.int64), 0, b""
        self._look = _launch(self._blocks, 0), self._blocks, b""

    def add(self, arrays):
        """Watch these arrays too, from their present content on."""
        starts, stops, copies = [], [], []
        for array in arrays:
            if array.flags.c_contiguous and array.nbytes >= _WORD:
                first = array.ctypes.data
                starts += range(first, first + array.nbytes, _BLOCK)
                stops += [*range(first + _BLOCK, first + array.nbytes, _BLOCK), first + array.nbytes]
            else:
                copies.append((array, array.tobytes()))
        blocks, count = np.array([starts, stops], np.int64), sum(stops) - sum(starts)
        hashes = _hash(_launch(blocks, count), blocks).tobytes()
        with self._lock:
            self._arrays += arrays
            self._copies += copies
            self._blocks = np.concatenate([self._blocks, blocks], axis=1)
            self._count, self._hashes = self._count + count, self._hashes + hashes
            self._look = _launch(self._blocks, self._count), self._blocks, self._hashes

    def hashes(self):
        """The hashes of all arrays as one array; None where some are not watched by hashes."""
        launch, blocks, _ = self._look
        return None if self._copies else _hash(launch, blocks)

    def changed(self):
        """Whether any of the arrays is not what it was when it was added."""
        launch, blocks, hashes = self._look
        return _hash(launch, blocks).tobytes() != hashes or any(
            array.tobytes() != content for array, content in self._copies)


def watcher():
    """An object that tells whether arrays, of any layout and dtype, have changed; it may be shared by threads."""
    return Watcher()


def _launch(blocks, count):
    """What computes the hashes of blocks that hold `count` bytes."""
    return Launch(_hash_block, blocks.shape[1], count // _PER_OPERATION)


def _hash(launch, blocks):
    hashes = np.empty(blocks.shape[1], np.uint64)
    if hashes.size:
        launch(blocks[0], blocks[1], hashes)
    return hashes


@jit
def _hash_block(block, slot, starts, stops, hashes):
    at, stop = starts[block], stops[block]
    strides = (stop - at) // _STRIDE
    lane = _lanes(at, strides)
    at += strides * _STRIDE
    while at + _WORD <= stop:
        lane = _mix(lane, word_at(at))
        at += _WORD
    if at < stop:  # the last word reaches back over numbers that were seen
        lane = _mix(lane, word_at(stop - _WORD))
    hashes[block] = lane
