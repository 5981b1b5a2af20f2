"""What the transforms of patches by small fixed matrices mean, in plain NumPy; see `simd.python`."""
import numpy as np

from fastnet.kernels.cpu.simd.python import bound, finish, load, pair, part, store


def make_transform(matrix, streams=False):
    """The primitive that applies `matrix` to both sides of a patch of vectors; past the caches if it `streams`."""

    def transform(x, x0, x_row, x_column, y, y0, y_row, y_column):
        """y_ij = sum over k, l of matrix[i, k] matrix[j, l] x_kl, vectors at x[x0 + k * x_row + l * x_column] and
        y[y0 + i * y_row + j * y_column]."""
        patch = _strided(matrix, x, x0, x_row, x_column)
        _store_patch(_transformed(matrix, patch), y, y0, y_row, y_column)

    return transform


def _make_gathered(matrix, put, summed=False):
    rows, size = matrix.shape

    def transform(x, x0, table, t, zeros, y, y0, y_row, y_column):
        """`make_transform` for the vectors x_kl at x[x0 + table[t + k * size + l]], or at zeros[0] where that is -1. If
        `summed`, y_n0 for the n rows of the matrix is the sum of all x_kl."""
        vectors = [load(x, x0 + int(at)) if at >= 0 else load(zeros, 0) for at in part(table, t, size * size)]
        patch = np.array(vectors).reshape(size, size, -1)
        _store_patch(_transformed(matrix, patch), y, y0, y_row, y_column, put)
        _store_patch([[patch.sum(axis=(0, 1))]] * summed, y, y0 + rows * y_row, 0, 0, put)

    return transform


def make_transform_gathered(matrix, summed=False):
    """The transform of a patch that a table describes; the sum of the patch behind it if `summed`."""
    return _make_gathered(matrix, store, summed)


def make_transform_halved(matrix):
    """The same, neighbours in a vector paired: half a vector of words is stored."""
    return _make_gathered(matrix, lambda y, i, v: np.copyto(part(y, i, len(v) // 2), pair(v[::2], v[1::2])))


def make_transform_paired(matrix, summed=False):
    """The same, each number, and the sum, paired with the one that is there already."""
    return _make_gathered(matrix, lambda y, i, v: store(y, i, pair(load(y, i), v)), summed)


def make_transform_biased(matrix):
    """The transform with a bias added to every vector of the result, and its activation."""

    def transform(x, x0, x_row, x_column, y, y0, y_row, y_column, bias, bias0, bend, now):
        """y_ij of `make_transform` plus the vector at bias[bias0], and with now != 0 `bound` of it."""
        result = _transformed(matrix, _strided(matrix, x, x0, x_row, x_column)) + load(bias, bias0)
        _store_patch(bound(result, bend) if now else result, y, y0, y_row, y_column)

    return transform


def make_transform_finished(matrix):
    """The transform with a bias added, and an epilogue."""

    def transform(x, x0, x_row, x_column, y, y0, y_row, y_column, bias, bias0, epilogue):
        """y_ij of `make_transform` plus the vector at bias[bias0], and `finish` of it with the numbers of
        `epilogue.add` and `epilogue.mask` at y_ij's place."""
        result = _transformed(matrix, _strided(matrix, x, x0, x_row, x_column)) + load(bias, bias0)
        places = [[y0 + i * y_row + j * y_column for j in range(len(result))] for i in range(len(result))]
        added, output = (np.array([[load(array, place) for place in row] for row in places])
                         for array in (epilogue.add, epilogue.mask))
        _store_patch(finish(result, added, output, epilogue, True), y, y0, y_row, y_column)

    return transform


def _strided(matrix, x, x0, x_row, x_column):
    places = range(matrix.shape[1])
    return np.array([[load(x, x0 + i * x_row + j * x_column) for j in places] for i in places])


def _transformed(matrix, patch):
    return np.einsum("ik,klv,jl->ijv", matrix, patch, matrix).astype(patch.dtype)


def _store_patch(patch, y, y0, y_row, y_column, put=store):
    for i, row in enumerate(patch):
        for j, vector in enumerate(row):
            put(y, y0 + i * y_row + j * y_column, vector)
