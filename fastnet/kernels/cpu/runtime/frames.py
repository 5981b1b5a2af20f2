"""Frames: the arguments of a launch as words of 64 bits, which machine code takes out again.

An array is its address and its extents, a number itself:

    address of x | 128 | address of w | 288 | 0.01 | ...

One *entrance*, compiled for types of arguments alone, takes them out of a frame and calls a kernel, which it knows by
its address. So neither the loops nor the kernels are compiled for more than their own sake.
"""
import functools
import hashlib
import struct

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from fastnet.kernels.cpu.runtime import compiler
from fastnet.kernels.cpu.runtime.places import address


def words(args):
    """The arguments, arrays and numbers, as words."""
    found = []
    for arg in args:
        if type(arg) is np.ndarray:
            if not arg.flags.c_contiguous:   # of the strides an address knows nothing
                raise TypingError("kernels take C-contiguous arrays only, got one of shape "
                                  f"{arg.shape} and strides {arg.strides}: see `flat`")
            found.append(address(arg))
            found += arg.shape
        elif type(arg) is int:
            found.append(arg)
        elif isinstance(arg, (float, np.floating)):
            found += struct.unpack("q", struct.pack("d", arg))
        else:
            found.append(int(np.array(arg).astype(np.int64)))
    return found


def kind(arg):
    """The type that machine code knows an argument by; whether an array may be written to is no part of it."""
    return types.Array(numba.from_dtype(arg.dtype), arg.ndim, "C") if type(arg) is np.ndarray else numba.typeof(arg)


@functools.cache
def entrance(kinds):
    """The address of a function (block, slot, kernel, frame) that calls a kernel with arguments of these types."""
    call = _make_call(kinds)

    def enter(block, slot, kernel, frame):
        call(block, slot, kernel, frame)

    enter.__qualname__ = f"enter_{hashlib.sha256(repr(kinds).encode()).hexdigest()[:16]}"
    return compiler.address(compiler.jit(enter), (0, 0))


def _make_call(kinds):

    @intrinsic
    def call(typingctx, block, slot, kernel, frame):
        """Call a kernel with the arguments in a frame."""

        def emit(context, builder, signature, values):
            block, slot, kernel, frame = values
            words = builder.inttoptr(frame, ir.IntType(64).as_pointer())
            arguments, at = [], 0
            for kind in kinds:
                count = 1 + kind.ndim if isinstance(kind, types.Array) else 1
                here = [builder.load(builder.gep(words, [ir.IntType(64)(at + i)])) for i in range(count)]
                arguments.append(_argument(context, builder, kind, here))
                at += count
            compiler.call_function(context, builder, kernel, (types.int64, types.int64, *kinds),
                                   [block, slot, *arguments])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64), emit

    return call


def _argument(context, builder, kind, words):
    """A value of that type, as machine code has it, from its words in a frame."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder)
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        strides, count = [size], words[-1]
        for extent in words[:1:-1]:
            strides.insert(0, builder.mul(strides[0], extent))
        for extent in words[1:-1]:
            count = builder.mul(count, extent)
        array.data, array.itemsize, array.nitems = builder.inttoptr(words[0], array.data.type), size, count
        array.shape, array.strides = cgutils.pack_array(builder, words[1:]), cgutils.pack_array(builder, strides)
        array.meminfo, array.parent = (cgutils.get_null_value(part.type) for part in (array.meminfo, array.parent))
        return array._getvalue()
    if isinstance(kind, types.Float):
        number = builder.bitcast(words[0], ir.DoubleType())
        return context.cast(builder, number, types.float64, kind)
    return context.cast(builder, words[0], types.int64, kind)
