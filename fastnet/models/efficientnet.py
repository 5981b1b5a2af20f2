"""EfficientNet: inverted residuals with squeeze-and-excitation."""
from math import sqrt

from fastnet import init
from fastnet.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Linear,
    Multiply,
    Sequential,
    Sigmoid,
    SiLU,
    StochasticDepth,
)
from fastnet.models.blocks import around, conv_norm, entries, kaiming_fan_out, model, scaled, start

# Tan and Le (2019), table 1: expansion, kernel, stride of the first, channels, layers
_STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
           (6, 3, 1, 320, 1))


@model(3, 224, 224)
def efficientnet_b0(num_classes=1000, in_channels=3, width=1.0, dropout=0.2, drop_path=0.2):
    """EfficientNet-B0: 5,288,548 parameters, x (N, 3, 224, 224), any other size of at least 32 too. The names of its
    state are torchvision's, whose stochastic_depth_prob is `drop_path` here: how often the last residual is left out in
    training, earlier ones less. `width` multiplies all channels.

    Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (2019), table 1. Weights start
    as torchvision's: convolutions normal with deviation sqrt(2 / fan_out), the linear layer uniform in
    +-1 / sqrt(num_classes), biases at zero.

    >>> efficientnet_b0.input_shape
    (3, 224, 224)
    """
    before, last = scaled(32, width), scaled(1280, width)
    features, done, count = [conv_norm(in_channels, before, stride=2, activation=SiLU)], 0, sum(
        stage[-1] for stage in _STAGES)
    for expansion, kernel_size, stride, channels, layers in _STAGES:
        channels, blocks = scaled(channels, width), []
        for place in range(layers):
            blocks.append(_inverted_residual(before, channels, expansion, kernel_size, 1 if place else stride,
                                             drop_path * done / count))
            before, done = channels, done + 1
        features.append(Sequential(*blocks))
    features.append(conv_norm(before, last, 1, activation=SiLU))

    def uniform(shape):
        return init.uniform(shape, -1 / sqrt(shape[0]), 1 / sqrt(shape[0]))

    return start(Sequential({
        "features": Sequential(*features), "avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten(),
        "classifier": Sequential(Dropout(dropout), Linear(last, num_classes)),
    }), kaiming_fan_out, uniform)


def _inverted_residual(before, channels, expansion, kernel_size, stride, drop_path):
    """A 1x1 convolution to more channels, unless expansion is 1, a depthwise one, squeeze-and-excitation, and a 1x1
    convolution to `channels` without activation; around a shortcut where the shape stays."""
    inner = before * expansion
    expand = [conv_norm(before, inner, 1, activation=SiLU)] if expansion > 1 else []
    block = Sequential(*expand, conv_norm(inner, inner, kernel_size, stride, inner, SiLU),
                       _excitation(inner, max(1, before // 4)), conv_norm(inner, channels, 1, activation=None))
    if stride > 1 or before != channels:
        return Sequential({"block": block})
    return around({"block": block, "stochastic_depth": StochasticDepth(drop_path, "row")})


def _excitation(channels, squeezed):
    """x times a factor for each channel, which a small net makes of the channels' means. Hu et al. (2018), section 3,
    with SiLU."""
    return Graph(entries({
        "avgpool": AdaptiveAvgPool2d(1), "fc1": Conv2d(channels, squeezed, 1), "activation": SiLU(),
        "fc2": Conv2d(squeezed, channels, 1), "scale_activation": Sigmoid(),
    }) | {"scale": (Multiply(), ["input", "scale_activation"])})
