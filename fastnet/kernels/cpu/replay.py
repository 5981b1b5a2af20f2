"""Recorded launches, run again by one call into machine code.

One image leaves a kernel so little to do that much of the time goes to the Python between two of them. `record` runs a
function once and notes its launches: which kernel, how many blocks, which arguments. What it returns runs all of them
within one parallel loop: each thread takes the next block of the present launch, and goes on to the next launch when
every block of this one is done. It waits only for blocks that another thread is computing, so that it does not matter
how many of the threads are running, or when they begin.
"""
import functools
import hashlib
import threading

import numba
import numpy as np
from llvmlite import ir
from numba import config, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnet.kernels.cpu import _atomic, _jit
from fastnet.kernels.cpu.array import like

# Beyond so many elementary operations, or bytes of results in between, Python's share is not worth the memory.
_WORK, _BYTES = 200_000_000, 1 << 24
# The numbers of a launch in a program: entrance, kernel, arguments, blocks, units. A unit is what a thread takes: a
# block, or all blocks where `launch` would not have woken other threads.
_LAUNCH = 5
# Looks at what others have not done yet before the operating system is asked to let them.
_PATIENCE = 1000


def record(run, x):
    """(y, again): y is ``run(x)``, and ``again(x)`` does the same for any x of this shape and dtype, or gives None
    where it cannot at the moment. `again` is None where `run` cannot be recorded, or is too much work to gain by it.

    `run` makes an array from x by operations of this backend alone. Other things it does are not done again, and arrays
    that it only reads are read anew each time.
    """
    if config.DISABLE_JIT or x.dtype not in (np.float32, np.float64):
        return run(x), None
    source, recorder = like(x), _jit.Recorder(_WORK, _BYTES)
    np.copyto(source, x)
    with _jit.recording(recorder):
        y = run(source)
    if not recorder.complete:
        return y, None
    return _copy(y), _Replay(recorder.launches, source, y)


def _copy(y):
    copy = like(y)
    np.copyto(copy, y)
    return copy


class _Replay:
    """See `record`. One thread of Python at a time may use the arrays between the launches."""

    def __init__(self, launches, source, result):
        self._lock = threading.Lock()
        self._source, self._result = source, result
        self._threads = _jit.threads()
        self._launches = launches  # keeps alive what the program has the addresses of
        self._frames = [_frame(launch.args) for launch in launches]
        self._program = np.array([
            (_entrance(launch.args), launch.address, frame.ctypes.data, launch.blocks,
             launch.blocks if launch.threads > 1 else min(launch.blocks, 1))
            for launch, frame in zip(launches, self._frames, strict=True)], np.int64).reshape(-1)
        self._counters = np.zeros(2 * _atomic.APART * len(launches), np.int64)
        self._parallel = any(launch.threads > 1 for launch in launches)

    def __call__(self, x):
        if self._threads != _jit.threads() or not self._lock.acquire(blocking=False):
            return None
        try:
            np.copyto(self._source, x)
            if self._parallel:
                _jit.in_parallel(_replay_parallel, self._program, self._counters, self._threads)
            else:
                _replay_serial(self._program, self._counters, 1)
            return _copy(self._result)
        finally:
            self._lock.release()


def replay(program, counters, threads):
    """Run all launches of a program."""
    for i in range(counters.size):
        counters[i] = 0
    for thread in prange(threads):
        for launch in range(program.size // _LAUNCH):
            at, taken = launch * _LAUNCH, launch * 2 * _atomic.APART
            done = taken + _atomic.APART
            blocks, units = program[at + 3], program[at + 4]
            unit = _atomic.count(counters, taken)
            while unit < units:
                slot = numba.int64(thread) if units > 1 else 0
                for block in range(unit * blocks // units, (unit + 1) * blocks // units):
                    _jit.call(program[at], block, slot, (program[at + 1], program[at + 2]))
                _atomic.count(counters, done)
                unit = _atomic.count(counters, taken)
            looks = 0
            while _atomic.look(counters, done) < units:
                looks += 1
                if looks % _PATIENCE == 0:
                    _atomic.give_way()


_replay_serial, _replay_parallel = _jit.loops(replay)


def _frame(args):
    """The arguments of a kernel as 64-bit words: an array's address and extents, a number's value."""
    words = []
    for arg in args:
        if isinstance(arg, np.ndarray):
            words += [arg.ctypes.data, *arg.shape]
        elif isinstance(arg, (float, np.floating)):
            words.append(np.float64(arg).view(np.int64))
        else:
            words.append(np.array(arg).astype(np.int64))
    return np.array(words, np.int64)


def _entrance(args):
    """The address of a function (block, slot, kernel, frame) that calls a kernel with arguments of these types."""
    return _entrance_for(tuple(map(numba.typeof, args)))


@functools.cache
def _entrance_for(kinds):
    call = _make_call(kinds)

    def enter(block, slot, kernel, frame):
        call(block, slot, kernel, frame)

    enter.__qualname__ = f"enter_{hashlib.sha256(repr(kinds).encode()).hexdigest()[:16]}"
    return _jit.address(_jit.jit(enter), (0, 0))


def _make_call(kinds):

    @intrinsic
    def call(typingctx, block, slot, kernel, frame):
        """Call a kernel with the arguments in a frame."""

        def emit(context, builder, signature, values):
            words = builder.inttoptr(values[3], ir.IntType(64).as_pointer())
            arguments, at = [], 0
            for kind in kinds:
                count = 1 + kind.ndim if isinstance(kind, types.Array) else 1
                here = [builder.load(builder.gep(words, [ir.IntType(64)(at + i)])) for i in range(count)]
                arguments.append(_argument(context, builder, kind, here))
                at += count
            _jit.call_kernel(context, builder, values[2], kinds, [*values[:2], *arguments])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64), emit

    return call


def _argument(context, builder, kind, words):
    """What `_frame` wrote for a value of that type, as machine code has it."""
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
