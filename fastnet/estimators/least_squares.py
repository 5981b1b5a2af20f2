"""Classification by least squares, in closed form."""
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fastnet import arguments
from fastnet.estimators.classes import Classifier
from fastnet.estimators.linear import Templates
from fastnet.estimators.nets import keep
from fastnet.estimators.samples import rows, samples


class LeastSquaresClassifier(Templates, Classifier, BaseEstimator):
    """The scores x w^T + b that come nearest to 1 at a row's class and -1 at all others: the least sum of squared
    differences over all rows, plus alpha times the sum of squared weights, without those of b.

    In closed form, from the normal equations in float64; with alpha = 0 the smallest of all such weights. It is what
    scikit-learn's RidgeClassifier finds. X are rows (N, F) or images; `class_weight` is {class: weight} or "balanced";
    `templates` shows the weights as pictures.

    >>> import numpy as np
    >>> X, y = np.array([[0.0], [1.0], [4.0], [5.0]]), ["low", "low", "high", "high"]
    >>> LeastSquaresClassifier(alpha=0).fit(X, y).decision_function([[2.5], [4.0]]).round(3).tolist()
    [0.0, -1.412]
    """

    def __init__(self, alpha=1.0, *, class_weight=None):
        keep(self, locals())

    def fit(self, X, y, sample_weight=None):
        """Solve for the weights; returns self. ValueError or TypeError for what does not fit."""
        arguments.number(self.alpha, f"{self._who}: alpha", 0)
        given = self.encoded(samples(self, X, y, sample_weight, True), True)
        self.input_shape_ = given.x.shape[1:]
        x = given.x.reshape(len(given.x), -1).astype(np.float64)
        targets = np.where(given.y[:, None] == np.arange(self.n_outputs_), 1.0, -1.0)
        weight = np.ones(len(x)) if given.weight is None else given.weight.astype(np.float64)
        x_mean, t_mean = np.average(x, axis=0, weights=weight), np.average(targets, axis=0, weights=weight)
        root = np.sqrt(weight)[:, None]
        x, targets = (x - x_mean) * root, (targets - t_mean) * root
        if not self.alpha:
            w = np.linalg.lstsq(x, targets)[0].T
        elif x.shape[0] < x.shape[1]:       # the same, by a smaller system
            w = np.linalg.solve(x @ x.T + self.alpha * np.eye(len(x)), targets).T @ x
        else:
            w = np.linalg.solve(x.T @ x + self.alpha * np.eye(x.shape[1]), x.T @ targets).T
        self._weights = w, t_mean - w @ x_mean
        return self

    def weights(self):
        """(w, b)."""
        check_is_fitted(self, "_weights")
        return self._weights

    def outputs(self, X):
        """The scores: (N, C), float64."""
        w, b = self.weights()
        X = rows(self, X)
        return X.reshape(len(X), -1).astype(np.float64) @ w.T + b

    @property
    def _who(self):
        return type(self).__name__
