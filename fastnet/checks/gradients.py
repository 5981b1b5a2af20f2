"""Are the gradients right? Backward passes are compared with differences of the loss."""
from math import isfinite
from typing import NamedTuple

import numpy as np

from fastnet import arguments, changes
from fastnet.checks.common import checked_loss, measured, spare
from fastnet.columns import table
from fastnet.program import trees
from fastnet.program.calls import generator_states, rewound

_WHO = "gradient_check"
_HEAD = ("array", "shape", "looked at", "kinks", "relative error", "at", "backward", "differences", "")


class GradientRow(NamedTuple):
    """What was found of one array: where backward and differences disagree most, and by how much."""

    name: str
    shape: tuple
    checked: int        # how many of its numbers were looked at
    kinks: int          # those of them where a kink was hit, which are not judged
    error: float        # the largest relative error of the others
    where: tuple        # the place of that, or of a kink where there is nothing else
    backward: float     # the derivative there by the backward pass, and by differences
    difference: float
    missing: bool       # whether backward gave no gradient at all
    right: bool

    def verdict(self):
        if self.missing:
            return "right: nothing depends on it" if self.right else "WRONG: backward assigns no gradient"
        if not self.right:
            return "WRONG"
        return "not judged: kinks only" if self.kinks == self.checked else "right"


class GradientCheck:
    """What `gradient_check` found: `rows`, one for each parameter and each array of x; `passed`, whether all are right;
    `error`, the largest relative error. It prints as a table.

    >>> net, x = fastnet.Linear(2, 2), np.float32([[0, 1], [1, 0]])
    >>> found = gradient_check(net, fastnet.CrossEntropyLoss(), x, np.array([0, 1]))
    >>> found.passed
    True
    """

    def __init__(self, rows, tolerance):
        self.rows, self.tolerance = rows, tolerance

    @property
    def passed(self):
        return all(row.right for row in self.rows)

    @property
    def error(self):
        return max(row.error for row in self.rows)

    def __str__(self):
        rows = [(row.name, str(row.shape), str(row.checked), str(row.kinks), f"{row.error:.1e}",
                 str(list(map(int, row.where))), f"{row.backward:.6g}", f"{row.difference:.6g}", row.verdict())
                for row in self.rows]
        wrong = [row.name for row in self.rows if not row.right]
        end = f"wrong: {', '.join(wrong)}" if wrong else "all gradients are right"
        kinks = sum(row.kinks for row in self.rows)
        if kinks:
            end += (f"; a kink was hit {kinks} times, where the derivatives from the left and from the right differ, "
                    "as those of a ReLU do at 0: such places are not judged")
        return f"{table(_HEAD, rows, words=2, remarks=True)}\n{end} (tolerance {self.tolerance:g})"

    __repr__ = __str__


def gradient_check(net, loss, x, y, samples=20, eps=1e-5, tolerance=1e-4, seed=0):
    """Compare the gradients of ``loss(net(x), y)``, for all parameters and for x, with central differences
    (L(w + eps) - L(w - eps)) / (2 eps). Returns a `GradientCheck`, which prints as a table with a verdict.

    net : a layer or net; a copy in float64 is looked at, in training, with the same random numbers in each pass. It
        stays as it is, generators and running statistics included.
    x, y : a small batch. The gradient for x is checked too where x holds floats.
    eps : the step, times |w| where that is above 1.
    samples : how many numbers of each array are looked at, drawn by `seed`; None for all. Each takes two passes.
    tolerance : of the relative error |a - b| / max(|a|, |b|); where both are as small as rounding leaves them,
        differences of that size are passed over. Above 1e-3 something is wrong; right ones are at 1e-6 and below.

    A number that is off is looked at again with a tenth of the step. Where the differences to the left and to the right
    disagree as a kink between them makes them, it is counted as a kink and not judged. Frozen parameters are left out.
    ValueError where the loss is not finite, or does not depend on weights and x alone; TypeError or ValueError for what
    is no net, loss or batch.

    >>> import numpy as np, fastnet
    >>> x, y = np.random.default_rng(0).standard_normal((4, 3)), np.arange(4) % 2
    >>> gradient_check(fastnet.Linear(3, 2), fastnet.CrossEntropyLoss(), x, y).passed
    True
    """
    samples = None if samples is None else arguments.integer(samples, f"{_WHO}: samples", 1)
    eps = arguments.number(eps, f"{_WHO}: eps", 1e-10, 1)
    tolerance = arguments.number(tolerance, f"{_WHO}: tolerance", above=0, below=1)
    rng = np.random.default_rng(arguments.integer(seed, f"{_WHO}: seed", 0))
    objective = _Objective(net, checked_loss(loss, _WHO), x, y)
    arrays = objective.gradients()
    # What rounding of the loss makes of a difference, ten times: less than that cannot be told from 0.
    floor = 10 * np.finfo(np.float64).eps * max(abs(objective.value), 1.0) / eps / tolerance
    return GradientCheck([_row(objective, *array, _chosen(array[1].size, samples, rng), eps, tolerance, floor)
                          for array in arrays], tolerance)


