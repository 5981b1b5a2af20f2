"""Launches run again by one call into machine code.

A launch from Python costs some microseconds, a layer some tens of them: much of the time of one image, and still a
tenth of a training step of a net of many thin layers. A *script* is a list of launches that were recorded, see
`record`: five words for each, an `Entry`. All of them run within one parallel loop, in which the threads share the
blocks of a launch as they do in `launches.run_blocks`, and go on to the next launch when every block of this one is
done:

    thread 0   | launch 0: blocks 0 1 2   | launch 1: blocks 0 1 | wait | launch 2 ...
    thread 1   | launch 0: blocks 3 4 | 5 | launch 1: blocks 2 3 4      | launch 2 ...

A thread waits only for blocks that another one is computing, so it does not matter how many of the threads are running,
or when they begin.
"""
import functools
import hashlib
from typing import NamedTuple

import numba
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnet.kernels.cpu.runtime import atomic, cache, compiler, launches
from fastnet.kernels.cpu.runtime.plan import entry

# Looks at what others have not done yet before the operating system is asked to let them.
_PATIENCE = 1000


class Entry(NamedTuple):
    """A launch in a script."""

    entrance: int   # address of a function that takes the arguments out of a frame, see `entrance`
    kernel: int     # address of the kernel
    frame: int      # address of its arguments
    blocks: int
    units: int      # how many pieces threads share: one a block, or one for all blocks of a launch too small to share


_SIZE = len(Entry._fields)


def run(script, counters, threads, parallel):
    """Run all launches of a script, `parallel` on several threads."""
    counters = counters[:(threads + 1) * atomic.APART * (script.size // _SIZE)]
    if parallel:
        launches.in_parallel(_replay_parallel, script, counters, threads)
    else:
        _replay_serial(script, counters, 1)


def replay(script, counters, threads):
    """Run all launches of a script. The counters of each, `APART` numbers from each other: how many units of each
    thread's share have been taken, and last how many are done in all."""
    for i in range(counters.size):
        counters[i] = 0
    for thread in prange(threads):
        own = numba.int64(thread)
        for launch in range(script.size // _SIZE):
            now, taken = entry(Entry, script, launch), launch * (threads + 1) * atomic.APART
            done = taken + threads * atomic.APART
            slot = own if now.units > 1 else 0
            for turn in range(threads):
                share = (own + turn) % threads
                first, stop = share * now.units // threads, (share + 1) * now.units // threads
                unit = first + atomic.count(counters, taken + share * atomic.APART) if first < stop else stop
                while unit < stop:
                    for block in range(unit * now.blocks // now.units, (unit + 1) * now.blocks // now.units):
                        compiler.call(now.entrance, (block, slot, now.kernel, now.frame))
                    atomic.count(counters, done)
                    unit = first + atomic.count(counters, taken + share * atomic.APART)
            looks = 0
            while atomic.look(counters, done) < now.units:
                looks += 1
                if looks % _PATIENCE == 0:
                    atomic.give_way()


_replay_serial, _replay_parallel = map(cache.attach, compiler.loops(replay))


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
