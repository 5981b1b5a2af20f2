"""The register tiles and the transforms of patches as LLVM code; `simd_python` says what each of them means."""
import numpy as np
from numba import types
from numba.extending import intrinsic

from fastnet.kernels.cpu.simd_llvm import (
    I64,
    Vector,
    _at_least,
    _data,
    _flat,
    _fma,
    _load,
    _lower_bound,
    _splat,
    _store,
    _store_part,
)


class _Tile:
    """Emits the parts that both tiles are made of: loops that carry accumulators, and products into them."""

    def __init__(self, builder, vector, rows, vectors):
        self.builder, self.vector, self.rows, self.vectors = builder, vector, rows, vectors

    def loop(self, count, carried, body):
        """Emit ``for k in range(count): carried = body(k, carried)`` for values ``carried``, return their last
        state."""
        b = self.builder
        before, head = b.block, b.append_basic_block("head")
        inside, after = b.append_basic_block("inside"), b.append_basic_block("after")
        b.branch(head)
        b.position_at_end(head)
        k = b.phi(I64)
        k.add_incoming(I64(0), before)
        state = [b.phi(value.type) for value in carried]
        for phi, value in zip(state, carried, strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", k, count), inside, after)
        b.position_at_end(inside)
        results = body(k, state)
        k.add_incoming(b.add(k, I64(1)), b.block)
        for phi, value in zip(state, results, strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(after)
        return state

    def vector_at(self, pointer, j):
        return _load(self.builder, self.vector, self.builder.gep(pointer, [I64(j * self.vector.count)]))

    def product(self, acc, left, step, right, length):
        """acc[i][j] += sum over l of left[i][l * step] * right[l][j], where right holds one panel a step."""
        b, panel = self.builder, I64(self.vectors * self.vector.count)

        def body(k, state):
            index, pointer, acc = state[0], state[1], state[2:]
            row = [self.vector_at(pointer, j) for j in range(self.vectors)]
            new = []
            for i in range(self.rows):
                factor = _splat(b, b.load(b.gep(left[i], [index])), self.vector.count)
                new += [_fma(b, self.vector, factor, row[j], acc[i * self.vectors + j]) for j in range(self.vectors)]
            return [b.add(index, step), b.gep(pointer, [panel]), *new]

        return self.loop(length, [I64(0), right, *acc], body)[2:]


def _row(x, halves):
    """(vector type, how many): what a row of `halves` half vectors of x's dtype is made of; None for no such array."""
    vector = _flat(x)
    if vector is not None and halves == 1:
        return Vector(vector.dtype, vector.count // 2), 1
    return vector, halves // 2


def make_tile(rows, halves):
    """The tile with that many rows, and half vectors to a row."""

    @intrinsic
    def tile(typingctx, a, a0, table, t, zeros, runs, length, step, b, b0, bias, bias0, c, c0, at, at0, m, n, relu_):
        (vector, vectors), i8 = _row(a, halves), types.int64

        def emit(context, builder, signature, args):
            arrays = (0, 2, 4, 8, 10, 12, 14)
            a, table, zeros, b, bias, c, at = (_data(context, builder, signature.args[k], args[k]) for k in arrays)
            a0, t, runs, length, step, b0, bias0, c0, at0, m, n, relu_ = (
                arg for k, arg in enumerate(args) if k not in arrays)
            part = _Tile(builder, vector, rows, vectors)
            start = builder.gep(bias, [bias0])
            acc = [part.vector_at(start, j) for j in range(vectors)] * rows
            missing = [builder.icmp_signed("<=", m, I64(i)) for i in range(rows)]
            a, c, entries = builder.gep(a, [a0]), builder.gep(c, [c0]), builder.gep(table, [t])
            run_size = builder.mul(length, I64(vectors * vector.count))

            def run(r, acc):
                first = builder.mul(r, I64(rows))
                left = []
                for i in range(rows):
                    offset = builder.load(builder.gep(entries, [builder.add(first, I64(i))]))
                    outside = builder.icmp_signed("<", offset, I64(0))
                    pointer = builder.select(outside, zeros, builder.gep(a, [offset]))
                    left.append(builder.select(missing[i], left[0], pointer) if i else pointer)
                right = builder.gep(b, [builder.add(b0, builder.mul(r, run_size))])
                return part.product(acc, left, step, right, length)

            acc = part.loop(runs, acc, run)
            lower = _lower_bound(builder, vector, relu_)
            acc = [_at_least(builder, lower, v) for v in acc]

            def row_at(i):
                return builder.gep(c, [builder.load(builder.gep(at, [builder.add(at0, I64(i))]))])

            whole = builder.and_(builder.icmp_signed(">=", m, I64(rows)),
                                 builder.icmp_signed(">=", n, I64(vectors * vector.count)))
            with builder.if_else(whole) as (then, otherwise):
                with then:
                    for i in range(rows):
                        target = row_at(i)
                        for j in range(vectors):
                            _store(builder, vector, acc[i * vectors + j], builder.gep(target, [I64(j * vector.count)]))
                with otherwise:
                    for i in range(rows):
                        with builder.if_then(builder.icmp_signed("<", I64(i), m)):
                            target = row_at(i)
                            for j in range(vectors):
                                left_over = builder.sub(n, I64(j * vector.count))
                                pointer = builder.gep(target, [I64(j * vector.count)])
                                _store_part(builder, vector, acc[i * vectors + j], pointer, left_over)
            return context.get_dummy_value()

        if vector:
            kinds = (a, i8, table, i8, zeros, i8, i8, i8, b, i8, bias, i8, c, i8, at, i8, i8, i8, i8)
            return types.void(*kinds), emit

    return tile


def make_tile_plain(rows, halves):
    """The tile without bias, edges or anything else that short products cannot pay for, for rows a constant apart."""

    @intrinsic
    def tile_plain(typingctx, a, a0, a_next, length, b, b0, c, c0):
        (vector, vectors), i8 = _row(a, halves), types.int64

        def emit(context, builder, signature, args):
            a, b, c = (_data(context, builder, signature.args[k], args[k]) for k in (0, 4, 6))
            a0, a_next, length, b0, c0 = (args[k] for k in (1, 2, 3, 5, 7))
            part, panel = _Tile(builder, vector, rows, vectors), vectors * vector.count
            lanes = _flat(signature.args[0]).count

            def column(k, state):
                left, right, remaining, acc = state[0], state[1], state[2], state[3:]
                now = builder.select(builder.icmp_signed("<", remaining, I64(lanes)), remaining, I64(lanes))
                acc = part.product(acc, [builder.gep(left, [I64(i * lanes)]) for i in range(rows)], I64(1), right, now)
                return [builder.gep(left, [a_next]), builder.gep(right, [I64(lanes * panel)]),
                        builder.sub(remaining, I64(lanes)), *acc]

            columns = builder.sdiv(builder.add(length, I64(lanes - 1)), I64(lanes))
            acc = [vector.constant(0)] * (rows * vectors)
            acc = part.loop(columns, [builder.gep(a, [a0]), builder.gep(b, [b0]), length, *acc], column)[3:]
            target = builder.gep(c, [c0])
            for i in range(rows * vectors):
                _store(builder, vector, acc[i], builder.gep(target, [I64(i * vector.count)]))
            return context.get_dummy_value()

        if vector:
            return types.void(a, i8, i8, i8, b, i8, c, i8), emit

    return tile_plain


def make_tile_runs(rows, halves, adjacent):
    """The accumulating tile with that many rows, and half vectors to a row. Where the rows of a are known to be
    adjacent numbers, one register holds where all of them are."""

    @intrinsic
    def tile_runs(typingctx, a, offsets, o, step, b, b0, table, t, runs, c, c0, ldc):
        (vector, vectors), i8 = _row(a, halves), types.int64

        def emit(context, builder, signature, args):
            a, offsets, b, table, c = (_data(context, builder, signature.args[k], args[k]) for k in (0, 1, 4, 6, 9))
            o, step, b0, t, runs, c0, ldc = (args[k] for k in (2, 3, 5, 7, 8, 10, 11))
            part = _Tile(builder, vector, rows, vectors)
            first = builder.gep(a, [builder.load(builder.gep(offsets, [o]))])
            base = [first] + [
                builder.gep(first, [I64(i)]) if adjacent else
                builder.gep(a, [builder.load(builder.gep(offsets, [builder.add(o, I64(i))]))]) for i in range(1, rows)]
            b = builder.gep(b, [b0])
            target = [builder.gep(c, [builder.add(c0, builder.mul(ldc, I64(i)))]) for i in range(rows)]
            acc = [part.vector_at(target[i], j) for i in range(rows) for j in range(vectors)]

            def run(r, acc):
                entry = builder.gep(table, [builder.add(t, builder.mul(r, I64(3)))])
                a_r, b_r, n = (builder.load(builder.gep(entry, [I64(k)])) for k in range(3))
                left = [builder.gep(pointer, [a_r]) for pointer in base]
                return part.product(acc, left, step, builder.gep(b, [b_r]), n)

            acc = part.loop(runs, acc, run)
            for i in range(rows):
                for j in range(vectors):
                    _store(builder, vector, acc[i * vectors + j], builder.gep(target[i], [I64(j * vector.count)]))
            return context.get_dummy_value()

        if vector:
            return types.void(a, offsets, i8, i8, b, i8, table, i8, i8, c, i8, i8), emit

    return tile_runs


# Small fixed matrices applied to patches of vectors


def _apply(builder, vector, matrix, values):
    """The products matrix @ values, as straight-line code that shares what equal numbers with other signs allow.

    Two columns that differ in signs alone are replaced by the sum and the difference of their values; two rows that
    differ in signs alone are the sum and the difference of two partial sums.
    """
    matrix, values = _pair_columns(builder, matrix, values)

    def weighted(row, columns):
        total = None
        for j in sorted(columns, key=lambda j: row[j] != 1):
            if total is None:
                total = values[j] if row[j] == 1 else builder.fmul(values[j], vector.constant(row[j]))
            elif abs(row[j]) == 1:
                total = (builder.fadd if row[j] > 0 else builder.fsub)(total, values[j])
            else:
                total = _fma(builder, vector, values[j], vector.constant(row[j]), total)
        return total

    done = {}
    for i, row in enumerate(matrix):
        if i in done:
            continue
        twin = _twin(matrix, i)
        used = [j for j in range(len(row)) if row[j]]
        if twin is None or twin in done:
            done[i] = weighted(row, used)
        else:
            same = weighted(row, [j for j in used if row[j] == matrix[twin][j]])
            other = weighted(row, [j for j in used if row[j] != matrix[twin][j]])
            done[i], done[twin] = builder.fadd(same, other), builder.fsub(same, other)
    return [done[i] for i in range(len(matrix))]


def _twin(rows, i):
    """The first later row with the numbers of row i, some with the same and some with the other sign, or None."""
    for k in range(i + 1, len(rows)):
        if all(abs(rows[k]) == abs(rows[i])) and any(rows[k] != rows[i]) and any(rows[k] != -rows[i]):
            if any((rows[k] == rows[i]) & (rows[i] != 0)):
                return k
    return None


def _pair_columns(builder, matrix, values):
    columns, values = list(matrix.T.copy()), list(values)
    for i in range(len(columns)):
        k = _twin(columns, i)
        if k is not None:
            same = columns[i] == columns[k]
            columns[i], columns[k] = columns[i] * same, columns[i] * ~same
            values[i], values[k] = builder.fadd(values[i], values[k]), builder.fsub(values[i], values[k])
    return np.array(columns).T, values


def _transform(builder, vector, matrix, source, target, finish):
    """Store matrix @ patch @ matrix.T, each vector through `finish`, which is told its place (i, j); `source` and
    `target` give the pointers to places."""
    half = []
    for j in range(matrix.shape[1]):
        patch = [_load(builder, vector, source(i, j)) for i in range(matrix.shape[1])]
        half.append(_apply(builder, vector, matrix, patch))
    for i in range(matrix.shape[0]):
        for j, value in enumerate(_apply(builder, vector, matrix, [column[i] for column in half])):
            _store(builder, vector, finish(value, i, j), target(i, j))


def _strided(builder, pointer, row, column):
    """The pointer to element (i, j) of a patch, rows and columns being so far apart."""
    def element(i, j):
        return builder.gep(pointer, [builder.add(builder.mul(row, I64(i)), builder.mul(column, I64(j)))])
    return element


def make_transform(matrix):
    """The primitive that applies `matrix` to both sides of a patch of vectors."""

    @intrinsic
    def transform(typingctx, x, x0, x_row, x_column, y, y0, y_row, y_column):
        vector, i8 = _flat(x), types.int64

        def emit(context, builder, signature, args):
            x = builder.gep(_data(context, builder, signature.args[0], args[0]), [args[1]])
            y = builder.gep(_data(context, builder, signature.args[4], args[4]), [args[5]])
            _transform(builder, vector, matrix, _strided(builder, x, *args[2:4]), _strided(builder, y, *args[6:8]),
                       lambda value, i, j: value)
            return context.get_dummy_value()

        if vector:
            return types.void(x, i8, i8, i8, y, i8, i8, i8), emit

    return transform


def make_transform_gathered(matrix):
    """The same for a patch that a table describes."""
    size = matrix.shape[1]

    @intrinsic
    def transform(typingctx, x, x0, table, t, zeros, y, y0, y_row, y_column):
        vector, i8 = _flat(x), types.int64

        def emit(context, builder, signature, args):
            x, table, zeros, y = (_data(context, builder, signature.args[k], args[k]) for k in (0, 2, 4, 5))
            x, table, y = builder.gep(x, [args[1]]), builder.gep(table, [args[3]]), builder.gep(y, [args[6]])

            def source(i, j):
                offset = builder.load(builder.gep(table, [I64(i * size + j)]))
                return builder.select(builder.icmp_signed("<", offset, I64(0)), zeros, builder.gep(x, [offset]))

            _transform(builder, vector, matrix, source, _strided(builder, y, *args[7:9]),
                       lambda value, i, j: value)
            return context.get_dummy_value()

        if vector:
            return types.void(x, i8, table, i8, zeros, y, i8, i8, i8), emit

    return transform


def make_transform_biased(matrix):
    """The transform with a bias added to every vector of the result, and max(., 0) where asked for."""

    @intrinsic
    def transform(typingctx, x, x0, x_row, x_column, y, y0, y_row, y_column, bias, bias0, relu_):
        vector, i8 = _flat(x), types.int64

        def emit(context, builder, signature, args):
            x = builder.gep(_data(context, builder, signature.args[0], args[0]), [args[1]])
            y = builder.gep(_data(context, builder, signature.args[4], args[4]), [args[5]])
            shift = _load(builder, vector, builder.gep(_data(context, builder, signature.args[8], args[8]), [args[9]]))
            lower = _lower_bound(builder, vector, args[10])
            _transform(builder, vector, matrix, _strided(builder, x, *args[2:4]), _strided(builder, y, *args[6:8]),
                       lambda value, i, j: _at_least(builder, lower, builder.fadd(value, shift)))
            return context.get_dummy_value()

        if vector:
            return types.void(x, i8, i8, i8, y, i8, i8, i8, bias, i8, i8), emit

    return transform


def make_transform_finished(matrix):
    """The transform with a bias and another array added, max(., 0), and 0 where a mask is not positive."""

    @intrinsic
    def transform(typingctx, x, x0, x_row, x_column, y, y0, y_row, y_column, bias, bias0, relu_, add, adding, mask,
                  masked):
        vector, i8 = _flat(x), types.int64

        def emit(context, builder, signature, args):
            x, y, bias, add, mask = (_data(context, builder, signature.args[k], args[k]) for k in (0, 4, 8, 11, 13))
            x, (y, add, mask) = builder.gep(x, [args[1]]), (builder.gep(array, [args[5]]) for array in (y, add, mask))
            shift = _load(builder, vector, builder.gep(bias, [args[9]]))
            lower = _lower_bound(builder, vector, args[10])
            adding, masked = (builder.icmp_signed("!=", args[k], I64(0)) for k in (12, 14))
            y, add, mask = (_strided(builder, array, *args[6:8]) for array in (y, add, mask))
            zero, one = vector.constant(0), vector.constant(1)

            def finish(value, i, j):
                more = builder.select(adding, _load(builder, vector, add(i, j)), zero)
                value = _at_least(builder, lower, builder.fadd(builder.fadd(value, shift), more))
                kept = builder.select(masked, _load(builder, vector, mask(i, j)), one)
                return builder.select(builder.fcmp_ordered(">", kept, zero), value, zero)

            _transform(builder, vector, matrix, _strided(builder, x, *args[2:4]), y, finish)
            return context.get_dummy_value()

        if vector:
            return types.void(x, i8, i8, i8, y, i8, i8, i8, bias, i8, i8, add, i8, mask, i8), emit

    return transform
