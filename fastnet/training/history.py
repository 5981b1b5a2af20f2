"""What a training leaves behind: one row of numbers an epoch, and one a step."""
from array import array
from math import isnan, nan

import numpy as np

from fastnet import arguments
from fastnet.training.plain import fitting


class Steps:
    """What each update showed, kept in columns: ``history.by_step["loss"]``, a list; ``history.by_step[-1]``, a row.

    A row is a dictionary: step, epoch (both count from 1), lr, loss and accuracy, the loss and accuracy being those
    before that update; lr and accuracy may be None. It has a length and can be iterated, as `fastnet.plot.curves` takes
    it.

    A step takes 40 bytes, in memory and in each checkpoint, which holds all steps so far: 40 MB for a million.
    """

    KINDS = {"step": "q", "epoch": "q", "lr": "d", "loss": "d", "accuracy": "d"}

    def __init__(self, rows=()):
        self._columns = {name: array(kind) for name, kind in self.KINDS.items()}
        for row in rows:
            row = fitting(row, self.KINDS, "History: a row of by_step")
            for name, kind in self.KINDS.items():
                if kind == "q":
                    arguments.integer(row[name], f"History: by_step: {name}", 0, 2**63 - 1)
                elif name == "loss" or row[name] is not None:
                    arguments.number(row[name], f"History: by_step: {name}")
            self.append(**row)

    def append(self, step, epoch, lr, loss, accuracy):
        """Add a row."""
        values = step, epoch, nan if lr is None else lr, loss, nan if accuracy is None else accuracy
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)

    def __len__(self):
        return len(self._columns["step"])

    def __getitem__(self, key):
        if isinstance(key, str):
            if key not in self.KINDS:
                raise KeyError(f"Steps: there is no column {key!r}; there are {', '.join(self.KINDS)}")
            return [None if isnan(value) else value for value in self._columns[key]]
        if isinstance(key, slice):
            return [self[i] for i in range(len(self))[key]]
        place = arguments.integer(key, "Steps: a step's place, where it is not a column's name or a slice,")
        if not -len(self) <= place < len(self):
            raise IndexError(f"Steps: there is no row {arguments.shown(place)} among {len(self)}")
        return {name: None if isnan(column[place]) else column[place] for name, column in self._columns.items()}

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def state_dict(self):
        """The columns, as arrays."""
        return {name: np.array(column) for name, column in self._columns.items()}

    def load_state_dict(self, state, name):
        """Take over a copy; TypeError or ValueError, which `name` begins, where it does not fit."""
        state = fitting(state, self.KINDS, name)
        if len({np.shape(column) for column in state.values()}) > 1:
            raise ValueError(f"{name} must have columns of one length")
        for key, column in state.items():
            column = arguments.values(column, f"{name}[{key!r}]")
            if column.ndim != 1:
                raise ValueError(f"{name}[{key!r}] must be a row of numbers, got {arguments.shown(column)}")
            self._columns[key] = array(self.KINDS[key], column.tolist())

    def __repr__(self):
        return f"Steps({len(self)} steps)"


