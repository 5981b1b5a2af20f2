"""Principal components and whitening of rows: directions that do not vary together, and as much in each.

With the covariance C = U diag(v) U^T of the training rows, u a column of U and m their mean:

    PCA         y_i = u_i (x - m), and with whiten=True divided by sqrt(v_i + epsilon)
    ZCA         y = U diag(1 / sqrt(v + epsilon)) U^T (x - m): whitened, and as near to x as it can be, so that images
                still look like images. Bell and Sejnowski, "The independent components of natural scenes are edge
                filters" (1997)
"""
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnet import arguments

# What these are not, becomes the first.
_KINDS = [np.float64, np.float32, np.uint8]
# Rows that are converted at a time.
_ROWS = 2048


class _Components(TransformerMixin, BaseEstimator):
    """The eigenvectors of a covariance, and the way to their coordinates and back."""

    def _fit(self, X):
        """Set `mean_` (F,), `components_` (F, F) with the eigenvectors as rows, and `explained_variance_` (F,), the
        largest first, all float64; returns the number of rows."""
        X = validate_data(self, X, dtype=_KINDS, ensure_min_samples=2)
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        covariance = np.zeros((X.shape[1], X.shape[1]))
        for i in range(0, len(X), _ROWS):
            part = X[i:i + _ROWS] - self.mean_
            covariance += part.T @ part
        variances, vectors = np.linalg.eigh(covariance / (len(X) - 1))
        self.explained_variance_, self.components_ = np.maximum(variances[::-1], 0), vectors.T[::-1]
        largest = np.abs(self.components_).argmax(axis=1)
        self.components_ = self.components_ * np.sign(self.components_[np.arange(len(largest)), largest])[:, None]
        return len(X)

    def _applied(self, X, function):
        """function(part, dtype) for some rows at a time; X is float32 or float64, or becomes float32."""
        dtype = np.float64 if X.dtype == np.float64 else np.float32
        parts = [function(X[i:i + _ROWS].astype(dtype, copy=False), dtype) for i in range(0, len(X), _ROWS)]
        return np.concatenate(parts)

    def _forward(self, X, scale):
        """The coordinates of rows, times `scale`."""
        matrix = (self.components_ * scale[:, None]).T
        return self._applied(X, lambda part, dtype: (part - self.mean_.astype(dtype)) @ matrix.astype(dtype))

    def _back(self, X, scale):
        """Rows from their coordinates, times `scale`."""
        matrix = self.components_ * scale[:, None]
        return self._applied(X, lambda part, dtype: part @ matrix.astype(dtype) + self.mean_.astype(dtype))

    def _deviation(self):
        return np.sqrt(self.explained_variance_ + self.epsilon)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _inverse(deviation):
    """1 / deviation, and 0 for a direction in which nothing varies and to which no epsilon was added."""
    return np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)


class PCA(ClassNamePrefixFeaturesOutMixin, _Components):
    """Principal components: coordinates along the directions in which the training rows vary most.

    n_components : how many; None is as many as there are; a share between 0 and 1 as many as explain that share of the
    variance;  whiten : whether each is divided by its deviation, sqrt(variance + epsilon);  epsilon : at least 0, in
    squared units of X, keeps what hardly varies from being blown up
    Attributes are scikit-learn's: `components_` (K, F), `mean_`, `explained_variance_`, `explained_variance_ratio_`.
    The largest number of each component is positive. They are eigenvectors of the covariance in float64; results are
    float64 for float64 X, else float32.

    >>> import numpy as np
    >>> line = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    >>> PCA(n_components=1).fit_transform(line).round(2).tolist()
    [[-2.24], [0.0], [2.24]]
    """

    def __init__(self, n_components=None, *, whiten=False, epsilon=1e-5):
        self.n_components = n_components
        self.whiten = whiten
        self.epsilon = epsilon

    def fit(self, X, y=None):
        """Learn from rows X (N, F), at least two; y is ignored."""
        arguments.flag(self.whiten, "PCA: whiten")
        arguments.number(self.epsilon, "PCA: epsilon", 0)
        share = isinstance(self.n_components, (float, np.floating))
        if share:
            arguments.number(self.n_components, "PCA: n_components, a share of the variance or an integer,", above=0,
                             below=1)
        n, most = self._fit(X), self.mean_.size
        ratio = self.explained_variance_ / (self.explained_variance_.sum() or 1)
        most = min(n, most)
        if share:
            count = min(int(np.searchsorted(np.cumsum(ratio), self.n_components)) + 1, most)
        elif self.n_components is None:
            count = most
        else:
            name = f"PCA: n_components, of {n} rows and {self.mean_.size} columns,"
            count = arguments.integer(self.n_components, name, 1, most)
        self.n_components_ = self._n_features_out = count
        self.components_, self.explained_variance_ = self.components_[:count], self.explained_variance_[:count]
        self.explained_variance_ratio_ = ratio[:count]
        return self

    def transform(self, X):
        """Coordinates of rows, (N, K)."""
        check_is_fitted(self, "components_")
        scale = _inverse(self._deviation()) if self.whiten else np.ones(len(self.components_))
        return self._forward(validate_data(self, X, reset=False, dtype=_KINDS), scale)

    def inverse_transform(self, X):
        """Rows (N, F) from coordinates (N, K): without whatever the components left out."""
        check_is_fitted(self, "components_")
        X = arguments.array(X, "PCA: X")
        if X.ndim != 2 or X.shape[1] != len(self.components_):
            raise ValueError(f"PCA: X must have shape (N, {len(self.components_)}), as from transform, got {X.shape}")
        return self._back(X, self._deviation() if self.whiten else np.ones(len(self.components_)))


class ZCA(OneToOneFeatureMixin, _Components):
    """Whitening that leaves rows as they are as far as it can.

    epsilon : what is added to variances, at least 0, in squared units of X: the larger, the less is changed of what
    hardly varies, noise say
    `components_`, `mean_` and `explained_variance_` are those of `PCA`, all of them; results are float64 for float64 X,
    else float32.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(1000, 2)) @ [[2.0, 1.0], [0.0, 1.0]]
    >>> np.cov(ZCA().fit_transform(X).T).round(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, *, epsilon=1e-5):
        self.epsilon = epsilon

    def fit(self, X, y=None):
        """Learn from rows X (N, F), at least two; y is ignored."""
        arguments.number(self.epsilon, "ZCA: epsilon", 0)
        self._fit(X)
        return self

    def transform(self, X):
        """Whitened rows, (N, F)."""
        check_is_fitted(self, "components_")
        return self._turned(X, _inverse(self._deviation()), back=False)

    def inverse_transform(self, X):
        """Rows from whitened ones."""
        check_is_fitted(self, "components_")
        return self._turned(X, self._deviation(), back=True)

    def _turned(self, X, scale, back):
        """To the components, times `scale`, and back; the mean is taken away before, or, on the way `back`, added."""
        X = validate_data(self, X, reset=False, dtype=_KINDS)
        left, right = self.components_.T * scale, self.components_

        def turned(part, dtype):
            mean = self.mean_.astype(dtype)
            y = (part if back else part - mean) @ left.astype(dtype) @ right.astype(dtype)
            return y + mean if back else y

        return self._applied(X, turned)
