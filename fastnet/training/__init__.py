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
from fastnet.training.ensembles import Ensemble, Snapshots, tta
from fastnet.training.history import History
from fastnet.training.trainer import Trainer, evaluate, predict
from fastnet.training.weights import load_weights, save_weights

__all__ = [
    "Callback", "ClipValue", "EarlyStopping", "Ensemble", "History", "JsonLines", "LearningRateSchedule",
    "NonFiniteError", "Progress", "ReduceLROnPlateau", "SaveBest", "Snapshots", "StochasticWeightAverage", "Trainer",
    "WeightAverage", "evaluate", "load_weights", "predict", "save_weights", "tta", "update_bn",
]
