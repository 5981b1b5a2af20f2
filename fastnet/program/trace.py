"""What a net does, noted as a list of operations on values that have a shape and a dtype but no numbers.

While a net is traced its layers run once, forward and in training backward. They compute with a `tracer` in place of a
backend, so that each operation becomes a `Node` of a `Trace`. Every `Value` knows the nodes that read it; what the
caller wants (results, gradients, running statistics) is read by a node too, `Trace.end`, so that "who reads this?" has
one answer in one place. The rules of a backend rewrite the list by such questions, see `fastnet.kernels.cpu.fusions`.
"""
import threading

import numpy as np

from fastnet.program import trees


class _Here(threading.local):
    """What each thread of Python has of its own while layers run."""

    tracer = None       # who notes operations, where a net is traced
    layer = ""          # the label of the layer that is running
    calls = None        # the calls of layers that the container under way has made so far
    frozen = False      # whether norms and dropouts behave as at inference in this training pass
    plain = 0           # within so many `plainly` blocks
    paths = None        # {id of a layer: its dotted path} in the net that is traced
    watches = ()        # who is told what layers give, see `watch`


here = _Here()


_NO_NUMBERS = ("{}: this layer computes with NumPy or Python while its net is traced, where there are no numbers yet; "
               "let its class say traceable = False, or compute by self.ops alone")


class Value:
    """What an operation will give: a shape and a dtype. `node` makes it; None makes inputs, weights and draws. `short`
    says that each number of the array is two of half as many bits: of images with twice as many channels; `sealed`
    that these are weights that nobody can write to."""

    __slots__ = ("shape", "dtype", "node", "name", "uses", "short", "sealed")

    def __init__(self, shape, dtype, node=None, name=""):
        self.shape, self.dtype, self.node, self.name, self.short, self.sealed = shape, dtype, node, name, False, False
        self.uses = {}      # nodes that read it, each once, as keys, in the order in which they were made

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def images(self):
        """The shape of what it stands for."""
        return (self.shape[0], 2 * self.shape[1], *self.shape[2:]) if self.short else self.shape

    @property
    def size(self):
        return int(np.prod(self.shape))

    def __len__(self):
        return self.shape[0]

    def reshape(self, *shape):
        """The same numbers in another shape."""
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return here.tracer.reshape(self, tuple(shape))

    def __repr__(self):
        return (f"Value(shape={self.shape}, dtype={self.dtype}): a net is being traced, so there are no numbers yet; "
                "within `with fastnet.plainly():` layers run one by one on arrays")

    def _refuse(self, *_, **__):
        raise TypeError(_NO_NUMBERS.format(here.layer))

    def __getattr__(self, name):
        """What arrays have and Values have not, such as mean and T."""
        if hasattr(np.ndarray, name) and not name.startswith("_"):
            raise AttributeError(f"{_NO_NUMBERS.format(here.layer)}: got .{name}")
        raise AttributeError(f"Value has no attribute {name!r}")

    __array__ = __array_ufunc__ = __array_function__ = __bool__ = __float__ = __iter__ = __getitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __matmul__ = _refuse
    __neg__ = __pow__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __abs__ = __pos__ = __invert__ = __round__ = __int__ = __index__ = __complex__ = __contains__ = _refuse
    __setitem__ = __delitem__ = __rpow__ = __rmatmul__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
    __divmod__ = __rdivmod__ = __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refuse
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _refuse
    __hash__ = object.__hash__


