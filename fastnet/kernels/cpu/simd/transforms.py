"""The transforms of patches by small fixed matrices as LLVM code; `simd.python` says what each of them means."""
import numpy as np
from numba import types
from numba.extending import intrinsic

from fastnet.kernels.cpu.simd.bends import _Bend, _field, _Finish
from fastnet.kernels.cpu.simd.bfloat16 import _paired, _store_half
from fastnet.kernels.cpu.simd.llvm import I64, _data, _flat, _fma, _load, _store


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


def _transform(builder, vector, matrix, source, put):
    """Give the vectors of matrix @ patch @ matrix.T to `put`, which is told their places (i, j); `source` gives the
    pointers to those of the patch."""
    half = []
    for j in range(matrix.shape[1]):
        patch = [_load(builder, vector, source(i, j)) for i in range(matrix.shape[1])]
        half.append(_apply(builder, vector, matrix, patch))
    for i in range(matrix.shape[0]):
        for j, value in enumerate(_apply(builder, vector, matrix, [column[i] for column in half])):
            put(value, i, j)


def _strided(builder, pointer, row, column):
    """The pointer to element (i, j) of a patch, rows and columns being so far apart."""
    def element(i, j):
        return builder.gep(pointer, [builder.add(builder.mul(row, I64(i)), builder.mul(column, I64(j)))])
    return element


def _into(builder, vector, target, finish=lambda value, i, j: value):
    """For `_transform`: store each vector where `target` says, `finish` having been at it."""
    return lambda value, i, j: _store(builder, vector, finish(value, i, j), target(i, j))


def make_transform(matrix):
    """The primitive that applies `matrix` to both sides of a patch of vectors."""

    @intrinsic
    def transform(typingctx, x, x0, x_row, x_column, y, y0, y_row, y_column):
        vector, i8 = _flat(x), types.int64

        def emit(context, builder, signature, args):
            x = builder.gep(_data(context, builder, signature.args[0], args[0]), [args[1]])
            y = builder.gep(_data(context, builder, signature.args[4], args[4]), [args[5]])
            _transform(builder, vector, matrix, _strided(builder, x, *args[2:4]),
                       _into(builder, vector, _strided(builder, y, *args[6:8])))
            return context.get_dummy_value()

        if vector:
            return types.void(x, i8, i8, i8, y, i8, i8, i8), emit

    return transform


def _make_gathered(matrix, into):
    """The same for a patch that a table describes; `into` is `_into` or one of its kind."""
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

            _transform(builder, vector, matrix, source, into(builder, vector, _strided(builder, y, *args[7:9])))
            return context.get_dummy_value()

        if vector:
            return types.void(x, i8, table, i8, zeros, y, i8, i8, i8), emit

    return transform


def make_transform_gathered(matrix):
    """The transform of a patch that a table describes."""
    return _make_gathered(matrix, _into)


def make_transform_halved(matrix):
    """The same, neighbours in a vector paired: half a vector of words is stored."""
    def into(builder, vector, target):
        return lambda value, i, j: _store_half(builder, vector, value, target(i, j))

    return _make_gathered(matrix, into)


def make_transform_paired(matrix):
    """The same, each number paired with the one that is there already."""
    def into(builder, vector, target):
        return _into(builder, vector, target,
                     lambda value, i, j: _paired(builder, vector, _load(builder, vector, target(i, j)), value))

    return _make_gathered(matrix, into)


def make_transform_biased(matrix):
    """The transform with a bias added to every vector of the result, and its activation."""

    @intrinsic
    def transform(typingctx, x, x0, x_row, x_column, y, y0, y_row, y_column, bias, bias0, bend, now):
        vector, i8 = _flat(x), types.int64

        def emit(context, builder, signature, args):
            x = builder.gep(_data(context, builder, signature.args[0], args[0]), [args[1]])
            y = builder.gep(_data(context, builder, signature.args[4], args[4]), [args[5]])
            shift = _load(builder, vector, builder.gep(_data(context, builder, signature.args[8], args[8]), [args[9]]))
            activation = _Bend(context, builder, vector, signature.args[10], args[10]).only_if(args[11])
            _transform(builder, vector, matrix, _strided(builder, x, *args[2:4]),
                       _into(builder, vector, _strided(builder, y, *args[6:8]),
                             lambda value, i, j: activation.bound(builder.fadd(value, shift))))
            return context.get_dummy_value()

        if vector:
            return types.void(x, i8, i8, i8, y, i8, i8, i8, bias, i8, bend, i8), emit

    return transform


def make_transform_finished(matrix):
    """The transform with a bias added, and an epilogue."""

    @intrinsic
    def transform(typingctx, x, x0, x_row, x_column, y, y0, y_row, y_column, bias, bias0, epilogue):
        vector, i8 = _flat(x), types.int64

        def emit(context, builder, signature, args):
            x, y, bias = (_data(context, builder, signature.args[k], args[k]) for k in (0, 4, 8))
            add, mask = (_data(context, builder, *_field(builder, epilogue, args[10], name))
                         for name in ("add", "mask"))
            x, (y, add, mask) = builder.gep(x, [args[1]]), (builder.gep(array, [args[5]]) for array in (y, add, mask))
            shift = _load(builder, vector, builder.gep(bias, [args[9]]))
            follow = _Finish(context, builder, vector, epilogue, args[10])
            y, add, mask = (_strided(builder, array, *args[6:8]) for array in (y, add, mask))

            def finish(value, i, j):
                more, kept = (_load(builder, vector, array(i, j)) for array in (add, mask))
                return follow.apply(builder.fadd(value, shift), more, kept)

            _transform(builder, vector, matrix, _strided(builder, x, *args[2:4]), _into(builder, vector, y, finish))
            return context.get_dummy_value()

        if vector:
            return types.void(x, i8, i8, i8, y, i8, i8, i8, bias, i8, epilogue), emit

    return transform
