"""Residual nets for CIFAR-10."""
from fastnet import init
from fastnet.layers import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Residual, Sequential
from fastnet.models.blocks import model


@model(3, 32, 32)
def resnet20(num_classes=10, in_channels=3):
    """A 3x3 convolution, nine residual blocks at 16, 32 and 64 channels, global average pooling and a linear layer:
    272 thousand parameters, x (N, 3, 32, 32), any other size too. Convolutions start as He et al. (2015) advise.
    He et al., Deep Residual Learning for Image Recognition (2016), section 4.2, with projection shortcuts."""
    return _resnet(num_classes, in_channels, 3)


@model(3, 32, 32)
def resnet32(num_classes=10, in_channels=3):
    """`resnet20` with fifteen blocks: 467 thousand parameters."""
    return _resnet(num_classes, in_channels, 5)


@model(3, 32, 32)
def resnet44(num_classes=10, in_channels=3):
    """`resnet20` with 21 blocks: 661 thousand parameters."""
    return _resnet(num_classes, in_channels, 7)


@model(3, 32, 32)
def resnet56(num_classes=10, in_channels=3):
    """`resnet20` with 27 blocks: 856 thousand parameters."""
    return _resnet(num_classes, in_channels, 9)


@model(3, 32, 32)
def resnet110(num_classes=10, in_channels=3):
    """`resnet20` with 54 blocks: 1.7 million parameters."""
    return _resnet(num_classes, in_channels, 18)


def _resnet(num_classes, in_channels, blocks):
    """Three stages of so many blocks."""
    layers = [Conv2d(in_channels, 16, 3, padding=1, bias=False), BatchNorm2d(16), ReLU()]
    before = 16
    for channels, first_stride in ((16, 1), (32, 2), (64, 2)):
        for stride in (first_stride, *(blocks - 1) * (1,)):
            layers += [_block(before, channels, stride), ReLU()]
            before = channels
    features = init.apply(Sequential(*layers), init.kaiming_normal)
    return Sequential(*features.layers, AdaptiveAvgPool2d(1), Flatten(), Linear(64, num_classes))


def _block(before, channels, stride):
    """Two 3x3 convolutions around a shortcut, which is a 1x1 convolution where the shape changes."""
    body = Sequential(
        Conv2d(before, channels, 3, stride=stride, padding=1, bias=False), BatchNorm2d(channels), ReLU(),
        Conv2d(channels, channels, 3, padding=1, bias=False), BatchNorm2d(channels),
    )
    if stride == 1 and before == channels:
        return Residual(body)
    return Residual(body, Sequential(Conv2d(before, channels, 1, stride=stride, bias=False), BatchNorm2d(channels)))
