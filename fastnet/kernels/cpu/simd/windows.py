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
    """Emits the vectors of pixels around one place, each once; `pointer_to` gives where the one at a line and a column
    is."""

    def __init__(self, code, vector, size, pointer_to):
        self.code, self.vector, self.size, self.pointer_to, self.known = code, vector, size, pointer_to, {}

    def at(self, line, column, channel):
        """The pixel so many lines and columns further on; each group's `channel` in all its lanes."""
        key = line, column, channel
        if key not in self.known:
            self.known[key] = self._spread(self._load(line, column), channel) if self.size > 1 \
                else self._load(line, column)
        return self.known[key]

    def _load(self, line, column):
        key = line, column
        if key not in self.known:
            self.known[key] = self.code.load(self.vector, self.pointer_to(line, column))
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


def _pointers(code, places):
    """Of `windows`: where the pixels at these lines and columns begin in x, or where zeros are."""
    b, lines, columns, found = code.builder, {}, {}, {}

    def inside(number, first, size):
        return b.icmp_unsigned("<", b.add(first, I64(number)), size)

    for line, column in places:
        if line not in lines:
            lines[line] = code.at(code.x, code.x0, b.mul(code.line, I64(line))), inside(line, code.top, code.height)
        if column not in columns:
            columns[column] = b.mul(code.pixel, I64(column)), inside(column, code.left, code.width)
        (start, here), (offset, across) = lines[line], columns[column]
        found[line, column] = b.select(b.and_(here, across), code.at(start, offset), code.at(code.memory, code.zeros))
    return found


def make_windows(count, step, size, classes):
    """The sums of `count` windows that lie `step` pixels apart, for groups of `size` channels."""

    @primitive
    def windows(x, x0, pixel, line, top, height, left, width, which, filters, f0, bias, b0, y, y0, apart, m, n,
                memory, zeros, spare, bend, now):
        vector, i8 = vector_of(x), types.int64

        def sums(code, taps):
            """Emit the loop over the vectors of channels."""
            b, lanes, loops = code.builder, vector.count, Loops(code)
            known = _pointers(code, dict.fromkeys((line, i * step + column) for line, column, *_ in taps
                                                 for i in range(count)))
            targets = [b.select(b.icmp_signed("<", I64(i), code.m), code.at(code.y, code.y0, b.mul(code.apart, I64(i))),
                                code.at(code.memory, code.spare)) for i in range(count)]
            bends, last = BendCode(code, vector, bend, code.bend).only_if(code.now), b.sub(code.n, I64(lanes))

            def body(k, state):
                j = b.mul(k, I64(lanes))
                j = b.select(b.icmp_signed("<", j, last), j, last)
                for target in targets:      # or a store would wait for its line, and all that come behind it
                    code.prefetch(code.at(target, j), write=True)
                acc = [code.load(vector, code.at(code.bias, code.b0, j))] * count
                source = _Pixels(code, vector, size, lambda line, column: code.at(known[line, column], j))
                factors = code.at(code.filters, code.f0, b.mul(k, I64(lanes * sum(map(len, classes)))))
                for line, column, channel, number in taps:
                    factor = code.load(vector, code.at(factors, lanes * number))
                    acc = [code.fma(vector, source.at(line, i * step + column, channel), factor, acc[i])
                           for i in range(count)]
                for value, target in zip(bends.all(acc), targets, strict=True):
                    code.store(vector, value, code.at(target, j))
                return state

            loops.loop(b.sdiv(b.add(code.n, I64(lanes - 1)), I64(lanes)), [], body, rolled=True)
            return []

        def emit(code):
            _switch(code.builder, code.which, [lambda taps=taps: sums(code, taps) for taps in classes])

        if vector and isinstance(bend, types.NamedTuple):
            return types.void(x, i8, i8, i8, i8, i8, i8, i8, i8, filters, i8, bias, i8, y, i8, i8, i8, i8,
                              memory, i8, i8, bend, i8), emit

    return windows


def make_window_products(count, step, size, classes):
    """What `count` windows that lie `step` pixels apart give to the gradient for the filters of some taps."""
    every = sum(map(len, classes))

    @primitive
    def products(x, x0, pixel, line, top, height, left, width, which, dy, g0, apart, sums, to, n, memory, zeros):
        vector, i8 = vector_of(x), types.int64

        def add_up(code, taps):
            """Emit the loop over the vectors of channels."""
            b, lanes, loops = code.builder, vector.count, Loops(code)
            known = _pointers(code, dict.fromkeys((line, i * step + column) for line, column, *_ in taps
                                                 for i in range(count)))
            gradients = [code.at(code.dy, code.g0, b.mul(code.apart, I64(i))) for i in range(count)]
            last = b.sub(code.n, I64(lanes))

            def body(k, state):
                j = b.mul(k, I64(lanes))
                j = b.select(b.icmp_signed("<", j, last), j, last)
                source = _Pixels(code, vector, size, lambda line, column: code.at(known[line, column], j))
                acc = [vector.constant(0)] * len(taps)
                for i in range(count):
                    g = code.load(vector, code.at(gradients[i], j))
                    acc = [code.fma(vector, source.at(line, i * step + column, channel), g, total)
                           for (line, column, channel, _), total in zip(taps, acc, strict=True)]
                mine = code.at(code.sums, code.to, b.mul(k, I64(lanes * every)))
                for (*_, number), total in zip(taps, acc, strict=True):
                    place = code.at(mine, lanes * number)
                    code.store(vector, b.fadd(code.load(vector, place), total), place)
                return state

            loops.loop(b.sdiv(b.add(code.n, I64(lanes - 1)), I64(lanes)), [], body, rolled=True)
            return []

        def emit(code):
            _switch(code.builder, code.which, [lambda taps=taps: add_up(code, taps) for taps in classes])

        if vector:
            return types.void(x, i8, i8, i8, i8, i8, i8, i8, i8, dy, i8, i8, sums, i8, i8, memory, i8), emit

    return products
