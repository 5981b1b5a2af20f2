"""Losses: the number to make small, born together with its gradient.

A loss is called as ``value, gradient = loss(outputs, targets)``: value is a Python float, the mean over the batch, and
gradient is the gradient of that mean, of the shape of outputs, ready for ``net.backward``. Any function of that form
serves a `Trainer`. Names and arguments are PyTorch's; reduction is "mean" or "sum".

``loss(outputs, targets, sample_weight)`` with one number of at least 0 for each sample multiplies each sample's loss by
it, and the mean is a weighted one, divided by the sum of the weights, as in scikit-learn. A sample of weight 0 counts
for nothing. What else the mean divides by each loss says. Where that is 0, value and gradient are 0.

Each loss says by `task` what it is for; see `Loss`.
"""
from fastnet.losses.base import Loss
from fastnet.losses.classes import CrossEntropyLoss, EpsilonSoftmaxLoss, FocalLoss, MultiMarginLoss, NLLLoss
from fastnet.losses.heads import WeightedSum
from fastnet.losses.pointwise import (
    BCELoss,
    BCEWithLogitsLoss,
    HingeLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    MultiLabelSoftMarginLoss,
    PoissonNLLLoss,
    SigmoidFocalLoss,
    SmoothL1Loss,
    SoftMarginLoss,
)

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "EpsilonSoftmaxLoss", "FocalLoss", "HingeLoss", "HuberLoss",
    "KLDivLoss", "L1Loss", "Loss", "MSELoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss",
    "PoissonNLLLoss", "SigmoidFocalLoss", "SmoothL1Loss", "SoftMarginLoss", "WeightedSum",
]
