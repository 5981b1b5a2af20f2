"""What the nets are built of: rows of layers with names, convolutions with their norm, sums around a shortcut, and how
weights start. And `model`, which makes a net known by name."""
import functools
import inspect
from functools import partial

from fastnet import arguments, init
from fastnet.layers import Add, BatchNorm2d, Conv2d, ConvTranspose2d, Graph, Linear, ReLU, Sequential

CHECKS = {
    **dict.fromkeys(("num_classes", "in_channels", "depth", "growth_rate", "hidden_size", "num_layers"),
                    arguments.size),
    "width": partial(arguments.number, above=0, most=64),
    **dict.fromkeys(("dropout", "drop_path"), partial(arguments.number, least=0, below=1)),
    **dict.fromkeys(("aux_logits", "batch_norm"), arguments.flag),
}


def model(*input_shape):
    """Decorate a function that makes a net: its arguments are checked, and `input_shape` becomes an attribute of it,
    the shape of one sample of what the net was made for."""
    def known(function):
        signature, name = inspect.signature(function), function.__name__

        @functools.wraps(function)
        def make(*args, **kwargs):
            try:
                given = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{name}: {error}; it takes {signature}") from None
            for argument, value in given.arguments.items():
                if argument in CHECKS:
                    given.arguments[argument] = CHECKS[argument](value, f"{name}: {argument}")
            return function(*given.args, **given.kwargs)

        make.input_shape = input_shape
        return make
    return known


def scaled(channels, width, divisor=8):
    """`channels` times `width`, as the nearest multiple of `divisor` that is not over 10 % smaller: vectors like whole
    ones. Sandler et al., MobileNetV2 (2018), in their code."""
    if width == 1:
        return channels
    found = max(divisor, int(channels * width + divisor / 2) // divisor * divisor)
    return found if found >= 0.9 * channels * width else found + divisor


# Rows and branches

def conv_norm(before, channels, kernel_size=3, stride=1, groups=1, activation=ReLU, eps=1e-5):
    """A convolution without bias, of a padding that keeps the size at stride 1, its batch norm, and an activation,
    unless that is None: layers "0", "1" and "2" of a row, as torchvision's Conv2dNormActivation."""
    layers = [Conv2d(before, channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
              BatchNorm2d(channels, eps)]
    return Sequential(*layers, *([activation()] if activation else []))


def entries(layers, start="input"):
    """A dictionary of named layers, one after the other, as entries of a `Graph`; the first one reads `start`."""
    return {name: (layer, before) for (name, layer), before in
            zip(layers.items(), [start, *layers], strict=False)}


def around(body, shortcut=None, after=None):
    """body(x) + shortcut(x), or + x without one, and then the layer `after`, if there is one: a Graph of the body's
    named layers, "downsample", "add" and "relu", as torchvision names them."""
    nodes, other = entries(body), "input"
    if shortcut is not None:
        nodes["downsample"], other = (shortcut, "input"), "downsample"
    nodes["add"] = (Add(), [list(body)[-1], other])
    return Graph(nodes | ({"relu": (after, "add")} if after is not None else {}))


# How weights start

kaiming_fan_out = partial(init.kaiming_normal, mode="fan_out")      # as torchvision's convolutions do


def start(net, convolution=None, linear=None):
    """Give the weights of convolutions and of linear layers the values of these initialisers, with biases of zero;
    without one they stay as the layers began. Returns the net."""
    for _, layer in net.named_layers():
        weight = convolution if isinstance(layer, (Conv2d, ConvTranspose2d)) else \
            linear if isinstance(layer, Linear) else None
        if weight is not None:
            init.apply(layer, weight, init.zeros)
    return net
