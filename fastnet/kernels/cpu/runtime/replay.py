"""Recorded launches, run again by one call into machine code.

A launch from Python costs some microseconds, a layer some tens of them: much of the time of one image, and still a
tenth of a training step of a net of many thin layers. `record` runs a function once and notes its launches: which
kernel, how many blocks, which arguments. What it returns runs all of them within one parallel loop, in which the
threads share the blocks of a launch as they do in `jit.run_blocks`, and go on to the next launch when every block of
this one is done. A thread waits only for blocks that another one is computing, so it does not matter how many of the
threads are running, or when they begin.

Arrays made between the launches come from a pool of the recording's own, and lie where they lay whenever it is run
again. They are freed and their memory serves anew just as in the run that was recorded: a recording keeps no more
memory than that run needed at once.
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

from fastnet.kernels.cpu.runtime import array, atomic, cache, jit

# The numbers of a launch in a program: entrance, kernel, arguments, blocks, units. A unit is what a thread takes: a
# block, or all blocks where `launch` would not have woken other threads.
_LAUNCH = 5
# Looks at what others have not done yet before the operating system is asked to let them.
_PATIENCE = 1000


def record(run, x, most_bytes, after=None):
    """(results, again): `results` is ``run(x)``, and ``again(x)`` does the same for any x of this shape and dtype; see
    `fastnet.kernels`."""
    if config.DISABLE_JIT or x.dtype not in (np.float32, np.float64):
        return run(x), None
    recorder = _Recorder(array.Pool(array.shared_pool) if after is None else after.pool)
    with jit.recording(recorder):
        source = array.like(x)
        np.copyto(source, x)
        results = run(source)
    if not recorder.complete or recorder.pool.taken_bytes > most_bytes:
        return results, None
    return _copied(results), _Replay(recorder, source, results)


def _copied(results):
    """Copies of an array, or of a list of arrays and Nones, which the caller may keep."""
    if isinstance(results, list):
        return [None if result is None else _copied(result) for result in results]
    copy = array.empty(results.shape, results.dtype) if results.flags.c_contiguous else array.like(results)
    np.copyto(copy, results)
    return copy


class _Recorder:
    """What one thread launches: a program in parts, and all that it has the addresses of."""

    def __init__(self, pool):
        self.pool = pool        # of the arrays that are made meanwhile
        self.scratch = {}       # see `array.scratch`
        self.complete = True    # whether doing these launches again does all of the work again
        self.parallel = False
        self.program, self.kept = [], []

    def launched(self, address, blocks, threads, args):
        frame = _frame(args)
        self.program.append((tuple(map(numba.typeof, args)), address, frame.ctypes.data, blocks,
                             blocks if threads > 1 else min(blocks, 1)))
        self.parallel |= threads > 1
        # Arrays of the pool live as long as they did; their memory is there as long as the pool.
        self.kept += [frame, *(arg for arg in args if isinstance(arg, np.ndarray) and not self.pool.owns(arg))]


class _Replay:
    """See `record`. One thread of Python at a time may use the arrays between the launches."""

    def __init__(self, recorder, source, results):
        self.pool = recorder.pool
        self._lock = threading.Lock()
        self._source, self._results, self._kept = source, results, (recorder.kept, recorder.scratch)
        self._threads, self._parallel = jit.threads(), recorder.parallel
        self._program = np.array([(_entrance(kinds), *rest) for kinds, *rest in recorder.program], np.int64).reshape(-1)
        self._counters = np.zeros((self._threads + 1) * atomic.APART * len(recorder.program), np.int64)

    def outdated(self):
        """Whether it was made for another number of threads than there are now."""
        return self._threads != jit.threads()

    def __call__(self, x):
        if x.shape != self._source.shape or x.dtype != self._source.dtype or self.outdated():
            return None
        if not self._lock.acquire(blocking=False):
            return None
        try:
            np.copyto(self._source, x)
            if self._parallel:
                jit.in_parallel(_replay_parallel, self._program, self._counters, self._threads)
            else:
                _replay_serial(self._program, self._counters, 1)
            return _copied(self._results)
        finally:
            self._lock.release()


def replay(program, counters, threads):
    """Run all launches of a program."""
    for i in range(counters.size):
        counters[i] = 0
    for thread in prange(threads):
        own = numba.int64(thread)
        for launch in range(program.size // _LAUNCH):
            at, taken = launch * _LAUNCH, launch * (threads + 1) * atomic.APART
            done = taken + threads * atomic.APART
            blocks, units = program[at + 3], program[at + 4]
            slot = own if units > 1 else 0
            for turn in range(threads):
                share = (own + turn) % threads
                first, stop = share * units // threads, (share + 1) * units // threads
                unit = first + atomic.count(counters, taken + share * atomic.APART) if first < stop else stop
                while unit < stop:
                    for block in range(unit * blocks // units, (unit + 1) * blocks // units):
                        jit.call(program[at], (block, slot, program[at + 1], program[at + 2]))
                    atomic.count(counters, done)
                    unit = first + atomic.count(counters, taken + share * atomic.APART)
            looks = 0
            while atomic.look(counters, done) < units:
                looks += 1
                if looks % _PATIENCE == 0:
                    atomic.give_way()


_replay_serial, _replay_parallel = map(cache.attach, jit.loops(replay))


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


@functools.cache
def _entrance(kinds):
    """The address of a function (block, slot, kernel, frame) that calls a kernel with arguments of these types."""
    call = _make_call(kinds)

    def enter(block, slot, kernel, frame):
        call(block, slot, kernel, frame)

    enter.__qualname__ = f"enter_{hashlib.sha256(repr(kinds).encode()).hexdigest()[:16]}"
    return jit.address(jit.jit(enter), (0, 0))


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
            jit.call_function(context, builder, values[2], (types.int64, types.int64, *kinds),
                               [*values[:2], *arguments])
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
