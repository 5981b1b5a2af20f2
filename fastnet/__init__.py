"""fastnet: neural networks for people who work in NumPy, with layers that are plain objects and kernels that Numba
compiles."""
from fastnet import data, init, kernels, layers, losses, models, optim, schedules, training
from fastnet.init import manual_seed
from fastnet.kernels import bfloat16_products, exact
from fastnet.layers import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Checkpoint,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Identity,
    Layer,
    Linear,
    LogSoftmax,
    MaxPool2d,
    Merge,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    SiLU,
    Softmax,
)
from fastnet.losses import CrossEntropyLoss, MSELoss
from fastnet.optim import SGD, Adam, AdamW, Muon
from fastnet.parameter import Parameter
from fastnet.plan import Plan
from fastnet.summary import Explanation, Summary, explain, summary
from fastnet.training import (
    Callback,
    EarlyStopping,
    History,
    JsonLines,
    LearningRateSchedule,
    NonFiniteError,
    Progress,
    SaveBest,
    Trainer,
    WeightAverage,
    evaluate,
    load_weights,
    predict,
    save_weights,
)

__version__ = "0.1.0"

__all__ = [
    "Adam", "AdamW", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "Add", "AvgPool2d", "BatchNorm1d", "BatchNorm2d",
    "Callback", "Checkpoint", "Concat", "Conv2d", "CrossEntropyLoss", "Dropout", "EarlyStopping", "Explanation",
    "Flatten", "Graph", "History", "Identity", "JsonLines", "Layer", "LearningRateSchedule", "Linear", "LogSoftmax",
    "MSELoss", "MaxPool2d", "Merge", "Muon", "NonFiniteError", "Parallel", "Parameter", "Plan", "Progress", "ReLU",
    "Residual", "SGD", "SaveBest", "Sequential", "SiLU", "Softmax", "Summary", "Trainer", "WeightAverage",
    "bfloat16_products", "data", "evaluate", "exact", "explain", "init", "kernels", "layers", "load_weights", "losses",
    "manual_seed", "models", "optim", "predict", "save_weights", "schedules", "summary", "training",
]
