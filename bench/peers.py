"""How PyTorch runs the cases: the same inputs, the same results, in three ways of setting it up.

``OPERATIONS[case.op](case, way)`` returns a function without arguments, which is what the clock sees; it returns a
tuple of tensors. ``way`` is one of WAYS. Cases with a net also take ``network``: what `ours.describe` says, and the
state_dict.
"""
import torch
from cases import convolution_inputs, linear_inputs, map_inputs, net_inputs, score_inputs
from torch import nn
from torch.nn import functional

aten = torch.ops.aten
WAYS = EAGER, CHANNELS_LAST, COMPILED = "torch", "torch channels-last", "torch compiled"
TCMALLOC = "torch tcmalloc"     # channels-last, in another process: see `elsewhere`


def tensors(arrays, way):
    """Tensors with the numbers of NumPy arrays, in the memory layout that belongs to the way."""
    result = [torch.from_numpy(array).contiguous() for array in arrays]
    if way == EAGER:
        return result
    return [t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for t in result]


def conv2d(case, way):
    """One of the three passes of a convolution, by itself; of arrays that are bfloat16 already where that is asked."""
    x, w, b, dy = tensors(convolution_inputs(case), way)
    if case.precision == "bfloat16":
        x, w, b, dy = (t.bfloat16() for t in (x, w, b, dy))
    stride, padding = [case.stride] * 2, [case.padding] * 2
    if case.op == "conv2d_forward":
        return lambda: (functional.conv2d(x, w, b, stride, padding, 1, case.groups),)
    if case.op == "conv2d_backward_input":
        wanted, results = [True, False, False], slice(0, 1)
    else:
        wanted, results = [False, True, True], slice(1, 3)
    return lambda: aten.convolution_backward(
        dy, x, w, [case.out_channels], stride, padding, [1, 1], False, [0, 0], case.groups, wanted)[results]


def linear(case, way):
    """One of the three passes of a product with weights, as autograd computes them."""
    x, w, b, dy = tensors(linear_inputs(case), way)
    return {
        "linear_forward": lambda: (functional.linear(x, w, b),),
        "linear_backward_input": lambda: (dy @ w,),
        "linear_backward_weight": lambda: (dy.T @ x, dy.sum(0)),
    }[case.op]


def maxpool2d(case, way):
    """Max-pooling, forward and backward."""
    x, dy = tensors(map_inputs(case), way)
    geometry = [case.kernel_size] * 2, [case.stride] * 2, [case.padding] * 2, [1, 1], False

    def run():
        y, index = aten.max_pool2d_with_indices(x, *geometry)
        return y, aten.max_pool2d_with_indices_backward(dy, x, *geometry, index)

    return run


def batchnorm_relu(case, way):
    """Batch normalisation in training and the ReLU after it, in place where nobody fuses it, forward and backward."""
    x, dy = tensors(map_inputs(case), way)
    gamma, beta = torch.ones(case.channels), torch.zeros(case.channels)

    def run():
        y, mean, rstd = aten.native_batch_norm(x, gamma, beta, None, None, True, 0.1, 1e-5)
        dz = aten.threshold_backward(dy, y.relu_(), 0)
        return y, *aten.native_batch_norm_backward(dz, x, gamma, None, None, mean, rstd, True, 1e-5, [True] * 3)

    def differentiated():
        y = forward(x, gamma, beta)
        return y, *torch.autograd.grad(y, leaves, dy)

    if way != COMPILED:
        return run
    forward = torch.compile(lambda x, gamma, beta: functional.batch_norm(x, None, None, gamma, beta, True).relu())
    leaves = [t.requires_grad_() for t in (x, gamma, beta)]
    return differentiated


def softmax_cross_entropy(case, way):
    """Loss and gradient of the scores."""
    logits, labels = tensors(score_inputs(case), way)
    logits.requires_grad_()

    def run():
        value = functional.cross_entropy(logits, labels)
        return value, *torch.autograd.grad(value, logits)

    return run


class Net(nn.Module):
    """The net that `ours.describe` tells of: modules with the parameter names of fastnet's layers, called in the same
    order; a result is let go after its last reader, as in a row of layers."""

    def __init__(self, description):
        super().__init__()
        self.steps = []     # (function or module, the names of its inputs, that of its result, names of no more use)
        nodes, weights = description["nodes"], description["shapes"]
        given = [[name for name in flat(inputs) if name not in weights] for _, inputs, _, _ in nodes]
        last = {name: i for i, names in enumerate(given) for name in names}
        made = {result: op for op, _, _, result in nodes}
        for i, (op, inputs, options, _) in enumerate(nodes):
            shapes = {name: weights[source] for name, source in inputs.items() if str(source) in weights}
            module = MODULES[op](options, shapes)
            for name in ("w", "gamma"):
                if name in inputs:
                    self.place(inputs[name].removesuffix(".weight"), module)
            if isinstance(module, (nn.ReLU, nn.LeakyReLU, nn.Hardtanh)) and last[given[i][0]] == i:
                module.inplace = made.get(given[i][0]) in OVERWRITTEN
            self.steps.append((module, given[i], nodes[i][3], [name for name in given[i] if last[name] == i]))

    def place(self, path, module):
        """Register a module under its dotted path."""
        *folders, name = path.split(".")
        owner = self
        for folder in folders:
            if not hasattr(owner, folder):
                owner.add_module(folder, nn.Module())
            owner = getattr(owner, folder)
        owner.add_module(name, module)

    def forward(self, x):
        values = {"x": x}
        for module, given, result, dead in self.steps:
            values[result] = module(*[values[name] for name in given])
            for name in set(dead):
                del values[name]
        return values[result]


