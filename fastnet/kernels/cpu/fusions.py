"""The rules by which a list of operations becomes one with fewer passes over memory.

A rule is handed a `fastnet.program` trace and one of its nodes, looks at who makes what the node reads and who reads
what it makes, and joins the two where one kernel does both. What comes out is the same to the last bit, but for batch
norms that are folded into the weights before them, and for what `bfloat16_products()` lets be rounded. The fused forms
are keyword arguments behind the contract's:

    add=a            a is added to the result
    activation=      (function, alpha, beta), as `activation_forward` takes them, applied to the result, last
    mask=y, masking= the result times the derivative of that activation where it gave y: the way back through it
    shared=d         of products: the gradient d for means is shared out among the numbers that they are of, and added
    relu=            of max-pooling, which then passes no gradient where the largest number is 0 or less

Each rule tells what it gains: the time of a net without the rule over that with it, medians of pairs in turns, on two
virtual cores of an AMD EPYC with AVX2 and a batch of 128. They move by 0.03 from run to run; what gains no time saves
an array that need not be kept.
"""
from fastnet.kernels.activations import reads
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv.chain_plan import ONE_BY_ONE, Chain, bands_of
from fastnet.kernels.cpu.packed_linear import pack_linear
from fastnet.kernels.cpu.shortening import shorten_images, shortens, where_of
from fastnet.kernels.precision import precision

RULES = []

# What can add an array to its result, apply an activation to it, or take it back through one.
# What gives the same numbers in another order or shape.
_ROWS = ("flatten", "reshape")
_NORMS = ("batchnorm_forward", "batchnorm_inference", "groupnorm_forward", "layernorm_forward")
_CONVOLVES = ("conv2d_forward", "conv2d_inference")
_LIKE_CONVOLUTIONS = (*_CONVOLVES, "conv_transpose2d_forward", "conv_transpose2d_inference",
                      "locally_connected2d_forward")
_BACK = ("conv2d_backward_input", "conv_transpose2d_backward_input", "locally_connected2d_backward_input")
_ADDS = (*_LIKE_CONVOLUTIONS, *_NORMS, *_BACK, "dropout")
_ACTIVATES = (*_LIKE_CONVOLUTIONS, "linear_forward", *_NORMS, "add", "dropout")
_MASKS = (*_BACK, "linear_backward_input", "add", "dropout")

_HALVES = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0), "dilation": (1, 1), "ceil_mode": False}
_LARGEST = "maxpool2d_forward", "adaptive_maxpool2d_forward"


def rule(*ops):
    """Register a rule for nodes of these operations; rules are applied in the order of this file."""
    def register(function):
        RULES.append((ops, function))
        return function
    return register


@rule("concat")
def concat_of_concat(trace, node):
    """concat(concat(a, b), c) = concat(a, b, c). With `split_of_split` 1.06 in training of four nested ones."""
    parts = []
    for value in node.inputs["arrays"]:
        inner = trace.source(value, "concat")
        parts += inner.inputs["arrays"] if inner and _dim(inner) == _dim(node) else [value]
    if len(parts) > len(node.inputs["arrays"]):
        node.give("arrays", parts)


@rule("split")
def split_of_split(trace, node):
    """The way back through `concat_of_concat`."""
    results, sizes, waiting = [], [], list(zip(node.results, node.options["sizes"], strict=True))
    while waiting:
        value, size = waiting.pop(0)
        inner = next(iter(value.uses)) if len(value.uses) == 1 else None
        if inner is not None and inner.op == "split" and _dim(inner) == _dim(node):
            waiting = [*zip(inner.results, inner.options["sizes"], strict=True), *waiting]
            trace.remove(inner)
            for part in inner.results:
                part.node = node
        else:
            results.append(value)
            sizes.append(size)
    node.results, node.options = tuple(results), node.options | {"sizes": sizes}


