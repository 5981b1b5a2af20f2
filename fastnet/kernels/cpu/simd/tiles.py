"""The register tiles as LLVM code; `simd.python` says what each of them means, `simd.__init__` draws one.

The sums of a tile, its *accumulators*, are a Python list of rows x vectors LLVM values, row by row. While the loops
below run they are phi nodes, LLVM's way to say: this value is one thing when the loop begins, and another when it comes
round again. So an accumulator is a value and not a variable in memory; it has no address, and is stored once, when the
last product is in it. LLVM would still move some of them to memory if there were more than registers: `host.Shape` is
chosen so that all fit, with room for one row of the panel and one number of a.
"""
from numba import types

from fastnet.kernels.cpu.simd.bends import BendCode
from fastnet.kernels.cpu.simd.bfloat16 import multiply_words
from fastnet.kernels.cpu.simd.code import I64, Code, Vector, primitive, vector_of


class Loops:
    """Emits loops that carry accumulators."""

    def __init__(self, code):
        self.code = code

    def loop(self, count, carried, body):
        """Emit ``for k in range(count): carried = body(k, carried)`` for values ``carried``, return their last
        state."""
        b = self.code.builder
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


class _Tile(Loops):
    """Emits what all tiles are made of: loops that carry accumulators, and products into them."""

    def __init__(self, code, vector, rows, vectors, multiply=Code.fma):
        super().__init__(code)
        self.vector, self.rows, self.vectors, self.multiply = vector, rows, vectors, multiply

    def row_at(self, pointer):
        """The vectors of one row of a panel, or of the result."""
        return [self.code.load(self.vector, self.code.at(pointer, j * self.vector.count)) for j in range(self.vectors)]

    def store_row(self, acc, i, pointer):
        """Store row i of the accumulators."""
        for j in range(self.vectors):
            value = acc[i * self.vectors + j]
            self.code.store(self.vector, value, self.code.at(pointer, j * self.vector.count))

    def add_row(self, acc, i, pointer):
        """Add row i to what is in memory."""
        for j in range(self.vectors):
            place = self.code.at(pointer, j * self.vector.count)
            total = self.code.builder.fadd(self.code.load(self.vector, place), acc[i * self.vectors + j])
            self.code.store(self.vector, total, place)

    def store_part_of_row(self, acc, i, pointer, n):
        """Store the first n numbers of row i."""
        for j in range(self.vectors):
            left_over = self.code.builder.sub(n, I64(j * self.vector.count))
            value = acc[i * self.vectors + j]
            self.code.store_part(self.vector, value, self.code.at(pointer, j * self.vector.count), left_over)

    def product(self, acc, left, step, right, length):
        """acc[i][j] += sum over l of left[i][l * step] * right[l][j], where right holds one row of the panel a step:
        the innermost loop of all."""
        b, panel = self.code.builder, self.vectors * self.vector.count

        def body(k, state):
            index, pointer, *acc = state
            row, new = self.row_at(pointer), []
            for i in range(self.rows):
                factor = self.code.splat(b.load(self.code.at(left[i], index)), self.vector.count)
                new += [self.multiply(self.code, self.vector, factor, row[j], acc[i * self.vectors + j])
                        for j in range(self.vectors)]
            return [b.add(index, step), self.code.at(pointer, panel), *new]

        _, _, *acc = self.loop(length, [I64(0), right, *acc], body)
        return acc


