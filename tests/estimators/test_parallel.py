"""Several fits at once: the same bits in threads and processes, and shared threads."""
import threading
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

pytest.importorskip("sklearn")
import joblib  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402

from fastnet import init, search  # noqa: E402
from fastnet.estimators import NetClassifier  # noqa: E402
from fastnet.estimators.sharing import shared_threads  # noqa: E402

X, Y = load_digits(return_X_y=True)
X, Y = X[:400] / 16, Y[:400]
NET = NetClassifier((32,), learning_rate_init=0.01, max_iter=5, random_state=3)


def first_weight(lr, seed):
    return {"score": lr, "first": float(init.normal(1)[0]), "got": seed}


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_results_are_the_same_bits(backend):
    scores = cross_val_score(NET, X, Y, cv=4)
    space = {"lr": search.uniform(0, 1)}
    rows = [{**row, "seconds": 0} for row in search.random_search(first_weight, space, 6)]
    before = init.generator().bit_generator.state
    with joblib.parallel_config(backend=backend):
        np.testing.assert_array_equal(cross_val_score(NET, X, Y, cv=4, n_jobs=2), scores)
        assert GridSearchCV(NET, {"alpha": [1e-4, 1.0]}, cv=2, n_jobs=2).fit(X, Y).best_score_ > 0.3
        found = search.random_search(first_weight, space, 6, n_jobs=2)
    assert [{**row, "seconds": 0} for row in found] == rows
    assert init.generator().bit_generator.state == before


def test_fits_share_the_threads():
    most = numba.get_num_threads()
    began, told = threading.Barrier(2), []

    def fit(i):
        with shared_threads() as share:
            began.wait(10)
            share.on_epoch_begin(None)
            told.append(numba.get_num_threads())
            began.wait(10)
        told.append(numba.get_num_threads())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fit, range(2)))
    assert told == [max(1, most // 2)] * 2 + [most] * 2 and numba.get_num_threads() == most
    with shared_threads():
        assert numba.get_num_threads() == most


def test_one_fitted_net_predicts_in_many_threads():
    net = NET.fit(X, Y)
    expected = net.predict_proba(X)
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(one, expected) for one in pool.map(lambda _: net.predict_proba(X), range(8)))
