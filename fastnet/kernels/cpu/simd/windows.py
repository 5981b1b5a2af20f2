"""Windows of convolutions with few channels to a group, as LLVM code; `simd.python_windows` says what each means.

No matrix is multiplied here: lane by lane, a vector of pixels meets a vector of filters. What is known beforehand, the
kernel's size, stride and dilation, is written out as a straight line of multiply-adds, so that the compiler keeps a
pixel in a register for all windows that read it.
"""
from llvmlite import ir
from numba import types

from fastnet.kernels.cpu.simd.bends import BendCode
from fastnet.kernels.cpu.simd.code import I32, I64, primitive, vector_of
from fastnet.kernels.cpu.simd.tiles import Loops


class _Pixels:
    """Emits the vectors of pixels around one place, each once."""

    def __init__(self, code, vector, size, start, next_line):
        self.code, self.vector, self.size, self.start, self.next_line = code, vector, size, start, next_line
        self.lines, self.known = {}, {}

    def at(self, line, column, channel):
        """The pixel so many lines and columns further on; each group's `channel` in all its lanes."""
        key = line, column, channel
        if key not in self.known:
            self.known[key] = self._spread(self._load(line, column), channel) if self.size > 1 \
                else self._load(line, column)
        return self.known[key]

    def _load(self, line, column):
        code, key = self.code, (line, column)
        if line not in self.lines:
            self.lines[line] = code.at(self.start, code.builder.mul(self.next_line, I64(line)))
        if key not in self.known:
            self.known[key] = code.load(self.vector, code.at(self.lines[line], column * self.vector.count))
        return self.known[key]

    def _spread(self, value, channel):
        lanes = [lane // self.size * self.size + channel for lane in range(self.vector.count)]
        return self.code.builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))


def _switch(builder, which, bodies):
    """Emit ``bodies[which]()``: what that body returns, a list of values."""
    if len(bodies) == 1:
        return bodies[0]()
    blocks, after, results = [], builder.append_basic_block("after"), []
    start = builder.block
    for body in bodies:
        blocks.append(builder.append_basic_block("case"))
        builder.position_at_end(blocks[-1])
        results.append((body(), builder.block))
        builder.branch(after)
    builder.position_at_end(start)
    switch = builder.switch(which, blocks[0])
    for number, block in enumerate(blocks[1:], 1):
        switch.add_case(I64(number), block)
    builder.position_at_end(after)
    merged = []
    for k, value in enumerate(results[0][0]):
        phi = builder.phi(value.type)
        for values, block in results:
            phi.add_incoming(values[k], block)
        merged.append(phi)
    return merged


def _where(builder, condition, make, other):
    """``make()`` where the condition is true, else the value `other`."""
    before = builder.block
    with builder.if_then(condition):
        made, block = make(), builder.block
    value = builder.phi(other.type)
    value.add_incoming(other, before)
    value.add_incoming(made, block)
    return value


def _finished(code, vector, kind, value, at, n):
    """The value after an Epilogue's steps in registers, at a place of the result."""
    b = code.builder
    bend, masking = (BendCode(code, vector, *code.field(kind, code.epilogue, name)) for name in ("bend", "masking"))

    def read(name):
        return code.load_part(vector, code.at(code.data(*code.field(kind, code.epilogue, name)), at), n)

    def masked():
        output = read("mask")
        return _where(b, masking.sloped, lambda: masking.share(value, output), masking.passes(value, output))

    value = _where(b, code.flag(kind, code.epilogue, "adding"), lambda: b.fadd(value, read("add")), value)
    value = bend.bound(value)
    value = _where(b, bend.sloped, lambda: bend.slope(value, value), value)
    return _where(b, code.flag(kind, code.epilogue, "masked"), masked, value)


