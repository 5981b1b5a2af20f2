"""Minimising a loss over a whole data set at once: what evaluates it several times a step, for small problems."""
from collections import deque
from dataclasses import dataclass
from functools import partial
from math import isfinite, prod

import numpy as np

from fastnet import arguments, changes
from fastnet.optim.line_search import Point, strong_wolfe


@dataclass(frozen=True, repr=False)
class Minimum:
    """What `minimise` found: the lowest `value`, which the net has now; how many `iterations` and `evaluations` of the
    loss it took; the `reason` why it ended, in words; the `history` of values, the first being that of the start.

    >>> x = np.float32([[0], [1], [2]])
    >>> found = minimise(fastnet.Linear(1, 1), fastnet.MSELoss(), x, 2 * x + 1)
    >>> round(found.value, 4), found.history[0] > found.history[-1]
    (0.0, True)
    """

    value: float
    iterations: int
    evaluations: int
    reason: str
    history: tuple

    def __repr__(self):
        return (f"Minimum(value={self.value:.6g}, from {self.history[0]:.6g}, iterations={self.iterations}, "
                f"evaluations={self.evaluations}, reason={self.reason!r})")


def minimise(net, loss, x, y, method="lbfgs", regularizer=None, max_iter=100, seed=0, **options):
    """Give `net` weights that make ``loss(net(x), y)`` as small as the method can, and tell what it found: a `Minimum`.

    A `regularizer`, see `fastnet.regularizers`, is a penalty on weights that are to be trained, whose value is added to
    the loss; one that puts weights back after a step, as `MaxNorm` does, raises ValueError. Only parameters that are to
    be trained move (requires_grad); the net has the best weights that were met also where an error or Ctrl-C ends the
    search. Gradients of parameters stay what they were.

    "lbfgs"   limited-memory BFGS: steps along -H g, where H, the inverse of the second derivatives, is guessed from the
              last `history_size` (10) steps, and as long as a line search for the strong Wolfe conditions says. Ends
              where no |gradient| exceeds `tolerance_grad` (1e-7), where no weight or the value changes by more than
              `tolerance_change` (1e-9), or where the line search finds nothing lower, as when rounding hides the rest.
              Nocedal and Wright, Numerical Optimization (2006), algorithms 7.4 and 7.5, 3.5 and 3.6.
    "random"  weights drawn anew `max_iter` times, the best of which stay: all arrays of two axes and more, normal with
              deviation `std`, 1 / sqrt(fan_in) where it is None; what has one axis stays as it is.
    "local"   random local search: to all weights a normal number of deviation `std` (0.01) is added, and what is better
              stays.

    L-BFGS looks at the net as it is in training, and needs a loss that depends on the weights alone: with a Dropout
    that is not frozen it raises ValueError. Norms use the statistics of x, and running statistics stay as they are:
    `fastnet.update_bn(net, [x])` brings them after. The two searches look at the net as it is at inference. Results
    depend on `seed` alone, which only the searches use. TypeError or ValueError for what does not fit, and for a loss
    that is not finite at the start; nothing is changed then.

    >>> net, x = fastnet.Linear(1, 1), np.float32([[0], [1], [2]])
    >>> found = minimise(net, fastnet.MSELoss(), x, 2 * x + 1)
    >>> net.weight.value.round(2), net.bias.value.round(2)
    (array([[2.]], dtype=float32), array([1.], dtype=float32))
    """
    search, known = _METHODS[arguments.choice(method, tuple(_METHODS), "minimise: method")]
    unknown = options.keys() - known.keys()
    if unknown:
        raise ValueError(f"minimise: method {method!r} has the options {', '.join(known)}, got "
                         f"{', '.join(sorted(unknown))}")
    checked = {name: check(options[name], f"minimise: {name}") if name in options else default
               for name, (check, default) in known.items()}
    max_iter = arguments.integer(max_iter, "minimise: max_iter", 1)
    rng = np.random.default_rng(arguments.integer(seed, "minimise: seed", 0))
    objective = _Objective(net, loss, x, y, regularizer)
    try:
        objective.begin(search is _lbfgs)
        iterations, reason = search(objective, max_iter, rng, **checked)
    finally:
        objective.move(objective.weights)
    return Minimum(objective.value, iterations, objective.evaluations, reason, tuple(objective.history))


