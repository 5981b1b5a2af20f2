"""A callable as the fuzzer calls it, and what of the world a refused call must leave as it is."""
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fastnet import Layer, Parameter, init

from ..layers.wrong import digest


@dataclass
class Target:
    """`make()` gives (function, right arguments by name, objects that must stay as they are where the call is refused).

    A name that begins with * stands for an argument that is given by its place, behind those before it. `called` is how
    errors call the callable, a pattern, `words` how they call an argument where that is not its name; `never` are the
    tags of values that an argument is not given, for they are right and would take long; `errors` are further classes
    of errors that its documentation names."""

    name: str
    make: Callable
    called: str = ""
    words: dict = field(default_factory=dict)
    never: dict = field(default_factory=dict)
    errors: tuple = ()

    def pattern(self, argument):
        return self.words.get(argument, re.escape(argument.lstrip("*")))


def call(function, given):
    """``function(**given)``, with those whose names begin with * by their places."""
    places = [value for name, value in given.items() if name.startswith("*")]
    return function(*places, **{name: value for name, value in given.items() if not name.startswith("*")})


def state(value):
    """A digest of whatever an object holds that a call could change."""
    return hashlib.sha1(repr(list(_parts(value, []))).encode()).hexdigest()


def world():
    """What belongs to nobody: the generator of initialisers."""
    return repr(init.generator().bit_generator.state)


def _parts(value, around):
    if any(value is one for one in around):
        return
    around = [*around, value]
    if isinstance(value, np.ndarray):
        yield value.shape, str(value.dtype), id(value) if value.dtype == object else value.tobytes()
    elif isinstance(value, Layer):
        yield digest(value)
    elif isinstance(value, Parameter):
        yield value.requires_grad, id(value), value.value.tobytes()
        yield None if value.grad is None else value.grad.tobytes()
    elif isinstance(value, np.random.Generator):
        yield repr(value.bit_generator.state)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield type(key).__name__, key if isinstance(key, (str, int)) else id(key)
            yield from _parts(one, around)
    elif isinstance(value, (list, tuple)):
        yield type(value).__name__, len(value)
        for one in value:
            yield from _parts(one, around)
    elif type(value).__module__.startswith("fastnet") and hasattr(value, "__dict__"):
        yield from _parts({name: one for name, one in vars(value).items() if not callable(one)}, around)
    elif isinstance(value, (int, float, str, bytes, type(None))):
        yield type(value).__name__, value if not isinstance(value, int) or abs(value) < 2**64 else 0
