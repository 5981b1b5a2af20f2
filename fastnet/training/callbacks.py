"""What may be hooked into a training. A callback of one's own derives from `Callback` and overrides some hooks."""
import json
import os
import sys
from math import isfinite
from time import perf_counter

from tqdm import tqdm

from fastnet.training.history import describe
from fastnet.training.weights import save_weights

HOOKS = ("on_train_begin", "on_epoch_begin", "on_step_begin", "on_gradients", "on_step_end", "on_epoch_end",
         "on_train_end")


class Callback:
    """Seven hooks that do nothing. Each gets the `Trainer`, whose docstring tells what can be read there."""

    def on_train_begin(self, trainer):
        """Before the first epoch."""

    def on_epoch_begin(self, trainer):
        """Before the first batch of an epoch is asked for."""

    def on_step_begin(self, trainer):
        """Before the forward pass of a batch: the place to set ``trainer.optimizer.lr``."""

    def on_gradients(self, trainer):
        """After the backward pass and before the update: every parameter's ``grad`` is there and may be replaced."""

    def on_step_end(self, trainer):
        """After the update."""

    def on_epoch_end(self, trainer):
        """After validation; ``trainer.history.rows[-1]`` is the row of this epoch."""

    def on_train_end(self, trainer):
        """At the end, also one that Ctrl-C or an error brought about."""


class LearningRateSchedule(Callback):
    """Sets the optimiser's learning rate to schedule(updates made so far) before each step; see fastnet.schedules."""

    def __init__(self, schedule):
        if not callable(schedule):
            raise TypeError(f"LearningRateSchedule: expected a function of the step, got {schedule!r}")
        self.schedule = schedule

    def on_step_begin(self, trainer):
        trainer.optimizer.lr = self.schedule(trainer.step)


class WeightAverage(Callback):
    """When training ends, puts a running mean of the weights into the net: often a little better than the last ones.

    After every `every`-th update, mean = d mean + (1 - d) weights with d = min(decay, t / (t + 1)) the t-th time, t
    from 0: at first the plain mean of all so far, later one that forgets. Running statistics are averaged alike.
    Validation meets the weights of the moment. ``net.load_state_dict(average.last)`` brings back the last ones.
    Polyak and Juditsky, Acceleration of stochastic approximation by averaging (1992).
    """

    def __init__(self, decay=0.999, every=1):
        if not 0 <= decay <= 1:
            raise ValueError(f"WeightAverage: decay must be from 0 to 1, got {decay!r}")
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"WeightAverage: every must be an integer of at least 1, got {every!r}")
        self.decay, self.every = decay, every
        self.last = None

    def on_train_begin(self, trainer):
        self.last = None
        self._mean, self._times = None, 0

    def on_step_end(self, trainer):
        if trainer.step % self.every:
            return
        state = trainer.net.state_dict()
        decay = min(self.decay, self._times / (self._times + 1))
        for name, value in state.items():
            if value.dtype.kind == "f" and self._mean is not None:
                value *= 1 - decay
                value += decay * self._mean[name]
        self._mean, self._times = state, self._times + 1

    def on_train_end(self, trainer):
        if self._mean is not None:
            self.last = trainer.net.state_dict()
            trainer.net.load_state_dict(self._mean)
            self._mean = None


class Progress(Callback):
    """Tells how training goes: mean loss and accuracy of the epoch so far, images per second, time left.

    In a terminal a bar moves while an epoch runs; a line an epoch stays, and is all that a log file gets. `file` is the
    stream to write to, sys.stderr where it is None.
    """

    def __init__(self, file=None):
        self.file = file
        self._bar = None

    def on_train_begin(self, trainer):
        self._steps = trainer.epochs * len(trainer.train_batches)

    def on_epoch_begin(self, trainer):
        self._epoch_started = perf_counter()
        file = self.file or sys.stderr
        if file.isatty():
            self._bar = tqdm(total=len(trainer.train_batches), desc=f"epoch {trainer.epoch}/{trainer.epochs}",
                             file=file, leave=False, dynamic_ncols=True,
                             bar_format="{desc} {bar} {n_fmt}/{total_fmt}{postfix}")

    def on_step_end(self, trainer):
        if trainer.step == 1:
            self._second_step = perf_counter()
        if self._bar is None:
            return
        totals = trainer.totals
        accuracy = "" if totals.accuracy is None else f"accuracy {totals.accuracy:.4f}, "
        speed = totals.images / (perf_counter() - self._epoch_started)
        self._bar.set_postfix_str(f"loss {totals.loss:.4f}, {accuracy}{speed:.0f} images/s, {self._left(trainer)}",
                                  refresh=False)
        self._bar.update()

    def on_epoch_end(self, trainer):
        self._close()
        self._print(f"{describe(trainer.history.rows[-1])}  {self._left(trainer)}")

    def on_train_end(self, trainer):
        self._close()
        if trainer.history.interrupted:
            self._print(f"interrupted in epoch {trainer.epoch} of {trainer.epochs}, after {trainer.step} steps")
        elif trainer.stop:
            self._print(f"stopped after epoch {trainer.epoch} of {trainer.epochs}")

    def _left(self, trainer):
        """The time that the steps to come take if they go like those so far, validation included.

        The first does not count, because it may have compiled kernels.
        """
        if trainer.step == 1:
            return "? left"
        seconds = (perf_counter() - self._second_step) / (trainer.step - 1) * (self._steps - trainer.step)
        return f"{tqdm.format_interval(seconds)} left"

    def _close(self):
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _print(self, text):
        print(text, file=self.file or sys.stderr, flush=True)


