"""Short loops over runs of numbers, for use inside kernels."""
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import call as call_address
from fastnet.kernels.cpu.runtime import inlined, jit

# What an epilogue has to do in registers: apply a lower bound at most; add or mask as well; use a Bend that is bent.
BOUND, MORE, BENT = range(3)


@jit
def clear(x, start, stop):
    """x[start : stop] = 0."""
    for i in range(start, stop, simd.lanes(x)):
        simd.store_part(x, i, simd.full(x, 0), stop - i)


@inlined
def fetch(x, start, stop):
    """Have x[start : stop] brought into the second cache, one request for each line of 64 bytes."""
    for i in range(start, min(stop, x.size), 64 // x.itemsize):
        simd.prefetch(x, i)


@inlined
def finished(v, at, n, epilogue, more):
    """The vector v of n results that belong at `at`, and what the epilogue does to them in registers. `more` is that of
    the epilogue; a loop that is there three times, once for each number, is the quicker."""
    if more:
        added, kept = simd.full(epilogue.add, -0.0), simd.full(epilogue.add, 1)
        if epilogue.adding:
            added = simd.load_part(epilogue.add, at, n)
        if epilogue.masked:
            kept = simd.load_part(epilogue.mask, at, n)
        return simd.finish(v, added, kept, epilogue, more == BENT)
    return simd.bound(v, epilogue.bend)


@inlined
def calls(epilogue):
    """Whether there are functions to call."""
    return epilogue.function.address != 0 or epilogue.derivative.address != 0


@inlined
def call(y, start, stop, epilogue):
    """Have the epilogue's functions do their work on y[start : stop], which was just written."""
    function, derivative = epilogue.function, epilogue.derivative
    if function.address != 0:
        call_address(function.address, (start, stop, y, function.alpha, function.beta))
    if derivative.address != 0:
        call_address(derivative.address, (start, stop, y, epilogue.mask, start, derivative.alpha, derivative.beta))


@inlined
def follow(y, at, n, epilogue):
    """All that the epilogue does, for n results that were just written as they are."""
    for i in range(at, at + n, simd.lanes(y)):
        left = at + n - i
        simd.store_part(y, i, finished(simd.load_part(y, i, left), i, left, epilogue, epilogue.more), left)
    call(y, at, at + n, epilogue)


@inlined
def finish(y, at, n, epilogue):
    """What is left to do for n results that were just written: nothing was done in registers if there was more to do
    than an activation."""
    if epilogue.adding or epilogue.masked:
        for i in range(at, at + n, simd.lanes(y)):
            left = at + n - i
            simd.store_part(y, i, finished(simd.load_part(y, i, left), i, left, epilogue, epilogue.more), left)
    call(y, at, at + n, epilogue)
