"""The fully connected layer with weights that are kept as bfloat16, at inference where processors multiply matrices of
such numbers.

Few samples use each weight only once or a few times, so the time is that of reading the weights, and half as many bytes
take half as long. Rows of x are the pixels of one image, and the layer is a 1x1 convolution of it, see `conv.amx`.

    x (N, C) = image of N pixels, C channels        w (K, C) = K filters of one tap        y (N, K)

The weights are packed once. Whoever keeps another form of weights has to look whether these have changed, and that is
to read them; so only `sealed` ones are packed, which nobody can change.
"""
from fastnet.kernels import checks
from fastnet.kernels.cpu import epilogue
from fastnet.kernels.cpu.conv.chain_plan import ONE_BY_ONE
from fastnet.kernels.cpu.conv.ops import PackedWeights, conv2d_pack, find
from fastnet.kernels.cpu.conv.passes import AmxForward
from fastnet.kernels.cpu.runtime import empty, flat
from fastnet.kernels.cpu.shortening import multiplies_matrices
from fastnet.kernels.shapes import Kind

# Numbers of x that one line of pixels holds: so many stay in the second cache while all weights pass by once. More are
# a column, which is cut into strips that each read the weights; with more features than this there would be few samples
# in a strip, and the weights would be read more often than they need be.
_BESIDE, _FEATURES = 1 << 19, 4096


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
    packed. On two virtual cores of an Intel Xeon with AMX 1.4 to 1.8 for one image of alexnet, 2.1 for 16."""
    weights, (n, c) = {name: node.inputs[name] for name in ("w", "b") if name in node.inputs}, node.inputs["x"].shape
    sealed = trace.are_leaves(*weights.values()) and all(value.sealed for value in weights.values())
    if trace.training or not multiplies_matrices() or not sealed or (n * c > _BESIDE and c > _FEATURES):
        return
    _, way = _way((n, c), (*weights["w"].shape, 1, 1), weights["w"].dtype)
    if type(way) is not AmxForward:     # too few features
        return
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
