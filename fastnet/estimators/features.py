"""Features and normalisation of images as transformers, for pipelines: ``FeatureUnion`` puts several side by side.

All take images (N, C, H, W), or rows (N, F) of such images with ``shape=(C, H, W)``, which is how images come out of a
table or go through transformers of scikit-learn; what they give has rows if they were given rows.
"""
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnet import arguments, features
from fastnet.data import Normalize

# What these are not, becomes the first.
_KINDS = [np.float64, np.float32, np.uint8]


def _checked(estimator, X, reset=False):
    return validate_data(estimator, X, reset=reset, dtype=_KINDS, allow_nd=True)


def _images(estimator, X):
    """Rows as images of the estimator's `shape`; what has four axes, or where there is no `shape`, as it is."""
    if estimator.shape is None or X.ndim != 2:
        return X
    who = type(estimator).__name__
    shape = arguments.integers(estimator.shape, f"{who}: shape, that of one image,", 3, 1)
    if X.shape[1] != np.prod(shape):
        raise ValueError(f"{who}: shape {shape} has {np.prod(shape)} numbers, and the rows of X have {X.shape[1]}")
    return X.reshape(-1, *shape)


class _Features(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A transformer from images to rows of features; a subclass defines ``features(images)``."""

    def fit(self, X, y=None):
        """Nothing is learnt: X and the arguments are checked."""
        self._n_features_out = self.features(self._images(_checked(self, X, reset=True))[:1]).shape[1]
        return self

    def transform(self, X):
        """The features of each image, (N, D)."""
        check_is_fitted(self, "_n_features_out")
        return self.features(self._images(_checked(self, X)))

    def _images(self, X):
        if X.ndim == 2 and self.shape is None:
            raise ValueError(f"{type(self).__name__}: X must be images (N, C, H, W), got shape {X.shape}: give "
                             "shape=(C, H, W), that of one image, where these are rows of images")
        return _images(self, X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = self.shape is not None, True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class HOG(_Features):
    """Histograms of oriented gradients, see `fastnet.features.hog`.

    >>> import numpy as np
    >>> HOG(shape=(1, 16, 16), cells_per_block=(2, 2)).fit_transform(np.zeros((5, 256))).shape
    (5, 36)
    """

    def __init__(self, shape=None, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(3, 3), block_norm="L2-Hys"):
        self.shape = shape
        self.orientations = orientations
        self.pixels_per_cell = pixels_per_cell
        self.cells_per_block = cells_per_block
        self.block_norm = block_norm

    def features(self, images):
        """What `transform` gives of images (N, C, H, W)."""
        return features.hog(images, self.orientations, self.pixels_per_cell, self.cells_per_block, self.block_norm)


class HueHistogram(_Features):
    """The shares of hues, see `fastnet.features.hue_histogram`.

    >>> images = np.zeros((2, 3, 8, 8), np.uint8)
    >>> HueHistogram().fit_transform(images).shape
    (2, 10)
    """

    def __init__(self, shape=None, bins=10):
        self.shape = shape
        self.bins = bins

    def features(self, images):
        """What `transform` gives of images (N, 3, H, W)."""
        return features.hue_histogram(images, self.bins)


class _Normalization(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """A `fastnet.data.Normalize` that is fitted by `how`. Without `shape`, columns of rows are channels. Results are
    float32."""

    how = None

    def __init__(self, shape=None):
        self.shape = shape

    def fit(self, X, y=None):
        """Learn from images, or rows, of a training set; y is ignored."""
        self.normalize_ = type(self).how(_images(self, _checked(self, X, reset=True)))
        return self

    def transform(self, X):
        """X normalised, in its shape."""
        check_is_fitted(self, "normalize_")
        X = _checked(self, X)
        return self.normalize_(_images(self, X)).reshape(X.shape)

    def inverse_transform(self, X):
        """What was normalised, but for rounding."""
        check_is_fitted(self, "normalize_")
        X = _checked(self, X)
        return self.normalize_.inverse(_images(self, X)).reshape(X.shape)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class PerChannel(_Normalization):
    """Mean 0 and standard deviation 1 in every channel, see `fastnet.data.Normalize.per_channel`.

    >>> X = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    >>> PerChannel().fit_transform(X).shape
    (2, 3, 2, 2)
    """

    how = Normalize.per_channel


class MeanImage(_Normalization):
    """The mean image taken away, and each channel divided by its deviation from it, see
    `fastnet.data.Normalize.mean_image`.

    >>> X = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    >>> MeanImage().fit(X).transform(X).mean(axis=0).ravel()[:3]
    array([0., 0., 0.], dtype=float32)
    """

    how = Normalize.mean_image


class MinMax(_Normalization):
    """The smallest value of each channel becomes 0 and the greatest 1, see `fastnet.data.Normalize.min_max`.

    >>> X = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    >>> scaled = MinMax().fit_transform(X)
    >>> float(scaled.min()), float(scaled.max())
    (0.0, 1.0)
    """

    how = Normalize.min_max
