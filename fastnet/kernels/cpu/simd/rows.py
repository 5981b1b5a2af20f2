"""Products with a matrix whose rows are read as they lie, which no panel was copied from; `simd.python_rows` says what
they mean."""
from numba import types

from fastnet.kernels.cpu.simd.code import I64, primitive, vector_of
from fastnet.kernels.cpu.simd.tiles import Loops


def make_multiples(depth):
    """Rows of a matrix that are added, multiplied, to rows of another one, `depth` of them and two vectors at a time:
    those stay in registers, and all else is read once."""

    @primitive
    def multiples(a, a0, a_row, m, b, b0, b_row, n, c, c0, c_row):
        vector, i8 = vector_of(a), types.int64

        def emit(code):
            builder, loops = code.builder, Loops(code)
            starts = [code.at(code.b, code.b0, builder.mul(code.b_row, I64(k))) for k in range(depth)]
            places = 0, vector.count
            kept = [[code.load_part(vector, code.at(start, place), builder.sub(code.n, I64(place))) for place in places]
                    for start in starts]

            def body(i, state):
                left = code.at(code.a, code.a0, builder.mul(code.a_row, i))
                to = code.at(code.c, code.c0, builder.mul(code.c_row, i))
                acc = [code.load(vector, code.at(to, place)) for place in places]
                for k, row in enumerate(kept):
                    factor = code.splat(builder.load(code.at(left, k)), vector.count)
                    acc = [code.fma(vector, factor, one, total) for one, total in zip(row, acc, strict=True)]
                for total, place in zip(acc, places, strict=True):
                    code.store(vector, total, code.at(to, place))
                return []

            loops.loop(code.m, [], body)

        if vector is not None:
            return types.void(a, i8, i8, i8, b, i8, i8, i8, c, i8, i8), emit

    return multiples
