"""Residual nets for CIFAR-10: plain, with stochastic depth, with pre-activation, and wide."""
from fastnet import arguments, init
from fastnet.layers import (
    AdaptiveAvgPool2d,
    Add,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Linear,
    ReLU,
    Residual,
    Sequential,
    StochasticDepth,
)
from fastnet.models.blocks import entries, model, scaled, start


@model(3, 32, 32)
def resnet20(num_classes=10, in_channels=3):
    """A 3x3 convolution, nine residual blocks at 16, 32 and 64 channels, global average pooling and a linear layer:
    272 thousand parameters, x (N, 3, 32, 32), any other size too. Convolutions start as He et al. (2015) advise.
    He et al., Deep Residual Learning for Image Recognition (2016), section 4.2, with projection shortcuts.

    >>> resnet20.input_shape
    (3, 32, 32)
    """
    return _resnet(num_classes, in_channels, 20)


@model(3, 32, 32)
def resnet32(num_classes=10, in_channels=3):
    """`resnet20` with fifteen blocks: 467 thousand parameters.

    >>> resnet32.input_shape
    (3, 32, 32)
    """
    return _resnet(num_classes, in_channels, 32)


@model(3, 32, 32)
def resnet44(num_classes=10, in_channels=3):
    """`resnet20` with 21 blocks: 661 thousand parameters.

    >>> resnet44.input_shape
    (3, 32, 32)
    """
    return _resnet(num_classes, in_channels, 44)


@model(3, 32, 32)
def resnet56(num_classes=10, in_channels=3):
    """`resnet20` with 27 blocks: 856 thousand parameters.

    >>> resnet56.input_shape
    (3, 32, 32)
    """
    return _resnet(num_classes, in_channels, 56)


@model(3, 32, 32)
def resnet110(num_classes=10, in_channels=3):
    """`resnet20` with 54 blocks: 1.7 million parameters.

    >>> resnet110.input_shape
    (3, 32, 32)
    """
    return _resnet(num_classes, in_channels, 110)


@model(3, 32, 32)
def stochastic_depth_resnet(num_classes=10, in_channels=3, depth=110, drop_path=0.5):
    """`resnet20` with so many layers, and blocks that are left out at random in training: the last one of each batch
    with probability `drop_path`, those before less, down to 0 at the input. 1.7 million parameters. ValueError unless
    depth is 6 n + 2.

    Huang et al., Deep Networks with Stochastic Depth (2016), equation 4. Where they multiply by 1 - p at inference,
    what is kept in training is divided by it here.

    >>> stochastic_depth_resnet.input_shape
    (3, 32, 32)
    """
    _check_depth("stochastic_depth_resnet", depth, 2)
    return _resnet(num_classes, in_channels, depth, drop_path)


