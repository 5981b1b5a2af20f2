"""Running nets: which program for which input.

The outermost layer that is called has a `Runner`. It keeps the net's programs, as long as nothing in the net changes
but the numbers in its arrays; these are read anew in each pass, or watched where something was computed from them.

A pass runs node by node at first. The second one is recorded where the backend can do that, and from the third on it is
run by the recording, with no Python between the kernels, see `passes`.
"""
import collections
from operator import is_

import numpy as np

from fastnet import arguments, changes
from fastnet.kernels.precision import precision
from fastnet.kernels.shapes import Kind
from fastnet.program import trees, watch
from fastnet.program.calls import generator_states, name_layer, opaque, rewound
from fastnet.program.passes import Pass
from fastnet.program.program import Program, make
from fastnet.program.quick import Quick
from fastnet.program.trace import here
from fastnet.program.tracer import trace
from fastnet.sealed import is_sealed

# Programs that a net keeps, the latest ones, and bytes that their recordings may hold.
_MOST_PROGRAMS, _MOST_BYTES = 64, 64 << 20
# Attributes that come and go with passes.
_PASSING = ("saved", "_runner", "_homes", "_name")


class Runner:
    """The programs of one net, what was computed from its weights, and the memory between its kernels."""

    def __init__(self):
        self._programs = collections.OrderedDict()
        self._arenas = {}
        self._state = self._seen = None
        self.ops = self.dtype = self.constants = None
        self.integers = False   # whether integers in x stay what they are
        self.need_dx = True     # what the last backward pass was asked for
        self.keys = ()          # what was drawn for the last pass
        self._quick = None      # for more inferences like the last one

    def inference(self, net, x):
        """y of a net for the array x, or a tree of arrays."""
        y = self._replayed(x)
        if y is not None:
            return y
        given, x = x, self.enter(net, x)
        if x is not given:  # it was converted, as images whose channels lie one behind the other are
            y = self._replayed(x)
            if y is not None:
                return y
        current = self._begin(net, x, False)
        y = current.forward()
        self._quick = Quick(current) if current.replays and Quick.fits(current) else None
        return y

    def _replayed(self, x):
        """y for an array like those before, without a closer look; None where one is needed."""
        quick = self._quick     # read once: another thread may take it away
        return quick.run(x) if quick is not None and type(x) is np.ndarray else None

    def forward(self, net, x):
        """(y, the `Pass` whose backward may follow) of a training pass."""
        x = self.enter(net, x)
        current = self._begin(net, x, True, self.need_dx)
        return current.forward(), current

    def _begin(self, net, x, training, need_dx=False):
        """The pass of a net for x, as it can be computed with; one that is watched runs node by node."""
        told = watch.told(net) if here.watches else None
        current = Pass(self, self.program(net, x, training, need_dx, told is not None), x, need_dx)
        if told is not None:
            current.plain, current.told = True, told
        return current

    def input_gradient(self, net, x, dy):
        """dx of a training pass with norms and dropouts frozen, which leaves no trace."""
        before, here.frozen = here.frozen, True
        try:
            x = self.enter(net, x)
            current = self._begin(net, x, True, True)
            dy = current.arriving(net, dy)
            current.plain |= self.arena_user() is not None   # a training pass is under way, and has the arena
            with changes.quiet(), changes.gradients():
                current.forward()
                wanted = self.need_dx
                dx = current.backward(net, dy, True)
                self.need_dx = wanted
                return dx
        finally:
            here.frozen = before

    def look(self, net, x, training):
        """Run forward for the sake of those who watch, and leave no trace."""
        x, keys = self.enter(net, x), self.keys
        with changes.quiet(), rewound(generator_states(net)):
            self._begin(net, x, training).forward()
        self.keys = keys

    def step_through(self, net, x, gradient, seen):
        """See `Layer.step_through`."""
        x = self.enter(net, x)
        program = Program(trace(net, trees.kinds(x), True), self.ops)
        program.read_leaves()
        names = {value: name for _, layer in net.named_layers() for name, parameter in layer.own_parameters()
                 if (value := program.trace.gradients.get(parameter)) is not None}
        current = Pass(self, program, x, need_dx=True)

        def tell(step, values):
            if step.node.op == "opaque_backward":
                for name, parameter in step.node.options["layer"]().named_parameters():
                    if changes.here.gradients.get(parameter) is not None:
                        seen(step.node.layers[-1], name, changes.here.gradients[parameter])
            for value in step.results:
                if value in values:
                    what = names.get(value, "dx") if step.node.backward else "y"
                    seen(step.node.layers[-1], what, values[value])

        current.seen, current.plain = tell, True
        with changes.quiet(), changes.gradients():
            y = current.forward(self.keys if len(self.keys) == len(program.draws) else None)
            dy = gradient(y)
            if dy is not None:
                current.backward(net, current.arriving(net, dy), self.need_dx)

    def program(self, net, x, training, need_dx=False, watched=False):
        """The program for an x of these shapes, made on first use; x is a tree of arrays or Kinds. One that is watched
        does what the layers do, as they are written."""
        if type(x) is np.ndarray:
            kinds, form = Kind(x.shape, x.dtype), None
            leaves = kinds,
        else:
            kinds = trees.kinds(x)
            leaves, form = trees.flat(kinds), None if trees.is_leaf(kinds) else repr(trees.form(kinds))
        key = (*leaves, form, training, need_dx, here.frozen, precision.get(), watched)
        latest, found = changes.latest(), self._programs.get(key)
        if found is not None and found.seen is not latest:
            found = found if found.read_leaves() else None
        if found is None:
            found = self._programs[key] = make(net, kinds, self.ops, training, need_dx, watched)
            found.read_leaves()
            self._drop()
        else:
            self._programs.move_to_end(key)
        found.seen = latest
        return found

    def arena(self, training):
        """The memory that the recordings of these passes share."""
        found = self._arenas.get(training)
        if found is None:
            found = self._arenas[training] = self.ops.Arena()
        return found

    def arena_user(self):
        """The training pass under way whose numbers lie in the arena; None."""
        found = self._arenas.get(True)
        return None if found is None else found.user

    def make_room(self):
        """Give back what passes on other shapes have used: one on a new shape takes memory of its own."""
        for arena in list(self._arenas.values()):
            arena.clear()
        self.ops.release()

    def current_constants(self, program):
        """The `Constants` for a program, new ones where the weights have changed; None where it has no use for any."""
        if not program.sources:
            return None
        constants = self.constants
        if constants is None or constants.changed():
            if constants is not None:
                for one in list(self._programs.values()):
                    one.forget(constants)
            constants = self.constants = Constants(self.ops)
        return constants

    def array(self, layer, x, name, dtype=None):
        """See `entering`."""
        return entering(layer, self.ops, x, name, dtype)

    def tree(self, layer, x, name):
        """See `entered`; nothing is converted."""
        return entered(layer, None, x, name)

    def gradient(self, net, dy, kinds):
        """See `arriving`."""
        return arriving(net, self.ops, dy, kinds)

    def enter(self, net, x):
        """x as it can be computed with."""
        if self._seen is not changes.latest(False):
            self._look(net)
        return entered(net, self.ops, x, "x", self.dtype, self.integers)

    def _look(self, net):
        """Begin anew where anything was assigned in the net but running statistics and weights of the same kind."""
        seen, state, dtypes = changes.latest(False), [net.backend], {}
        for path, layer in net.named_layers():
            state.append(layer if path else None)   # no circle of references
            if not opaque(layer, net.backend):
                state += [value for name, value in vars(layer).items()
                          if name not in _PASSING and name not in layer.buffer_names]
            for name, parameter in layer.own_parameters():
                state.append(parameter.requires_grad)
                dtypes.setdefault(parameter.value.dtype, f"{path}.{name}".lstrip("."))
        if len(dtypes) > 1:
            (one, place), (other, other_place) = list(dtypes.items())[:2]
            raise TypeError(f"{net.label}: {place} is {one} and {other_place} is {other}; all parameters of a net have "
                            "one dtype: net.astype(dtype) converts them")
        if self._state is None or len(state) != len(self._state) or not all(map(is_, state, self._state)):
            self._programs.clear()
            self._arenas.clear()
            self.ops, self.constants, self._quick = net.ops, None, None
            self.integers = net.lets_integers_in()
        self.dtype = next(iter(dtypes), None)
        self._state, self._seen = state, seen

    def _drop(self):
        """Let go of the oldest programs, where there are too many."""
        held = [program.nbytes for program in self._programs.values()]
        while len(held) > 1 and (len(held) > _MOST_PROGRAMS or sum(held) > _MOST_BYTES):
            self._programs.popitem(last=False)
            held.pop(0)


