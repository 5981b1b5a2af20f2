"""Products with a matrix whose rows are read as they lie, which no panel was copied from; `simd.python_rows` says what
they mean."""
from numba import types

from fastnet.kernels.cpu.simd.code import F64, I64, primitive, vector_of
from fastnet.kernels.cpu.simd.tiles import Loops
from fastnet.kernels.cpu.simd.vectors import folded


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


def make_dots(rows, others):
    """The dot products of so many rows of a matrix with so many of another one, all of whose sums stay in registers:
    what is read of a row takes part in as many products as the other matrix has rows."""

    @primitive
    def dots(a, a0, a_row, m, b, b0, b_row, s, n, c, c0, c_row):
        vector, i8 = vector_of(a), types.int64

        def emit(code):
            builder, loops, lanes = code.builder, Loops(code), I64(vector.count)

            def starts(array, first, row, count, there):
                # Rows that are not there are the first one once more, whose sums are not wanted.
                which = [builder.select(builder.icmp_signed("<", I64(i), there), I64(i), I64(0)) for i in range(count)]
                return [code.at(array, first, builder.mul(row, number)) for number in which]

            left = starts(code.a, code.a0, code.a_row, rows, code.m)
            right = starts(code.b, code.b0, code.b_row, others, code.s)
            whole = builder.sdiv(code.n, lanes)
            rest, last = builder.srem(code.n, lanes), builder.mul(whole, lanes)

            def products(acc, load):
                factors = [load(pointer) for pointer in right]
                for i, pointer in enumerate(left):
                    number = load(pointer)
                    for j, factor in enumerate(factors):
                        acc[i * others + j] = code.fma(vector, number, factor, acc[i * others + j])
                return acc

            def body(k, acc):
                at = builder.mul(k, lanes)
                return products(list(acc), lambda pointer: code.load(vector, code.at(pointer, at)))

            acc = loops.loop(whole, [vector.constant(0)] * (rows * others), body)
            acc = products(list(acc), lambda pointer: code.load_part(vector, code.at(pointer, last), rest))
            for i in range(rows):
                with builder.if_then(builder.icmp_signed("<", I64(i), code.m)):
                    for j in range(others):
                        with builder.if_then(builder.icmp_signed("<", I64(j), code.s)):
                            to = code.at(code.c, code.c0, builder.mul(code.c_row, I64(j)), I64(i))
                            total = folded(builder, acc[i * others + j], vector.count, builder.fadd)
                            total = total if total.type == F64 else builder.fpext(total, F64)
                            builder.store(builder.fadd(builder.load(to), total), to)

        if vector is not None and vector_of(c) and c.dtype == types.float64:
            return types.void(a, i8, i8, i8, b, i8, i8, i8, i8, c, i8, i8), emit

    return dots
