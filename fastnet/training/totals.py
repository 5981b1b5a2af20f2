"""Counting while batches go by."""
from fastnet import arguments
from fastnet.training.plain import fitting


class Totals:
    """Mean loss, accuracy and `metrics`, a dictionary of Metrics, over all that was added so far; None before the
    first, and where there is no accuracy."""

    def __init__(self, metrics=None):
        self.images = 0
        self._loss, self._weight, self._met, self._targets = 0.0, 0.0, 0, 0
        self._metrics = metrics or {}
        self._states = {name: metric.start() for name, metric in self._metrics.items()}

    def add(self, loss, found, images, weight):
        """A mean loss, (how many targets are met, how many there are) or None, how many samples that is of, and what
        they weigh in the mean; None for a sum, to be added to the others."""
        self.images += images
        self._loss += float(loss) * (1.0 if weight is None else weight)
        self._weight = 1.0 if weight is None else self._weight + weight
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
        return {"images": self.images, "loss": self._loss, "weight": self._weight, "met": self._met,
                "targets": self._targets, "metrics": dict(self._states)}

    def load_state_dict(self, state, name):
        """Go on with these sums; TypeError or ValueError, which `name` begins, where they do not fit."""
        state = fitting(state, ("images", "loss", "weight", "met", "targets", "metrics"), name)
        images, targets = (arguments.integer(state[key], f"{name}[{key!r}]", 0) for key in ("images", "targets"))
        for key in ("loss", "weight"):
            arguments.instance(state[key], float, f"{name}[{key!r}]", "a number")
        met = None if state["met"] is None else arguments.integer(state["met"], f"{name}['met']", 0)
        states = fitting(state["metrics"], self._metrics, f"{name}['metrics']")
        self.images, self._loss, self._weight = images, state["loss"], state["weight"]
        self._met, self._targets, self._states = met, targets, states

    @property
    def loss(self):
        return self._loss / (self._weight or 1) if self.images else None

    @property
    def accuracy(self):
        return self._met / self._targets if self._targets and self._met is not None else None

    @property
    def metrics(self):
        """{name: number} of the metrics; None before the first batch."""
        return {name: metric.number(self._states[name], repr(name)) if self.images else None
                for name, metric in self._metrics.items()}


class Group:
    """The batches whose gradients make one step: the sums of what they gave, each weighted with what the loss's mean
    divides by, such as the number of samples.

    The mean of the gradients so weighted is that of one large batch; where the loss is a sum, they are added up.
    """

    def __init__(self):
        self.batches = self.images = self.weight = 0
        self.found = 0, 0
        self._loss, self._gradients = 0.0, {}

    def add(self, loss, found, images, weight):
        """One batch: its mean loss, (how many targets are met, how many there are) or None, its size and weight,
        None for a sum."""
        self.batches += 1
        self.images += images
        self._loss += loss * (1.0 if weight is None else weight)
        self.weight = None if weight is None else self.weight + weight
        if found is None or self.found is None:
            self.found = None
        else:
            self.found = self.found[0] + found[0], self.found[1] + found[1]

    def gather(self, named_parameters, weight):
        """Take the gradients of that batch."""
        for name, parameter in named_parameters:
            if parameter.grad is not None:
                factor = 1 if weight is None else weight
                before, more = self._gradients.get(name), parameter.grad * parameter.grad.dtype.type(factor)
                self._gradients[name] = more if before is None else before + more

    def give(self, named_parameters):
        """Assign the parameters the mean of the gradients that were taken."""
        for name, parameter in named_parameters:
            if name in self._gradients:
                sum_ = self._gradients[name]
                parameter.grad = sum_ / sum_.dtype.type(self.weight or 1)

    @property
    def loss(self):
        return self._loss / (self.weight or 1)

    @property
    def accuracy(self):
        met, targets = self.found or (0, 0)
        return met / targets if targets else None
