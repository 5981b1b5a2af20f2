"""The layers. Each is a plain object with forward, backward and parameters; see `Layer`."""
from fastnet.layers.activation import (
    CELU,
    ELU,
    GELU,
    SELU,
    Activation,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Softshrink,
    Softsign,
    Tanh,
    Tanhshrink,
    Threshold,
)
from fastnet.layers.base import Layer
from fastnet.layers.compose import Parallel, Residual, Sequential
from fastnet.layers.container import Container
from fastnet.layers.conv import Conv1d, Conv2d, ConvTranspose2d
from fastnet.layers.dropout import Dropout, Dropout1d, Dropout2d, StochasticDepth
from fastnet.layers.embedding import Embedding
from fastnet.layers.formula import plainly
from fastnet.layers.freezing import freeze, input_gradient, unfreeze
from fastnet.layers.graph import Graph
from fastnet.layers.group_norm import GroupNorm, LayerNorm, LocalResponseNorm, RMSNorm
from fastnet.layers.learned import Maxout, PReLU
from fastnet.layers.linear import Linear
from fastnet.layers.locally_connected import LocallyConnected2d
from fastnet.layers.merge import Add, Concat, Merge, Multiply
from fastnet.layers.norm import BatchNorm1d, BatchNorm2d, InstanceNorm2d
from fastnet.layers.pad import CircularPad2d, ConstantPad2d, ReflectionPad2d, ReplicationPad2d, ZeroPad2d
from fastnet.layers.pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d, MaxUnpool2d
from fastnet.layers.recompute import Recompute
from fastnet.layers.recurrent import GRU, LSTM, RNN
from fastnet.layers.roi import RoIAlign, RoIPool
from fastnet.layers.scale import LayerScale
from fastnet.layers.scores import LogSoftmax, Softmax
from fastnet.layers.sealing import seal, unseal
from fastnet.layers.shape import ChannelShuffle, Chunk, Flatten, Identity, Mean, Permute, Unflatten
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
    "BedOfNails", "CELU", "ChannelShuffle", "Chunk", "CircularPad2d", "Concat", "ConstantPad2d", "Container", "Conv1d",
    "Conv2d", "ConvTranspose2d", "Dropout", "Dropout1d", "Dropout2d", "ELU", "Embedding", "Flatten", "GELU", "GRU",
    "Graph", "GroupNorm", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "InstanceNorm2d", "LSTM",
    "Layer", "LayerNorm", "LayerScale", "LeakyReLU", "Linear", "LocalResponseNorm", "LocallyConnected2d", "LogSigmoid",
    "LogSoftmax", "MaxPool2d", "MaxUnpool2d", "Maxout", "Mean", "Merge", "Mish", "Multiply", "PReLU", "Parallel",
    "Permute", "PixelShuffle", "PixelUnshuffle", "RMSNorm", "RNN", "ReLU", "ReLU6", "Recompute", "ReflectionPad2d",
    "ReplicationPad2d", "Residual", "RoIAlign", "RoIPool", "SELU", "Sequential", "SiLU", "Sigmoid", "Softmax",
    "Softplus", "Softshrink", "Softsign", "StochasticDepth", "Tanh", "Tanhshrink", "Threshold", "Unflatten", "Upsample",
    "UpsamplingBilinear2d", "UpsamplingNearest2d", "ZeroPad2d", "freeze", "input_gradient", "plainly", "seal",
    "unfreeze", "unseal",
]
