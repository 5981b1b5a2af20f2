"""What the products with a matrix whose rows are read as they lie mean, see `simd.rows`."""
from fastnet.kernels.cpu.simd.python import lanes, part


def make_multiples(rows, vectors):
    """Multiples of the rows of a matrix that are added to so many rows of another one, so many vectors wide: the sums
    stay in registers, and what is read of the matrix takes part in as many products as there are sums of it."""

    def multiples(a, a0, a_row, m, length, b, b0, b_row, c, c0, c_row):
        """c[c0 + i * c_row + j] += sum over k < length of a[a0 + i * a_row + k] * b[b0 + k * b_row + j], for i < rows
        and m, and j below so many vectors; m is at least 1."""
        wide = vectors * lanes(a)
        for i in range(min(rows, m)):
            for k in range(length):
                part(c, c0 + i * c_row, wide)[:] += part(a, a0 + i * a_row + k, 1) * part(b, b0 + k * b_row, wide)

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
