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
from fastnet.layers.pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from fastnet.layers.recompute import Recompute
from fastnet.layers.shape import Flatten

__all__ = [
    "Activation", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Add", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Concat",
    "Container", "Conv2d", "Dropout", "ELU", "Flatten", "GELU", "Graph", "Hardsigmoid", "Hardswish", "Hardtanh",
    "Identity", "Layer", "LeakyReLU", "Linear", "LogSoftmax", "MaxPool2d", "Merge", "Mish", "Parallel", "ReLU", "ReLU6",
    "Recompute", "Residual", "SELU", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh",
    "freeze", "input_gradient", "plainly", "unfreeze",
]
