"""Rows, targets and weights as scikit-learn's users give them, checked and brought into the form that a net takes."""
from typing import NamedTuple

import numpy as np
from sklearn.base import is_regressor
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

# float64 and integers become float32; images of uint8 are converted batch by batch.
_KINDS = [np.float32, np.uint8]


class Samples(NamedTuple):
    """x (N, ...), y (N,) or (N, K), and one weight each, above 0, or None where all count alike."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    @property
    def mean_weight(self):
        """The mean of the weights."""
        return 1.0 if self.weight is None else float(self.weight.mean(dtype=np.float64))

    def targets(self, weighted):
        """What the loss gets: y, or (y, weight)."""
        if not weighted:
            return self.y
        return self.y, np.ones(len(self.y), np.float32) if self.weight is None else self.weight

    def joined(self):
        """The same with rows that are alike joined, and their weights added, in an order that does not depend on the
        one in which they came."""
        columns = self.y[:, None] if self.y.ndim == 1 else self.y
        table = np.concatenate([self.x.reshape(len(self.x), -1), columns], axis=1, dtype=np.float64)
        _, first, places = np.unique(table, axis=0, return_index=True, return_inverse=True)
        weight = np.bincount(places.ravel(), self.weight).astype(np.float32)
        return Samples(self.x[first], self.y[first], None if (weight == 1).all() else weight)

    def split(self, share, seed, stratify):
        """(samples to train on, samples held out)."""
        arrays = [array for array in self if array is not None]
        parts = train_test_split(*arrays, test_size=share, random_state=seed, stratify=self.y if stratify else None)
        return tuple(Samples(*parts[i::2], *[None] * (3 - len(arrays))) for i in (0, 1))


class Weighted:
    """A loss of targets (y, weight)."""

    classifies = False

    def __init__(self, loss):
        self.loss = loss

    def __call__(self, outputs, targets):
        y, weight = targets
        return self.loss(outputs, y, sample_weight=weight)


def rows(estimator, X):
    """X as a fitted estimator takes it, checked against what it was fitted with."""
    X = _floats(validate_data(estimator, X, reset=False, dtype=_KINDS, allow_nd=True))
    if X.shape[1:] != estimator.input_shape_:
        shape = ", ".join(map(str, ("N", *estimator.input_shape_)))
        raise ValueError(f"{type(estimator).__name__}: X must have shape ({shape}) as in fit, got {X.shape}")
    return X


def samples(estimator, X, y, sample_weight, first):
    """The `Samples` of X and y; those of weight 0 are left out. `first`: they say what shape all others will have."""
    X, y = validate_data(estimator, X, y, reset=first, dtype=_KINDS, allow_nd=True, multi_output=True,
                         y_numeric=is_regressor(estimator))
    X = _floats(X)
    if not first:
        rows(estimator, X[:1])
    if sample_weight is None:
        return Samples(X, y, None)
    weight = check_array(sample_weight, ensure_2d=False, dtype=np.float32, input_name="sample_weight")
    who = type(estimator).__name__
    if weight.shape != (len(X),):
        raise ValueError(f"{who}: sample_weight must be one number for each row, of shape ({len(X)},), got an array of "
                         f"shape {weight.shape}")
    if weight.min() < 0 or not weight.any():
        raise ValueError(f"{who}: sample_weight must hold numbers of at least 0 that are not all zero")
    if weight.all():
        return Samples(X, y, weight)
    kept = weight > 0
    return Samples(X[kept], y[kept], weight[kept])


def _floats(X):
    return X if X.ndim == 4 else X.astype(np.float32, copy=False)
