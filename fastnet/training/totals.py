"""Counting while batches go by."""
import numpy as np

from fastnet import arguments
from fastnet.training.plain import fitting


class Totals:
    """Mean loss, accuracy and `metrics`, a dictionary of Metrics, over all that was added so far; None before the
    first, and where there is no accuracy."""

    def __init__(self, metrics=None):
        self.images = 0
        self._loss, self._met, self._targets = 0.0, 0, 0
        self._metrics = metrics or {}
        self._states = {name: metric.start() for name, metric in self._metrics.items()}

    def add(self, loss, found, images):
        """A mean loss, (how many targets are met, how many there are) or None, and how many samples that is of."""
        self.images += images
        self._loss += float(loss) * images
        if found is None or self._met is None:
            self._met = None
        else:
            met, targets = found
            self._met, self._targets = self._met + met, self._targets + targets

    def meet(self, outputs, targets):
        """Have the metrics count one batch."""
        for name, metric in self._metrics.items():
            self._states[name] = metric.update(self._states[name], outputs, targets)

    def state_dict(self):
        """The sums so far."""
        return {"images": self.images, "loss": self._loss, "met": self._met, "targets": self._targets,
                "metrics": dict(self._states)}

    def load_state_dict(self, state, name):
        """Go on with these sums; TypeError or ValueError, which `name` begins, where they do not fit."""
        state = fitting(state, ("images", "loss", "met", "targets", "metrics"), name)
        images, targets = (arguments.integer(state[key], f"{name}[{key!r}]", 0) for key in ("images", "targets"))
        arguments.instance(state["loss"], float, f"{name}['loss']", "a number")
        met = None if state["met"] is None else arguments.integer(state["met"], f"{name}['met']", 0)
        states = fitting(state["metrics"], self._metrics, f"{name}['metrics']")
        self.images, self._loss, self._met, self._targets, self._states = images, state["loss"], met, targets, states

    @property
    def loss(self):
        return self._loss / self.images if self.images else None

    @property
    def accuracy(self):
        return self._met / self._targets if self._targets and self._met is not None else None

    @property
    def metrics(self):
        """{name: number} of the metrics; None before the first batch."""
        return {name: metric.result(self._states[name]) if self.images else None
                for name, metric in self._metrics.items()}


class Group:
    """The batches whose gradients make one step: the sums of what they gave, each weighted with its number of samples.

    The mean of the gradients so weighted is that of one large batch, where the loss is a mean over samples.
    """

    def __init__(self):
        self.batches = self.images = 0
        self.found = 0, 0
        self._loss, self._gradients = 0.0, {}

    def add(self, loss, found, images):
        """One batch: its mean loss, (how many targets are met, how many there are) or None, and its size."""
        self.batches += 1
        self.images += images
        self._loss += loss * images
        if found is None or self.found is None:
            self.found = None
        else:
            self.found = tuple(np.add(self.found, found).tolist())

    def gather(self, named_parameters, images):
        """Take the gradients of that batch."""
        for name, parameter in named_parameters:
            if parameter.grad is not None:
                before, more = self._gradients.get(name), parameter.grad * parameter.grad.dtype.type(images)
                self._gradients[name] = more if before is None else before + more

    def give(self, named_parameters):
        """Assign the parameters the mean of the gradients that were taken."""
        for name, parameter in named_parameters:
            if name in self._gradients:
                sum_ = self._gradients[name]
                parameter.grad = sum_ / sum_.dtype.type(self.images)

    @property
    def loss(self):
        return self._loss / self.images

    @property
    def accuracy(self):
        met, targets = self.found or (0, 0)
        return met / targets if targets else None
