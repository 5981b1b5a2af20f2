"""Piecewise linear activations and their derivatives as LLVM code; `simd.python` says what each primitive means."""
from numba import types

from fastnet.kernels.cpu.simd.code import I64, Vector, primitive


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


class BendCode:
    """Emits the parts of an activation, and of its derivative, for one Bend `how`: its numbers become vectors once."""

    def __init__(self, code, vector, kind, how):
        self.builder, self.vector, self.bent = code.builder, vector, code.flag(kind, how, "bent")
        self.zero = vector.constant(0)

        def everywhere(name):
            number_kind, number = code.field(kind, how, name)
            return code.splat(code.context.cast(code.builder, number, number_kind, vector.dtype), vector.count)

        self.factor, self.least, self.largest = map(everywhere, ("factor", "least", "largest"))

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
        return self.builder.select(self.builder.fcmp_ordered("<=", y, self.least), self.zero, g)

    def share(self, g, y):
        """`unbend` if it is."""
        b = self.builder
        beyond = b.or_(b.fcmp_ordered("<=", y, self.least), b.fcmp_ordered(">=", y, self.largest))
        share = b.select(b.fcmp_ordered(">", y, self.zero), g, b.fmul(g, self.factor))
        return b.select(beyond, self.zero, share)


class FinishCode:
    """Emits `finish`, for an Epilogue `how` of that type."""

    def __init__(self, code, vector, kind, how):
        self.builder, self.vector = code.builder, vector
        self.adding, self.masked = (code.flag(kind, how, name) for name in ("adding", "masked"))
        self.bend, self.masking = (BendCode(code, vector, *code.field(kind, how, name)) for name in ("bend", "masking"))
        self.bent = self.builder.or_(self.bend.bent, self.masking.bent)

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


@primitive
def bound(v, how):
    if isinstance(v, Vector) and isinstance(how, types.NamedTuple):
        return v(v, how), lambda code: BendCode(code, v, how, code.how).bound(code.v)


@primitive
def finish(v, more, kept, how, bent):
    def emit(code):
        follow = FinishCode(code, v, how, code.how)
        follow.bent = code.builder.icmp_signed("!=", code.bent, I64(0))
        return follow.apply(code.v, code.more, code.kept)

    if isinstance(v, Vector) and v == more == kept and isinstance(how, types.NamedTuple):
        return v(v, v, v, how, types.int64), emit


@primitive
def unbend(g, y, how):
    def emit(code):
        made, passing = BendCode(code, g, how, code.how), (code.g, code.y)
        return _choose(code.builder, made.bent, lambda: [made.share(*passing)], [made.passes(*passing)])[0]

    if isinstance(g, Vector) and g == y and isinstance(how, types.NamedTuple):
        return g(g, y, how), emit


@primitive
def through(g, v, how, bent):
    def emit(code):
        made, bent_now = BendCode(code, g, how, code.how), code.builder.icmp_signed("!=", code.bent, I64(0))
        # Where it is not bent, v is beyond the bound where the result is.
        return _choose(code.builder, bent_now, lambda: [made.share(code.g, made.rest(made.bound(code.v)))],
                       [made.passes(code.g, code.v)])[0]

    if isinstance(g, Vector) and g == v and isinstance(how, types.NamedTuple):
        return g(g, v, how, types.int64), emit
