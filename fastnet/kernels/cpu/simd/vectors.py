"""The vectors as LLVM code, in the order of `simd`; `simd.python` says what each primitive means, `simd.code` how
one is written. Nothing here checks a bound."""
import operator

from llvmlite import ir
from numba import types
from numba.extending import overload, overload_attribute

from fastnet.kernels.cpu.simd.code import I32, I64, Vector, primitive, vector_of
from fastnet.kernels.cpu.simd.host import GUESSES

# Registers of a wide vector. Chains of operations on them take turns: a processor looks about a hundred operations
# ahead for some that need not wait, which is few chains of a function, each as long as a third of that.
_WIDE = 4

# Memory


@primitive
def lanes(x):
    vector = vector_of(x)
    if vector:
        return types.int64(x), lambda code: I64(vector.count)


@primitive
def wide_lanes(x):
    vector = _wide_of(x)
    if vector:
        return types.int64(x), lambda code: I64(vector.count)


def _wide_of(x):
    """The type of the wide vectors of an array of type x, or None."""
    vector = vector_of(x)
    return vector and Vector(vector.dtype, _WIDE * vector.count)


@primitive
def load_wide(x, i):
    vector = _wide_of(x)
    if vector:
        return vector(x, types.int64), lambda code: code.load(vector, code.at(code.x, code.i))


@primitive
def load(x, i):
    vector = vector_of(x)
    if vector:
        return vector(x, types.int64), lambda code: code.load(vector, code.at(code.x, code.i))


@primitive
def load_part(x, i, n):
    vector = vector_of(x)
    if vector:
        signature = vector(x, types.int64, types.int64)
        return signature, lambda code: code.load_part(vector, code.at(code.x, code.i), code.n)


@primitive
def load_filled(x, i, n, v):
    vector = vector_of(x)
    if vector and v == vector:
        signature = vector(x, types.int64, types.int64, v)
        return signature, lambda code: code.load_part(vector, code.at(code.x, code.i), code.n, code.v)


@primitive
def load_index(index, i, n, x):
    vector = vector_of(x)

    def emit(code):
        small = Vector(index.dtype, vector.count)
        numbers = code.load_part(small, code.at(code.index, code.i), code.n)
        return code.builder.uitofp(numbers, vector.llvm)

    if vector:
        return vector(index, types.int64, types.int64, x), emit


@primitive
def load_distances(places, i, n, base, x):
    vector = vector_of(x)

    def emit(code):
        b, wide, origin = code.builder, Vector(places.dtype, vector.count), code.base
        integers = places.dtype == types.int64
        origin = code.splat(origin if integers else b.sitofp(origin, wide.llvm.element), wide.count)
        found = code.load_part(wide, code.at(code.places, code.i), code.n, origin)
        if integers:
            return b.sitofp(b.sub(found, origin), vector.llvm)
        found, bits = b.fsub(found, origin), places.dtype.bitwidth - x.dtype.bitwidth
        whole = b.fcmp_ordered("==", code.call(f"llvm.trunc.{wide.suffix}", wide.llvm, [found]), found)
        found = b.select(whole, found, wide.constant(-1))
        return found if bits == 0 else b.fptrunc(found, vector.llvm) if bits > 0 else b.fpext(found, vector.llvm)

    if vector and (vector_of(places) or places.dtype == types.int64):
        return vector(places, types.int64, types.int64, types.int64, x), emit


@primitive
def store(x, i, v):
    if v in (vector_of(x), _wide_of(x)):
        signature = types.void(x, types.int64, v)
        return signature, lambda code: code.store(v, code.v, code.at(code.x, code.i))


@primitive
def store_part(x, i, v, n):
    vector = vector_of(x)
    if vector and v == vector:
        signature = types.void(x, types.int64, v, types.int64)
        return signature, lambda code: code.store_part(vector, code.v, code.at(code.x, code.i), code.n)


@primitive
def stream_part(x, i, v, n):
    if vector_of(x) == v:
        signature = types.void(x, types.int64, v, types.int64)
        return signature, lambda code: code.stream_part(v, code.v, code.at(code.x, code.i), code.n)


@primitive
def accumulate(sums, i, v, n):
    def emit(code):
        wide, value, pointer = Vector(types.float64, v.count), code.v, code.at(code.sums, code.i)
        if v != wide:
            value = code.builder.fpext(value, wide.llvm)
        # One question for both, loading and storing.
        whole = code.builder.icmp_signed(">=", code.n, I64(v.count))
        with code.builder.if_else(whole, likely=True) as (then, otherwise):
            with then:
                code.store(wide, code.builder.fadd(code.load(wide, pointer), value), pointer)
            with otherwise:
                total = code.builder.fadd(code.load_part(wide, pointer, code.n), value)
                code.store_part(wide, total, pointer, code.n)

    if vector_of(sums) and sums.dtype == types.float64 and isinstance(v, Vector):
        return types.void(sums, types.int64, v, types.int64), emit


