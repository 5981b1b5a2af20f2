"""The SIMD primitives as LLVM vector instructions; `simd.python` says what each of them means.

Loads and stores carry the alignment of one element, because arrays may start anywhere. Nothing here checks a bound.
"""
import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

I32, I64 = ir.IntType(32), ir.IntType(64)
_LLVM = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
_vectors = {}


class Vector(types.Type):
    """The Numba type of one register full of numbers."""

    def __init__(self, dtype, count):
        self.dtype, self.count = dtype, count
        self.llvm = ir.VectorType(_LLVM.get(dtype) or ir.IntType(dtype.bitwidth), count)
        self.align = I32(dtype.bitwidth // 8)
        self.suffix = f"v{count}{'f' if dtype in _LLVM else 'i'}{dtype.bitwidth}"
        super().__init__(name=f"vector({dtype}, {count})")

    def constant(self, value):
        """An LLVM constant with every lane equal to value."""
        return ir.Constant(self.llvm, [float(value)] * self.count)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.llvm)


def configure(vector_bytes):
    """Set the size of a vector register in bytes; `simd` does it once."""
    for dtype in _LLVM:
        _vectors[dtype] = Vector(dtype, 8 * vector_bytes // dtype.bitwidth)


# Emitting, shared by the primitives below


def _flat(x):
    """The vector type for array type x; None where x is no flat array of a supported dtype."""
    good = isinstance(x, types.Array) and x.ndim == 1 and x.layout == "C" and x.dtype in _vectors
    return _vectors[x.dtype] if good else None


def _data(context, builder, kind, array):
    return context.make_array(kind)(context, builder, array).data


def _call(builder, name, result, args):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in args]), name)
    return builder.call(function, args)


def _splat(builder, scalar, count):
    kind = ir.VectorType(scalar.type, count)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, count), [0] * count))


def _load(builder, vector, pointer):
    return builder.load(builder.bitcast(pointer, vector.llvm.as_pointer()), align=vector.align.constant)


def _store(builder, vector, value, pointer):
    builder.store(value, builder.bitcast(pointer, vector.llvm.as_pointer()), align=vector.align.constant)


def _below(builder, n, count):
    """The mask of the lanes whose number is below the integer n."""
    lanes_ = ir.Constant(ir.VectorType(I64, count), list(range(count)))
    return builder.icmp_signed("<", lanes_, _splat(builder, n, count))


def _load_part(builder, vector, pointer, n, rest=None):
    """All lanes at once where n covers them, which is the common case; a masked load can be slow."""
    rest = ir.Constant(vector.llvm, None) if rest is None else rest
    whole = builder.icmp_signed(">=", n, I64(vector.count))
    with builder.if_else(whole, likely=True) as (then, otherwise):
        with then:
            full_value, full_block = _load(builder, vector, pointer), builder.block
        with otherwise:
            address = builder.bitcast(pointer, vector.llvm.as_pointer())
            operands = [address, vector.align, _below(builder, n, vector.count), rest]
            part = _call(builder, f"llvm.masked.load.{vector.suffix}.p0", vector.llvm, operands)
            part_block = builder.block
    value = builder.phi(vector.llvm)
    value.add_incoming(full_value, full_block)
    value.add_incoming(part, part_block)
    return value


def _store_part(builder, vector, value, pointer, n):
    whole = builder.icmp_signed(">=", n, I64(vector.count))
    with builder.if_else(whole, likely=True) as (then, otherwise):
        with then:
            _store(builder, vector, value, pointer)
        with otherwise:
            address = builder.bitcast(pointer, vector.llvm.as_pointer())
            mask = _below(builder, n, vector.count)
            _call(builder, f"llvm.masked.store.{vector.suffix}.p0", ir.VoidType(), [value, address, vector.align, mask])


def _fma(builder, vector, a, b, c):
    # fmuladd, not fma: on a host without the instruction that is a multiplication and an addition, not a library call.
    return _call(builder, f"llvm.fmuladd.{vector.suffix}", vector.llvm, [a, b, c])


def _wins(builder, v, w):
    """Whether v > w, or v is NaN and w is not."""
    return builder.and_(builder.fcmp_unordered(">", v, w), builder.fcmp_ordered("ord", w, w))


# Primitives


@intrinsic
def lanes(typingctx, x):
    vector = _flat(x)
    if vector:
        return types.int64(x), lambda context, builder, signature, args: I64(vector.count)


@intrinsic
def load(typingctx, x, i):
    vector = _flat(x)

    def emit(context, builder, signature, args):
        return _load(builder, vector, builder.gep(_data(context, builder, x, args[0]), [args[1]]))

    if vector:
        return vector(x, types.int64), emit


