"""Machine code under construction: what the primitives in the other files are emitted with.

A primitive is a function of the *types* of its arguments, marked with `primitive`. If it can handle them it returns
(signature, emit). The signature, written ``result_type(argument_type, ...)``, is the type of the result and the types
to which Numba converts the arguments; ``emit`` is a function that appends the instructions to the `Code` under
construction. Otherwise it returns None, and Numba says that there is no such function for such arguments. So ``x + 1``
for a vector of some type is

    @primitive
    def add_one(x):
        if isinstance(x, Vector):
            return x(x), lambda code: code.builder.fadd(code.x, x.constant(1))

where ``x`` is a type, ``x(x)`` says "takes an x, returns an x", ``code.x`` is the value that the machine code will
find, and ``code.builder`` llvmlite's, with a method for each instruction of LLVM.
"""
import inspect

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

I8, I32, I64, F64 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_LLVM = {types.float32: ir.FloatType(), types.float64: F64}
_vectors = {}


class Vector(types.Type):
    """The Numba type of one register full of numbers, or of several, see `simd.load_wide`."""

    def __init__(self, dtype, count):
        self.dtype, self.count = dtype, count
        self.llvm = ir.VectorType(_LLVM.get(dtype) or ir.IntType(dtype.bitwidth), count)
        # Arrays may start anywhere, so memory is aligned to one element only.
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


def vector_of(x):
    """The type of the vectors of an array of type x; None where x is no flat array of a supported dtype."""
    good = isinstance(x, types.Array) and x.ndim == 1 and x.layout == "C" and x.dtype in _vectors
    return _vectors[x.dtype] if good else None


def primitive(define):
    """The Numba intrinsic for a definition as described above."""
    parameters = list(inspect.signature(define).parameters.values())

    def definition(typingctx, *kinds):
        found = define(*kinds)
        if found is None:
            return None
        signature, emit_code = found

        def emit(context, builder, signature, args):
            named = dict(zip((parameter.name for parameter in parameters), signature.args, strict=True))
            value = emit_code(Code(context, builder, named, args))
            return context.get_dummy_value() if value is None else value

        return signature, emit

    first = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    definition.__signature__ = inspect.Signature([first, *parameters])
    definition.__name__ = definition.__qualname__ = define.__name__
    return intrinsic(definition)


