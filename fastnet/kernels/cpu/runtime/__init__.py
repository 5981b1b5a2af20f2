"""What every kernel needs to run; whoever is outside of this folder imports it from here.

To be read in this order. `compiler` compiles functions, by Numba's passes as `pipeline` and `frontend` have them and by
LLVM, which `machine_code` asks; `cache` keeps what comes of it on disk. `places` tells where arrays lie, and `frames`
has the arguments of a kernel in memory. `launches` runs the blocks of a kernel on threads, which count by `atomic`;
`plan` has the numbers that a kernel reads by name. `pool` has the memory of large arrays, `array` makes them and knows
how they lie in it. `record` notes launches, `arena` has the memory between them, `pairs` finds those that take turns,
`replay` runs all of them again by one call. `watch` tells whether arrays have changed, `results` remembers what was
worked out for some shapes.

What is kept from call to call
------------------------------
================= ======================================== ========================================= ==================
what              bounded by                               lives as long as                          `empty_cache`
================= ======================================== ========================================= ==================
free buffers      1 GB (`pool`); a new shape gives back    the process                               gives them back
                  what others have left
arena             the largest shape of a net, one for      the net                                   gives it back, but
                  training, one for inference                                                        within a training
                                                                                                     pass
scratch memory    the largest launch, for each thread      the thread of Python                      gives it back
                  and dtype
kept results:     16 MB in all (`results`). A layer's own  until others push them out; a recording   forgets them
tables of offsets take 4 MB at most: large images are cut  has its own hold on what it reads
                  into strips, which share them
recordings        64 MB and 64 programs a net              the net and its shapes                    leaves them
                  (`program.run`)
packed weights    one form for each way of convolving      the net, until the weights change         leaves them
machine code      kernels, types, kinds of processor:      the process                               leaves it
                  shapes of arrays play no part
its files         one folder for each version, see         whoever deletes them                      leaves them
                  `cache`
================= ======================================== ========================================= ==================
"""
from fastnet.kernels.cpu.runtime import arena, array, cache, pool, results
from fastnet.kernels.cpu.runtime.arena import Arena
from fastnet.kernels.cpu.runtime.array import (
    aligned,
    empty,
    empty_images,
    flat,
    like,
    lying_at,
    readable,
    scratch,
    whole_lines,
)
from fastnet.kernels.cpu.runtime.compiler import (
    begin_function,
    call,
    function_address,
    hash_of,
    inlined,
    jit,
    literal,
    made_for,
    regrouped,
)
from fastnet.kernels.cpu.runtime.launches import SERIAL_WORK, Launch, in_line, in_turn, launch, settle
from fastnet.kernels.cpu.runtime.pairs import Sweep
from fastnet.kernels.cpu.runtime.places import address, places
from fastnet.kernels.cpu.runtime.plan import entry, in_words, named
from fastnet.kernels.cpu.runtime.pool import release
from fastnet.kernels.cpu.runtime.record import recorder
from fastnet.kernels.cpu.runtime.results import kept, planned
from fastnet.kernels.cpu.runtime.views import part
from fastnet.kernels.cpu.runtime.watch import watcher

__all__ = ["Arena", "Launch", "SERIAL_WORK", "Sweep", "address", "aligned", "begin_function", "cache", "call", "empty",
           "empty_cache", "empty_images", "entry", "flat", "function_address", "hash_of", "in_line", "in_turn",
           "in_words", "inlined", "jit", "kept", "launch", "like", "literal", "lying_at", "made_for", "named", "part",
           "places", "planned", "readable", "recorder", "regrouped", "release", "scratch", "settle", "watcher",
           "whole_lines"]


def empty_cache():
    """Give back to the system all memory that is kept for later and not in use now: buffers of results that are gone,
    what lies between the layers of nets that are not at work, scratch memory, tables. It will be taken anew when it is
    needed. What living arrays and nets hold stays."""
    arena.clear_arenas()
    array.release_scratch()
    results.forget()
    pool.release()
