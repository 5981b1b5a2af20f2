"""Where the time of a pass goes: the operations of the program as it really runs, charged to the layers."""
import copy
from time import perf_counter
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.columns import table
from fastnet.program import trees
from fastnet.program.passes import Pass
from fastnet.program.tables import node_multiply_adds
from fastnet.program.tracer import trace

# Passes that are timed: as many as this, but no longer than so many seconds after the least.
_LEAST, _MOST, _SECONDS = 3, 30, 0.5
# How many multiply-adds of the forward pass an operation of the backward pass makes.
_BACKWARD = {"backward_input": 1, "backward_weight": 1, "recurrent_backward": 2}
_PRODUCT = 512  # rows and columns of the matrices whose product tells what can be reached
_HEAD = ("name", "layer", "forward ms", "backward ms", "share", "MB kept", "multiply-adds", "GFLOP/s", "of peak")


class ProfileRow(NamedTuple):
    """What one layer takes: seconds forward and backward, bytes of memory, and multiply-adds, both passes together.

    >>> row = ProfileRow("0", "Linear(100, 10)", forward=0.25, backward=0.75, memory=40, multiply_adds=3000, within="")
    >>> row.seconds, row.flops
    (1.0, 6000.0)
    """

    name: str
    layer: str
    forward: float
    backward: float
    memory: int
    multiply_adds: int
    within: str         # the name of the layer whose operation does this one's work along with its own; else ""

    @property
    def seconds(self):
        """Forward and backward."""
        return self.forward + self.backward

    @property
    def flops(self):
        """Floating-point operations a second, two for each multiply-add; 0 where there is nothing to multiply."""
        return 2 * self.multiply_adds / self.seconds if self.seconds else 0.0


class Profile:
    """Where the time of a pass goes, see `profile`. It prints as a table.

    `rows` are `ProfileRow`s, one for each layer that holds no others; `seconds` is their sum, and `whole` what a whole
    pass takes, in one call where it is recorded; `memory` are bytes: the sum of the rows; `arena` the bytes that a
    recorded pass works in, None where there is no recording; `multiply_adds` the total; `peak` the floating-point
    operations a second that a product of large matrices reaches, None where kernels are not compiled.

    >>> net = fastnet.Sequential(fastnet.Linear(3, 2), fastnet.ReLU())
    >>> found = profile(net, np.ones((4, 3), np.float32), training=True)
    >>> found.multiply_adds, found.memory, [row.name for row in found.rows]
    (48, 32, ['0', '1'])
    """

    def __init__(self, rows, whole, arena, peak, training, said):
        self.rows, self.whole, self.arena, self.peak, self.training, self._said = (
            rows, whole, arena, peak, training, said)
        self.seconds, self.memory = sum(row.seconds for row in rows), sum(row.memory for row in rows)
        self.multiply_adds = sum(row.multiply_adds for row in rows)

    def __str__(self):
        total = ProfileRow("total", "", sum(row.forward for row in self.rows), sum(row.backward for row in self.rows),
                           self.memory, self.multiply_adds, "")
        rows = [_HEAD if self.training else tuple(one.replace("kept", "made") for one in _HEAD),
                *map(self._cells, [*self.rows, total])]
        if not self.training:
            rows = [(*row[:3], *row[4:]) for row in rows]
        how = ", recorded, in one call," if self.arena is not None else ""
        lines = [self._said, table(rows[0], rows[1:-1], 2, rows[-1]),
                 f"a whole pass{how} takes {1000 * self.whole:.3f} ms, its operations one by one "
                 f"{1000 * self.seconds:.3f} ms"]
        if self.arena is not None:
            lines.append(f"the recorded pass works in {self.arena / 1e6:.2f} MB, beside x, y, weights and gradients")
        if self.peak is not None:
            lines += [f"peak: {self.peak / 1e9:.0f} GFLOP/s, what a product of large matrices reaches here; Winograd's",
                      "convolutions multiply less than is counted for them, and may be above it"]
        return "\n".join(lines)

    __repr__ = __str__

    def _cells(self, row):
        own = bool(row.seconds)
        layer = row.layer if own or not row.within else f'{row.layer}, computed with "{row.within}"'
        flops = row.flops
        return (row.name, layer, *(f"{1000 * one:.3f}" if one else "" for one in (row.forward, row.backward)),
                f"{row.seconds / self.seconds:.1%}" if own and self.seconds else "",
                f"{row.memory / 1e6:.2f}" if row.memory else "", f"{row.multiply_adds:,}" if row.multiply_adds else "",
                f"{flops / 1e9:.1f}" if flops else "", f"{flops / self.peak:.0%}" if flops and self.peak else "")


