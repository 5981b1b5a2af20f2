"""SqueezeNets: few channels are read by the 3x3 convolutions, and images shrink late."""
from functools import partial

from fastnet import init
from fastnet.layers import (
    AdaptiveAvgPool2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    MaxPool2d,
    ReLU,
    Sequential,
)
from fastnet.models.blocks import entries, model, scaled, start

# Iandola et al. (2016), table 1: channels of the squeeze convolution, and of each of the two expand convolutions
_A, _B, _C, _D = (16, 64), (32, 128), (48, 192), (64, 256)


@model(3, 224, 224)
def squeezenet1_0(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """SqueezeNet 1.0: 1,248,424 parameters, x (N, 3, 224, 224), any other size of at least 21 too. The names of its
    state are torchvision's. `width` multiplies all channels.

    Iandola et al., SqueezeNet: AlexNet-Level Accuracy with 50x Fewer Parameters (2016), table 1. Weights start as
    torchvision's: uniform as He et al. (2015) advise, those of the scores normal with deviation 0.01, biases at zero.

    >>> squeezenet1_0.input_shape
    (3, 224, 224)
    """
    return _squeezenet(Conv2d(in_channels, scaled(96, width), 7, 2), (_A, _A, _B, None, _B, _C, _C, _D, None, _D),
                       num_classes, width, dropout)


@model(3, 224, 224)
def squeezenet1_1(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """SqueezeNet 1.1, with less than half the multiply-adds, for images of at least 17 x 17: 1,235,496
    parameters; see `squeezenet1_0`.

    >>> squeezenet1_1.input_shape
    (3, 224, 224)
    """
    return _squeezenet(Conv2d(in_channels, scaled(64, width), 3, 2), (_A, _A, None, _B, _B, None, _C, _C, _D, _D),
                       num_classes, width, dropout)


def _squeezenet(first, modules, num_classes, width, dropout):
    """`modules` are the channels of fire modules, or None for a pooling."""
    features, before = [first, ReLU(), MaxPool2d(3, 2, ceil_mode=True)], first.out_channels
    for channels in modules:
        if channels is None:
            features.append(MaxPool2d(3, 2, ceil_mode=True))
        else:
            squeezed, expanded = (scaled(count, width) for count in channels)
            features.append(_fire(before, squeezed, expanded))
            before = 2 * expanded
    features = start(Sequential(*features), init.kaiming_uniform)
    scores = start(Conv2d(before, num_classes, 1), partial(init.normal, std=0.01))
    return Sequential({
        "features": features,
        "classifier": Sequential(Dropout(dropout), scores, ReLU(), AdaptiveAvgPool2d(1)),
        "flatten": Flatten()})


def _fire(before, squeezed, expanded):
    """A 1x1 convolution to few channels, then one of 1x1 and one of 3x3, one's channels behind the other's."""
    return Graph(entries({"squeeze": Conv2d(before, squeezed, 1), "squeeze_activation": ReLU()}) | entries(
        {"expand1x1": Conv2d(squeezed, expanded, 1), "expand1x1_activation": ReLU()}, "squeeze_activation") | entries(
        {"expand3x3": Conv2d(squeezed, expanded, 3, padding=1), "expand3x3_activation": ReLU()}, "squeeze_activation"
    ) | {"concat": (Concat(), ["expand1x1_activation", "expand3x3_activation"])})
