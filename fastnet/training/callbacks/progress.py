"""Telling how training goes."""
import sys
from copy import deepcopy
from time import perf_counter

from tqdm import tqdm

from fastnet import arguments
from fastnet.training.callbacks.base import Callback
from fastnet.training.history import describe


class Progress(Callback):
    """Tells how training goes: mean loss and accuracy of the epoch so far, images per second, time left.

    In a terminal a bar moves while an epoch runs; a line an epoch, with all metrics, stays. In a log file or a notebook
    there is no bar, and within an epoch a line each `every` seconds.
    `file` is the stream to write to, sys.stderr where it is None; where there is none either, as in a program without a
    console, nothing is told. A copy writes to the same stream.

    >>> import io
    >>> told = io.StringIO()
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [Progress(told)])
    >>> history = trainer.fit((x, x[:, :1]), 2)
    >>> told.getvalue().count("epoch")
    2
    """

    def __init__(self, file=None, every=30.0):
        if file is not None:
            arguments.having(file, ("write",), "Progress: file", "a stream to write to, such as sys.stdout")
        self.file, self.every = file, arguments.number(every, "Progress: every", above=0)
        self._bar = None

    def on_train_begin(self, trainer):
        self._first, self._since, self._told = trainer.step + 1, None, perf_counter()

    def on_epoch_begin(self, trainer):
        self._epoch_started, self._images = perf_counter(), trainer.totals.images
        file = self._stream()
        if file is not None and hasattr(file, "isatty") and file.isatty():
            total = trainer.steps_per_epoch
            self._bar = tqdm(total=total, desc=f"epoch {trainer.epoch}/{trainer.epochs}", file=file, leave=False,
                             initial=trainer.steps_done, dynamic_ncols=True,
                             bar_format="{desc} {bar} {n_fmt}" + "/{total_fmt}" * (total is not None) + "{postfix}")

    def on_step_end(self, trainer):
        now = perf_counter()
        if trainer.step == self._first:
            self._since = now
        if self._bar is None:
            if now - self._told >= self.every:
                steps = "" if trainer.steps_per_epoch is None else f" of {trainer.steps_per_epoch}"
                self._print(f"epoch {trainer.epoch:3}  step {trainer.steps_done}{steps}  " + "  ".join(
                    self._figures(trainer, now)))
            return
        self._bar.set_postfix_str(", ".join(self._figures(trainer, now)), refresh=False)
        self._bar.update()

    def on_epoch_end(self, trainer):
        self._close()
        self._print("  ".join([describe(trainer.history.rows[-1]), *self._left(trainer)]))

    def on_train_end(self, trainer):
        self._close()
        if trainer.history.interrupted:
            self._print(f"interrupted in epoch {trainer.epoch} of {trainer.epochs}, after {trainer.step} steps")
        elif trainer.stop:
            self._print(f"stopped after epoch {trainer.epoch} of {trainer.epochs}")

    def _figures(self, trainer, now):
        """What there is to tell within an epoch."""
        totals = trainer.totals
        return [f"loss {totals.loss:.4f}",
                *([] if totals.accuracy is None else [f"accuracy {totals.accuracy:.4f}"]),
                f"{(totals.images - self._images) / (now - self._epoch_started):.0f} images/s", *self._left(trainer)]

    def _left(self, trainer):
        """The time that the steps to come take if they go like those so far, validation included: a list of one text,
        or of none where nobody knows how many there are.

        The first does not count, because it may have compiled kernels.
        """
        if trainer.steps_per_epoch is None:
            return []
        made = trainer.step - self._first
        if made < 1:
            return ["? left"]
        steps = (trainer.epochs - trainer.epoch + 1) * trainer.steps_per_epoch - trainer.steps_done
        return [f"{tqdm.format_interval((perf_counter() - self._since) / made * steps)} left"]

    def _close(self):
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _stream(self):
        return sys.stderr if self.file is None else self.file

    def _print(self, text):
        self._told = perf_counter()
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
        given = [] if self.file is None else [arguments.shown(self.file)]
        return f"Progress({', '.join(given + [f'every={self.every:g}'] * (self.every != 30))})"


class _Standard(str):
    """The name of a stream of the program, "stdout" or "stderr", in a pickle."""
