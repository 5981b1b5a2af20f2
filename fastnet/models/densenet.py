"""DenseNets: each layer reads what all layers before it gave."""
from fastnet import init
from fastnet.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
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
from fastnet.models.blocks import model, scaled, start


@model(3, 224, 224)
def densenet121(num_classes=1000, in_channels=3, width=1.0, dropout=0.0):
    """DenseNet-121: 7,978,856 parameters, x (N, 3, 224, 224), any other size of at least 32 too. The names of its state
    are torchvision's. `width` multiplies the first channels and the growth rate, of 64 and 32.

    Huang et al., Densely Connected Convolutional Networks (2017), table 1: bottlenecks, and transitions that halve the
    channels. Convolutions start as He et al. (2015) advise.

    >>> densenet121.input_shape
    (3, 224, 224)
    """
    before, growth = scaled(64, width), scaled(32, width)
    layers = {"conv0": Conv2d(in_channels, before, 7, 2, 3, bias=False), "norm0": BatchNorm2d(before), "relu0": ReLU(),
              "pool0": MaxPool2d(3, 2, 1)}
    for stage, count in enumerate((6, 12, 24, 16), 1):
        layers[f"denseblock{stage}"] = _block(before, growth, count, dropout, bottleneck=True)
        before += count * growth
        if stage < 4:
            layers[f"transition{stage}"] = _transition(before, before // 2)
            before //= 2
    return _densenet(layers | {"norm5": BatchNorm2d(before)}, before, num_classes)


@model(3, 32, 32)
def densenet40(num_classes=10, in_channels=3, growth_rate=12, dropout=0.0):
    """DenseNet for CIFAR-10 of 40 layers with a growth rate of 12: 1.0 million parameters, x (N, 3, 32, 32), any other
    size of at least 4 too. Three blocks of twelve 3x3 convolutions, without bottlenecks; transitions keep the channels.

    Huang et al., Densely Connected Convolutional Networks (2017), section 3 and table 2. Without augmentation of images
    they use a dropout of 0.2. torchvision has no such net. Convolutions start as He et al. (2015) advise.

    >>> densenet40.input_shape
    (3, 32, 32)
    """
    before, layers = 16, {"conv0": Conv2d(in_channels, 16, 3, padding=1, bias=False)}
    for stage in (1, 2, 3):
        layers[f"denseblock{stage}"] = _block(before, growth_rate, 12, dropout)
        before += 12 * growth_rate
        if stage < 3:
            layers[f"transition{stage}"] = _transition(before, before)
    return _densenet(layers | {"norm5": BatchNorm2d(before)}, before, num_classes)


def _densenet(features, channels, num_classes):
    return start(Sequential({
        "features": Sequential(features), "relu": ReLU(), "avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten(),
        "classifier": Linear(channels, num_classes)}), init.kaiming_normal)


def _block(before, growth, count, dropout, bottleneck=False):
    """So many layers, each of which reads the channels of the input and of all before, and adds `growth` of its own."""
    nodes, source = {}, "input"
    for place in range(1, count + 1):
        layer = _bottleneck(before, growth) if bottleneck else _layer(before, growth)
        nodes[f"denselayer{place}"] = (Sequential(layer | ({"dropout": Dropout(dropout)} if dropout else {})), source)
        nodes[f"concat{place}"] = (Concat(), [source, f"denselayer{place}"])
        source, before = f"concat{place}", before + growth
    return Graph(nodes)


def _layer(before, growth):
    return {"norm1": BatchNorm2d(before), "relu1": ReLU(), "conv1": Conv2d(before, growth, 3, padding=1, bias=False)}


def _bottleneck(before, growth):
    inner = 4 * growth
    return {"norm1": BatchNorm2d(before), "relu1": ReLU(), "conv1": Conv2d(before, inner, 1, bias=False),
            "norm2": BatchNorm2d(inner), "relu2": ReLU(), "conv2": Conv2d(inner, growth, 3, padding=1, bias=False)}


def _transition(before, channels):
    return Sequential({"norm": BatchNorm2d(before), "relu": ReLU(), "conv": Conv2d(before, channels, 1, bias=False),
                       "pool": AvgPool2d(2)})
