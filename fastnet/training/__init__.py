"""Training: the loop, what may be hooked into it, and what comes out of it."""
from fastnet.training.callbacks import (
    Callback,
    ClipValue,
    CsvLines,
    EarlyStopping,
    JsonLines,
    LearningRateSchedule,
    Progress,
    ReduceLROnPlateau,
    SaveBest,
    SaveCheckpoints,
    SaveCurves,
    Snapshots,
    StochasticWeightAverage,
    TensorBoard,
    WeightAverage,
    update_bn,
)
from fastnet.training.diagnosis import NonFiniteError
from fastnet.training.ensembles import Ensemble, tta
from fastnet.training.evaluation import evaluate, predict
from fastnet.training.history import History
from fastnet.training.images import predict_images
from fastnet.training.trainer import Trainer
from fastnet.training.weights import load_weights, save_weights

__all__ = [
    "Callback", "ClipValue", "CsvLines", "EarlyStopping", "Ensemble", "History", "JsonLines", "LearningRateSchedule",
    "NonFiniteError", "Progress", "ReduceLROnPlateau", "SaveBest", "SaveCheckpoints", "SaveCurves", "Snapshots",
    "StochasticWeightAverage", "TensorBoard", "Trainer", "WeightAverage", "evaluate", "load_weights", "predict",
    "predict_images", "save_weights", "tta", "update_bn",
]
