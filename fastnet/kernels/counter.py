"""Random numbers without a state: a hash of (key, place), so that any element can be drawn by any thread at any time.

The hash works on 32-bit words with wrap-around arithmetic, the same to the last bit in NumPy, Numba and on a GPU:

1. The 64-bit key is scrambled by the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
   generators, OOPSLA 2014, section 4), so that neighbouring keys have nothing in common, and cut into two words
   key_low and key_high (`key_words`, once a call).
2. An element at the 64-bit place i = high 2^32 + low gets ``mix(mix(low ^ key_low) ^ high ^ key_high)`` with

       mix(h):  h ^= h >> 16;  h *= 0x7feb352d;  h ^= h >> 15;  h *= 0x846ca68b;  h ^= h >> 16

   the "lowbias32" permutation of 32-bit words (Chris Wellons: Prospecting for hash functions, 2018, nullprogram.com).
3. The top 24 bits are the number: (h >> 8) / 2^24 lies in [0, 1) and is exact in float32.
"""
import contextlib
import threading
from math import ceil
from operator import index

import numpy as np

from fastnet.kernels import checks

_WORD = 0xFFFFFFFF
_LONG = 0xFFFFFFFFFFFFFFFF

MULTIPLIERS = (0x7FEB352D, 0x846CA68B)


def key_words(key):
    """The two 32-bit words (key_low, key_high), as Python integers, of an integer key taken modulo 2^64."""
    z = (index(key) + 0x9E3779B97F4A7C15) & _LONG
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _LONG
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _LONG
    z ^= z >> 31
    return z & _WORD, z >> 32


class _Here(threading.local):
    """What each thread has of its own."""

    noted = None        # the keys drawn so far, where they are noted
    repeated = None     # an iterator over those to give again


_here = _Here()


def draw(generator):
    """A key for `dropout` from the numpy.random.Generator: the two words of an integer below 2^63, as a uint64 array.

    An array, so that a list of operations that is run again and again can be told the next key where the last one
    stood. Within `repeating` one of the keys given there. TypeError where `generator` draws no integers.
    """
    checks.draws_integers(generator)
    return drawn(lambda: np.array(key_words(int(generator.integers(2**63))), np.uint64))


def drawn(make):
    """``make()`` as a key that is drawn: noted where `noting` asks for it, within `repeating` one that was."""
    key = make() if _here.repeated is None else next(_here.repeated)
    if _here.noted is not None:
        _here.noted.append(key)
    return key


@contextlib.contextmanager
def noting():
    """A list of the keys that this thread draws within the `with` block."""
    before, keys = _here.noted, []
    _here.noted = keys
    try:
        yield keys
    finally:
        _here.noted = before
        if before is not None:
            before += keys


@contextlib.contextmanager
def repeating(keys):
    """Within the `with` block these keys are drawn, in their order, and no generator moves."""
    before, _here.repeated = _here.repeated, iter(keys)
    try:
        yield
    finally:
        _here.repeated = before


@contextlib.contextmanager
def apart():
    """Within the `with` block keys are drawn for themselves, whatever is noted or repeated around it."""
    before, _here.noted, _here.repeated = (_here.noted, _here.repeated), None, None
    try:
        yield
    finally:
        _here.noted, _here.repeated = before


def words(key):
    """`key_words` of an integer; of the array that `draw` returned the two words that it holds, as Python integers."""
    return tuple(map(int, key)) if getattr(key, "shape", ()) else key_words(key)


def threshold(p):
    """The integer t with which ``(h >> 8) >= t`` says exactly that the random number is at least `p`, 0 <= p <= 1."""
    return ceil(p * 2**24)
