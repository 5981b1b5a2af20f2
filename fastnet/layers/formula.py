"""What stands around the formulas of layers: checks of what is given, names in errors, and who runs one by one."""
import contextlib
import functools
import sys

import numpy as np

from fastnet import arguments
from fastnet.program import trees, watch
from fastnet.program.calls import name_layer
from fastnet.program.run import arriving, entered
from fastnet.program.trace import here


def named_errors(method):
    """Put the layer in front of what a method has to say: `Conv2d "3": kernel_size must be ...`."""
    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        try:
            return method(self, *args, **kwargs)
        except (TypeError, ValueError) as error:
            name_layer(error, self)
            raise
    return wrapper


class Saved(tuple):
    """What a forward pass saved; `kinds` are the shapes and dtypes of what it gave, as dy must have them."""


def formula(method):
    """A forward or backward pass of a layer, written on arrays in the dtype of its parameters: what is given is checked
    and converted before, and errors name the layer."""
    if method.__name__ == "forward":
        @functools.wraps(method)
        def wrapper(self, x, training=False):
            if here.tracer is not None:     # the Values were checked when they were made
                x = _one(self, x, "x")
                return method(self, x if self.takes_integers or self.composed else here.tracer.floats(x), training)
            try:
                training = training if type(training) is bool else arguments.flag(training, "training")
                integers = self.takes_integers or self.composed and self.lets_integers_in()
                x = entered(self, self.ops, x, "x", self.dtype, integers)
                y = method(self, _one(self, x, "x"), training)
            except (TypeError, ValueError) as error:
                name_layer(error, self, x)
                raise
            if here.watches and not here.layer:
                watch.tell(self, "y", y)
            if training:
                kept = vars(self)["saved"] = Saved(self.saved)
                kept.kinds = trees.kinds(y)
            return y
    else:
        @functools.wraps(method)
        def wrapper(self, dy, need_dx=True):
            if here.tracer is not None:
                return method(self, _one(self, dy, "dy"), need_dx)
            try:
                need_dx = need_dx if type(need_dx) is bool else arguments.flag(need_dx, "need_dx")
                if isinstance(self.saved, Saved):
                    dy = arriving(self, self.ops, dy, self.saved.kinds)
                if here.watches and not here.layer:
                    watch.tell(self, "dy", dy)
                return method(self, dy, need_dx)
            except (TypeError, ValueError) as error:
                name_layer(error, self)
                raise
    return wrapper


def _one(layer, x, name):
    """x, or dy, which is no tuple or dictionary where a layer takes, or gives, one array."""
    several = layer.takes_several or name == "dy" and layer.gives_several
    if type(x) is not np.ndarray and not several and not trees.is_leaf(x):
        raise TypeError(f"{layer.label}: expected one array as {name}, got {len(x)}; Add() and Concat() join several")
    return x


def flag(layer, value, name):
    """`value`, True or False, given to a layer."""
    try:
        return arguments.flag(value, name)
    except TypeError as error:
        name_layer(error, layer)
        raise


def composing():
    """Whether layers run one by one: while a net is traced, under a debugger, and within `plainly`."""
    return here.tracer is not None or here.plain > 0 or sys.gettrace() is not None


@contextlib.contextmanager
def plainly():
    """Within ``with plainly():`` this thread runs nets layer by layer, as they are written: for looking at each
    array that a layer gets and gives. Under a debugger that is always so.

    >>> class Look(fastnet.Container):
    ...     def compose(self, x, training):
    ...         print(x)  # or breakpoint()
    ...         return x
    >>> with plainly():
    ...     y = Look()(np.float32([1, 2]))
    [1. 2.]
    """
    here.plain += 1
    try:
        yield
    finally:
        here.plain -= 1
