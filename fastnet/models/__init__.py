"""Nets that are known by name: functions of the number of classes that return a Layer. ``resnet18.input_shape`` is the
shape of one sample of what a net was made for; most take images of any other size too."""
from fastnet.models.cifar_resnet import resnet20, resnet32, resnet44, resnet56, resnet110
from fastnet.models.convnet import convnet, small_convnet
from fastnet.models.lenet import lenet5
from fastnet.models.mobilenet import mobilenet_v1, mobilenet_v2
from fastnet.models.quick import quick_convnet
from fastnet.models.resnet import (
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    wide_resnet50_2,
)
from fastnet.models.vgg import vgg_small

__all__ = [
    "convnet", "lenet5", "mobilenet_v1", "mobilenet_v2", "quick_convnet", "resnet101", "resnet110", "resnet152",
    "resnet18", "resnet20", "resnet32", "resnet34", "resnet44", "resnet50", "resnet56", "resnext50_32x4d",
    "small_convnet", "vgg_small", "wide_resnet50_2",
]
