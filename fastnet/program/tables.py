"""What a net does, to read: its list of operations, what each layer gives and holds, by what algorithms it computes."""
import weakref
from math import ceil, isinf, prod

import numpy as np

from fastnet import arguments
from fastnet.columns import table
from fastnet.kernels import shapes
from fastnet.program import trees
from fastnet.program.program import rewrite
from fastnet.program.sizes import inference_memory, nbytes, receptive_fields, training_memory
from fastnet.program.trace import root
from fastnet.program.tracer import trace

_HEAD = ("name", "layer", "output shape", "parameters", "multiply-adds", "memory", "sees")
_WIDTH, _LEAST = 102, 14    # columns of a summary, and what of them is a layer's at least, spaces counted in
_STEPS = ("step", "output shape", "computed by")
# What is shown as the shape of weights in the form in which kernels read them, and of a layer that is called.
_ONCE = "made once for these weights"
# What is told of operations other than convolutions.
_ALONE = {"opaque": "its own forward, called with arrays", "shorten": "rounded to bfloat16, two numbers to a word",
          "lengthen": "float32 again", "linear_inference": "matrices of bfloat16 (AMX), since the weights are sealed"}
_IN_BANDS = "+ "
_DIRECTIONS = {"forward": "", "backward_input": "input gradient: ", "backward_weight": "weight gradient: "}


class Listing:
    """What a net does with an x of one shape: `before` and `after` are its `Trace` as the layers are written and as the
    rules of the backend have left it. It prints as both lists.

    >>> net = fastnet.Sequential(fastnet.Linear(3, 2), fastnet.ReLU())
    >>> net.program((4, 3))
    as the layers are written: 2 operations
    v0 = linear_forward(x=x, w=0.weight, b=0.bias)  -> (4, 2)  # Linear "0"
    v1 = activation_forward(x=v0, function=relu)  -> (4, 2)  # ReLU "1"
    y: v1
    <BLANKLINE>
    as it is computed: 1 operation
    v0 = linear_forward(x=x, w=0.weight, b=0.bias, activation=relu)  -> (4, 2)  # Linear "0" + ReLU "1"
    y: v0
    """

    def __init__(self, net, kinds, training):
        self.before = trace(net, kinds, training)
        self.after = rewrite(trace(net, kinds, training), net.ops.rules)

    def __str__(self):
        parts = [("as the layers are written", self.before), ("as it is computed", self.after)]
        counts = [len(traced.constants) + len(traced.nodes) for _, traced in parts]
        return "\n\n".join(f"{title}: {count} operation{'s' * (count != 1)}\n{text(traced)}"
                           for (title, traced), count in zip(parts, counts, strict=True))

    __repr__ = __str__


def text(traced, labels=True):
    """The operations of a trace, a line each: what it gives, from what, and for which layers. Without labels, the
    same for all nets that do the same."""
    names, lines = {}, []
    for value, name in zip(trees.flat(traced.x), _numbered("x", trees.flat(traced.x)), strict=True):
        names[value] = name
    if traced.training:
        names.update(zip(trees.flat(traced.dy), _numbered("dy", trees.flat(traced.dy)), strict=True))

    def name(value):
        if value not in names:
            kind = "w" if value in traced.leaves else "key" if value in traced.draws else "v"
            plain = labels and value in traced.leaves
            names[value] = value.name if plain else f"{kind}{sum(n.startswith(kind) for n in names.values())}"
        return names[value]

    for node in [*traced.constants, *traced.nodes]:
        given = [f"{key}={_show(value, name)}" for key, value in node.inputs.items()]
        given += [f"{key}={_plain(value)}" for key, value in node.options.items()
                  if not _is_default(node.op, key, value)]
        made = ", ".join(map(name, node.results))
        shape = ", ".join(_ONCE if value.dtype.kind == "O" else str(value.shape) for value in node.results)
        line = f"{made} = {node.op}({', '.join(given)})"
        where = " + ".join(filter(None, node.layers)) + " again" * node.again
        lines.append(f"{line}  -> {shape}" + (f"  # {where}" if labels else ""))
    for what, tree in (("y", traced.y), ("dx", traced.dx)):
        if tree is not None:
            told = ["None" if value is None else name(value) for value in trees.flat(tree)]
            lines.append(f"{what}: {', '.join(told)}")
    if traced.effects:
        moved = [(f"{layer.name}.{attribute}=".lstrip(".") if labels else "") + name(value)
                 for layer, attribute, value in traced.assigned]
        lines.append("running statistics: " + ", ".join(moved))
    if traced.gradients:
        lines.append("gradients: " + ", ".join(map(name, traced.gradients.values())))
    return "\n".join(lines)


