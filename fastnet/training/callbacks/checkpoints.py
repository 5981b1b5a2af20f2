"""Checkpoints: files from which a training goes on as if it had never stopped."""
import os
from time import perf_counter

from fastnet import arguments
from fastnet.files.checkpoints import Checkpoints
from fastnet.training.callbacks.best import Best


class SaveCheckpoints(Best):
    """Writes ``trainer.state_dict()`` to a file in `folder` now and then; ``trainer.fit(..., resume=folder)`` goes on
    from the newest one, with the same bits as if nothing had happened.

    every_steps, every_epochs, every_seconds : after so many updates, epochs or, at the end of a step, seconds; None
        leaves one out. Any of them that is due writes one.
    keep : how many of the last ones are kept, beside the best
    monitor : the column of the history that tells which is the best, see `EarlyStopping`; None is "val_loss", or "loss"
        where there is no validation. An epoch that is the best so far is written in any case.

    Where Ctrl-C or SIGTERM ends training, one is written once the step that was running is whole. A file is whole or
    not there at all. The folder is made where there is none. This callback comes after all others, wherever it stands.
    ValueError where the folder holds checkpoints of another training; OSError where the system fails; TypeError where
    a callback has a state that no file can hold.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(),
    ...                           fastnet.SGD(net.parameters(), 0.1), [SaveCheckpoints(folder)])
    >>> history = trainer.fit((x, x[:, :1]), 3)
    >>> trainer = fastnet.Trainer(net, trainer.loss_function, trainer.optimizer, [SaveCheckpoints(folder)])
    >>> len(trainer.fit((x, x[:, :1]), 5, resume=folder))      # two more
    5
    """

    comes_last, wants_weights, state_names = True, False, ()

    def __init__(self, folder, every_steps=None, every_epochs=1, every_seconds=None, keep=3, monitor=None):
        who = "SaveCheckpoints"
        super().__init__("val_loss" if monitor is None else monitor)
        self._chosen = monitor is not None
        self.folder = arguments.path(folder, f"{who}: folder")
        self.every_steps = None if every_steps is None else arguments.integer(every_steps, f"{who}: every_steps", 1)
        self.every_epochs = None if every_epochs is None else arguments.integer(every_epochs, f"{who}: every_epochs", 1)
        self.every_seconds = None if every_seconds is None else arguments.number(every_seconds, f"{who}: every_seconds",
                                                                                 above=0)
        self.keep = arguments.integer(keep, f"{who}: keep", 1)
        self._saved_at, self._saved_step = 0.0, None     # when one was written; the step where nothing is to be saved

    def on_train_begin(self, trainer):
        if not self._chosen:
            self.monitor = "loss" if trainer.validation is None else "val_loss"
        super().on_train_begin(trainer)
        self.begin()
        for row in trainer.history:     # a state of its own would be one that must fit
            if row.get(self.monitor) is not None:
                self.see(row[self.monitor], row["epoch"])
        if trainer.step == 0:
            there = Checkpoints(self.folder, self.keep).latest()[1]
            if there is not None:
                raise ValueError(f"SaveCheckpoints: folder {self.folder} holds checkpoints of another training, the "
                                 f"last is {os.path.basename(there)}: go on from it, fit(..., resume={self.folder!r}), "
                                 "or give another folder")
        self._saved_at, self._saved_step = perf_counter(), trainer.step

    def on_step_end(self, trainer):
        by_steps = self.every_steps is not None and trainer.step % self.every_steps == 0
        if by_steps or self.every_seconds is not None and perf_counter() - self._saved_at >= self.every_seconds:
            self._save(trainer)

    def on_interrupt(self, trainer):
        if trainer.step != self._saved_step:
            self._save(trainer)

    def on_epoch_end(self, trainer):
        if trainer.history.interrupted:
            return      # what on_interrupt has written stands in the midst of the epoch, and is the one to go on from
        best = self.improved(trainer)
        if best or self.every_epochs is not None and trainer.epoch % self.every_epochs == 0:
            self._save(trainer, best)
            self._saved_step = trainer.step

    def _save(self, trainer, best=False):
        Checkpoints(self.folder, self.keep).save(trainer.state_dict(), trainer.step, best)
        self._saved_at = perf_counter()

    def __repr__(self):
        return (f"SaveCheckpoints({self.folder!r}, every_steps={self.every_steps}, every_epochs={self.every_epochs}, "
                f"every_seconds={self.every_seconds}, keep={self.keep}, monitor={self.monitor!r})")
