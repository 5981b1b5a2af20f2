"""Linear classifiers against scikit-learn's, and against the formula."""
import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.datasets import load_digits, load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression, RidgeClassifier  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import SVC  # noqa: E402

from fastnet.estimators import LeastSquaresClassifier, SoftmaxClassifier, SVMClassifier  # noqa: E402

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
TWO = Y != 0
WEIGHT = np.random.default_rng(0).integers(0, 4, len(X)).astype(float)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("rows", [TWO, slice(None)])
def test_softmax_is_logistic_regression(rows, weight):
    weight = None if weight is None else weight[rows]
    ours = SoftmaxClassifier(C=0.3, tol=1e-5).fit(X[rows], Y[rows], weight)
    judge = LogisticRegression(C=0.3 if ours.n_outputs_ > 2 else 0.6, tol=1e-8).fit(X[rows], Y[rows], weight)
    np.testing.assert_allclose(ours.predict_proba(X), judge.predict_proba(X), atol=3e-3)
    if ours.n_outputs_ > 2:
        np.testing.assert_allclose(ours.coef_, judge.coef_, atol=3e-3)
    assert ours.coef_.shape == judge.coef_.shape and ours.intercept_.shape == judge.intercept_.shape


def test_svm_of_two_classes_is_svc():
    ours = SVMClassifier(C=0.05, solver="adam", learning_rate_init=0.003, max_iter=2000, tol=1e-6,
                         n_iter_no_change=100).fit(X[TWO], Y[TWO])
    judge = SVC(kernel="linear", C=0.1).fit(X[TWO], Y[TWO])
    np.testing.assert_allclose(ours.coef_, judge.coef_, atol=0.02)
    np.testing.assert_allclose(ours.decision_function(X[TWO]), judge.decision_function(X[TWO]), atol=0.05)


def test_svm_of_squared_hinge_is_at_its_minimum():
    """The gradient of the formula, written in NumPy, is 0 there."""
    C, svm = 0.5, SVMClassifier(C=0.5, loss="squared_hinge", solver="lbfgs", tol=1e-5).fit(X, Y)
    w, b = (values.astype(float) for values in svm.weights())
    scores, rows = X @ w.T + b, np.arange(len(X))
    margins = np.maximum(0, 1 - scores[rows, Y][:, None] + scores)
    margins[rows, Y] = 0
    dscores = 2 * margins
    dscores[rows, Y] = -dscores.sum(axis=1)
    value = C * (margins**2).sum() + (w * w).sum() / 2
    assert svm.loss_ == pytest.approx(value / C / len(X), rel=1e-5)
    assert np.abs(C * dscores.T @ X + w).max() < 0.02 and np.abs(dscores.sum(axis=0)).max() < 0.02


@pytest.mark.parametrize("alpha", [0.0, 3.0])
@pytest.mark.parametrize("rows", [TWO, slice(None)])
def test_least_squares_is_ridge(alpha, rows):
    ours = LeastSquaresClassifier(alpha, class_weight="balanced").fit(X[rows], Y[rows], WEIGHT[rows])
    weighted = WEIGHT[rows] > 0
    judge = RidgeClassifier(alpha, class_weight="balanced").fit(X[rows][weighted], Y[rows][weighted],
                                                                WEIGHT[rows][weighted])
    scale = 0.5 if ours.n_outputs_ == 2 else 1      # the difference of two scores
    np.testing.assert_allclose(scale * ours.coef_, np.atleast_2d(judge.coef_), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scale * ours.decision_function(X), judge.decision_function(X), rtol=1e-4, atol=1e-5)
    assert ours.score(X[rows], Y[rows]) > 0.8
    few = LeastSquaresClassifier(alpha + 1).fit(X[::60, :], Y[::60])    # fewer rows than columns
    np.testing.assert_allclose(few.coef_, RidgeClassifier(alpha + 1).fit(X[::60], Y[::60]).coef_, rtol=1e-4)


@pytest.mark.parametrize("kind", [LeastSquaresClassifier, SoftmaxClassifier, SVMClassifier])
def test_templates_are_the_weights_as_pictures(kind):
    x, y = load_digits(n_class=3, return_X_y=True)
    x = x.astype(np.float32) / 16
    images = kind().fit(x.reshape(-1, 1, 8, 8), y)
    assert images.score(x.reshape(-1, 1, 8, 8), y) > 0.95
    np.testing.assert_array_equal(images.templates().reshape(3, 64), images.coef_)
    assert images.templates((4, 4, 4)).shape == (3, 4, 4, 4)
    with pytest.raises(ValueError, match=rf"{kind.__name__}.templates: shape must be that of a picture of 64 numbers"):
        images.templates((3, 32, 32))
    assert (images.templates()[0, 0, 3:5, 3:5] < 0).all()   # a zero is empty in the middle


@pytest.mark.parametrize(("estimator", "message"), [
    (SVMClassifier(C=0), "SVMClassifier: C must be a finite number above 0, got 0"),
    (SVMClassifier(loss="log"), "SVMClassifier: loss must be 'hinge' or 'squared_hinge', got 'log'"),
    (LeastSquaresClassifier(alpha=-1), "LeastSquaresClassifier: alpha must be a finite number of at least 0, got -1"),
])
def test_what_does_not_fit_is_refused(estimator, message):
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)
    with pytest.raises(ValueError, match="y must be one class for each row, of shape .* NetClassifier takes several"):
        type(estimator)().fit(X, np.stack([Y == 0, Y > 0], axis=1).astype(int))
