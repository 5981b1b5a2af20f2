"""fastnet: neural networks for people who work in NumPy, with layers that are plain objects and kernels that Numba
compiles."""
from fastnet import data, init, kernels, layers, losses, models, optim, schedules, training
from fastnet.init import manual_seed
from fastnet.kernels import bfloat16_products, empty_cache, exact
from fastnet.layers import (
    ELU,
    GELU,
    SELU,
    Activation,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Concat,
    Container,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    Layer,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool2d,
    Merge,
    Mish,
    Parallel,
    Recompute,
    ReLU,
    ReLU6,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
    freeze,
    input_gradient,
    plainly,
    unfreeze,
)
from fastnet.losses import CrossEntropyLoss, MSELoss
from fastnet.optim import SGD, Adagrad, Adam, AdamW, Muon, NAdam, RMSprop, minimise
from fastnet.parameter import Parameter
from fastnet.program.tables import Explanation, Listing, Summary, explain, summary
from fastnet.training import (
    Callback,
    EarlyStopping,
    History,
    JsonLines,
    LearningRateSchedule,
    NonFiniteError,
    Progress,
    ReduceLROnPlateau,
    SaveBest,
    StochasticWeightAverage,
    Trainer,
    WeightAverage,
    evaluate,
    load_weights,
    predict,
    save_weights,
    update_bn,
)

__version__ = "0.1.0"

__all__ = [
    "Activation", "Adagrad", "Adam", "AdamW", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Add", "AvgPool2d",
    "BatchNorm1d", "BatchNorm2d", "Callback", "Concat", "Container", "Conv2d", "CrossEntropyLoss", "Dropout", "ELU",
    "EarlyStopping", "Explanation", "Flatten", "GELU", "Graph", "Hardsigmoid", "Hardswish", "Hardtanh", "History",
    "Identity", "JsonLines", "Layer", "LeakyReLU", "LearningRateSchedule", "Linear", "Listing", "LogSoftmax", "MSELoss",
    "MaxPool2d", "Merge", "Mish", "Muon", "NAdam", "NonFiniteError", "Parallel", "Parameter", "Progress", "RMSprop",
    "ReLU", "ReLU6", "Recompute", "ReduceLROnPlateau", "Residual", "SELU", "SGD", "SaveBest", "Sequential", "SiLU",
    "Sigmoid", "Softmax", "Softplus", "Softsign", "StochasticWeightAverage", "Summary", "Tanh", "Trainer",
    "WeightAverage", "bfloat16_products", "data", "empty_cache", "evaluate", "exact", "explain", "freeze", "init",
    "input_gradient", "kernels", "layers", "load_weights", "losses", "manual_seed", "minimise", "models", "optim",
    "plainly", "predict", "save_weights", "schedules", "summary", "training", "unfreeze", "update_bn",
]