def entering(layer, ops, x, name, dtype=None, integers=False):
    """An array that a layer was given, as it can be computed with: x itself where it has that dtype and lies in memory
    as kernels read it, else converted. Without a dtype float64 stays, and all others become float32; without `ops`
    nothing is converted. Integers become int64, in order of their axes, where `integers` stay what they are."""
    try:
        if type(x) is not np.ndarray or x.dtype.kind not in "fiub":
            x = arguments.array(x, name)
        if ops is None:
            return x
        if integers and x.dtype.kind in "iub":
            return np.asarray(x, bool if x.dtype.kind == "b" else np.int64, order="C")
        if dtype is None:
            dtype = np.dtype(np.float64 if x.dtype.kind == "f" and x.dtype.itemsize == 8 else np.float32)
        if x.dtype == dtype and x.dtype.isnative:
            flags = (x.transpose(0, 2, 3, 1) if x.ndim == 4 else x).flags
            if flags.c_contiguous and flags.aligned:
                return x
        return ops.convert(x, dtype)
    except (TypeError, ValueError) as error:
        name_layer(error, layer)
        raise


def entered(layer, ops, x, name, dtype=None, integers=False):
    """The arrays that a layer was given, one or a tree of them, each as `entering` has it; None stays in a gradient. A
    list of arrays counts as a tuple."""
    if type(x) is np.ndarray:
        return entering(layer, ops, x, name, dtype, integers)
    if isinstance(x, list) and x and all(map(_is_several, x)):
        x = tuple(x)
    if trees.is_leaf(x):
        return entering(layer, ops, x, name, dtype, integers)
    try:
        trees.check(x, name)
    except ValueError as error:
        name_layer(error, layer)
        raise
    named = x.items() if isinstance(x, dict) else enumerate(x)
    found = {key: None if one is None and name.startswith("dy") else
             entered(layer, ops, one, f"{name}[{key!r}]", dtype, integers) for key, one in named}
    return found if isinstance(x, dict) else tuple(found.values())


