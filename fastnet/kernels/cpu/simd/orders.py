"""Vectors whose lanes come from two others, as LLVM code; `simd.python_functions` says what they mean."""
from llvmlite import ir

from fastnet.kernels.cpu.simd.code import I32, Vector, primitive


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