class Node:
    """One operation: ``results = ops.op(*inputs, **options)``.

    `inputs` are Values, or lists of them, by the names of the operation's arguments, `options` all other arguments.
    `layers` are the labels of the layers that it computes for, more than one after a fusion; `parts` are those of each
    convolution where it computes several.
    """

    __slots__ = ("op", "inputs", "options", "results", "layers", "parts", "backward", "again", "place", "stays")

    def __init__(self, op, inputs, options, layers=(), backward=False, again=False, stays=False):
        self.op, self.options, self.layers, self.backward, self.again = op, options, layers, backward, again
        self.results, self.parts = (), ()
        self.place = None                       # the index in Trace.nodes, None once it was taken out
        self.stays = stays                      # whether it does something that no value shows
        self.inputs = {}
        for name, given in inputs.items():
            self._read(name, given)

    def _read(self, name, given):
        self.inputs[name] = given
        for value in given if isinstance(given, list) else (given,):
            value.uses[self] = None

    def give(self, name, given):
        """Let an input be this Value, or list of Values, in its old place among the others."""
        order = list(self.inputs)
        if name in self.inputs:
            self.take(name)
        self._read(name, given)
        self.inputs = {key: self.inputs[key] for key in dict.fromkeys([*order, name])}

    def take(self, name):
        """Leave an input out; returns what it was, or None."""
        old = self.inputs.pop(name, None)
        if old is not None:
            left = set(self.values())
            for value in old if isinstance(old, list) else (old,):
                if value not in left:
                    value.uses.pop(self, None)
        return old

    def values(self):
        """All Values that it reads, one by one."""
        for given in self.inputs.values():
            if isinstance(given, list):
                yield from given
            else:
                yield given

    def reads(self, value):
        """The names of the inputs that are this Value, or lists that hold it."""
        return [name for name, given in self.inputs.items()
                if given is value or isinstance(given, list) and any(one is value for one in given)]


def root(value):
    """The Value whose memory a reshaped one is."""
    while value.node is not None and value.node.op == "reshape":
        value = value.node.inputs["x"]
    return value


def lasting(value):
    """The Value that stays in the trace when it is finished: what was reshaped to the shape that it had."""
    while value.node is not None and value.node.op == "reshape" and value.node.inputs["x"].shape == value.shape:
        value = value.node.inputs["x"]
    return value


