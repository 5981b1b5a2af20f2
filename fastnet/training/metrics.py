"""Counting while batches go by."""
import numpy as np


def count_correct(logits, labels):
    """How many rows of logits (N, C) are largest at their label (N,). None where the labels are not class numbers."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or logits.ndim != 2:
        return None
    return int(np.count_nonzero(logits.argmax(axis=1) == labels))


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
