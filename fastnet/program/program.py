"""A trace that is ready to run: steps with what each makes superfluous, in parts between opaque layers."""
import functools

from fastnet.kernels import shapes
from fastnet.program import trees
from fastnet.program.calls import put_label
from fastnet.program.trace import root
from fastnet.program.tracer import trace
from fastnet.sealed import is_sealed


class Program:
    """The passes of a net on x of one shape, as lists of `Part`s: one for forward, one for backward. It holds no
    arrays, so that threads may share it.

    `trace` is the list of operations as the rules of the backend have left it. `kept` are the Values whose arrays come
    from outside or go there, at another address in every pass.
    """

    def __init__(self, traced, ops):
        self.trace, self.ops = traced, ops
        # Worked out here, once, of a trace that changes no more.
        self.x, self.y, self.dy, self.dx = trees.flat(traced.x), traced.y, trees.flat(traced.dy), traced.dx
        self.gradients, self.assigned = list(traced.gradients.items()), traced.assigned
        self.wanted = {value for name, given in traced.end.inputs.items() if name != "inside" for value in given}
        self.draws = list(traced.draws.items())
        constant = {node.results[0] for node in traced.constants}
        used = {value for node in (*traced.constants, *traced.nodes, traced.end) for value in node.values()}
        self.leaves = [(leaf, read) for leaf, read in traced.leaves.items() if leaf in used]
        self.sources = bool(constant)
        ready = constant.union(leaf for leaf, _ in self.leaves).union(traced.draws)
        self.steps = [Step(node, ops) for node in traced.nodes]
        self.heads = _heads(self.steps, traced)
        self.told = {}      # step, or False and True for the start of forward and backward -> what is told then
        self._note_last_uses(ready)
        self.parts = _parts(self.steps, False), _parts(self.steps, True)
        self.opaque = any(part.opaque for side in self.parts for part in side)
        self.kept = self._kept(ready - constant)
        self._note_borders()
        self.recordable = ops.recorder is not None      # and see `passes`:
        self.recorded, self.passes, self.fresh = None, 0, True
        self.arrays = self.seen = None      # the leaves' arrays, and what had been assigned when they were read
        self.flat = False                   # whether recordings can read these

    @property
    def nbytes(self):
        """Of what a recording keeps, its arena apart."""
        return self.recorded.nbytes if self.recorded else 0

    @functools.cached_property
    def for_dx(self):
        """The steps of the way back that serve nothing but dx."""
        needed, found = {*self.trace.gradients.values(), *(value for *_, value in self.trace.assigned)}, set()
        for step in reversed(self.steps):
            if step.node.backward and not step.opaque and needed.isdisjoint(step.results):
                found.add(step)
            else:
                needed.update(step.node.values())
        return found

    def forget(self, constants):
        """Let go of the recording, if it holds these constants; there will be another one."""
        if self.recorded is not None and self.recorded.constants is constants:
            self.recorded, self.passes = None, 0

    def read_leaves(self):
        """Read weights and statistics anew; False where they are of another shape, dtype or, where parts of them are
        read, layout than those that were traced, or where they have been sealed or unsealed."""
        arrays = [read() for _, read in self.leaves]
        if not all(array is not None and array.shape == leaf.shape and array.dtype == leaf.dtype
                   and is_sealed(array) == leaf.sealed for array, (leaf, _) in zip(arrays, self.leaves, strict=True)):
            return False
        self.flat = all(array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative for array in arrays)
        self.arrays = arrays
        return True

    def _note_last_uses(self, ready):
        last = {value: step for step in self.steps for value in step.node.values()}
        self._note_told(last)
        for value, step in last.items():
            if value not in ready and value not in self.wanted:
                step.dead.append(value)
        for step in self.steps:
            step.dead += [value for value in step.results if value not in last and value not in self.wanted]

    def _note_told(self, last):
        """When what is watched is there to be told; until then it is needed."""
        made = {value: step for step in self.steps for value in step.results}
        for path, what, tree in self.trace.inside:
            values = [value for value in trees.flat(tree) if value is not None]
            steps = [made[value] for value in values if value in made]
            when = max(steps, key=_place, default=what == "dy")
            self.told.setdefault(when, []).append((path, what, tree))
            if steps:
                last.update((value, max(last.get(value, when), when, key=_place)) for value in values)

    def _kept(self, ready):
        """The Values that have an address of their own in every pass; a reshaped one has that of what it was."""
        traced = self.trace
        kept = {*trees.flat(traced.x), *ready, *self.wanted}
        if traced.training:
            kept.update(trees.flat(traced.dy))
        for step in self.steps:
            if step.opaque:
                kept.update(step.node.values(), step.results)
        return {root(value) for value in kept}

    def _note_borders(self):
        """What of the kept Values each part reads or makes, and after which part nobody needs them."""
        leaves, last = {leaf for leaf, _ in self.leaves}, {}
        for part in (*self.parts[0], *self.parts[1]):
            made = {value for step in part.steps for value in step.results}
            touched = dict.fromkeys(root(value) for step in part.steps
                                    for value in (*step.node.values(), *step.results))
            part.keys = tuple(value for value in touched if value in self.kept and value not in leaves)
            part.makes = tuple(value for value in part.keys if value in made and not part.opaque)
            last.update(dict.fromkeys(part.keys, part))
        wanted = {root(value) for value in self.wanted}
        for value, part in last.items():
            if value not in wanted:
                part.dead.append(value)


