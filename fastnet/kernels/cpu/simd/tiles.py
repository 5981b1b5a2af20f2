"""The register tiles as LLVM code; `simd.python` says what each of them means."""
from numba import types
from numba.extending import intrinsic

from fastnet.kernels.cpu.simd.bends import _Bend
from fastnet.kernels.cpu.simd.bfloat16 import _dot
from fastnet.kernels.cpu.simd.llvm import (
    I64,
    Vector,
    _data,
    _flat,
    _fma,
    _load,
    _splat,
    _store,
    _store_part,
)


class _Tile:
    """Emits the parts that both tiles are made of: loops that carry accumulators, and products into them."""

    def __init__(self, builder, vector, rows, vectors, multiply=_fma):
        self.builder, self.vector, self.rows, self.vectors, self.multiply = builder, vector, rows, vectors, multiply

    def loop(self, count, carried, body):
        """Emit ``for k in range(count): carried = body(k, carried)`` for values ``carried``, return their last
        state."""
        b = self.builder
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

    def vector_at(self, pointer, j):
        return _load(self.builder, self.vector, self.builder.gep(pointer, [I64(j * self.vector.count)]))

    def product(self, acc, left, step, right, length):
        """acc[i][j] += sum over l of left[i][l * step] * right[l][j], where right holds one panel a step."""
        b, panel, vectors = self.builder, I64(self.vectors * self.vector.count), self.vectors

        def body(k, state):
            index, pointer, acc = state[0], state[1], state[2:]
            row = [self.vector_at(pointer, j) for j in range(vectors)]
            new = []
            for i in range(self.rows):
                factor = _splat(b, b.load(b.gep(left[i], [index])), self.vector.count)
                new += [self.multiply(b, self.vector, factor, row[j], acc[i * vectors + j]) for j in range(vectors)]
            return [b.add(index, step), b.gep(pointer, [panel]), *new]

        return self.loop(length, [I64(0), right, *acc], body)[2:]


