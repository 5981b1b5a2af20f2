"""Piecewise linear activations and their derivatives as LLVM code; `simd.python` says what each primitive means."""
from numba import types

from fastnet.kernels.cpu.simd.code import I64, Vector, primitive


def _choose(builder, condition, make, others):
    """Emits a branch: the values of ``make()`` if the condition is true, which should be rare, else `others`."""
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
    """Emits the steps of an activation, and of its derivative, for one Bend, whose numbers become vectors once. `kind`
    is the Bend's type, `bend` its value."""

    def __init__(self, code, vector, kind, bend):
        self.builder, self.vector, self.sloped = code.builder, vector, code.flag(kind, bend, "sloped")
        self.zero = vector.constant(0)

        def everywhere(name):
            number_kind, number = code.field(kind, bend, name)
            return code.splat(code.context.cast(code.builder, number, number_kind, vector.dtype), vector.count)

        self.factor, self.least, self.largest = map(everywhere, ("factor", "least", "largest"))

    def only_if(self, now):
        """No activation at all where the integer `now` is 0."""
        now = self.builder.icmp_signed("!=", now, I64(0))
        self.sloped = self.builder.and_(self.sloped, now)
        self.least, self.largest = (
            self.builder.select(now, one, self.vector.constant("nan")) for one in (self.least, self.largest))
        return self

    def bound(self, v):
        """v raised to `least` and lowered to `largest`: the first steps. In this form each is one instruction of x86,
        which gives its second operand where either is NaN."""
        b = self.builder
        v = b.select(b.fcmp_ordered(">", self.least, v), self.least, v)
        return b.select(b.fcmp_ordered("<", self.largest, v), self.largest, v)

    def slope(self, g, v):
        """g, or where v is not above 0, g times the slope there: the step that is done only if the Bend is sloped."""
        b = self.builder
        return b.select(b.fcmp_ordered(">", v, self.zero), g, b.fmul(g, self.factor))

    def all(self, values):
        """The activation of each of some vectors."""
        values = [self.bound(v) for v in values]
        return _choose(self.builder, self.sloped, lambda: [self.slope(v, v) for v in values], values)

    def passes(self, g, y):
        """`unbend` if the Bend is not sloped: g, or 0 where y is at a bound."""
        b = self.builder
        beyond = b.or_(b.fcmp_ordered("<=", y, self.least), b.fcmp_ordered(">=", y, self.largest))
        return b.select(beyond, self.zero, g)

    def share(self, g, y):
        """`unbend` if the Bend is sloped."""
        return self.passes(self.slope(g, y), y)


class FinishCode:
    """Emits `finish`, for an Epilogue of type `kind`."""

    def __init__(self, code, vector, kind, epilogue):
        self.builder, self.vector = code.builder, vector
        self.adding, self.masked = (code.flag(kind, epilogue, name) for name in ("adding", "masked"))
        self.bend, self.masking = (BendCode(code, vector, *code.field(kind, epilogue, name))
                                   for name in ("bend", "masking"))
        self.sloped = self.builder.or_(self.bend.sloped, self.masking.sloped)

    def apply(self, v, added, output):
        """The epilogue of v. `added` and `output` are vectors even where they are not wanted: then -0.0, which changes
        no sum, and 1, which any derivative lets pass, take their places."""
        b = self.builder
        v = self.bend.bound(b.fadd(v, b.select(self.adding, added, self.vector.constant(-0.0))))
        output = b.select(self.masked, output, self.vector.constant(1))

        def sloped():
            bent, masking = b.select(self.bend.sloped, self.bend.slope(v, v), v), self.masking
            return [b.select(masking.sloped, masking.share(bent, output), masking.passes(bent, output))]

        return _choose(b, self.sloped, sloped, [self.masking.passes(v, output)])[0]


@primitive
def bound(v, bend):
    if isinstance(v, Vector) and isinstance(bend, types.NamedTuple):
        return v(v, bend), lambda code: BendCode(code, v, bend, code.bend).bound(code.v)


@primitive
def finish(v, added, output, epilogue, sloped):
    def emit(code):
        made = FinishCode(code, v, epilogue, code.epilogue)
        made.sloped = code.builder.icmp_signed("!=", code.sloped, I64(0))
        return made.apply(code.v, code.added, code.output)

    if isinstance(v, Vector) and v == added == output and isinstance(epilogue, types.NamedTuple):
        return v(v, v, v, epilogue, types.int64), emit


@primitive
def unbend(g, y, bend):
    def emit(code):
        made, passing = BendCode(code, g, bend, code.bend), (code.g, code.y)
        return _choose(code.builder, made.sloped, lambda: [made.share(*passing)], [made.passes(*passing)])[0]

    if isinstance(g, Vector) and g == y and isinstance(bend, types.NamedTuple):
        return g(g, y, bend), emit


@primitive
def through(g, v, bend, sloped):
    def emit(code):
        made, sloped_now = BendCode(code, g, bend, code.bend), code.builder.icmp_signed("!=", code.sloped, I64(0))

        def sloped_one():
            v = made.bound(code.v)
            return [made.share(code.g, made.slope(v, v))]

        # If it is not sloped, the output is at a bound where the input v is there or beyond: v is tested in its place.
        return _choose(code.builder, sloped_now, sloped_one, [made.passes(code.g, code.v)])[0]

    if isinstance(g, Vector) and g == v and isinstance(bend, types.NamedTuple):
        return g(g, v, bend, types.int64), emit