class History:
    """Rows, one dictionary an epoch: ``history[-1]["loss"]``; ``history["loss"]`` is that column as a list.

    A history is the sequence of its rows: it has a length, can be iterated, and a slice of it is a History.

    epoch           counts from 1
    steps           updates made since training began
    lr              learning rate of the last update; None of an optimiser that has no `lr`
    loss, accuracy  of all images of this epoch, each taken before the update it led to, as `evaluate` counts them
    val_loss, val_accuracy  after the epoch, over the validation batches
    seconds, images_per_second  of the training part of this epoch
    memory          what the process holds of the machine's memory, in MiB

    and each metric of the Trainer by its name, of this epoch and, with "val_" before it, of validation.

    What does not exist, such as the accuracy of a regression or validation that was not asked for, is None.
    `by_step` has a row for each update, see `Steps`. `interrupted` is True where Ctrl-C or SIGTERM ended training; the
    last row may then tell of a part of an epoch.
    KeyError for a column that no row has, IndexError for an epoch that is not there.

    >>> history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> history["loss"], history[-1]["epoch"]
    ([0.5, 0.25], 2)
    """

    def __init__(self, rows=(), interrupted=False, by_step=()):
        self.rows = arguments.listed(rows, "History: rows", "dictionaries, one an epoch")
        for row in self.rows:
            arguments.instance(row, dict, "History: rows", "dictionaries, one an epoch")
        self.interrupted = arguments.flag(interrupted, "History: interrupted")
        self.by_step = Steps(arguments.listed(by_step, "History: by_step", "rows, one a step"))

    def __getitem__(self, key):
        if isinstance(key, str):
            return self._column(key)
        if isinstance(key, slice):
            chosen = range(len(self.rows))[key]
            last, rows = len(self.rows) - 1, [self.rows[i] for i in chosen]
            epochs = {row.get("epoch") for row in rows}
            return History(rows, self.interrupted and last in chosen,
                           [row for row in self.by_step if row["epoch"] in epochs])
        place = arguments.integer(key, "History: an epoch's place, where it is not a column's name or a slice,")
        if not -len(self.rows) <= place < len(self.rows):
            raise IndexError(f"History: there is no row {arguments.shown(place)} among {len(self.rows)}")
        return self.rows[place]

    def _column(self, name):
        if self.rows and not any(name in row for row in self.rows):
            raise KeyError(f"History: there is no column {name!r}; there are {', '.join(self.rows[0])}")
        return [row.get(name) for row in self.rows]

    def state_dict(self):
        """The rows as columns, and those of steps; what a row has not is None there."""
        names = list({name: None for row in self.rows for name in row})
        return {"rows": len(self.rows), "columns": {name: self._column(name) for name in names},
                "by_step": self.by_step.state_dict()}

    def load_state_dict(self, state):
        """Take over a copy of the rows of another one. TypeError or ValueError where it does not fit; nothing is
        changed then."""
        name = "History.load_state_dict: state"
        state = fitting(state, ("rows", "columns", "by_step"), name)
        count = arguments.integer(state["rows"], f"{name}['rows']", 0)
        columns = arguments.mapping(state["columns"], f"{name}['columns']", "lists by name")
        if count and not columns:
            raise ValueError(f"{name}['columns'] must be lists of {count} values, got none")
        for key, column in columns.items():
            if not isinstance(column, list) or len(column) != count:
                raise ValueError(f"{name}['columns'] must be lists of {count} values, got {arguments.shown(column)} "
                                 f"for {key!r}")
        by_step = Steps()
        by_step.load_state_dict(state["by_step"], f"{name}['by_step']")
        self.rows = [{key: column[i] for key, column in columns.items()} for i in range(count)]
        self.by_step = by_step

    def __iter__(self):
        return iter(self.rows)

    def __len__(self):
        return len(self.rows)

    def __repr__(self):
        end = ", interrupted" if self.interrupted else ""
        return "\n".join([f"History({len(self.rows)} epochs{end})", *map(describe, self.rows)])


# How the columns that are there are written: those of any metric behind the first two, in this order.
_FORMS = {"loss": "loss {:.4f}", "accuracy": "accuracy {:.4f}", "val_loss": "val loss {:.4f}",
          "val_accuracy": "val accuracy {:.4f}", "lr": "lr {:.3g}", "images_per_second": "{:.0f} images/s",
          "seconds": "{:.1f} s", "memory": "{:.0f} MiB"}
_NOT_TOLD = {"epoch", "steps"}


def describe(row):
    """A row as one line to read."""
    forms = {**_FORMS}
    for name, value in row.items():
        if name not in forms and name not in _NOT_TOLD and isinstance(value, float):
            forms[name] = f"{name.replace('val_', 'val ', 1) if name.startswith('val_') else name} {{:.4f}}"
    places = {name: place for place, name in enumerate((
        "loss", "accuracy", None, "val_loss", "val_accuracy", "val_", "lr", "images_per_second", "seconds", "memory"))}
    order = sorted(forms, key=lambda name: places.get(name, places["val_" if name.startswith("val_") else None]))
    known = [forms[name].format(row[name]) for name in order if row.get(name) is not None]
    return "  ".join([f"epoch {row.get('epoch', '?'):3}", *known])
