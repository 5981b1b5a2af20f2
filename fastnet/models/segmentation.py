"""Nets that give a class for each pixel: FCN and U-Net."""
from fastnet import init
from fastnet.layers import (
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Graph,
    MaxPool2d,
    ReLU,
    Sequential,
    Upsample,
)
from fastnet.models.blocks import kaiming_fan_out, model, scaled, start
from fastnet.models.resnet import bottleneck, resnet_body


@model(3, 224, 224)
def fcn_resnet50(num_classes=21, in_channels=3, width=1.0):
    """A fully convolutional net on a ResNet-50 that shrinks images by 8 only: 32,957,013 parameters, x (N, 3, H, W),
    where 8 divides H and W, y (N, num_classes, H, W), for `CrossEntropyLoss` with class numbers (N, H, W). `width`
    multiplies all channels.

    Long et al., Fully Convolutional Networks for Semantic Segmentation (2015), in torchvision's form: the last two
    stages are dilated (Yu and Koltun, 2016), and the scores are enlarged bilinearly. The names of its state are
    torchvision's; it lacks the auxiliary head, whose weights ``load_state_dict(state, strict=False)`` passes over.

    >>> fcn_resnet50.input_shape
    (3, 224, 224)
    """
    layers, channels = resnet_body(bottleneck, (3, 4, 6, 3), in_channels, width, out=256, dilated=True)
    inner = channels // 4
    return Sequential({
        "backbone": start(Sequential(layers), kaiming_fan_out),
        "classifier": Sequential(
            Conv2d(channels, inner, 3, padding=1, bias=False), BatchNorm2d(inner), ReLU(), Dropout(0.1),
            Conv2d(inner, num_classes, 1)),
        "upsample": Upsample(scale_factor=8, mode="bilinear")})


@model(1, 256, 256)
def unet(num_classes=2, in_channels=1, width=1.0, dropout=0.5, batch_norm=False):
    """U-Net: 31,030,658 parameters, x (N, 1, H, W), where 16 divides H and W, y (N, num_classes, H, W), for
    `CrossEntropyLoss` with class numbers (N, H, W). `width` multiplies all channels; `batch_norm` puts a batch norm
    behind each 3x3 convolution, which then has no bias.

    Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation (2015), figure 1. There the
    convolutions have no padding, so that y is smaller than x; here it is 1. The dropout stands at the end of the
    contracting path. Weights start as He et al. (2015) advise, biases at zero. torchvision has no such net.

    >>> unet.input_shape
    (1, 256, 256)
    """
    nodes, source, before = {}, "input", in_channels
    for level in (1, 2, 3, 4):
        channels = scaled(32 * 2**level, width)
        nodes[f"encode{level}"] = (_twice(before, channels, batch_norm), source)
        nodes[f"pool{level}"] = (MaxPool2d(2), f"encode{level}")
        source, before = f"pool{level}", channels
    channels = scaled(1024, width)
    nodes["bottom"] = (Sequential(*_twice(before, channels, batch_norm).layers, Dropout(dropout)), source)
    source, before = "bottom", channels
    for level in (4, 3, 2, 1):
        channels = scaled(32 * 2**level, width)
        nodes[f"up{level}"] = (ConvTranspose2d(before, channels, 2, 2), source)
        nodes[f"concat{level}"] = (Concat(), [f"encode{level}", f"up{level}"])
        nodes[f"decode{level}"] = (_twice(2 * channels, channels, batch_norm), f"concat{level}")
        source, before = f"decode{level}", channels
    nodes["scores"] = (Conv2d(before, num_classes, 1), source)
    return start(Graph(nodes), init.kaiming_normal)


def _twice(before, channels, batch_norm):
    """Two 3x3 convolutions, each with a ReLU."""
    layers = []
    for given in (before, channels):
        layers += [Conv2d(given, channels, 3, padding=1, bias=not batch_norm),
                   *([BatchNorm2d(channels)] if batch_norm else []), ReLU()]
    return Sequential(*layers)