class _Objective:
    """The loss as a function of all weights in a row, in float64, and the best that was met: `value` at `weights`."""

    def __init__(self, net, loss, x, y, regularizer):
        self.net = arguments.having(net, ("forward", "backward", "parameters", "__call__"), "minimise: net", "a net")
        self.loss = arguments.function(loss, "minimise: loss", "a loss, such as CrossEntropyLoss()")
        if regularizer is not None:
            arguments.having(regularizer, ("add",), "minimise: regularizer", "a regulariser, such as L2(1e-4)")
            if getattr(regularizer, "projects", False):
                raise ValueError(f"minimise: regularizer must be a penalty, such as L2(1e-4), got {regularizer}, which "
                                 "puts weights back after each step of a Trainer")
        self.x, self.y, self.regularizer = x, y, regularizer
        self.parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
        if not self.parameters:
            raise ValueError("minimise: net must have parameters that are to be trained, got none; unfreeze(net) lets "
                             "frozen ones learn")
        self.weights = self.now = self.joined(parameter.value for parameter in self.parameters)
        self.value, self.gradient, self.evaluations, self.history = None, None, 0, []
        self._penalty()     # refuses in its own words a net that it does not fit

    @staticmethod
    def joined(arrays):
        return np.concatenate([np.ravel(array) for array in arrays], dtype=np.float64)

    def parts(self, weights):
        """The weights of each parameter."""
        stops = np.cumsum([parameter.size for parameter in self.parameters])[:-1]
        return [part.reshape(parameter.shape)
                for part, parameter in zip(np.split(weights, stops), self.parameters, strict=True)]

    def move(self, weights):
        """Let the net have these weights."""
        if weights is not self.now:
            with np.errstate(over="ignore"):    # a step too far, whose loss will not be finite
                for parameter, part in zip(self.parameters, self.parts(weights), strict=True):
                    parameter.value = part.astype(parameter.value.dtype)
            self.now = weights

    def begin(self, sloping):
        """Evaluate the start, which must be finite, and for a method that follows slopes the same again and again."""
        try:
            if sloping:
                self.value, self.gradient = self.slope(self.weights)
            else:
                self.value = self.at(self.weights)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"minimise: loss(net(x), y): {error}") from error
        if sloping and isfinite(self.value) and (again := self.slope(self.weights)[0]) != self.value:
            raise ValueError(f"minimise: loss must depend on the weights alone, got {self.value:.6g} and {again:.6g} "
                             "for the same; a Dropout does that: freeze it, fastnet.freeze(net, \"its path\")")
        if not isfinite(self.value):
            raise ValueError(f"minimise: loss must be finite at the start, got {self.value}; give the net other "
                             "weights")
        self.history.append(self.value)

    def at(self, weights):
        """The value at inference."""
        self.move(weights)
        return self._judged(self.net(self.x))[0] + self._penalty()[0]

    def slope(self, weights):
        """(value, gradient) in training; running statistics and gradients of parameters stay what they are."""
        self.move(weights)
        with changes.quiet(), changes.gradients() as found:
            y = self.net.forward(self.x, training=True)
            try:
                value, dy = self._judged(y)
            except BaseException:
                self.net.saved = None   # no backward pass follows
                raise
            self.net.backward(dy, need_dx=False)
        grads = [found.get(parameter) for parameter in self.parameters]
        gradient = self.joined(np.zeros(parameter.shape) if grad is None else grad
                               for parameter, grad in zip(self.parameters, grads, strict=True))
        penalty, more = self._penalty()
        return value + penalty, gradient + more

    def _penalty(self):
        """(value, gradient) of the regulariser: what it adds to gradients that are zero."""
        if self.regularizer is None:
            return 0.0, 0.0
        before = [parameter.grad for parameter in self.parameters]
        try:
            for parameter in self.parameters:
                parameter.grad = np.zeros_like(parameter.value)
            value = float(self.regularizer.add(self.net))
            return value, self.joined(parameter.grad for parameter in self.parameters)
        finally:
            for parameter, grad in zip(self.parameters, before, strict=True):
                parameter.grad = grad

    def _judged(self, y):
        """(value, gradient for y) of the loss."""
        self.evaluations += 1
        result = self.loss(y, self.y)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"loss must give (value, gradient), got {arguments.shown(result)}")
        return float(result[0]), result[1]

    def better(self, value, weights, gradient=None):
        """Keep what was found where it is not higher than what there was."""
        if value <= self.value:
            self.value, self.weights, self.gradient = value, weights, gradient
        self.history.append(self.value)


