"""MobileNets: depthwise convolutions, and 1x1 ones between them."""
from functools import partial

from fastnet import init
from fastnet.layers import (
    AdaptiveAvgPool2d,
    Dropout,
    Flatten,
    Linear,
    ReLU6,
    Sequential,
)
from fastnet.models.blocks import around, conv_norm, kaiming_fan_out, model, scaled, start

# Howard et al. (2017), table 1: channels of the 1x1 convolution, stride of the depthwise one before it
_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))

# Sandler et al. (2018), table 2: expansion t, channels c, repetitions n, stride s of the first
_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@model(3, 224, 224)
def mobilenet_v1(num_classes=1000, in_channels=3, width=1.0):
    """MobileNet: 4,231,976 parameters, x (N, 3, 224, 224), any other size of at least 32 too. `width` multiplies all
    channels, the paper's alpha.

    Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications (2017), table 1.
    torchvision has no such net. Convolutions start normal with deviation sqrt(2 / fan_out).

    >>> mobilenet_v1.input_shape
    (3, 224, 224)
    """
    before = scaled(32, width)
    features = [conv_norm(in_channels, before, stride=2)]
    for channels, stride in _V1:
        channels = scaled(channels, width)
        features += [conv_norm(before, before, stride=stride, groups=before), conv_norm(before, channels, 1)]
        before = channels
    return start(Sequential({
        "features": Sequential(*features), "avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten(),
        "classifier": Linear(before, num_classes)}), kaiming_fan_out)


@model(3, 224, 224)
def mobilenet_v2(num_classes=1000, in_channels=3, width=1.0, dropout=0.2):
    """MobileNetV2: 3,504,872 parameters, x (N, 3, 224, 224), any other size of at least 32 too. The names of its state
    are torchvision's, whose width_mult is `width` here: it multiplies all channels, the last 1280 only from 1 on.

    Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks (2018), table 2. Weights start as
    torchvision's: convolutions normal with deviation sqrt(2 / fan_out), the linear layer with deviation 0.01.

    >>> mobilenet_v2.input_shape
    (3, 224, 224)
    """
    before, last = scaled(32, width), scaled(1280, max(1.0, width))
    features = [conv_norm(in_channels, before, stride=2, activation=ReLU6)]
    for expansion, channels, repetitions, stride in _V2:
        channels = scaled(channels, width)
        for place in range(repetitions):
            features.append(_inverted_residual(before, channels, expansion, stride if place == 0 else 1))
            before = channels
    features.append(conv_norm(before, last, 1, activation=ReLU6))
    return start(Sequential({
        "features": Sequential(*features), "avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten(),
        "classifier": Sequential(Dropout(dropout), Linear(last, num_classes)),
    }), kaiming_fan_out, partial(init.normal, std=0.01))


def _inverted_residual(before, channels, expansion, stride):
    """A 1x1 convolution to more channels, unless expansion is 1, a depthwise one, and a 1x1 one to `channels` without
    activation; around a shortcut where the shape stays."""
    inner = before * expansion
    expand = [conv_norm(before, inner, 1, activation=ReLU6)] if expansion > 1 else []
    depthwise = conv_norm(inner, inner, stride=stride, groups=inner, activation=ReLU6)
    conv = {"conv": Sequential(*expand, depthwise, *conv_norm(inner, channels, 1, activation=None).layers)}
    return around(conv) if stride == 1 and before == channels else Sequential(conv)
