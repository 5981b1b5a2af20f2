"""Short loops over spans of numbers, for use inside kernels."""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import call as call_address
from fastnet.kernels.cpu.runtime import inlined, jit

# The levels of an epilogue, by what it has to do in registers: no more than apply bounds; read what is added or the
# mask as well; use a slope as well.
BOUND, OPERANDS, SLOPED = range(3)
# An array of so many bytes is written past the caches by kernels that do nothing but read and write: the largest caches
# could not keep it until somebody reads it. Reading what is about to be overwritten would be a third of the traffic.
FAR = 20 << 20


class Path(NamedTuple):
    """Where a function reads and where it writes, which may be one array, and whether `far`, see `put`."""

    x: np.ndarray
    y: np.ndarray
    far: bool


@inlined
def is_far(y):
    """Whether all of y is better written past the caches, see `put`."""
    return y.size * y.itemsize >= FAR


@inlined
def put(y, i, v, n, far):
    """`simd.store_part`, where y is `far` past the caches."""
    if far:
        simd.stream_part(y, i, v, n)
    else:
        simd.store_part(y, i, v, n)


@jit
def clear(x, start, stop):
    """x[start : stop] = 0."""
    for i in range(start, stop, simd.lanes(x)):
        simd.store_part(x, i, simd.full(x, 0), stop - i)


@inlined
def clear_within(x, at, n, end):
    """`clear` for n numbers of a row that goes on up to `end`: the last vector need not be cut where they stop."""
    for i in range(at, at + n, simd.lanes(x)):
        simd.store_part(x, i, simd.full(x, 0), end - i)


@inlined
def fetch(x, start, stop):
    """Have x[start : stop] brought into the second cache, one request for each line of 64 bytes."""
    for i in range(start, min(stop, x.size), 64 // x.itemsize):
        simd.prefetch(x, i)


@inlined
def in_registers(v, at, n, epilogue, level):
    """The vector v of n results that belong at `at`, after all steps of the epilogue that need no function. `level` is
    that of the epilogue. Where it is a constant, the compiler removes what that level does not need: so callers that
    have the time write their loop three times, once for each level."""
    if level:
        added, output = simd.full(epilogue.add, -0.0), simd.full(epilogue.add, 1)
        if epilogue.adding:
            added = simd.load_part(epilogue.add, at, n)
        if epilogue.masked:
            output = simd.load_part(epilogue.mask, at, n)
        return simd.finish(v, added, output, epilogue, level == SLOPED)
    return simd.bound(v, epilogue.bend)


@inlined
def has_calls(epilogue):
    """Whether the epilogue has functions, which are called on what was written."""
    return epilogue.function.address != 0 or epilogue.derivative.address != 0


@inlined
def call_functions(y, start, stop, epilogue):
    """Have the epilogue's functions do their work on y[start : stop], which was just written."""
    function, derivative = epilogue.function, epilogue.derivative
    if function.address != 0:
        call_address(function.address, (start, stop, Path(y, y, False), function.alpha, function.beta))
    if derivative.address != 0:
        call_address(derivative.address, (start, stop, Path(y, y, False), epilogue.mask, start, derivative.alpha,
                                          derivative.beta))


@inlined
def apply_all(y, at, n, epilogue):
    """Every step of the epilogue, for n results that were written without any."""
    for i in range(at, at + n, simd.lanes(y)):
        left = at + n - i
        simd.store_part(y, i, in_registers(simd.load_part(y, i, left), i, left, epilogue, epilogue.level), left)
    call_functions(y, at, at + n, epilogue)


@inlined
def apply_rest(y, at, n, epilogue):
    """The steps that a register tile has left out, for n results. A tile applies a Bend itself, but only if nothing is
    added or masked: so where something is, all steps are done here, otherwise functions are called at most."""
    if epilogue.adding or epilogue.masked:
        apply_all(y, at, n, epilogue)
    else:
        call_functions(y, at, at + n, epilogue)


@jit
def apply_rest_to_pixels(y, start, places, pixel, stop, n, epilogue):
    """`apply_rest` for the n numbers from y[start + places[i]] on, for each i from `pixel` up to `stop`. Those that lie
    one behind the other are done in one go, since a function for few numbers takes little more time than its call."""
    while pixel < stop:
        at = end = start + places[pixel]
        while pixel < stop and start + places[pixel] == end:
            pixel, end = pixel + 1, end + n
        apply_rest(y, at, end - at, epilogue)
