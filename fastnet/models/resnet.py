"""Residual nets for ImageNet: plain, wide, and with groups."""
from math import gcd

from fastnet.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from fastnet.models.blocks import around, kaiming_fan_out, model, scaled, start


@model(3, 224, 224)
def resnet18(num_classes=1000, in_channels=3, width=1.0):
    """ResNet-18: 11,689,512 parameters, x (N, 3, 224, 224), any other size of at least 32 too. The names of its state
    are torchvision's. `width` multiplies all channels.

    He et al., Deep Residual Learning for Image Recognition (2016), table 1, with projection shortcuts where the shape
    changes. Convolutions start normal with deviation sqrt(2 / fan_out), as torchvision's.

    >>> resnet18.input_shape
    (3, 224, 224)
    """
    return _resnet(num_classes, resnet_body(basic, (2, 2, 2, 2), in_channels, width))


@model(3, 224, 224)
def resnet34(num_classes=1000, in_channels=3, width=1.0):
    """ResNet-34: 21,797,672 parameters; see `resnet18`.

    >>> resnet34.input_shape
    (3, 224, 224)
    """
    return _resnet(num_classes, resnet_body(basic, (3, 4, 6, 3), in_channels, width))


@model(3, 224, 224)
def resnet50(num_classes=1000, in_channels=3, width=1.0):
    """ResNet-50, whose blocks are bottlenecks: 25,557,032 parameters; see `resnet18`. As in torchvision the stride of a
    block is that of its 3x3 convolution; in the paper it is that of the first 1x1.

    >>> resnet50.input_shape
    (3, 224, 224)
    """
    return _resnet(num_classes, resnet_body(bottleneck, (3, 4, 6, 3), in_channels, width, out=256))


@model(3, 224, 224)
def resnet101(num_classes=1000, in_channels=3, width=1.0):
    """ResNet-101: 44,549,160 parameters; see `resnet50`.

    >>> resnet101.input_shape
    (3, 224, 224)
    """
    return _resnet(num_classes, resnet_body(bottleneck, (3, 4, 23, 3), in_channels, width, out=256))


@model(3, 224, 224)
def resnet152(num_classes=1000, in_channels=3, width=1.0):
    """ResNet-152: 60,192,808 parameters; see `resnet50`.

    >>> resnet152.input_shape
    (3, 224, 224)
    """
    return _resnet(num_classes, resnet_body(bottleneck, (3, 8, 36, 3), in_channels, width, out=256))


@model(3, 224, 224)
def wide_resnet50_2(num_classes=1000, in_channels=3, width=1.0):
    """ResNet-50 with twice the channels in the 3x3 convolutions: 68,883,240 parameters; see `resnet50`.
    Zagoruyko and Komodakis, Wide Residual Networks (2016), section 3.4.

    >>> wide_resnet50_2.input_shape
    (3, 224, 224)
    """
    return _resnet(num_classes, resnet_body(bottleneck, (3, 4, 6, 3), in_channels, width, inner=128, out=256))


@model(3, 224, 224)
def resnext50_32x4d(num_classes=1000, in_channels=3, width=1.0):
    """ResNeXt-50: ResNet-50 with twice the channels in the 3x3 convolutions, in 32 groups: 25,028,904 parameters; see
    `resnet50`. At a `width` that makes channels which 32 does not divide there are fewer groups.
    Xie et al., Aggregated Residual Transformations for Deep Neural Networks (2017), table 1.

    >>> resnext50_32x4d.input_shape
    (3, 224, 224)
    """
    return _resnet(num_classes, resnet_body(bottleneck, (3, 4, 6, 3), in_channels, width, inner=128, out=256,
                                            groups=32))


def _resnet(num_classes, body):
    layers, channels = body
    layers |= {"avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten(), "fc": Linear(channels, num_classes)}
    return start(Sequential(layers), kaiming_fan_out)


def resnet_body(block, counts, in_channels, width, inner=64, out=64, groups=1, dilated=False):
    """All up to the last block, as a dictionary of layers by torchvision's names, and how many channels that gives.

    `counts` says how many blocks are in each stage, `inner` and `out` how many channels are within a block of the first
    stage and behind it; each stage has twice those of the one before. The later ones begin with a stride of 2; where it
    is `dilated` the last two have a dilation of their 3x3 convolutions instead, so that images shrink by 8, not 32.
    """
    before, dilation = scaled(64, width), 1
    layers = {"conv1": Conv2d(in_channels, before, 7, 2, 3, bias=False), "bn1": BatchNorm2d(before), "relu": ReLU(),
              "maxpool": MaxPool2d(3, 2, 1)}
    for stage, count in enumerate(counts):
        within, after = scaled(inner * 2**stage, width), scaled(out * 2**stage, width)
        stride, later = (2, dilation) if stage else (1, 1)
        if dilated and stage > 1:
            stride, later = 1, 2 * dilation
        layers[f"layer{stage + 1}"] = Sequential(
            block(before, within, after, stride, dilation, groups),
            *(block(after, within, after, 1, later, groups) for _ in range(1, count)))
        before, dilation = after, later
    return layers, before


def basic(before, inner, out, stride, dilation=1, groups=1):
    """Two 3x3 convolutions around a shortcut."""
    return around({
        "conv1": _conv3x3(before, inner, stride, dilation, groups), "bn1": BatchNorm2d(inner), "relu1": ReLU(),
        "conv2": _conv3x3(inner, out, 1, dilation, groups), "bn2": BatchNorm2d(out),
    }, _projection(before, out, stride), ReLU())


def bottleneck(before, inner, out, stride, dilation=1, groups=1):
    """A 1x1 convolution to fewer channels, a 3x3 one, and a 1x1 one back, around a shortcut."""
    return around({
        "conv1": Conv2d(before, inner, 1, bias=False), "bn1": BatchNorm2d(inner), "relu1": ReLU(),
        "conv2": _conv3x3(inner, inner, stride, dilation, groups), "bn2": BatchNorm2d(inner), "relu2": ReLU(),
        "conv3": Conv2d(inner, out, 1, bias=False), "bn3": BatchNorm2d(out),
    }, _projection(before, out, stride), ReLU())


def _conv3x3(before, channels, stride, dilation, groups):
    return Conv2d(before, channels, 3, stride, dilation, dilation, gcd(groups, before, channels), bias=False)


def _projection(before, out, stride):
    """The shortcut where the shape changes; None where it does not."""
    if stride == 1 and before == out:
        return None
    return Sequential(Conv2d(before, out, 1, stride, bias=False), BatchNorm2d(out))
