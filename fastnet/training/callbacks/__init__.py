"""What may be hooked into a training."""
from fastnet.training.callbacks.averages import StochasticWeightAverage, WeightAverage, update_bn
from fastnet.training.callbacks.base import HOOKS, Callback
from fastnet.training.callbacks.best import EarlyStopping, ReduceLROnPlateau, SaveBest
from fastnet.training.callbacks.checkpoints import SaveCheckpoints
from fastnet.training.callbacks.logs import CsvLines, JsonLines, SaveCurves, TensorBoard
from fastnet.training.callbacks.progress import Progress
from fastnet.training.callbacks.snapshots import Snapshots
from fastnet.training.callbacks.steps import ClipValue, LearningRateSchedule

__all__ = ["HOOKS", "Callback", "ClipValue", "CsvLines", "EarlyStopping", "JsonLines", "LearningRateSchedule",
           "Progress", "ReduceLROnPlateau", "SaveBest", "SaveCheckpoints", "SaveCurves", "Snapshots",
           "StochasticWeightAverage", "TensorBoard", "WeightAverage", "update_bn"]
