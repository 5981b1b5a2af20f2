"""How a net is noted: a `Tracer` stands in for the backend while its layers run once on Values."""
import contextlib
import functools
import weakref

import numpy as np

from fastnet import changes
from fastnet.kernels import counter, shapes
from fastnet.program import trees, watch
from fastnet.program.calls import call, call_backward, opaque
from fastnet.program.trace import Node, Trace, Value, here, root
from fastnet.sealed import is_sealed


class Tracer:
    """Stands in for a module of operations: notes what is called with what."""

    def __init__(self, trace, places, backend, dtype):
        self.trace, self.backend, self.dtype = trace, backend, dtype
        self._places = places                       # id of an array -> (the array, its Value)
        self.effects = []                           # (layer, attribute, Value)
        self._passes = {}                           # an opaque layer -> the nodes of its forward passes
        self.goes_back = self.again = False         # whether this is the backward pass, a forward pass done again

    def __getattr__(self, op):
        if op not in shapes.OPS:
            raise AttributeError(f"{here.layer}: there is no operation {op!r}; see fastnet.kernels.shapes")

        return functools.partial(self.call, op)     # not kept: it would be a circle of references

    def call(self, op, *args, **kwargs):
        """Note an operation: what it will give, as Values, in the form in which it gives it."""
        function, names, needed = _FUNCTIONS[op]
        arguments = dict(zip(names, args, strict=False), **kwargs)
        inputs, options = {}, {}
        for name, given in arguments.items():
            kind = type(given)
            if kind is Value:
                inputs[name] = given
            elif isinstance(given, np.ndarray):
                arguments[name] = inputs[name] = self._value(given)
            elif kind in (list, tuple) and given and isinstance(given[0], (Value, np.ndarray)):
                arguments[name] = inputs[name] = [self._value(one) for one in given]
            elif given is not None or name in needed:
                options[name] = given
        kinds = function(**arguments)
        self._convert(op, inputs, kinds if isinstance(kinds, shapes.Kind) else kinds[0])
        if isinstance(kinds, shapes.Kind):
            return self.emit(op, inputs, options, (kinds,))[0]
        results = self.emit(op, inputs, options, kinds)
        return results if isinstance(kinds, list) else tuple(results)

    def _convert(self, op, inputs, made):
        """Statistics of another dtype, and moments that are to move such ones, are converted by an operation of their
        own: what NumPy computes would not be recorded."""
        moves = op == "batchnorm_track"
        for name, value in inputs.items():
            if not isinstance(value, Value) or value.dtype == made.dtype:
                continue
            if value.dtype.kind == "f" if moves else value in self.trace.leaves and value.dtype != self.dtype:
                kind = value.shape, made.dtype
                inputs[name], = self.emit("convert", {"x": value}, {"dtype": made.dtype}, (kind,))

    def floats(self, x):
        """x, a Value or a tree of them, with integers that the net was given converted to its dtype. Those that an
        operation gave, as places for unpooling, are what they are."""
        return trees.map(lambda value: value if value.dtype.kind == "f" or root(value).node is not None else self.call(
            "convert", x=value, dtype=self.dtype or np.dtype(np.float32)), x)

    def emit(self, op, inputs, options, kinds, stays=False):
        """A new node; returns its results, None for each None in kinds."""
        node = Node(op, inputs, options, (here.layer,), self.goes_back, self.again, stays)
        results = [None if kind is None else Value(*kind, node) for kind in kinds]
        node.results = tuple(value for value in results if value is not None)
        self.trace.append(node)
        return results

    def reshape(self, x, shape):
        if -1 in shape:
            known = -int(np.prod(shape))
            shape = tuple(x.size // known if extent == -1 else extent for extent in shape)
        if int(np.prod(shape)) != x.size:
            raise ValueError(f"cannot reshape an array of shape {x.shape} into {shape}")
        return self.emit("reshape", {"x": x}, {"shape": shape}, ((shape, x.dtype),))[0]

    def add(self, a, b):
        """The sum of two gradients names first what was made first, which is the same to the last bit: nets that do the
        same are the same list."""
        if self.goes_back:
            a, b = sorted((a, b), key=lambda value: -1 if value.node is None else value.node.place)
        return self.call("add", a, b)

    def draw(self, generator):
        """A key of numbers that are drawn anew in each pass; the same one where a forward pass is done again."""
        return counter.drawn(lambda: self._draw(generator))

    def _draw(self, generator):
        value = Value((2,), np.dtype(np.uint64), name="key")
        self.trace.draws[value] = generator
        return value

    def assign(self, layer, name, value):
        """What `layer` assigns to one of its running statistics."""
        if not self.again:
            self.effects.append((layer, name, value))

    def opaque(self, layer, x, training):
        """The result of a layer that nobody can look into."""
        x = x if layer.lets_integers_in() else self.floats(x)
        with tracing(None):
            shapes_, form = trees.shapes(layer.output_shape(trees.map(lambda value: value.shape, x)),
                                         "output_shape")
        values = trees.flat(x)
        # Nodes and Values refer to each other, and only the garbage collector frees them: they keep no layer alive.
        options = {"layer": weakref.ref(layer), "training": training, "like": trees.form(x), "form": form}
        found = [value.dtype for value in values if value.dtype.kind == "f"]
        dtype = found[0] if found else self.dtype or np.dtype(np.float32)
        results = self.emit("opaque", {"x": values}, options, [(shape, dtype) for shape in shapes_], stays=training)
        self._passes.setdefault(layer, []).append(results[0].node)
        return trees.build(form, results)

    def opaque_backward(self, layer, dy):
        """The gradient for what such a layer was given."""
        node = self._passes[layer].pop()
        form, given = node.options["like"], node.inputs["x"]
        flat = [value for value in trees.flat(dy) if value is not None]
        options = {"layer": node.options["layer"], "like": trees.form(dy),
                   "unused": [value is None for value in trees.flat(dy)],
                   "integers": [value.dtype.kind != "f" for value in given]}
        kinds = [(value.shape, value.dtype) if value.dtype.kind == "f" else None for value in given]
        results = self.emit("opaque_backward", {"dy": flat}, options, kinds, stays=layer.trains())
        return trees.build(form, results)

    def _value(self, given):
        """The Value of an array: one that is traced, or a leaf, or a view of one."""
        if isinstance(given, Value):
            return given
        place = self._places.get(id(given))
        if place is None:
            place = self._places[id(given)] = given, self._view(given)
        return place[1]

    def _view(self, given):
        """A new leaf for an array that is a part of another."""
        for array, leaf in list(self._places.values()):
            offset = given.ctypes.data - array.ctypes.data
            if leaf in self.trace.leaves and 0 <= offset < array.nbytes:
                value = Value(given.shape, given.dtype, name=f"{leaf.name}.view")
                layout = given.shape, given.dtype, offset, given.strides
                self.trace.leaves[value] = functools.partial(_viewed, self.trace.leaves[leaf], array, layout)
                return value
        raise TypeError(f"{here.layer}: an array of shape {given.shape} is neither a parameter, nor a running "
                        "statistic, nor the result of an operation; name the attribute that holds it in the class's "
                        "buffer_names, or let the class say traceable = False")


def _viewed(read, traced, layout):
    """The view of an array, read anew, that once was taken of `traced`; None where it is laid out otherwise now."""
    array, (shape, dtype, offset, strides) = read(), layout
    if array.strides != traced.strides or array.shape != traced.shape:
        return None
    return np.ndarray(shape, dtype, array.view(np.ndarray), offset, strides)


def _signature(function):
    """What tells an operation's results, the names of its arguments, and of those that it cannot be called without."""
    names = function.__code__.co_varnames[:function.__code__.co_argcount]
    return function, names, names[:len(names) - len(function.__defaults__ or ())]


_FUNCTIONS = {op: _signature(function) for op, function in shapes.OPS.items()}


@contextlib.contextmanager
def tracing(tracer, paths=None):
    """Layers compute with the tracer within the `with` block; with None on numbers, as at any other time. `paths` are
    their names in the net that is traced, by their ids."""
    before = here.tracer, here.calls, here.layer, here.paths
    here.tracer, here.calls, here.paths = tracer, None, paths
    try:
        with counter.apart(), watch.unwatched():    # a Recompute around the net has no use for keys without numbers
            yield
    finally:
        here.tracer, here.calls, here.layer, here.paths = before


def trace(net, x, training, need_dx=True, inside=False):
    """The Trace of a pass of a net: `x` is a Kind (shape, dtype), or a tuple or dict of them. With `training` forward
    and backward, the latter for all gradients, and for x where `need_dx`. With `inside` what each layer gives, and the
    gradient for that, is wanted too."""
    found = Trace(training)
    layers = net.adopt()
    tracer = Tracer(found, _leaves(found, layers), net.backend, net.dtype)
    found.x = trees.map(lambda kind: Value(tuple(kind.shape), np.dtype(kind.dtype), name="x"), x)
    dx, gradients = None, {}
    saved = [(layer, layer.saved) for _, layer in layers]   # of a pass under way
    try:
        with tracing(tracer, {id(layer): path for path, layer in layers}):
            y = call(net, found.x, training)
            if training:
                found.dy = trees.map(lambda value: Value(value.shape, value.dtype, name="dy"), y)
                tracer.goes_back = True
                with changes.gradients() as given:
                    dx = call_backward(net, found.dy, need_dx)
                gradients = {parameter: value for parameter, value in given.items() if value is not None}
    finally:
        for layer, before in saved:
            if layer.saved is not before:
                layer.saved = before
    seen = [(path, what, tree) for what, told in (
        ("y", [(layer, path, y) for layer, path, y, _ in found.calls]), ("dy", found.arrived))
        for layer, path, tree in told if path or layer is net] if inside else ()
    return found.finish(y, dx if need_dx else None, gradients, tracer.effects, seen)


def with_integers(net, kinds):
    """The Kinds that x has, a tree, with int64 for those that an operation, or an opaque layer, reads as integers."""
    whole = trees.map(lambda kind: shapes.Kind(kind.shape, np.dtype(np.int64)), kinds)
    if opaque(net, net.backend):
        return whole
    traced = trace(net, whole, training=False)
    read = {root(value) for node in traced.nodes if node.op in shapes.HEADS or node.op == "opaque"
            for value in node.values() if value.dtype.kind in "iu"}
    return trees.build(kinds, [shapes.Kind(kind.shape, value.dtype) if value in read else kind
                               for kind, value in zip(trees.flat(kinds), trees.flat(traced.x), strict=True)])


def _leaves(found, layers):
    """Make a leaf of each parameter and running statistic: {id of an array: (the array, Value)}."""
    places = {}
    for path, layer in layers:
        prefix = f"{path}." if path else ""
        for name, parameter in layer.own_parameters():
            _leaf(found, places, parameter.value, prefix + name, lambda p=parameter: p.value)
        for name in layer.buffer_names:
            read = functools.partial(_read, weakref.ref(layer), name)
            _leaf(found, places, read(), prefix + name, read)
    return places


def _read(layer, name):
    return getattr(layer(), name)


def _leaf(found, places, array, name, read):
    value = Value(array.shape, array.dtype, name=name)
    value.sealed = is_sealed(array)
    found.leaves[value] = read
    places[id(array)] = array, value
