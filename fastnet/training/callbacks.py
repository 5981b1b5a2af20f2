"""What may be hooked into a training. A callback of one's own derives from `Callback` and overrides some hooks."""
import json
import sys
from copy import deepcopy
from math import isfinite
from numbers import Real
from time import perf_counter

from tqdm import tqdm

from fastnet import arguments, writing
from fastnet.training.history import describe
from fastnet.training.weights import save_state

HOOKS = ("on_train_begin", "on_epoch_begin", "on_step_begin", "on_gradients", "on_step_end", "on_epoch_end",
         "on_train_end")


class Callback:
    """Seven hooks that do nothing. Each gets the `Trainer`, whose docstring tells what can be read there.

    A callback that keeps weights by what was measured says ``wants_weights = True``: in on_epoch_end it finds them as
    ``trainer.measured``, also where another callback has changed the net since.
    """

    wants_weights = False

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
        """At the end, also one that Ctrl-C or an error brought about, where on_train_begin has come off."""


class LearningRateSchedule(Callback):
    """Sets the optimiser's learning rate to schedule(updates made so far) before each step; see fastnet.schedules.

    Where a Trainer accumulates several batches a step, it is updates that count: see its ``steps_per_epoch``.
    """

    def __init__(self, schedule):
        self.schedule = arguments.function(schedule, "LearningRateSchedule: schedule",
                                           "a function of the step, such as schedules.cosine(0.1, 1000)")

    def on_step_begin(self, trainer):
        rate = self.schedule(trainer.step)
        trainer.optimizer.lr = arguments.number(rate, f"LearningRateSchedule: the rate of step {trainer.step}", 0)

    def __repr__(self):
        return f"LearningRateSchedule({arguments.shown(self.schedule)})"


