"""What all losses share: options that are checked, weights of samples, what a mean divides by."""
import inspect
from typing import NamedTuple

import numpy as np

from fastnet import arguments, habits, kernels
from fastnet.kernels import checks

_CLASSIFYING = ("classes", "yes/no", "probabilities", "signs")


def class_weights(value, name):
    """The rule of an option that is one number of at least 0 for each class, or None."""
    if value is None:
        return None
    value = np.array(arguments.values(value, name), np.float64)
    if value.ndim != 1 or not value.size:
        raise ValueError(f"{name} must be an array of one number for each class, got {arguments.shown(value)}")
    return arguments.not_negative(value, name)


def at_least(least, most=None):
    """The rule of an option that is a number within these bounds, which belong to the range."""
    return lambda value, name: arguments.number(value, name, least, most)


def above(bound):
    """The rule of an option that is a number above that."""
    return lambda value, name: arguments.number(value, name, above=bound)


def one_of(*choices):
    """The rule of an option that is one of these."""
    return lambda value, name: arguments.choice(value, choices, name)


def index_to_ignore(value, name):
    """The rule of ignore_index."""
    return arguments.integer(value, name, -2**63, 2**63 - 1)


class LossValue(NamedTuple):
    """What a loss gives: ``value, gradient = loss(outputs, targets)``."""

    value: float
    gradient: np.ndarray    # for the outputs; with several heads a tuple or dictionary of arrays

    def __getattr__(self, name):
        return habits.look_up(self, name, "what a loss gives, a value and a gradient,", habits.ANSWER)


class Loss:
    """A loss: ``value, gradient = loss(outputs, targets, sample_weight=None)``.

    `task` says what outputs and targets are: "classes" (scores of classes and class numbers), "yes/no" (logits and 0 or
    1), "probabilities" (of 1, and 0 or 1), "signs" (scores and -1 or 1), "numbers", "distributions" or "heads". By that
    a `Trainer` knows how to count what is right, and whether there is anything to count: `classifies`.

    Options are attributes and may be assigned; `rules` is {name: function of (value, name)} that gives the option as it
    is kept, or raises, and then the old one stays. A subclass defines `__call__`.

    >>> class CubeLoss(Loss):
    ...     def __call__(self, outputs, targets, sample_weight=None):
    ...         error = abs(outputs - targets)
    ...         return LossValue(float((error**3).mean()), 3 * error * (outputs - targets) / error.size)
    >>> CubeLoss()(np.array([3.0]), np.array([1.0])).value
    8.0
    """

    task = "numbers"
    reductions = ("mean", "sum")
    rules = {}

    def __init__(self, reduction="mean", backend="cpu", **options):
        self.reduction, self.backend = reduction, backend
        for name, value in options.items():
            setattr(self, name, value)

    def __setattr__(self, name, value):
        who = f"{type(self).__name__}: {name}"
        if name == "reduction":
            value = self._reduction(value, who)
        elif name == "backend":
            value = arguments.choice(value, kernels.BACKENDS, who)
        elif name in self.rules:
            value = self.rules[name](value, who)
        super().__setattr__(name, value)

    def __getattr__(self, name):
        return habits.look_up(self, name, type(self).__name__, habits.LOSS)

    @property
    def classifies(self):
        """Whether it can be counted how many targets are met."""
        return self.task in _CLASSIFYING

    @property
    def ops(self):
        """The module of operations that `backend` names."""
        return kernels.load(self.backend)

    def said(self, name):
        """An argument as errors call it: "MSELoss: outputs"."""
        return f"{type(self).__name__}: {name}"

    def numbers(self, value, name, like=None):
        """`value` as a float32 or float64 array, not empty, of the dtype of another one if told."""
        if type(value) is np.ndarray and value.size and value.ndim and (
                value.dtype is (like.dtype if like is not None else checks.FLOAT32)):
            return value    # as nets give it, again and again
        given, name = name, self.said(name)
        if like is None:
            value = checks.floating(arguments.array(value, name), name)
            try:
                checks.not_empty(value.shape, given)
            except ValueError as error:
                raise ValueError(self.said(error)) from None
            if not value.ndim:
                raise ValueError(f"{name} must have an axis of samples, got a single number")
            return value
        with np.errstate(over="ignore"):    # numbers beyond float32 are infinite, as the loss of a net gone astray
            return checks.floating(arguments.values(value, name), name, like=like)

    def sample_weights(self, value, outputs):
        """`value`, one weight for each sample, of the dtype of outputs; None stays."""
        if value is None:
            return None
        value, name = self.numbers(value, "sample_weight", like=outputs), self.said("sample_weight")
        if value.shape != outputs.shape[:1]:
            raise ValueError(f"{name} must be one number for each sample, of shape {outputs.shape[:1]}, got an array "
                             f"of shape {value.shape}")
        return arguments.not_negative(value, name)

    def scale(self, total):
        """What the sum of all losses is multiplied by, where the mean divides by `total`."""
        if self.reduction == "sum":
            return 1.0
        return 1 / float(total) if total else 0.0

    def divisor(self, outputs, targets, sample_weight=None):
        """What a batch counts for in the mean over several: its value times this, summed over the batches and divided
        by the sum of these, is the value of one batch of all. Here what the samples weigh, or how many there are. None
        where values are to be added up, with reduction="sum"."""
        if getattr(self, "reduction", "mean") == "sum":
            return None
        if sample_weight is not None:
            return float(np.sum(sample_weight, dtype=np.float64))
        while isinstance(outputs, (dict, tuple, list)) and len(outputs):
            outputs = next(iter(outputs.values() if isinstance(outputs, dict) else outputs))
        return len(outputs)

    def _reduction(self, value, who):
        if isinstance(value, str) and value == "none":
            raise ValueError(f"{who} must be {' or '.join(map(repr, self.reductions))}, got 'none': a gradient follows "
                             "from one number alone; give weights of samples as sample_weight")
        return arguments.choice(value, self.reductions, who)

    def __repr__(self):
        """With the options that are not as they come."""
        words = []
        for name, parameter in list(inspect.signature(type(self).__init__).parameters.items())[1:]:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                short = value.ndim == 1 and value.size <= 8
                words.append(f"{name}={[float(f'{one:.3g}') for one in value] if short else arguments.shown(value)}")
            elif value != parameter.default:
                words.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"
