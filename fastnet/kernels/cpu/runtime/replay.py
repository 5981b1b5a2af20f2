"""Launches run again by one call into machine code.

A launch from Python costs some microseconds, a layer some tens of them: much of the time of one image, and still a
tenth of a training step of a net of many thin layers. A *script* is a list of launches that were recorded, see
`record`: five words for each, an `Entry`. All of them run within one parallel loop, in which the threads share the
blocks of a launch as they do in `launches.run_blocks`, and go on to the next launch when every block of this one is
done:

    thread 0   | launch 0: blocks 0 1 2   | launch 1: blocks 0 1 | wait | launch 2 ...
    thread 1   | launch 0: blocks 3 4 | 5 | launch 1: blocks 2 3 4      | launch 2 ...

A thread waits only for blocks that another one is computing, so it does not matter how many of the threads are running,
or when they begin. Two launches in a row may take turns, see `pairs`: threads then share their units.
"""
from typing import NamedTuple

import numba
from numba import prange

from fastnet.kernels.cpu.runtime import atomic, cache, compiler, launches
from fastnet.kernels.cpu.runtime.compiler import jit
from fastnet.kernels.cpu.runtime.pairs import Unit
from fastnet.kernels.cpu.runtime.plan import entry

# Looks at what others have not done yet before the operating system is asked to let them.
_PATIENCE = 1000


class Entry(NamedTuple):
    """A launch in a script."""

    entrance: int   # address of a function that takes the arguments out of a frame, see `frames`
    kernel: int     # address of the kernel
    frame: int      # address of its arguments
    blocks: int
    units: int      # how many pieces threads share: one a block, one for all blocks of a launch too small to share, or
                    # those of this launch and the next one, which has none then
    table: int      # where in `tables` the Units of such a pair begin, counted in Units; else -1


_SIZE, _WORDS, _DONE = len(Entry._fields), len(Unit._fields), Unit._fields.index("done")


def prepared(script, tables, counters, threads, parallel):
    """(parallel, arguments) for `run` of all launches of a script, with the counters that it needs."""
    threads = threads if parallel else 1
    return parallel, (script, tables, counters[:(threads + 1) * atomic.APART * (script.size // _SIZE)], threads)


def run(parallel, args):
    """Run all launches of a script, `parallel` on several threads."""
    if parallel:
        launches.in_parallel(_replay_parallel, *args)
    else:
        _replay_serial(*args)


@jit
def _run_blocks(script, launch, first, stop, slot):
    """Some blocks of a launch."""
    now = entry(Entry, script, launch)
    for block in range(first, stop):
        compiler.call(now.entrance, (block, slot, now.kernel, now.frame))


@jit
def _run_unit(script, tables, launch, unit, slot):
    """A unit of a launch and of the next one, and blocks that read of its neighbours too, where those are done. Of two
    neighbours the second one to be done finds an odd number."""
    now = entry(Entry, script, launch)
    at = now.table + unit
    here, behind = entry(Unit, tables, at), entry(Unit, tables, at + 1)
    _run_blocks(script, launch, here.first, behind.first, slot)
    _run_blocks(script, launch + 1, here.begin, here.end, slot)
    if unit > 0 and atomic.count(tables, at * _WORDS + _DONE) % 2:
        _run_blocks(script, launch + 1, entry(Unit, tables, at - 1).end, here.begin, slot)
    if unit + 1 < now.units and atomic.count(tables, (at + 1) * _WORDS + _DONE) % 2:
        _run_blocks(script, launch + 1, here.end, behind.begin, slot)


def replay(script, tables, counters, threads):
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
                    if now.table >= 0:
                        _run_unit(script, tables, launch, unit, slot)
                    else:
                        _run_blocks(script, launch, unit * now.blocks // now.units,
                                    (unit + 1) * now.blocks // now.units, slot)
                    atomic.count(counters, done)
                    unit = first + atomic.count(counters, taken + share * atomic.APART)
            looks = 0
            while atomic.look(counters, done) < now.units:
                looks += 1
                if looks % _PATIENCE == 0:
                    atomic.give_way()


_replay_serial, _replay_parallel = map(cache.attach, compiler.loops(replay))
