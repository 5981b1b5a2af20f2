"""Nets as estimators: `NetClassifier` and `NetRegressor`."""
from copy import deepcopy

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from fastnet import arguments, init, layers, losses
from fastnet.estimators.base import NetEstimator, takes_batches
from fastnet.estimators.classes import Classifier, probabilities

ACTIVATIONS = {"relu": layers.ReLU, "tanh": layers.Tanh, "logistic": layers.Sigmoid, "identity": layers.Identity,
               "leaky_relu": layers.LeakyReLU, "elu": layers.ELU, "gelu": layers.GELU, "silu": layers.SiLU}


class Net(NetEstimator):
    """What the two share: how the net is made."""

    @property
    def rows_apart(self):
        """Whether a row's outputs depend on that row alone: not so where a net has norms over batches, or dropout."""
        return self.net is None

    def make_net(self, x):
        """The net for rows of that kind."""
        if self.net is None:
            return self._hidden_layers(x)
        if hasattr(self.net, "forward") and not isinstance(self.net, type):
            net = deepcopy(self.net)
        else:
            try:
                net = self.net(self.n_outputs_)
            except TypeError as error:
                raise TypeError(f"{self._who}: net must be a net, or a function of the number of outputs that makes "
                                f"one, and net({self.n_outputs_}) gave: {error}") from error
        arguments.having(net, ("forward", "backward", "parameters"), f"{self._who}: net", "a net, or a function of the "
                         "number of outputs that makes one")
        shape = np.shape(net(x[:1].astype(np.float32, copy=False)))
        if shape != (1, self.n_outputs_):
            raise ValueError(f"{self._who}: net must have {self.n_outputs_} outputs for each row, of shape (N, "
                             f"{self.n_outputs_}), got {shape} for one row")
        return net

    def _hidden_layers(self, x):
        sizes = self.hidden_layer_sizes
        sizes = arguments.integers(tuple(sizes) if np.ndim(sizes) else (sizes,), f"{self._who}: hidden_layer_sizes",
                                   least=1, what="a tuple of integers of at least 1, or one")
        if isinstance(self.activation, str):
            arguments.choice(self.activation, tuple(ACTIVATIONS), f"{self._who}: activation")
        activation = ACTIVATIONS[self.activation] if isinstance(self.activation, str) else self.activation
        widths = int(np.prod(x.shape[1:])), *sizes, self.n_outputs_
        parts = [layers.Flatten()] if x.ndim > 2 else []
        for before, after in zip(widths, widths[1:], strict=False):
            parts += [layers.Linear(before, after), activation()]
        return init.apply(layers.Sequential(*parts[:-1]), init.xavier_uniform, init.zeros)

    def strength(self, total):
        """alpha / 2 over the weight of a batch."""
        return self.alpha / 2 / total

    def _check(self):
        super()._check()
        arguments.number(self.alpha, f"{self._who}: alpha", 0)


