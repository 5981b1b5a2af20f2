"""How large updates are, beside the weights that they change."""
import numpy as np

from fastnet import arguments
from fastnet.checks.common import size_of
from fastnet.columns import table
from fastnet.training import Callback

_HEAD = ("parameter", "first", "last", "median")
_LOW, _HIGH = 1e-5, 1e-2    # a hundredth of, and ten times, what is usual


class UpdateRatios(Callback):
    """Measures |change of w| / |w| of each parameter in each `every`-th step: about 1e-3 where the learning rate is
    right. Much more, and it is too high; much less, and it is too low.

    The history gets the column "update_ratio", the median over parameters and steps of the epoch; `steps` holds the
    updates that were measured, counted from 1, and `ratios` {parameter's name: its ratio in each of them}. It prints as
    a table with a verdict. Parameters that begin at zero, as biases do, and frozen ones are left out. Each measured
    step costs a copy of the weights. Put it before callbacks that write the rows.

    >>> ratios = UpdateRatios(every=1)
    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [ratios])
    >>> history = trainer.fit((x, x[:, :1]), 1)
    >>> history[0]["update_ratio"] > 0
    True
    """

    state_names = ("steps", "ratios", "told")

    def __init__(self, every=1):
        self.every = arguments.integer(every, "UpdateRatios: every", 1)
        self.steps, self.ratios, self._before = [], {}, None
        self.told = 0   # measured steps that the history knows of

    def on_train_begin(self, trainer):
        self._before = None
        if trainer.epoch == 0:
            self.steps, self.told = [], 0
            self.ratios = {name: [] for name, parameter in trainer.net.named_parameters()
                           if parameter.requires_grad and parameter.value.any()}

    def on_gradients(self, trainer):
        self._before = None
        if (trainer.step + 1) % self.every == 0:
            self._before = {name: parameter.value.copy() for name, parameter in trainer.net.named_parameters()
                            if name in self.ratios}

    def on_step_end(self, trainer):
        if self._before is None:
            return
        values = dict(trainer.net.named_parameters())
        for name, before in self._before.items():
            change = values[name].value.astype(np.float64) - before
            self.ratios[name].append(size_of(change) / max(size_of(before), 1e-30))
        self.steps.append(trainer.step)
        self._before = None

    def on_epoch_end(self, trainer):
        latest = [ratio for ratios in self.ratios.values() for ratio in ratios[self.told:]]
        trainer.history.rows[-1]["update_ratio"] = float(np.median(latest)) if latest else None
        self.told = len(self.steps)

    def verdict(self):
        """What the median over all parameters and steps says, in words."""
        found = [ratio for ratios in self.ratios.values() for ratio in ratios]
        if not found:
            return "nothing was measured"
        median = float(np.median(found))
        said = "too high: lower the learning rate" if median > _HIGH else \
            "too low: raise the learning rate" if median < _LOW else "right"
        return f"median {median:.1e}, {said} (about 1e-3 is usual)"

    def __str__(self):
        rows = [(name, f"{ratios[0]:.1e}", f"{ratios[-1]:.1e}", f"{np.median(ratios):.1e}")
                for name, ratios in self.ratios.items() if ratios]
        return f"{table(_HEAD, rows)}\n{self.verdict()}" if rows else self.verdict()

    def __repr__(self):
        return f"UpdateRatios(every={self.every})"
