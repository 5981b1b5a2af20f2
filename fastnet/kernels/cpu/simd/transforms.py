"""The transforms of patches by small fixed matrices as LLVM code; `simd.python_transforms` says what each one means.

A patch is a square of vectors, one channel to a lane, and its transform is M patch M^T for a matrix M that is known
while the code is made. So there is no matrix in the result, only the additions and the few multiplications that M's
zeros, ones and repetitions leave over: first each column of the patch times M, then each row of that.
"""
import functools

import numpy as np
from numba import types
from numba.core import cgutils

from fastnet.kernels.cpu.simd.bends import BendCode, FinishCode
from fastnet.kernels.cpu.simd.bfloat16 import paired, store_half
from fastnet.kernels.cpu.simd.code import I64, primitive, vector_of
from fastnet.kernels.cpu.simd.host import HOST, SHAPE
from fastnet.kernels.cpu.simd.tiles import Loops

# Whether two partial sums are added and subtracted by two multiply-adds where the second has a factor. That saves a
# multiplication and a register for its factor. With AVX-512 instructions read such numbers from memory, and processors
# may add while they multiply: there plain additions, after one multiplication more, take 0.95 of the time.
_FACTORS = HOST != "avx512"


def _multiply(code, vector, matrix, values):
    """The products matrix @ values, as straight-line code that shares what equal numbers with other signs allow.

    Two columns that differ in signs alone are replaced by the sum and the difference of their values; two rows that
    differ in signs alone are the sum and the difference of two partial sums, of which the second may be worked out
    without a factor that its terms have in common: that is multiplied as the two are added.
    """
    builder = code.builder
    matrix, values = _join_columns(builder, matrix, values)

    def weighted_sum(total, value, factor):
        if abs(factor) == 1:
            return (builder.fadd if factor > 0 else builder.fsub)(total, value)
        return code.fma(vector, value, vector.constant(factor), total)

    def weighted(row, columns):
        first, *others = sorted(columns, key=lambda j: row[j] != 1)
        total = values[first] if row[first] == 1 else builder.fmul(values[first], vector.constant(row[first]))
        for j in others:
            total = weighted_sum(total, values[j], row[j])
        return total

    done = {}
    for i, row in enumerate(matrix):
        if i in done:
            continue
        other_row = _same_but_for_signs(matrix, i)
        used = [j for j in range(len(row)) if row[j]]
        if other_row is None or other_row in done:
            done[i] = weighted(row, used)
        else:
            same = weighted(row, [j for j in used if row[j] == matrix[other_row][j]])
            turned = [j for j in used if row[j] != matrix[other_row][j]]
            # The one of the smallest numerator divides the others exactly: those have it more than once.
            factor = row[min(turned, key=lambda j: abs(row[j].as_integer_ratio()[0]))] if _FACTORS else 1
            other = weighted(row / factor, turned)
            done[i], done[other_row] = weighted_sum(same, other, factor), weighted_sum(same, other, -factor)
    return [done[i] for i in range(len(matrix))]


def _same_but_for_signs(rows, i):
    """The first later row with the numbers of row i, some with the same and some with the other sign, or None."""
    for k in range(i + 1, len(rows)):
        if all(abs(rows[k]) == abs(rows[i])) and any(rows[k] != rows[i]) and any(rows[k] != -rows[i]):
            if any((rows[k] == rows[i]) & (rows[i] != 0)):
                return k
    return None


def _join_columns(builder, matrix, values):
    """The matrix and values with columns that differ in signs alone replaced, which gives more zeros."""
    columns, values = list(matrix.T.copy()), list(values)
    for i in range(len(columns)):
        k = _same_but_for_signs(columns, i)
        if k is not None:
            same = columns[i] == columns[k]
            columns[i], columns[k] = columns[i] * same, columns[i] * ~same
            values[i], values[k] = builder.fadd(values[i], values[k]), builder.fsub(values[i], values[k])
    return np.array(columns).T, values


def _transform(code, vector, matrix, source, put, summed=False):
    """Give the vectors of matrix @ patch @ matrix.T to `put`, which is told their places (i, j); `source` gives the
    pointers to those of the patch. If `summed`, the sum of the patch is given behind them, for place (rows, 0).

    What is between the two products stays in registers where these hold it and a column of the patch besides, or about
    all of it, and all is written out. Else it goes through memory, and both products are loops: the compiler would move
    vectors to memory and back wherever registers run out, with the address of each, which takes up to twice as long
    with 16 of them. With 32 all but a few vectors of a patch of 6 x 6 stay, and loops take 1.2 times as long.
    """
    rows, columns = matrix.shape

    def load_column(j):
        return [code.load(vector, source(i, j)) for i in range(columns)]

    def added(totals, values):
        """The sums with a column: none, or one."""
        return [code.builder.fadd(total, functools.reduce(code.builder.fadd, values)) for total in totals]

    def put_row(i, values):
        for j, value in enumerate(_multiply(code, vector, matrix, values)):
            put(value, i, j)

    totals = [vector.constant(0)] * summed
    if (rows + 1) * columns <= SHAPE.held:
        half = []
        for j in range(columns):
            values = load_column(j)
            half.append(_multiply(code, vector, matrix, values))
            totals = added(totals, values)
        for i in range(rows):
            put_row(i, [one[i] for one in half])
    else:
        totals = _transform_in_loops(code, vector, matrix, totals, load_column, added, put_row)
    for total in totals:
        put(total, rows, 0)


