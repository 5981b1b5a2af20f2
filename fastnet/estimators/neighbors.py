"""Nearest neighbours: what the most similar training rows say."""
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnet import arguments
from fastnet.kernels import load

METRICS = {"euclidean": "l2", "l2": "l2", "manhattan": "l1", "cityblock": "l1", "l1": "l1"}
# What these are not, becomes the first.
_KINDS = [np.float64, np.float32, np.uint8]
# Differences that one call computes, a second or two: between calls Ctrl-C is heard.
_CALL = {"l2": 1 << 36, "l1": 1 << 34}


class _Neighbors(BaseEstimator):
    """What classifier and regressor share: the rows, and the search among them."""

    def __init__(self, n_neighbors=5, *, weights="uniform", metric="euclidean"):
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.metric = metric

    def _fit(self, X, y, **options):
        """Keep the rows; returns y, checked."""
        who = type(self).__name__
        arguments.integer(self.n_neighbors, f"{who}: n_neighbors", 1)
        arguments.choice(self.weights, ("uniform", "distance"), f"{who}: weights")
        arguments.choice(self.metric, tuple(METRICS), f"{who}: metric")
        self._rows, y = validate_data(self, _rows(X), y, dtype=_KINDS, **options)
        self.n_samples_fit_ = len(self._rows)
        return y

    def kneighbors(self, X=None, n_neighbors=None, return_distance=True):
        """(distances, indices) of the nearest training rows of each row of X, both (N, n_neighbors), the nearest first,
        of those at one distance the first one first; without `return_distance` the indices alone.

        Without X the neighbours of each training row among the others. Distances are worked out in float64, and are
        float32 unless X or the training rows are float64.
        """
        check_is_fitted(self, "n_samples_fit_")
        who = type(self).__name__
        k = arguments.integer(self.n_neighbors if n_neighbors is None else n_neighbors, f"{who}: n_neighbors", 1)
        arguments.flag(return_distance, f"{who}: return_distance")
        most = self.n_samples_fit_ - (X is None)
        if k > most:
            raise ValueError(f"{who}: expected n_neighbors <= {most}, the training rows"
                             f"{' but one' if X is None else ''}, got n_neighbors = {k}, n_samples_fit = "
                             f"{self.n_samples_fit_}, n_samples = {self.n_samples_fit_ if X is None else len(X)}")
        if X is None:
            found = _without_themselves(*self._search(self._rows, k + 1))
        else:
            found = self._search(validate_data(self, _rows(X), reset=False, dtype=_KINDS), k)
        return found if return_distance else found[1]

    def _search(self, X, k):
        """(distances, indices), some rows at a time. Bytes are compared as bytes where both are."""
        common = np.result_type(X, self._rows)
        X, rows = X.astype(common, copy=False), np.ascontiguousarray(self._rows, common)
        metric = METRICS[arguments.choice(self.metric, tuple(METRICS), f"{type(self).__name__}: metric")]
        step = max(1, _CALL[metric] // rows.size)
        parts = [load("cpu").nearest_rows(X[i:i + step], rows, k, metric) for i in range(0, len(X), step)]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def _weighted(self, X):
        """(indices, weights that add up to 1 for each row). A row at distance 0 leaves no weight to those that are not.
        """
        distances, indices = self.kneighbors(X)
        if arguments.choice(self.weights, ("uniform", "distance"), f"{type(self).__name__}: weights") == "uniform":
            return indices, np.full(distances.shape, 1 / distances.shape[1])
        with np.errstate(divide="ignore"):
            weights = 1 / distances.astype(np.float64)
        same = np.isinf(weights)
        weights = np.where(same.any(axis=1, keepdims=True), same, weights)
        return indices, weights / weights.sum(axis=1, keepdims=True)


    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _rows(X):
    """Images (N, C, H, W), each as a row of its numbers; anything else as it is."""
    return X.reshape(len(X), -1) if isinstance(X, np.ndarray) and X.ndim > 2 and X.size else X


def _without_themselves(distances, indices):
    """All neighbours but each row itself; without the last one where the row is not among so many at distance 0."""
    others = indices != np.arange(len(indices))[:, None]
    others[others.all(axis=1), -1] = False
    return tuple(array[others].reshape(len(array), -1) for array in (distances, indices))


class KNeighborsClassifier(ClassifierMixin, _Neighbors):
    """The class that most of the nearest training rows have.

    n_neighbors : how many of them vote;  weights : "uniform", one vote each, or "distance", 1 / distance each
    metric : "euclidean" or "l2", the root of the sum of squared differences; "manhattan", "cityblock" or "l1", the sum
    of their absolute values
    Names and meanings are those of scikit-learn's class. Nothing but the numbers of X decides: distances are compared
    in float64, rows at one distance come in the order of the training set, classes with as many votes in their own.
    uint8 stays uint8, and no matrix of distances is made, so that all of CIFAR-10 fits.

    >>> import numpy as np
    >>> model = KNeighborsClassifier(n_neighbors=1).fit(np.array([[0.0], [10.0]]), ["low", "high"])
    >>> model.predict(np.array([[3.0], [7.0]])).tolist()
    ['low', 'high']
    """

    def fit(self, X, y):
        """Keep rows X (N, F), or images (N, C, H, W), and their classes y (N,)."""
        y = self._fit(X, y)
        check_classification_targets(y)
        self.classes_, self._codes = np.unique(y, return_inverse=True)
        return self

    def predict_proba(self, X):
        """The share of the votes for each of `classes_`, (N, K) float64."""
        indices, weights = self._weighted(X)
        shares = np.zeros((len(indices), len(self.classes_)))
        for column, weight in zip(indices.T, weights.T, strict=True):
            shares[np.arange(len(column)), self._codes[column]] += weight
        return shares

    def predict(self, X):
        """The class with the most votes for each row, (N,)."""
        winners = self.predict_proba(X).argmax(axis=1)
        return self.classes_[winners]


class KNeighborsRegressor(RegressorMixin, _Neighbors):
    """The mean of the targets of the nearest training rows; arguments as for `KNeighborsClassifier`.

    >>> X, y = np.float32([[0, 1], [1, 0], [1, 1]]), np.float32([1, 0, 1])
    >>> KNeighborsRegressor(n_neighbors=1).fit(X, y).predict(X)
    array([1., 0., 1.])
    """

    def fit(self, X, y):
        """Keep rows X (N, F) and their targets y (N,) or (N, T)."""
        self._targets = self._fit(X, y, multi_output=True, y_numeric=True)
        return self

    def predict(self, X):
        """Means of targets, weighted as `weights` says: (N,) or (N, T) float64."""
        indices, weights = self._weighted(X)
        return np.einsum("nk,nk...->n...", weights, self._targets[indices].astype(np.float64))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
