"""A net with two heads: what is in the image, and where."""
from fastnet.layers import AdaptiveAvgPool2d, Flatten, Graph, Linear, Sequential
from fastnet.models.blocks import kaiming_fan_out, model, start
from fastnet.models.resnet import basic, resnet_body


@model(3, 224, 224)
def class_and_box(num_classes=1000, in_channels=3, width=1.0):
    """Classification and localisation: a ResNet-18 whose features two heads read: 11,789,868 parameters, x (N, 3, 224,
    224), any other size of at least 32 too. y is a dictionary of the scores "class" (N, num_classes) and of "box" (N,
    4), four numbers without bounds, for a `WeightedSum` such as ``WeightedSum({"class": CrossEntropyLoss(), "box":
    L1Loss()})``. `width` multiplies all channels.

    The scores are those of `resnet18`, of the mean over all places. The box is a linear function of all 7 x 7 places,
    which a mean would lose; of smaller or larger images as many are made by averages. Sermanet et al., OverFeat (2014),
    sections 3 and 4, have such heads on another net. The names of the state are torchvision's behind "features." and,
    for the scores, "class.".

    >>> class_and_box.input_shape
    (3, 224, 224)
    """
    layers, channels = resnet_body(basic, (2, 2, 2, 2), in_channels, width)
    return start(Graph({
        "features": (Sequential(layers), "input"),
        "class": (Sequential({"avgpool": AdaptiveAvgPool2d(1), "flatten": Flatten(),
                              "fc": Linear(channels, num_classes)}), "features"),
        "box": (Sequential({"avgpool": AdaptiveAvgPool2d(7), "flatten": Flatten(),
                            "fc": Linear(channels * 7 * 7, 4)}), "features"),
    }, outputs=("class", "box")), kaiming_fan_out)
