"""Nets that the library does not have, chosen when everything else was done: what is measured of them, nobody tuned
for. As in `fastnet.models`: a function of the number of classes; `width` multiplies all channels."""
from fastnet import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    ChannelShuffle,
    Chunk,
    Concat,
    Container,
    Conv2d,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Sequential,
)
from fastnet.models.blocks import conv_norm, kaiming_fan_out, scaled, start
from fastnet.models.resnet import bottleneck

# Ma et al. (2018), table 5: channels and repetitions of the stages of ShuffleNetV2 1x
_SHUFFLENET = ((116, 4), (232, 8), (464, 4))
# Radosavovic et al. (2020), table 1: the same of RegNetX-400MF, whose groups have 16 channels
_REGNET, _GROUP = ((32, 1), (64, 2), (160, 7), (400, 12)), 16
# Redmon and Farhadi (2017), table 6: filters of Darknet-19, 3x3 and 1x1 in turn, between two poolings
_DARKNET = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))


class Shuffled(Container):
    """A unit of ShuffleNetV2: half of the channels as they are, or all through a depthwise convolution with a stride of
    2, beside a branch of three convolutions, and then shuffled. Ma et al., ShuffleNet V2 (2018), figure 3."""

    def __init__(self, before, channels, stride):
        inner = channels // 2
        read = before if stride > 1 else inner
        self.branch = Sequential(*conv_norm(read, inner, 1).layers,
                                 *conv_norm(inner, inner, stride=stride, groups=inner, activation=None).layers,
                                 *conv_norm(inner, inner, 1).layers)
        self.short = Sequential(*conv_norm(before, before, stride=stride, groups=before, activation=None).layers,
                                *conv_norm(before, inner, 1).layers) if stride > 1 else None
        self.halves, self.join, self.shuffle = Chunk(2), Concat(), ChannelShuffle(2)

    def compose(self, x, training):
        if self.short is None:
            kept, other = self.halves(x)
        else:
            kept, other = self.short(x), x
        return self.shuffle(self.join((kept, self.branch(other))))


def shufflenet_v2(num_classes=1000, width=1.0):
    """ShuffleNetV2 1x."""
    before, last = scaled(24, width), scaled(1024, width)
    layers = [conv_norm(3, before, stride=2), MaxPool2d(3, 2, 1)]
    for channels, count in _SHUFFLENET:
        channels = scaled(channels, width)
        for place in range(count):
            layers.append(Shuffled(before, channels, 1 if place else 2))
            before = channels
    return _classifier([*layers, conv_norm(before, last, 1)], last, num_classes)


def regnet_x_400mf(num_classes=1000, width=1.0):
    """RegNetX-400MF: bottlenecks that are as wide within as without, in groups of 16 channels. Radosavovic et al.,
    Designing Network Design Spaces (2020)."""
    before = scaled(32, width)
    layers = [conv_norm(3, before, stride=2)]
    for channels, count in _REGNET:
        channels = scaled(channels, width, _GROUP)
        for place in range(count):
            layers.append(bottleneck(before, channels, channels, 1 if place else 2, groups=channels // _GROUP))
            before = channels
    return _classifier(layers, before, num_classes)


def darknet19(num_classes=1000, width=1.0):
    """Darknet-19 with a linear layer at its end. Redmon and Farhadi, YOLO9000 (2017)."""
    layers, before = [], 3
    for stage, filters in enumerate(_DARKNET):
        layers += [MaxPool2d(2)] if stage else []
        for place, channels in enumerate(filters):
            channels = scaled(channels, width)
            layers += [Conv2d(before, channels, 1 if place % 2 else 3, padding=(place + 1) % 2, bias=False),
                       BatchNorm2d(channels), LeakyReLU(0.1)]
            before = channels
    return _classifier(layers, before, num_classes)


def _classifier(layers, before, num_classes):
    layers = [*layers, AdaptiveAvgPool2d(1), Flatten(), Linear(before, num_classes)]
    return start(Sequential(*layers), kaiming_fan_out)
