"""Activations, dropout and the addition of two arrays: element-wise operations, one pass over memory each."""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, counter, shapes
from fastnet.kernels.activations import reads
from fastnet.kernels.cpu import epilogue, moments, simd, spans
from fastnet.kernels.cpu.activations import COMPILED
from fastnet.kernels.cpu.runtime import call, empty, flat, inlined, jit, launch, like

# Elements of a block.
_BLOCK = 16_384
# Elements that are gone through together.
_CHUNK = 2048
_FIRST, _SECOND = map(np.uint32, counter.MULTIPLIERS)
_EIGHT, _FIFTEEN, _SIXTEEN = np.uint32(8), np.uint32(15), np.uint32(16)


def activation_forward(x, function, alpha=0.0, beta=0.0):
    """y = f(x): `function` is a name in `fastnet.kernels.activations.ACTIVATIONS`."""
    x = checks.floating(x, "x")
    shapes.activation_forward(x, function, alpha, beta)
    y = like(x)
    launch(_activate, _blocks(x), flat(x), flat(y), epilogue.make(flat(y), activation=(function, alpha, beta)),
           work=COMPILED[function].cost * x.size)
    return y


def activation_backward(dy, kept, function, alpha=0.0, beta=0.0):
    """dx = dy f'(x), worked out from x or from y, whichever `kept` is."""
    dy = checks.floating(dy, "dy")
    kept = checks.floating(kept, reads(function), like=dy)
    shapes.activation_backward(dy, kept, function, alpha, beta)
    dx = like(dy)
    how = epilogue.make(flat(dx), mask=flat(kept), masking=(function, alpha, beta))
    launch(_activate, _blocks(dy), flat(dy), flat(dx), how, work=COMPILED[function].cost * dy.size)
    return dx


def dropout(x, p, key, axes=None, add=None, activation=None, mask=None, masking=None):
    """y = x / (1 - p) where the random number of that element, see `counter`, is at least p, else 0; with `axes`, all
    elements with the same places in the first so many axes share one. Then `add` is added, `activation` applied, and
    the result multiplied by the derivative of `masking` where the output of that was `mask`.

    The kernel reads the two words of `key` from an array, which may hold others when it is run again.
    """
    x = checks.floating(x, "x")
    add, mask = epilogue.checked(shapes.dropout(x, p, key, axes), add, activation, mask, masking)
    words = np.array(counter.key_words(key), np.uint64) if np.ndim(key) == 0 else flat(key)
    y, p = like(x), float(p)
    scale, how = x.dtype.type(1 / (1 - p) if p < 1 else 0), epilogue.make(flat(y), add, activation, mask, masking)
    work = x.size * (8 + epilogue.cost(activation) + epilogue.cost(masking))
    if axes is None:
        launch(_dropout, _blocks(x), flat(x), flat(y), words, np.uint32(counter.threshold(p)), scale, how, work=work)
        return y
    count = prod(x.shape[:axes])
    keeps, shared = empty(count, x.dtype), _Shared.of(x.shape, axes)
    launch(_dropout, _blocks(keeps), moments.constant(1, count, x.dtype), keeps, words,
           np.uint32(counter.threshold(p)), x.dtype.type(1), epilogue.make(keeps), work=8 * count)
    launch(_keep_shared, _blocks(x), flat(x), flat(y), _Keeps(keeps, scale), shared, how, work=work)
    return y


class _Shared(NamedTuple):
    """Which elements share a random number: of each `apart` that follow each other, those `run` that lie side by side;
    with channels those that are so many elements apart."""

    apart: int
    run: int
    channels: bool

    @classmethod
    def of(cls, shape, axes):
        apart = prod(shape[axes:])
        if axes < 2 or len(shape) != 4:
            return cls(apart, apart, False)
        _, c, *_ = shape
        return cls(c * apart, c, True)


class _Keeps(NamedTuple):
    """For each random number 1 where elements are kept, else 0; and what the elements are multiplied by."""

    each: np.ndarray
    scale: float


def add(a, b, activation=None, mask=None, masking=None):
    """a + b. `activation` is applied to that; the result is multiplied by the derivative of `masking` where the output
    of that was `mask`."""
    a = checks.floating(a, "a")
    b = checks.floating(b, "b", like=a)
    _, mask = epilogue.checked(shapes.add(a, b), None, activation, mask, masking)
    y, work = like(a), a.size * (1 + epilogue.cost(activation) + epilogue.cost(masking))
    launch(_add, _blocks(a), flat(a), flat(b), flat(y), epilogue.make(flat(y), None, activation, mask, masking),
           work=work)
    return y


