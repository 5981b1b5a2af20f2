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

    def loop(self, count, carried, body, rolled=False):
        """Emit ``for k in range(count): carried = body(k, carried)`` for values ``carried``, return their last
        state. A `rolled` loop is never written out, however short."""
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
        back = b.branch(head)
        if rolled:
            back.set_metadata("llvm.loop", self._stay_rolled())
        b.position_at_end(after)
        return state

    def _stay_rolled(self):
        """LLVM's words for it, a node of metadata whose first part is the node itself."""
        module = self.code.builder.module
        node = module.add_metadata([module.add_metadata(["llvm.loop.unroll.disable"]), I64(len(module.metadata))])
        node.operands = node, node.operands[0]
        return node


class Tile(Loops):
    """Emits what all tiles are made of: loops that carry accumulators, and products into them."""

    def __init__(self, code, row, rows, multiply=Code.fma, ahead=None):
        """`row` lists the types of the vectors of a row. With each row of the panel the line of memory so many numbers
        `ahead` is asked for, unless that is None."""
        super().__init__(code)
        self.ahead = ahead
        self.row, self.rows, self.multiply = row, rows, multiply
        self.places = [sum(vector.count for vector in row[:j]) for j in range(len(row))]
        self.panel = sum(vector.count for vector in row)

    def row_at(self, pointer):
        """The vectors of one row of a panel, or of the result."""
        return [self.code.load(vector, self.code.at(pointer, place)) for place, vector in self.columns()]

    def columns(self):
        """(where it begins, its type) for each vector of a row."""
        return zip(self.places, self.row, strict=True)

    def zeros(self):
        """Accumulators to begin with."""
        return [vector.constant(0) for vector in self.row] * self.rows

    def row_of(self, acc, i):
        """Row i of the accumulators."""
        return acc[i * len(self.row): (i + 1) * len(self.row)]

    def store_row(self, acc, i, pointer):
        """Store row i of the accumulators."""
        for value, (place, vector) in zip(self.row_of(acc, i), self.columns(), strict=True):
            self.code.store(vector, value, self.code.at(pointer, place))

    def add_row(self, acc, i, pointer):
        """Add row i to what is in memory."""
        for value, (place, vector) in zip(self.row_of(acc, i), self.columns(), strict=True):
            there = self.code.at(pointer, place)
            self.code.store(vector, self.code.builder.fadd(self.code.load(vector, there), value), there)

    def store_part_of_row(self, acc, i, pointer, n):
        """Store the first n numbers of row i."""
        for value, (place, vector) in zip(self.row_of(acc, i), self.columns(), strict=True):
            self.code.store_part(vector, value, self.code.at(pointer, place), self.code.builder.sub(n, I64(place)))

    def product(self, acc, left, step, right, length, apart=None):
        """acc[i][j] += sum over l of left[i][l * step] * right[l][j], where right holds one row of the panel a step, or
        the rows start so many numbers `apart`: the innermost loop of all."""
        b = self.code.builder

        def body(k, state):
            index, pointer, *acc = state
            # Before the loads: behind them it would keep LLVM from reading one number as vectors of two widths.
            if self.ahead is not None:
                self.code.prefetch(self.code.at(pointer, self.ahead))
            row, new = self.row_at(pointer), []
            for i in range(self.rows):
                number, factors = b.load(self.code.at(left[i], index)), {}
                for vector, column, total in zip(self.row, row, self.row_of(acc, i), strict=True):
                    if vector not in factors:
                        factors[vector] = self.code.splat(number, vector.count)
                    new.append(self.multiply(self.code, vector, factors[vector], column, total))
            return [b.add(index, step), self.code.at(pointer, self.panel if apart is None else apart), *new]

        _, _, *acc = self.loop(length, [I64(0), right, *acc], body)
        return acc