@rule("batchnorm_inference")
def norm_within_weights(trace, node):
    """At inference a convolution and the batch norm after it are one convolution, with other weights and bias: 1.05 for
    resnet20, with `packed_weights` 1.55 for one image."""
    conv = trace.source(node.inputs["x"], "conv2d_forward", "conv_transpose2d_forward")
    scales = {name: given for name, given in node.inputs.items() if name != "x"}
    if conv and _plain(conv) and _constant(trace, conv, scales):
        # Of a transposed convolution's weights it is the groups that tell which ones make a channel.
        groups = {"groups": conv.options["groups"]} if conv.op == "conv_transpose2d_forward" else {}
        _pack(trace, conv, "pack_folded", scales, node.options | groups, node.layers)
        trace.absorb(node, conv)


@rule("conv2d_forward", "conv_transpose2d_forward")
def packed_weights(trace, node):
    """At inference weights are kept in the form in which kernels read them: 1.45 for one image of small_convnet."""
    if _constant(trace, node, {}):
        _pack(trace, node, "pack", {}, {}, ())


@rule("add")
def mean_within_product(trace, node):
    """The way back to an array that is scaled by what follows from its means, as in squeeze and excitation: no array of
    the means' gradients, and none of the product alone. On a Zen 4 1.03 in training of efficientnet_b0."""
    for mine, other in (("a", "b"), ("b", "a")):
        product = trace.source(node.inputs[mine], "multiply")
        mean = trace.source(node.inputs[other], "global_avgpool_backward", "mean_backward")
        if product and mean and "shared" not in product.inputs \
                and product.inputs["b"].shape == mean.inputs["dy"].shape:
            product.give("shared", mean.inputs["dy"])
            product.layers = (*product.layers, *mean.layers)
            trace.absorb(node, product)
            trace.remove(mean)
            return


@rule("add")
def sum_at_the_end(trace, node):
    """The sum at the end of a block, forward, or at its beginning, backward: what was made last adds the other. 0.97 to
    1.03 in training of resnet20, 1.01 at inference."""
    pairs = [(node.inputs["a"], node.inputs["b"]), (node.inputs["b"], node.inputs["a"])]
    found = [(maker.place, maker, other) for mine, other in pairs
             if (maker := trace.source(mine, *_ADDS)) and _plain(maker) and other is not mine]
    if found:
        _, maker, other = max(found, key=lambda one: one[0])
        maker.give("add", other)
        trace.absorb(node, maker)


@rule(*_LARGEST)
def relu_within_pooling(trace, node):
    """max(max(x, 0)) = max(max(x), 0), a quarter of the work; and no gradient passes where that is not above 0, so that
    the index no longer tells where that stood. 1.07 in training of small_convnet."""
    relu, backward = node.inputs["x"].node, node.op.replace("forward", "backward")
    if relu is None or relu.op != "activation_forward" or relu.options["function"] != "relu" \
            or any(use.op != backward for use in node.results[1].uses):
        return
    others = [use for use in relu.results[0].uses if use is not node]
    masks = [use for use in others if use.op == "activation_backward" and use.inputs["kept"] is relu.results[0]
             and (pool := trace.source(use.inputs["dy"], backward))
             and pool.inputs["index"] is node.results[1]]
    if others == masks:
        node.options = node.options | {"relu": True}
        node.layers = (*relu.layers, *node.layers)
        node.give("x", relu.inputs["x"])
        for mask in masks:
            trace.absorb(mask, mask.inputs["dy"].node)
        trace.remove(relu)


@rule("activation_forward")
def activation_at_the_end(trace, node):
    """What makes an array applies the activation to it. One whose derivative reads x stays after a convolution in
    training: x has two readers then. 1.05 in training of resnet20, 1.06 at inference of small_convnet."""
    maker = trace.source(_behind_rows(trace, node.inputs["x"]), *_ACTIVATES)
    if maker and _activation(maker) is None:
        maker.options = maker.options | {"activation": _function(node)}
        _absorb(trace, node, maker, "x")


@rule("activation_forward")
def activation_within_norm(trace, node):
    """An activation whose derivative reads x, after a batch norm: its x is worked out again on the way back, so that
    it need not be written. 1.05 in training of three convolutions with batch norm and SiLU."""
    norm = node.inputs["x"].node
    if norm is None or norm.op != "batchnorm_forward" or not _plain(norm):
        return
    others = [use for use in norm.results[0].uses if use is not node]
    if others and all(use.op == "activation_backward" and _norm_backward(use, norm) for use in others):
        for use in others:
            _undo_within(trace, use, norm)
        norm.options = norm.options | {"activation": _function(node)}
        trace.absorb(node, norm)