def _row(x, halves):
    """(vector type, how many): what a row of `halves` half vectors of x's dtype is made of; None for no such array."""
    vector = vector_of(x)
    if vector is not None and halves == 1:
        return Vector(vector.dtype, vector.count // 2), 1
    return vector, halves // 2


def make_tile(rows, halves):
    """The tile with that many rows, and half vectors to a row."""

    @primitive
    def tile(a, a0, table, t, zeros, runs, length, step, b, b0, bias, bias0, c, c0, places, p, m, n, bend,
             now):
        (vector, vectors), i8 = _row(a, halves), types.int64

        def emit(code):
            builder, part = code.builder, _Tile(code, vector, rows, vectors)
            acc = part.row_at(code.at(code.bias, code.bias0)) * rows
            missing = [builder.icmp_signed("<=", code.m, I64(i)) for i in range(rows)]
            first_number, entries = code.at(code.a, code.a0), code.at(code.table, code.t)
            run_size = builder.mul(code.length, I64(vectors * vector.count))

            def run(r, acc):
                entry = code.at(entries, builder.mul(r, I64(rows)))
                left = []
                for i in range(rows):
                    offset = builder.load(code.at(entry, i))
                    outside = builder.icmp_signed("<", offset, I64(0))
                    pointer = builder.select(outside, code.zeros, code.at(first_number, offset))
                    left.append(builder.select(missing[i], left[0], pointer) if i else pointer)
                right = code.at(code.b, builder.add(code.b0, builder.mul(r, run_size)))
                return part.product(acc, left, code.step, right, code.length)

            acc = part.loop(code.runs, acc, run)
            acc = BendCode(code, vector, bend, code.bend).only_if(code.now).all(acc)

            def target(i):
                return code.at(code.c, code.c0, builder.load(code.at(code.places, code.p, i)))

            whole = builder.and_(builder.icmp_signed(">=", code.m, I64(rows)),
                                 builder.icmp_signed(">=", code.n, I64(vectors * vector.count)))
            with builder.if_else(whole) as (then, otherwise):
                with then:
                    for i in range(rows):
                        part.store_row(acc, i, target(i))
                with otherwise:
                    for i in range(rows):
                        with builder.if_then(builder.icmp_signed("<", I64(i), code.m)):
                            part.store_part_of_row(acc, i, target(i), code.n)

        if vector:
            return types.void(a, i8, table, i8, zeros, i8, i8, i8, b, i8, bias, i8, c, i8, places, i8, i8, i8, bend,
                              i8), emit

    return tile


def make_tile_plain(rows, halves, paired=False):
    """The tile without bias, edges or anything else that short products cannot pay for, for rows a constant apart; of
    `paired` numbers if asked for."""

    @primitive
    def tile_plain(a, a0, a_next, length, b, b0, c, c0):
        (vector, vectors), i8 = _row(a, halves), types.int64

        def emit(code):
            builder, part = code.builder, _Tile(code, vector, rows, vectors, multiply_words if paired else Code.fma)
            lanes, panel = I64(vector_of(a).count), vectors * vector.count

            def column(k, state):
                left, right, remaining, *acc = state
                now = builder.select(builder.icmp_signed("<", remaining, lanes), remaining, lanes)
                starts = [code.at(left, i * lanes.constant) for i in range(rows)]
                acc = part.product(acc, starts, I64(1), right, now)
                following = code.at(left, code.a_next), code.at(right, lanes.constant * panel)
                return [*following, builder.sub(remaining, lanes), *acc]

            columns = builder.sdiv(builder.add(code.length, I64(lanes.constant - 1)), lanes)
            sums = [vector.constant(0)] * (rows * vectors)
            begin = [code.at(code.a, code.a0), code.at(code.b, code.b0), code.length]
            _, _, _, *acc = part.loop(columns, [*begin, *sums], column)
            for i in range(rows):
                part.store_row(acc, i, code.at(code.c, code.c0, i * panel))

        if vector:
            return types.void(a, i8, i8, i8, b, i8, c, i8), emit

    return tile_plain


def make_tile_runs(rows, halves, adjacent, paired=False):
    """The accumulating tile with that many rows, and half vectors to a row. Where the rows of a are known to be
    adjacent numbers, one register holds where all of them are. Of `paired` numbers if asked for."""

    @primitive
    def tile_runs(a, offsets, o, step, b, b0, table, t, runs, c, c0, c_row):
        (vector, vectors), i8 = _row(a, halves), types.int64

        def emit(code):
            builder, part = code.builder, _Tile(code, vector, rows, vectors, multiply_words if paired else Code.fma)
            first = code.at(code.a, builder.load(code.at(code.offsets, code.o)))
            starts = [first] + [
                code.at(first, i) if adjacent else code.at(code.a, builder.load(code.at(code.offsets, code.o, i)))
                for i in range(1, rows)]
            panel = code.at(code.b, code.b0)
            target = [code.at(code.c, builder.add(code.c0, builder.mul(code.c_row, I64(i)))) for i in range(rows)]
            acc = [vector.constant(0)] * (rows * vectors)

            def run(r, acc):
                entry = code.at(code.table, code.t, builder.mul(r, I64(3)))
                a_r, b_r, n = (builder.load(code.at(entry, k)) for k in range(3))
                left = [code.at(start, a_r) for start in starts]
                return part.product(acc, left, code.step, code.at(panel, b_r), n)

            acc = part.loop(code.runs, acc, run)
            for i in range(rows):
                part.add_row(acc, i, target[i])

        if vector:
            return types.void(a, offsets, i8, i8, b, i8, table, i8, i8, c, i8, i8), emit

    return tile_runs
