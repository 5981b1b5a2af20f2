"""scikit-learn's own checks of neighbours, normalisation and whitening; features want images, which these do not give.
"""
import pytest

pytest.importorskip("sklearn")
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from fastnet.estimators import (  # noqa: E402
    PCA,
    ZCA,
    KNeighborsClassifier,
    KNeighborsRegressor,
    MeanImage,
    MinMax,
    PerChannel,
)


@parametrize_with_checks([KNeighborsClassifier(), KNeighborsClassifier(weights="distance", metric="l1"),
                          KNeighborsRegressor(), PerChannel(), MeanImage(), MinMax(), PCA(), PCA(whiten=True), ZCA()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)