class Trace:
    """The operations of a pass, in order, and what they begin and end with."""

    def __init__(self, training):
        self.training = training
        self.nodes = []         # with None where one was taken out, until `sweep`
        self.constants = []     # nodes that depend on leaves alone: run once, until a leaf changes
        self.leaves = {}        # weights and statistics: Value -> how to read the array
        self.draws = {}         # Value -> the generator that gives other numbers for every pass
        self.x = self.dy = None     # Values, or tuples or dicts of them
        self.calls = []         # (layer, its path, what it made, its nodes) of each layer that was called
        self.arrived = []       # (layer, its path, the gradient that it was given), likewise
        self.end = Node("end", {}, {})
        self._moved = False         # whether a rule may have put a node before one whose results it reads
        self._y = self._dx = None   # of what form they are, and of dx what there is
        self._parameters, self.effects = [], []     # whose gradients are computed; (layer, attribute) to be assigned
        self._inside = []                           # (path, what, form) of what is watched

    @property
    def y(self):
        """What the net gives, a Value or a tree of Values."""
        return trees.build(self._y, self.end.inputs["y"])

    @property
    def dx(self):
        """The gradient for x, likewise, or None; None too for what no gradient flows to, integers too."""
        return None if self._dx is None else _filled(self._dx, iter(self.end.inputs["dx"]))

    @property
    def gradients(self):
        """{parameter: Value}."""
        return dict(zip(self._parameters, self.end.inputs["gradients"], strict=True))

    @property
    def assigned(self):
        """(layer, attribute, Value) for what is assigned at the end of forward: running statistics."""
        return [(*effect, value) for effect, value in zip(self.effects, self.end.inputs["effects"], strict=True)]

    @property
    def inside(self):
        """(path of a layer, "y" or "dy", what it gave or the gradient for that, a tree) of what is watched."""
        found = iter(self.end.inputs["inside"])
        return [(path, what, _filled(form, found)) for path, what, form in self._inside]

    def append(self, node):
        node.place = len(self.nodes)
        self.nodes.append(node)

    # What rules do

    def source(self, value, *ops):
        """The node that makes `value`, if it is one of these operations and nobody else reads that value."""
        node = value.node
        return node if node is not None and node.op in ops and node.place is not None and len(value.uses) == 1 else None

    def remove(self, node):
        """Take out a node whose results nobody reads."""
        self.nodes[node.place], node.place = None, None
        for name in list(node.inputs):
            node.take(name)

    def convert(self, value, op, shape, readers):
        """Have these readers of a value read what an operation makes of it; returns that."""
        maker = value.node
        node = Node(op, {"x": value}, {}, () if maker is None else maker.layers)
        node.results = (Value(shape, value.dtype, node),)
        self.nodes.insert(0 if maker is None else maker.place + 1, node)
        for place, one in enumerate(self.nodes):
            if one is not None:
                one.place = place
        self.replace(value, node.results[0], readers)
        return node.results[0]

    def replace(self, old, new, readers=None):
        """Have everybody who reads one value, or these readers, read another."""
        for node in list(old.uses) if readers is None else readers:
            for name in node.reads(old):
                given = node.inputs[name]
                node.give(name, [new if one is old else one for one in given] if isinstance(given, list) else new)

    def absorb(self, node, into):
        """`into`, which made what `node` reads, now does that node's work as well, and stands where it stood."""
        self.replace(node.results[0], into.results[0])
        self.skip(node, into)

    def skip(self, node, into):
        """Take out a node whose work `into` does, which moves to its place."""
        place, into.layers = node.place, merged(into.layers, node.layers)
        self.remove(node)
        if into.place < place:
            self._moved = True
            self.nodes[into.place], self.nodes[place], into.place = None, into, place

    def constant(self, op, inputs, options, layers):
        """The result of an operation on leaves alone, which is computed once, until one of them changes."""
        node = Node(op, inputs, options, layers)
        node.results = (Value((), np.dtype(object), node),)
        self.constants.append(node)
        return node.results[0]

    def are_leaves(self, *values):
        """Whether all these Values are weights or statistics."""
        return all(value in self.leaves for value in values)

    def finish(self, y, dx, gradients, effects, inside=()):
        """Tell the end node what is wanted, and what is watched on the way, and leave out everything else."""
        self._y, self._dx = trees.form(y), None if dx is None else _holes(dx)
        self._parameters, self.effects = list(gradients), [(layer, name) for layer, name, _ in effects]
        self._inside = [(path, what, _holes(tree)) for path, what, tree in inside]
        self.end.give("y", trees.flat(y))
        self.end.give("dx", [] if dx is None else _there(dx))
        self.end.give("inside", [value for _, _, tree in inside for value in _there(tree)])
        self.end.give("gradients", list(gradients.values()))
        self.end.give("effects", [value for _, _, value in effects])
        for node in list(self.nodes):
            if node.op == "reshape" and node.options["shape"] == node.inputs["x"].shape:
                self.replace(node.results[0], node.inputs["x"])
        return self.sweep()

    def sweep(self):
        """Leave out nodes whose results nobody wants, put each after those whose results it reads, and close gaps."""
        for node in reversed(self.nodes):
            if node is not None and not node.stays and not any(result.uses for result in node.results):
                self.remove(node)
        for node in reversed(self.constants):
            if not node.results[0].uses:
                for name in list(node.inputs):
                    node.take(name)
        self.constants = [node for node in self.constants if node.results[0].uses]
        self.nodes = [node for node in self.nodes if node is not None]
        if self._moved:
            self._sort()
        for place, node in enumerate(self.nodes):
            node.place = place
        return self

    def _sort(self):
        """Put each node after those whose results it reads, but for that leave all where they are."""
        order, late, self._moved = {}, [], False
        for node in self.nodes:
            late += [node]
            while ready := [one for one in late if self._is_ready(one, order)]:
                order.update(dict.fromkeys(ready))
                late = [one for one in late if one not in order]
        assert not late, f"a rule made operations wait for each other: {late}"
        self.nodes = list(order)

    @staticmethod
    def _is_ready(node, made):
        """Whether all that a node reads is there: weights, constants, or results of nodes that were made."""
        return all(value.node is None or value.node.place is None or value.node in made for value in node.values())


def _holes(tree):
    """The tree with False for each None, True for anything else."""
    return trees.map(lambda value: value is not None, tree)


def _there(tree):
    """What of a tree is not None."""
    return [value for value in trees.flat(tree) if value is not None]


def _filled(holes, values):
    """The tree that `_holes` was made of, with the next of the values for each True."""
    return trees.map(lambda there: next(values) if there else None, holes)


def merged(layers, more):
    """Labels of both, each once."""
    return (*layers, *(label for label in more if label not in layers))
