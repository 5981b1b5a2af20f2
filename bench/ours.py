"""How fastnet runs the cases, with compiled kernels ("cpu") or with the naive ones.

``OPERATIONS[case.op](backend, case)`` makes the inputs and returns a function without arguments, which is what the
clock sees. It returns a tuple of results to compare.
"""
import nets
import numpy as np
from cases import convolution_inputs, linear_inputs, map_inputs, net_inputs, score_inputs

import fastnet
from fastnet import kernels, models


def conv2d(backend, case):
    """One of the three passes of a convolution."""
    ops, (x, w, b, dy) = kernels.load(backend), convolution_inputs(case)
    geometry = (case.stride,) * 2, (case.padding,) * 4, (1, 1), case.groups
    runs = {
        "conv2d_forward": lambda: (ops.conv2d_forward(x, w, b, *geometry),),
        "conv2d_backward_input": lambda: (ops.conv2d_backward_input(dy, w, x.shape, *geometry),),
        "conv2d_backward_weight": lambda: ops.conv2d_backward_weight(dy, x, w.shape, *geometry),
    }
    return at_precision(case, runs[case.op])


def at_precision(case, run):
    """The function, within what the case's precision asks for."""
    if case.precision == "float32":
        return run
    within = {"exact": kernels.exact, "bfloat16": kernels.bfloat16_products}[case.precision]

    def run_within():
        with within():
            return run()

    return run_within


def linear(backend, case):
    """One of the three passes of a product with weights."""
    ops, (x, w, b, dy) = kernels.load(backend), linear_inputs(case)
    return {
        "linear_forward": lambda: (ops.linear_forward(x, w, b),),
        "linear_backward_input": lambda: (ops.linear_backward_input(dy, w),),
        "linear_backward_weight": lambda: ops.linear_backward_weight(dy, x),
    }[case.op]


def maxpool2d(backend, case):
    """Max-pooling, forward and backward."""
    ops, (x, dy) = kernels.load(backend), map_inputs(case)
    geometry = (case.kernel_size,) * 2, (case.stride,) * 2, (case.padding,) * 4

    def run():
        y, index = ops.maxpool2d_forward(x, *geometry)
        return y, ops.maxpool2d_backward(dy, index, x.shape, *geometry)

    return run


def batchnorm_relu(backend, case):
    """Batch normalisation in training and the ReLU after it, forward and backward."""
    ops, (x, dy) = kernels.load(backend), map_inputs(case)
    gamma, beta = np.ones(case.channels, np.float32), np.zeros(case.channels, np.float32)

    relu = ("relu", 0.0, 0.0)

    def fused():
        y, mean, var = ops.batchnorm_forward(x, gamma, beta, 1e-5, activation=relu)
        return y, *ops.batchnorm_backward(dy, x, gamma, mean, var, 1e-5, beta, relu)

    def plain():
        h, mean, var = ops.batchnorm_forward(x, gamma, beta, 1e-5)
        y = ops.activation_forward(h, "relu")
        return y, *ops.batchnorm_backward(ops.activation_backward(dy, y, "relu"), x, gamma, mean, var, 1e-5)

    return fused if backend == "cpu" else plain     # as that backend's rules have it


def softmax_cross_entropy(backend, case):
    """Loss and gradient of the scores."""
    ops, (logits, labels) = kernels.load(backend), score_inputs(case)
    return lambda: ops.softmax_cross_entropy(logits, labels)


def network(model, classes=10, options=()):
    """A net by name, with the same first weights each time, and batch norm that does something at inference."""
    fastnet.manual_seed(0)
    maker = getattr(models, model, None) or getattr(nets, model)
    net, rng = maker(classes, **dict(options)), np.random.default_rng(1)
    state = net.state_dict()
    for name in [name.removesuffix("running_mean") for name in state if name.endswith("running_mean")]:
        channels = state[f"{name}weight"].size
        for part in ("bias", "running_mean"):
            state[name + part] = rng.normal(0, 0.1, channels)
        for part in ("weight", "running_var"):
            state[name + part] = rng.uniform(0.5, 1.5, channels)
    net.load_state_dict(state)
    return net


def network_of(case):
    """The net of a case."""
    return network(case.model, case.classes, case.options)


def step(backend, case):
    """Forward, loss, backward and Adam; the loss and the gradient of the first weights are what is compared."""
    (x, labels), net = net_inputs(case), network_of(case).to(backend)
    loss = fastnet.CrossEntropyLoss(backend=backend)
    optimizer = fastnet.Adam(net.parameters(), backend=backend)
    first = next(iter(net.parameters()))

    def run():
        value, dlogits = loss(net.forward(x, training=True), labels)
        net.backward(dlogits, need_dx=False)
        optimizer.step()
        return value, first.grad

    return at_precision(case, run)


def inference(backend, case):
    """The scores of a whole net, whose weights stay as they are: the engines beside it take them as constants."""
    (x, _), net = net_inputs(case), fastnet.seal(network_of(case)).to(backend)
    return at_precision(case, lambda: (net(x),))


def describe(net, shape=(3, 32, 32)):
    """What a net does at inference with images of a shape, as its layers are written, in plain lists and dictionaries,
    from which the other libraries build theirs: ``{"nodes": [[operation, inputs, options, result], ...], "shapes":
    {weight: shape}, "images": {input: shape of one sample}}``. An input is "x", the number of the node that makes it, a
    weight's name in the state_dict, or a list of such."""
    traced = net.program((1, *shape)).before
    names = {traced.x: "x"} | {leaf: leaf.name for leaf in traced.leaves}
    nodes, samples = [], {"x": shape}
    for i, node in enumerate(traced.nodes):
        inputs = {name: [names[one] for one in given] if isinstance(given, list) else names[given]
                  for name, given in node.inputs.items()}
        for result, value, options in results_of(node, str(i)):
            names[value], samples[result] = result, value.shape[1:]
            nodes.append([node.op, inputs, options, result])
    assert traced.y is traced.nodes[-1].results[0]
    return {"nodes": nodes, "shapes": {leaf.name: leaf.shape for leaf in traced.leaves}, "images": samples}


def results_of(node, name):
    """(name, Value, options) for what a node makes: of a pooling the largest values, and not where they were; of a cut
    each part, as numbers from `start` up to `stop` along an axis."""
    if node.op != "split":
        return [(name, node.results[0], node.options)]
    stops = np.cumsum(node.options["sizes"]).tolist()
    return [(f"{name}.{part}", value, {"dim": node.options["dim"], "start": stop - size, "stop": stop})
            for part, (value, size, stop) in enumerate(zip(node.results, node.options["sizes"], stops, strict=True))]


def described(case):
    """What the other libraries are told of the net of a case: `describe`, and the state_dict."""
    net = network_of(case)
    return describe(net, (case.channels, case.size, case.size)), net.state_dict()


OPERATIONS = {
    "conv2d_forward": conv2d,
    "conv2d_backward_input": conv2d,
    "conv2d_backward_weight": conv2d,
    "linear_forward": linear,
    "linear_backward_input": linear,
    "linear_backward_weight": linear,
    "maxpool2d": maxpool2d,
    "batchnorm_relu": batchnorm_relu,
    "softmax_cross_entropy": softmax_cross_entropy,
    "step": step,
    "inference": inference,
}