@intrinsic
def load_part(typingctx, x, i, n):
    vector = _flat(x)

    def emit(context, builder, signature, args):
        return _load_part(builder, vector, builder.gep(_data(context, builder, x, args[0]), [args[1]]), args[2])

    if vector:
        return vector(x, types.int64, types.int64), emit


@intrinsic
def load_filled(typingctx, x, i, n, v):
    vector = _flat(x)

    def emit(context, builder, signature, args):
        pointer = builder.gep(_data(context, builder, x, args[0]), [args[1]])
        return _load_part(builder, vector, pointer, args[2], args[3])

    if vector and v == vector:
        return vector(x, types.int64, types.int64, v), emit


@intrinsic
def store(typingctx, x, i, v):
    vector = _flat(x)

    def emit(context, builder, signature, args):
        _store(builder, vector, args[2], builder.gep(_data(context, builder, x, args[0]), [args[1]]))
        return context.get_dummy_value()

    if vector and v == vector:
        return types.void(x, types.int64, v), emit


@intrinsic
def store_part(typingctx, x, i, v, n):
    vector = _flat(x)

    def emit(context, builder, signature, args):
        pointer = builder.gep(_data(context, builder, x, args[0]), [args[1]])
        _store_part(builder, vector, args[2], pointer, args[3])
        return context.get_dummy_value()

    if vector and v == vector:
        return types.void(x, types.int64, v, types.int64), emit


@intrinsic
def accumulate(typingctx, sums, i, v, n):
    def emit(context, builder, signature, args):
        wide, value = Vector(types.float64, v.count), args[2]
        pointer = builder.gep(_data(context, builder, sums, args[0]), [args[1]])
        if v != wide:
            value = builder.fpext(value, wide.llvm)
        _store_part(builder, wide, builder.fadd(_load_part(builder, wide, pointer, args[3]), value), pointer, args[3])
        return context.get_dummy_value()

    if _flat(sums) and sums.dtype == types.float64 and isinstance(v, Vector):
        return types.void(sums, types.int64, v, types.int64), emit


@intrinsic
def prefetch(typingctx, x, i):
    def emit(context, builder, signature, args):
        pointer = builder.gep(_data(context, builder, x, args[0]), [args[1]])
        _call(builder, "llvm.prefetch.p0", ir.VoidType(), [builder.bitcast(pointer, ir.IntType(8).as_pointer()),
                                                           I32(0), I32(2), I32(1)])
        return context.get_dummy_value()

    if _flat(x):
        return types.void(x, types.int64), emit


@intrinsic
def full(typingctx, x, value):
    vector = _flat(x)
    if vector:
        return vector(x, x.dtype), lambda context, builder, signature, args: _splat(builder, args[1], vector.count)


@intrinsic
def fma(typingctx, a, b, c):
    if isinstance(a, Vector) and a == b == c:
        return a(a, a, a), lambda context, builder, signature, args: _fma(builder, a, *args)


@intrinsic
def relu(typingctx, v):
    def emit(context, builder, signature, args):
        zero = v.constant(0)
        return builder.select(builder.fcmp_ordered("<=", args[0], zero), zero, args[0])

    if isinstance(v, Vector):
        return v(v), emit


@intrinsic
def positive(typingctx, v, m):
    def emit(context, builder, signature, args):
        zero = v.constant(0)
        return builder.select(builder.fcmp_ordered(">", args[1], zero), args[0], zero)

    if isinstance(v, Vector) and v == m:
        return v(v, m), emit


@intrinsic
def clip(typingctx, v, low, high):
    def emit(context, builder, signature, args):
        v, low, high = args
        v = builder.select(builder.fcmp_ordered("<", v, low), low, v)
        return builder.select(builder.fcmp_ordered(">", v, high), high, v)

    if isinstance(v, Vector) and v == low == high:
        return v(v, v, v), emit


@intrinsic
def pick(typingctx, v, w, a, b):
    def emit(context, builder, signature, args):
        v, w, a, b = args
        return builder.select(_wins(builder, v, w), a, b)

    if isinstance(v, Vector) and v == w == a == b:
        return v(v, v, v, v), emit


@intrinsic
def matching(typingctx, v, a, b):
    def emit(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("==", args[1], args[2]), args[0], v.constant(0))

    if isinstance(v, Vector) and v == a == b:
        return v(v, v, v), emit


@intrinsic
def load_index(typingctx, index, i, n, x):
    vector = _flat(x)

    def emit(context, builder, signature, args):
        pointer = builder.gep(_data(context, builder, index, args[0]), [args[1]])
        numbers = _load_part(builder, Vector(index.dtype, vector.count), pointer, args[2])
        return builder.uitofp(numbers, vector.llvm)

    if vector:
        return vector(index, types.int64, types.int64, x), emit