def profile(net, x, training=False):
    """The `Profile` of a pass of a net on x, as in ``print(profile(net, x))``: for each layer its time, memory,
    multiply-adds, and how many floating-point operations a second these are, against what a product of large
    matrices reaches; with `training` forward and backward, as a training step has them.

    What is timed is the program as it runs: an operation that does the work of several layers, see `explain`, is
    charged to the first of them, and the others say with whom they are computed. Times are the best of 3 to 30 passes,
    with all threads that there are; each operation's holds some microseconds of Python, which a recorded pass does
    without: what such a pass takes stands below the table. Memory is that of the results which operations make, in
    training of those that are kept for the backward pass. It is done with a copy of the net, which itself is left as
    it was.

    TypeError or ValueError as from the net.

    >>> net = fastnet.Sequential(fastnet.Linear(3, 2), fastnet.ReLU())
    >>> [(row.layer, row.multiply_adds, row.within) for row in profile(net, np.ones((4, 3), np.float32)).rows]
    [('Linear(3, 2)', 24, ''), ('ReLU()', 0, '0')]
    """
    arguments.having(net, ("program", "named_layers"), "profile: net", "a layer")
    training = arguments.flag(training, "profile: training")
    net = copy.deepcopy(net)
    runner = net.runner
    x, runner.need_dx = runner.enter(net, x), False
    program = runner.program(net, x, training)
    dy = runner.gradient(net, trees.map(_share, program.trace.dy), program.trace.dy) if training else None
    times = _times(net, program, x, dy)
    whole = min(_repeated(lambda: _whole(net, x, dy), warm=3))
    arena = program.recorded.recording.arena_size if program.recorded else None
    dtype = net.dtype or np.dtype(np.float32)
    said = f"{'training' if training else 'inference'}, x of shape {trees.map(lambda one: one.shape, x)}, {dtype}"
    return Profile(_rows(net, x, program, times), whole, arena, _peak(net.ops, dtype), training, said)


def _share(value):
    """A gradient for what a net gives: that of the mean."""
    return np.full(value.shape, 1 / max(value.size, 1), value.dtype) if value.dtype.kind == "f" else None


def _times(net, program, x, dy):
    """{node: seconds}, the best of passes that run node by node."""
    found = {}

    def one_pass():
        current = _Timed(net.runner, program, x)
        current.forward()
        if dy is not None:
            current.backward(net, dy, False)
        for node, seconds in current.times.items():
            found.setdefault(node, []).append(seconds)

    _repeated(one_pass, warm=1)
    return {node: min(times) for node, times in found.items()}


class _Timed(Pass):
    """A pass that runs node by node and notes the seconds of each node."""

    def __init__(self, runner, program, x):
        super().__init__(runner, program, x)
        self.plain, self.times = True, {}

    def perform(self, step):
        start = perf_counter()
        super().perform(step)
        self.times[step.node] = perf_counter() - start


def _whole(net, x, dy):
    if dy is None:
        net.runner.inference(net, x)
    else:
        net.runner.forward(net, x)[1].backward(net, dy, False)


def _repeated(run, warm):
    """Seconds of each of some calls, after others that are not timed."""
    times = []
    for _ in range(warm):
        run()
    began = perf_counter()
    while len(times) < _LEAST or len(times) < _MOST and perf_counter() - began < _SECONDS:
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return times


def _peak(ops, dtype):
    """Floating-point operations a second of a product of matrices; None where kernels are not compiled."""
    if ops.recorder is not None and ops.recorder() is None:
        return None
    a = np.ones((_PRODUCT, _PRODUCT), dtype)
    return 2 * _PRODUCT ** 3 / min(_repeated(lambda: ops.linear_forward(a, a, None), warm=1))


def _rows(net, x, program, times):
    """A row for each layer without layers inside, then for what belongs to none of them."""
    training = program.trace.training
    written = trace(net, trees.kinds(x), training, need_dx=False)
    layers = {_label(layer, path): (path, f"{type(layer).__name__}({layer.arguments()})")
              for layer, path, _, _ in written.calls if not layer.composed and (path or layer is net)}
    nodes = [*program.trace.constants, *program.trace.nodes]
    layers.update((node.layers[0], ("", node.layers[0])) for node in nodes if node.layers[0] not in layers)
    forward, backward, memory, within = ({label: 0 for label in layers} for _ in range(4))
    for node in program.trace.nodes:
        side = backward if node.backward else forward
        side[node.layers[0]] += times.get(node, 0.0)
        memory[node.layers[0]] += sum(_kept(value, training) for value in node.results)
        within.update((label, node.layers[0]) for label in node.layers[1:] if not within.get(label))
    work = _multiply_adds(written)
    return [ProfileRow(*said, forward[label], backward[label], memory[label], work.get(label, 0),
                       layers[within[label]][0] if within[label] else "") for label, said in layers.items()]


def _label(layer, path):
    return f'{type(layer).__name__} "{path}"' if path else type(layer).__name__


def _kept(value, training):
    """Bytes of a result; in training of one that waits for the backward pass. A reshaped one is no new memory."""
    if value.node.op == "reshape" or training and (value.node.backward or not _waits(value)):
        return 0
    return value.size * value.dtype.itemsize


def _waits(value):
    """Whether a result of the forward pass, or another view of it, is read in the backward pass."""
    return any(node.backward or node.op == "reshape" and _waits(node.results[0]) for node in value.uses)


def _multiply_adds(written):
    """{label: multiply-adds of a layer, forward and backward}."""
    found, nodes = {}, written.nodes
    for node in nodes:
        if not node.backward or node.again:
            found.setdefault(node.layers[0], []).append(node_multiply_adds(node))
    total = {label: sum(work) for label, work in found.items()}
    for node in nodes:
        times = next((times for end, times in _BACKWARD.items() if node.op.endswith(end)), 0) if node.backward else 0
        products = sum(map(bool, found.get(node.layers[0], ())))
        if times and products:
            total[node.layers[0]] += times * sum(found[node.layers[0]]) // products
    return total