class _Objective:
    """The loss of a copy of a net in training, in float64, as a function of the numbers in `arrays`."""

    def __init__(self, net, loss, x, y):
        self.net = spare(net, _WHO).astype(np.float64)
        self.loss, self.y = loss, y
        trees.check(x, f"{_WHO}: x")
        self.x = trees.map(self._own, x)
        self.states = generator_states(self.net)
        self.value = self()
        if not isfinite(self.value):
            raise ValueError(f"{_WHO}: loss must be finite, got {self.value} for loss(net(x), y)")
        if self() != self.value:
            raise ValueError(f"{_WHO}: loss must depend on weights and x alone, got {self.value:.9g} and another "
                             "value for the same; let a layer that draws random numbers do so from an attribute of its "
                             "own, a numpy.random.Generator")

    @staticmethod
    def _own(array):
        array = arguments.array(array, f"{_WHO}: x")
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    def _forward(self):
        with changes.quiet(), rewound(self.states):
            return measured(self.net, self.loss, self.x, self.y, _WHO)

    def __call__(self):
        value = self._forward()[0]
        self.net.saved = None   # no backward pass follows
        return value

    def gradients(self):
        """(name, array, gradient or None) of what is to be checked."""
        _, dy, _ = self._forward()
        dx = self.net.backward(dy)
        found = [(name, parameter.value, parameter.grad) for name, parameter in self.net.named_parameters()
                 if parameter.requires_grad]
        leaves, gradients = trees.flat(self.x), trees.flat(dx)
        if len(gradients) != len(leaves):
            gradients = [None] * len(leaves)
        names = ["x"] if len(leaves) == 1 else [f"x, array {i}" for i in range(len(leaves))]
        found += [(name, array, gradient) for name, array, gradient in zip(names, leaves, gradients, strict=True)
                  if array.dtype.kind == "f"]
        for name, array, gradient in found:
            if gradient is not None and np.shape(gradient) != array.shape:
                raise ValueError(f"{_WHO}: net gives a gradient of shape {np.shape(gradient)} for {name}, which has "
                                 f"shape {array.shape}")
        if not found:
            raise ValueError(f"{_WHO}: net must have parameters that are to be trained, or x hold floats; there is "
                             "nothing to check")
        return found


def _chosen(size, samples, rng):
    """Which numbers of an array are looked at."""
    if samples is None or samples >= size:
        return np.arange(size)
    return np.sort(rng.choice(size, samples, replace=False))


def _row(objective, name, array, gradient, chosen, eps, tolerance, floor):
    """The `GradientRow` of an array."""
    missing = gradient is None
    gradient = np.zeros(array.shape) if missing else np.asarray(gradient)
    kinks, worst = 0, (-1.0, ())
    for place in chosen:
        where = np.unravel_index(place, array.shape)
        error, difference, kink = _judged(objective, array, where, float(gradient[where]), eps, tolerance, floor)
        kinks += kink
        worst = max(worst, (-0.5 if kink else error, where, float(gradient[where]), difference), key=lambda one: one[0])
    error = max(worst[0], 0.0)
    return GradientRow(name, array.shape, len(chosen), kinks, error, *worst[1:], missing, error <= tolerance)


def _judged(objective, array, where, slope, eps, tolerance, floor):
    """(relative error, difference quotient, whether a kink was hit) for one number."""
    for step in (eps, eps / 10):
        left, right = _sides(objective, array, where, step)
        difference = (left + right) / 2
        error = abs(slope - difference) / max(abs(slope), abs(difference), floor)
        if error <= tolerance:
            return error, difference, step < eps
        if not error < float("inf"):
            return float("inf"), difference, False
    # With a kink between them and a right derivative the two sides are twice as far from each other as the slope is
    # from their mean; where nothing bends they are equal, up to the step times the second derivative.
    return error, difference, abs(right - left) > abs(slope - difference)


def _sides(objective, array, where, step):
    """The difference quotients to the left and to the right."""
    kept = array[where]
    step *= max(1.0, abs(kept))
    try:
        array[where] = kept - step
        left = (objective.value - objective()) / (kept - array[where])
        array[where] = kept + step
        return left, (objective() - objective.value) / (array[where] - kept)
    finally:
        array[where] = kept
