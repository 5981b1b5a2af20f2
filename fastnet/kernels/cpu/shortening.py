"""Which images of a net are kept as bfloat16, see `short`, where its convolutions multiply such numbers by matrices.

A convolution rounds what it reads to bfloat16 anyway, so where only convolutions read an image it may as well be stored
like that: the numbers stay the same to the last bit, and half as much goes to memory and back. What is added to a
result, or averaged, is then rounded as well: by at most 0.4 % of itself.

Images are tied to others: what is added must be short where the result is, and so must what is joined or pooled. So
images that are tied together become short, all or none, if that moves fewer bytes: each one is written, and read by
each of its readers, in half the time, but where who makes or reads it knows no short images, one more operation writes
and reads all of it.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv.chain_plan import ONE_BY_ONE
from fastnet.kernels.cpu.conv.ops import find, shortened_by
from fastnet.kernels.cpu.short import halved
from fastnet.kernels.precision import precision

# What it costs to make other images of some, in units of what it costs to write or to read them.
_CONVERSION = 1.5

# What says how a convolution goes over an image; by default as one of single pixels does.
WHERE = dict(zip(("stride", "padding", "dilation", "groups"), ONE_BY_ONE, strict=True))


class _Able(NamedTuple):
    """What an operation can do with short images."""

    makes: bool     # whether its result may be one, and then
    tied: tuple     # inputs, by their names, are short ones as well, and else none of them is;
    free: tuple     # inputs that may be short or not


def shorten_images(trace):
    """Let the images of a trace be short where that pays."""
    if trace.training or not multiplies_matrices():
        return
    able = {node: found for node in trace.nodes if node is not None and (found := _ability(node))}
    chosen = {}     # images, in an order that is the same each time
    for images in _tied_together(able):
        if sum(_saved(image, able) for image in images) > 0:
            chosen.update(dict.fromkeys(images))
    for node in able:
        _tell(node, able, chosen)
    for image in chosen:
        _convert(trace, image, able)


def multiplies_matrices():
    """Whether matrices of bfloat16 numbers are wanted, and the processor multiplies them."""
    return precision.get() == "bfloat16" and simd.AMX


def shortens(conv):
    """Which of "x" and "y" may be short for a node of conv2d_inference, where that is worth anything."""
    if not multiplies_matrices():
        return []
    x, w = conv.inputs["x"], conv.inputs["packed"].node.inputs["w"]
    geometry, way = find("forward", x.shape, w.shape, x.dtype, where_of(conv))
    return shortened_by(way, geometry)


def where_of(conv):
    """The stride, padding, dilation and groups of a node."""
    return checks.conv2d_where(*(conv.options.get(name, default) for name, default in WHERE.items()))


def _ability(node):
    """The _Able of an operation; None for those that know nothing of short images."""
    if not node.results or node.results[0].dtype != np.float32 or node.results[0].ndim != 4:
        return None
    if node.op == "conv2d_inference":
        names = shortens(node)
        # An image that is read as x, and added as well, is short for both or for none.
        makes = "y" in names and ("x" in names or node.inputs.get("add") is not node.inputs["x"])
        return _Able(makes, ("add",) * makes, ("x",) * ("x" in names)) if names else None
    names = ("x",) if node.op == "maxpool2d_forward" and not node.results[1].uses else \
        ("arrays",) if node.op == "concat" and node.options.get("dim", 1) == 1 else ()
    return _Able(True, names, ()) if names and all(image.shape[1] % 2 == 0 for image in _images(node, names)) else None


def _images(node, names):
    """The inputs of an operation that have these names, one by one."""
    given = [node.inputs[name] for name in names if name in node.inputs]
    return [image for one in given for image in (one if isinstance(one, list) else [one])]


def _tied_together(able):
    """All images that able operations read or make, in lists of those that are tied together."""
    lists = {}
    for node, one in able.items():
        tied = [node.results[0], *_images(node, one.tied)] if one.makes else []
        for mine in (tied, *([image] for image in _images(node, one.free))):
            together = list(dict.fromkeys(image for first in mine for image in lists.get(first, [first])))
            lists.update((image, together) for image in together)
    return list({id(one): one for one in lists.values()}.values())


def _saved(image, able):
    """How many numbers' time for reading or writing is saved where this image is short."""
    uses = [_reads(use, image, able) for use in image.uses]
    return image.size * ((1 if _makes(image, able) else -_CONVERSION) + sum(uses) - _CONVERSION * (not all(uses)))


def _makes(image, able):
    return image.node in able and able[image.node].makes


def _reads(node, image, able):
    """Whether an operation can read this image as a short one, wherever it reads it."""
    return node in able and {*able[node].tied, *able[node].free}.issuperset(node.reads(image))


def _tell(node, able, chosen):
    """Tell an operation which of its images are short."""
    y = able[node].makes and node.results[0] in chosen
    if node.op == "conv2d_inference":
        x = any(image in chosen and _reads(node, image, able) for image in _images(node, able[node].free))
        short = ("x",) * x + ("y",) * y
        if short:
            options = {name: value for name, value in node.options.items() if name not in WHERE}
            node.op, node.options = "conv2d_short", {"short": short, "where": where_of(node), **options}
    elif node.op == "maxpool2d_forward" and y:
        node.op, node.results = "maxpool2d_short", node.results[:1]


def _convert(trace, image, able):
    """Let a chosen image be short, or make a short one of it where who makes it cannot; and the other way round for
    those who read it and cannot."""
    able_uses, strangers = [], []
    for use in image.uses:
        (able_uses if _reads(use, image, able) else strangers).append(use)
    if not _makes(image, able):
        trace.convert(image, "shorten", halved(image.shape), able_uses).short = True
        return
    if strangers:
        trace.convert(image, "lengthen", image.shape, strangers)
    image.shape, image.short = halved(image.shape), True
