"""What a training leaves behind: one row of numbers an epoch."""
from fastnet import arguments


class History:
    """Rows, one dictionary an epoch: ``history[-1]["loss"]``; ``history["loss"]`` is that column as a list.

    A history is the sequence of its rows: it has a length, can be iterated, and a slice of it is a History.

    epoch           counts from 1
    steps           updates made since training began
    lr              learning rate of the last update
    loss, accuracy  means over the images of this epoch, each taken before the update it led to
    val_loss, val_accuracy  after the epoch, over the validation batches
    seconds, images_per_second  of the training part of this epoch

    and each metric of the Trainer by its name, of this epoch and, with "val_" before it, of validation.

    What does not exist, such as the accuracy of a regression or validation that was not asked for, is None.
    `interrupted` is True where Ctrl-C ended training; the last row may then tell of a part of an epoch.
    KeyError for a column that no row has, IndexError for an epoch that is not there.
    """

    def __init__(self, rows=(), interrupted=False):
        self.rows = arguments.listed(rows, "History: rows", "dictionaries, one an epoch")
        for row in self.rows:
            arguments.instance(row, dict, "History: rows", "dictionaries, one an epoch")
        self.interrupted = arguments.flag(interrupted, "History: interrupted")

    def __getitem__(self, key):
        if isinstance(key, str):
            return self._column(key)
        if isinstance(key, slice):
            chosen = range(len(self.rows))[key]
            last = len(self.rows) - 1
            return History([self.rows[i] for i in chosen], self.interrupted and last in chosen)
        place = arguments.integer(key, "History: an epoch's place, where it is not a column's name or a slice,")
        if not -len(self.rows) <= place < len(self.rows):
            raise IndexError(f"History: there is no row {arguments.shown(place)} among {len(self.rows)}")
        return self.rows[place]

    def _column(self, name):
        if self.rows and not any(name in row for row in self.rows):
            raise KeyError(f"History: there is no column {name!r}; there are {', '.join(self.rows[0])}")
        return [row.get(name) for row in self.rows]

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
          "seconds": "{:.1f} s"}
_NOT_TOLD = {"epoch", "steps"}


def describe(row):
    """A row as one line to read."""
    forms = {**_FORMS}
    for name, value in row.items():
        if name not in forms and name not in _NOT_TOLD and isinstance(value, float):
            forms[name] = f"{name.replace('val_', 'val ', 1) if name.startswith('val_') else name} {{:.4f}}"
    places = {name: place for place, name in enumerate((
        "loss", "accuracy", None, "val_loss", "val_accuracy", "val_", "lr", "images_per_second", "seconds"))}
    order = sorted(forms, key=lambda name: places.get(name, places["val_" if name.startswith("val_") else None]))
    known = [forms[name].format(row[name]) for name in order if row.get(name) is not None]
    return "  ".join([f"epoch {row.get('epoch', '?'):3}", *known])
