"""The loss of a net with several outputs."""
from collections.abc import Mapping

from fastnet import arguments
from fastnet.losses.base import Loss, LossValue


class WeightedSum(Loss):
    """The loss of several heads: the sum over all of them of weight times loss, each head having a loss of its own.

    `losses` is {head: loss} for a net whose outputs are a dictionary, or a tuple of losses for a tuple of outputs;
    `weights` are numbers in the same form, 1 where it is None. Targets come in the form of the outputs, and so does
    the gradient; it is None for outputs in a dictionary that no loss is for. `sample_weight` goes to each loss.
    The mean over several batches is that of one batch of all where the heads' means divide by the same: not where one
    head ignores labels or weights classes, and another does not.
    Any function ``value, gradient = loss(outputs, targets)`` serves as a loss, without weights of samples. `losses` and
    `weights` give new objects: assign them whole to change one.

    >>> both = WeightedSum({"kind": fastnet.CrossEntropyLoss(), "size": fastnet.MSELoss()}, {"kind": 1, "size": 0.5})
    >>> outputs, targets = {"kind": np.zeros((1, 2)), "size": np.ones(1)}, {"kind": np.array([0]), "size": np.zeros(1)}
    >>> round(both(outputs, targets).value, 4)      # ln 2 + 0.5
    1.1931
    """

    task = "heads"

    def __init__(self, losses, weights=None):
        self.losses, self.weights = losses, weights

    def __setattr__(self, name, value):
        who = self.said(name)
        if name == "losses":
            value = self._losses(value, who)
            if "weights" in vars(self):     # those that there are must fit the new losses
                self._weights(self.weights, self.said("weights"), value)
        elif name == "weights":
            value = self._weights(value, who, self.losses)
        object.__setattr__(self, name, value)

    def __call__(self, outputs, targets, sample_weight=None):
        outputs, targets = self._parts(outputs, "outputs"), self._parts(targets, "targets")
        total, gradients = 0.0, dict.fromkeys(outputs)
        for head, loss in _items(self.losses):
            given = () if sample_weight is None else (sample_weight,)
            try:
                value, gradient = loss(outputs[head], targets[head], *given)
            except (TypeError, ValueError) as error:
                if type(error) not in (TypeError, ValueError):
                    raise
                raise type(error)(f"WeightedSum: the head {head!r}: {error}") from error
            weight = self.weights[head]
            total += weight * value
            gradients[head] = gradient if weight == 1 else _times(gradient, weight)
        return LossValue(total, gradients if isinstance(self.losses, dict) else tuple(gradients.values()))

    def divisor(self, outputs, targets, sample_weight=None):
        """That of the heads where they agree, and else what it is for samples."""
        outputs, targets = self._parts(outputs, "outputs"), self._parts(targets, "targets")
        found = {loss.divisor(outputs[head], targets[head], sample_weight) if isinstance(loss, Loss)
                 else super(WeightedSum, self).divisor(outputs, targets, sample_weight)
                 for head, loss in _items(self.losses)}
        return found.pop() if len(found) == 1 else super().divisor(outputs, targets, sample_weight)

    @staticmethod
    def _losses(value, who):
        what = "a dictionary {head: loss}, or a tuple of losses"
        if isinstance(value, Mapping):
            value = arguments.mapping(value, who, what)
        elif isinstance(value, (tuple, list)):
            value = tuple(value)
        else:
            raise TypeError(f"{who} must be {what}, got {arguments.shown(value)}")
        if not value:
            raise ValueError(f"{who} must hold losses, got none")
        for _, loss in _items(value):
            arguments.function(loss, who, f"{what}, such as CrossEntropyLoss()")
        return value

    @staticmethod
    def _weights(value, who, losses):
        heads = [head for head, _ in _items(losses)]
        if value is None:
            value = dict.fromkeys(heads, 1.0) if isinstance(losses, dict) else (1.0,) * len(heads)
        if isinstance(losses, dict):
            value = arguments.mapping(value, who, "a dictionary {head: number}, or None")
            if set(value) != set(heads):
                raise ValueError(f"{who} must be a number for each of the heads {', '.join(map(repr, heads[:5]))}, got "
                                 f"{', '.join(map(repr, list(value)[:5])) or 'none'}")
            return {head: arguments.number(value[head], who, 0) for head in heads}
        if not isinstance(value, (tuple, list)):
            raise TypeError(f"{who} must be a tuple of numbers, or None, got {arguments.shown(value)}")
        if len(value) != len(heads):
            raise ValueError(f"{who} must be {len(heads)} numbers, one for each loss, got {arguments.shown(value)}")
        return tuple([arguments.number(weight, who, 0) for weight in value])

    def _parts(self, given, name):
        """{head: part} of outputs or targets."""
        kind, what = (dict, "dictionary") if isinstance(self.losses, dict) else ((tuple, list), "tuple")
        heads = [head for head, _ in _items(self.losses)]
        expected = f"{self.said(name)} must be a {what} with the heads {', '.join(map(repr, heads[:5]))}"
        if not isinstance(given, kind):
            raise TypeError(f"{expected}, got {arguments.shown(given)}")
        parts = dict(_items(given))
        if any(head not in parts for head in heads) or what == "tuple" and len(parts) != len(heads):
            got = f"a tuple of {len(parts)}" if what == "tuple" else ", ".join(map(arguments.shown, list(parts)[:5]))
            raise ValueError(f"{expected}, got {got}")
        return parts

    def __repr__(self):
        return f"WeightedSum({self.losses}, {self.weights})"


def _items(value):
    """(head, part) of a dictionary, or (place, part) of a tuple."""
    return list(value.items() if isinstance(value, dict) else enumerate(value))


def _times(gradient, weight):
    """A gradient, which may be a tree of arrays where a loss is of several heads itself, times a number."""
    if isinstance(gradient, dict):
        return {name: _times(part, weight) for name, part in gradient.items()}
    if isinstance(gradient, (tuple, list)):
        return tuple([_times(part, weight) for part in gradient])
    return None if gradient is None else gradient * gradient.dtype.type(weight)
