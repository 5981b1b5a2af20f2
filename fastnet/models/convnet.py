"""Plain convolutional nets: convolutions and poolings in turn, then fully connected layers."""
from functools import partial

from fastnet import arguments, init
from fastnet.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from fastnet.models.blocks import model


@model(3, 32, 32)
def small_convnet(num_classes=10, in_channels=3):
    """Two 3x3 convolutions of 32 channels, two of 64, a pooling after each two, a hidden layer of 512: 2.2 million
    parameters, x (N, 3, 32, 32). Weights before a ReLU start as He et al. (2015) advise, the last ones normal with
    deviation 0.01, so that the first loss is near ln num_classes; biases start at zero.

    >>> small_convnet.input_shape
    (3, 32, 32)
    """
    return convnet(num_classes, in_channels)


@model(3, 32, 32)
def convnet(num_classes=10, in_channels=3, size=32, channels=(32, 64), convolutions=2, pool=True, hidden=(512,)):
    """INPUT -> [[CONV -> RELU] * N -> POOL?] * M -> [FC -> RELU] * K -> FC, where N is `convolutions`, M the number of
    `channels`, one for each stage, and K the number of `hidden` widths. x (N, C, size, size), or size = (H, W).

    Convolutions are 3x3 with padding 1, and keep the size; a pooling takes the largest of each 2x2. `pool` says
    whether a stage ends with one, for all stages or in a tuple for each. Weights before a ReLU start as He et al.
    (2015) advise, the last ones normal with deviation 0.01, biases at zero. ValueError where poolings leave nothing of
    the image, or where there are as many answers as stages to `pool` or not.

    >>> [type(layer).__name__ for layer in convnet(size=8, channels=(4,), convolutions=1, hidden=()).layers]
    ['Conv2d', 'ReLU', 'MaxPool2d', 'Flatten', 'Linear']
    """
    height, width = arguments.pair(size, "convnet: size")
    channels = arguments.integers(channels, "convnet: channels", least=1, what="integers of at least 1")
    hidden = arguments.integers(hidden, "convnet: hidden", least=1, what="integers of at least 1")
    convolutions = arguments.size(convolutions, "convnet: convolutions")
    layers, before = [], in_channels
    for count, pooled in zip(channels, _pools(pool, len(channels)), strict=True):
        for _ in range(convolutions):
            layers += [Conv2d(before, count, 3, padding=1), ReLU()]
            before = count
        if pooled:
            layers.append(MaxPool2d(2))
            height, width = height // 2, width // 2
    if not height or not width:
        raise ValueError(f"convnet: size={arguments.shown(size)} is halved away by the poolings; let it be larger, or "
                         "pool be False for some stages")
    layers.append(Flatten())
    before *= height * width
    for count in hidden:
        layers += [Linear(before, count), ReLU()]
        before = count
    features = init.apply(Sequential(*layers), init.kaiming_normal, init.zeros)
    classifier = init.apply(Linear(before, num_classes), partial(init.normal, std=0.01), init.zeros)
    return Sequential(*features.layers, classifier)


def _pools(pool, stages):
    """For each stage whether it is pooled."""
    if not isinstance(pool, (tuple, list)):
        return (arguments.flag(pool, "convnet: pool"),) * stages
    if len(pool) != stages:
        raise ValueError(f"convnet: pool must be True, False, or one of them for each of the {stages} stages, got "
                         f"{arguments.shown(pool)}")
    return tuple([arguments.flag(one, "convnet: pool") for one in pool])