def _blocks(x):
    return -(-x.size // _BLOCK)


@jit
def _activate(block, slot, x, y, epilogue):
    """y = x and its epilogue, which is one activation or one derivative: a function goes from x to y itself."""
    start, stop, far = block * _BLOCK, min((block + 1) * _BLOCK, x.size), spans.is_far(y)
    function, derivative = epilogue.function, epilogue.derivative
    if function.address != 0:
        call(function.address, (start, stop, spans.Path(x, y, far), function.alpha, function.beta))
    elif derivative.address != 0:
        call(derivative.address, (start, stop, spans.Path(x, y, far), epilogue.mask, start, derivative.alpha,
                                  derivative.beta))
    else:
        _copy_chunk(x, y, start, stop, epilogue, far)


@jit
def _copy_chunk(x, y, start, stop, epilogue, far):
    if epilogue.level == spans.SLOPED:
        _copy_some(x, y, start, stop, epilogue, spans.SLOPED, far)
    elif epilogue.level == spans.OPERANDS:
        _copy_some(x, y, start, stop, epilogue, spans.OPERANDS, far)
    else:
        _copy_some(x, y, start, stop, epilogue, spans.BOUND, far)


@inlined
def _copy_some(x, y, start, stop, epilogue, level, far):
    """The loop of `_copy_chunk`, written three times, once for each level: see `spans.in_registers`."""
    for i in range(start, stop, simd.lanes(x)):
        n = stop - i
        spans.put(y, i, spans.in_registers(simd.load_part(x, i, n), i, n, epilogue, level), n, far)


@jit
def _mix(h):
    """The permutation of 32-bit words that `counter` describes. Numba's products of such words are 64 bits long; each
    is cut at once, so that a vector holds as many words as float32 numbers."""
    h = np.uint32((h ^ (h >> _SIXTEEN)) * _FIRST)
    h = np.uint32((h ^ (h >> _FIFTEEN)) * _SECOND)
    return np.uint32(h ^ (h >> _SIXTEEN))


@jit
def _dropout(block, slot, x, y, key, threshold, scale, epilogue):
    """A chunk is written, and gone through once more, by the epilogue, while the first cache holds it. These are two
    loops since LLVM makes vectors of the first by itself, which the explicit vectors of the second would prevent."""
    last = min((block + 1) * _BLOCK, x.size)
    for start in range(block * _BLOCK, last, _CHUNK):
        stop = min(start + _CHUNK, last)
        _drop(x, y, start, stop, key, threshold, scale)
        _copy_chunk(y, y, start, stop, epilogue, False)
        spans.call_functions(y, start, stop, epilogue)


@jit
def _drop(x, y, start, stop, key, threshold, scale):
    """No chunk crosses a multiple of 2^32, so the upper 32 bits of all its places are equal."""
    low, high = np.uint32(key[0]), np.uint32(key[1] ^ np.uint64(start >> 32))
    first = np.uint32(start)
    for i in range(stop - start):
        h = _mix(np.uint32(_mix(np.uint32(np.uint32(first + np.uint32(i)) ^ low)) ^ high))
        v = x[start + i] * scale
        y[start + i] = v if (h >> _EIGHT) >= threshold else 0


@jit
def _keep_shared(block, slot, x, y, keeps, shared, epilogue):
    """As `_dropout`, with random numbers that were drawn before."""
    start, stop = block * _BLOCK, min((block + 1) * _BLOCK, x.size)
    while start < stop:
        group = start // shared.apart
        last = min(stop, (group + 1) * shared.apart)
        if shared.channels:
            place = start % shared.run
            while start < last:     # the rest of a pixel, and then whole ones
                end = min(last, start + shared.run - place)
                _keep(x, y, start, end, keeps, group * shared.run + place, epilogue, True)
                start, place = end, 0
        else:
            _keep(x, y, start, last, keeps, group, epilogue, False)
            start = last
    spans.call_functions(y, block * _BLOCK, stop, epilogue)


@inlined
def _keep(x, y, start, stop, keeps, place, epilogue, each):
    """A run of numbers, of which `each` has a random number from that place on, or all have that one."""
    one, factor, kept = simd.full(x, 1), simd.full(x, keeps.scale), simd.full(x, keeps.each[place])
    for i in range(start, stop, simd.lanes(x)):
        n = stop - i
        if each:
            kept = simd.load_part(keeps.each, place + i - start, n)
        v = simd.matching(simd.load_part(x, i, n) * factor, kept, one)
        simd.store_part(y, i, spans.in_registers(v, i, n, epilogue, epilogue.level), n)


@jit
def _add(block, slot, a, b, y, epilogue):
    start, stop = block * _BLOCK, min((block + 1) * _BLOCK, a.size)
    far = spans.is_far(y) and not spans.has_calls(epilogue)
    if epilogue.level == spans.SLOPED:
        _add_some(a, b, y, start, stop, epilogue, spans.SLOPED, far)
    elif epilogue.level == spans.OPERANDS:
        _add_some(a, b, y, start, stop, epilogue, spans.OPERANDS, far)
    else:
        _add_some(a, b, y, start, stop, epilogue, spans.BOUND, far)
    spans.call_functions(y, start, stop, epilogue)


@inlined
def _add_some(a, b, y, start, stop, epilogue, level, far):
    for i in range(start, stop, simd.lanes(a)):
        n = stop - i
        v = simd.load_part(a, i, n) + simd.load_part(b, i, n)
        spans.put(y, i, spans.in_registers(v, i, n, epilogue, level), n, far)
