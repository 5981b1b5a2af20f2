"""GoogLeNet: inception modules, whose branches see windows of several sizes."""
from functools import partial

from fastnet import init
from fastnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from fastnet.models.blocks import entries, model, scaled, start

# Szegedy et al. (2015), table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj
_MODULES = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "maxpool3": (3, 2),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "maxpool4": (2, 2),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
_AUXILIARY = {"aux1": "inception4a", "aux2": "inception4d"}


@model(3, 224, 224)
def googlenet(num_classes=1000, in_channels=3, width=1.0, dropout=0.2, aux_logits=False):
    """GoogLeNet with batch norm: 6,624,904 parameters, x (N, 3, 224, 224), any other size of at least 15 too. The names
    of its state are torchvision's. `width` multiplies all channels.

    With aux_logits it has the two auxiliary heads, 13,004,888 parameters, and gives a dictionary of the scores "fc",
    "aux1" and "aux2", in training and at inference: the loss is a `WeightedSum` with the weights 1, 0.3 and 0.3.

    Szegedy et al., Going Deeper with Convolutions (2015), table 1; as in torchvision with batch norm behind each
    convolution, instead of the response norm, and with 3x3 convolutions where the paper has 5x5. Weights start as
    torchvision's: normal with deviation 0.01, cut off at +-2.

    >>> googlenet.input_shape
    (3, 224, 224)
    """
    before = scaled(64, width)
    layers = {
        "conv1": _conv(in_channels, before, 7, 2), "maxpool1": MaxPool2d(3, 2, ceil_mode=True),
        "conv2": _conv(before, before, 1), "conv3": _conv(before, 3 * before, 3),
        "maxpool2": MaxPool2d(3, 2, ceil_mode=True)}
    before, widths = 3 * before, {}
    for name, numbers in _MODULES.items():
        if name.startswith("maxpool"):
            layers[name] = MaxPool2d(*numbers, ceil_mode=True)
            continue
        numbers = [scaled(channels, width) for channels in numbers]
        layers[name], before = inception(before, *numbers), sum(numbers[place] for place in (0, 2, 4, 5))
        widths[name] = before
    layers |= {"avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten(), "dropout": Dropout(dropout),
               "fc": Linear(before, num_classes)}
    if aux_logits:
        heads = {name: (_head(widths[after], num_classes, width), after) for name, after in _AUXILIARY.items()}
        net = Graph(entries(layers) | heads, outputs=("fc", *heads))
    else:
        net = Sequential(layers)
    return start(net, *[partial(init.trunc_normal, std=0.01)] * 2)


def inception(before, ones, reduce3, threes, reduce5, fives, pooled):
    """Four branches, one channel behind the other: 1x1; 1x1 and 3x3; 1x1 and again 3x3; pooling and 1x1."""
    return Graph({
        "branch1": (_conv(before, ones, 1), "input"),
        "branch2": (Sequential(_conv(before, reduce3, 1), _conv(reduce3, threes, 3)), "input"),
        "branch3": (Sequential(_conv(before, reduce5, 1), _conv(reduce5, fives, 3)), "input"),
        "branch4": (Sequential(MaxPool2d(3, 1, 1), _conv(before, pooled, 1)), "input"),
        "concat": (Concat(), ["branch1", "branch2", "branch3", "branch4"])})


def _head(before, num_classes, width):
    """An auxiliary classifier, from the midst of the net. The paper's section 5, with batch norm."""
    channels, hidden = scaled(128, width), scaled(1024, width)
    return Sequential({
        "avgpool": AdaptiveAvgPool2d(4), "conv": _conv(before, channels, 1), "flatten": Flatten(),
        "fc1": Linear(channels * 4 * 4, hidden), "relu": ReLU(), "dropout": Dropout(0.7),
        "fc2": Linear(hidden, num_classes)})


def _conv(before, channels, kernel_size, stride=1):
    return Sequential({"conv": Conv2d(before, channels, kernel_size, stride, kernel_size // 2, bias=False),
                       "bn": BatchNorm2d(channels, 0.001), "relu": ReLU()})
