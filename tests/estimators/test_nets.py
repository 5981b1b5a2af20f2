"""NetClassifier and NetRegressor: what they find, what they keep, and what they refuse."""
import io
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

import fastnet  # noqa: E402
from fastnet import init, losses, optim, search, training  # noqa: E402
from fastnet.estimators import NetClassifier, NetRegressor  # noqa: E402

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS = (DIGITS / 16).astype(np.float32)
X, Y = DIGITS[:300], LABELS[:300]
NAMES = np.array(list("abcdefghij"))
QUICK = {"learning_rate_init": 0.01, "max_iter": 8, "random_state": 0}


def convnet(classes):
    return fastnet.Sequential(fastnet.Conv2d(1, 4, 3), fastnet.ReLU(), fastnet.Flatten(), fastnet.Dropout(0.2),
                              fastnet.Linear(4 * 36, classes))


def same(a, b):
    """Whether two fitted estimators have the same bits."""
    return all(np.array_equal(value, b.net_.state_dict()[name]) for name, value in a.net_.state_dict().items())


@pytest.mark.slow
def test_grid_search_reaches_97_percent_on_digits():
    grid = {"learning_rate_init": [0.001, 0.01]}
    found = GridSearchCV(NetClassifier((100,), batch_size=100, max_iter=25, random_state=0), grid,
                         cv=KFold(3, shuffle=True, random_state=0)).fit(DIGITS, LABELS)
    assert found.best_score_ >= 0.97 and found.best_params_["learning_rate_init"] == 0.01


def test_it_finds_what_logistic_regression_finds():
    """Without hidden layers the problem is convex; alpha is 1 / C."""
    net = NetClassifier((), solver="lbfgs", alpha=2.0, tol=1e-5, max_iter=300).fit(X, Y)
    judge = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(X, Y)
    np.testing.assert_allclose(net.predict_proba(X), judge.predict_proba(X), atol=2e-3)


def test_it_finds_what_linear_regression_finds():
    x, y = load_diabetes(return_X_y=True)
    x, y = StandardScaler().fit_transform(x), np.stack([(y - y.mean()) / y.std(), 0.1 * y], axis=1)
    net = NetRegressor((), solver="lbfgs", alpha=0, tol=1e-6, max_iter=500).fit(x, y)
    np.testing.assert_allclose(net.predict(x), LinearRegression().fit(x, y).predict(x), rtol=1e-2, atol=1e-2)
    assert net.predict(x).shape == y.shape and net.loss_curve_ == sorted(net.loss_curve_, reverse=True)
    flat = NetRegressor((16,), **QUICK).fit(x, y[:, 0])
    assert flat.predict(x).shape == (len(x),) and flat.score(x, y[:, 0]) > 0.2


def test_the_seed_decides_and_nobody_elses_generator_moves():
    before = init.generator().bit_generator.state
    one, two = (NetClassifier(net=convnet, **QUICK).fit(X.reshape(-1, 1, 8, 8), Y) for _ in range(2))
    fastnet.manual_seed(9)
    other = NetClassifier(net=convnet, **QUICK | {"random_state": 1}).fit(X.reshape(-1, 1, 8, 8), Y)
    assert same(one, two) and not same(one, other)
    init.generator().bit_generator.state = before
    assert init.generator().bit_generator.state == before
    numbers = np.random.RandomState(5)
    drawn = [NetClassifier((4,), max_iter=1, random_state=numbers).fit(X, Y) for _ in range(2)]
    assert not same(*drawn)


def test_copies_go_on_alike():
    net = NetClassifier((16,), **QUICK).partial_fit(X[:200], NAMES[Y[:200]], classes=NAMES)
    net.partial_fit(X[200:], NAMES[Y[200:]])
    other = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(net.predict_proba(X), other.predict_proba(X))
    for one in (net, other):
        one.partial_fit(X, NAMES[Y])
    assert same(net, other) and len(net.loss_curve_) == 3 and net.n_iter_ == 1
    fresh = clone(net)
    assert not hasattr(fresh, "net_") and fresh.get_params() == net.get_params()
    assert set(net.predict(X)) <= set(NAMES)


def test_fit_goes_on_where_warm_start_says_so():
    net = NetClassifier((16,), warm_start=True, **QUICK).fit(X, Y)
    first, weights = net.loss_curve_, net.net_
    net.fit(X, Y)
    assert net.net_ is weights and len(net.loss_curve_) == 16 and net.loss_curve_[8] < first[2]
    with pytest.raises(ValueError, match="NetClassifier: y must hold classes that are known, .*, got 77"):
        net.fit(X, np.where(Y == 3, 77, Y))
    assert NetClassifier((16,), **QUICK).fit(X, Y).fit(X, Y).loss_curve_ == first


