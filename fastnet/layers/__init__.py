"""The layers. Each is a plain object with forward, backward and parameters; see `Layer`."""
from fastnet.layers.activation import Identity, LogSoftmax, ReLU, SiLU, Softmax
from fastnet.layers.base import Layer
from fastnet.layers.checkpoint import Checkpoint
from fastnet.layers.compose import Add, Concat, Merge, Parallel, Residual, Sequential
from fastnet.layers.conv import Conv2d
from fastnet.layers.dropout import Dropout
from fastnet.layers.graph import Graph
from fastnet.layers.linear import Linear
from fastnet.layers.norm import BatchNorm1d, BatchNorm2d
from fastnet.layers.pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from fastnet.layers.shape import Flatten

__all__ = [
    "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Add", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Checkpoint", "Concat",
    "Conv2d", "Dropout", "Flatten", "Graph", "Identity", "Layer", "Linear", "LogSoftmax", "MaxPool2d", "Merge",
    "Parallel", "ReLU", "Residual", "Sequential", "SiLU", "Softmax",
]
