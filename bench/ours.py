"""How fastnet runs the cases, with compiled kernels ("cpu") or with the naive ones.

``OPERATIONS[case.op](backend, case)`` makes the inputs and returns a function without arguments, which is what the
clock sees. It returns a tuple of results to compare.
"""
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

    def run():
        y, mean, var = ops.batchnorm_forward(x, gamma, beta, 1e-5, relu=True)
        return y, *ops.batchnorm_backward(dy, x, gamma, beta, mean, var, 1e-5, relu=True)

    return run


def softmax_cross_entropy(backend, case):
    """Loss and gradient of the scores."""
    ops, (logits, labels) = kernels.load(backend), score_inputs(case)
    return lambda: ops.softmax_cross_entropy(logits, labels)


def network(model):
    """A net by name, with the same first weights each time, and batch norm that does something at inference."""
    fastnet.manual_seed(0)
    net, rng = getattr(models, model)(10), np.random.default_rng(1)
    state = net.state_dict()
    for name in [name.removesuffix("running_mean") for name in state if name.endswith("running_mean")]:
        channels = state[f"{name}weight"].size
        for part in ("bias", "running_mean"):
            state[name + part] = rng.normal(0, 0.1, channels)
        for part in ("weight", "running_var"):
            state[name + part] = rng.uniform(0.5, 1.5, channels)
    net.load_state_dict(state)
    return net


def step(backend, case):
    """Forward, loss, backward and Adam; the loss and the gradient of the first weights are what is compared."""
    (x, labels), net = net_inputs(case), network(case.model).to(backend)
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
    """The scores of a whole net."""
    (x, _), net = net_inputs(case), network(case.model).to(backend)
    return lambda: (net(x),)


ARGUMENTS = {
    "Conv2d": ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"),
    "Linear": ("in_features", "out_features"),
    "BatchNorm2d": ("num_features", "eps"),
    "MaxPool2d": ("kernel_size", "stride"),
}


def describe(layer):
    """A net in plain lists, from which the other libraries build theirs: [class, arguments], or [class, parts] where
    it holds others."""
    kind = type(layer).__name__
    if kind == "Sequential":
        return [kind, [describe(part) for part in layer]]
    if kind == "Residual":
        return [kind, [describe(layer.body), layer.shortcut and describe(layer.shortcut)]]
    arguments = {name: getattr(layer, name) for name in ARGUMENTS.get(kind, ())}
    if kind in ("Conv2d", "Linear"):
        arguments["bias"] = layer.bias is not None
    return [kind, arguments]


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