def _numbered(name, values):
    return [name] if len(values) == 1 else [f"{name}[{i}]" for i in range(len(values))]


def _show(value, name):
    return f"[{', '.join(map(name, value))}]" if isinstance(value, list) else name(value)


def _is_default(op, name, value):
    """Whether an option need not be shown."""
    function = shapes.OPS.get(op) or _contract(op)
    if function is None:
        return name in ("like", "form", "unused", "integers")
    names = function.__code__.co_varnames[:function.__code__.co_argcount]
    defaults = dict(zip(reversed(names), reversed(function.__defaults__ or ()), strict=False))
    return name in defaults and defaults[name] == value


def _contract(op):
    """What of the contract a fused form of a convolution is; None for anything else."""
    return next((shapes.OPS[f"{kind}_forward"] for kind in _CONVOLUTIONS if op.startswith(kind)), None)


def _plain(value):
    if isinstance(value, weakref.ref):
        return value().label
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], str):  # an activation
        return f"{value[0]}({', '.join(f'{number:g}' for number in value[1:])})" if any(value[1:]) else value[0]
    return value


def final_gradients(traced):
    """In which order the gradients become final: a list of (how many operations have run by then, parameter)."""
    places = {value: node.place + 1 for node in traced.nodes for value in node.results}
    return sorted(((places.get(value, 0), parameter) for parameter, value in traced.gradients.items()),
                  key=lambda one: one[0])


def multiply_adds(traced):
    """How many multiplications followed by an addition a forward pass makes."""
    return sum(map(node_multiply_adds, traced.nodes))


def node_multiply_adds(node):
    """Those of one operation of a forward pass, also of one that is done again; 0 for the backward pass."""
    if node.backward and not node.again:
        return 0
    w = node.inputs["w"].shape if "w" in node.inputs else ()
    if node.op in ("conv2d_forward", "linear_forward"):
        return prod(node.results[0].shape) * prod(w[1:])
    if node.op == "conv_transpose2d_forward":
        return prod(node.inputs["x"].shape) * prod(w[1:])
    if node.op == "locally_connected2d_forward":
        return node.results[0].shape[0] * prod(w)
    if node.op in ("recurrent_forward", "recurrent_inference"):
        return prod(node.results[0].shape) * w[0]
    if node.op == "opaque":
        shape = trees.build(node.options["like"], [value.shape for value in node.inputs["x"]])
        return node.options["layer"]().multiply_adds(shape)
    return 0


def _checked(net):
    return arguments.having(net, ("program", "named_layers"), "net", "a layer")


def summary(net, input_shape):
    """The `Summary` of `net` for an x of `input_shape`, batch included, as in ``print(summary(net, (1, 3, 32, 32)))``.

    ValueError, as from the layer itself, where the shape does not fit.

    >>> print(summary(fastnet.Sequential(fastnet.Linear(3, 2), fastnet.ReLU()), (4, 3)))
    input shape (4, 3)
    name   layer         output shape  parameters  multiply-adds  memory  sees
    -----  ------------  ------------  ----------  -------------  ------  ----
    0      Linear(3, 2)  (4, 2)                 8             24    32 B
    1      ReLU()        (4, 2)                 0              0    32 B
    -----  ------------  ------------  ----------  -------------  ------  ----
    total                (4, 2)                 8             24    64 B
    activations: inference needs 80 B at a time, training keeps 80 B for backward
    """
    listing = _checked(net).program(input_shape)
    traced, rows = listing.before, []
    fields = receptive_fields(traced)
    for layer, path, y, nodes in traced.calls:
        if not layer.composed and (path or layer is net):
            values = trees.flat(y)
            found = [value.shape for value in values]
            seen = fields.get(root(values[0]))
            rows.append((path, f"{type(layer).__name__}({layer.arguments()})", found[0] if len(found) == 1 else found,
                         sum(parameter.size for parameter in layer.parameters()), sum(map(node_multiply_adds, nodes)),
                         nbytes(values), seen and (seen[0].size, seen[1].size)))
    try:
        training = training_memory(net.program(input_shape, training=True).after)
    except ValueError as error:     # a norm that has one number for each channel trains on no such batch
        training = str(error)
    return Summary(rows, input_shape, trees.map(lambda value: value.shape, traced.y), inference_memory(listing.after),
                   training)


