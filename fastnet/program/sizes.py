"""What a list of operations takes: bytes at inference and in training, and how much of the image each number sees."""
from math import inf, prod
from typing import NamedTuple

from fastnet.program import trees
from fastnet.program.trace import root


def nbytes(values):
    """What the numbers of some Values take."""
    return sum(prod(value.shape) * value.dtype.itemsize for value in values if value.dtype != object)


def inference_memory(traced):
    """The most bytes that x, what it becomes and the results take at a time, each being let go after its last use. What
    an operation needs for itself, and weights, are not counted."""
    last = {root(value): node for node in traced.nodes for value in node.values()}
    last.update(dict.fromkeys(map(root, trees.flat(traced.y)), None))
    live = {root(value) for value in trees.flat(traced.x)}
    most = nbytes(live)
    for node in traced.nodes:
        live.update(map(root, node.results))
        most = max(most, nbytes(live))
        live = {value for value in live if last.get(value, node) is not node}
    return most


def training_memory(traced):
    """The bytes of all that forward leaves to backward: x and results that the gradients read. Weights, gradients and
    what an optimiser keeps are not counted."""
    early = {root(value) for value in trees.flat(traced.x)}
    for node in traced.nodes:
        if not node.backward:
            early.update(map(root, node.results))
    read = {root(value) for node in traced.nodes if node.backward for value in node.values()}
    return nbytes(early & read)


class Field(NamedTuple):
    """How many pixels of the image a number sees along an axis, infinity where it sees all, and how many lie between
    the middles of what two neighbours see."""

    size: float
    jump: float


_ALL = Field(inf, inf), Field(inf, inf)


def receptive_fields(traced):
    """{Value: (Field vertically, Field horizontally)} of a net for images: of x and of all that operations with windows
    make of it, by the formula size + (kernel - 1) jump, jump stride, whatever the image's size. A Value that is another
    one reshaped is known as that, see `root`; those of other operations are missing."""
    if not trees.is_leaf(traced.x) or len(traced.x.shape) != 4:
        return {}
    fields = {traced.x: (Field(1, 1), Field(1, 1))}
    for node in traced.nodes:
        given = [root(value) for value in node.values() if value not in traced.leaves and value not in traced.draws]
        if node.op == "reshape" or not given or not all(value in fields for value in given):
            continue
        seen = tuple(max(axis) for axis in zip(*(fields[value] for value in given), strict=True))
        for value in node.results:
            found = _after(node, seen, value)
            if found is not None:
                fields[value] = found
    return fields


def _after(node, seen, value):
    """The Fields of a result, of those of what was read; None where that is not known."""
    given = root(next(node.values())).shape
    if len(value.shape) == 2 or node.op == "global_avgpool_forward":    # made of rows, or of whole images
        return _ALL
    windows = _windows(node, given, value.shape)
    if windows is not None:
        return tuple(Field(field.size + (kernel - 1) * field.jump, field.jump * stride)
                     for field, (kernel, stride) in zip(seen, windows, strict=True))
    same = len(value.shape) == len(given) == 4 and value.shape[2:] == given[2:]
    return seen if same or node.op == "pad2d_forward" else None


def _windows(node, given, made):
    """(how many pixels a window covers, how far they are apart) along both axes; None for what has no windows."""
    options = node.options
    if node.op == "conv2d_forward":
        kernel, stride, dilation = node.inputs["w"].shape[2:], options.get("stride", (1, 1)), options.get("dilation",
                                                                                                           (1, 1))
    elif node.op == "locally_connected2d_forward":
        kernel, stride, dilation = node.inputs["w"].shape[2:4], options.get("stride", (1, 1)), (1, 1)
    elif node.op in ("maxpool2d_forward", "avgpool2d_forward"):
        kernel, stride, dilation = options["kernel_size"], options["stride"], options.get("dilation", (1, 1))
    elif node.op == "conv_transpose2d_forward":
        reach = [size * step - step + 1 for size, step in
                 zip(node.inputs["w"].shape[2:], options.get("dilation", (1, 1)), strict=True)]
        steps = options.get("stride", (1, 1))
        return [(-(-covered // step), 1 / step) for covered, step in zip(reach, steps, strict=True)]
    elif node.op.startswith("adaptive_"):
        return [(-(-before // after), before / after) for before, after in zip(given[2:], made[2:], strict=True)]
    elif node.op == "upsample2d_forward":
        near = 1 if options.get("mode", "nearest") == "nearest" else 2
        return [(near if after > before else -(-before // after), before / after)
                for before, after in zip(given[2:], made[2:], strict=True)]
    else:
        return None
    return [(step * (size - 1) + 1, far) for size, step, far in zip(kernel, dilation, stride, strict=True)]
