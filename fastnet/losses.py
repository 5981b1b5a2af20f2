"""Losses: the number to make small, born together with its gradient.

A loss is called as ``value, dlogits = loss(logits, labels)``: value is a Python float, the mean over the batch, and
dlogits is the gradient of that mean, of the shape of logits, ready for ``net.backward``. Any function of that form
serves a `Trainer`. Where the targets of a loss are no classes it says ``classifies = False``: then nobody counts how
many are met.
"""
import numpy as np

from fastnet import arguments, kernels
from fastnet.kernels import checks


class CrossEntropyLoss:
    """Softmax and cross-entropy in one pass: value = -1/N sum_n sum_c t[n, c] log softmax(logits)[n, c].

    logits (N, C) are scores, not probabilities; labels (N,) are class numbers 0 .. C - 1. The target t is
    (1 - label_smoothing) at the label plus label_smoothing / C everywhere, and dlogits = (softmax(logits) - t) / N.
    Natural logarithm: tiny weights start near ln C, which is 2.3026 for ten classes.
    ValueError for labels out of range or shapes that do not fit, TypeError for labels that are not integers.
    Smoothing: Szegedy et al., Rethinking the Inception Architecture (2016), section 7.
    """

    classifies = True

    def __init__(self, label_smoothing=0.0, backend="cpu"):
        self.label_smoothing = label_smoothing
        self.backend = arguments.choice(backend, kernels.BACKENDS, "CrossEntropyLoss: backend")

    @property
    def label_smoothing(self):
        """The share of the target that all classes have in equal parts."""
        return self._label_smoothing

    @label_smoothing.setter
    def label_smoothing(self, value):
        self._label_smoothing = arguments.number(value, "CrossEntropyLoss: label_smoothing", 0, 1)

    @property
    def ops(self):
        """The module of operations that `backend` names."""
        return kernels.load(self.backend)

    def __call__(self, logits, labels):
        logits = arguments.array(logits, "CrossEntropyLoss: logits")
        if logits.ndim != 2:
            raise ValueError(f"CrossEntropyLoss: logits must have shape (N, C), one row of scores a sample, got "
                             f"{logits.shape}")
        checks.not_empty(logits.shape, "CrossEntropyLoss: logits")
        labels = arguments.labels(labels, "CrossEntropyLoss: labels", *logits.shape)
        return self.ops.softmax_cross_entropy(logits, labels, self.label_smoothing)

    def __repr__(self):
        return f"CrossEntropyLoss(label_smoothing={self.label_smoothing:g})"


class MSELoss:
    """Mean squared error over all elements: value = mean (prediction - target)^2, gradient
    2 (prediction - target) / size.

    prediction and target have one shape, whatever it is; they are not broadcast, because (N, 1) against (N,) is nearly
    always a mistake. The value is summed in float64.
    """

    classifies = False

    def __call__(self, prediction, target):
        prediction = checks.floating(arguments.array(prediction, "MSELoss: prediction"), "MSELoss: prediction")
        with np.errstate(over="ignore"):    # numbers beyond float32 are infinite, as the loss of a net gone astray
            target = checks.floating(arguments.values(target, "MSELoss: target"), "MSELoss: target", like=prediction)
        if prediction.shape != target.shape:
            remedy = ""
            if prediction.size == target.size and target.ndim == 1:
                remedy = ": give target[:, None]"
            raise ValueError(f"MSELoss: prediction and target must have the same shape, got {prediction.shape} and "
                             f"{target.shape}{remedy}")
        checks.not_empty(prediction.shape, "MSELoss: prediction")
        with np.errstate(over="ignore", invalid="ignore"):  # a loss may overflow; whoever trains looks at its value
            error = prediction - target
            value = float(np.mean(np.square(error), dtype=np.float64))
            return value, error * (2 / error.size)

    def __repr__(self):
        return "MSELoss()"
