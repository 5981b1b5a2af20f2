"""scikit-learn's own checks of neighbours, features, normalisation and whitening."""
import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.utils import get_tags  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from fastnet.estimators import (  # noqa: E402
    HOG,
    PCA,
    ZCA,
    HueHistogram,
    KNeighborsClassifier,
    KNeighborsRegressor,
    MeanImage,
    MinMax,
    PerChannel,
)


class OfRows:
    """Features of rows of any length, as images of one row of grey pixels: the checks know nothing of images."""

    def _images(self, X):
        return np.repeat(X[:, None, None], 3, axis=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


class HOGOfRows(OfRows, HOG):
    pass


class HueHistogramOfRows(OfRows, HueHistogram):
    pass


@parametrize_with_checks([KNeighborsClassifier(), KNeighborsClassifier(weights="distance", metric="l1"),
                          KNeighborsRegressor(), PerChannel(), MeanImage(), MinMax(), PCA(), PCA(whiten=True), ZCA(),
                          HOGOfRows(pixels_per_cell=(1, 1), cells_per_block=(1, 1)), HueHistogramOfRows()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_rows_are_taken_where_a_shape_tells_what_they_are():
    for features in (HOG, HueHistogram):
        made = features(), features(shape=(3, 8, 8))
        assert [get_tags(one).input_tags.two_d_array for one in made] == [False, True]
