"""Nearest neighbours, judged by scikit-learn's brute force."""
import pickle

import numpy as np
import pytest

neighbors = pytest.importorskip("sklearn.neighbors")
from sklearn.model_selection import GridSearchCV  # noqa: E402

from fastnet.estimators import KNeighborsClassifier, KNeighborsRegressor  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((300, 12)), RNG.integers(0, 4, 300)
NEW = np.concatenate([RNG.standard_normal((40, 12)), X[:10]])     # some at distance 0


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "l1", "l2", "cityblock"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_what_scikit_learn_says(weights, metric):
    for ours, theirs, y in ((KNeighborsClassifier, neighbors.KNeighborsClassifier, Y),
                            (KNeighborsClassifier, neighbors.KNeighborsClassifier, np.array(list("dcba"))[Y]),
                            (KNeighborsRegressor, neighbors.KNeighborsRegressor, RNG.standard_normal(300)),
                            (KNeighborsRegressor, neighbors.KNeighborsRegressor, RNG.standard_normal((300, 2)))):
        one = ours(7, weights=weights, metric=metric).fit(X, y)
        other = theirs(7, weights=weights, metric=metric, algorithm="brute").fit(X, y)
        for rows, tolerance in ((NEW, 1e-7), (None, 1e-7)):
            for found, wanted in zip(one.kneighbors(rows), other.kneighbors(rows), strict=True):
                np.testing.assert_allclose(found, wanted, atol=tolerance)
        assert (one.kneighbors(NEW, 2, return_distance=False) == other.kneighbors(NEW, 2, return_distance=False)).all()
        assert (one.predict(NEW[:40]) == other.predict(NEW[:40])).all() if y.dtype.kind in "iU" else np.allclose(
            one.predict(NEW[:40]), other.predict(NEW[:40]))
        if ours is KNeighborsClassifier:
            np.testing.assert_allclose(one.predict_proba(NEW[:40]), other.predict_proba(NEW[:40]), atol=1e-9)
        assert one.score(X, y) == pytest.approx(other.score(X, y)) or weights == "distance"


def test_a_row_of_the_training_set_is_its_own_nearest():
    """scikit-learn's product of rows may find it a little away, and then weigh the others too."""
    model = KNeighborsClassifier(5, weights="distance").fit(X, Y)
    distances, indices = model.kneighbors(X)
    assert (distances[:, 0] == 0).all() and indices[:, 0].tolist() == list(range(300))
    assert model.score(X, Y) == 1


def test_images_are_rows_of_their_numbers():
    images, new = X.reshape(-1, 3, 2, 2), NEW.reshape(-1, 3, 2, 2)
    one, other = KNeighborsClassifier(5).fit(images, Y), KNeighborsClassifier(5).fit(X, Y)
    np.testing.assert_array_equal(one.predict_proba(new), other.predict_proba(NEW))
    with pytest.raises(ValueError, match="8 features"):
        one.predict(new[:, :2])


def test_equal_rows_are_neighbours_of_each_other():
    rows = np.zeros((5, 3))
    found = KNeighborsClassifier(2).fit(rows, [0, 1, 0, 1, 0]).kneighbors(return_distance=False)
    assert found.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]
    assert KNeighborsClassifier(2).fit(rows, list("babab")).predict(rows[:1]).tolist() == ["a"]    # one vote each


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.int16])
def test_dtypes_meet(kind):
    """Bytes are kept as bytes; whatever comes with them gives the same neighbours."""
    rows = RNG.integers(0, 200, (200, 30)).astype(kind)
    model = KNeighborsClassifier(6).fit(rows, np.arange(200) % 3)
    wanted = model.kneighbors(rows[:50])
    assert wanted[0].dtype == (np.float64 if kind == np.int16 else np.float32)
    for other in (np.uint8, np.float32, np.float64):
        found = model.kneighbors(rows[:50].astype(other))
        assert (found[1] == wanted[1]).all()
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-6)


def test_many_calls_give_what_one_does(monkeypatch):
    model = KNeighborsClassifier(6).fit(X, Y)
    wanted = model.kneighbors(NEW)
    monkeypatch.setattr("fastnet.estimators.neighbors._CALL", {"l2": 7 * X.size, "l1": 1})
    for found, once in zip(model.kneighbors(NEW), wanted, strict=True):
        np.testing.assert_array_equal(found, once)


def test_is_searched_and_pickled():
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 5], "metric": ["l1", "l2"]}, cv=2).fit(X, Y)
    other = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(other.predict_proba(NEW), search.predict_proba(NEW))


@pytest.mark.parametrize("options, text", [
    ({"n_neighbors": 0}, "KNeighborsClassifier: n_neighbors must be an integer of at least 1, got 0"),
    ({"weights": "closest"}, "KNeighborsClassifier: weights must be 'uniform' or 'distance', got 'closest'"),
    ({"metric": "cosine"}, "KNeighborsClassifier: metric must be 'euclidean', 'l2', 'manhattan', 'cityblock' or 'l1', "
     "got 'cosine'"),
])
def test_wrong_arguments_are_refused(options, text):
    with pytest.raises(ValueError) as error:
        KNeighborsClassifier(**options).fit(X, Y)
    assert str(error.value) == text


def test_more_neighbours_than_rows_are_refused():
    model = KNeighborsClassifier(3).fit(X[:3], Y[:3])
    assert model.kneighbors(X)[0].shape == (300, 3)
    for call in (lambda: model.kneighbors(), lambda: model.kneighbors(X, 4)):
        with pytest.raises(ValueError, match=r"^KNeighborsClassifier: expected n_neighbors <= [23], the training rows"):
            call()
