"""The sum of a matrix's rows, added in order: what samples, or shares of them, contribute to a bias's gradient."""
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime.array import empty
from fastnet.kernels.cpu.runtime.jit import jit, launch

# Columns of a block.
_COLUMNS = 256


def sum_rows(x, rows, apart, columns):
    """The sum, as `columns` numbers, of so many rows that start `apart` numbers from each other in the flat x."""
    y = empty(columns, x.dtype)
    launch(_sum_rows, -(-columns // _COLUMNS), x, y, rows, apart, work=rows * columns)
    return y


@jit
def _sum_rows(block, slot, x, y, rows, apart):
    for i in range(block * _COLUMNS, min((block + 1) * _COLUMNS, y.size), simd.lanes(x)):
        n = y.size - i
        total = simd.load_part(x, i, n)
        for row in range(1, rows):
            total = total + simd.load_part(x, row * apart + i, n)
        simd.store_part(y, i, total, n)
