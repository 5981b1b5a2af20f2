"""scikit-learn's own checks of estimators."""
import pytest

pytest.importorskip("sklearn")
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from fastnet.estimators import (  # noqa: E402
    LeastSquaresClassifier,
    NetClassifier,
    NetRegressor,
    SoftmaxClassifier,
    SVMClassifier,
)

# As few epochs as the checks' accuracies allow.
QUICK = [LeastSquaresClassifier(), SoftmaxClassifier(max_iter=20), SVMClassifier(learning_rate_init=0.1, max_iter=15),
         NetClassifier((8,), learning_rate_init=0.05, max_iter=15), NetRegressor((8,), learning_rate_init=0.05, max_iter=25)]


@parametrize_with_checks(QUICK)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
