"""What products of whole matrices of bfloat16 numbers mean, in plain NumPy; see `simd.amx` and `simd.python`."""
import numpy as np

from fastnet.kernels.cpu.simd.python import apart, part

# Rows, and words of a row, of a matrix register.
SIDE = 16


def make_open_amx(words=SIDE):
    """What begins products of so many words at a time."""

    def open_amx():
        """Begin to multiply: every thread does it before its first product."""

    return open_amx


def close_amx():
    """Multiply no more."""


def make_amx_product(rows, columns, words=SIDE):
    """The product of 16 `rows` rows and 16 `columns` columns, each 1 or 2, of so many words at a time."""

    def amx_product(a, a0, a_row, table, t, runs, length, b, b0, b_row, c, c0, c_row, add):
        """c[c0 + i c_row + j] = sum over r < runs and l < 2 length of a_r[i a_row + l] b_r[l, j], for all i < 16 rows
        and j < 16 columns; with add != 0 it is added to what is there.

        a and b hold words of two bfloat16 numbers. a_r begins at *number* a0 + table[t + r] of a, lower halves being
        even numbers and upper ones odd, and its rows are `a_row` numbers apart. b_r[2 l] and b_r[2 l + 1] are the lower
        and the upper numbers of the words from b[b0 + (r length + l) b_row] on. `length` is a multiple of `words`.
        """
        height, width = SIDE * rows, SIDE * columns
        halves = a.view(np.uint16)
        total = np.zeros((height, width), np.float32)
        for r in range(runs):
            start = a0 + table[t + r]
            left = np.stack([part(halves, start + i * a_row, 2 * length) for i in range(height)])
            first = b0 + r * length * b_row
            right = np.stack([part(b, first + k * b_row, width) for k in range(length)])
            total += (left.astype(np.uint32) << 16).view(np.float32) @ apart(right, 0)
        for i in range(height):
            there = part(c, c0 + i * c_row, width)
            there[:] = there + total[i] if add else total[i]

    return amx_product
