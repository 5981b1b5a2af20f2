"""VGG: 3x3 convolutions all through."""
from functools import partial

from fastnet import init
from fastnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from fastnet.models.blocks import kaiming_fan_out, model, scaled, start

# Simonyan and Zisserman (2015), table 1: channels of the convolutions between two poolings, of columns A, B, D and E
_A = ((64,), (128,), (256, 256), (512, 512), (512, 512))
_B = ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512))
_D = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
_E = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)


@model(3, 224, 224)
def vgg11(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """VGG-11: 132,863,336 parameters, x (N, 3, 224, 224), any other size of at least 32 too. The names of its state are
    torchvision's. `width` multiplies all channels and hidden layers.

    Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition (2015), table 1, column
    A. Weights start as torchvision's: convolutions normal with deviation sqrt(2 / fan_out), linear layers with 0.01,
    biases at zero.

    >>> vgg11.input_shape
    (3, 224, 224)
    """
    return _vgg(_A, False, num_classes, in_channels, width, dropout)


@model(3, 224, 224)
def vgg11_bn(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """VGG-11 with batch norm behind each convolution, as in torchvision: 132,868,840 parameters; see `vgg11`.

    >>> vgg11_bn.input_shape
    (3, 224, 224)
    """
    return _vgg(_A, True, num_classes, in_channels, width, dropout)


@model(3, 224, 224)
def vgg13(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """VGG-13, column B: 133,047,848 parameters; see `vgg11`.

    >>> vgg13.input_shape
    (3, 224, 224)
    """
    return _vgg(_B, False, num_classes, in_channels, width, dropout)


@model(3, 224, 224)
def vgg13_bn(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """VGG-13 with batch norm: 133,053,736 parameters; see `vgg11`.

    >>> vgg13_bn.input_shape
    (3, 224, 224)
    """
    return _vgg(_B, True, num_classes, in_channels, width, dropout)


@model(3, 224, 224)
def vgg16(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """VGG-16, column D: 138,357,544 parameters; see `vgg11`.

    >>> vgg16.input_shape
    (3, 224, 224)
    """
    return _vgg(_D, False, num_classes, in_channels, width, dropout)


@model(3, 224, 224)
def vgg16_bn(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """VGG-16 with batch norm: 138,365,992 parameters; see `vgg11`.

    >>> vgg16_bn.input_shape
    (3, 224, 224)
    """
    return _vgg(_D, True, num_classes, in_channels, width, dropout)


@model(3, 224, 224)
def vgg19(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """VGG-19, column E: 143,667,240 parameters; see `vgg11`.

    >>> vgg19.input_shape
    (3, 224, 224)
    """
    return _vgg(_E, False, num_classes, in_channels, width, dropout)


@model(3, 224, 224)
def vgg19_bn(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """VGG-19 with batch norm: 143,678,248 parameters; see `vgg11`.

    >>> vgg19_bn.input_shape
    (3, 224, 224)
    """
    return _vgg(_E, True, num_classes, in_channels, width, dropout)


def _vgg(stages, norm, num_classes, in_channels, width, dropout):
    features, before = [], in_channels
    for stage in stages:
        for channels in stage:
            channels = scaled(channels, width)
            features += [Conv2d(before, channels, 3, padding=1), *([BatchNorm2d(channels)] if norm else []), ReLU()]
            before = channels
        features.append(MaxPool2d(2))
    hidden = scaled(4096, width)
    return start(Sequential({
        "features": Sequential(*features), "avgpool": AdaptiveAvgPool2d(7), "flatten": Flatten(),
        "classifier": Sequential(
            Linear(before * 7 * 7, hidden), ReLU(), Dropout(dropout),
            Linear(hidden, hidden), ReLU(), Dropout(dropout),
            Linear(hidden, num_classes)),
    }), kaiming_fan_out, partial(init.normal, std=0.01))


@model(3, 32, 32)
def vgg_small(num_classes=10, in_channels=3):
    """Twice (3x3 convolution without bias, batch norm, ReLU) and a pooling, at 64, 128 and 256 channels, and a linear
    layer: 1.2 million parameters, x (N, 3, 32, 32). Convolutions start as He et al. (2015) advise.
    After Simonyan and Zisserman, Very Deep Convolutional Networks (2015).

    >>> vgg_small.input_shape
    (3, 32, 32)
    """
    layers = []
    before = in_channels
    for channels in (64, 128, 256):
        for _ in range(2):
            layers += [Conv2d(before, channels, 3, padding=1, bias=False), BatchNorm2d(channels), ReLU()]
            before = channels
        layers.append(MaxPool2d(2))
    features = init.apply(Sequential(*layers), init.kaiming_normal)
    return Sequential(*features.layers, Flatten(), Linear(256 * 4 * 4, num_classes))
