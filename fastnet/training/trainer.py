"""The training loop."""
from contextlib import contextmanager
from functools import partial
from math import isfinite
from operator import is_
from time import perf_counter

from fastnet import arguments
from fastnet.metrics import following, named
from fastnet.training import state as state_
from fastnet.training.batches import (
    answer,
    check_trained,
    counted,
    judged,
    length,
    loss_function,
    pair,
    rest,
    size,
    training_sets,
)
from fastnet.training.callbacks.base import HOOKS
from fastnet.training.diagnosis import NonFiniteError, bad_gradients, find_cause
from fastnet.training.evaluation import means
from fastnet.training.history import History
from fastnet.training.memory import resident
from fastnet.training.signals import interruptible
from fastnet.training.totals import Group, Totals


class Trainer:
    """Trains `net` on batches: ``Trainer(net, loss, optimizer, [Progress()]).fit(loader, epochs=10)``.

    Each step is forward, loss, backward, update. On the way each callback is called with the trainer: on_train_begin,
    on_epoch_begin, on_step_begin, on_gradients, on_step_end, on_epoch_end, on_train_end, and on_interrupt where Ctrl-C
    ends it. It finds there

    net, loss_function, optimizer, metrics, regularizer, accumulate, train_batches, validation  what was given
    epochs           the number of the last epoch that is to be
    epoch            the present one, from 1; 0 before the first
    step             updates made so far, so 0 in the first on_step_begin and 1 in the first on_step_end
    steps_per_epoch  updates in a whole epoch; None where the batches have no length
    batches_done, steps_done  batches and updates of the present epoch so far
    loss, accuracy   of the last step (accuracy None where the loss's targets are no classes); the loss with its penalty
    batch_size       images in the present batch, from on_gradients on in all batches of the step
    totals           `images`, mean `loss`, `accuracy` and `metrics`, a dictionary, of the epoch so far
    lr               the optimiser's learning rate; None where it has no `lr`
    history          the rows so far; in on_epoch_end the last is that of this epoch
    measured         in on_epoch_end a copy of ``net.state_dict()`` as it was when that row was made, where a callback
                     wants it; else None
    stop             set it to True to end training after the present step

    A Trainer is one training: a further `fit` counts epochs and steps on, schedules, best values and logs go on, and
    what callbacks gave the net at the end, best weights or a mean, is taken out again, where nobody has changed the net
    since. ``fit(a); fit(b)`` is ``fit(a + b)``; a new Trainer begins anew. An epoch that was cut short counts, and the
    next `fit` begins another. `state_dict` is all that a Trainer elsewhere needs to go on with the same bits.

    `metrics` is a dictionary of metrics, see `fastnet.metrics`: a history has a column for each name, and one with
    "val_" before it, of the whole epoch, as each batch was met in training, and of validation. None is "mae", the mean
    absolute error, where the loss is one of numbers, and else none. `regularizer`, see
    `fastnet.regularizers`, adds a penalty to the loss that is reported, not to that of validation, and its gradient to
    the gradients before on_gradients.
    With accumulate=k a step is made of k batches, whose gradients are averaged, each weighted with what the loss's mean
    divides by, or added up where the loss is a sum: as for one large batch (statistics of batch norms are those of each
    batch). What is
    left at the end of an epoch makes a step of its own. Steps, and with them schedules, count updates, not batches.

    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1))
    >>> history = trainer.fit((x, x.sum(axis=1, keepdims=True)), epochs=20)
    >>> trainer.step, history[-1]["loss"] < history[0]["loss"]
    (20, True)
    """

    def __init__(self, net, loss, optimizer, callbacks=(), metrics=None, regularizer=None, accumulate=1):
        self.net, self.loss_function, self.optimizer, self.callbacks = net, loss, optimizer, callbacks
        self.metrics, self.regularizer, self.accumulate = metrics, regularizer, accumulate
        self._check()
        self.epoch = self.epochs = self.step = self.batches_done = 0
        self.train_batches = self.validation = self.batch_size = None
        self.loss = self.accuracy = self.measured = None
        self.history, self.totals, self.stop = History(), Totals(self.metrics), False
        self._underway, self._seconds = False, 0.0  # whether the present epoch is to go on; how long it took so far
        self._end = self._loader_state = None
        self._order = [], []    # the callbacks, and the order in which they are called
        self._stage = ""    # "between" steps, or within a "step", of a fit

    def fit(self, train_batches, epochs, validation=None, batch_size=128, resume=None):
        """Train for `epochs` further passes over `train_batches` and return the `History`.

        `train_batches` is a data set, (x, y) in arrays, of which a `DataLoader` makes batches of `batch_size`, in
        another order in each epoch; or anything that can be iterated again and again over pairs (x, y): x is an array,
        or a tuple or dictionary of arrays, y is whatever the loss takes. With weights of samples, (x, y,
        sample_weight), the loss gets these too, and is the mean so weighted; accuracy and metrics count each sample
        alike. Where it has
        ``set_epoch(epoch)``, that is called before each pass, counting from 0, so that shuffling can follow it.
        After each epoch the net is evaluated on `validation`, arrays or batches likewise. A share, validation=0.1,
        holds back so much of arrays, always the same samples and as many of each class in proportion. None is none.

        With `resume`, a folder of `SaveCheckpoints`, training goes on from the newest checkpoint in it, if there is
        one, with the same bits as if it had never stopped, and `epochs` counts all epochs, those before included. It
        may be a single file, too. `fastnet.CheckpointError` where that is none.

        Ctrl-C, and SIGTERM, end training after the step that is running: history.interrupted becomes True, the hooks of
        the end run, and fit returns. A second one raises KeyboardInterrupt at once. Where the loss or a gradient is not
        finite, `NonFiniteError` names epoch, step and cause before the update is made.

        However training ends, on_train_end is called for each callback whose on_train_begin has come off, and for no
        other, whatever the others raise. The first error is the one that is raised; it has a note of each later one.
        TypeError or ValueError for arguments that do not fit, before anything is changed.
        """
        self._check()
        if self._stage:
            raise RuntimeError("fit: this Trainer is in the midst of a training; make another one")
        if hasattr(epochs, "shape") and epochs.shape:
            raise TypeError(f"fit: epochs must be an integer of at least 1, got {arguments.shown(epochs)}: x and "
                            "y are given as one pair, fit((x, y), epochs)")
        epochs = arguments.integer(epochs, "fit: epochs", 1, 2**63 - 1)
        sets = training_sets(train_batches, validation, batch_size)
        self._begin(*sets, epochs, resume)
        begun, first = [], None
        with interruptible(self.interrupt):
            try:
                with self._polite():
                    self._train(begun)
            except BaseException as error:
                first = error
            first = self._finish(begun, first)
        if first is not None:
            try:
                raise first
            finally:
                del first   # its traceback holds this frame
        return self.history

    def interrupt(self):
        """End training politely after the present step; raise KeyboardInterrupt where that was asked for before."""
        if self.history.interrupted:
            raise KeyboardInterrupt
        self.history.interrupted = self.stop = True

    def state_dict(self):
        """All that a like Trainer elsewhere needs to go on with the same bits, as dictionaries, lists and tuples of
        arrays, numbers, strings and None: of the net, the optimiser, the callbacks that have a state, the random
        generators of layers and that of `manual_seed`, the data set's order, the place in the epoch, and the history.

        It is taken between steps: RuntimeError from on_step_begin's end to the update. TypeError where a callback or a
        metric keeps what is none of these. Random numbers that a function of one's own draws are not in it: let them
        follow from ``trainer.step``, or put their generator's state into a callback's.
        """
        if self._stage == "step":
            raise RuntimeError("Trainer.state_dict: a step is running; take it in on_step_end or on_epoch_end")
        return state_.state_of(self)

    def load_state_dict(self, state):
        """Let the next `fit` go on where a Trainer with this `state_dict` stood, within the epoch where that was under
        way; that epoch is then the first of its `epochs`. The net, loss, optimiser, data and callbacks are made by the
        same program as before. ValueError or TypeError that names the part which does not fit; nothing is changed then.
        RuntimeError within a `fit`.
        """
        if self._stage:
            raise RuntimeError("Trainer.load_state_dict: a fit is under way; load the state before it")
        state_.load(self, state)

    @property
    def lr(self):
        return getattr(self.optimizer, "lr", None)

    @property
    def steps_per_epoch(self):
        batches = length(self.train_batches)
        return None if batches is None else -(-batches // self.accumulate)

    @property
    def steps_done(self):
        return -(-self.batches_done // self.accumulate)

    @contextmanager
    def _polite(self):
        """Take a KeyboardInterrupt that did not come through our own handler, say in a notebook, for a wish to end."""
        try:
            yield
        except KeyboardInterrupt:
            self.interrupt()

    def _begin(self, train_batches, validation, epochs, resume):
        """Stand where the training goes on."""
        state = None if resume is None else state_.resumed(resume)
        if state is not None:
            state_.load(self, state, train_batches)
        elif self._loader_state is not None:
            state_.put_loader(train_batches, self._loader_state, self.batches_done if self._underway else 0)
        self.epochs = epochs if resume is not None else self.epoch - self._underway + epochs
        self.stop = self.stop and state is not None     # of a training that a callback has ended
        self.train_batches, self.validation, self._loader_state = train_batches, validation, None
        if self._end is not None:
            self._end.take_back(self.net)
        self.batch_size = self.loss = self.accuracy = self.measured = self._end = None
        if not self._underway:
            self.totals = Totals(self.metrics)
        self.history.interrupted = False
        self._parameters = self.net.named_parameters()
        self._stage = "between"

    def _train(self, begun):
        """All epochs; `begun` gets the callbacks whose on_train_begin has come off."""
        for callback in self._ordered():
            callback.on_train_begin(self)
            begun.append(callback)
        self._told = False
        while self._underway or self.epoch < self.epochs and not self.stop:
            self._run_epoch()
        self._tell_interrupt()

    def _finish(self, begun, first):
        """Call the hooks of the end; returns the first error of all."""
        self._stage, self._underway = "between", False
        end = state_.End(self.net) if begun else None
        for callback in begun:
            try:
                callback.on_train_end(self)
            except BaseException as error:
                first = _joined_errors(first, error, callback)
        if end is not None and end.over(self.net):
            self._end = end
        self._stage = ""
        return first

    def _run_epoch(self):
        if not self._underway:
            self.epoch += 1
            self._underway, self.batches_done, self._seconds, self.totals = True, 0, 0.0, Totals(self.metrics)
        if hasattr(self.train_batches, "set_epoch"):
            self.train_batches.set_epoch(self.epoch - 1)
        self._call("on_epoch_begin")
        self._started, whole = perf_counter() - self._seconds, False
        with self._polite():
            self._run_batches()
            whole = True
        self._stage, self._seconds = "between", perf_counter() - self._started
        if self.totals.images:
            validated = self._validated()
            self._told = self._told or not whole    # of a step that was broken off there is nothing to go on from
            self._tell_interrupt()
            self._underway = False
            self._end_epoch(validated)
        elif whole and not self.stop:
            raise ValueError(f"fit: train_batches must hold batches, got no batch in epoch {self.epoch}")
        self._underway = False

    def _run_batches(self):
        """The batches of an epoch, or those that are left of it."""
        self._group = Group()
        left = () if self.stop and self.batches_done else rest(self.train_batches, self.batches_done)
        for batch in left:
            batch = pair(batch, "fit: train_batches")
            self._run_batch(*batch)
            if self._group.batches == self.accumulate:
                self._update(*batch)
                if self.stop:
                    return
        if self._group.batches:     # what is left at the end of the epoch
            self._update(*batch)

    def _validated(self):
        """The Totals of validation; empty ones where there is none, or Ctrl-C ends it."""
        with self._polite():
            if self.validation is not None and not self.history.interrupted:
                totals = means(self.net, self.validation, self.loss_function, "fit: validation", self.metrics,
                               ended=lambda: self.history.interrupted)
                if not self.history.interrupted:
                    return totals
        return Totals(self.metrics)

    def _end_epoch(self, validated):
        """Add the row, and call the hooks."""
        self.history.rows.append({
            "epoch": self.epoch, "steps": self.step, "lr": self.lr,
            "loss": self.totals.loss, "accuracy": self.totals.accuracy, **self.totals.metrics,
            "val_loss": validated.loss, "val_accuracy": validated.accuracy,
            **{f"val_{name}": value for name, value in validated.metrics.items()},
            "seconds": self._seconds, "images_per_second": self.totals.images / self._seconds, "memory": resident()})
        if any(getattr(callback, "wants_weights", False) for callback in self.callbacks):
            self.measured = self.net.state_dict()
        self._call("on_epoch_end")
        self.measured = None

    def _run_batch(self, x, labels, weight):
        self.batch_size = size(x, "fit: train_batches")
        if not self._group.batches:
            self._call("on_step_begin")
            self._stage = "step"
        logits = self.net.forward(x, training=True)
        value, dlogits, found = judged(self.loss_function, logits, labels, "Trainer", weight)
        counts = counted(self.loss_function, logits, labels, weight, self.batch_size)
        self._group.add(value, found, self.batch_size, counts)
        self.loss = self._group.loss
        if not isfinite(value):
            self._refuse(f"the loss is {value}", x, labels, weight)
        self.net.backward(dlogits, need_dx=False)
        self.totals.meet(logits, labels)
        if self.accumulate > 1:
            self._look_at_gradients(x, labels, weight)
            self._group.gather(self._parameters, counts)

    def _update(self, x, labels, weight):
        """A step, by what the batches of the group gave, of which (x, labels, weight) is the last."""
        group, self._group = self._group, Group()
        self.batch_size = group.images
        if self.accumulate > 1:
            group.give(self._parameters)
        if self.regularizer is not None:
            self.loss += float(self.regularizer.add(self.net))
            if not isfinite(self.loss):
                self._refuse(f"the penalty of {self.regularizer!r} makes the loss {self.loss}", x, labels, weight)
        self._call("on_gradients")
        self._look_at_gradients(x, labels, weight)
        self.optimizer.step()
        if self.regularizer is not None:
            self.regularizer.project(self.net)
        self.step += 1
        self.accuracy = group.accuracy
        self.totals.add(self.loss, group.found, group.images, group.weight)
        self.batches_done += group.batches
        self.history.by_step.append(self.step, self.epoch, self.lr, self.loss, self.accuracy)
        self._stage, self._seconds = "between", perf_counter() - self._started
        self._call("on_step_end")

    def _look_at_gradients(self, x, labels, weight):
        bad = bad_gradients(self._parameters)
        if bad:
            more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
            self._refuse(f"the gradient is not finite for {', '.join(bad[:5])}{more}", x, labels, weight)

    def _refuse(self, symptom, x, labels, weight):
        cause = find_cause(self.net, partial(answer, self.loss_function, weight), x, labels)
        raise NonFiniteError(f"epoch {self.epoch}, step {self.step + 1}: {symptom}: {cause}; this step was not applied "
                             "to the weights")

    def _ordered(self):
        """The callbacks in the order in which they are called, now: one may add or remove some."""
        seen, ordered = self._order
        if len(seen) != len(self.callbacks) or not all(map(is_, seen, self.callbacks)):
            ordered = sorted(self.callbacks, key=lambda callback: getattr(callback, "comes_last", False))
            self._order = [*self.callbacks], ordered
        return ordered

    def _call(self, hook):
        for callback in self._ordered():
            getattr(callback, hook)(self)

    def _tell_interrupt(self):
        """Once, and where Ctrl-C or SIGTERM came, call the hook for it."""
        if self.history.interrupted and not self._told:
            self._told = True
            self._call("on_interrupt")

    def __getstate__(self):
        return {**vars(self), "_stage": "", "_order": ([], [])}     # a copy is in no fit

    def _check(self):
        """Refuse what cannot be trained with."""
        arguments.having(self.net, ("forward", "backward", "named_parameters"), "Trainer: net", "a net")
        loss_function(self.loss_function, "Trainer: loss")
        arguments.having(self.optimizer, ("step",), "Trainer: optimizer", "an optimiser, such as SGD(net.parameters(), "
                         "lr=0.1)")
        self.callbacks = arguments.listed(self.callbacks, "Trainer: callbacks", "callbacks, such as [Progress()]")
        for callback in self.callbacks:
            arguments.having(callback, HOOKS, "Trainer: callbacks", "a list of callbacks, objects of classes that "
                             "derive from Callback")
        metrics = following(self.loss_function) if self.metrics is None else self.metrics
        self.metrics = named(metrics, "Trainer: metrics")
        if self.regularizer is not None:
            arguments.having(self.regularizer, ("add", "project"), "Trainer: regularizer", "a regulariser, such as "
                             "L2(1e-4)")
        self.accumulate = arguments.integer(self.accumulate, "Trainer: accumulate", 1)
        if self.lr is not None:
            arguments.number(self.lr, "Trainer: lr of the optimizer")
        check_trained(self.net, self.optimizer, "Trainer")


def _joined_errors(first, error, callback):
    """The error to raise when the hook of the end of a callback has raised one more."""
    if first is None:
        return error
    if hasattr(first, "add_note"):
        first.add_note(f"{type(callback).__name__}.on_train_end then raised {type(error).__name__}: {error}")
    else:   # Python 3.10
        last = first
        while last.__context__ is not None and last.__context__ is not error:
            last = last.__context__
        last.__context__ = None if last is error else error
    return first