def _row(x, halves):
    """(vector type, how many): what a row of `halves` half vectors of x's dtype is made of; None for no such array."""
    vector = _flat(x)
    if vector is not None and halves == 1:
        return Vector(vector.dtype, vector.count // 2), 1
    return vector, halves // 2


def make_tile(rows, halves):
    """The tile with that many rows, and half vectors to a row."""

    @intrinsic
    def tile(typingctx, a, a0, table, t, zeros, runs, length, step, b, b0, bias, bias0, c, c0, at, at0, m, n, bend,
             now):
        (vector, vectors), i8 = _row(a, halves), types.int64

        def emit(context, builder, signature, args):
            arrays = (0, 2, 4, 8, 10, 12, 14)
            a, table, zeros, b, bias, c, at = (_data(context, builder, signature.args[k], args[k]) for k in arrays)
            a0, t, runs, length, step, b0, bias0, c0, at0, m, n, bend_, now = (
                arg for k, arg in enumerate(args) if k not in arrays)
            part = _Tile(builder, vector, rows, vectors)
            start = builder.gep(bias, [bias0])
            acc = [part.vector_at(start, j) for j in range(vectors)] * rows
            missing = [builder.icmp_signed("<=", m, I64(i)) for i in range(rows)]
            a, c, entries = builder.gep(a, [a0]), builder.gep(c, [c0]), builder.gep(table, [t])
            run_size = builder.mul(length, I64(vectors * vector.count))

            def run(r, acc):
                first = builder.mul(r, I64(rows))
                left = []
                for i in range(rows):
                    offset = builder.load(builder.gep(entries, [builder.add(first, I64(i))]))
                    outside = builder.icmp_signed("<", offset, I64(0))
                    pointer = builder.select(outside, zeros, builder.gep(a, [offset]))
                    left.append(builder.select(missing[i], left[0], pointer) if i else pointer)
                right = builder.gep(b, [builder.add(b0, builder.mul(r, run_size))])
                return part.product(acc, left, step, right, length)

            acc = part.loop(runs, acc, run)
            acc = _Bend(context, builder, vector, bend, bend_).only_if(now).all(acc)

            def row_at(i):
                return builder.gep(c, [builder.load(builder.gep(at, [builder.add(at0, I64(i))]))])

            whole = builder.and_(builder.icmp_signed(">=", m, I64(rows)),
                                 builder.icmp_signed(">=", n, I64(vectors * vector.count)))
            with builder.if_else(whole) as (then, otherwise):
                with then:
                    for i in range(rows):
                        target = row_at(i)
                        for j in range(vectors):
                            _store(builder, vector, acc[i * vectors + j], builder.gep(target, [I64(j * vector.count)]))
                with otherwise:
                    for i in range(rows):
                        with builder.if_then(builder.icmp_signed("<", I64(i), m)):
                            target = row_at(i)
                            for j in range(vectors):
                                left_over = builder.sub(n, I64(j * vector.count))
                                pointer = builder.gep(target, [I64(j * vector.count)])
                                _store_part(builder, vector, acc[i * vectors + j], pointer, left_over)
            return context.get_dummy_value()

        if vector:
            kinds = (a, i8, table, i8, zeros, i8, i8, i8, b, i8, bias, i8, c, i8, at, i8, i8, i8, bend, i8)
            return types.void(*kinds), emit

    return tile


def make_tile_plain(rows, halves, paired=False):
    """The tile without bias, edges or anything else that short products cannot pay for, for rows a constant apart; of
    `paired` numbers if asked for."""

    @intrinsic
    def tile_plain(typingctx, a, a0, a_next, length, b, b0, c, c0):
        (vector, vectors), i8 = _row(a, halves), types.int64

        def emit(context, builder, signature, args):
            a, b, c = (_data(context, builder, signature.args[k], args[k]) for k in (0, 4, 6))
            a0, a_next, length, b0, c0 = (args[k] for k in (1, 2, 3, 5, 7))
            part, panel = _Tile(builder, vector, rows, vectors, _dot if paired else _fma), vectors * vector.count
            lanes = _flat(signature.args[0]).count

            def column(k, state):
                left, right, remaining, acc = state[0], state[1], state[2], state[3:]
                now = builder.select(builder.icmp_signed("<", remaining, I64(lanes)), remaining, I64(lanes))
                acc = part.product(acc, [builder.gep(left, [I64(i * lanes)]) for i in range(rows)], I64(1), right, now)
                return [builder.gep(left, [a_next]), builder.gep(right, [I64(lanes * panel)]),
                        builder.sub(remaining, I64(lanes)), *acc]

            columns = builder.sdiv(builder.add(length, I64(lanes - 1)), I64(lanes))
            acc = [vector.constant(0)] * (rows * vectors)
            acc = part.loop(columns, [builder.gep(a, [a0]), builder.gep(b, [b0]), length, *acc], column)[3:]
            target = builder.gep(c, [c0])
            for i in range(rows * vectors):
                _store(builder, vector, acc[i], builder.gep(target, [I64(i * vector.count)]))
            return context.get_dummy_value()

        if vector:
            return types.void(a, i8, i8, i8, b, i8, c, i8), emit

    return tile_plain


def make_tile_runs(rows, halves, adjacent, paired=False):
    """The accumulating tile with that many rows, and half vectors to a row. Where the rows of a are known to be
    adjacent numbers, one register holds where all of them are. Of `paired` numbers if asked for."""

    @intrinsic
    def tile_runs(typingctx, a, offsets, o, step, b, b0, table, t, runs, c, c0, ldc):
        (vector, vectors), i8 = _row(a, halves), types.int64

        def emit(context, builder, signature, args):
            a, offsets, b, table, c = (_data(context, builder, signature.args[k], args[k]) for k in (0, 1, 4, 6, 9))
            o, step, b0, t, runs, c0, ldc = (args[k] for k in (2, 3, 5, 7, 8, 10, 11))
            part = _Tile(builder, vector, rows, vectors, _dot if paired else _fma)
            first = builder.gep(a, [builder.load(builder.gep(offsets, [o]))])
            base = [first] + [
                builder.gep(first, [I64(i)]) if adjacent else
                builder.gep(a, [builder.load(builder.gep(offsets, [builder.add(o, I64(i))]))]) for i in range(1, rows)]
            b = builder.gep(b, [b0])
            target = [builder.gep(c, [builder.add(c0, builder.mul(ldc, I64(i)))]) for i in range(rows)]
            acc = [vector.constant(0)] * (rows * vectors)

            def run(r, acc):
                entry = builder.gep(table, [builder.add(t, builder.mul(r, I64(3)))])
                a_r, b_r, n = (builder.load(builder.gep(entry, [I64(k)])) for k in range(3))
                left = [builder.gep(pointer, [a_r]) for pointer in base]
                return part.product(acc, left, step, builder.gep(b, [b_r]), n)

            acc = part.loop(runs, acc, run)
            for i in range(rows):
                for j in range(vectors):
                    total = builder.fadd(part.vector_at(target[i], j), acc[i * vectors + j])
                    _store(builder, vector, total, builder.gep(target[i], [I64(j * vector.count)]))
            return context.get_dummy_value()

        if vector:
            return types.void(a, offsets, i8, i8, b, i8, table, i8, i8, c, i8, i8), emit

    return tile_runs
