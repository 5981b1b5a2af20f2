"""Activations, dropout and sums: element-wise operations, one pass over memory each."""
import numpy as np

from fastnet.kernels import checks, counter, shapes
from fastnet.kernels.activations import reads
from fastnet.kernels.cpu import epilogue, simd, spans
from fastnet.kernels.cpu.activations import COMPILED
from fastnet.kernels.cpu.runtime.array import flat, like
from fastnet.kernels.cpu.runtime.jit import inlined, jit, launch

# Elements of a block.
_BLOCK = 16_384
# Elements that are gone through together.
_CHUNK = 2048
_FIRST, _SECOND = map(np.uint64, counter.MULTIPLIERS)
_WORD = np.uint64(0xFFFFFFFF)


def activation_forward(x, function, alpha=0.0, beta=0.0):
    """y = f(x): a row of `activations.ACTIVATIONS`."""
    x = checks.floating(x, "x")
    shapes.activation_forward(x, function, alpha, beta)
    y = like(x)
    launch(_copy, _blocks(x), flat(x), flat(y), epilogue.make(flat(y), activation=(function, alpha, beta)),
           work=COMPILED[function].cost * x.size)
    return y


def activation_backward(dy, kept, function, alpha=0.0, beta=0.0):
    """dx = dy f'(x), worked out from x or from y, whichever `kept` is."""
    dy = checks.floating(dy, "dy")
    kept = checks.floating(kept, reads(function), like=dy)
    shapes.activation_backward(dy, kept, function, alpha, beta)
    dx = like(dy)
    how = epilogue.make(flat(dx), mask=flat(kept), masking=(function, alpha, beta))
    launch(_copy, _blocks(dy), flat(dy), flat(dx), how, work=COMPILED[function].cost * dy.size)
    return dx


def dropout(x, p, key):
    """y = x / (1 - p) where the random number of that element, see `counter`, is at least p, else 0.

    The kernel reads the two words of `key` from an array, which may hold others when it is run again.
    """
    x = checks.floating(x, "x")
    shapes.dropout(x, p, key)
    words = np.array(counter.key_words(key), np.uint64) if np.ndim(key) == 0 else flat(key)
    y, p = like(x), float(p)
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    launch(_dropout, _blocks(x), flat(x), flat(y), words, np.uint64(counter.threshold(p)), scale, work=8 * x.size)
    return y


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
def _copy(block, slot, x, y, epilogue):
    """y = x with what follows, so few numbers at a time that the first cache holds them until a function is called."""
    last = min((block + 1) * _BLOCK, x.size)
    for start in range(block * _BLOCK, last, _CHUNK):
        stop = min(start + _CHUNK, last)
        if epilogue.more == spans.BENT:
            _copy_some(x, y, start, stop, epilogue, spans.BENT)
        elif epilogue.more == spans.MORE:
            _copy_some(x, y, start, stop, epilogue, spans.MORE)
        else:
            _copy_some(x, y, start, stop, epilogue, spans.BOUND)
        spans.call(y, start, stop, epilogue)


@inlined
def _copy_some(x, y, start, stop, epilogue, more):
    for i in range(start, stop, simd.lanes(x)):
        n = stop - i
        simd.store_part(y, i, spans.finished(simd.load_part(x, i, n), i, n, epilogue, more), n)


@jit
def _mix(h):
    """The permutation of 32-bit words that `counter` describes, in 64-bit arithmetic that never wraps around."""
    h = ((h ^ (h >> np.uint64(16))) * _FIRST) & _WORD
    h = ((h ^ (h >> np.uint64(15))) * _SECOND) & _WORD
    return h ^ (h >> np.uint64(16))


@jit
def _dropout(block, slot, x, y, key, threshold, scale):
    low, high = key[0], key[1]
    for i in range(block * _BLOCK, min((block + 1) * _BLOCK, x.size)):
        place = np.uint64(i)
        h = _mix((place & _WORD) ^ low)
        h = _mix(h ^ (place >> np.uint64(32)) ^ high)
        y[i] = (x[i] if (h >> np.uint64(8)) >= threshold else 0) * scale


@jit
def _add(block, slot, a, b, y, epilogue):
    start, stop = block * _BLOCK, min((block + 1) * _BLOCK, a.size)
    if epilogue.more == spans.BENT:
        _add_some(a, b, y, start, stop, epilogue, spans.BENT)
    elif epilogue.more == spans.MORE:
        _add_some(a, b, y, start, stop, epilogue, spans.MORE)
    else:
        _add_some(a, b, y, start, stop, epilogue, spans.BOUND)
    spans.call(y, start, stop, epilogue)


@inlined
def _add_some(a, b, y, start, stop, epilogue, more):
    for i in range(start, stop, simd.lanes(a)):
        n = stop - i
        v = simd.load_part(a, i, n) + simd.load_part(b, i, n)
        simd.store_part(y, i, spans.finished(v, i, n, epilogue, more), n)
