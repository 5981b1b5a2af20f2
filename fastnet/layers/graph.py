"""Any acyclic net, as a dictionary."""
from textwrap import indent

from fastnet import arguments
from fastnet.layers.container import Container, check_layer
from fastnet.layers.formula import named_errors
from fastnet.layers.merge import Merge


class Graph(Container):
    """A net written as ``{name: (layer, [inputs])}``.

    An input is the name of another entry, or one of `inputs`, the names of what the net is given: one array, or a
    dictionary of arrays where there are several names. y is what the last entry gives, or with `outputs`, a name or
    several, what those give: several as a dictionary. The order is free otherwise; entries are computed in the order in
    which they are written where that is possible. `Add`, `Concat` and any other `Merge` take several inputs.

    ``net["sum"] = Multiply()`` puts another layer in the place of an entry's.

    ValueError for a name that is missing, an entry that leads nowhere, or a circle.

    >>> net = Graph({"left": (fastnet.ReLU(), ["input"]), "right": (fastnet.Identity(), ["input"]),
    ...              "sum": (fastnet.Add(), ["left", "right"])})
    >>> net(np.float32([[-1, 2]]))
    array([[-1.,  4.]], dtype=float32)
    """

    traceable = True    # with a forward of its own, which only checks

    @named_errors
    def __init__(self, nodes, inputs=("input",), outputs=None):
        if not isinstance(nodes, dict):
            raise TypeError(f"nodes must be a dictionary {{name: (layer, [inputs])}}, got {arguments.shown(nodes)}")
        if not nodes:
            raise ValueError("expected at least one entry, got none")
        self._inputs = _names(inputs, "inputs")
        self._nodes = {name: self._entry(name, entry) for name, entry in nodes.items()}
        outputs = list(self._nodes)[-1] if outputs is None else outputs
        self._outputs = outputs if isinstance(outputs, str) else _names(outputs, "outputs")
        self._order = self._sorted()
        self.adopt()

    def _entry(self, name, entry):
        """(layer, its inputs) of one entry, checked."""
        if not isinstance(name, str) or not name or "." in name or name in self._inputs:
            given = " or ".join(f'"{one}"' for one in self._inputs)
            kind = ValueError if isinstance(name, str) else TypeError
            raise kind(f"an entry needs a name without dots that is not {given}, got {arguments.shown(name)}")
        if not isinstance(entry, (tuple, list)) or len(entry) != 2:
            raise TypeError(f"entry {arguments.shown(name)} must be (layer, [inputs]), got {arguments.shown(entry)}")
        layer, inputs = entry
        check_layer(self, layer, f"entry {arguments.shown(name)}")
        inputs = _names(inputs, f"the inputs of entry {arguments.shown(name)}", least=0)
        self._check_inputs(name, layer, inputs)
        return layer, inputs

    def check_child(self, name, layer):
        self._check_inputs(name, layer, self._nodes[name][1])

    @staticmethod
    def _check_inputs(name, layer, inputs):
        if not inputs or (len(inputs) > 1 and not isinstance(layer, Merge)):
            raise ValueError(f"entry {arguments.shown(name)} needs {'an input' if not inputs else 'one input'}, got "
                             f"{list(inputs)}{'; Add() and Concat() join several' if inputs else ''}")

    @property
    def nodes(self):
        """A copy of the dictionary the graph was made from: entries are sorted once and for all."""
        return dict(self._nodes)

    @property
    def inputs(self):
        """The names of what the net is given, a tuple."""
        return self._inputs

    @property
    def outputs(self):
        """The name of the entry that gives y, or those of several, a tuple."""
        return self._outputs

    def compose(self, x, training):
        if len(self._inputs) > 1 and (not isinstance(x, dict) or set(x) != set(self._inputs)):
            got = ", ".join(map(str, x)) if isinstance(x, dict) else "a tuple" if isinstance(x, tuple) else "one array"
            raise TypeError(f"expected a dictionary of the arrays {', '.join(self._inputs)} as x, got {got}")
        values = dict(x) if len(self._inputs) > 1 else {self._inputs[0]: x}
        for name in self._order:
            layer, inputs = self._nodes[name]
            given = tuple([values[source] for source in inputs])
            values[name] = layer(given if isinstance(layer, Merge) else given[0])
        if isinstance(self._outputs, str):
            return values[self._outputs]
        return {name: values[name] for name in self._outputs}

    def _sorted(self):
        """The names, each after its inputs, otherwise as they were written."""
        order, done = [], set(self._inputs)
        waiting = list(self._nodes)
        while waiting:
            ready = next((name for name in waiting if done.issuperset(self._nodes[name][1])), None)
            if ready is None:
                raise ValueError(self._trouble(done))
            order.append(ready)
            waiting.remove(ready)
            done.add(ready)
        wanted = (self._outputs,) if isinstance(self._outputs, str) else self._outputs
        for name in wanted:
            if name not in self._nodes:
                raise ValueError(f"outputs has the unknown entry {arguments.shown(name)}; there are "
                                 f"{_listed(self._nodes)}")
        needed = set(wanted)
        for name in reversed(order):
            if name not in needed:
                end = "the last one, " if len(wanted) == 1 else ""
                raise ValueError(f"nothing leads from entry {arguments.shown(name)} to {end}"
                                 f"{_listed(wanted)}, which gives the output")
            needed.update(self._nodes[name][1])
        return order

    def _trouble(self, done):
        """Why the entries that are not done cannot be: walking from input to input ends in a gap or a circle."""
        path = [next(name for name in self._nodes if name not in done)]
        while path[-1] not in path[:-1]:
            path.append(next(source for source in self._nodes[path[-1]][1] if source not in done))
            if path[-1] not in self._nodes:
                return (f"entry {arguments.shown(path[-2])} has the unknown input {arguments.shown(path[-1])}; there "
                        f"are {_listed([*self._inputs, *self._nodes])}")
        return f"the entries go round in a circle: {' <- '.join(path[path.index(path[-1]):][:9])}"

    def named_children(self):
        return [(name, layer) for name, (layer, _) in self._nodes.items()]

    def __repr__(self):
        """Each entry with its inputs, one a line."""
        lines = [f"({name}): {layer!r} <- {', '.join(inputs)}" for name, (layer, inputs) in self._nodes.items()]
        return f"{type(self).__name__}(\n" + indent("\n".join(lines), "  ") + "\n)"


def _names(given, what, least=1):
    """A name, or several in a tuple or list, as a tuple."""
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{what} must be a name or a list of names, got {arguments.shown(given)}")
    if len(names) < least or len(set(names)) < len(names) and least:
        raise ValueError(f"{what} must be names, each once, got {arguments.shown(given)}")
    return tuple(names)


def _listed(names):
    """Some names, in few words."""
    names = [arguments.shown(name) for name in names]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