@intrinsic
def store_index(typingctx, index, i, v, n):
    def emit(context, builder, signature, args):
        kind = ir.VectorType(ir.IntType(index.dtype.bitwidth), v.count)
        pointer = builder.gep(_data(context, builder, index, args[0]), [args[1]])
        # By way of 32 bits: that is the conversion that vector units have.
        numbers = builder.trunc(builder.fptoui(args[2], ir.VectorType(I32, v.count)), kind)
        whole = builder.icmp_signed(">=", args[3], I64(v.count))
        with builder.if_else(whole, likely=True) as (then, otherwise):
            with then:
                builder.store(numbers, builder.bitcast(pointer, kind.as_pointer()), align=index.dtype.bitwidth // 8)
            with otherwise:  # one by one: LLVM 22 stores four bytes where the mask of a masked store is known to be one
                for lane in range(v.count - 1):
                    with builder.if_then(builder.icmp_signed("<", I64(lane), args[3])):
                        builder.store(builder.extract_element(numbers, I32(lane)), builder.gep(pointer, [I64(lane)]))
        return context.get_dummy_value()

    if isinstance(v, Vector):
        return types.void(index, types.int64, v, types.int64), emit


@intrinsic
def turn(typingctx, x, x0, x_row, m, n, y, y0, y_row):
    vector, i8 = _flat(x), types.int64

    def emit(context, builder, signature, args):
        x0, x_row, m, n, y0, y_row = (args[k] for k in (1, 2, 3, 4, 6, 7))
        first = builder.gep(_data(context, builder, x, args[0]), [x0])
        rows = []
        for i in range(vector.count):
            pointer = builder.gep(first, [builder.mul(x_row, I64(i))])
            missing = builder.icmp_signed("<=", m, I64(i))
            rows.append(_load_part(builder, vector, builder.select(missing, first, pointer), n))
        target = builder.gep(_data(context, builder, y, args[5]), [y0])
        for j, column in enumerate(_turned(builder, rows)):
            _store(builder, vector, column, builder.gep(target, [builder.mul(y_row, I64(j))]))
        return context.get_dummy_value()

    if vector and vector == _flat(y):
        return types.void(x, i8, i8, i8, i8, y, i8, i8), emit


def _turned(builder, rows):
    """The columns of a square of vectors: blocks off the diagonal change places, from the largest to single numbers."""
    count, size = len(rows), len(rows) // 2
    lanes_ = range(count)
    while size:
        # Taken from two rows i and i + size, where lanes count on from the first to the second.
        upper = [lane if not lane & size else lane + count - size for lane in lanes_]
        lower = [lane + size if not lane & size else lane + count for lane in lanes_]
        for i in lanes_:
            if not i & size:
                pair = rows[i], rows[i + size]
                rows[i], rows[i + size] = (
                    builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(I32, count), picked))
                    for picked in (upper, lower))
        size //= 2
    return rows


def _folded(builder, value, count, combine):
    """combine(low half, high half) of a vector, again and again, until one number is left."""
    while count > 1:
        count //= 2
        halves = (ir.Constant(ir.VectorType(I32, count), list(range(first, first + count))) for first in (0, count))
        value = combine(*(builder.shuffle_vector(value, value, half) for half in halves))
    return builder.extract_element(value, I32(0))


@intrinsic
def total(typingctx, v):
    if isinstance(v, Vector):
        return v.dtype(v), lambda context, builder, signature, args: _folded(builder, args[0], v.count, builder.fadd)


@intrinsic
def largest(typingctx, v):
    def emit(context, builder, signature, args):
        def larger(low, high):
            return builder.select(_wins(builder, high, low), high, low)

        return _folded(builder, args[0], v.count, larger)

    if isinstance(v, Vector):
        return v.dtype(v), emit


def _operator(symbol, instruction):
    @intrinsic
    def combine(typingctx, a, b):
        def emit(context, builder, signature, args):
            # A product and a sum may become one `fma` in kernels, and in none of what `jit.literal` compiles.
            return getattr(builder, instruction)(args[0], args[1], flags=("contract",) if context.fastmath else ())

        if isinstance(a, Vector) and a == b:
            return a(a, b), emit

    @overload(symbol)
    def implementation(a, b):
        if isinstance(a, Vector) and isinstance(b, Vector):
            return lambda a, b: combine(a, b)


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"),
                              (operator.truediv, "fdiv")):
    _operator(_symbol, _instruction)