class JsonLines(Callback):
    """Writes each row of the history to the file `path` as it is made: one JSON object a line.

    A file of that name is emptied when training begins. JSON knows no NaN and no infinity: they become null.
    """

    def __init__(self, path):
        self.path = os.fspath(path)

    def on_train_begin(self, trainer):
        open(self.path, "w", encoding="utf-8").close()

    def on_epoch_end(self, trainer):
        row = {name: value if value is not None and isfinite(value) else None
               for name, value in trainer.history.rows[-1].items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")


class _Best(Callback):
    """Knows after each epoch whether a column of the history, `monitor`, has become better than ever before."""

    def __init__(self, monitor, min_delta=0.0):
        if monitor not in ("loss", "accuracy", "val_loss", "val_accuracy"):
            raise ValueError(f"{type(self).__name__}: monitor must be 'loss', 'accuracy', 'val_loss' or "
                             f"'val_accuracy', got {monitor!r}")
        self.monitor, self.min_delta = monitor, min_delta
        self.best = self.best_epoch = None

    def on_train_begin(self, trainer):
        if self.monitor.startswith("val_") and trainer.validation is None:
            raise ValueError(f"{type(self).__name__}: watches {self.monitor}, but fit was given no validation; give it "
                             f"some, or monitor={self.monitor.removeprefix('val_')!r}")
        self.best = self.best_epoch = None

    def improved(self, trainer):
        value = trainer.history.rows[-1][self.monitor]
        if value is None:
            if not trainer.history.interrupted:  # then it is only that nobody measured
                raise ValueError(f"{type(self).__name__}: there is no {self.monitor}, because the labels are not class "
                                 "numbers; watch a loss")
            return False
        if self.best is None:
            better = value == value  # the first that is not NaN
        else:
            better = (self.best - value if self.monitor.endswith("loss") else value - self.best) > self.min_delta
        if better:
            self.best, self.best_epoch = value, trainer.epoch
        return better


class EarlyStopping(_Best):
    """Stops after `patience` epochs without a better `monitor`, and gives the net its best weights back.

    Better is lower for a loss and higher for an accuracy, by more than `min_delta`. The best weights (with the running
    statistics) are restored whenever training ends. `best` and `best_epoch` tell which they were.
    """

    def __init__(self, patience, monitor="val_loss", min_delta=0.0):
        super().__init__(monitor, min_delta)
        if not isinstance(patience, int) or patience < 1:
            raise ValueError(f"EarlyStopping: patience must be an integer of at least 1, got {patience!r}")
        if not min_delta >= 0:
            raise ValueError(f"EarlyStopping: min_delta must be at least 0, got {min_delta!r}")
        self.patience = patience
        self._weights = None

    def on_epoch_end(self, trainer):
        if self.improved(trainer):
            self._weights = trainer.net.state_dict()
        elif trainer.epoch - (self.best_epoch or 0) >= self.patience:
            trainer.stop = True

    def on_train_end(self, trainer):
        if self._weights is not None:
            trainer.net.load_state_dict(self._weights)
            self._weights = None


class SaveBest(_Best):
    """Saves the weights to `path` (`save_weights`: .npz, all or nothing) after each epoch with a better `monitor`."""

    def __init__(self, path, monitor="val_loss"):
        super().__init__(monitor)
        self.path = os.fspath(path)

    def on_train_begin(self, trainer):
        super().on_train_begin(trainer)
        folder = os.path.dirname(self.path) or "."
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"SaveBest: {folder} is no folder; make it before training for {self.path}")

    def on_epoch_end(self, trainer):
        if self.improved(trainer):
            save_weights(trainer.net, self.path)
