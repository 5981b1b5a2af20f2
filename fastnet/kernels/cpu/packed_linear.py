"""The fully connected layer with weights that are kept as bfloat16, at inference where processors multiply matrices of
such numbers.

Few samples use each weight only once or a few times, so the time is that of reading the weights, and half as many bytes
take half as long. Rows of x are the pixels of one image, and the layer is a 1x1 convolution of it, see `conv.amx`.

    x (N, C) = image of N pixels, C channels        w (K, C) = K filters of one tap        y (N, K)

The weights are packed once. Whoever keeps another form of weights has to look whether these have changed, and that is
to read them; so only `sealed` ones are packed, which nobody can change.
"""
from fastnet.kernels import checks
from fastnet.kernels.cpu import epilogue, simd
from fastnet.kernels.cpu.conv.chain_plan import ONE_BY_ONE
from fastnet.kernels.cpu.conv.ops import PackedWeights, conv2d_pack, find
from fastnet.kernels.cpu.runtime import empty, flat
from fastnet.kernels.precision import precision
from fastnet.kernels.shapes import Kind

# Numbers of x that one line of pixels holds: so many stay in the second cache while all weights pass by once. More are
# a column, which is cut into strips that each read the weights.
_BESIDE = 1 << 19


def linear_pack(w, b=None):
    """w and b for `linear_inference`: they must not change meanwhile."""
    w = checks.floating(w, "w")
    checks.linear_weights(w.shape)
    return conv2d_pack(w.reshape(*w.shape, 1, 1), b)


def linear_inference(x, packed, activation=None):
    """linear_forward with weights from `linear_pack`."""
    checks.conv2d_packed(packed, PackedWeights)
    x = checks.floating(x, "x")
    n, k = checks.linear_shape(x.shape, packed.w.shape[:2])
    epilogue.checked(Kind((n, k), x.dtype), None, activation)
    y = empty((n, k), x.dtype)
    _, way = _way(x.shape, packed.w.shape, x.dtype)
    out = y.reshape(-1)
    way.run(flat(x), *packed.form(way, x.dtype), out, epilogue.make(out, None, activation))
    return y


def pack_linear(trace, node):
    """A rule, see `fusions`: at inference, within `bfloat16_products()`, layers whose weights are sealed have them
    packed. On two virtual cores of an Intel Xeon with AMX ... for one image of alexnet."""
    weights = {name: node.inputs[name] for name in ("w", "b") if name in node.inputs}
    w = weights["w"]
    if trace.training or precision.get() != "bfloat16" or not simd.AMX or not trace.are_leaves(*weights.values()) \
            or not all(value.sealed for value in weights.values()):
        return
    _, way = _way(node.inputs["x"].shape, (*w.shape, 1, 1), w.dtype)
    if "x" not in getattr(way, "shortens", ()):
        return  # too few features for matrices
    packed = trace.constant("linear_pack", weights, {}, node.layers)
    for name in weights:
        node.take(name)
    node.op = "linear_inference"
    node.give("packed", packed)


def _way(x_shape, w_shape, dtype):
    return find("forward", _image(x_shape), w_shape, dtype, ONE_BY_ONE)


def _image(x_shape):
    """The shape of the image that rows are: a line, or a column where that would be long."""
    n, c = x_shape
    return (1, c, 1, n) if n * c <= _BESIDE else (1, c, n, 1)
