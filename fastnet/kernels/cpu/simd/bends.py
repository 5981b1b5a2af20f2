"""Piecewise linear activations and their derivatives as LLVM code; `simd.python` says what each primitive means."""
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnet.kernels.cpu.simd.llvm import I64, Vector, _splat

_BIT = ir.IntType(1)


def _field(builder, kind, value, name):
    """(type, value) of a field of a NamedTuple of that type."""
    place = kind.fields.index(name)
    return kind.types[place], builder.extract_value(value, place)


def _flag(builder, kind, value, name):
    """A field that is true or false, as one bit."""
    return builder.trunc(_field(builder, kind, value, name)[1], _BIT)


def _choose(builder, condition, make, others):
    """The values of ``make()`` where the condition is true, else `others`: made only if needed, and few need them."""
    before = builder.block
    with builder.if_then(condition, likely=False):
        made, made_block = make(), builder.block
    chosen = []
    for one, other in zip(made, others, strict=True):
        value = builder.phi(other.type)
        value.add_incoming(other, before)
        value.add_incoming(one, made_block)
        chosen.append(value)
    return chosen


class _Bend:
    """Emits the parts of an activation, and of its derivative, for the numbers of one Bend, which are spread once."""

    def __init__(self, context, builder, vector, kind, how):
        self.builder, self.vector, self.bent = builder, vector, _flag(builder, kind, how, "bent")
        self.zero = vector.constant(0)

        def spread(name):
            number_kind, number = _field(builder, kind, how, name)
            return _splat(builder, context.cast(builder, number, number_kind, vector.dtype), vector.count)

        self.factor, self.least, self.largest = map(spread, ("factor", "least", "largest"))

    def only_if(self, now):
        """No activation at all where the integer `now` is 0."""
        now = self.builder.icmp_signed("!=", now, I64(0))
        self.bent = self.builder.and_(self.bent, now)
        self.least = self.builder.select(now, self.least, self.vector.constant("nan"))
        return self

    def bound(self, v):
        """The activation but for what is done only if it is bent."""
        return self.builder.select(self.builder.fcmp_ordered("<=", v, self.least), self.least, v)

    def rest(self, v):
        """What is done then."""
        b = self.builder
        v = b.select(b.fcmp_ordered(">", v, self.zero), v, b.fmul(v, self.factor))
        return b.select(b.fcmp_ordered(">=", v, self.largest), self.largest, v)

    def all(self, values):
        """The activation of each of some vectors."""
        values = [self.bound(v) for v in values]
        return _choose(self.builder, self.bent, lambda: [self.rest(v) for v in values], values)

    def passes(self, g, y):
        """`unbend` if it is not bent."""
        return self.builder.select(self.builder.fcmp_ordered(">", y, self.least), g, self.zero)

    def share(self, g, y):
        """`unbend` if it is."""
        b = self.builder
        above = b.or_(b.fcmp_ordered(">", y, self.least), b.fcmp_unordered("uno", self.least, self.least))
        below = b.or_(b.fcmp_ordered("<", y, self.largest), b.fcmp_unordered("uno", self.largest, self.largest))
        share = b.select(b.fcmp_ordered(">", y, self.zero), g, b.fmul(g, self.factor))
        return b.select(b.and_(above, below), share, self.zero)


class _Finish:
    """Emits `finish`, for an Epilogue of that type."""

    def __init__(self, context, builder, vector, kind, how):
        self.builder, self.vector = builder, vector
        self.adding, self.masked = (_flag(builder, kind, how, name) for name in ("adding", "masked"))
        self.bend, self.masking = (_Bend(context, builder, vector, *_field(builder, kind, how, name))
                                   for name in ("bend", "masking"))
        self.bent = builder.or_(self.bend.bent, self.masking.bent)

    def apply(self, v, more, kept):
        """v and more, bent, times the derivative at kept; both are read whether they are wanted or not."""
        b = self.builder
        v = self.bend.bound(b.fadd(v, b.select(self.adding, more, self.vector.constant(-0.0))))
        kept = b.select(self.masked, kept, self.vector.constant(1))

        def bent():
            bent = b.select(self.bend.bent, self.bend.rest(v), v)
            share = b.select(self.masking.bent, self.masking.share(bent, kept), self.masking.passes(bent, kept))
            return [share]

        return _choose(b, self.bent, bent, [self.masking.passes(v, kept)])[0]


@intrinsic
def bound(typingctx, v, how):
    def emit(context, builder, signature, args):
        return _Bend(context, builder, v, how, args[1]).bound(args[0])

    if isinstance(v, Vector) and isinstance(how, types.NamedTuple):
        return v(v, how), emit


@intrinsic
def finish(typingctx, v, more, kept, how, bent):
    def emit(context, builder, signature, args):
        follow = _Finish(context, builder, v, how, args[3])
        follow.bent = builder.icmp_signed("!=", args[4], I64(0))
        return follow.apply(*args[:3])

    if isinstance(v, Vector) and v == more == kept and isinstance(how, types.NamedTuple):
        return v(v, v, v, how, types.int64), emit


@intrinsic
def unbend(typingctx, g, y, how):
    def emit(context, builder, signature, args):
        made, (g, y, _) = _Bend(context, builder, vector, how, args[2]), args
        return _choose(builder, made.bent, lambda: [made.share(g, y)], [made.passes(g, y)])[0]

    vector = g
    if isinstance(g, Vector) and g == y and isinstance(how, types.NamedTuple):
        return g(g, y, how), emit


@intrinsic
def through(typingctx, g, v, how, bent):
    def emit(context, builder, signature, args):
        made, (g, v, _, bent) = _Bend(context, builder, vector, how, args[2]), args
        bent = builder.icmp_signed("!=", bent, I64(0))
        # Where it is not bent, v is above the bound where the result is.
        return _choose(builder, bent, lambda: [made.share(g, made.rest(made.bound(v)))], [made.passes(g, v)])[0]

    vector = g
    if isinstance(g, Vector) and g == v and isinstance(how, types.NamedTuple):
        return g(g, v, how, types.int64), emit
