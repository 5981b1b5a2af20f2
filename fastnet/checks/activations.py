"""What the units of a net do: those that are dead, those that are saturated, and how large their outputs are."""
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.checks.common import checked_net
from fastnet.columns import table
from fastnet.layers import Activation
from fastnet.program import trees
from fastnet.program.inside import activations
from fastnet.training import Callback

_HEAD = ("layer", "output shape", "mean", "deviation", "units", "dead", "saturated", "")
# Between what these have their outputs.
_BOUNDS = {"Sigmoid": (0, 1), "Hardsigmoid": (0, 1), "Tanh": (-1, 1), "Softsign": (-1, 1)}
_MANY = 0.5     # the share of dead units, and of saturated outputs, from which on a layer is said to have many


class ActivationRow(NamedTuple):
    """The outputs of one layer."""

    layer: str
    shape: tuple
    mean: float
    deviation: float
    units: int          # places on axis 1: features, or channels
    dead: int           # units whose output is the same number for all samples and pixels
    saturated: float    # share of the outputs within a hundredth of a bound, None where the layer has no bounds
    bends: bool         # whether it is an activation

    def verdict(self):
        words = []
        if not np.isfinite(self.mean):
            words.append("NOT FINITE")
        if self.dead > _MANY * self.units:
            words.append("MOST UNITS DEAD")
        if self.saturated is not None and self.saturated > _MANY:
            words.append("SATURATED")
        return ", ".join(words)


class ActivationReport:
    """`rows`, one for each layer that holds no others, in the order of the pass; `dead`, the share of the activations'
    units (of all, where the net has none) that are dead, and `saturated`, that of outputs of bounded activations near a
    bound (None without any); `passed`, whether no layer is remarkable. It prints as a table.

    >>> report = activation_report(fastnet.Sequential(fastnet.ReLU()), np.float32([[1, -1], [2, -2]]))
    >>> isinstance(report, ActivationReport) and len(report.rows)
    1
    """

    def __init__(self, rows):
        self.rows = rows

    @property
    def dead(self):
        rows = [row for row in self.rows if row.bends] or self.rows
        return sum(row.dead for row in rows) / max(sum(row.units for row in rows), 1)

    @property
    def saturated(self):
        shares = [row.saturated for row in self.rows if row.saturated is not None]
        return sum(shares) / len(shares) if shares else None

    @property
    def passed(self):
        return not any(row.verdict() for row in self.rows)

    def __str__(self):
        rows = [(row.layer, str(row.shape), f"{row.mean:.3g}", f"{row.deviation:.3g}", str(row.units), str(row.dead),
                 "" if row.saturated is None else f"{row.saturated:.0%}", row.verdict()) for row in self.rows]
        return table(_HEAD, rows, words=2, remarks=True)

    __repr__ = __str__


def activation_report(net, x):
    """The `ActivationReport` of a net at inference: for each layer mean and deviation of its outputs, how many of its
    units are dead, the same number for all samples and pixels of x as those of a ReLU that never opens, and which share
    of the outputs of a sigmoid or tanh is saturated, within a hundredth of the range from a bound, where next to no
    gradient comes through.

    A unit is a place on axis 1 of the output: a feature of (N, F), a channel of (N, C, H, W). Give some hundred
    samples: few do not tell who is dead. The net stays as it is. TypeError or ValueError for what is no net, or no x
    of its.

    >>> net = fastnet.Sequential(fastnet.ReLU())
    >>> report = activation_report(net, np.float32([[1, -1], [2, -2]]))
    >>> [(row.layer, row.dead) for row in report.rows]
    [('ReLU "0"', 1)]
    """
    who = "activation_report"
    layers = dict(checked_net(net, who).named_layers())
    try:
        found = activations(net, x)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{who}: net(x): {error}") from error
    return ActivationReport([_row(layers[path], array) for path, tree in found.items()
                             for array in trees.flat(tree) if array.dtype.kind == "f"])


def _row(layer, array):
    wide = np.asarray(array, np.float64)
    units = array.shape[1] if array.ndim > 1 else 1
    columns = np.moveaxis(array, 1, 0).reshape(units, -1) if array.ndim > 1 else array.reshape(1, -1)
    dead = int((columns.max(axis=1) == columns.min(axis=1)).sum()) if columns.shape[1] > 1 else 0
    return ActivationRow(layer.label, array.shape, float(wide.mean()), float(wide.std()), units, dead,
                         _saturated(layer, wide), isinstance(layer, Activation))


def _saturated(layer, array):
    name = type(layer).__name__
    bounds = (layer.min_val, layer.max_val) if name == "Hardtanh" else _BOUNDS.get(name)
    if bounds is None:
        return None
    near = (bounds[1] - bounds[0]) / 100
    return float(((array < bounds[0] + near) | (array > bounds[1] - near)).mean())


class ActivationMonitor(Callback):
    """Looks at the units of the net after each epoch, or each `every`-th: ``Trainer(...,
    [ActivationMonitor(x[:500])])``.

    `x` are the samples that it looks with. The history gets the columns "dead" and, where there are bounded
    activations, "saturated", see `ActivationReport`; `reports` keeps the whole report of each time by its epoch, 0
    being that of the start. Put it before callbacks that write the rows.

    >>> net, x = fastnet.Linear(2, 1), np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [ActivationMonitor(x)])
    >>> history = trainer.fit((x, x[:, :1]), 1)
    >>> history[0]["dead"]
    0.0
    """

    def __init__(self, x, every=1):
        trees.check(x, "ActivationMonitor: x")
        self.x = trees.map(lambda one: arguments.array(one, "ActivationMonitor: x"), x)
        self.every = arguments.integer(every, "ActivationMonitor: every", 1)
        self.reports = {}

    def on_train_begin(self, trainer):
        if trainer.epoch == 0:
            self.reports = {0: activation_report(trainer.net, self.x)}     # refuses an x that is none of the net's

    def on_epoch_end(self, trainer):
        if trainer.epoch % self.every == 0:
            report = self.reports[trainer.epoch] = activation_report(trainer.net, self.x)
            row = trainer.history.rows[-1]
            row["dead"] = report.dead
            if report.saturated is not None:
                row["saturated"] = report.saturated

    def __repr__(self):
        return f"ActivationMonitor({arguments.shown(self.x)}, every={self.every})"