class ScoreNet(Classifier, NetEstimator):
    """A net that gives a score for each class."""

    @available_if(takes_batches)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One pass over these rows, with the optimiser where it stands; returns self. The first call is told all
        `classes`, unless y has them all."""
        return self._one_epoch(X, y, sample_weight, classes=classes)


class NetClassifier(ScoreNet, Net):
    """A net that tells classes: ``NetClassifier((100,)).fit(X, y).score(X_test, y_test)``.

    hidden_layer_sizes, activation : the widths of hidden layers, and what follows each: "relu", "tanh", "logistic",
        "identity", "leaky_relu", "elu", "gelu", "silu", or a class of layers. Weights start as
        `init.xavier_uniform`.
    net : in place of these a net, which is copied with its weights, or a function of the number of outputs that makes
        one, such as ``models.lenet5``. It gives scores (N, C), one for each class.
    loss : any of `fastnet.losses` of class numbers; None is `CrossEntropyLoss`, and for several labels
        `BCEWithLogitsLoss`.
    solver : "adam"; "sgd", with Nesterov's `momentum`; "lbfgs", over all rows at once; or a function of the parameters
        that makes an optimiser, such as ``optim.Muon``.
    alpha : alpha / 2 times the sum of squared weights, without biases, over the batch's size, is added to the loss.
    batch_size : "auto" is 200. Where there are no more rows than that they make one batch, unshuffled; without a `net`
        rows that are alike are then joined, so that a weight of 2 is the same as the row twice, to the last bit.
    max_iter, tol, n_iter_no_change : training ends after so many epochs, or when so many in a row did not better the
        loss by more than `tol`; the weights are those of the best epoch.
    early_stopping, validation_fraction : it is the loss of a validation set that counts, which `fit` was given or has
        split off, with the shares of the classes kept.
    class_weight : {class: weight}, or "balanced", which multiplies the weights of samples.
    callbacks : of `fastnet.training`, such as a `LearningRateSchedule`.
    warm_start : fit goes on with the net as it is;  verbose : shows a progress bar
    random_state : weights, dropout and order depend on it alone, whatever the number of threads or processes.

    X are rows (N, F) or images (N, C, H, W); y are classes of any kind, or a matrix (N, L) of 0 and 1, several labels
    for each row. Fitted it has `net_`, `classes_`, `history_` (a `History`), `loss_curve_`, `n_iter_`, `best_loss_`.
    Arguments are those of scikit-learn's MLPClassifier where it has them. ``make_pipeline(StandardScaler(),
    NetClassifier(net=...))`` gives rows: a convolutional net then begins with ``fastnet.Unflatten(1, (C, H, W))``.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((100, 2))
    >>> y = np.where(X[:, 0] * X[:, 1] > 0, "same", "other")
    >>> net = NetClassifier((16,), learning_rate_init=0.05, random_state=0).fit(X, y)
    >>> net.score(X, y) > 0.9
    True
    """

    def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, net=None, loss=None, solver="adam",
                 alpha=1e-4, batch_size="auto", learning_rate_init=1e-3, momentum=0.9, max_iter=200, shuffle=True,
                 tol=1e-4, n_iter_no_change=10, early_stopping=False, validation_fraction=0.1, class_weight=None,
                 callbacks=(), warm_start=False, verbose=False, random_state=None):
        keep(self, locals())

    several_labels = True

    def make_loss(self):
        """The loss that is trained with."""
        if self.loss is not None:
            return self.loss
        return losses.BCEWithLogitsLoss() if self.multilabel_ else losses.CrossEntropyLoss()

    def predict_proba(self, X):
        """Probabilities (N, C), which add up to 1; those of each label by itself where there are several."""
        return probabilities(self.outputs(X), self.multilabel_)


class NetRegressor(RegressorMixin, Net):
    """A net that tells numbers: ``NetRegressor((100,)).fit(X, y).predict(X_test)``.

    y are numbers (N,) or (N, K). `loss` is any of `fastnet.losses` that compares outputs with targets of their shape;
    None is `MSELoss`. All other arguments are those of `NetClassifier`; `score` is R^2. Rows, and y where its
    deviation is far from 1, are best scaled before: ``TransformedTargetRegressor(make_pipeline(StandardScaler(),
    NetRegressor()), transformer=StandardScaler())``.

    >>> X, y = np.float32([[0, 1], [1, 0], [1, 1]]), np.float32([1, 0, 1])
    >>> net = NetRegressor((8,), max_iter=50, random_state=0).fit(X, y)
    >>> net.predict(X).shape
    (3,)
    """

    def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, net=None, loss=None, solver="adam",
                 alpha=1e-4, batch_size="auto", learning_rate_init=1e-3, momentum=0.9, max_iter=200, shuffle=True,
                 tol=1e-4, n_iter_no_change=10, early_stopping=False, validation_fraction=0.1, callbacks=(),
                 warm_start=False, verbose=False, random_state=None):
        keep(self, locals())

    @available_if(takes_batches)
    def partial_fit(self, X, y, sample_weight=None):
        """One pass over these rows, with the optimiser where it stands; returns self."""
        return self._one_epoch(X, y, sample_weight)

    def encoded(self, given, first):
        """Samples whose y is (N, K), float32."""
        y = given.y
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = arguments.converted(y if y.ndim == 2 else y[:, None], np.dtype(np.float32), f"{self._who}: y")
        if first:
            self.n_outputs_, self._flat = y.shape[1], given.y.ndim == 1 or y.shape[1] == 1
        elif y.shape[1] != self.n_outputs_:
            raise ValueError(f"{self._who}: y must have {self.n_outputs_} columns as before, got {y.shape[1]}")
        return given._replace(y=y)

    def make_loss(self):
        """The loss that is trained with."""
        return losses.MSELoss() if self.loss is None else self.loss

    def predict(self, X):
        """The numbers: (N,), or (N, K) where y had several columns."""
        found = self.outputs(X).astype(np.float64)
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def keep(estimator, given):
    """Make what a constructor was given attributes, as scikit-learn has it."""
    vars(estimator).update((name, value) for name, value in given.items() if name not in ("self", "__class__"))