class Progress(Callback):
    """Tells how training goes: mean loss and accuracy of the epoch so far, images per second, time left.

    In a terminal a bar moves while an epoch runs; a line an epoch, with all metrics, stays, and is all that a log file
    gets. `file` is the
    stream to write to, sys.stderr where it is None; where there is none either, as in a program without a console,
    nothing is told. A copy writes to the same stream.
    """

    def __init__(self, file=None):
        if file is not None:
            arguments.having(file, ("write",), "Progress: file", "a stream to write to, such as sys.stdout")
        self.file = file
        self._bar = None

    def on_train_begin(self, trainer):
        self._steps = trainer.epochs * trainer.steps_per_epoch

    def on_epoch_begin(self, trainer):
        self._epoch_started = perf_counter()
        file = self._stream()
        if file is not None and hasattr(file, "isatty") and file.isatty():
            self._bar = tqdm(total=trainer.steps_per_epoch, desc=f"epoch {trainer.epoch}/{trainer.epochs}",
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

    def _stream(self):
        return sys.stderr if self.file is None else self.file

    def _print(self, text):
        if self._stream() is not None:  # print would take that for sys.stdout
            print(text, file=self._stream(), flush=hasattr(self._stream(), "flush"))

    def __getstate__(self):
        """The bar belongs to the training under way; the program's own streams are known by name."""
        state = {**vars(self), "_bar": None}
        for name in ("stdout", "stderr"):
            if self.file is not None and self.file is getattr(sys, name):
                state["file"] = _Standard(name)
        return state

    def __setstate__(self, state):
        vars(self).update(state)
        if isinstance(self.file, _Standard):
            self.file = getattr(sys, self.file)

    def __deepcopy__(self, memo):
        memo[id(self)] = other = type(self).__new__(type(self))
        memo[id(self.file)] = self.file
        other.__setstate__(deepcopy(self.__getstate__(), memo))
        return other

    def __repr__(self):
        return "Progress()" if self.file is None else f"Progress({arguments.shown(self.file)})"


class _Standard(str):
    """The name of a stream of the program, "stdout" or "stderr", in a pickle."""


class JsonLines(Callback):
    """Writes each row of the history to the file `path` as it is made: one JSON object a line.

    A file of that name is emptied when training begins; a line that cannot be written whole is not there at all. JSON
    knows no NaN and no infinity: they become null. OSError where the file cannot be written.
    """

    def __init__(self, path):
        self.path = arguments.path(path, "JsonLines: path")

    def on_train_begin(self, trainer):
        with writing.whole(self.path, "JsonLines"):
            pass

    def on_epoch_end(self, trainer):
        row = {name: None if isinstance(value, Real) and not isfinite(value) else value
               for name, value in trainer.history.rows[-1].items()}
        writing.append(self.path, (json.dumps(row, allow_nan=False, default=_for_json) + "\n").encode(), "JsonLines")

    def __repr__(self):
        return f"JsonLines({self.path!r})"


def _for_json(value):
    """NumPy's numbers and arrays as Python's, anything else in a few words."""
    return value.tolist() if hasattr(value, "tolist") else arguments.shown(value)


class _Best(Callback):
    """Knows after each epoch whether a column of the history, `monitor`, has become better than ever before."""

    wants_weights = True

    def __init__(self, monitor, min_delta=0.0):
        who = type(self).__name__
        self.monitor = arguments.text(monitor, f"{who}: monitor")
        self.min_delta = arguments.number(min_delta, f"{who}: min_delta", 0)
        self.best = self.best_epoch = None
        self._lower = True

    def on_train_begin(self, trainer):
        column = self.monitor.removeprefix("val_")
        if column not in ("loss", "accuracy", *trainer.metrics):
            raise ValueError(f"{type(self).__name__}: monitor must be 'loss', 'accuracy' or the name of one of the "
                             f"Trainer's metrics, with or without val_ before it, got {arguments.shown(self.monitor)}")
        self._lower = column == "loss" or column in trainer.metrics and trainer.metrics[column].lower
        if self.monitor.startswith("val_") and trainer.validation is None:
            raise ValueError(f"{type(self).__name__}: watches {self.monitor}, but fit was given no validation; give it "
                             f"some, or monitor={self.monitor.removeprefix('val_')!r}")
        self.best = self.best_epoch = None

    def improved(self, trainer):
        value = self.measured(trainer)
        if value is None:
            return False
        better = value == value if self.best is None else self.better(value)    # the first that is not NaN
        if better:
            self.best, self.best_epoch = value, trainer.epoch
        return better

    def measured(self, trainer):
        """What there is to watch, of the epoch that ends; None where that was interrupted."""
        value = trainer.history.rows[-1][self.monitor]
        if value is None and not trainer.history.interrupted:
            raise ValueError(f"{type(self).__name__}: there is no {self.monitor}, because the labels are not class "
                             "numbers; watch a loss")
        return value

    def better(self, value):
        """Whether a value is better than `best`."""
        return (self.best - value if self._lower else value - self.best) > self.min_delta


class EarlyStopping(_Best):
    """Stops after `patience` epochs without a better `monitor`, and gives the net its best weights back.

    `monitor` is a column of the history: "loss", "accuracy", the name of one of the Trainer's metrics, or one of these
    with "val_" before it. Better is lower for a loss and higher for an accuracy, and for metrics what they say, by more
    than `min_delta`. The best weights (with the running statistics) are restored whenever training ends. `best` and
    `best_epoch` tell which they were.
    """

    def __init__(self, patience, monitor="val_loss", min_delta=0.0):
        super().__init__(monitor, min_delta)
        self.patience = arguments.integer(patience, "EarlyStopping: patience", 1)
        self._weights = None

    def on_train_begin(self, trainer):
        super().on_train_begin(trainer)
        self._weights = None

    def on_epoch_end(self, trainer):
        if self.improved(trainer):
            self._weights = trainer.measured
        elif trainer.epoch - (self.best_epoch or 0) >= self.patience:
            trainer.stop = True

    def on_train_end(self, trainer):
        if self._weights is not None:
            trainer.net.load_state_dict(self._weights)
            self._weights = None

    def __repr__(self):
        return f"EarlyStopping({self.patience}, monitor={self.monitor!r}, min_delta={self.min_delta:g})"


class SaveBest(_Best):
    """Saves the weights to `path` as `save_weights` does, all or nothing, after each epoch with a better `monitor`."""

    def __init__(self, path, monitor="val_loss"):
        super().__init__(monitor)
        self.path = arguments.path(path, "SaveBest: path")

    def on_train_begin(self, trainer):
        super().on_train_begin(trainer)
        writing.folder(self.path, "SaveBest")

    def on_epoch_end(self, trainer):
        if self.improved(trainer):
            save_state(trainer.measured, self.path, "SaveBest")

    def __repr__(self):
        return f"SaveBest({self.path!r}, monitor={self.monitor!r})"


class ReduceLROnPlateau(_Best):
    """Multiplies the learning rate by `factor` when `monitor` has not become better for more than `patience` epochs.

    Better is lower for a loss and higher for an accuracy: by more than the part `threshold` of the best so far
    (threshold_mode "rel"), or by more than `threshold` ("abs"). After each cut `cooldown` epochs go by in which nothing
    is counted. The rate never falls below `min_lr`, and a change by no more than `eps` is left out. It is the
    optimiser's one rate that changes, so this is no companion for `LearningRateSchedule`: ValueError for both. Names
    and counting are those of PyTorch's ReduceLROnPlateau.
    """

    wants_weights = False

    def __init__(self, monitor="val_loss", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
                 min_lr=0.0, eps=1e-8):
        super().__init__(monitor)
        who = "ReduceLROnPlateau"
        self.factor = arguments.number(factor, f"{who}: factor", 0, below=1)
        self.patience = arguments.integer(patience, f"{who}: patience", 0)
        self.threshold = arguments.number(threshold, f"{who}: threshold", 0)
        self.threshold_mode = arguments.choice(threshold_mode, ("rel", "abs"), f"{who}: threshold_mode")
        self.cooldown = arguments.integer(cooldown, f"{who}: cooldown", 0)
        self.min_lr = arguments.number(min_lr, f"{who}: min_lr", 0)
        self.eps = arguments.number(eps, f"{who}: eps", 0)
        self._bad = self._cooling = 0

    def on_train_begin(self, trainer):
        super().on_train_begin(trainer)
        if any(isinstance(callback, LearningRateSchedule) for callback in trainer.callbacks):
            raise ValueError("ReduceLROnPlateau: callbacks has a LearningRateSchedule too, which sets the rate anew "
                             "before each step; leave one of them out")
        self._bad = self._cooling = 0

    def better(self, value):
        change = self.threshold if self.threshold_mode == "abs" else self.threshold * self.best
        return value < self.best - change if self._lower else value > self.best + change

    def on_epoch_end(self, trainer):
        if self.measured(trainer) is None:
            return
        self._bad = 0 if self.improved(trainer) else self._bad + 1
        if self._cooling:
            self._cooling, self._bad = self._cooling - 1, 0
        if self._bad > self.patience:
            rate = max(trainer.lr * self.factor, self.min_lr)
            if trainer.lr - rate > self.eps:
                trainer.optimizer.lr = rate
            self._bad, self._cooling = 0, self.cooldown

    def __repr__(self):
        return (f"ReduceLROnPlateau(monitor={self.monitor!r}, factor={self.factor:g}, patience={self.patience}, "
                f"threshold={self.threshold:g}, threshold_mode={self.threshold_mode!r}, cooldown={self.cooldown}, "
                f"min_lr={self.min_lr:g}, eps={self.eps:g})")
