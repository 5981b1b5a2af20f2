"""Vectors whose lanes come from two others, or from memory with gaps, as LLVM code;
`simd.python_functions` says what they mean."""
from llvmlite import ir
from numba import types

from fastnet.kernels.cpu.simd.code import I32, Vector, primitive, vector_of


def _picking(lanes_of):
    """The primitive whose lanes are those that lanes_of(count) lists, counted from the first of v to the last of w."""
    @primitive
    def picked(v, w):
        def emit(code):
            places = ir.Constant(ir.VectorType(I32, v.count), lanes_of(v.count))
            return code.builder.shuffle_vector(code.v, code.w, places)

        if isinstance(v, Vector) and v == w:
            return v(v, v), emit

    return picked


zip_first = _picking(lambda count: [i // 2 + i % 2 * count for i in range(count)])
zip_last = _picking(lambda count: [(count + i) // 2 + i % 2 * count for i in range(count)])
evens = _picking(lambda count: list(range(0, 2 * count, 2)))
odds = _picking(lambda count: list(range(1, 2 * count, 2)))


def make_load_spread(channels, wide):
    """What loads pixels of so many channels as such of `wide`, a power of two, which zeros fill up."""

    @primitive
    def load_spread(x, i, n):
        vector = vector_of(x)

        def emit(code):
            b, bit = code.builder, ir.IntType(1)
            there = [lane % wide < channels for lane in range(vector.count)]
            mask = b.and_(ir.Constant(ir.VectorType(bit, vector.count), there), code.below(code.n, vector.count))
            pointer = code.at(code.x, code.i)
            return code.call(f"llvm.masked.expandload.{vector.suffix}", vector.llvm,
                             [pointer, mask, ir.Constant(vector.llvm, None)])

        if vector and vector.count % wide == 0:
            return vector(x, types.int64, types.int64), emit

    return load_spread