class Summary:
    """`rows`, one for each layer that holds no others: (name, layer, output shape, parameters, multiply-adds, bytes of
    the output, receptive field), the last one as (vertical, horizontal) pixels, infinity where a number sees the whole
    image, None where it is not known; `parameters` and `multiply_adds`, the totals.

    `inference_memory` is the most bytes that activations take at a time at inference, `training_memory` those that
    forward keeps for backward, both as the operations are joined; a text instead where such a batch cannot train.
    Weights, at 4 bytes each in float32, come on top. It prints as a table of at most 100 columns.

    >>> found = summary(fastnet.Sequential(fastnet.Linear(3, 2), fastnet.ReLU()), (4, 3))
    >>> found.parameters, found.multiply_adds, found.output_shape
    (8, 24, (4, 2))
    """

    def __init__(self, rows, input_shape, output_shape, inference_memory, training_memory):
        self.rows, self.input_shape, self.output_shape = rows, input_shape, output_shape
        self.inference_memory, self.training_memory = inference_memory, training_memory
        self.parameters = sum(row[3] for row in rows)
        self.multiply_adds = sum(row[4] for row in rows)

    def __str__(self):
        body = [(name, layer, _shapes(shape), f"{count:,}", f"{work:,}", _bytes(memory), _seen(field))
                for name, layer, shape, count, work, memory, field in self.rows]
        total = ("total", "", _shapes(self.output_shape), f"{self.parameters:,}", f"{self.multiply_adds:,}",
                 _bytes(sum(row[5] for row in self.rows)), "")
        if sum(_widths(body, total)) > _WIDTH:
            body = [(name, layer.replace("kernel_size=", ""), *rest) for name, layer, *rest in body]
        widths = _widths(body, total)
        for column in (1, 0):       # of the layers, then of their names, as much as there is room for
            most = _WIDTH - sum(widths) + widths[column]
            widths[column] = min(widths[column], max(_LEAST, most))
        body = [_cut(row, widths) for row in body]
        training = f"training keeps {_bytes(self.training_memory)} for backward" if isinstance(
            self.training_memory, int) else f"no training: {self.training_memory}"
        return "\n".join([f"input shape {self.input_shape}", table(_HEAD, body, 3, total),
                          f"activations: inference needs {_bytes(self.inference_memory)} at a time, {training}"])

    __repr__ = __str__


def _widths(body, total):
    """Of the columns of a summary, each with the two spaces behind it."""
    return [2 + max(map(len, column)) for column in zip(_HEAD, *body, total, strict=True)]


def _cut(cells, widths):
    """A row of a summary whose name and layer fit: of a name that is too long the end is shown, of a layer the front.
    """
    name, layer, *rest = cells
    if len(name) > widths[0] - 2:
        name = f"...{name[5 - widths[0]:]}"
    if len(layer) > widths[1] - 2:
        layer = f"{layer[:widths[1] - 5]}..."
    return name, layer, *rest


def _shapes(tree):
    """One shape, or several, without the names that they have in a dictionary."""
    return ", ".join(map(str, tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else [tree]))


def _bytes(count):
    """A number of bytes, in few digits."""
    power = next(power for power in (0, 1, 2, 3) if count < 1000 ** (power + 1) or power == 3)
    return f"{count} B" if not power else f"{count / 1000**power:.1f} {('kB', 'MB', 'GB')[power - 1]}"


def _seen(field):
    """A receptive field, as "7" or "7 x 5"."""
    if field is None:
        return ""
    told = ["all" if isinf(size) else str(ceil(size)) for size in field]
    return told[0] if told[0] == told[1] else " x ".join(told)


def explain(net, input_shape, dtype="float32"):
    """The `Explanation` of what runs for an x of `input_shape`, batch included, as in ``print(explain(net, (128, 3, 32,
    32)))``: the operations of inference with the layers joined in each, and for each convolution the algorithm of each
    pass and why it was chosen. A batch norm in one operation with a convolution is folded into its weights.

    ValueError, as from the layer itself, where the shape does not fit.

    >>> net = fastnet.Sequential(fastnet.Conv2d(3, 8, 1), fastnet.BatchNorm2d(8), fastnet.ReLU())
    >>> print(explain(net, (1, 3, 8, 8)))
    input shape (1, 3, 8, 8), float32, backend 'cpu'
    step                                     output shape  computed by
    ---------------------------------------  ------------  ------------------
    Conv2d "0" + BatchNorm2d "1" + ReLU "2"  (1, 8, 8, 8)  direct: 1x1 kernel
    <BLANKLINE>
    Layers with a + between them are one operation. What does nothing at inference is left out.
    """
    rows, dtype = [], arguments.dtype(dtype).name
    for node in _checked(net).program(input_shape, dtype=dtype).after.nodes:
        shapes_ = [value.images for value in node.results]
        if node.op == "conv2d_chain_inference":
            rows += _convolutions_of_chain(net.ops, node, dtype)
            continue
        several = node.op == "opaque" and len(shapes_) > 1      # of an operation the others are its own affair
        rows.append((" + ".join(node.layers), shapes_ if several else shapes_[0], _algorithms(net.ops, node, dtype)))
    return Explanation(rows, input_shape, dtype, net.backend)


