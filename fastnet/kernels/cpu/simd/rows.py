"""Products with a matrix whose rows are read as they lie, which no panel was copied from; `simd.python_rows` says what
they mean."""
from numba import types

from fastnet.kernels.cpu.simd.code import F64, I64, primitive, vector_of
from fastnet.kernels.cpu.simd.tiles import Loops, Tile
from fastnet.kernels.cpu.simd.vectors import folded


def make_multiples(rows, vectors):
    """Multiples of the rows of a matrix that are added to so many rows of another one, so many vectors wide: the sums
    stay in registers, and what is read of the matrix takes part in as many products as there are sums of it."""

    @primitive
    def multiples(a, a0, a_row, m, length, b, b0, b_row, c, c0, c_row):
        vector, i8 = vector_of(a), types.int64

        def emit(code):
            builder, part = code.builder, Tile(code, [vector] * vectors, rows)
            left, to = (_rows_of(code, array, first, row, rows, code.m) for array, first, row in
                        ((code.a, code.a0, code.a_row), (code.c, code.c0, code.c_row)))
            acc = [total for pointer in to for total in part.row_at(pointer)]
            acc = part.product(acc, left, I64(1), code.at(code.b, code.b0), code.length, code.b_row)
            for i, pointer in enumerate(to):
                with builder.if_then(builder.icmp_signed("<", I64(i), code.m)):
                    part.store_row(acc, i, pointer)

        if vector is not None:
            return types.void(a, i8, i8, i8, i8, b, i8, i8, c, i8, i8), emit

    return multiples


def _rows_of(code, array, first, row, count, there):
    """Pointers to so many rows. Those that are not there are the first one once more, whose sums are not wanted."""
    b = code.builder
    which = [b.select(b.icmp_signed("<", I64(i), there), I64(i), I64(0)) for i in range(count)]
    return [code.at(array, first, b.mul(row, number)) for number in which]


def make_dots(rows, others):
    """The dot products of so many rows of a matrix with so many of another one, all of whose sums stay in registers:
    what is read of a row takes part in as many products as the other matrix has rows."""

    @primitive
    def dots(a, a0, a_row, m, b, b0, b_row, s, n, c, c0, c_row):
        vector, i8 = vector_of(a), types.int64

        def emit(code):
            builder, loops, lanes = code.builder, Loops(code), I64(vector.count)

            left = _rows_of(code, code.a, code.a0, code.a_row, rows, code.m)
            right = _rows_of(code, code.b, code.b0, code.b_row, others, code.s)
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
