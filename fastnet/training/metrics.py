"""Counting while batches go by."""
import numpy as np


def count_correct(logits, labels):
    """How many samples are given their class; None where that is not to be told.

    logits (N, C) of two or more columns: the largest is at the label. labels (N,) are integers below C. One column,
    (N, 1) or (N,), is the logit of class 1 against class 0: above 0 where the label is 1, at most 0 where it is 0;
    labels, of either shape, are all 0 or 1, whatever their dtype. Anything else has no classes.
    """
    logits, labels = _plain(logits), _plain(labels)
    if logits is None or labels is None or logits.ndim not in (1, 2) or len(labels) != len(logits):
        return None
    if logits.ndim == 1 or logits.shape[1] == 1:
        logits, truth = logits.ravel(), labels.ravel()
        if truth.shape != logits.shape or not np.isin(truth, (0, 1)).all():
            return None
        return int(np.count_nonzero((logits > 0) == (truth == 1)))
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not _below(labels, logits.shape[1]):
        return None
    return int(np.count_nonzero(logits.argmax(axis=1) == labels))


def _plain(value):
    """An array of numbers with one row a sample at least; None for anything else."""
    try:
        array = np.asarray(value)
    except Exception:   # rows of different lengths, or a class of the user's own
        return None
    return array if array.dtype.kind in "fiub" and array.ndim and len(array) else None


def _below(labels, classes):
    return labels.min() >= 0 and labels.max() < classes


class Totals:
    """Mean loss and accuracy over all images added so far; None before the first, and where there is no accuracy."""

    def __init__(self):
        self.images = 0
        self._loss = 0.0
        self._correct = 0

    def add(self, loss, correct, images):
        """One batch: its mean loss, its number of right answers (or None) and its size."""
        self.images += images
        self._loss += float(loss) * images
        self._correct = None if correct is None or self._correct is None else self._correct + correct

    @property
    def loss(self):
        return self._loss / self.images if self.images else None

    @property
    def accuracy(self):
        return self._correct / self.images if self.images and self._correct is not None else None