def _lbfgs(objective, max_iter, rng, history_size, tolerance_grad, tolerance_change):
    pairs = deque(maxlen=history_size)     # (how the weights changed, how the gradient did) in the last steps
    for iteration in range(max_iter):
        weights, gradient, value = objective.weights, objective.gradient, objective.value
        if np.abs(gradient).max() <= tolerance_grad:
            return iteration, f"no gradient exceeds {tolerance_grad:g}"
        direction = -_times_inverse(gradient, pairs)
        slope = float(gradient @ direction)
        if not slope < 0:   # by rounding alone
            pairs.clear()
            direction, slope = -gradient, -float(gradient @ gradient)

        def along(step, weights=weights, direction=direction):
            there = weights + step * direction
            value, gradient = objective.slope(there)
            return Point(step, value, float(gradient @ direction), there, gradient)

        first = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        point = strong_wolfe(along, Point(0.0, value, slope, weights, gradient), first,
                             1e-9 / float(np.abs(direction).max()))
        if point.step == 0:
            if not pairs:
                return iteration, "the line search found nothing lower"
            pairs.clear()   # what was guessed of the second derivatives may be to blame: once more, straight downhill
            continue
        moved, turned = point.weights - weights, point.gradient - gradient
        if moved @ turned > 1e-10 * (turned @ turned):
            pairs.append((moved, turned))
        objective.better(point.value, point.weights, point.gradient)
        if np.abs(moved).max() <= tolerance_change or abs(point.value - value) <= tolerance_change:
            return iteration + 1, f"neither weights nor value change by more than {tolerance_change:g}"
    return max_iter, f"{max_iter} iterations were made"


def _times_inverse(gradient, pairs):
    """H g: Nocedal and Wright, algorithm 7.4, with equation 7.20 for where it begins."""
    result, shares = gradient.copy(), []
    for moved, turned in reversed(pairs):
        share = (moved @ result) / (moved @ turned)
        shares.append(share)
        result -= share * turned
    if pairs:
        moved, turned = pairs[-1]
        result *= (moved @ turned) / (turned @ turned)
    for (moved, turned), share in zip(pairs, reversed(shares), strict=True):
        result += moved * (share - (turned @ result) / (moved @ turned))
    return result


def _random(objective, max_iter, rng, std):
    start = objective.parts(objective.weights)

    def drawn(part):
        deviation = 1 / max(prod(part.shape[1:]), 1) ** 0.5 if std is None else std
        return rng.normal(0.0, deviation, part.shape) if part.ndim > 1 else part

    for _ in range(max_iter):
        weights = objective.joined(map(drawn, start))
        objective.better(objective.at(weights), weights)
    return max_iter, f"{max_iter} draws were made"


def _local(objective, max_iter, rng, std):
    for _ in range(max_iter):
        weights = objective.weights + rng.normal(0.0, std, objective.weights.shape)
        objective.better(objective.at(weights), weights)
    return max_iter, f"{max_iter} steps were tried"


def _deviation(value, name):
    return None if value is None else arguments.number(value, name, 0)


# {method: (function, {option: (its check, its default)})}
_METHODS = {
    "lbfgs": (_lbfgs, {"history_size": (partial(arguments.integer, least=1), 10),
                       "tolerance_grad": (partial(arguments.number, least=0), 1e-7),
                       "tolerance_change": (partial(arguments.number, least=0), 1e-9)}),
    "random": (_random, {"std": (_deviation, None)}),
    "local": (_local, {"std": (partial(arguments.number, least=0), 0.01)}),
}