def _row(x, halves):
    """The types of the vectors that a row of `halves` half vectors of x's dtype is made of; None for no such array."""
    vector = vector_of(x)
    if vector is not None:
        return [vector] * (halves // 2) + [Vector(vector.dtype, vector.count // 2)] * (halves % 2)


def make_tile(rows, halves, paired=False):
    """The tile with that many rows, and half vectors to a row; of `paired` numbers if asked for."""

    @primitive
    def tile(a, a0, table, t, zeros, runs, length, step, b, b0, bias, bias0, c, c0, places, p, m, n, bend,
             now):
        row, i8 = _row(a, halves), types.int64
        if row:
            return types.void(a, i8, table, i8, zeros, i8, i8, i8, b, i8, bias, i8, c, i8, places, i8, i8, i8, bend,
                              i8), _emit_tile(rows, row, paired, bend)

    return tile


def make_tile_fetching(rows, halves, paired=False):
    """The same, which asks for memory meanwhile."""

    @primitive
    def tile_fetching(a, a0, table, t, zeros, runs, length, step, b, b0, bias, bias0, c, c0, places, p, m, n, bend,
                      now, ahead):
        row, i8 = _row(a, halves), types.int64
        if row:
            return types.void(a, i8, table, i8, zeros, i8, i8, i8, b, i8, bias, i8, c, i8, places, i8, i8, i8, bend,
                              i8, i8), _emit_tile(rows, row, paired, bend, fetches=True)

    return tile_fetching


def _emit_tile(rows, row, paired, bend, fetches=False):
    """What emits either of these tiles; `row` lists the types of the vectors of a row, `bend` is that of a Bend."""

    def emit(code):
        builder = code.builder
        multiply = multiply_words if paired else Code.fma
        part = Tile(code, row, rows, multiply, code.ahead if fetches else None)
        acc = part.row_at(code.at(code.bias, code.bias0)) * rows
        missing = [builder.icmp_signed("<=", code.m, I64(i)) for i in range(rows)]
        first_number, entries = code.at(code.a, code.a0), code.at(code.table, code.t)
        run_size = builder.mul(code.length, I64(part.panel))

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
        for vector in dict.fromkeys(row):
            mine = [k for k in range(len(acc)) if row[k % len(row)] == vector]
            bent = BendCode(code, vector, bend, code.bend).only_if(code.now).all([acc[k] for k in mine])
            acc = [bent[mine.index(k)] if k in mine else one for k, one in enumerate(acc)]

        def target(i):
            return code.at(code.c, code.c0, builder.load(code.at(code.places, code.p, i)))

        whole = builder.and_(builder.icmp_signed(">=", code.m, I64(rows)),
                             builder.icmp_signed(">=", code.n, I64(part.panel)))
        with builder.if_else(whole) as (then, otherwise):
            with then:
                for i in range(rows):
                    part.store_row(acc, i, target(i))
            with otherwise:
                for i in range(rows):
                    with builder.if_then(builder.icmp_signed("<", I64(i), code.m)):
                        part.store_part_of_row(acc, i, target(i), code.n)

    return emit


def make_tile_plain(rows, halves, paired=False):
    """The tile without bias, edges or anything else that short products cannot pay for, for rows a constant apart; of
    `paired` numbers if asked for."""

    @primitive
    def tile_plain(a, a0, a_next, length, b, b0, c, c0):
        row, i8 = _row(a, halves), types.int64

        def emit(code):
            builder, part = code.builder, Tile(code, row, rows, multiply_words if paired else Code.fma)
            lanes, panel = I64(vector_of(a).count), part.panel

            def column(k, state):
                left, right, remaining, *acc = state
                now = builder.select(builder.icmp_signed("<", remaining, lanes), remaining, lanes)
                starts = [code.at(left, i * lanes.constant) for i in range(rows)]
                acc = part.product(acc, starts, I64(1), right, now)
                following = code.at(left, code.a_next), code.at(right, lanes.constant * panel)
                return [*following, builder.sub(remaining, lanes), *acc]

            columns = builder.sdiv(builder.add(code.length, I64(lanes.constant - 1)), lanes)
            begin = [code.at(code.a, code.a0), code.at(code.b, code.b0), code.length]
            _, _, _, *acc = part.loop(columns, [*begin, *part.zeros()], column)
            for i in range(rows):
                part.store_row(acc, i, code.at(code.c, code.c0, i * panel))

        if row:
            return types.void(a, i8, i8, i8, b, i8, c, i8), emit

    return tile_plain


def make_tile_runs(rows, halves, adjacent, paired=False):
    """The accumulating tile with that many rows, and half vectors to a row. Where the rows of a are known to be
    adjacent numbers, one register holds where all of them are. Of `paired` numbers if asked for."""

    @primitive
    def tile_runs(a, offsets, o, step, b, b0, table, t, runs, c, c0, c_row):
        row, i8 = _row(a, halves), types.int64

        def emit(code):
            builder, part = code.builder, Tile(code, row, rows, multiply_words if paired else Code.fma)
            first = code.at(code.a, builder.load(code.at(code.offsets, code.o)))
            starts = [first] + [
                code.at(first, i) if adjacent else code.at(code.a, builder.load(code.at(code.offsets, code.o, i)))
                for i in range(1, rows)]
            panel = code.at(code.b, code.b0)
            target = [code.at(code.c, builder.add(code.c0, builder.mul(code.c_row, I64(i)))) for i in range(rows)]

            def run(r, acc):
                entry = code.at(code.table, code.t, builder.mul(r, I64(3)))
                a_r, b_r, n = (builder.load(code.at(entry, k)) for k in range(3))
                left = [code.at(start, a_r) for start in starts]
                return part.product(acc, left, code.step, code.at(panel, b_r), n)

            acc = part.loop(code.runs, part.zeros(), run)
            for i in range(rows):
                part.add_row(acc, i, target[i])

        if row:
            return types.void(a, offsets, i8, i8, b, i8, table, i8, i8, c, i8, i8), emit

    return tile_runs
