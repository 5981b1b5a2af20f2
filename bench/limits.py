"""What a net cannot be quicker than: for each layer the multiplications that Winograd's algorithm leaves of it at the
measured peak of multiply-adds, or the bytes that it must move at the measured bandwidth, whichever takes longer.

Bytes are those of the program as it is computed, where an operation does the work of several layers, every array
counted once an operation, and only in operations whose arrays together do not fit the last cache.
"""
import functools
from math import ceil, prod
from pathlib import Path

_PATCH = 6  # pixels of a patch of Winograd's largest form: those of m outputs under r taps are m + r - 1
_ADAM = 7   # numbers that a step moves for each weight: it, its gradient and both moments, of which it writes three


@functools.cache
def cache_bytes():
    """Of the last cache; 32 MiB where the system does not tell."""
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(size[:-1]) * 1024 for size in sizes if size.endswith("K")), default=32 << 20)


def multiplications(node):
    """Floating-point operations that are left of an operation as layers are written; 0 where it multiplies nothing."""
    kind, _, which = node.op.partition("_forward" if node.op.endswith("_forward") else "_backward_")
    if kind not in ("conv2d", "conv_transpose2d", "linear"):
        return 0
    given, made = node.inputs, node.results[0].shape
    y = (given["dy"] if "dy" in given else node.results[0]).shape
    x = made if which == "input" else given["x"].shape
    w = made if which == "weight" else given["w"].shape
    if kind == "linear":
        return 2 * prod(y) * w[1]
    if kind == "conv_transpose2d":
        return 2 * prod(x) * prod(w[1:])
    return 2 * prod(y[:2]) * w[1] * products(y[2:], w[2:], node.options)


def products(size, kernel, options):
    """How many numbers are multiplied for the result of one filter and one channel."""
    plain = prod(size) * prod(kernel)
    r = kernel[0]
    if kernel not in ((3, 3), (5, 5)) or {*options["stride"], *options["dilation"], options["groups"]} != {1}:
        return plain
    m = _PATCH + 1 - r
    return min(plain, prod(ceil(side / m) for side in size) * _PATCH ** 2)


def moved(node):
    """Bytes that an operation reads and writes, if they do not fit the cache. Weights in the kernels' form are counted
    as what they were made of."""
    if node.op in ("reshape", "flatten", "unflatten"):
        return 0
    arrays = dict.fromkeys([*node.values(), *node.results])
    whole = [one for value in arrays for one in ([value] if value.dtype.kind != "O" else value.node.values())]
    total = sum(value.size * value.dtype.itemsize for value in whole if value.dtype.kind != "O")
    return total if total > cache_bytes() else 0


def work(net, shape, training):
    """{label of a layer: [floating-point operations, bytes]} of a pass over x of a shape, in training with the step of
    Adam; the gradient for the images is not asked for."""
    program, found = net.program(shape, training=training), {}
    for traced, place, amount in ((program.before, 0, multiplications), (program.after, 1, moved)):
        images = {node for node in traced.nodes if node.results and node.results[0] is traced.dx}
        for node in traced.nodes:
            if node not in images:
                found.setdefault(node.layers[0], [0, 0])[place] += amount(node)
    if training:
        weights = sum(parameter.value.nbytes for parameter in net.parameters())
        found["Adam"] = [0, _ADAM * weights if _ADAM * weights > cache_bytes() else 0]
    return found


def seconds(amounts, reached):
    """The least time for [floating-point operations, bytes], with what `report.ceilings` tells."""
    flops, moved = amounts
    return max(flops / reached["multiply-add"], moved / reached["bandwidth"])
