"""The layers. Each is a plain object with forward, backward and parameters; see `Layer`."""
from fastnet.layers.activation import (
    ELU,
    GELU,
    SELU,
    Activation,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from fastnet.layers.base import Layer
from fastnet.layers.compose import Add, Concat, Merge, Parallel, Residual, Sequential
from fastnet.layers.container import Container
from fastnet.layers.conv import Conv2d
from fastnet.layers.dropout import Dropout
from fastnet.layers.formula import plainly
from fastnet.layers.freezing import freeze, input_gradient, unfreeze
from fastnet.layers.graph import Graph
from fastnet.layers.linear import Linear
from fastnet.layers.norm import BatchNorm1d, BatchNorm2d
from fastnet.layers.pad import CircularPad2d, ConstantPad2d, ReflectionPad2d, ReplicationPad2d, ZeroPad2d
from fastnet.layers.pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from fastnet.layers.recompute import Recompute
from fastnet.layers.shape import Flatten
from fastnet.layers.upsample import (
    BedOfNails,
    PixelShuffle,
    PixelUnshuffle,
    Upsample,
    UpsamplingBilinear2d,
    UpsamplingNearest2d,
)

__all__ = [
    "Activation", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Add", "AvgPool2d", "BatchNorm1d", "BatchNorm2d",
    "BedOfNails", "CircularPad2d", "Concat", "ConstantPad2d", "Container", "Conv2d", "Dropout", "ELU", "Flatten",
    "GELU", "Graph", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "Layer", "LeakyReLU", "Linear", "LogSoftmax",
    "MaxPool2d", "Merge", "Mish", "Parallel", "PixelShuffle", "PixelUnshuffle", "ReLU", "ReLU6", "Recompute",
    "ReflectionPad2d", "ReplicationPad2d", "Residual", "SELU", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus",
    "Softsign", "Tanh", "Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d", "ZeroPad2d", "freeze",
    "input_gradient", "plainly", "unfreeze",
]
