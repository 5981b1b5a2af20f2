"""Any acyclic net, as a dictionary."""
from textwrap import indent

from fastnet.layers.base import Layer
from fastnet.layers.compose import Merge, check_layer, inner_multiply_adds
from fastnet.plan import infer


class Graph(Layer):
    """A net written as ``{name: (layer, [inputs])}``.

    An input is the name of another entry, or "input" for x; the last entry gives y, and the order is free otherwise.
    A layer has one input; `Add`, `Concat` and any other `Merge` take several:

        Graph({"left": (Conv2d(3, 8, 1), ["input"]), "right": (Conv2d(3, 8, 3, padding=1), ["input"]),
               "sum": (Add(), ["left", "right"])})

    ValueError for a name that is missing, an entry that leads nowhere, or a circle.
    """

    kind = "graph"

    def __init__(self, nodes):
        self._nodes = {}
        for name, entry in nodes.items():
            if not isinstance(name, str) or not name or "." in name or name == "input":
                raise ValueError(f'{self.label}: an entry needs a name without dots that is not "input", got {name!r}')
            if not isinstance(entry, (tuple, list)) or len(entry) != 2:
                raise TypeError(f"{self.label}: entry {name!r} must be (layer, [inputs]), got {entry!r}")
            layer, inputs = entry
            inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
            if not isinstance(layer, Merge):
                check_layer(self, layer, f"entry {name!r}")
            if not inputs or (len(inputs) > 1 and not isinstance(layer, Merge)):
                raise ValueError(f"{self.label}: entry {name!r} needs {'an input' if not inputs else 'one input'}, got "
                                 f"{list(inputs)}{'; Add() and Concat() join several' if inputs else ''}")
            self._nodes[name] = (layer, inputs)
        if not self._nodes:
            raise ValueError(f"{self.label}: expected at least one entry, got none")
        self.output = list(self._nodes)[-1]
        self.order = self._sorted()
        last = {source: name for name in self.order for source in self._nodes[name][1]}
        self.last_uses = {name: [source for source in last if last[source] == name] for name in self.order}
        self.adopt()

    @property
    def nodes(self):
        """A copy of the dictionary the graph was made from: entries are sorted once and for all."""
        return dict(self._nodes)

    def _sorted(self):
        """The names, each after its inputs."""
        order, done = [], {"input"}
        while len(order) < len(self._nodes):
            ready = [name for name, (_, inputs) in self._nodes.items() if name not in done and done.issuperset(inputs)]
            if not ready:
                raise ValueError(f"{self.label}: {self._trouble(done)}")
            order += ready
            done.update(ready)
        needed = {self.output}
        for name in reversed(order):
            if name not in needed:
                raise ValueError(f"{self.label}: nothing leads from entry {name!r} to the last one, {self.output!r}, "
                                 "which gives the output")
            needed.update(self._nodes[name][1])
        return order

    def _trouble(self, done):
        """Why the entries that are not done cannot be: walking from input to input ends in a gap or a circle."""
        path = [next(name for name in self._nodes if name not in done)]
        while path[-1] not in path[:-1]:
            path.append(next(source for source in self._nodes[path[-1]][1] if source not in done))
            if path[-1] not in self._nodes:
                return (f"entry {path[-2]!r} has the unknown input {path[-1]!r}; there are "
                        f"{', '.join(map(repr, ['input', *self._nodes]))}")
        return f"the entries go round in a circle: {' <- '.join(path[path.index(path[-1]):])}"

    def named_children(self):
        return [(name, layer) for name, (layer, _) in self._nodes.items()]

    def forward(self, x, training=False, packed=None):
        values = {"input": x}
        for name in self.order:
            layer, given = self._nodes[name][0], self._given(name, values)
            values[name] = layer.forward(given, True) if training else infer(layer, given, packed)
            for source in self.last_uses[name]:
                del values[source]
        if training:
            self.saved = ()
        return values[self.output]

    def backward(self, dy, need_dx=True):
        self.take_saved()
        gradients = {self.output: dy}
        for name in reversed(self.order):
            layer, inputs = self._nodes[name]
            wanted = need_dx or set(inputs) != {"input"}
            parts = layer.backward(gradients.pop(name), wanted)
            if not wanted:
                continue
            for source, part in zip(inputs, parts if isinstance(layer, Merge) else [parts], strict=True):
                gradients[source] = self.ops.add(gradients[source], part) if source in gradients else part
        return gradients["input"] if need_dx else None

    def output_shape(self, input_shape):
        return self._shapes(input_shape)[self.output]

    def inner_shapes(self, input_shape):
        shapes = self._shapes(input_shape)
        return {name: self._given(name, shapes) for name in self._nodes}

    def multiply_adds(self, input_shape):
        return inner_multiply_adds(self, input_shape)

    def _shapes(self, input_shape):
        """The output shape of each entry, and of the input, by name."""
        shapes = {"input": tuple(input_shape)}
        for name in self.order:
            shapes[name] = self._nodes[name][0].output_shape(self._given(name, shapes))
        return shapes

    def _given(self, name, values):
        """What an entry gets of the values there are: one, or a list of them for a Merge."""
        layer, inputs = self._nodes[name]
        return [values[source] for source in inputs] if isinstance(layer, Merge) else values[inputs[0]]

    def __repr__(self):
        """Each entry with its inputs, one a line."""
        lines = [f"({name}): {layer!r} <- {', '.join(inputs)}" for name, (layer, inputs) in self._nodes.items()]
        return f"{type(self).__name__}(\n" + indent("\n".join(lines), "  ") + "\n)"
