"""How layers are called: on Values while a net is traced, on numbers one by one; with their names in errors."""
import contextlib

import numpy as np

from fastnet.kernels import checks
from fastnet.program import trees, watch
from fastnet.program.trace import here, lasting


def opaque(layer, backend):
    """Whether tracing, for a net on that backend, cannot see what a layer does. It can where the class that defines
    forward and backward, or one derived from it, says traceable = True, where no pass was assigned to the object, and
    where it computes with the backend of the net."""
    cls = type(layer)
    known = _TRACEABLE.get(cls)
    if known is None:
        place = {name: i for i, base in reversed(list(enumerate(cls.__mro__))) for name in vars(base)}
        says = place["traceable"] <= min(place["forward"], place["backward"])
        known = _TRACEABLE[cls] = cls.traceable and says
    own = vars(layer)
    return not known or "forward" in own or "backward" in own or layer.backend != backend


_TRACEABLE = {}


def name_layer(error, layer, x=None):
    """Put the layer in front of what an error has to say, `Conv2d "3": expected 64 input channels, ...`, once. Where x,
    which this layer or one around it was given, looks like channels-last images, a ValueError says so, once."""
    put_label(error, layer.label)
    shape = getattr(x, "shape", None)
    hint = isinstance(shape, tuple) and checks.channels_last(shape)
    if hint and isinstance(error, ValueError) and checks.CHANNELS_LAST not in str(error):
        error.args = (f"{error}; {hint}",)


def put_label(error, label):
    """Put a layer's label in front of what an error has to say, unless one is there."""
    if not hasattr(error, "layer"):
        error.layer = label
        if not str(error).startswith(f"{label}: "):
            error.args = (f"{label}: {error}",)


def call(layer, x, training):
    """``layer.forward(x, training)`` on Values or, one layer after the other, on numbers."""
    before, calls, here.calls = here.layer, here.calls, None
    here.layer = layer.label if layer.name or not before else f"{layer.label} in {before}"
    try:
        if here.tracer is None:
            with untouched(layer, x, "x", opaque(layer, layer.backend)):
                y = layer.forward(x, training)
            watch.tell(layer, "y", y)
            return y
        start = len(here.tracer.trace.nodes)
        if opaque(layer, here.tracer.backend):
            y = here.tracer.opaque(layer, x, training)
        else:
            y = layer.forward(x, training)
            if any(one is given for one in trees.flat(y) for given in trees.flat(x)):
                y = trees.map(lambda value: here.tracer.reshape(value, value.shape), y)  # another reader of its own
        if not here.tracer.goes_back:
            here.tracer.trace.calls.append((layer, layer.name, trees.map(lasting, y), here.tracer.trace.nodes[start:]))
        return y
    except (TypeError, ValueError) as error:
        name_layer(error, layer, x)
        raise
    finally:
        here.layer, here.calls = before, calls


@contextlib.contextmanager
def doing_again():
    """What is traced within the `with` block is a forward pass that is done again."""
    tracer = here.tracer
    if tracer is None:
        with watch.unwatched():
            yield
        return
    before, tracer.again = tracer.again, True
    try:
        yield
    finally:
        tracer.again = before


@contextlib.contextmanager
def untouched(layer, tree, name, wanted=True):
    """Within the `with` block an opaque layer computes from these arrays. ValueError where it has written into one of
    them, which is then put right: others read it too, and whoever called the net has it still."""
    given = [(one, one.copy()) for one in trees.flat(tree) if one is not None] if wanted else []
    yield
    changed = [(one, before) for one, before in given if not np.array_equal(one, before, equal_nan=True)]
    for one, before in changed:
        one[...] = before
    if changed:
        method = "backward" if name == "dy" else "forward"
        raise ValueError(f"{layer.label}: {method} has written into {name}, the array that it was given: compute a new "
                         f"one, y = 2 * {name} in place of {name} *= 2, or let {method} begin with {name} = "
                         f"{name}.copy()")


@contextlib.contextmanager
def inside(layer):
    """Within the `with` block an opaque layer computes, in the midst of a net."""
    before, here.layer = here.layer, layer.label
    try:
        yield
    finally:
        here.layer = before


def generator_states(layer):
    """Where the random generators of a layer, and of all inside it, stand: a list of (generator, its state)."""
    return [(value, value.bit_generator.state) for _, part in layer.named_layers() for value in vars(part).values()
            if isinstance(value, np.random.Generator)]


@contextlib.contextmanager
def rewound(states):
    """Within the `with` block these generators go on from where they stood then, after it from where they stand."""
    now = [(generator, generator.bit_generator.state) for generator, _ in states]
    for generator, state in states:
        generator.bit_generator.state = state
    try:
        yield
    finally:
        for generator, state in now:
            generator.bit_generator.state = state


def call_backward(layer, dy, need_dx):
    """``layer.backward(dy, need_dx)``, likewise."""
    before, here.layer = here.layer, layer.label
    try:
        if here.tracer is None:
            watch.tell(layer, "dy", dy)
            with untouched(layer, dy, "dy", opaque(layer, layer.backend)):
                return layer.backward(dy, need_dx)
        here.tracer.trace.arrived.append((layer, layer.name, dy))
        if opaque(layer, here.tracer.backend):
            return here.tracer.opaque_backward(layer, dy)
        return layer.backward(dy, need_dx)
    except (TypeError, ValueError) as error:
        name_layer(error, layer)
        raise
    finally:
        here.layer = before