def _is_several(value):
    """Whether it is an array, or several of them: what a list of arrays holds."""
    return isinstance(value, (np.ndarray, tuple, dict)) or hasattr(value, "detach")


def arriving(layer, ops, dy, kinds):
    """The gradient for what a layer gave, which was an array, or a tree of arrays, of these `kinds`: of the same form
    and shapes, each array as `entering` has it. None stays where there are several, and stands for all arrays of a
    part that nobody used."""
    if type(dy) is np.ndarray and trees.is_leaf(kinds) and dy.shape == kinds.shape:
        return entering(layer, ops, dy, "dy", kinds.dtype)
    flat, dy = trees.flat(kinds), entered(layer, None, dy, "dy")
    dy = _filled(dy, kinds) if dy is not None else dy
    if trees.form(dy) != trees.form(kinds):
        forms = [trees.told(one) for one in (kinds, dy)]
        if forms[0] == forms[1] or any(trees.is_nested(one) for one in (kinds, dy)):
            forms = [trees.written(one) for one in (kinds, dy)]
        raise TypeError(f"{layer.label}: expected dy of the form of y, {forms[0]}, got {forms[1]}")
    for array, kind in zip(trees.flat(dy), flat, strict=True):
        if array is not None and array.shape != kind.shape:
            raise ValueError(f"{layer.label}: expected dy of shape {tuple(kind.shape)}, got dy of shape {array.shape}")
    return entered(layer, ops, dy, "dy", flat[0].dtype) if flat else dy


def _filled(dy, kinds):
    """dy in the order of `kinds`, with None for each array of a part that is None as a whole."""
    if dy is None:
        return trees.map(lambda kind: None, kinds)
    if trees.is_leaf(kinds) or type(dy) is not type(kinds) or len(dy) != len(kinds):
        return dy
    if not isinstance(kinds, dict):
        return tuple([_filled(one, kind) for one, kind in zip(dy, kinds, strict=True)])
    return {name: _filled(dy[name], kind) for name, kind in kinds.items()} if dy.keys() == kinds.keys() else dy


class Constants:
    """What was computed from weights and statistics alone, for all programs of a net, until one of them changes."""

    def __init__(self, ops):
        self._ops, self._watcher, self._made = ops, ops.watcher(), {}
        self._sources = {}      # name of a leaf -> (array, how to read it)
        self._seen = changes.latest()

    def changed(self):
        """Whether any array that something was computed from holds other numbers, or is another one."""
        latest = changes.latest()
        if self._seen is not latest:
            if any(read() is not array for array, read in list(self._sources.values())):
                return True
            self._seen = latest
        return self._watcher.changed()

    def hashes(self):
        """The hashes of those arrays, computed by a launch; None where that does not tell of all of them."""
        return self._watcher.hashes()

    def get(self, program):
        """{Value: object} for the constants of a program."""
        found = {}
        for node in program.trace.constants:
            key = node.op, tuple((name, value.name) for name, value in node.inputs.items()), tuple(node.options.items())
            if key not in self._made:
                given = {name: self._source(value, program) for name, value in node.inputs.items()}
                self._made[key] = getattr(self._ops, node.op)(**given, **node.options)
            found[node.results[0]] = self._made[key]
        return found

    def _source(self, leaf, program):
        if leaf.name not in self._sources:
            read = program.trace.leaves[leaf]
            array = read()
            if not is_sealed(array):
                self._watcher.add([array])
            self._sources[leaf.name] = array, read
        return self._sources[leaf.name][0]