@rule("activation_backward")
def activation_within_norm_backward(trace, node):
    """One whose derivative reads y, likewise, where the batch norm added nothing to it: 0.99 to 1.02 in training of
    resnet20."""
    norm = node.inputs["kept"].node
    if norm is not None and norm.op == "batchnorm_forward" and "add" not in norm.inputs and _reads_y(node) \
            and _activation(norm) == _function(node) and _norm_backward(node, norm):
        _undo_within(trace, node, norm)


@rule("activation_backward")
def derivative_at_the_end(trace, node):
    """What makes a gradient takes it back through the activation before, where y tells how: 0.99 in training of
    small_convnet."""
    maker, kept = trace.source(_behind_rows(trace, node.inputs["dy"]), *_MASKS), node.inputs["kept"]
    if maker and maker.results[0].shape != kept.shape:
        kept = _images_of(kept)
    if maker and "mask" not in maker.inputs and _activation(maker) is None and _reads_y(node) \
            and maker.results[0].shape == kept.shape:
        maker.give("mask", kept)
        maker.options = maker.options | {"masking": _function(node)}
        _absorb(trace, node, maker, "dy")


@rule("maxpool2d_forward")
def pooling_within_convolution(trace, node):
    """Only the largest of each 2 x 2 pixels is ever written, and at inference not where it stood. 1.01 in training of
    small_convnet, 1.09 at inference."""
    conv = trace.source(node.inputs["x"], *_CONVOLVES)
    if conv and conv.op == "conv2d_inference" and shortens(conv):
        return  # one after the other there, and with short images in between
    halves = all(node.options.get(name, wanted) == wanted for name, wanted in _HALVES.items())
    if conv and _plain(conv) and halves and (conv.op == "conv2d_forward" or not node.results[1].uses):
        relu = {"relu": True} if node.options.get("relu") else {}
        node.op, node.options = conv.op.replace("conv2d", "conv2d_maxpool"), conv.options | relu
        node.layers = (*conv.layers, *node.layers)
        inputs = dict(conv.inputs)
        node.take("x")
        for name, given in inputs.items():
            node.give(name, given)
        trace.remove(conv)
        if node.op == "conv2d_maxpool_inference":
            node.results = node.results[:1]


@rule("conv2d_inference")
def chain_in_bands(trace, node):
    """A depthwise convolution and the 1x1 convolutions around it go through the image in bands, which stay in a cache.
    On two virtual cores of an Intel Xeon 1.4 for 16 images of 224 pixels through mobilenet_v2, 1.1 for one."""
    if not _is_grouped(node):
        return
    before, made = trace.source(node.inputs["x"], "conv2d_inference"), node.results[0]
    if before and (not _is_pointwise(before) or "add" in before.inputs or node.reads(node.inputs["x"]) != ["x"]):
        before = None
    behind = next(iter(made.uses)) if len(made.uses) == 1 and "add" not in node.inputs else None
    if behind and (behind.op != "conv2d_inference" or not _is_pointwise(behind) or behind.reads(made) != ["x"]):
        behind = None
    for expand, project in ((before, behind), (before, None), (None, behind)):
        if (expand or project) and _has_bands(expand, node, project):
            _join(trace, expand, node, project)
            return


@rule("unflatten")
def images_as_they_were(trace, node):
    """Rows that are made of images in order to become these images again, as between two Conv1d."""
    images = _images_of(node.inputs["y"])
    if images.shape == node.results[0].shape:
        trace.replace(node.results[0], images)
        trace.remove(node)


def _images_of(value):
    """What a value was before it was turned to rows, or got another shape."""
    while value.node is not None and value.node.op in _ROWS:
        value = value.node.inputs["x"]
    return value


def _behind_rows(trace, value):
    """The same as far as nobody else reads what is in between: what is done to each number can be done there."""
    while maker := trace.source(value, *_ROWS):
        value = maker.inputs["x"]
    return value