def conv_module(options, shapes):
    (channels, part, *kernel_size), (top, bottom, left, right) = shapes["w"], options["padding"]
    assert (top, left) == (bottom, right)
    return nn.Conv2d(part * options["groups"], channels, kernel_size, options["stride"], (top, left),
                     options["dilation"], options["groups"], "b" in shapes)


def pooled(options):
    """Kernel, stride and padding of a pooling, and how it counts windows, for PyTorch's modules."""
    top, bottom, left, right = options.get("padding", [0] * 4)
    assert (top, left) == (bottom, right)
    return {"kernel_size": options["kernel_size"], "stride": options["stride"], "padding": (top, left),
            "ceil_mode": options.get("ceil_mode", False)}


def transposed_module(options, shapes):
    (channels, part, *kernel_size), (top, bottom, left, right) = shapes["w"], options["padding"]
    assert (top, left) == (bottom, right)
    return nn.ConvTranspose2d(
        channels, part * options["groups"], kernel_size, options["stride"], (top, left), options["output_padding"],
        options["groups"], "b" in shapes, options["dilation"])


ACTIVATIONS = {
    "relu": lambda options: nn.ReLU(),
    "leaky_relu": lambda options: nn.LeakyReLU(options["alpha"]),
    "hardtanh": lambda options: nn.Hardtanh(options["alpha"], options["beta"]),
    "sigmoid": lambda options: nn.Sigmoid(),
    "silu": lambda options: nn.SiLU(),
}

# For each operation the module, or function, of its options and the shapes of the weights that it reads.
MODULES = {
    "conv2d_forward": conv_module,
    "conv_transpose2d_forward": transposed_module,
    "batchnorm_inference": lambda options, shapes: nn.BatchNorm2d(shapes["gamma"][0], options["eps"]),
    "maxpool2d_forward": lambda options, shapes: nn.MaxPool2d(**pooled(options)),
    "avgpool2d_forward": lambda options, shapes: nn.AvgPool2d(
        **pooled(options), count_include_pad=options["count_include_pad"]),
    "adaptive_avgpool2d_forward": lambda options, shapes: nn.AdaptiveAvgPool2d(options["output_size"]),
    "linear_forward": lambda options, shapes: nn.Linear(*shapes["w"][::-1], "b" in shapes),
    "activation_forward": lambda options, shapes: ACTIVATIONS[options["function"]](options),
    "global_avgpool_forward": lambda options, shapes: nn.AdaptiveAvgPool2d(1),
    "add": lambda options, shapes: torch.add,
    "multiply": lambda options, shapes: torch.mul,
    "concat": lambda options, shapes: lambda *arrays: torch.cat(arrays, options["dim"]),
    "split": lambda options, shapes: lambda x: x.narrow(
        options["dim"], options["start"], options["stop"] - options["start"]),
    "channel_shuffle": lambda options, shapes: nn.ChannelShuffle(options["groups"]),
    "flatten": lambda options, shapes: nn.Flatten(),
    "reshape": lambda options, shapes: nn.Flatten(),
}
# Operations whose results nobody needs for gradients: as people write such nets, a ReLU overwrites them.
OVERWRITTEN = {"conv2d_forward", "conv_transpose2d_forward", "batchnorm_inference", "linear_forward", "add"}


def flat(inputs):
    """The names of all inputs of a node, one by one."""
    for given in inputs.values():
        yield from given if isinstance(given, list) else [given]


def loaded(network, way):
    """The module with the weights of fastnet's net."""
    description, state = network
    module = Net(description)
    module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    return module if way == EAGER else module.to(memory_format=torch.channels_last)


def step(case, way, network):
    """Forward, loss, backward and Adam (the fused one, which is the quickest)."""
    return training(loaded(network, way), net_inputs(case), way, case.precision)


def exact_step(case, network):
    """The results of `step` in float64, as NumPy arrays."""
    x, labels = net_inputs(case)
    module = loaded(network, EAGER).double()
    return [one.detach().numpy() for one in training(module, (x.astype("float64"), labels), EAGER)()]


def training(module, inputs, way, precision="float32"):
    """The function that makes a training step of the module."""
    x, labels = tensors(inputs, way)
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    first = next(module.parameters())
    forward = torch.compile(module) if way == COMPILED else module

    def run():
        optimizer.zero_grad(set_to_none=True)
        with rounding(precision):
            value = functional.cross_entropy(forward(x), labels)
        value.backward()
        optimizer.step()
        return value, first.grad

    return run


def rounding(precision):
    """The context within which PyTorch computes with bfloat16 where that is asked."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")


def inference(case, way, network):
    """The scores of a whole net; compiled with the weights as constants, batch norm folded into them."""
    module = loaded(network, way).eval()
    x, _ = tensors(net_inputs(case), way)
    if way == COMPILED:
        module = torch.compile(module, options={"freezing": True})

    def run():
        # Compiling with constant weights works under no_grad, not under inference_mode.
        with torch.no_grad() if way == COMPILED else torch.inference_mode(), rounding(case.precision):
            return (module(x),)

    return run


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
