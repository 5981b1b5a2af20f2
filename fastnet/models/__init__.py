"""Nets that are known by name: functions of the number of classes that return a Layer, for images of 3 x 32 x 32."""
from fastnet.models.convnet import small_convnet
from fastnet.models.lenet import lenet5
from fastnet.models.quick import quick_convnet
from fastnet.models.resnet import resnet20
from fastnet.models.vgg import vgg_small

__all__ = ["lenet5", "quick_convnet", "resnet20", "small_convnet", "vgg_small"]
