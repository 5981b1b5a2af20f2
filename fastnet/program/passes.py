"""One pass of a net: plainly, node by node; recorded, likewise, while the backend notes what it does; or replayed."""
import contextlib
import sys

import numpy as np

from fastnet import changes
from fastnet.kernels import counter
from fastnet.kernels.precision import precision
from fastnet.program import trees
from fastnet.program.calls import generator_states, inside, rewound, untouched
from fastnet.program.trace import root


class Recorded:
    """The recording of a program's passes, its parts by those of the program, and what it holds good for."""

    def __init__(self, recording, parts, constants, hashes):
        self.recording, self.parts, self.constants, self.hashes = recording, parts, constants, hashes
        self.nbytes = recording.nbytes
        self.arrays = None      # the leaves' arrays whose addresses it was told

    def fits(self, constants):
        return self.constants is constants and not self.recording.outdated()


class Pass:
    """A forward pass of `program` on the arrays `x`, and in training the backward pass after it.

    Where it runs node by node, `values` holds the arrays between the nodes; where it is replayed, `kept` holds those
    that come from outside or go there, and `addresses` tells where they are.
    """

    def __init__(self, runner, program, x, need_dx=False):
        self.runner, self.program, self.x, self.need_dx = runner, program, x, need_dx
        self.values, self.kept, self.addresses, self.parts = {}, {}, {}, {}
        self.precision, self.recorder, self.recorded, self.replays = precision.get(), None, None, False
        self.constants = runner.current_constants(program)
        self.opaque, self.states, self.known = [], {}, None     # of opaque layers: results, generators, known results
        self.new = program.fresh    # whether its kernels may have to be compiled
        self.plain = False  # whether it runs node by node, whatever was recorded
        self.seen = None    # function (step, values), called after each step of a plain pass
        self.told = None    # function (path, "y" or "dy", tree of arrays), called for what is watched in one
        self.idle = ()      # steps that a plain pass leaves out
        self.hashes = None  # of the arrays that the constants were computed from, by the first launch
        self.given = dict(zip(program.x, trees.flat(x), strict=True))
        self.keys = None

    # Forward

    def forward(self, keys=None):
        """y, a tree of arrays; running statistics are assigned."""
        program = self.program
        for head in program.heads:
            head(self.given)
        if keys is None:
            keys = [counter.draw(generator) for _, generator in program.draws]
        self.keys = self.runner.keys = keys
        self._choose()
        if self.replays:
            try:
                self._begin_replay()
                self._run(0)
            finally:
                self.runner.arena(program.trace.training).lock.release()
        else:
            self._begin_plainly()
            self._run(0)
        y = trees.map(self._result, program.y)
        for layer, name, value in program.assigned:
            setattr(layer, name, self._array(value))
        if not program.trace.training:
            self._end_recording()
        return y

    def _choose(self):
        """Choose how to run. A pass that replays has the lock of the arena."""
        program = self.program
        if program.fresh:
            program.fresh = False
            self.runner.make_room()
        if self.plain or not program.recordable or sys.gettrace() is not None:
            return
        self.recorded = program.recorded
        if self.recorded is not None and not self.recorded.fits(self.constants):
            program.forget(self.recorded.constants)
            self.recorded = None
        if self.recorded is not None and program.flat:
            self.replays = self.runner.arena(program.trace.training).lock.acquire(blocking=False)
        elif self.recorded is None:
            program.passes += 1
            self.recorder = self.runner.ops.recorder() if program.passes > 1 and program.flat else None

    def _begin_plainly(self):
        program = self.program
        found = dict(zip((leaf for leaf, _ in program.leaves), program.arrays, strict=True))
        found.update(zip((key for key, _ in program.draws), self.keys, strict=True))
        found.update(self.given)
        if self.recorder is not None:
            found = {value: self.recorder.tag(value, array) for value, array in found.items()}
        self.values = found if self.constants is None else found | self.constants.get(program)
        if self.recorder is not None and self.constants is not None:
            with self.recorder:
                self.hashes = self.constants.hashes()

    def _begin_replay(self):
        program, runner, recorded = self.program, self.runner, self.recorded
        recording, training = recorded.recording, program.trace.training
        recording.move(runner.arena(training).address(recording.arena_size))
        if recorded.arrays is not program.arrays:
            recording.bind(tuple(leaf for leaf, _ in program.leaves), [runner.ops.address(a) for a in program.arrays])
            recorded.arrays = program.arrays
        for value, array in self.given.items():
            self._keep(value, array)
        for (value, _), key in zip(program.draws, self.keys, strict=True):
            self._keep(value, key)
        if training:
            runner.arena(True).user = self

    def _end_recording(self):
        if self.recorder is not None:
            recording = self.recorder.finish()
            self.program.recordable = recording is not None or self.recorder.outdated   # then the next pass may be
            if recording is not None:
                self.program.recorded = Recorded(recording, self.parts, self.constants, self.hashes)
        self.recorder = None

    # Backward

    def arriving(self, net, dy):
        """dy as `backward` takes it; TypeError or ValueError where it is not of the form and the shapes of y."""
        return self.runner.gradient(net, dy, self.program.trace.dy)

    def backward(self, net, dy, need_dx=True):
        """dx, or None where it is not needed; the gradients of all parameters are assigned together."""
        self.runner.need_dx = need_dx
        program = self.program
        before = precision.get()
        precision.set(self.precision)
        try:
            if need_dx and not self.need_dx:
                return self._with_dx(net).backward(net, dy, need_dx)
            if self.need_dx and not need_dx and self.recorder is None and self.seen is None and self.told is None:
                self.idle = program.for_dx
            self._enter(dy)
            with self.runner.arena(True).lock if self.replays else contextlib.nullcontext():
                self._check_turn()
                self._forget_gradients()
                with changes.gradients() as found:
                    self._run(1)
        finally:
            precision.set(before)
        dx = trees.map(lambda value: None if value is None else self._result(value), program.dx) \
            if need_dx else None
        found.update([(parameter, self._array(value)) for parameter, value in program.gradients])
        for parameter, gradient in found.items():
            parameter.grad = gradient
        self._end_recording()
        self.values, self.kept, self.given, self.x, self.opaque = {}, {}, {}, None, []     # let go of all arrays
        if self.replays:
            self.runner.arena(True).user = None
        return dx

    def _forget_gradients(self):
        """Let go of the last pass's gradients, so that this one's take their memory: both at once would be the most
        that a step of a net of many weights holds. Not where a layer of somebody else's could fail and leave none."""
        if not self.program.opaque:
            for parameter, _ in self.program.gradients:
                parameter.grad = None

    def _enter(self, dy):
        """Take dy; zeros for a result that nobody used."""
        for value, array in zip(self.program.dy, trees.flat(dy), strict=True):
            if array is None and not value.uses:
                continue
            if array is None:
                array = self.runner.ops.convert(np.zeros(value.shape, value.dtype), value.dtype)
            self.given[value] = array
            if self.replays:
                self._keep(value, array)
            else:
                self.values[value] = array if self.recorder is None else self.recorder.tag(value, array)

    def _with_dx(self, net):
        """The same forward pass, as one that can tell dx: same draws, no effects, opaque layers not run again."""
        program = self.runner.program(net, self.x, True, need_dx=True, watched=self.told is not None)
        other = Pass(self.runner, program, self.x, need_dx=True)
        other.known, other.states = self.opaque, self.states
        other.plain = True
        with changes.quiet():
            other.forward(self.keys)
        other.told = self.told
        return other

    # The parts of a pass

    def _check_turn(self):
        """RuntimeError where another pass has written over what forward left to backward."""
        if self.replays and self.program.trace.training and self.runner.arena_user() is not self:
            raise RuntimeError("the net began another training pass meanwhile, in another thread or within this one: "
                               "each thread needs a net of its own, a copy.deepcopy(net)")

    def _run(self, side):
        self._check_turn()
        self._tell(bool(side))
        for part in self.program.parts[side]:
            if self.replays and not part.opaque:
                self._replay(part)
            elif self.recorder is not None and not part.opaque:
                self._record(part)
            else:
                with self._in_line(part):
                    for step in part.steps:
                        if step not in self.idle:
                            self.perform(step)
            if self.replays:
                for value in part.dead:
                    self.kept.pop(value, None)

    def _in_line(self, part):
        """Where kernels may be new, several are compiled side by side, unless somebody looks at each result."""
        alone = self.new and not part.opaque and not self.plain and not self.told and sys.gettrace() is None
        return self.runner.ops.in_line() if alone else contextlib.nullcontext()

    def perform(self, step):
        """Run one step by itself: an opaque layer, or any in a pass that runs node by node."""
        if step.opaque:
            self._run_opaque(step)
        else:
            step.compute(self.values)
        if self.seen is not None:
            self.seen(step, self.values)
        self._tell(step)
        if not self.replays:
            step.forget(self.values)

    def _tell(self, when):
        """Tell what is watched and there by then: after a step, or at the start of forward, False, or backward."""
        if self.told is not None:
            for path, what, tree in self.program.told.get(when, ()):
                self.told(path, what, trees.map(lambda one: None if one is None else self.values[one], tree))

    def _replay(self, part):
        recording, addresses = self.recorded.recording, self.addresses
        for value in part.makes:
            self.kept[value], addresses[value] = recording.make(value)
        recording.bind(part.keys, [addresses[value] for value in part.keys])
        recording.run(self.recorded.parts[part])

    def _record(self, part):
        recorder, kept = self.recorder, self.program.kept
        for step in part.steps:
            with recorder:
                step(self.values)
            for value in step.results:
                if value in kept and value in self.values and step.node.op != "reshape":
                    recorder.give(value, self.values[value])
        self.parts[part] = recorder.cut()

    def _run_opaque(self, step):
        """Have a layer compute that nobody can look into; what it gives is brought into the net's dtype and layout."""
        options = step.options
        layer = options["layer"]()
        if step.node.op == "opaque":
            if self.known is not None and not step.node.backward:
                made = self.known.pop(0)
            else:
                x = trees.build(options["like"], [self._array(value) for value in step.node.inputs["x"]])
                with self._repeating(layer, step.node.again), inside(layer), untouched(layer, x, "x", self.new):
                    made = layer.forward(x, options["training"])
            name = "y"
        else:
            flat = iter(step.node.inputs["dy"])
            dy = trees.build(options["like"], [None if unused else self._array(next(flat))
                                               for unused in options["unused"]])
            needed = any(value.uses for value in step.results)
            with inside(layer), untouched(layer, dy, "dy", self.new):
                made, name = layer.backward(dy, needed), "dx"
            if not needed:
                return
            integers = options["integers"]
            if any(integers):
                made = tuple(one for one, whole in zip(trees.flat(made), integers, strict=False) if not whole)
        if options.get("training") and not step.node.backward:
            self.opaque.append(made)
        made = trees.flat(self.runner.tree(layer, made, name))
        if len(made) != len(step.results):
            raise ValueError(f"{layer.label}: expected {len(step.results)} array(s) as {name}, got {len(made)}")
        for value, array in zip(step.results, made, strict=True):
            array = self.runner.array(layer, array, name, value.dtype)
            if array.shape != value.shape:
                told = "x has" if name == "dx" else "output_shape tells"
                alike = name == "dx" or array.shape[:1] == value.shape[:1]
                remedy = "" if alike else ": let the class define output_shape(self, input_shape), the " \
                    "shape of y, batch included, for that of x"
                raise ValueError(f"{layer.label}: {name} has shape {array.shape}, but {told} {value.shape}{remedy}")
            if self.replays:
                self._keep(value, array)
            else:
                self.values[value] = array if self.recorder is None else self.recorder.tag(value, array)

    @contextlib.contextmanager
    def _repeating(self, layer, again):
        """Where a forward pass is done again, the random generators of the layer stand where they stood, and its
        running statistics stay as they are."""
        if not again:
            self.states[layer] = generator_states(layer)
            yield
        else:
            with rewound(self.states[layer]), changes.quiet():
                yield

    def _keep(self, value, array):
        self.kept[value], self.addresses[value] = array, self.runner.ops.address(array)

    def _array(self, value):
        """The array of a Value that is there."""
        if not self.replays:
            return self.values[value]
        source = root(value)
        array = self.kept.get(source)
        if array is None:  # a leaf
            array = next(read for leaf, read in self.program.leaves if leaf is source)()
        return array if source is value else array.reshape(value.shape)

    def _result(self, value):
        """The array of a Value for the caller: what was given where nothing was done to it; None for no Value."""
        if value is None:
            return None
        given = self.given.get(root(value))
        return self._array(value) if given is None else given if given.shape == value.shape else \
            given.reshape(value.shape)
