"""Results that are kept for the next call: what a kernel has worked out for some shapes, its tables of offsets say.

All functions share one budget of bytes, since nobody knows beforehand which of them will need it: what was asked for
longest ago goes first. A recording that needs a table holds it itself, so that nothing here keeps a net's memory longer
than the budget does.
"""
import collections
import functools
import os
import threading

import numpy as np

# Bytes that results may take in all, and what one of them takes beside its arrays.
_MOST_BYTES, _OVERHEAD = 16 << 20, 2048

_results = collections.OrderedDict()    # (function, arguments) -> (result, bytes), the latest ones last
_lock = threading.RLock()   # the garbage collector may run in here, and what it calls come back
_bytes = 0


def kept(function):
    """Let a function of hashable arguments, whose results nobody changes, remember them; see the module."""

    @functools.wraps(function)
    def recall(*arguments):
        key = function, arguments
        found = _results.get(key)
        if found is None:
            result = function(*arguments)
            _add(key, result)
            return result
        try:
            _results.move_to_end(key)
        except KeyError:    # another thread has just let go of it
            pass
        return found[0]

    return recall


def planned(plan, arrays, *options):
    """What a function of `kept` gives that is called as plan(kinds, options, types): kinds are (shape, dtype) of each
    array, None where there is none; types, those of the options, are told because 1 and True are one key."""
    kinds = tuple([None if array is None else (array.shape, array.dtype) for array in arrays])
    types = tuple(map(type, options))
    try:
        return plan(kinds, options, types)
    except TypeError:   # an option that cannot be a key: the plan's own checks tell what is wrong with it
        return plan.__wrapped__(kinds, options, types)


def forget():
    """Let go of all results."""
    global _bytes
    with _lock:
        _results.clear()
        _bytes = 0


def _add(key, result):
    global _bytes
    size = _OVERHEAD + _nbytes(result, set())
    with _lock:
        if key not in _results:
            _results[key] = result, size
            _bytes += size
        while _bytes > _MOST_BYTES and len(_results) > 1:
            _bytes -= _results.popitem(last=False)[1][1]


def _nbytes(thing, seen):
    """Bytes of the arrays in an object, in what it holds, and so on, each counted once."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return _nbytes(thing.base, seen) if isinstance(thing.base, np.ndarray) else thing.nbytes
    if isinstance(thing, dict):
        return sum(_nbytes(one, seen) for one in thing.values())
    if isinstance(thing, (tuple, list)):
        return sum(_nbytes(one, seen) for one in thing)
    return _nbytes(vars(thing), seen) if type(thing).__module__.startswith("fastnet.") and hasattr(thing, "__dict__") \
        else 0


def _after_fork():
    """Another thread of the parent process may have held the lock."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
