"""A small net in the manner of VGG, with batch normalisation."""
from fastnet import init
from fastnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from fastnet.models.blocks import model


@model(3, 32, 32)
def vgg_small(num_classes=10, in_channels=3):
    """Twice (3x3 convolution without bias, batch norm, ReLU) and a pooling, at 64, 128 and 256 channels, and a linear
    layer: 1.2 million parameters, x (N, 3, 32, 32). Convolutions start as He et al. (2015) advise.
    After Simonyan and Zisserman, Very Deep Convolutional Networks (2015)."""
    layers = []
    before = in_channels
    for channels in (64, 128, 256):
        for _ in range(2):
            layers += [Conv2d(before, channels, 3, padding=1, bias=False), BatchNorm2d(channels), ReLU()]
            before = channels
        layers.append(MaxPool2d(2))
    features = init.apply(Sequential(*layers), init.kaiming_normal)
    return Sequential(*features.layers, Flatten(), Linear(256 * 4 * 4, num_classes))