def make_windows(count, step, size, classes):
    """The sums of `count` windows that lie `step` pixels apart, for groups of `size` channels."""

    @primitive
    def windows(pixels, p0, next_line, which, filters, f0, v, y, y0, apart, m, n, epilogue):
        vector, i8 = vector_of(pixels), types.int64

        def sums(code, taps):
            source, acc = _Pixels(code, vector, size, code.at(code.pixels, code.p0), code.next_line), [code.v] * count
            for line, column, channel, number in taps:
                factor = code.load(vector, code.at(code.filters, code.f0, number * vector.count))
                acc = [code.fma(vector, source.at(line, i * step + column, channel), factor, acc[i])
                       for i in range(count)]
            return acc

        def emit(code):
            b = code.builder
            acc = _switch(b, code.which, [lambda taps=taps: sums(code, taps) for taps in classes])
            bend = BendCode(code, vector, *code.field(epilogue, code.epilogue, "bend"))
            places = [b.add(code.y0, b.mul(code.apart, I64(i))) for i in range(count)]
            level = code.field(epilogue, code.epilogue, "level")[1]
            whole = b.and_(b.icmp_signed(">=", code.m, I64(count)), b.icmp_signed(">=", code.n, I64(vector.count)))
            with b.if_else(b.and_(whole, b.icmp_signed("==", level, ir.Constant(level.type, 0)))) as (then, otherwise):
                with then:
                    for i, place in enumerate(places):
                        code.store(vector, bend.bound(acc[i]), code.at(code.y, place))
                with otherwise:
                    for i, place in enumerate(places):
                        with b.if_then(b.icmp_signed("<", I64(i), code.m)):
                            value = _finished(code, vector, epilogue, acc[i], place, code.n)
                            code.store_part(vector, value, code.at(code.y, place), code.n)

        if vector and v == vector and isinstance(epilogue, types.NamedTuple):
            return types.void(pixels, i8, i8, i8, filters, i8, v, y, i8, i8, i8, i8, epilogue), emit

    return windows


def make_window_products(count, step, size, classes):
    """The gradient for some filters from windows `step` pixels apart, `count` of them at a time."""

    @primitive
    def products(which, pixels, p0, next_row, next_line, dy, g0, g_row, apart, rows, columns, dw, to, dw_row, n):
        vector, i8 = vector_of(pixels), types.int64

        def add_up(code, taps):
            b, loops = code.builder, Loops(code)

            def some(windows, start, gradient, acc):
                source = _Pixels(code, vector, size, start, code.next_line)
                for i in range(windows):
                    g = code.load(vector, code.at(gradient, b.mul(code.apart, I64(i))))
                    acc = [code.fma(vector, source.at(line, i * step + column, channel), g, total)
                           for (line, column, channel, _), total in zip(taps, acc, strict=True)]
                return acc

            def at_a_time(windows):
                def body(k, state):
                    start, gradient, *acc = state
                    acc = some(windows, start, gradient, acc)
                    following = code.at(gradient, b.mul(code.apart, I64(windows)))
                    return [code.at(start, windows * step * vector.count), following, *acc]
                return body

            def row(k, acc):
                start = code.at(code.pixels, code.p0, b.mul(k, code.next_row))
                state = [start, code.at(code.dy, code.g0, b.mul(k, code.g_row)), *acc]
                state = loops.loop(b.sdiv(code.columns, I64(count)), state, at_a_time(count))
                return loops.loop(b.srem(code.columns, I64(count)), state, at_a_time(1))[2:]

            acc = loops.loop(code.rows, [vector.constant(0)] * len(taps), row)
            for (_, _, _, number), total in zip(taps, acc, strict=True):
                place = code.at(code.dw, code.to, b.mul(code.dw_row, I64(number)))
                code.store_part(vector, b.fadd(code.load_part(vector, place, code.n), total), place, code.n)
            return []

        def emit(code):
            _switch(code.builder, code.which, [lambda taps=taps: add_up(code, taps) for taps in classes])

        if vector:
            return types.void(i8, pixels, i8, i8, i8, dy, i8, i8, i8, i8, i8, dw, i8, i8, i8), emit

    return products
