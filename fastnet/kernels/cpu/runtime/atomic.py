"""Counting by several threads at once, and waiting for what others do."""
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

# Counters lie so far apart, in int64, that each has a cache line of its own.
APART = 8


@intrinsic
def count(typingctx, counters, i):
    """Add one to counters[i] in one indivisible step; returns what was there."""

    def emit(context, builder, signature, args):
        return builder.atomic_rmw("add", _place(context, builder, signature, args), ir.IntType(64)(1), "seq_cst")

    return types.int64(counters, types.int64), emit


@intrinsic
def look(typingctx, counters, i):
    """counters[i], together with all that other threads wrote before they counted."""

    def emit(context, builder, signature, args):
        return builder.load_atomic(_place(context, builder, signature, args), "acquire", 8)

    return types.int64(counters, types.int64), emit


def _place(context, builder, signature, args):
    counters = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(counters.data, [args[1]])


@intrinsic
def give_way(typingctx):
    """Let another thread have the processor."""
    name = "SwitchToThread" if config.IS_WIN32 else "sched_yield"

    def emit(context, builder, signature, args):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), []), name)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), emit
