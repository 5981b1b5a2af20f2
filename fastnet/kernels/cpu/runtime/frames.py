"""Frames: the arguments of a launch as words of 64 bits, which machine code takes out again.

An array is its address and its extents, a number itself:

    address of x | 128 | address of w | 288 | 0.01 | ...

One *entrance*, compiled for types of arguments alone, takes them out of a frame and calls a kernel, which it knows by
its address. So neither the loops nor the kernels are compiled for more than their own sake.

A launch writes twenty or forty words, and an operation launches several kernels: in Python that took longer than a
small kernel. So machine code writes them, from the tuple of arguments as it lies in memory; numbers it asks of CPython
by the functions that C programs use, of arrays it reads what `places` tells.
"""
import hashlib
import struct

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from fastnet.kernels.cpu.runtime import cache, compiler
from fastnet.kernels.cpu.runtime.places import HEADER, READABLE, address, word_at

# Words behind a frame for tuples within tuples, two for each that is under way.
_NESTED = 16
# What an object of Python's is, by the address of its class, and where objects have their contents.
_CLASSES = np.array([*map(id, (np.ndarray, int, bool, float, np.float64, np.float32, tuple)), HEADER,
                     tuple.__basicsize__], np.int64)
_IN_ORDER, _HALF = 0x1, 0xFFFFFFFF

_entrances = {}     # types of arguments -> the function that takes them out of a frame


def flat(args):
    """The arguments with each NamedTuple replaced by its fields. Machine code receives a tuple as its fields, one after
    the other, so the kernel sees no difference; and Numba is quicker to tell the types of plain arguments."""
    found = []
    for arg in args:
        if isinstance(arg, tuple):
            found += flat(arg)
        else:
            found.append(arg)
    return found


def frame(args, size):
    """The frame of some arguments, a tuple, which takes `size` words."""
    if READABLE:
        memory = np.empty(size + _NESTED, np.int64)
        if _write(id(args), memory, size, _CLASSES) == size:
            return memory
    return np.array(words(flat(args)), np.int64)


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


@intrinsic
def _integer(typingctx, address):
    """(number, 0) for the integer of Python's that lies there, or something else where 64 bits do not hold it."""

    def emit(context, builder, signature, args):
        far = cgutils.alloca_once_value(builder, ir.IntType(32)(0))
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.IntType(64), [pointer, far.type])
        function = cgutils.get_or_insert_function(builder.module, kind, "PyLong_AsLongLongAndOverflow")
        number = builder.call(function, [builder.inttoptr(args[0], pointer), far])
        there = builder.sext(builder.load(far), ir.IntType(64))
        return context.make_tuple(builder, signature.return_type, [number, there])

    return types.UniTuple(types.int64, 2)(types.int64), emit


@intrinsic
def _is_derived(typingctx, kind, base):
    """Whether a class of Python's is another one or derived from it, by their addresses."""

    def emit(context, builder, signature, args):
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.IntType(32), [pointer, pointer])
        function = cgutils.get_or_insert_function(builder.module, kind, "PyType_IsSubtype")
        found = builder.call(function, [builder.inttoptr(one, pointer) for one in args])
        return builder.icmp_signed("!=", found, ir.IntType(32)(0))

    return types.boolean(types.int64, types.int64), emit


@intrinsic
def _widened(typingctx, word):
    """The bits of the real number of 64 bits that equals the one of 32 bits in the lower half of a word."""

    def emit(context, builder, signature, args):
        short = builder.bitcast(builder.trunc(args[0], ir.IntType(32)), ir.FloatType())
        return builder.bitcast(builder.fpext(short, ir.DoubleType()), ir.IntType(64))

    return types.int64(types.int64), emit


def _write_all(args, memory, size, classes):
    """Write the words of the tuple at an address; returns how many there are, or -1 where something is of none of these
    classes, or an array is not C-contiguous. Behind the frame the tuples that are still to be finished are kept: where
    each goes on, and how many of its items are left."""
    array, integer, truth, real, numpy_real = classes[0], classes[1], classes[2], classes[3], classes[4]
    short_real, group, header, items = classes[5], classes[6], classes[7], classes[8]
    here, left, count, top = args + items, word_at(args + header), 0, memory.size
    while True:
        while left == 0:
            if top == memory.size:
                return count
            here, left = memory[top], memory[top + 1]
            top += 2
        one = word_at(here)
        here, left, kind = here + 8, left - 1, word_at(one + header - 8)
        if kind == array:
            axes, extents = word_at(one + header + 8) & _HALF, word_at(one + header + 16)
            if word_at(one + header + 48) & _IN_ORDER == 0 or count + axes >= size:
                return -1
            memory[count] = word_at(one + header)
            for axis in range(axes):
                memory[count + 1 + axis] = word_at(extents + 8 * axis)
            count += 1 + axes
        elif kind == integer or kind == truth or kind == real or kind == numpy_real:
            if count == size:
                return -1
            number, far = _integer(one) if kind == integer or kind == truth else (word_at(one + header), 0)
            if far != 0:
                return -1
            memory[count] = number
            count += 1
        elif kind == short_real and count < size:   # in half a word; a frame holds real numbers of a whole one
            memory[count] = _widened(word_at(one + header))
            count += 1
        elif _is_derived(kind, group) and top >= size + 2:
            top -= 2
            memory[top], memory[top + 1] = here, left
            here, left = one + items, word_at(one + header)
        else:
            return -1


_write = cache.attach(compiler.entrance(_write_all, nogil=False))     # it calls Python


def kind(arg):
    """The type that machine code knows an argument by; whether an array may be written to is no part of it."""
    return types.Array(numba.from_dtype(arg.dtype), arg.ndim, "C") if type(arg) is np.ndarray else numba.typeof(arg)


def entrance(kinds):
    """The address of a function (block, slot, kernel, frame) that calls a kernel with arguments of these types."""
    return compiler.address(_entrance(kinds), (0, 0))


def begin(kinds):
    """`compiler.begin` for what `entrance` will want."""
    return compiler.begin(_entrance(kinds), (0, 0))


def _entrance(kinds):
    body = _entrances.get(kinds)
    if body is None:    # of several threads that come here at once, one gives its function to all
        body = _entrances.setdefault(kinds, _make_entrance(kinds))
    return body


def _make_entrance(kinds):
    call = _make_call(kinds)

    def enter(block, slot, kernel, frame):
        call(block, slot, kernel, frame)

    enter.__qualname__ = f"enter_{hashlib.sha256(repr(kinds).encode()).hexdigest()[:16]}"
    return compiler.jit(enter)


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