@primitive
def rounded(sums, i, n, x):
    vector = vector_of(x)

    def emit(code):
        wide = Vector(types.float64, vector.count)
        value = code.load_part(wide, code.at(code.sums, code.i), code.n)
        return value if vector == wide else code.builder.fptrunc(value, vector.llvm)

    if vector and vector_of(sums) and sums.dtype == types.float64:
        return vector(sums, types.int64, types.int64, x), emit


@primitive
def store_index(index, i, v, n):
    def emit(code):
        builder, pointer = code.builder, code.at(code.index, code.i)
        kind = ir.VectorType(ir.IntType(index.dtype.bitwidth), v.count)
        # By way of 32 bits: that is the conversion that vector units have.
        numbers = builder.fptoui(code.v, ir.VectorType(I32, v.count))
        if index.dtype.bitwidth < 32:
            numbers = builder.trunc(numbers, kind)
        whole = builder.icmp_signed(">=", code.n, I64(v.count))
        with builder.if_else(whole, likely=True) as (then, otherwise):
            with then:
                builder.store(numbers, builder.bitcast(pointer, kind.as_pointer()), align=index.dtype.bitwidth // 8)
            with otherwise:  # one by one: LLVM 22 stores four bytes where the mask of a masked store is known to be one
                for lane in range(v.count - 1):
                    with builder.if_then(builder.icmp_signed("<", I64(lane), code.n)):
                        builder.store(builder.extract_element(numbers, I32(lane)), code.at(pointer, lane))

    if isinstance(v, Vector):
        return types.void(index, types.int64, v, types.int64), emit


@primitive
def prefetch(x, i):
    def emit(code):
        code.prefetch(code.at(code.x, code.i))

    if vector_of(x):
        return types.void(x, types.int64), emit


@primitive
def transpose(x, x0, x_row, m, n, y, y0, y_row):
    vector, i8 = vector_of(x), types.int64

    def emit(code):
        builder, first = code.builder, code.at(code.x, code.x0)
        rows = []
        for i in range(vector.count):
            pointer = code.at(first, builder.mul(code.x_row, I64(i)))
            missing = builder.icmp_signed("<=", code.m, I64(i))
            rows.append(code.load_part(vector, builder.select(missing, first, pointer), code.n))
        target = code.at(code.y, code.y0)
        for j, column in enumerate(_transposed(builder, rows)):
            code.store(vector, column, code.at(target, builder.mul(code.y_row, I64(j))))

    if vector and vector == vector_of(y):
        return types.void(x, i8, i8, i8, i8, y, i8, i8), emit


def _transposed(builder, rows):
    """The columns of a square of vectors: blocks off the diagonal change places, from the largest to single numbers."""
    count, size = len(rows), len(rows) // 2
    lanes_ = range(count)
    while size:
        # Taken from two rows i and i + size, where lanes count on from the first to the second.
        upper = [lane if not lane & size else lane + count - size for lane in lanes_]
        lower = [lane + size if not lane & size else lane + count for lane in lanes_]
        for i in lanes_:
            if not i & size:
                two = rows[i], rows[i + size]
                rows[i], rows[i + size] = (
                    builder.shuffle_vector(*two, ir.Constant(ir.VectorType(I32, count), picked))
                    for picked in (upper, lower))
        size //= 2
    return rows


# Lane by lane


@primitive
def full(x, value):
    vector = x if isinstance(x, Vector) else vector_of(x)
    if vector:
        return vector(x, vector.dtype), lambda code: code.splat(code.value, vector.count)


@primitive
def fma(a, b, c):
    if isinstance(a, Vector) and a == b == c:
        return a(a, a, a), lambda code: code.fma(a, code.a, code.b, code.c)


@primitive
def plus(v, w):
    def emit(code):
        fenced = (code.call(f"llvm.arithmetic.fence.{v.suffix}", v.llvm, [one]) for one in (code.v, code.w))
        return code.builder.fadd(*fenced)

    if isinstance(v, Vector) and v == w:
        return v(v, w), emit


@primitive
def quotient(v, w):
    def emit(code):
        if not GUESSES or v.dtype != types.float32 or 32 * v.count < 512:
            return code.builder.fdiv(code.v, code.w)
        # A guess with 14 bits; one step of Newton's doubles them; what is left over then makes up for the last bit.
        minus, every = code.builder.fneg(code.w), ir.Constant(ir.IntType(16), -1)
        guess = code.call_for_registers("llvm.x86.avx512.rcp14.ps.512", v, [code.w, v.constant(0), every])
        inverse = code.fma(v, guess, code.fma(v, minus, guess, v.constant(1)), guess)
        near = code.builder.fmul(code.v, inverse)
        return code.fma(v, inverse, code.fma(v, minus, near, code.v), near)

    if isinstance(v, Vector) and v == w:
        return v(v, w), emit


@primitive
def size(v):
    if isinstance(v, Vector):
        return v(v), lambda code: code.call(f"llvm.fabs.{v.suffix}", v.llvm, [code.v])


@primitive
def sqrt(v):
    if isinstance(v, Vector):
        return v(v), lambda code: code.call(f"llvm.sqrt.{v.suffix}", v.llvm, [code.v])


@primitive
def relu(v):
    def emit(code):
        zero = v.constant(0)
        return code.builder.select(code.builder.fcmp_ordered(">", zero, code.v), zero, code.v)

    if isinstance(v, Vector):
        return v(v), emit


@primitive
def positive(v, m):
    def emit(code):
        zero = v.constant(0)
        return code.builder.select(code.builder.fcmp_ordered("<=", code.m, zero), zero, code.v)

    if isinstance(v, Vector) and v == m:
        return v(v, m), emit


@primitive
def clip(v, low, high):
    def emit(code):
        b = code.builder
        raised = b.select(b.fcmp_ordered("<", code.v, code.low), code.low, code.v)
        return b.select(b.fcmp_ordered(">", raised, code.high), code.high, raised)

    if isinstance(v, Vector) and v == low == high:
        return v(v, v, v), emit


@primitive
def pick(v, w, a, b):
    if isinstance(v, Vector) and v == w == a == b:
        return v(v, v, v, v), lambda code: code.builder.select(code.wins(code.v, code.w), code.a, code.b)


@primitive
def above(v, w, a, b):
    if isinstance(v, Vector) and v == w == a == b:
        return v(v, v, v, v), lambda code: code.builder.select(code.builder.fcmp_ordered(">", code.v, code.w),
                                                               code.a, code.b)


@primitive
def matching(v, a, b):
    def emit(code):
        return code.builder.select(code.builder.fcmp_ordered("==", code.a, code.b), code.v, v.constant(0))

    if isinstance(v, Vector) and v == a == b:
        return v(v, v, v), emit


def _operator(symbol, instruction):
    """Let an operator of Python work on two vectors."""
    @primitive
    def combine(a, b):
        def emit(code):
            # A product and a sum may become one `fma` in kernels, and in none of what `jit.literal` compiles.
            flags = ("contract",) if code.context.fastmath else ()
            return getattr(code.builder, instruction)(code.a, code.b, flags=flags)

        if isinstance(a, Vector) and a == b:
            return a(a, b), emit

    @overload(symbol)
    def implementation(a, b):
        if isinstance(a, Vector) and isinstance(b, Vector):
            return lambda a, b: combine(a, b)


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"),
                              (operator.truediv, "fdiv")):
    _operator(_symbol, _instruction)