@model(3, 32, 32)
def preact_resnet(num_classes=10, in_channels=3, depth=110):
    """A residual net of so many layers whose batch norms and ReLUs come before the convolutions, so that nothing but
    sums is on the way from block to block: 1.7 million parameters, x (N, 3, 32, 32), any other size too. ValueError
    unless depth is 6 n + 2.

    He et al., Identity Mappings in Deep Residual Networks (2016), figure 4 e and the appendix: a block that changes the
    shape has a 1x1 convolution as its shortcut, which reads what the first ReLU gave. Convolutions start as He et al.
    (2015) advise.

    >>> preact_resnet.input_shape
    (3, 32, 32)
    """
    _check_depth("preact_resnet", depth, 2)
    return _preactivated(num_classes, in_channels, (depth - 2) // 6, (16, 32, 64), 0.0)


@model(3, 32, 32)
def wide_resnet(num_classes=10, in_channels=3, depth=28, width=10, dropout=0.0):
    """`preact_resnet` with stages of 16, 32 and 64 channels times `width`; `dropout` stands between the convolutions of
    a block. ValueError unless depth is 6 n + 4, the 1x1 convolutions being counted.

    Zagoruyko and Komodakis, Wide Residual Networks (2016), table 1.

    >>> wide_resnet.input_shape
    (3, 32, 32)
    """
    _check_depth("wide_resnet", depth, 4)
    return _preactivated(num_classes, in_channels, (depth - 4) // 6,
                         [scaled(channels, width) for channels in (16, 32, 64)], dropout)


@model(3, 32, 32)
def wrn_28_10(num_classes=10, in_channels=3, dropout=0.0):
    """`wide_resnet` of depth 28 and width 10: 36,479,194 parameters.

    >>> wrn_28_10.input_shape
    (3, 32, 32)
    """
    return wide_resnet(num_classes, in_channels, 28, 10, dropout)


def _check_depth(name, depth, more):
    """ValueError for a depth that is not 6 n + more."""
    if depth < 6 + more or depth % 6 != more or depth > 2000:
        raise ValueError(f"{name}: depth must be 6 n + {more} and at most 2000, such as {6 * 3 + more} or "
                         f"{6 * 18 + more}, got {arguments.shown(depth)}")


def _resnet(num_classes, in_channels, depth, drop_path=0.0):
    """Three stages of as many blocks, of two convolutions each."""
    blocks = (depth - 2) // 6
    layers = [Conv2d(in_channels, 16, 3, padding=1, bias=False), BatchNorm2d(16), ReLU()]
    before, done = 16, 0
    for channels, first_stride in ((16, 1), (32, 2), (64, 2)):
        for stride in (first_stride, *(blocks - 1) * (1,)):
            done += 1
            layers += [_block(before, channels, stride, drop_path * done / (3 * blocks)), ReLU()]
            before = channels
    features = init.apply(Sequential(*layers), init.kaiming_normal)
    return Sequential(*features.layers, AdaptiveAvgPool2d(1), Flatten(), Linear(64, num_classes))


def _block(before, channels, stride, drop_path):
    """Two 3x3 convolutions around a shortcut, which is a 1x1 convolution where the shape changes."""
    body = Sequential(
        Conv2d(before, channels, 3, stride=stride, padding=1, bias=False), BatchNorm2d(channels), ReLU(),
        Conv2d(channels, channels, 3, padding=1, bias=False), BatchNorm2d(channels),
        *([StochasticDepth(drop_path, "batch")] if drop_path else []),
    )
    if stride == 1 and before == channels:
        return Residual(body)
    return Residual(body, Sequential(Conv2d(before, channels, 1, stride=stride, bias=False), BatchNorm2d(channels)))


def _preactivated(num_classes, in_channels, blocks, stages, dropout):
    """Three stages of as many blocks, of these channels."""
    layers, before = [Conv2d(in_channels, 16, 3, padding=1, bias=False)], 16
    for channels, first_stride in zip(stages, (1, 2, 2), strict=True):
        for stride in (first_stride, *(blocks - 1) * (1,)):
            layers.append(_preactivated_block(before, channels, stride, dropout))
            before = channels
    return start(Sequential(*layers, BatchNorm2d(before), ReLU(), AdaptiveAvgPool2d(1), Flatten(),
                            Linear(before, num_classes)), init.kaiming_normal)


def _preactivated_block(before, channels, stride, dropout):
    """Norm, ReLU and 3x3 convolution, twice, around a shortcut, which is a 1x1 convolution where the shape changes."""
    nodes = entries({
        "norm1": BatchNorm2d(before), "relu1": ReLU(),
        "conv1": Conv2d(before, channels, 3, stride, 1, bias=False), "norm2": BatchNorm2d(channels), "relu2": ReLU(),
        **({"dropout": Dropout(dropout)} if dropout else {}),
        "conv2": Conv2d(channels, channels, 3, padding=1, bias=False)})
    shortcut = "input"
    if stride > 1 or before != channels:
        shortcut = "shortcut"
        nodes["shortcut"] = (Conv2d(before, channels, 1, stride, bias=False), "relu1")
    return Graph(nodes | {"add": (Add(), ["conv2", shortcut])})