def _absorb(trace, node, maker, name):
    """`maker`, which made the node's input of that name, or the images in it, now does the node's work as well."""
    if node.inputs[name] is maker.results[0]:
        trace.absorb(node, maker)
    else:
        trace.replace(node.results[0], node.inputs[name])
        trace.skip(node, maker)


def _dim(node):
    """The axis along which it joins or cuts."""
    return node.options.get("dim", 1)


def _plain(node):
    """Whether it does what its operation says and no more."""
    return "add" not in node.inputs and "mask" not in node.inputs and _activation(node) is None


def _activation(node):
    return node.options.get("activation")


def _function(node):
    """(function, alpha, beta) of an activation's operation."""
    options = node.options
    return options["function"], options.get("alpha", 0.0), options.get("beta", 0.0)


def _reads_y(node):
    """Whether the derivative of an activation's operation follows from what the activation gave."""
    return reads(node.options["function"]) == "y"


def _constant(trace, conv, more):
    """Whether a convolution's weights, and these other Values, stay the same from pass to pass."""
    weights = [conv.inputs[name] for name in ("w", "b") if name in conv.inputs]
    return not trace.training and trace.are_leaves(*weights, *more.values())


def _pack(trace, conv, how, more, options, layers):
    """Let a convolution read weights that are computed once."""
    weights = {name: conv.inputs[name] for name in ("w", "b") if name in conv.inputs}
    packed = trace.constant(conv.op.replace("forward", how), weights | more, options, (*conv.layers, *layers))
    for name in weights:
        conv.take(name)
    conv.op = conv.op.replace("forward", "inference")
    conv.give("packed", packed)


def _norm_backward(node, norm):
    """The way back through that batch norm, where it alone reads what `node` gives."""
    readers = list(node.results[0].uses)
    fits = len(readers) == 1 and readers[0].op == "batchnorm_backward" and readers[0].inputs["x"] is norm.inputs["x"]
    return readers[0] if fits and readers[0].inputs["dy"] is node.results[0] else None


def _undo_within(trace, node, norm):
    """Let the way back through a batch norm begin with that through its activation."""
    backward = _norm_backward(node, norm)
    backward.options = backward.options | {"activation": _function(node)}
    if "beta" in norm.inputs:
        backward.give("beta", norm.inputs["beta"])
    backward.give("dy", node.inputs["dy"])
    backward.layers = (*node.layers, *backward.layers)
    trace.remove(node)


def _weights_of(conv):
    """The shape of a convolution's weights."""
    return conv.inputs["packed"].node.inputs["w"].shape


def _is_grouped(conv):
    return conv.options.get("groups", 1) > 1


def _is_pointwise(conv):
    """Whether it is a 1x1 convolution that reads every pixel once."""
    return _weights_of(conv)[2:] == (1, 1) and where_of(conv) == ONE_BY_ONE


def _has_bands(expand, grouped, project):
    """Whether these convolutions, of which None are missing, are worth a chain."""
    if precision.get() == "bfloat16" and not simd.AMX:  # for which they have other ways
        return False
    shapes = [None if conv is None else _weights_of(conv) for conv in (expand, grouped, project)]
    x = (expand or grouped).inputs["x"]
    return bands_of(Chain(x.shape, *shapes, where_of(grouped)), x.dtype) is not None


def _join(trace, expand, grouped, project):
    """Let the last of these convolutions do the work of all."""
    convs = [conv for conv in (expand, grouped, project) if conv is not None]
    last, x, packed = convs[-1], convs[0].inputs["x"], [conv.inputs["packed"] for conv in convs]
    last.parts = tuple(conv.layers for conv in convs)
    last.op, last.layers = "conv2d_chain_inference", sum(last.parts, ())
    last.options = {"grouped": convs.index(grouped), "where": where_of(grouped),
                    "activations": [_activation(conv) for conv in convs]}
    last.give("x", x)
    last.give("packed", packed)
    for conv in reversed(convs[:-1]):
        trace.remove(conv)


RULES.append((("linear_forward",), pack_linear))
# What is decided for a whole trace, when everything else is.
RULES.append((None, shorten_images))
