"""What the attributes of a layer hold: layers and parameters, however deep in tuples and dictionaries.

Only assigning to an attribute is noticed (see `fastnet.changes`). So lists and dictionaries that hold parts of a net
are made into tuples and read-only dictionaries when they are assigned.
"""
from collections import deque

import numpy as np

# What most attributes of a layer are.
_PLAIN = {int, float, bool, str, type(None), np.ndarray}
_UNORDERED = (set, frozenset, deque)
_CONTAINERS = (tuple, list, dict, *_UNORDERED)
# Attributes that hold no parts of their own.
_INNER = {"saved", "_homes", "_runner"}


class ReadOnly(dict):
    """A dictionary of layers that was assigned to a layer: another one can be assigned, this one stays as it is."""

    def _refuse(self, *args, **kwargs):
        raise TypeError("this dictionary of layers cannot be changed: assign another one to the layer's attribute")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self):
        return ReadOnly, (dict(self),)


def kept(value, name, kinds, around=()):
    """A value as it is kept where it is assigned to the attribute `name` of a layer, parts of a net being objects of
    the classes `kinds`. TypeError for parts in a set or an array, where they have no names, or under keys that make
    none."""
    if isinstance(value, kinds) or not _holds(value, kinds):
        return value
    if any(value is one for one in around):
        raise ValueError(f"{name}: a {type(value).__name__} of layers holds itself")
    around = (*around, value)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, (str, int)) or "." in str(key):
                raise TypeError(f"{name}: layers and parameters need a name without dots, or an integer, as their key, "
                                f"got {key!r}")
        return ReadOnly({key: kept(one, f"{name}.{key}", kinds, around) for key, one in value.items()})
    if isinstance(value, (tuple, list)):
        found = [kept(one, f"{name}.{i}", kinds, around) for i, one in enumerate(value)]
        return type(value)(*found) if hasattr(value, "_fields") else tuple(found)
    raise TypeError(f"{name}: layers and parameters must be kept in a list, a tuple or a dictionary, got a "
                    f"{type(value).__name__}")


def check_name(layer, name, value, there, kinds):
    """ValueError for a value that would hide what every layer has under that name, `there`: a part of the net, and what
    is neither a function in the place of one, nor of the same kind."""
    hides = isinstance(value, kinds) or _holds(value, kinds)
    if isinstance(there, property):
        hides |= there.fset is None and getattr(type(layer), name) is there
    elif callable(there):
        hides |= not callable(value)
    elif isinstance(there, (tuple, bool)):
        hides |= type(value) is not type(there)
    if hides:
        raise ValueError(f"{name!r} is a name of Layer's own; choose another")


def swapped(value, old, new):
    """An attribute's value with one part in the place of another; the value itself where it does not hold that."""
    if value is old:
        return new
    if isinstance(value, ReadOnly):
        found = {key: swapped(one, old, new) for key, one in value.items()}
        return ReadOnly(found) if any(found[key] is not one for key, one in value.items()) else value
    if type(value) is tuple or hasattr(value, "_fields"):
        found = [swapped(one, old, new) for one in value]
        if any(one is not other for one, other in zip(found, value, strict=True)):
            return type(value)(*found) if hasattr(value, "_fields") else tuple(found)
    return value


def of(layer, kind, kinds):
    """The parts of class `kind` that a layer's attributes are or hold: a list of (dotted name, part)."""
    found = []
    for name, value in vars(layer).items():
        if type(value) in _PLAIN or name in _INNER or type(value) is tuple and _PLAIN.issuperset(map(type, value)):
            continue
        if isinstance(value, kind):
            found.append((name, value))
        elif isinstance(value, _CONTAINERS) and value:
            found += named(value, name, kind, kinds)
    return found


def named(value, name, kind, kinds):
    """The parts of class `kind` in an attribute's value: a list of (dotted name, part). TypeError for a list, or any
    other container, that was given parts after it had been assigned."""
    if isinstance(value, kind):
        return [(name, value)]
    if isinstance(value, kinds) or not isinstance(value, _CONTAINERS):
        return []
    if isinstance(value, (tuple, ReadOnly)):
        items = value.items() if isinstance(value, ReadOnly) else enumerate(value)
        return [pair for key, one in items if type(one) not in _PLAIN
                for pair in named(one, f"{name}.{key}", kind, kinds)]
    if _holds(value, kinds):
        raise TypeError(f"layers or parameters were put into the {type(value).__name__} {name!r} after it had been "
                        "assigned, which nobody notices: make it whole first, then assign it")
    return []


def _holds(value, kinds, around=()):
    """Whether a container holds a part, however deep. One that holds itself is gone through once."""
    if isinstance(value, kinds):
        return True
    if isinstance(value, np.ndarray):
        return value.dtype == object and any(isinstance(one, kinds) for one in value.flat)
    if not isinstance(value, _CONTAINERS) or any(value is one for one in around):
        return False
    around = (*around, value)
    return any(type(one) not in _PLAIN and _holds(one, kinds, around)
               for one in (value.values() if isinstance(value, dict) else value))
