"""Pairs of bfloat16 numbers as LLVM code; `simd.python` says what each primitive means.

A bfloat16 number is the upper half of a float32: the same range, 8 significant bits. Two of them share a *word*, one
element of a float32 array, and one instruction multiplies the pairs of two vectors of words and adds both products to a
vector of float32. Where the host has no such instruction, shifts and two multiplications do the same.
"""
from llvmlite import ir
from numba import types

from fastnet.kernels.cpu.simd.code import I32, I64, Vector, primitive, vector_of

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


def _integers(code, vector, value):
    return code.builder.bitcast(value, ir.VectorType(I32, vector.count))


def _constant(vector, number):
    return ir.Constant(ir.VectorType(I32, vector.count), [number] * vector.count)


def _rounded(code, vector, value):
    """The numbers of a float32 vector as bfloat16, to nearest and ties to even: integers of 32 bits, the lower 0."""
    b, count = code.builder, vector.count
    if _native:
        bits = b.bitcast(b.fptrunc(value, ir.VectorType(_BFloat(), count)), ir.VectorType(_I16, count))
        return b.shl(b.zext(bits, ir.VectorType(I32, count)), _constant(vector, _SHIFT))
    bits = _integers(code, vector, value)
    odd = b.and_(b.lshr(bits, _constant(vector, _SHIFT)), _constant(vector, 1))
    nearest = b.add(bits, b.add(odd, _constant(vector, 0x7FFF)))
    quiet = b.or_(bits, _constant(vector, 0x400000))  # adding could carry a NaN over into the sign
    nearest = b.select(b.fcmp_unordered("uno", value, value), quiet, nearest)
    return b.and_(nearest, _constant(vector, _UPPER))


def paired(code, vector, low, high):
    """The words of `pair`."""
    low = code.builder.lshr(_rounded(code, vector, low), _constant(vector, _SHIFT))
    return code.builder.bitcast(code.builder.or_(low, _rounded(code, vector, high)), vector.llvm)


def store_half(code, vector, value, pointer):
    """Store the numbers as words, which fill half a vector: number 2 i and number 2 i + 1 in word i."""
    half = _half_of(vector)
    code.store(half, _side_by_side(code, vector, value, half), pointer)


def _half_of(vector):
    """The type of the words that a vector's numbers make."""
    return Vector(types.int32, vector.count // 2)


def _side_by_side(code, vector, value, half):
    """Those words."""
    b = code.builder
    bits = b.lshr(_rounded(code, vector, value), _constant(vector, _SHIFT))
    return b.bitcast(b.trunc(bits, ir.VectorType(_I16, vector.count)), half.llvm)


def _low(code, vector, words):
    shifted = code.builder.shl(_integers(code, vector, words), _constant(vector, _SHIFT))
    return code.builder.bitcast(shifted, vector.llvm)


def _high(code, vector, words):
    upper = code.builder.and_(_integers(code, vector, words), _constant(vector, _UPPER))
    return code.builder.bitcast(upper, vector.llvm)


def multiply_words(code, vector, a, b, c):
    """c plus the products of the pairs in the words of a and b: for words what `fma` is for numbers."""
    if _native:
        pairs = ir.VectorType(_BFloat(), 2 * vector.count)
        operands = [c, code.builder.bitcast(a, pairs), code.builder.bitcast(b, pairs)]
        return code.call(f"llvm.x86.avx512bf16.dpbf16ps.{32 * vector.count}", vector.llvm, operands)
    for half in (_low, _high):
        c = code.fma(vector, half(code, vector, a), half(code, vector, b), c)
    return c


@primitive
def load_short(words, i, n):
    vector = _floats_of(words)

    def emit(code):
        b, half, one = code.builder, _half_of(vector), ir.Constant(I64, 1)
        found = code.load_part(half, code.at(code.words, b.ashr(code.i, one)), b.ashr(code.n, one))
        numbers = b.zext(b.bitcast(found, ir.VectorType(_I16, vector.count)), ir.VectorType(I32, vector.count))
        return b.bitcast(b.shl(numbers, _constant(vector, _SHIFT)), vector.llvm)

    if vector:
        return vector(words, types.int64, types.int64), emit


@primitive
def store_short(words, i, v, w, n, far):
    vector = _floats_of(words)

    def emit(code):
        b, half, one = code.builder, _half_of(vector), ir.Constant(I64, 1)
        parts = [b.bitcast(_side_by_side(code, vector, value, half), half.llvm) for value in (code.v, code.w)]
        both = b.bitcast(code.numbered(parts[0], range(vector.count), parts[1]), vector.llvm)
        pointer, n = code.at(code.words, b.ashr(code.i, one)), b.ashr(code.n, one)
        with b.if_else(b.trunc(code.far, ir.IntType(1))) as (then, otherwise):
            with then:
                code.stream_part(vector, both, pointer, n)
            with otherwise:
                code.store_part(vector, both, pointer, n)

    if vector and v == w == vector:
        return types.void(words, types.int64, v, w, types.int64, types.boolean), emit


def _floats_of(words):
    """The type of the vectors of an array of words; None where it is none."""
    vector = vector_of(words)
    return vector if vector and vector.dtype == types.float32 else None


@primitive
def pair(low, high):
    if isinstance(low, Vector) and low == high and low.dtype == types.float32:
        return low(low, low), lambda code: paired(code, low, code.low, code.high)


@primitive
def low(words):
    if isinstance(words, Vector):
        return words(words), lambda code: _low(code, words, code.words)


@primitive
def high(words):
    if isinstance(words, Vector):
        return words(words), lambda code: _high(code, words, code.words)
