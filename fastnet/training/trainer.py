"""The training loop, and its two small sisters `evaluate` and `predict`."""
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from time import perf_counter

import numpy as np

from fastnet.training.callbacks import HOOKS
from fastnet.training.diagnosis import NonFiniteError, bad_gradients, find_cause
from fastnet.training.history import History
from fastnet.training.metrics import Totals, count_correct


class Trainer:
    """Trains `net` on batches: ``Trainer(net, loss, optimizer, [Progress()]).fit(loader, epochs=10)``.

    Each step is forward, loss, backward, update. Seven times on the way each callback is called with the trainer:
    on_train_begin, on_epoch_begin, on_step_begin, on_gradients, on_step_end, on_epoch_end, on_train_end. It finds there

    net, loss_function, optimizer, train_batches, validation, epochs  what was given
    epoch            the present one, from 1; 0 before the first
    step             updates made so far, so 0 in the first on_step_begin and 1 in the first on_step_end
    loss, accuracy   of the last batch (accuracy None where labels are not class numbers)
    batch_size       images in the present batch
    totals           `images`, mean `loss` and `accuracy` of the epoch so far
    lr               the optimiser's learning rate
    history          the rows so far; in on_epoch_end the last is that of this epoch
    stop             set it to True to end training after the present step
    """

    def __init__(self, net, loss, optimizer, callbacks=()):
        self.net, self.loss_function, self.optimizer = net, loss, optimizer
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            missing = [hook for hook in HOOKS if not hasattr(callback, hook)]
            if missing:
                raise TypeError(f"Trainer: callback {callback!r} has no {missing[0]}; derive its class from Callback")

    def fit(self, train_batches, epochs, validation=None):
        """Train for `epochs` passes over `train_batches` and return the `History`.

        `train_batches` is anything that has a length and can be iterated again and again over pairs (x, labels); where
        it has ``set_epoch(epoch)``, that is called before each pass, counting from 0, so that shuffling can follow it.
        After each epoch the net is evaluated on `validation`, batches of the same form. Each call is a training of its
        own, starting at epoch 1, with the weights that the net has.

        Ctrl-C ends training after the step that is running: history.interrupted becomes True, the hooks of the end
        run, and fit returns. A second Ctrl-C raises KeyboardInterrupt at once. Where the loss or a gradient is not
        finite, `NonFiniteError` names epoch, step and cause before the update is made.
        """
        self._check(train_batches, epochs, validation)
        self.train_batches, self.epochs, self.validation = train_batches, epochs, validation
        self.epoch, self.step, self.batch_size = 0, 0, None
        self.loss = self.accuracy = None
        self.history, self.totals, self.stop = History(), Totals(), False
        self._parameters = self.net.named_parameters()
        with _ctrl_c(self.interrupt):
            try:
                with self._polite():
                    self._call("on_train_begin")
                    while self.epoch < epochs and not self.stop:
                        self.epoch += 1
                        self._run_epoch()
            finally:
                self._call("on_train_end")
        return self.history

    def interrupt(self):
        """End training politely after the present step; raise KeyboardInterrupt where that was asked for before."""
        if self.history.interrupted:
            raise KeyboardInterrupt
        self.history.interrupted = self.stop = True

    @property
    def lr(self):
        return self.optimizer.lr

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
        self.totals = Totals()
        self._call("on_epoch_begin")
        started = perf_counter()
        with self._polite():
            for x, labels in self.train_batches:
                self._run_step(x, labels)
                if self.stop:
                    break
        seconds = perf_counter() - started
        if not self.totals.images:
            return
        val_loss = val_accuracy = None
        with self._polite():
            if self.validation is not None and not self.history.interrupted:
                val_loss, val_accuracy = evaluate(self.net, self.validation, self.loss_function)
        self.history.rows.append({
            "epoch": self.epoch, "steps": self.step, "lr": self.lr,
            "loss": self.totals.loss, "accuracy": self.totals.accuracy,
            "val_loss": val_loss, "val_accuracy": val_accuracy,
            "seconds": seconds, "images_per_second": self.totals.images / seconds})
        self._call("on_epoch_end")

    def _run_step(self, x, labels):
        self.batch_size = len(x)
        self._call("on_step_begin")
        logits = self.net.forward(x, training=True)
        self.loss, dlogits = self.loss_function(logits, labels)
        if not isfinite(self.loss):
            self._refuse(f"the loss is {self.loss}", x, labels)
        self.net.backward(dlogits, need_dx=False)
        self._call("on_gradients")
        bad = bad_gradients(self._parameters)
        if bad:
            self._refuse("the gradient is not finite for " + ", ".join(bad), x, labels)
        self.optimizer.step()
        self.step += 1
        correct = count_correct(logits, labels)
        self.accuracy = None if correct is None else correct / self.batch_size
        self.totals.add(self.loss, correct, self.batch_size)
        self._call("on_step_end")

    def _refuse(self, symptom, x, labels):
        cause = find_cause(self.net, self.loss_function, x, labels)
        raise NonFiniteError(f"epoch {self.epoch}, step {self.step + 1}: {symptom}: {cause}; this step was not applied "
                             "to the weights")

    def _call(self, hook):
        for callback in self.callbacks:
            getattr(callback, hook)(self)

    @staticmethod
    def _check(train_batches, epochs, validation):
        for name, batches in (("train_batches", train_batches), ("validation", validation)):
            if isinstance(batches, Iterator):
                raise TypeError(f"fit: {name} can be iterated only once ({type(batches).__name__}); give a DataLoader "
                                "or a list of (x, labels)")
            if batches is not None and len(batches) == 0:
                raise ValueError(f"fit: {name} holds no batch")
        if not isinstance(epochs, int) or epochs < 1:
            raise ValueError(f"fit: epochs must be an integer of at least 1, got {epochs!r}")


def evaluate(net, batches, loss):
    """(mean loss, accuracy) of `net` over pairs (x, labels), in inference. Means are over images, so that a smaller
    last batch counts for what it is; accuracy is None where the labels are not class numbers."""
    totals = Totals()
    for x, labels in batches:
        logits = net(x)
        value, _ = loss(logits, labels)
        totals.add(value, count_correct(logits, labels), len(x))
    if not totals.images:
        raise ValueError("evaluate: got no batches")
    return totals.loss, totals.accuracy


def predict(net, batches, flip=False):
    """The outputs of `net` for all batches, joined: (number of images, ...). A batch is x or a pair (x, labels).

    With flip=True, for images, the mean of the outputs for x and for its mirror image, left and right exchanged.
    """
    outputs = []
    for batch in batches:
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        outputs.append((net(x) + net(x[..., ::-1])) / 2 if flip else net(x))
    if not outputs:
        raise ValueError("predict: got no batches")
    return np.concatenate(outputs)


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