@overload_attribute(Vector, "itemsize")
def _itemsize(v):
    bytes_ = v.dtype.bitwidth // 8
    return lambda v: bytes_


# All lanes to one number


@primitive
def total(v):
    if isinstance(v, Vector):
        return v.dtype(v), lambda code: folded(code.builder, code.v, v.count, code.builder.fadd)


@primitive
def largest(v):
    def emit(code):
        def larger(low, high):
            return code.builder.select(code.wins(high, low), high, low)

        return folded(code.builder, code.v, v.count, larger)

    if isinstance(v, Vector):
        return v.dtype(v), emit


@primitive
def has_nan(v):
    def emit(code):
        lanes_ = code.builder.bitcast(code.builder.fcmp_unordered("uno", code.v, code.v), ir.IntType(v.count))
        return code.builder.icmp_unsigned("!=", lanes_, ir.Constant(lanes_.type, 0))

    if isinstance(v, Vector):
        return types.boolean(v), emit


def folded(builder, value, count, combine):
    """combine(low half, high half) of a vector, again and again, until one number is left."""
    while count > 1:
        count //= 2
        halves = (ir.Constant(ir.VectorType(I32, count), list(range(first, first + count))) for first in (0, count))
        value = combine(*(builder.shuffle_vector(value, value, half) for half in halves))
    return builder.extract_element(value, I32(0))
