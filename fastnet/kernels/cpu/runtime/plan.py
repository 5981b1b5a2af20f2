"""Plans: numbers that are worked out once, and that a kernel reads by their names.

A plan is a NamedTuple of integers; for `named`, also of floating-point numbers of one dtype. To kernels it travels as
one array of them, which costs a launch no more than any other array and is recorded like any other table; the first
line of a kernel gives the numbers their names back:

    self.numbers = in_words(Plan(rows=4, columns=9))    # once

    def kernel(block, slot, x, numbers):
        plan = named(Plan, numbers)
        for row in range(plan.rows): ...
"""
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

_INT = ir.IntType(64)


def in_words(*plans):
    """An array of plans, one after the other, all of one kind."""
    return np.array(plans, np.int64).reshape(-1)


def _emit_plan(context, builder, kind, array, first):
    """The plan, of Numba's type `kind`, whose first number is `first` in an array, given as (type, value)."""
    data = builder.gep(context.make_array(array[0])(context, builder, array[1]).data, [first])
    return cgutils.pack_array(builder, [builder.load(builder.gep(data, [_INT(k)])) for k in range(kind.count)])


@intrinsic
def _entry(typingctx, kind, numbers, i):
    plan = types.NamedUniTuple(numbers.dtype, len(kind.instance_class._fields), kind.instance_class)

    def emit(context, builder, signature, args):
        first = builder.mul(args[2], _INT(plan.count))
        return _emit_plan(context, builder, plan, (numbers, args[1]), first)

    return plan(kind, numbers, types.int64), emit


@intrinsic
def _named(typingctx, kind, numbers):
    plan = types.NamedUniTuple(numbers.dtype, len(kind.instance_class._fields), kind.instance_class)

    def emit(context, builder, signature, args):
        return _emit_plan(context, builder, plan, (numbers, args[1]), _INT(0))

    return plan(kind, numbers), emit


if config.DISABLE_JIT:
    def named(kind, numbers):
        """The plan, of that NamedTuple's class, that an array holds."""
        return entry(kind, numbers, 0)

    def entry(kind, numbers, i):
        """Plan number i of those that an array holds."""
        size = len(kind._fields)
        part = numbers[i * size: (i + 1) * size]
        return kind(*(map(int, part) if part.dtype.kind == "i" else part))
else:
    named, entry = _named, _entry