def test_early_stopping_gives_the_best_weights_back():
    net = NetClassifier((32,), early_stopping=True, n_iter_no_change=3, **QUICK | {"max_iter": 200,
                        "learning_rate_init": 0.05}).fit(DIGITS[:300], LABELS[:300])
    assert net.n_iter_ < 200 and len(net.history_) == net.n_iter_
    given = NetClassifier((32,), early_stopping=True, n_iter_no_change=3, **QUICK | {"max_iter": 200,
                          "learning_rate_init": 0.05}).fit(X, Y, X_val=DIGITS[300:500], y_val=LABELS[300:500])
    losses_ = given.history_["val_loss"]
    assert np.argmin(losses_) == len(losses_) - 4
    p = given.predict_proba(DIGITS[300:500])[np.arange(200), LABELS[300:500]]
    assert -np.log(p).mean() == pytest.approx(min(losses_), rel=1e-4)
    watched = NetClassifier((8,), **QUICK).fit(X, Y, X_val=X, y_val=Y, sample_weight_val=np.ones(300))
    assert watched.n_iter_ == 8 and watched.history_["val_loss"][-1] == pytest.approx(watched.loss_, rel=0.3)


def test_nets_of_ones_own():
    images, pipeline = X.reshape(-1, 1, 8, 8), make_pipeline(StandardScaler(), NetClassifier(
        net=fastnet.Sequential(fastnet.Unflatten(1, (1, 8, 8)), convnet(10)), **QUICK))
    assert pipeline.fit(X, Y).score(X, Y) > 0.8
    given = pipeline[-1].net
    assert not same(pipeline[-1], type("", (), {"net_": given}))    # it was copied
    whole = NetClassifier(net=convnet, solver=partial(optim.SGD, lr=0.1), **QUICK).fit(images, Y)
    bytes_ = NetClassifier(net=convnet, solver=partial(optim.SGD, lr=0.1), **QUICK).fit((images * 16).astype(np.uint8),
                                                                                       Y)
    assert whole.score(images, Y) > 0.6 and bytes_.input_shape_ == (1, 8, 8)
    assert NetClassifier((16,), "gelu", **QUICK).fit(images, Y).score(images, Y) > 0.6
    assert NetClassifier((16,), fastnet.Hardtanh, solver="sgd", **QUICK | {"learning_rate_init": 0.1}).fit(X, Y).score(
        X, Y) > 0.6
    focal = NetClassifier((16,), loss=losses.FocalLoss(), callbacks=[training.ClipValue(0.1)], **QUICK).fit(X, Y)
    assert focal.score(X, Y) > 0.6


def test_several_labels():
    x, y = make_multilabel_classification(200, 10, n_classes=4, random_state=0)
    net = NetClassifier((32,), **QUICK | {"max_iter": 60}).fit(x, y)
    assert net.predict(x).shape == net.predict_proba(x).shape == y.shape and (net.predict(x) == y).mean() > 0.78
    np.testing.assert_array_equal(net.predict_proba(x) > 0.5, net.predict(x) == 1)


def test_weights_of_classes_and_samples():
    y = (Y < 2).astype(int)
    plain, balanced = (NetClassifier((8,), class_weight=weight, **QUICK | {"max_iter": 3}).fit(X, y)
                       for weight in (None, "balanced"))
    assert balanced.predict(X).sum() > plain.predict(X).sum()
    share = np.where(y == 1, 300 / (2 * y.sum()), 300 / (2 * (1 - y).sum()))
    assert same(balanced, NetClassifier((8,), **QUICK | {"max_iter": 3}).fit(X, y, share))
    twice = NetClassifier((8,), **QUICK).fit(np.concatenate([X[:80], X[:20]]), np.concatenate([Y[:80], Y[:20]]))
    assert same(twice, NetClassifier((8,), **QUICK).fit(X[:80], Y[:80], 1 + (np.arange(80) < 20)))


def test_randomized_search_and_a_bar(capfd):
    space = {"learning_rate_init": search.log_uniform(1e-3, 1e-1), "hidden_layer_sizes": [(8,), (16,)]}
    found = RandomizedSearchCV(NetClassifier(max_iter=3, random_state=0), space, n_iter=3, cv=2, random_state=0)
    found.fit(X, Y)
    assert 1e-3 <= found.best_params_["learning_rate_init"] <= 1e-1
    assert capfd.readouterr().err == ""
    NetClassifier((8,), max_iter=2, verbose=True).fit(X, Y)
    assert capfd.readouterr().err.count("epoch") == 2


