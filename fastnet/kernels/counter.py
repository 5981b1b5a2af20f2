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
from math import ceil
from operator import index

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


def threshold(p):
    """The integer t with which ``(h >> 8) >= t`` says exactly that the random number is at least `p`, 0 <= p <= 1."""
    return ceil(p * 2**24)
