"""Training: the loop, what may be hooked into it, and what comes out of it."""
from fastnet.training.averages import StochasticWeightAverage, WeightAverage, update_bn
from fastnet.training.callbacks import (
    Callback,
    EarlyStopping,
    JsonLines,
    LearningRateSchedule,
    Progress,
    ReduceLROnPlateau,
    SaveBest,
)
from fastnet.training.clipping import ClipValue
from fastnet.training.diagnosis import NonFiniteError
from fastnet.training.history import History
from fastnet.training.images import predict_images
from fastnet.training.trainer import Trainer, evaluate, predict
from fastnet.training.weights import load_weights, save_weights

__all__ = [
    "Callback", "ClipValue", "EarlyStopping", "History", "JsonLines", "LearningRateSchedule", "NonFiniteError",
    "Progress", "ReduceLROnPlateau", "SaveBest", "StochasticWeightAverage", "Trainer", "WeightAverage", "evaluate",
    "load_weights", "predict", "predict_images", "save_weights", "update_bn",
]
