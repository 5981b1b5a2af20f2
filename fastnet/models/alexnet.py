"""AlexNet and ZFNet: large filters at first, then three fully connected layers that hold most of the parameters."""
from functools import partial

from fastnet import init
from fastnet.layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Sequential,
)
from fastnet.models.blocks import model, scaled, start


@model(3, 224, 224)
def alexnet(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """AlexNet in one column: 61,100,840 parameters, x (N, 3, 224, 224), any other size of at least 63 too. The names of
    its state are torchvision's. `width` multiplies all channels and hidden layers.

    Krizhevsky, One Weird Trick for Parallelizing Convolutional Neural Networks (2014), as in torchvision: without the
    groups and the response norm of Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks
    (2012), whose first convolution has 96 filters. Weights start as their layers' do.

    >>> alexnet.input_shape
    (3, 224, 224)
    """
    a, b, c, d, hidden = (scaled(channels, width) for channels in (64, 192, 384, 256, 4096))
    return Sequential({
        "features": Sequential(
            Conv2d(in_channels, a, 11, 4, 2), ReLU(), MaxPool2d(3, 2),
            Conv2d(a, b, 5, 1, 2), ReLU(), MaxPool2d(3, 2),
            Conv2d(b, c, 3, 1, 1), ReLU(),
            Conv2d(c, d, 3, 1, 1), ReLU(),
            Conv2d(d, d, 3, 1, 1), ReLU(), MaxPool2d(3, 2)),
        "avgpool": AdaptiveAvgPool2d(6), "flatten": Flatten(),
        "classifier": Sequential(
            Dropout(dropout), Linear(d * 6 * 6, hidden), ReLU(),
            Dropout(dropout), Linear(hidden, hidden), ReLU(),
            Linear(hidden, num_classes)),
    })


@model(3, 224, 224)
def zfnet(num_classes=1000, in_channels=3, width=1.0, dropout=0.5):
    """ZFNet, AlexNet with a first convolution of 7x7 and stride 2: 62,357,608 parameters, x (N, 3, 224, 224), any other
    size of at least 53 too. `width` multiplies all channels and hidden layers.

    Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014), figure 3. What they call contrast
    normalisation is AlexNet's response norm here, and the six columns and rows that the last pooling leaves are had
    from images of other sizes by an average pooling. torchvision has no such net. Weights start normal with deviation
    0.01, biases at zero, as the paper has it.

    >>> zfnet.input_shape
    (3, 224, 224)
    """
    a, b, c, hidden = (scaled(channels, width) for channels in (96, 256, 384, 4096))
    return start(Sequential({
        "features": Sequential(
            Conv2d(in_channels, a, 7, 2, 1), ReLU(), MaxPool2d(3, 2, 1), LocalResponseNorm(5, k=2.0),
            Conv2d(a, b, 5, 2), ReLU(), MaxPool2d(3, 2, 1), LocalResponseNorm(5, k=2.0),
            Conv2d(b, c, 3, 1, 1), ReLU(),
            Conv2d(c, c, 3, 1, 1), ReLU(),
            Conv2d(c, b, 3, 1, 1), ReLU(), MaxPool2d(3, 2)),
        "avgpool": AdaptiveAvgPool2d(6), "flatten": Flatten(),
        "classifier": Sequential(
            Linear(b * 6 * 6, hidden), ReLU(), Dropout(dropout),
            Linear(hidden, hidden), ReLU(), Dropout(dropout),
            Linear(hidden, num_classes)),
    }), *[partial(init.normal, std=0.01)] * 2)
