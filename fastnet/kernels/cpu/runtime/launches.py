"""Launching kernels: blocks, threads, scratch slots.

A kernel is a function ``body(block, slot, *args)`` that computes block number ``block`` of the result, and only that:
the block decides what is written, so blocks may run in any order, on any thread, with the same bits. `slot` numbers the
running thread and chooses its piece of scratch memory. `launch` runs all blocks, in parallel where it pays:

    launch(body, 6, x, y, work=...)             Python: which machine code the types of x and y want, see `compiler`;
                                                puts x and y into memory, the *frame*, see `frames`
      run_blocks(entrance, kernel, frame, ..)   the loop, serial or over threads; each takes blocks 0 1 2 | 3 4 5
        entrance(block, slot, kernel, frame)    takes x and y out of the frame
          body(block, slot, x, y)

The loops know kernels and entrances by their addresses, and so are compiled once for all of them. Numba would otherwise
compile a kernel's code anew into each loop that names it, and the loops anew for each number and kind of arguments.

A recorder, see `record`, is told of each launch of its thread. Where a net is new, launches wait in line for their
machine code, see `in_line`.
"""
import collections
import contextlib
import os
import threading

import numba
import numpy as np
from llvmlite import ir
from numba import config, get_num_threads, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnet.kernels.cpu.runtime import cache, frames
from fastnet.kernels.cpu.runtime.atomic import APART, count
from fastnet.kernels.cpu.runtime.compiler import address, begin, call, entrance, loops

# Under this many elementary operations, waking other threads costs more than they give. For many launches that one call
# runs again it is another number: threads then wait for one another after each, and wait long where another program has
# a core. 200 rows through two layers of 100 and 10, or back, take 25 to 50 us, and 10 us longer on two threads than on
# one.
SERIAL_WORK, SERIAL_SCRIPT = 20_000, 250_000

# Bytes of the arrays that launches in line hold while they wait for machine code, an array counted for each launch that
# takes it. With more, the first of them are waited for.
_MOST_WAITING = 1 << 30

_workqueue_lock = threading.Lock()
_layer = None
_ask_count = None
_forked_from = None
_entrances = {}     # address of a kernel -> (that of its entrance, words of a frame)


def launch(body, blocks, *args, work):
    """Run ``body(block, slot, *args)`` for every block in range(blocks); `work` counts elementary operations. Arguments
    are arrays, numbers, and NamedTuples of these, which may be nested."""
    if config.DISABLE_JIT:
        with np.errstate(all="ignore"):  # as in machine code: NaN and Inf come without a word
            for block in range(blocks):
                body(block, 0, *args)
    elif _here.line is not None:
        _here.line.launch(body, blocks, args, work)
    else:
        _run(address(body, args), blocks, args, work)


class Launch:
    """`launch` with the same kernel, blocks and work again and again, for arguments whose types never change: they are
    looked at in the first call only. `reads` and `writes` are the Sweeps, if any, by which it may take turns with the
    launch before it or behind it, see `pairs`."""

    def __init__(self, body, blocks, work, reads=None, writes=None):
        self.body, self.blocks, self.work, self._address = body, blocks, work, None
        self._sweeps = reads, writes
        for groups in (len(sweep.starts) for sweep in self._sweeps if sweep is not None):
            if blocks % max(1, groups):
                raise ValueError(f"expected a Sweep of equal groups for {blocks} blocks, got {groups} groups")

    def __call__(self, *args):
        if config.DISABLE_JIT or _here.line is not None:
            launch(self.body, self.blocks, *args, work=self.work)
            return
        if self._address is None:
            self._address = address(self.body, args)
        _run(self._address, self.blocks, args, self.work, self._sweeps)


class _Line:
    """What waits for machine code, in the order in which it came."""

    def __init__(self):
        self._waiting = collections.deque()     # (function, Libraries that it needs, bytes of its arrays)
        self._bytes = 0

    def launch(self, body, blocks, args, work):
        size = sum(arg.nbytes for arg in frames.flat(args) if isinstance(arg, np.ndarray))
        self.add(lambda: _run(address(body, args), blocks, args, work), [begin(body, args), frames.begin(_kinds(args))],
                 size)

    def add(self, function, wanted=(), size=0):
        """One more function to call; what is at the head and need not wait any more is called."""
        self._waiting.append((function, [library for library in wanted if library is not None], size))
        self._bytes += size
        while self._waiting and (self._bytes > _MOST_WAITING or self._is_ready()):
            self._call_first()

    def _is_ready(self):
        """Whether the first one need not wait."""
        _, wanted, _ = self._waiting[0]
        return all(library.ready() for library in wanted)

    def settle(self):
        """Call all."""
        while self._waiting:
            self._call_first()

    def forget(self):
        """Call nobody any more."""
        for _, wanted, _ in self._waiting:
            for library in wanted:
                library.cancel()
        self._waiting.clear()

    def _call_first(self):
        function, _, size = self._waiting.popleft()
        self._bytes -= size
        function()


