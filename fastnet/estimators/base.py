"""What the estimators that train a net share: from arrays to a trained net, and from a net to its outputs."""
from math import inf

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fastnet import arguments, init
from fastnet.data import DataLoader
from fastnet.estimators.samples import Weighted, rows, samples
from fastnet.estimators.sharing import shared_threads
from fastnet.estimators.steps import Penalty, RowBatches
from fastnet.optim import SGD, Adam, minimise
from fastnet.training import EarlyStopping, History, Progress, Trainer, predict

_SEEDS = 2**31 - 1
# How many rows go through a net at once where nothing is trained.
_ROWS = 512


class NetEstimator(BaseEstimator):
    """An estimator that trains `net_`.

    A subclass defines `encoded`, what y becomes, `make_net`, `make_loss` and `strength`, and has the arguments that are
    read here: in its constructor, or else as they stand here.
    """

    shuffle, momentum = True, 0.9
    rows_apart = True   # whether a row's outputs depend on that row alone, also in training

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train on rows X (N, F) or images (N, C, H, W) and y; returns self.

        `sample_weight` are N numbers of at least 0: the loss is the mean so weighted. `X_val`, `y_val` and
        `sample_weight_val` are a validation set, of which `history_` tells and which early stopping watches; without
        one, early stopping splits it off.
        ValueError or TypeError for what does not fit, `NonFiniteError` where training goes astray.
        """
        held = None
        self._check()
        first = not (self.warm_start and hasattr(self, "net_"))
        given = samples(self, X, y, sample_weight, first)
        given = self.encoded(given, first)
        if first:
            self.input_shape_ = given.x.shape[1:]
        if X_val is not None:
            held = self.encoded(samples(self, X_val, y_val, sample_weight_val, False), False)
        elif y_val is not None or sample_weight_val is not None:
            raise ValueError(f"{self._who}: X_val must be given too where y_val or sample_weight_val is")
        seed = self._seed()
        if self.early_stopping and held is None:
            given, held = given.split(self.validation_fraction, seed, stratify=given.y.ndim == 1)
        if first:
            self._start(given.x, seed)
        return self._fit(given, held, seed, self.max_iter, again=False)

    def _one_epoch(self, X, y, sample_weight, **encoding):
        """What `partial_fit` does."""
        self._check()
        if self.early_stopping:
            raise ValueError(f"{self._who}: partial_fit makes one pass over the rows, and cannot stop earlier: set "
                             "early_stopping=False")
        first = not hasattr(self, "net_")
        given = self.encoded(samples(self, X, y, sample_weight, first), first, **encoding)
        seed = self._seed()
        if first:
            self.input_shape_ = given.x.shape[1:]
            self._start(given.x, seed)
        return self._fit(given, None, seed, 1, again=True)

    def _start(self, x, seed):
        """A net that nobody has trained."""
        with init.seeded(seed):
            self.net_ = self.make_net(x)
        self.loss_curve_, self._optimizer = [], None

    def _fit(self, given, held, seed, epochs, again):
        """Train for so many epochs; `again`: with an optimiser that goes on in the next call."""
        size = self._batch_size(len(given.x))
        if self.rows_apart and size == len(given.x):
            given = given.joined()
        weighted = given.weight is not None or held is not None and held.weight is not None
        loss = Weighted(self.make_loss()) if weighted else self.make_loss()
        with shared_threads() as share:
            if self.solver == "lbfgs":
                self.history_ = self._minimise(given, given.targets(weighted), loss)
            else:
                optimizer = self._optimizer if again and self._optimizer is not None else self._new_optimizer()
                self._optimizer = optimizer if again else None
                size = min(size, len(given.x))
                trainer = Trainer(self.net_, loss, optimizer, [share, *self._hooks(again)],
                                  regularizer=self._penalty(size * given.mean_weight))
                kind = DataLoader if given.x.ndim == 4 else RowBatches
                batches = kind(given.x, given.targets(weighted), size, seed=seed + len(self.loss_curve_),
                               shuffle=self.shuffle and size < len(given.x))
                validation = held and kind(held.x, held.targets(weighted), _ROWS, shuffle=False, seed=0)
                self.history_ = trainer.fit(batches, epochs, validation)
        self.loss_curve_ = self.loss_curve_ + self.history_["loss"]
        self.n_iter_, self.loss_, self.best_loss_ = len(self.history_), self.loss_curve_[-1], min(self.loss_curve_)
        return self

    def _minimise(self, given, targets, loss):
        """L-BFGS over all rows at once."""
        x = given.x.astype(np.float32, copy=False)
        found = minimise(self.net_, loss, x, targets, regularizer=self._penalty(len(x) * given.mean_weight),
                         max_iter=self.max_iter, tolerance_grad=self.tol)
        losses = found.history[1:] or found.history
        return History([{"epoch": i, "loss": float(value)} for i, value in enumerate(losses, 1)])

    def _penalty(self, total):
        """The penalty on weights where the weights of a batch's rows add up to `total`; None where there is none."""
        strength = self.strength(total)
        return Penalty(strength, self.net_) if strength else None

    def _hooks(self, again):
        callbacks = [*self.callbacks]
        if not again and self.n_iter_no_change < inf:
            monitor = "val_loss" if self.early_stopping else "loss"
            callbacks.append(EarlyStopping(self.n_iter_no_change, monitor, self.tol))
        return callbacks + [Progress()] * bool(self.verbose)

    def _new_optimizer(self):
        parameters, lr = self.net_.parameters(), self.learning_rate_init
        if self.solver == "adam":
            return Adam(parameters, lr)
        if self.solver == "sgd":
            return SGD(parameters, lr, momentum=self.momentum, nesterov=self.momentum > 0)
        return self.solver(parameters)

    def _batch_size(self, count):
        return min(200 if self.batch_size == "auto" else self.batch_size, count)

    def _seed(self):
        return int(check_random_state(self.random_state).randint(_SEEDS))

    @property
    def _who(self):
        return type(self).__name__

    def _check(self):
        """Refuse arguments that do not fit; ValueError or TypeError that names the argument."""
        def said(name):
            return f"{self._who}: {name}"

        for name, least in (("learning_rate_init", None), ("tol", 0), ("momentum", 0)):
            if hasattr(self, name):
                arguments.number(getattr(self, name), said(name), least, above=0 if least is None else None)
        for name in ("shuffle", "warm_start", "early_stopping"):
            arguments.flag(getattr(self, name), said(name))
        arguments.integer(self.max_iter, said("max_iter"), 1)
        if self.batch_size != "auto":
            arguments.integer(self.batch_size, f"{said('batch_size')}, where it is not 'auto',", 1)
        if self.n_iter_no_change != inf:
            arguments.integer(self.n_iter_no_change, said("n_iter_no_change"), 1)
        arguments.number(self.validation_fraction, said("validation_fraction"), above=0, below=1)
        arguments.listed(self.callbacks, said("callbacks"), "callbacks, such as [ClipValue(1)]")
        if self.solver == "lbfgs" and self.early_stopping:
            raise ValueError(f"{self._who}: early_stopping must be False with the solver 'lbfgs', which takes all rows "
                             "at once")
        if not callable(self.solver):
            arguments.choice(self.solver, ("adam", "sgd", "lbfgs"), f"{said('solver')}, where it is not a function of "
                             "the parameters that makes an optimiser,")

    def outputs(self, X):
        """What the net says of X: (N, K), float32."""
        check_is_fitted(self, "net_")
        X = rows(self, X)
        parts = (X[start:start + _ROWS].astype(np.float32, copy=False) for start in range(0, len(X), _ROWS))
        return predict(self.net_, parts)


def takes_batches(estimator):
    """Whether there is a `partial_fit`."""
    return estimator.solver != "lbfgs"