class Code:
    """What instructions are appended to. The arguments of the primitive are attributes: an array is the pointer to its
    first number, everything else its value."""

    def __init__(self, context, builder, kinds, args):
        self.context, self.builder = context, builder
        for (name, kind), value in zip(kinds.items(), args, strict=True):
            setattr(self, name, self.data(kind, value) if isinstance(kind, types.Array) else value)

    def data(self, kind, array):
        """The pointer to an array's first number."""
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def field(self, kind, value, name):
        """(type, value) of a field of a NamedTuple of that type."""
        place = kind.fields.index(name)
        return kind.types[place], self.builder.extract_value(value, place)

    def flag(self, kind, value, name):
        """A field that is true or false, as one bit."""
        return self.builder.trunc(self.field(kind, value, name)[1], ir.IntType(1))

    def call(self, name, result, args):
        """The call of one of LLVM's own functions."""
        kind = ir.FunctionType(result, [arg.type for arg in args])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), args)

    def call_for_registers(self, name, vector, args):
        """The call of a function for registers of 512 bits, for each register of a vector that may be several wide."""
        count = 512 // vector.dtype.bitwidth
        kind, parts = ir.VectorType(vector.llvm.element, count), []
        for first in range(0, vector.count, count):
            mine = [self.numbered(arg, range(first, first + count)) if isinstance(arg.type, ir.VectorType) else arg
                    for arg in args]
            parts.append(self.call(name, kind, mine))
        while len(parts) > 1:
            parts = [self.numbered(one, range(2 * one.type.count), two)
                     for one, two in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def numbered(self, value, lanes, following=None):
        """The vector of so numbered lanes of a vector, or of two, one following the other."""
        following = ir.Constant(value.type, ir.Undefined) if following is None else following
        return self.builder.shuffle_vector(value, following, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))

    # Memory

    def at(self, pointer, *offsets):
        """The pointer so many elements further on."""
        for offset in offsets:
            pointer = self.builder.gep(pointer, [I64(offset) if isinstance(offset, int) else offset])
        return pointer

    def load(self, vector, pointer):
        return self.builder.load(self._as(vector, pointer), align=vector.align.constant)

    def store(self, vector, value, pointer):
        self.builder.store(value, self._as(vector, pointer), align=vector.align.constant)

    def load_part(self, vector, pointer, n, rest=None):
        """Load n numbers; the other lanes are those of `rest`, or 0. Where n fills the vector, which is common, this is
        a plain load, since a masked one can be slow."""
        rest = ir.Constant(vector.llvm, None) if rest is None else rest
        with self.builder.if_else(self._whole(vector, n), likely=True) as (then, otherwise):
            with then:
                all_lanes, then_block = self.load(vector, pointer), self.builder.block
            with otherwise:
                operands = [self._as(vector, pointer), vector.align, self.below(n, vector.count), rest]
                some_lanes = self.call(f"llvm.masked.load.{vector.suffix}.p0", vector.llvm, operands)
                otherwise_block = self.builder.block
        value = self.builder.phi(vector.llvm)
        value.add_incoming(all_lanes, then_block)
        value.add_incoming(some_lanes, otherwise_block)
        return value

    def store_part(self, vector, value, pointer, n):
        """Store the first n lanes: by a plain store where n fills the vector."""
        with self.builder.if_else(self._whole(vector, n), likely=True) as (then, otherwise):
            with then:
                self.store(vector, value, pointer)
            with otherwise:
                operands = [value, self._as(vector, pointer), vector.align, self.below(n, vector.count)]
                self.call(f"llvm.masked.store.{vector.suffix}.p0", ir.VoidType(), operands)

    def stream_part(self, vector, value, pointer, n):
        """`store_part` past the caches, where a whole vector belongs at a multiple of its size."""
        # No fence follows: each thread takes its next block by a locked instruction, which waits for these stores.
        builder, size = self.builder, vector.count * vector.dtype.bitwidth // 8
        aligned = builder.icmp_signed("==", builder.and_(builder.ptrtoint(pointer, I64), I64(size - 1)), I64(0))
        with builder.if_else(builder.and_(aligned, self._whole(vector, n)), likely=True) as (then, otherwise):
            with then:
                store = builder.store(value, self._as(vector, pointer), align=size)
                store.set_metadata("nontemporal", builder.module.add_metadata([I32(1)]))
            with otherwise:
                self.store_part(vector, value, pointer, n)

    def prefetch(self, pointer, write=False):
        """Ask for the line of memory at a pointer: to have it in the second cache, or in the first to `write` it."""
        for_what, how_near, data = I32(int(write)), I32(3 if write else 2), I32(1)
        address = self.builder.bitcast(pointer, ir.IntType(8).as_pointer())
        self.call("llvm.prefetch.p0", ir.VoidType(), [address, for_what, how_near, data])

    def _as(self, vector, pointer):
        return self.builder.bitcast(pointer, vector.llvm.as_pointer())

    def _whole(self, vector, n):
        return self.builder.icmp_signed(">=", n, I64(vector.count))

    def below(self, n, count):
        """The mask of the lanes whose number is below the integer n."""
        numbers = ir.Constant(ir.VectorType(I64, count), list(range(count)))
        return self.builder.icmp_signed("<", numbers, self.splat(n, count))

    # Vectors

    def splat(self, scalar, count):
        """A vector with every lane equal to a number."""
        kind = ir.VectorType(scalar.type, count)
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, count), [0] * count))

    def fma(self, vector, a, b, c):
        """fmuladd, not fma: on a host without the instruction that is a multiplication and an addition, not a library
        call."""
        return self.call(f"llvm.fmuladd.{vector.suffix}", vector.llvm, [a, b, c])

    def wins(self, v, w):
        """Whether v > w, or v is NaN and w is not."""
        return self.builder.and_(self.builder.fcmp_unordered(">", v, w), self.builder.fcmp_ordered("ord", w, w))