@contextlib.contextmanager
def in_line():
    """Within it, a launch whose machine code is not there yet waits in line, and those behind it, while Python goes on
    to what is launched next: so several kernels are compiled side by side, see `machine_code`. At the end all have run.
    Whoever looks at what a launch has computed before, or writes into an array that one may still read, calls `settle`
    first, as `copies.announce` does. Where an error ends it, launches that wait are forgotten."""
    if config.DISABLE_JIT or _here.line is not None or _here.recorder is not None:
        yield
        return
    line = _Line()
    try:
        _here.line = line
        yield
        line.settle()
    finally:
        _here.line = None
        line.forget()


def settle():
    """Let all launches run that wait in line, before NumPy looks at what they compute."""
    if _here.line is not None:
        _here.line.settle()


def in_turn(function, wanted=()):
    """Call a function when all launches up to here have run, and before any that comes behind; `wanted` lists what
    `compiler.begin` gave for the machine code that it needs."""
    if _here.line is None:
        function()
    else:
        _here.line.add(function, wanted)


def _run(kernel, blocks, args, work, sweeps=(None, None)):
    """Run all blocks of the kernel at an address, which goes over what it reads and writes by these Sweeps."""
    wanted = min(threads(), blocks) if work > SERIAL_WORK else 1
    known = _entrances.get(kernel)
    if known is None:
        known = _entrances[kernel] = _enter(args)
    enter, size = known
    frame = frames.frame(args, size)
    if _here.recorder is not None:
        _here.recorder.note(kernel, enter, blocks, work if wanted > 1 else 0, frames.flat(args), sweeps)
    if wanted > 1:
        in_parallel(_parallel, enter, kernel, frames.address(frame), blocks, wanted, _here.taken)
    elif blocks:
        _serial(enter, kernel, frames.address(frame), blocks, 1, _here.taken)


def _enter(args):
    """The entrance for arguments of these types, and how many words they take."""
    return frames.entrance(_kinds(args)), len(frames.words(frames.flat(args)))


def _kinds(args):
    """The types of arguments."""
    return tuple([frames.kind(arg) for arg in frames.flat(args)])


class _Here(threading.local):
    """What each thread of Python has of its own."""

    recorder = line = None

    def __init__(self):
        # For `run_blocks`: how many blocks of each thread's share have been taken.
        self.taken = np.zeros(config.NUMBA_NUM_THREADS * APART, np.int64)


_here = _Here()


def set_recorder(recorder):
    """Let a recorder, see `record`, know of all that this thread launches from now on; returns the one before."""
    before, _here.recorder = _here.recorder, recorder
    return before


def recorder():
    """The recorder at work in this thread, or None."""
    return _here.recorder


def slots(work):
    """How many slots a launch of this work may use, each of which needs scratch memory of its own."""
    return threads() if work > SERIAL_WORK and not config.DISABLE_JIT else 1


def threads():
    """How many threads this thread of Python may use. `numba.get_num_threads` takes a lock of the operating system at
    each call; compiled code asks for the same number without one."""
    global _ask_count
    if _ask_count is None:
        get_num_threads()  # starts Numba's threads, whose symbols the compiled function needs
        _ask_count = cache.attach(entrance(_ask))
    return _ask_count()


@intrinsic
def _get_num_threads(typingctx):
    """What numba.get_num_threads asks its threading layer, by that layer's name: so the code can be kept on disk."""

    def emit(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(32), [])
        count = builder.call(cgutils.get_or_insert_function(builder.module, kind, "get_num_threads"), [])
        return builder.sext(count, ir.IntType(64))

    return types.int64(), emit


def _ask():
    return _get_num_threads()


def run_blocks(entrance, kernel, frame, blocks, threads, taken):
    """All blocks: each thread takes those of its share one by one, then what the others have left of theirs. A block is
    taken by adding one to `taken` of its share, which no two threads can do at once."""
    for i in range(0, threads * APART, APART):
        taken[i] = 0
    for thread in prange(threads):
        slot = numba.int64(thread)  # a prange index is unsigned, and mixing it with integers gives floats
        for turn in range(threads):
            share = (slot + turn) % threads
            first, stop = share * blocks // threads, (share + 1) * blocks // threads
            block = first + count(taken, share * APART)
            while block < stop:
                call(entrance, (block, slot, kernel, frame))
                block = first + count(taken, share * APART)


_serial, _parallel = map(cache.attach, loops(run_blocks))


def in_parallel(function, *args):
    """Call a function that Numba has compiled with parallel loops."""
    global _layer
    if _forked_from is not None:
        raise RuntimeError(
            "this process was forked from one that had already run parallel kernels (threading layer "
            f"{_forked_from!r}), which its threads do not survive: start workers with multiprocessing's 'spawn' "
            "method, use threads, or call numba.set_num_threads(1) in the worker")
    if _layer in (None, "workqueue"):
        # That layer aborts the process when two threads launch at once; until the first launch it is unknown.
        with _workqueue_lock:
            function(*args)
            _layer = numba.threading_layer()
    else:
        function(*args)


def _after_fork():
    global _forked_from, _workqueue_lock
    _workqueue_lock = threading.Lock()
    try:
        layer = numba.threading_layer()  # started by us, by the caller's own kernels, or by asking for a thread count
    except ValueError:
        return
    if layer != "workqueue":
        _forked_from = layer


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
