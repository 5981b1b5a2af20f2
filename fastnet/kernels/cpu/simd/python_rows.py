"""What the products with a matrix whose rows are read as they lie mean, see `simd.rows`."""
import numpy as np

from fastnet.kernels.cpu.simd.python import lanes, part


def make_multiples(depth):
    """Rows of a matrix that are added, multiplied, to rows of another one, `depth` of them and two vectors at a time:
    those stay in registers, and all else is read once."""

    def multiples(a, a0, a_row, m, b, b0, b_row, n, c, c0, c_row):
        """c[c0 + i * c_row + j] += sum over k < depth of a[a0 + i * a_row + k] * b[b0 + k * b_row + j], for i < m and j
        below two vectors; of b only j < n are read, the others are 0."""
        wide = 2 * lanes(a)
        right = np.zeros((depth, wide), a.dtype)
        for k in range(depth):
            right[k, :min(n, wide)] = part(b, b0 + k * b_row, min(n, wide))
        for i in range(m):
            part(c, c0 + i * c_row, wide)[:] += part(a, a0 + i * a_row, depth) @ right

    return multiples


def make_dots(rows, others):
    """The dot products of so many rows of a matrix with so many of another one, all of whose sums stay in registers:
    what is read of a row takes part in as many products as the other matrix has rows."""

    def dots(a, a0, a_row, m, b, b0, b_row, s, n, c, c0, c_row):
        """c[c0 + j * c_row + i] += sum over l < n of a[a0 + i * a_row + l] * b[b0 + j * b_row + l], for i < rows and m,
        j < others and s; c holds float64."""
        for i in range(min(rows, m)):
            for j in range(min(others, s)):
                products = part(a, a0 + i * a_row, n) * part(b, b0 + j * b_row, n)
                part(c, c0 + j * c_row + i, 1)[:] += products.sum()

    return dots
