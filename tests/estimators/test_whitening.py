"""Principal components and whitening, judged by scikit-learn and by what they are for."""
import numpy as np
import pytest

decomposition = pytest.importorskip("sklearn.decomposition")

from fastnet.estimators import PCA, ZCA  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((200, 12)) @ RNG.standard_normal((12, 12)) + 5


@pytest.mark.parametrize("n_components", [None, 5, 0.9])
@pytest.mark.parametrize("whiten", [False, True])
def test_components_are_scikit_learns(n_components, whiten):
    ours = PCA(n_components, whiten=whiten, epsilon=0).fit(X)
    theirs = decomposition.PCA(n_components, whiten=whiten, svd_solver="full").fit(X)
    for name in ("components_", "mean_", "explained_variance_", "explained_variance_ratio_", "n_components_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-10)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), atol=1e-9)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), theirs.inverse_transform(theirs.transform(X)),
                               atol=1e-9)


def test_fewer_rows_than_columns():
    few = X[:6]
    np.testing.assert_allclose(PCA(whiten=True).fit(few).transform(few).std(axis=0, ddof=1), [1] * 5 + [0], atol=1e-4)
    assert np.isfinite(ZCA(epsilon=0).fit(few).transform(few)).all()


def test_zca_whitens_and_stays_near():
    """Of all that whitens, it changes rows least: less than principal components do, turned back in any other way."""
    white = ZCA(epsilon=0).fit(X)
    y = white.transform(X)
    np.testing.assert_allclose(np.cov(y.T), np.eye(12), atol=1e-9)
    np.testing.assert_allclose(white.inverse_transform(y), X, atol=1e-9)
    others = PCA(whiten=True, epsilon=0).fit(X).transform(X)
    turn = np.linalg.qr(RNG.standard_normal((12, 12)))[0]
    centred = X - X.mean(axis=0)
    changes = [((other - centred) ** 2).sum() for other in (y, others, others @ turn, y @ turn)]
    assert changes[0] < min(changes[1:])


@pytest.mark.parametrize("kind", [lambda: PCA(whiten=True), ZCA])
def test_dtypes_and_the_way_back(kind):
    for dtype, result, tolerance in ((np.float32, np.float32, 1e-4), (np.uint8, np.float32, 1e-2), (int, float, 1e-9)):
        rows = np.clip(10 * X + 60, 0, 255).astype(dtype)
        model = kind().fit(rows)
        y = model.transform(rows)
        assert y.dtype == result and model.components_.dtype == np.float64
        np.testing.assert_allclose(model.inverse_transform(y), rows, atol=tolerance)


def test_many_rows_are_taken_some_at_a_time(monkeypatch):
    wanted = ZCA().fit(X).transform(X)
    monkeypatch.setattr("fastnet.estimators.whitening._ROWS", 7)
    np.testing.assert_allclose(ZCA().fit(X).transform(X), wanted, atol=1e-9)


@pytest.mark.parametrize("call, text", [
    (lambda: PCA(13).fit(X), "PCA: n_components, of 200 rows and 12 columns, must be an integer of at least 1 and at "
     "most 12, got 13"),
    (lambda: PCA(1.5).fit(X), "PCA: n_components, a share of the variance or an integer, must be a finite number above "
     "0 and below 1, got 1.5"),
    (lambda: ZCA(epsilon=-1).fit(X), "ZCA: epsilon must be a finite number of at least 0, got -1"),
    (lambda: PCA(3).fit(X).inverse_transform(X), r"PCA: X must have shape \(N, 3\), as from transform, got "
     r"\(200, 12\)"),
])
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        call()
