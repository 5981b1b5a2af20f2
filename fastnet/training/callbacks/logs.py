"""Files that tell of a training while it runs: lines of JSON or CSV, a folder for TensorBoard, a picture."""
import csv
import io
import json
from math import isfinite
from numbers import Real

from fastnet import arguments, plot, writing
from fastnet.training.callbacks.base import Callback


class _Lines(Callback):
    """Writes each row of the history to the file `path` as it is made. When training begins, or goes on, the file is
    written anew with the rows that there are: none at first."""

    def __init__(self, path):
        self.path = arguments.path(path, f"{type(self).__name__}: path")

    def on_train_begin(self, trainer):
        self.rewrite(trainer.history.rows)

    def on_epoch_end(self, trainer):
        writing.append(self.path, self.line(trainer.history.rows[-1]), type(self).__name__)

    def rewrite(self, rows):
        """Make the file these rows."""
        with writing.whole(self.path, type(self).__name__) as file:
            file.write(b"".join([self.line(row) for row in rows]))

    def line(self, row):
        """A row as bytes."""
        raise NotImplementedError(f"{type(self).__name__} defines no line")

    def __repr__(self):
        return f"{type(self).__name__}({self.path!r})"


class JsonLines(_Lines):
    """Writes each row of the history to the file `path` as it is made: one JSON object a line.

    A file of that name is emptied when training begins, and holds the rows so far when a Trainer goes on. A line that
    cannot be written whole is not there at all. JSON knows no NaN and no infinity: they become null. OSError where the
    file cannot be written.

    >>> import tempfile
    >>> log = tempfile.mkdtemp() + "/log.jsonl"
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [JsonLines(log)])
    >>> history = trainer.fit((x, x[:, :1]), 2)
    >>> with open(log) as file:
    ...     len(file.readlines())
    2
    """

    def line(self, row):
        row = {name: None if isinstance(value, Real) and not isfinite(value) else value for name, value in row.items()}
        return (json.dumps(row, allow_nan=False, default=_for_json) + "\n").encode()


class CsvLines(_Lines):
    """Writes each row of the history to the file `path` as it is made: a line of names, then one line an epoch, as
    spreadsheets and ``pandas.read_csv`` take them. What does not exist is an empty cell.

    A file of that name is emptied when training begins, and holds the rows so far when a Trainer goes on; it is written
    anew too where a row has a column that those before had not. OSError where the file cannot be written.

    >>> import tempfile
    >>> log = tempfile.mkdtemp() + "/log.csv"
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [CsvLines(log)])
    >>> history = trainer.fit((x, x[:, :1]), 2)
    >>> with open(log) as file:
    ...     len(file.readlines())      # with the head
    3
    """

    def __init__(self, path):
        super().__init__(path)
        self._columns = []

    def on_epoch_end(self, trainer):
        if set(trainer.history.rows[-1]) <= set(self._columns):
            super().on_epoch_end(trainer)
        else:
            self.rewrite(trainer.history.rows)

    def rewrite(self, rows):
        self._columns = list({name: None for row in rows for name in row})
        head = {name: name for name in self._columns}
        super().rewrite([head, *rows] if rows else [])

    def line(self, row):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow([row.get(name) for name in self._columns])
        return text.getvalue().encode()


def _for_json(value):
    """NumPy's numbers and arrays as Python's, anything else in a few words."""
    return value.tolist() if hasattr(value, "tolist") else arguments.shown(value)


class TensorBoard(Callback):
    """Writes curves to `folder` for TensorBoard: the loss and the rate of every `every`-th step, and after each epoch
    all numbers of its row, against the number of updates. ``tensorboard --logdir folder`` shows them.

    Where a Trainer goes on, so do the curves. It needs tensorboardX: ``pip install "fastnet-numba[tensorboard]"``,
    ImportError without it. OSError where the folder cannot be written.

    >>> TensorBoard("runs/first", every=10)
    TensorBoard('runs/first', every=10)
    """

    def __init__(self, folder, every=1):
        self.folder = arguments.path(folder, "TensorBoard: folder")
        self.every = arguments.integer(every, "TensorBoard: every", 1)
        self._writer = None

    def on_train_begin(self, trainer):
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError('TensorBoard needs tensorboardX, which is not installed: pip install '
                              '"fastnet-numba[tensorboard]"') from error
        again = {"purge_step": trainer.step + 1} if trainer.step else {}    # what a resumed training makes once more
        # Files are named by the second; those of two fits within one would be the same.
        self._writer = SummaryWriter(self.folder, filename_suffix=f".{trainer.step}", **again)

    def on_step_end(self, trainer):
        if trainer.step % self.every == 0:
            self._writer.add_scalar("step/loss", trainer.loss, trainer.step)
            if trainer.lr is not None:
                self._writer.add_scalar("step/lr", trainer.lr, trainer.step)

    def on_epoch_end(self, trainer):
        for name, value in trainer.history.rows[-1].items():
            if isinstance(value, Real):
                self._writer.add_scalar(f"epoch/{name}", value, trainer.step)
        self._writer.flush()

    def on_train_end(self, trainer):
        self._writer.close()
        self._writer = None

    def __getstate__(self):
        return {**vars(self), "_writer": None}  # its file belongs to the training under way

    def __repr__(self):
        return f"TensorBoard({self.folder!r}, every={self.every})"


class SaveCurves(Callback):
    """Draws curves of the history into the picture `path` (.png, .svg or .pdf) after each epoch, all or nothing: one
    panel for each of `keys`, with the column of validation, "val_" before it, where there is one.

    keys : columns of the history, such as ("loss", "accuracy"); those without a value are left out
    It needs matplotlib: ``pip install "fastnet-numba[plot]"``, ImportError without it. OSError where the file cannot be
    written.

    >>> SaveCurves("curves.png", ["loss"])
    SaveCurves('curves.png', keys=('loss',))
    """

    def __init__(self, path, keys=("loss", "accuracy", "lr")):
        self.path = arguments.path(path, "SaveCurves: path")
        self.keys = tuple(arguments.text(key, "SaveCurves: a column in keys")
                          for key in arguments.listed(keys, "SaveCurves: keys", "columns of the history"))
        self._format = self.path.rpartition(".")[2].lower()
        if self._format not in ("png", "svg", "pdf"):
            raise ValueError(f"SaveCurves: path must end with .png, .svg or .pdf, got {arguments.shown(self.path)}")

    def on_train_begin(self, trainer):
        writing.folder(self.path, "SaveCurves")
        _figure(1)

    def on_epoch_end(self, trainer):
        rows = trainer.history.rows
        there = {name for row in rows for name, value in row.items() if value is not None}
        panels = [[name for name in (key, f"val_{key}") if name in there] for key in self.keys]
        panels = [names for names in panels if names]
        if not panels:
            return
        figure = _figure(len(panels))
        for ax, names in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            plot.curves(rows, *names, ax=ax)
        with writing.whole(self.path, "SaveCurves") as file:
            figure.savefig(file, format=self._format)

    def __repr__(self):
        return f"SaveCurves({self.path!r}, keys={self.keys})"


def _figure(panels):
    """A figure that no window shows."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('SaveCurves needs matplotlib, which is not installed: pip install "fastnet-numba[plot]"'
                          ) from error
    return Figure(figsize=(5 * panels, 4), layout="constrained")
