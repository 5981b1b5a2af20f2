"""The training loop, and its two small sisters `evaluate` and `predict`."""
import os
import signal
import threading
from contextlib import contextmanager
from math import isfinite
from time import perf_counter

import numpy as np

from fastnet import arguments
from fastnet.metrics import named
from fastnet.training.batches import batches as checked_batches
from fastnet.training.batches import judged, loss_function, pair, size
from fastnet.training.callbacks import HOOKS
from fastnet.training.diagnosis import NonFiniteError, bad_gradients, find_cause
from fastnet.training.history import History
from fastnet.training.metrics import Group, Totals


class Trainer:
    """Trains `net` on batches: ``Trainer(net, loss, optimizer, [Progress()]).fit(loader, epochs=10)``.

    Each step is forward, loss, backward, update. Seven times on the way each callback is called with the trainer:
    on_train_begin, on_epoch_begin, on_step_begin, on_gradients, on_step_end, on_epoch_end, on_train_end. It finds there

    net, loss_function, optimizer, metrics, regularizer, accumulate, train_batches, validation, epochs  what was given
    epoch            the present one, from 1; 0 before the first
    step             updates made so far, so 0 in the first on_step_begin and 1 in the first on_step_end
    steps_per_epoch  updates in a whole epoch
    loss, accuracy   of the last step (accuracy None where the loss's targets are no classes); the loss with its penalty
    batch_size       images in the present batch, from on_gradients on in all batches of the step
    totals           `images`, mean `loss`, `accuracy` and `metrics`, a dictionary, of the epoch so far
    lr               the optimiser's learning rate
    history          the rows so far; in on_epoch_end the last is that of this epoch
    measured         in on_epoch_end a copy of ``net.state_dict()`` as it was when that row was made, where a callback
                     wants it; else None
    stop             set it to True to end training after the present step

    `metrics` is a dictionary of metrics, see `fastnet.metrics`: a history has a column for each name, and one with
    "val_" before it, of the whole epoch, as each batch was met in training, and of validation. `regularizer`, see
    `fastnet.regularizers`, adds a penalty to the loss that is reported, not to that of validation, and its gradient to
    the gradients before on_gradients.
    With accumulate=k a step is made of k batches, whose gradients are averaged, each weighted with its number of
    samples: so a mean loss steps as for one large batch (statistics of batch norms are those of each batch). What is
    left at the end of an epoch makes a step of its own. Steps, and with them schedules, count updates, not batches.
    """

    def __init__(self, net, loss, optimizer, callbacks=(), metrics=None, regularizer=None, accumulate=1):
        self.net, self.loss_function, self.optimizer, self.callbacks = net, loss, optimizer, callbacks
        self.metrics, self.regularizer, self.accumulate = metrics, regularizer, accumulate
        self._check()

    def fit(self, train_batches, epochs, validation=None, batch_size=128):
        """Train for `epochs` passes over `train_batches` and return the `History`.

        `train_batches` is a data set, (x, y) in arrays, of which a `DataLoader` makes batches of `batch_size`, in
        another order in each epoch; or anything that has a length and can be iterated again and again over pairs
        (x, y): x is an array, or a tuple or dictionary of arrays, y is whatever the loss takes. Where it has
        ``set_epoch(epoch)``, that is called before each pass, counting from 0, so that shuffling can follow it.
        After each epoch the net is evaluated on `validation`, arrays or batches likewise. Each call is a training of
        its own, starting at epoch 1, with the weights that the net has.

        Ctrl-C ends training after the step that is running: history.interrupted becomes True, the hooks of the end
        run, and fit returns. A second Ctrl-C raises KeyboardInterrupt at once. Where the loss or a gradient is not
        finite, `NonFiniteError` names epoch, step and cause before the update is made.

        However training ends, on_train_end is called for each callback whose on_train_begin has come off, and for no
        other, whatever the others raise. The first error is the one that is raised; it has a note of each later one.
        TypeError or ValueError for arguments that do not fit, before anything is changed.
        """
        self._check()
        epochs = arguments.integer(epochs, "fit: epochs", 1, 2**63 - 1)
        train_batches = checked_batches(train_batches, "fit: train_batches", batch_size, shuffle=True)
        if validation is not None:
            validation = checked_batches(validation, "fit: validation", batch_size)
        self.train_batches, self.epochs, self.validation = train_batches, epochs, validation
        self.epoch, self.step, self.batch_size = 0, 0, None
        self.loss = self.accuracy = self.measured = None
        self.history, self.totals, self.stop = History(), Totals(self.metrics), False
        self._parameters = self.net.named_parameters()
        begun, first = [], None
        with _ctrl_c(self.interrupt):
            try:
                with self._polite():
                    for callback in tuple(self.callbacks):
                        callback.on_train_begin(self)
                        begun.append(callback)
                    while self.epoch < epochs and not self.stop:
                        self.epoch += 1
                        self._run_epoch()
            except BaseException as error:
                first = error
            for callback in begun:
                try:
                    callback.on_train_end(self)
                except BaseException as error:
                    first = _joined_errors(first, error, callback)
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

    @property
    def lr(self):
        return self.optimizer.lr

    @property
    def steps_per_epoch(self):
        return -(-len(self.train_batches) // self.accumulate)

    @contextmanager
    def _polite(self):
        """Take a KeyboardInterrupt that did not come through our own handler, say in a notebook, for a wish to end."""
        try:
            yield
        except KeyboardInterrupt:
            self.interrupt()

    def _run_epoch(self):
        if hasattr(self.train_batches, "set_epoch"):
            self.train_batches.set_epoch(self.epoch - 1)
        self.totals, self._group = Totals(self.metrics), Group()
        self._call("on_epoch_begin")
        started = perf_counter()
        with self._polite():
            for batch in self.train_batches:
                self._run_batch(*pair(batch, "fit: train_batches"))
                if self._group.batches == self.accumulate:
                    self._update(*batch)
                    if self.stop:
                        break
            if self._group.batches:     # what is left at the end of the epoch
                self._update(*batch)
        seconds = perf_counter() - started
        if not self.totals.images:
            return
        validated = Totals(self.metrics)
        with self._polite():
            if self.validation is not None and not self.history.interrupted:
                validated = _means(self.net, self.validation, self.loss_function, "fit: validation", self.metrics)
        self.history.rows.append({
            "epoch": self.epoch, "steps": self.step, "lr": self.lr,
            "loss": self.totals.loss, "accuracy": self.totals.accuracy, **self.totals.metrics,
            "val_loss": validated.loss, "val_accuracy": validated.accuracy,
            **{f"val_{name}": value for name, value in validated.metrics.items()},
            "seconds": seconds, "images_per_second": self.totals.images / seconds})
        if any(getattr(callback, "wants_weights", False) for callback in self.callbacks):
            self.measured = self.net.state_dict()
        self._call("on_epoch_end")
        self.measured = None

    def _run_batch(self, x, labels):
        self.batch_size = size(x, "fit: train_batches")
        if not self._group.batches:
            self._call("on_step_begin")
        logits = self.net.forward(x, training=True)
        value, dlogits, found = judged(self.loss_function, logits, labels, "Trainer")
        self._group.add(value, found, self.batch_size)
        self.loss = self._group.loss
        if not isfinite(value):
            self._refuse(f"the loss is {value}", x, labels)
        self.net.backward(dlogits, need_dx=False)
        self.totals.meet(logits, labels)
        if self.accumulate > 1:
            self._look_at_gradients(x, labels)
            self._group.gather(self._parameters, self.batch_size)

    def _update(self, x, labels):
        """A step, by what the batches of the group gave, of which (x, labels) is the last."""
        group, self._group = self._group, Group()
        self.batch_size = group.images
        if self.accumulate > 1:
            group.give(self._parameters)
        if self.regularizer is not None:
            self.loss += float(self.regularizer.add(self.net))
            if not isfinite(self.loss):
                self._refuse(f"the penalty of {self.regularizer!r} makes the loss {self.loss}", x, labels)
        self._call("on_gradients")
        self._look_at_gradients(x, labels)
        self.optimizer.step()
        if self.regularizer is not None:
            self.regularizer.project(self.net)
        self.step += 1
        self.accuracy = group.accuracy
        self.totals.add(self.loss, group.found, group.images)
        self._call("on_step_end")

    def _look_at_gradients(self, x, labels):
        bad = bad_gradients(self._parameters)
        if bad:
            more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
            self._refuse(f"the gradient is not finite for {', '.join(bad[:5])}{more}", x, labels)

    def _refuse(self, symptom, x, labels):
        cause = find_cause(self.net, self.loss_function, x, labels)
        raise NonFiniteError(f"epoch {self.epoch}, step {self.step + 1}: {symptom}: {cause}; this step was not applied "
                             "to the weights")

    def _call(self, hook):
        for callback in tuple(self.callbacks):  # one may add or remove some
            getattr(callback, hook)(self)

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
        self.metrics = named(self.metrics, "Trainer: metrics")
        if self.regularizer is not None:
            arguments.having(self.regularizer, ("add", "project"), "Trainer: regularizer", "a regulariser, such as "
                             "L2(1e-4)")
        self.accumulate = arguments.integer(self.accumulate, "Trainer: accumulate", 1)
        groups = getattr(self.optimizer, "param_groups", ())     # an optimiser of one's own may have none
        if groups:
            held = {id(parameter) for group in groups for parameter in group["params"]}
            if held.isdisjoint(id(parameter) for _, parameter in self.net.named_parameters()):
                raise ValueError("Trainer: optimizer must hold parameters of net, got one of other parameters, which "
                                 f"would train nothing: make it anew, {type(self.optimizer).__name__}(net.parameters()"
                                 ", ...)")


def evaluate(net, batches, loss, metrics=None, batch_size=128):
    """(mean loss, accuracy) of `net` over arrays (x, y), taken in batches of `batch_size`, or over batches, pairs
    (x, y), in inference; with `metrics`, a dictionary of metrics (see `fastnet.metrics`), a dictionary: {"loss": ..,
    "accuracy": .., and the number of each metric by its name}. Means are over images, so that a smaller last batch
    counts for what it is.

    Accuracy is the share of targets that are met: of rows of logits (N, C), or pixels of (N, C, ...), that are largest
    at their label. With one column or none, (N, 1) or (N,), the labels are 0 or 1 and the sign of the logit decides;
    the loss's `task` may say otherwise, see `Loss`. It is None where the labels are not class numbers, or the loss says
    that they are none. TypeError or ValueError for what are no batches.
    """
    arguments.function(net, "evaluate: net", "a net")
    batches = checked_batches(batches, "evaluate: batches", batch_size, again=False)
    loss, wanted = loss_function(loss, "evaluate: loss"), named(metrics, "evaluate: metrics")
    totals = _means(net, batches, loss, "evaluate: batches", wanted)
    if metrics is None:
        return totals.loss, totals.accuracy
    return {"loss": totals.loss, "accuracy": totals.accuracy, **totals.metrics}


def _means(net, batches, loss, name, metrics):
    totals = Totals(metrics)
    for batch in batches:
        x, labels = pair(batch, name)
        images, outputs = size(x, name), net(x)
        value, _, found = judged(loss, outputs, labels, name.partition(":")[0])
        totals.add(value, found, images)
        totals.meet(outputs, labels)
    if not totals.images:
        raise ValueError(f"{name} must hold batches, got no batch")
    return totals


def predict(net, batches, flip=False, batch_size=128):
    """The outputs of `net` for all of x, an array, or for all batches, joined: (number of samples, ...). A batch is x
    or a pair (x, y); arrays x or (x, y) are taken in batches of `batch_size`.

    They come in the order of the data, and all of them, also where `batches` is a `DataLoader` that shuffles or leaves
    out the last batch: anything with a method ``in_order()`` is asked for its batches in that order.
    With flip=True, for images, the mean of the outputs for x and for its mirror image, left and right exchanged.
    A net whose output is a tuple or dictionary of arrays gives such a one. TypeError or ValueError for what are no
    batches.
    """
    arguments.function(net, "predict: net", "a net")
    batches = checked_batches(batches, "predict: batches", batch_size, pairs=False, again=False)
    flip = arguments.flag(flip, "predict: flip")
    if callable(getattr(batches, "in_order", None)):
        batches = batches.in_order()
    outputs = []
    for batch in batches:
        x = pair(batch, "predict: batches")[0] if isinstance(batch, (tuple, list)) else batch
        size(x, "predict: batches")
        if flip and np.ndim(x) != 4:
            raise ValueError("predict: flip=True needs batches of images, x of shape (N, C, H, W), got "
                             f"{arguments.shown(x)}")
        outputs.append((net(x) + net(x[..., ::-1])) / 2 if flip else net(x))
    if not outputs:
        raise ValueError("predict: batches must hold batches, got no batch")
    return _joined(outputs)


def _joined(outputs):
    """What the batches gave, one after the other."""
    first = outputs[0]
    if isinstance(first, dict):
        return {name: _joined([output[name] for output in outputs]) for name in first}
    if isinstance(first, tuple):
        return tuple(_joined(list(parts)) for parts in zip(*outputs, strict=True))
    if not all(np.ndim(output) for output in outputs):
        raise ValueError("predict: net must give arrays of one row for each sample, got a single number")
    shapes = {np.shape(output)[1:] for output in outputs}
    if len(shapes) > 1:
        raise ValueError(f"predict: batches must give outputs of one shape, apart from the first axis, got "
                         f"{' and '.join(map(str, sorted(shapes)[:3]))}")
    return np.concatenate(outputs)


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


@contextmanager
def _ctrl_c(interrupt):
    """Let Ctrl-C call `interrupt` instead of breaking into the middle of an update.

    Python has signals in the main thread only, and somebody else's handler is left in charge.
    """
    if (threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler):
        yield
        return

    def handle(number, frame):
        interrupt()
        os.write(2, b"\nending after this step; Ctrl-C once more to abort\n")  # print may be busy under the handler

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