@pytest.mark.parametrize(("options", "message"), [
    ({"hidden_layer_sizes": (0,)}, r"hidden_layer_sizes must be a tuple of integers of at least 1, or one, got \(0,\)"),
    ({"activation": "relu6"}, "activation must be 'relu', 'tanh', .* got 'relu6'"),
    ({"solver": "newton"}, "solver, where it is not a function .* must be 'adam', 'sgd' or 'lbfgs', got 'newton'"),
    ({"alpha": -1}, "alpha must be a finite number of at least 0, got -1"),
    ({"batch_size": 0}, "batch_size, where it is not 'auto', must be an integer of at least 1, got 0"),
    ({"learning_rate_init": 0}, "learning_rate_init must be a finite number above 0, got 0"),
    ({"max_iter": 0}, "max_iter must be an integer of at least 1, got 0"),
    ({"tol": None}, "tol must be a finite number of at least 0, got None"),
    ({"n_iter_no_change": 0.5}, "n_iter_no_change must be an integer of at least 1, got 0.5"),
    ({"early_stopping": 1}, "early_stopping must be True or False, got 1"),
    ({"validation_fraction": 1.0}, "validation_fraction must be a finite number above 0 and below 1, got 1.0"),
    ({"callbacks": 3}, "callbacks must be a list of callbacks"),
    ({"solver": "lbfgs", "early_stopping": True}, "early_stopping must be False with the solver 'lbfgs'"),
    ({"net": lambda: None}, r"net must be a net, or a function of the number of outputs .* net\(10\) gave"),
    ({"net": lambda n: 3}, "net must be a net, or a function of the number of outputs that makes one, got 3"),
    ({"net": fastnet.Linear(64, 3)}, r"net must have 10 outputs for each row, of shape \(N, 10\), got \(1, 3\)"),
])
def test_arguments_that_do_not_fit_are_refused(options, message):
    net = NetClassifier(**options)
    with pytest.raises((TypeError, ValueError), match=f"^NetClassifier: {message}"):
        net.fit(X, Y)
    assert not hasattr(net, "net_")


@pytest.mark.parametrize(("given", "message"), [
    ({"sample_weight": np.ones(3)}, r"sample_weight must be one number for each row, of shape \(300,\), got .*\(3,\)"),
    ({"sample_weight": np.zeros(300)}, "sample_weight must hold numbers of at least 0 that are not all zero"),
    ({"sample_weight": -np.ones(300)}, "sample_weight must hold numbers of at least 0"),
    ({"y": np.stack([Y, Y], axis=1)}, "y must be one class for each row, or a matrix of 0 and 1"),
    ({"y_val": Y}, "X_val must be given too"),
    ({"X_val": X.reshape(-1, 1, 8, 8), "y_val": Y}, r"X must have shape \(N, 64\) as in fit|X has 1 features"),
])
def test_data_that_does_not_fit_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        NetClassifier((8,), **QUICK).fit(**{"X": X, "y": Y} | given)


def test_more_that_does_not_fit():
    net = NetClassifier(net=convnet, **QUICK).fit(X.reshape(-1, 1, 8, 8), Y)
    with pytest.raises(ValueError, match=r"X must have shape \(N, 1, 8, 8\) as in fit, got \(150, 1, 16, 8\)"):
        net.predict(X.reshape(-1, 1, 16, 8))
    with pytest.raises(ValueError, match="set early_stopping=False"):
        NetClassifier(early_stopping=True).partial_fit(X, Y)
    assert not hasattr(NetClassifier(solver="lbfgs"), "partial_fit")
    with pytest.raises(ValueError, match="class_weight must be a dictionary in partial_fit"):
        NetClassifier(class_weight="balanced").partial_fit(X, Y, classes=range(10))
    with pytest.raises(ValueError, match="NetRegressor: y holds numbers beyond float32"):
        NetRegressor().fit(X, np.full(300, 1e300))
    net = NetRegressor((4,), **QUICK | {"max_iter": 2}).partial_fit(X, Y[:, None] @ np.ones((1, 2)))
    with pytest.raises(ValueError, match="NetRegressor: y must have 2 columns as before, got 1"):
        net.partial_fit(X, Y)
    with pytest.raises(fastnet.NonFiniteError):
        NetRegressor((4,), solver="sgd", learning_rate_init=1e6, max_iter=50).fit(X, Y)


def test_without_scikit_learn_the_extra_is_named():
    code = ("import sys; sys.modules['sklearn'] = None\n"
            "import fastnet\nassert 'fastnet.estimators' not in sys.modules\nfrom fastnet import estimators")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'scikit-learn, which is not installed: pip install "fastnet-numba[sklearn]"' in run.stderr


def test_the_bar_can_be_sent_elsewhere():
    stream = io.StringIO()
    NetClassifier((4,), max_iter=1, callbacks=[training.Progress(stream)]).fit(X, Y)
    assert stream.getvalue().startswith("epoch   1  loss")
