"""Pairs of bfloat16 numbers as LLVM code; `simd.python` says what each primitive means.

A bfloat16 number is the upper half of a float32: the same range, 8 significant bits. Two of them share a *word*, one
element of a float32 array, and one instruction multiplies the pairs of two vectors of words and adds both products to a
vector of float32. Where the host has no such instruction, shifts and two multiplications do the same.
"""
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnet.kernels.cpu.simd.llvm import I32, Vector, _call, _fma

_I16 = ir.IntType(16)
_SHIFT, _UPPER = 16, 0xFFFF0000
_native = False


class _BFloat(ir.Type):
    """LLVM's type of one bfloat16 number, which llvmlite does not name."""

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, _BFloat)

    def __hash__(self):
        return hash(_BFloat)


def configure(native):
    """Say whether the host has the instructions; `simd` does it once."""
    global _native
    _native = native


def _integers(builder, vector, value):
    return builder.bitcast(value, ir.VectorType(I32, vector.count))


def _constant(vector, number):
    return ir.Constant(ir.VectorType(I32, vector.count), [number] * vector.count)


def _rounded(builder, vector, value):
    """The numbers of a float32 vector as bfloat16, to nearest and ties to even: integers of 32 bits, the lower 0."""
    count = vector.count
    if _native:
        bits = builder.bitcast(builder.fptrunc(value, ir.VectorType(_BFloat(), count)), ir.VectorType(_I16, count))
        return builder.shl(builder.zext(bits, ir.VectorType(I32, count)), _constant(vector, _SHIFT))
    bits = _integers(builder, vector, value)
    odd = builder.and_(builder.lshr(bits, _constant(vector, _SHIFT)), _constant(vector, 1))
    nearest = builder.add(bits, builder.add(odd, _constant(vector, 0x7FFF)))
    quiet = builder.or_(bits, _constant(vector, 0x400000))  # adding could carry a NaN over into the sign
    nearest = builder.select(builder.fcmp_unordered("uno", value, value), quiet, nearest)
    return builder.and_(nearest, _constant(vector, _UPPER))


def _paired(builder, vector, low, high):
    low = builder.lshr(_rounded(builder, vector, low), _constant(vector, _SHIFT))
    return builder.bitcast(builder.or_(low, _rounded(builder, vector, high)), vector.llvm)


def _store_half(builder, vector, value, pointer):
    """Store the numbers as words, which fill half a vector: number 2 i and number 2 i + 1 in word i."""
    bits = builder.lshr(_rounded(builder, vector, value), _constant(vector, _SHIFT))
    half = ir.VectorType(_I16, vector.count)
    builder.store(builder.trunc(bits, half), builder.bitcast(pointer, half.as_pointer()), align=vector.align.constant)


def _low(builder, vector, words):
    return builder.bitcast(builder.shl(_integers(builder, vector, words), _constant(vector, _SHIFT)), vector.llvm)


def _high(builder, vector, words):
    return builder.bitcast(builder.and_(_integers(builder, vector, words), _constant(vector, _UPPER)), vector.llvm)


def _dot(builder, vector, a, b, c):
    """c plus the products of the pairs in the words of a and b."""
    if _native:
        pairs = ir.VectorType(_BFloat(), 2 * vector.count)
        operands = [c, builder.bitcast(a, pairs), builder.bitcast(b, pairs)]
        return _call(builder, f"llvm.x86.avx512bf16.dpbf16ps.{32 * vector.count}", vector.llvm, operands)
    for half in (_low, _high):
        c = _fma(builder, vector, half(builder, vector, a), half(builder, vector, b), c)
    return c


@intrinsic
def pair(typingctx, low, high):
    if isinstance(low, Vector) and low == high and low.dtype == types.float32:
        return low(low, low), lambda context, builder, signature, args: _paired(builder, low, *args)


@intrinsic
def low(typingctx, words):
    if isinstance(words, Vector):
        return words(words), lambda context, builder, signature, args: _low(builder, words, *args)


@intrinsic
def high(typingctx, words):
    if isinstance(words, Vector):
        return words(words), lambda context, builder, signature, args: _high(builder, words, *args)
