"""Products of whole matrices of bfloat16 numbers as LLVM code; `simd.python_amx` says what each primitive means.

Processors with AMX (Intel's from Sapphire Rapids on) have eight *matrix registers* of 16 rows of 64 bytes each. One
instruction adds to one of them, 16 x 16 float32 numbers, the product of two others, 16 x 32 and 32 x 16 bfloat16
numbers: 8,192 multiplications where one of vectors does 32. Only the registers' numbers, 0 to 7, appear in the code
below, since the instructions name them and the compiler does not choose.

    registers of a product of 2 x 2:    sums 0 1    rows of a 4    columns of b 6 7
                                             2 3              5

The registers belong to a thread, which says first how large they are (`make_open_amx`), and gives them back
(`close_amx`) so that the operating system need not save them.
"""
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastnet.kernels.cpu.simd.code import I8, I64, primitive
from fastnet.kernels.cpu.simd.tiles import Loops

_VOID = ir.VoidType()
# Bytes of a word and of a row of a register; words of a row, which are the rows of a register too.
_WORD, SIDE = 4, 16
_ROWS_OF_A, _COLUMNS_OF_B = 4, 6


def _sizes(words):
    """What `ldtilecfg` reads: the kind of table, 1; from byte 16 on how many bytes the rows of each register have, two
    bytes each, and from 48 on how many rows, one byte each."""
    row, short = [SIDE * _WORD, 0], [words * _WORD, 0]
    return bytes([1, *15 * [0], *4 * row, *2 * short, *2 * row, *16 * [0], *6 * [SIDE], *2 * [words], *8 * [0]])


def make_open_amx(words=SIDE):
    """What begins products of so many words at a time."""

    @primitive
    def open_amx():
        def emit(code):
            numbers, name = _sizes(words), f"fastnet.amx.sizes.{words}"
            sizes = code.builder.module.globals.get(name)
            if sizes is None:
                constant = ir.Constant(ir.ArrayType(I8, len(numbers)), bytearray(numbers))
                sizes = cgutils.global_constant(code.builder.module, name, constant)
            code.call("llvm.x86.ldtilecfg", _VOID, [code.builder.bitcast(sizes, I8.as_pointer())])

        return types.void(), emit

    return open_amx


@primitive
def close_amx():
    return types.void(), lambda code: code.call("llvm.x86.tilerelease", _VOID, [])


class _Product(Loops):
    """Emits a product of some matrix registers: `rows` of a by `columns` of b."""

    def __init__(self, code, rows, columns):
        super().__init__(code)
        self.rows, self.columns = range(rows), range(columns)
        self.sums = [(i, j, columns * i + j) for i in self.rows for j in self.columns]

    def memory(self, instruction, register, pointer, apart):
        """Load or store a register, whose rows begin so many bytes apart."""
        self.code.call(f"llvm.x86.{instruction}", _VOID, [I8(register), pointer, apart])

    def sum_at(self, i, j):
        """(pointer to the sums of a register, bytes between their rows)."""
        code, b = self.code, self.code.builder
        pointer = code.at(code.c, code.c0, b.mul(code.c_row, I64(SIDE * i)), SIDE * j)
        return b.bitcast(pointer, I8.as_pointer()), b.mul(code.c_row, I64(_WORD))

    def begin(self):
        """Start with what is in c, or with zeros."""
        with self.code.builder.if_else(self.code.builder.icmp_signed("!=", self.code.add, I64(0))) as (then, otherwise):
            with then:
                for i, j, register in self.sums:
                    self.memory("tileloadd64", register, *self.sum_at(i, j))
            with otherwise:
                for _, _, register in self.sums:
                    self.code.call("llvm.x86.tilezero", _VOID, [I8(register)])

    def step(self, left, right):
        """Add the products of some words of all rows and columns, from pointers to the first of each."""
        code, b = self.code, self.code.builder
        a_apart, b_apart = b.mul(code.a_row, I64(_WORD // 2)), b.mul(code.b_row, I64(_WORD))
        for i in self.rows:
            self.memory("tileloadd64", _ROWS_OF_A + i, code.at(left, b.mul(a_apart, I64(SIDE * i))), a_apart)
        for j in self.columns:
            self.memory("tileloadd64", _COLUMNS_OF_B + j, code.at(right, SIDE * _WORD * j), b_apart)
        for i, j, register in self.sums:
            code.call("llvm.x86.tdpbf16ps", _VOID, [I8(register), I8(_ROWS_OF_A + i), I8(_COLUMNS_OF_B + j)])

    def end(self):
        for i, j, register in self.sums:
            self.memory("tilestored64", register, *self.sum_at(i, j))


def make_amx_product(rows, columns, words=SIDE):
    """The product of 16 `rows` rows and 16 `columns` columns, each 1 or 2, of so many words at a time."""

    @primitive
    def amx_product(a, a0, a_row, table, t, runs, length, b, b0, b_row, c, c0, c_row, add):
        i8 = types.int64

        def emit(code):
            builder, product = code.builder, _Product(code, rows, columns)
            bytes_of = [builder.bitcast(pointer, I8.as_pointer()) for pointer in (code.a, code.b)]
            first, right = code.at(bytes_of[0], builder.mul(code.a0, I64(_WORD // 2))), \
                code.at(bytes_of[1], builder.mul(code.b0, I64(_WORD)))
            steps, entries = builder.sdiv(code.length, I64(words)), code.at(code.table, code.t)
            following = builder.mul(code.b_row, I64(words * _WORD))
            product.begin()

            def run(r, state):
                place = builder.load(code.at(entries, r))
                left = code.at(first, builder.mul(place, I64(_WORD // 2)))

                def step(k, pointers):
                    product.step(*pointers)
                    rows, columns = pointers
                    return [code.at(rows, words * _WORD), code.at(columns, following)]

                return product.loop(steps, [left, *state], step)[1:]

            product.loop(code.runs, [right], run)
            product.end()

        floats = [array.dtype == types.float32 for array in (a, b, c)]
        if all(floats):
            return types.void(a, i8, i8, table, i8, i8, i8, b, i8, i8, c, i8, i8, i8), emit

    return amx_product