class Part:
    """Steps in a row: all operations, or one opaque layer."""

    def __init__(self, steps):
        self.steps, self.opaque = steps, steps[0].opaque
        self.keys = self.makes = ()     # Values that it touches at addresses from outside, and those that it makes
        self.dead = []                  # those that are needed no longer after it


class Step:
    """A node, ready to be called; `dead` are the Values that are needed no longer after it."""

    __slots__ = ("node", "function", "inputs", "options", "results", "dead", "opaque")

    def __init__(self, node, ops):
        self.node, self.dead, self.opaque = node, [], node.op.startswith("opaque")
        self.function = None if self.opaque else _reshape if node.op == "reshape" else getattr(ops, node.op)
        self.inputs, self.options, self.results = list(node.inputs.items()), node.options, node.results

    def __call__(self, values):
        """Compute, with arrays for the Values that it reads; leaves arrays for those that it makes."""
        self.compute(values)
        self.forget(values)

    def forget(self, values):
        """Let go of what is needed no longer."""
        for value in self.dead:
            values.pop(value, None)

    def compute(self, values):
        """Compute, and let go of nothing."""
        given = {name: [values[one] for one in value] if isinstance(value, list) else values[value]
                 for name, value in self.inputs}
        try:
            made = self.function(**given, **self.options)
        except (TypeError, ValueError) as error:    # of what an operation knows only once it sees the numbers
            if self.node.layers:
                put_label(error, self.node.layers[-1])
            raise
        if isinstance(made, (tuple, list)):
            values.update(zip(self.results, [one for one in made if one is not None], strict=True))
        else:
            values[self.results[0]] = made


def _place(step):
    return step.node.place


def _heads(steps, traced):
    """The Heads of a program: of operations that refuse some numbers, where these are an input of the net. What comes
    from within the net is looked at by the operation itself, in passes that run node by node."""
    given = set(trees.flat(traced.x))
    found = [Head(step) for step in steps if step.node.op in shapes.HEADS and not step.node.again]
    return [head for head in found if head.source in given]


class Head:
    """What a step refuses of the numbers that the net is given: it is asked before each pass, which may be replayed."""

    def __init__(self, step):
        name, self.check = shapes.HEADS[step.node.op]
        self.label, self.source = step.node.layers[0], root(step.node.inputs[name])
        self.inputs = {key: value for key, value in step.inputs if key != name} | {name: None}

    def __call__(self, given):
        """ValueError, which names the layer, for {Value of x: array}."""
        try:
            self.check(**{key: given[self.source] if value is None else value for key, value in self.inputs.items()})
        except ValueError as error:
            error.args, error.layer = (f"{self.label}: {error}",), self.label
            raise


def _reshape(x, shape):
    return x.reshape(shape)


def _parts(steps, backward):
    parts = []
    for step in steps:
        if step.node.backward == backward:
            if not parts or parts[-1].opaque or step.opaque:
                parts.append(Part([step]))
            else:
                parts[-1].steps.append(step)
    return parts


def rewrite(traced, rules):
    """Apply the rules of a backend, one after the other, each to all nodes of its operations, or once where it is one
    for the whole trace."""
    for ops, rule in rules:
        if ops is None:
            rule(traced)
            continue
        for node in list(traced.nodes):
            if node is not None and node.place is not None and node.op in ops:
                rule(traced, node)
    return traced.sweep()


def make(net, x, ops, training, need_dx=True, inside=False):
    """The Program of a net for x, a Kind or a tree of them: as the rules of the backend have it or, with `inside`, as
    the layers are written, so that what each gives can be told."""
    traced = trace(net, x, training, need_dx, inside)
    traced = traced if inside else rewrite(traced, ops.rules)
    traced.calls.clear(), traced.arrived.clear()    # they hold the layers, and the net its programs
    return Program(traced, ops)
