"""Nets that are known by name: functions of the number of classes that return a Layer. ``resnet18.input_shape`` is the
shape of one sample of what a net was made for; most take images of other sizes too."""
from fastnet.models.alexnet import alexnet, zfnet
from fastnet.models.char_rnn import char_rnn
from fastnet.models.cifar_resnet import (
    preact_resnet,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    stochastic_depth_resnet,
    wide_resnet,
    wrn_28_10,
)
from fastnet.models.convnet import convnet, small_convnet
from fastnet.models.densenet import densenet40, densenet121
from fastnet.models.efficientnet import efficientnet_b0
from fastnet.models.fractalnet import fractalnet
from fastnet.models.googlenet import googlenet
from fastnet.models.lenet import lenet5
from fastnet.models.mobilenet import mobilenet_v1, mobilenet_v2
from fastnet.models.nin import nin
from fastnet.models.quick import quick_convnet
from fastnet.models.resnet import resnet18, resnet34, resnet50, resnet101, resnet152, resnext50_32x4d, wide_resnet50_2
from fastnet.models.segmentation import fcn_resnet50, unet
from fastnet.models.squeezenet import squeezenet1_0, squeezenet1_1
from fastnet.models.two_headed import class_and_box
from fastnet.models.vgg import vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn, vgg_small

__all__ = [
    "alexnet", "char_rnn", "class_and_box", "convnet", "densenet121", "densenet40", "efficientnet_b0",
    "fcn_resnet50", "fractalnet", "googlenet", "lenet5", "mobilenet_v1", "mobilenet_v2", "nin", "preact_resnet",
    "quick_convnet", "resnet101", "resnet110", "resnet152", "resnet18", "resnet20", "resnet32", "resnet34",
    "resnet44", "resnet50", "resnet56", "resnext50_32x4d", "small_convnet", "squeezenet1_0", "squeezenet1_1",
    "stochastic_depth_resnet", "unet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19",
    "vgg19_bn", "vgg_small", "wide_resnet", "wide_resnet50_2", "wrn_28_10", "zfnet",
]
