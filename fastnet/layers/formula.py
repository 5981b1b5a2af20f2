"""What stands around the formulas of layers: checks of what is given, names in errors, and who runs one by one."""
import contextlib
import functools
import sys

from fastnet.program import trees
from fastnet.program.calls import name_layer
from fastnet.program.run import entering
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


def formula(method):
    """A forward or backward pass of a layer, written on arrays in the dtype of its parameters: what is given is checked
    and converted before, and errors name the layer."""
    def run(self, x, how, what):
        if not trees.is_leaf(x) and not self.takes_several:
            raise TypeError(f"{self.label}: expected one array as {what}, got {len(x)}; Add() and Concat() join "
                            "several")
        if here.tracer is not None:     # the Values were checked when they were made
            return method(self, x, how)
        try:
            dtype, x = self.dtype, tuple(x) if isinstance(x, list) else x
            x = trees.map(lambda one: one if one is None and what == "dy" else
                          entering(self, self.ops, one, what, dtype), x)
            return method(self, x, how)
        except (TypeError, ValueError) as error:
            name_layer(error, self)
            raise

    if method.__name__ == "forward":
        def wrapper(self, x, training=False):
            return run(self, x, training, "x")
    else:
        def wrapper(self, dy, need_dx=True):
            return run(self, dy, need_dx, "dy")
    return functools.wraps(method)(wrapper)


def composing():
    """Whether layers run one by one: while a net is traced, under a debugger, and within `plainly`."""
    return here.tracer is not None or here.plain > 0 or sys.gettrace() is not None


@contextlib.contextmanager
def plainly():
    """Within ``with plainly():`` this thread runs nets layer by layer, as they are written: for looking at each
    array that a layer gets and gives. Under a debugger that is always so."""
    here.plain += 1
    try:
        yield
    finally:
        here.plain -= 1