def _transform_in_loops(code, vector, matrix, totals, load_column, added, put_row):
    """`_transform` by way of memory; returns the sums."""
    rows, columns = matrix.shape
    half, loops = cgutils.alloca_once(code.builder, vector.llvm, rows * columns), Loops(code)

    def keep_column(j, totals):
        values = load_column(j)
        for i, value in enumerate(_multiply(code, vector, matrix, values)):
            code.builder.store(value, code.at(half, _index(code, j, rows, i)))
        return added(totals, values)

    def take_row(i, _):
        put_row(i, [code.builder.load(code.at(half, _index(code, j, rows, i))) for j in range(columns)])
        return []

    totals = loops.loop(I64(columns), totals, keep_column, rolled=True)
    loops.loop(I64(rows), [], take_row, rolled=True)
    return totals


def _index(code, i, size, j):
    """i size + j, where i and j are integers or values."""
    i, size, j = (I64(part) if isinstance(part, int) else part for part in (i, size, j))
    return code.builder.add(code.builder.mul(i, size), j)


def _strided(code, pointer, row, column):
    """The pointer to element (i, j) of a patch, rows and columns being so far apart."""
    def element(i, j):
        b = code.builder
        return code.at(pointer, _index(code, i, row, b.mul(column, I64(j) if isinstance(j, int) else j)))
    return element


def _into(code, vector, target, finish=lambda value, i, j: value):
    """For `_transform`: store each vector where `target` says, `finish` having been at it."""
    return lambda value, i, j: code.store(vector, finish(value, i, j), target(i, j))


def _into_memory(code, vector, target):
    """The same past the caches."""
    return lambda value, i, j: code.stream_part(vector, value, target(i, j), I64(vector.count))


def _source(code):
    """Where the patch of a primitive (x, x0, x_row, x_column, ...) is."""
    return _strided(code, code.at(code.x, code.x0), code.x_row, code.x_column)


def _target(code, array=None):
    """Where the result of a primitive (..., y, y0, y_row, y_column) goes; or the same places of another array."""
    return _strided(code, code.at(code.y if array is None else array, code.y0), code.y_row, code.y_column)


def make_transform(matrix, streams=False):
    """The primitive that applies `matrix` to both sides of a patch of vectors; past the caches if it `streams`."""
    into = _into_memory if streams else _into

    @primitive
    def transform(x, x0, x_row, x_column, y, y0, y_row, y_column):
        vector, i8 = vector_of(x), types.int64

        def emit(code):
            _transform(code, vector, matrix, _source(code), into(code, vector, _target(code)))

        if vector:
            return types.void(x, i8, i8, i8, y, i8, i8, i8), emit

    return transform


def _make_gathered(matrix, into, summed=False):
    """The same for a patch that a table describes; `into` is `_into` or one of its kind."""
    size = matrix.shape[1]

    @primitive
    def transform(x, x0, table, t, zeros, y, y0, y_row, y_column):
        vector, i8 = vector_of(x), types.int64

        def emit(code):
            first, entries = code.at(code.x, code.x0), code.at(code.table, code.t)

            def source(i, j):
                offset = code.builder.load(code.at(entries, _index(code, i, size, j)))
                outside = code.builder.icmp_signed("<", offset, I64(0))
                return code.builder.select(outside, code.zeros, code.at(first, offset))

            target = _target(code)
            for i, j in np.ndindex(len(matrix), len(matrix)):   # or each store would wait for its line when it comes
                code.prefetch(target(i, j), write=True)
            _transform(code, vector, matrix, source, into(code, vector, target), summed)

        if vector:
            return types.void(x, i8, table, i8, zeros, y, i8, i8, i8), emit

    return transform


def make_transform_gathered(matrix, summed=False):
    """The transform of a patch that a table describes; the sum of the patch behind it if `summed`."""
    return _make_gathered(matrix, _into, summed)


def make_transform_halved(matrix):
    """The same, neighbours in a vector paired: half a vector of words is stored."""
    def into(code, vector, target):
        return lambda value, i, j: store_half(code, vector, value, target(i, j))

    return _make_gathered(matrix, into)


def make_transform_paired(matrix, summed=False):
    """The same, each number, and the sum, paired with the one that is there already."""
    def into(code, vector, target):
        return _into(code, vector, target,
                     lambda value, i, j: paired(code, vector, code.load(vector, target(i, j)), value))

    return _make_gathered(matrix, into, summed)


def make_transform_biased(matrix):
    """The transform with a bias added to every vector of the result, and its activation."""

    @primitive
    def transform(x, x0, x_row, x_column, y, y0, y_row, y_column, bias, bias0, bend, now):
        vector, i8 = vector_of(x), types.int64

        def emit(code):
            shift = code.load(vector, code.at(code.bias, code.bias0))
            activation = BendCode(code, vector, bend, code.bend).only_if(code.now)
            _transform(code, vector, matrix, _source(code), _into(
                code, vector, _target(code), lambda value, i, j: activation.bound(code.builder.fadd(value, shift))))

        if vector:
            return types.void(x, i8, i8, i8, y, i8, i8, i8, bias, i8, bend, i8), emit

    return transform


def make_transform_finished(matrix):
    """The transform with a bias added, and an epilogue."""

    @primitive
    def transform(x, x0, x_row, x_column, y, y0, y_row, y_column, bias, bias0, epilogue):
        vector, i8 = vector_of(x), types.int64

        def emit(code):
            added, output = (_target(code, code.data(*code.field(epilogue, code.epilogue, name)))
                             for name in ("add", "mask"))
            shift = code.load(vector, code.at(code.bias, code.bias0))
            made = FinishCode(code, vector, epilogue, code.epilogue)

            def finish(value, i, j):
                at_place = code.load(vector, added(i, j)), code.load(vector, output(i, j))
                return made.apply(code.builder.fadd(value, shift), *at_place)

            _transform(code, vector, matrix, _source(code), _into(code, vector, _target(code), finish))

        if vector:
            return types.void(x, i8, i8, i8, y, i8, i8, i8, bias, i8, epilogue), emit

    return transform