def _algorithms(ops, node, dtype):
    """How the passes of a convolution are computed: lines; those of a gradient only where they differ from forward. An
    opaque layer tells that it is one."""
    if node.op in _ALONE:
        return [_ALONE[node.op]]
    if _contract(node.op) is None:
        return []
    where = node.options.get("where") or [node.options.get(name, default) for name, default in _WHERE.items()]
    turned = node.op.startswith("conv_transpose2d")     # whose result is what in a convolution's words are the images
    images = node.results[0] if turned else node.inputs["x"]
    maker = node.inputs["packed"].node if "packed" in node.inputs else node
    return _passes(ops, dtype, images.images, maker.inputs["w"].shape, where, turned)


def _convolutions_of_chain(ops, node, dtype):
    """The rows for the convolutions of a chain, all but the first one with a + in front."""
    rows, shape, dtype = [], node.inputs["x"].shape, np.dtype(dtype)
    for place, (packed, layers) in enumerate(zip(node.inputs["packed"], node.parts, strict=True)):
        where = node.options["where"] if place == node.options["grouped"] else tuple(_WHERE.values())
        w = packed.node.inputs["w"].shape
        lines = _passes(ops, dtype, shape, w, where)
        shape = shapes.conv2d_forward(shapes.Kind(shape, dtype), shapes.Kind(w, dtype), None, *where).shape
        rows.append((_IN_BANDS * bool(rows) + " + ".join(layers), shape, lines))
    return rows


def _passes(ops, dtype, images, w, where, turned=False):
    """What computes the passes of a convolution of images and weights of these shapes, and why: lines."""
    lines = []
    for direction, title in _DIRECTIONS.items():
        own = _TURNED.get(direction, direction) if turned else direction
        name, reason = ops.conv2d_algorithm(own, np.dtype(dtype), images, w, *where)
        if f"{name}: {reason}" not in lines[:1]:
            lines.append(f"{title}{name}: {reason}")
    return lines


_CONVOLUTIONS = "conv2d", "conv_transpose2d"
_TURNED = {"forward": "backward_input", "backward_input": "forward"}
_WHERE = dict(zip(("stride", "padding", "dilation", "groups"), shapes.conv2d_forward.__defaults__[1:], strict=True))


_ABOUT_WINOGRAD = (
    "Winograd's rounding error is relative to the largest number in a tile of outputs, not to each output; a NaN or an",
    "infinity reaches its whole tile, and sums of products that are 0 or more may come out slightly below 0. Within",
    "`with fastnet.exact():` all convolutions are direct.")


class Explanation:
    """`rows`, one for each operation, and for each convolution where several are one: (the layers it computes, output
    shape, lines that tell how). It prints as a table.

    >>> explain(fastnet.Sequential(fastnet.Conv2d(3, 8, 1), fastnet.ReLU()), (1, 3, 8, 8)).rows
    [('Conv2d "0" + ReLU "1"', (1, 8, 8, 8), ['direct: 1x1 kernel'])]
    """

    def __init__(self, rows, input_shape, dtype, backend):
        self.rows, self.input_shape, self.dtype, self.backend = rows, input_shape, dtype, backend

    def __str__(self):
        body = []
        for step, shape, how in self.rows:
            body.append((step, str(shape), how[0] if how else ""))
            body += [("", "", line) for line in how[1:]]
        lines = [table(_STEPS, body, words=3)]
        if any(" + " in step for step, _, _ in self.rows):
            lines += ["", "Layers with a + between them are one operation. What does nothing at inference is left out."]
        if any(step.startswith(_IN_BANDS) for step, _, _ in self.rows):
            lines += ["", "What begins with a + goes through the image in bands of rows, with the step before it."]
        if any("Winograd F(" in line for _, _, how in self.rows for line in how):
            lines += ["", *_ABOUT_WINOGRAD]
        return f"input shape {self.input_shape}, {self.dtype}, backend {self.backend!r}\n" + "\n".join(lines)

    __repr__ = __str__
