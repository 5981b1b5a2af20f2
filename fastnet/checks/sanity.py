"""What a practitioner tries before a long training: is anything wrong with net, loss and data?"""
from copy import deepcopy
from math import isfinite, log
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.checks.common import batch, checked_loss, measured, spare, without_noise
from fastnet.columns import table
from fastnet.losses import NLLLoss
from fastnet.optim import Adam
from fastnet.program import trees
from fastnet.regularizers import L2

_WHO = "sanity_check"
_RATES = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)
_STEPS, _LONG = 10, 300     # updates with each rate, and to overfit
_FEW = 20


class SanityRow(NamedTuple):
    """One check: its name, what was expected and found, in words, and whether it passed; None where that is unknown."""

    name: str
    expected: str
    found: str
    passed: bool | None


class SanityReport:
    """`rows`, the checks of `sanity_check`; `passed`, whether none failed; `rates`, {learning rate: the loss after ten
    updates with it, None where it was not finite}. It prints as a table.

    >>> net, x = fastnet.Linear(2, 2), np.float32([[0, 1], [1, 0]])
    >>> report = sanity_check(net, fastnet.CrossEntropyLoss(), x, np.array([0, 1]))
    >>> isinstance(report, SanityReport) and len(report.rows) > 2
    True
    """

    def __init__(self, rows, rates):
        self.rows, self.rates = rows, rates

    @property
    def passed(self):
        return all(row.passed is not False for row in self.rows)

    def __str__(self):
        words = {True: "passed", False: "FAILED", None: "not judged"}
        rows = [(row.name, row.expected, row.found, words[row.passed]) for row in self.rows]
        return table(("check", "expected", "found", ""), rows, words=3, remarks=True)

    __repr__ = __str__


def sanity_check(net, loss, x, y, optimizer=Adam, lr=None, regularizer=None, seed=0):
    """Make the checks that come before a long training, on copies of a net with its first weights, and tell all in one
    `SanityReport`:

    * The loss begins as that of outputs that are all zero, within a quarter: ln C for C classes and a cross-entropy,
      C - 1 for the multiclass SVM with margins summed over the classes; of a regression it is at most twice that. More:
      the first weights are too large, or x is not normalised.
    * A penalty on the weights, `regularizer` or L2(1e-3), raises it.
    * Every parameter is reached by a gradient that is not zero.
    * There is a learning rate that lowers the loss in ten steps; `lr`, where one is given, is the one that is tried.
    * Twenty samples can be overfitted, without regularisation: all their targets are met within 300 steps, or, where no
      target can be met, the loss falls to a tenth.

    x, y : a batch of some hundred samples.  optimizer : a function (parameters, lr), such as `fastnet.SGD`.
    The net stays as it is. TypeError or ValueError for what is no net, loss, batch or optimiser.

    >>> net, x = fastnet.Linear(2, 2), np.float32([[0, 1], [1, 0]])
    >>> net.weight.value, net.bias.value = np.zeros((2, 2)), np.zeros(2)    # the first loss is ln 2
    >>> report = sanity_check(net, fastnet.CrossEntropyLoss(), x, np.array([0, 1]))
    >>> report.rows[0].passed
    True
    """
    loss = checked_loss(loss, _WHO)
    if not callable(optimizer) or hasattr(optimizer, "step") and not isinstance(optimizer, type):
        raise TypeError(f"{_WHO}: optimizer must be a function (parameters, lr), such as fastnet.SGD, got "
                        f"{arguments.shown(optimizer)}")
    rates = _RATES if lr is None else (arguments.number(lr, f"{_WHO}: lr", above=0),)
    regularizer = L2(1e-3) if regularizer is None else arguments.having(
        regularizer, ("add",), f"{_WHO}: regularizer", "a regulariser, such as L2(1e-4)")
    rng = np.random.default_rng(arguments.integer(seed, f"{_WHO}: seed", 0))
    net, (x, y, count) = spare(net, _WHO), batch(x, y, _WHO)
    first, dy, _ = measured(net, loss, x, y, _WHO)
    if not isfinite(first):
        raise ValueError(f"{_WHO}: loss must be finite at the start, got {first}; look at x, y and the first weights")
    net.backward(dy, need_dx=False)
    rows = [_begins(net, loss, x, y), _penalty(net, regularizer, first), _reached(net)]
    net = without_noise(net)
    tried = {rate: _after(net, loss, (x, y), optimizer, rate) for rate in rates}
    rows.append(_lowers(tried, measured(deepcopy(net), loss, x, y, _WHO)[0]))
    few = np.sort(rng.choice(count, min(_FEW, count), replace=False))
    few = trees.map(lambda one: one[few], x), trees.map(lambda one: one[few], y)
    rows.append(_overfits(net, loss, few, optimizer, tried))
    return SanityReport(rows, tried)


def _begins(net, loss, x, y):
    """Whether the loss at inference is that of outputs that say nothing."""
    outputs = net(x)
    task, classes = getattr(loss, "task", None), trees.flat(outputs)[0].shape[1:2]
    name = "the loss begins where it should"
    value = float(loss(outputs, y)[0])
    if task not in ("classes", "yes/no", "signs", "probabilities", "numbers", "heads"):
        return SanityRow(name, "unknown for this loss", f"{value:.4g}", None)
    blank = 0.5 if task == "probabilities" else -log(classes[0]) if isinstance(loss, NLLLoss) else 0.0
    wanted = float(loss(trees.map(lambda one: np.full_like(one, blank), outputs), y)[0])
    words = f"{wanted:.4g}"
    if task == "numbers":
        return SanityRow(name, f"at most 2 x {words}", f"{value:.4g}", value <= 2 * wanted)
    if task == "classes" and classes:
        c = classes[0]
        known = {"ln": log(c), "C - 1": c - 1}
        if abs(wanted - known["ln"]) < 1e-4 * wanted:
            words = f"ln {c} = {words}"
        elif abs(wanted - known["C - 1"]) < 1e-4 * wanted:
            words = f"{c} - 1 = {words}"
    return SanityRow(name, words, f"{value:.4g}", abs(value - wanted) <= 0.25 * max(wanted, 1e-3))


def _penalty(net, regularizer, first):
    """Whether the regulariser raises the loss."""
    grads = [(parameter, parameter.grad) for parameter in net.parameters()]
    try:
        penalty = float(regularizer.add(net))
    except ValueError:  # there are no weights of the kind that it means
        penalty = 0.0
    for parameter, grad in grads:
        parameter.grad = grad
    return SanityRow("regularisation raises it", f"more than {first:.6g}", f"{first + penalty:.6g}", penalty > 0)


def _reached(net):
    """Whether each parameter has a gradient."""
    trained = [(name, parameter.grad) for name, parameter in net.named_parameters() if parameter.requires_grad]
    without = [name for name, grad in trained if grad is None or not np.any(grad)]
    found = f"none at {', '.join(without[:3])}" + f" and {len(without) - 3} more" * (len(without) > 3)
    return SanityRow("a gradient reaches every parameter", str(len(trained)), found if without else str(len(trained)),
                     not without if trained else None)


def _losses(net, loss, data, optimizer, rate, steps):
    """(loss, (targets met, targets) or None) before each of so many updates of a copy of the net, and after the last,
    as long as the loss is finite."""
    net = deepcopy(net)
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    try:
        chosen = arguments.having(optimizer(trained, rate), ("step",), f"{_WHO}: what optimizer gives", "an optimiser")
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{_WHO}: optimizer(parameters, {rate:g}): {type(error).__name__}: {error}") from error
    for step in range(steps + 1):
        value, dy, found = measured(net, loss, *data, _WHO)
        if not isfinite(value):
            return
        yield value, found
        if step < steps:
            with np.errstate(over="ignore", invalid="ignore"):  # of a rate that is much too high
                net.backward(dy, need_dx=False)
                chosen.step()


def _after(net, loss, data, optimizer, rate):
    """The loss after some updates; None where it did not stay finite."""
    values = [value for value, _ in _losses(net, loss, data, optimizer, rate, _STEPS)]
    return values[-1] if len(values) > _STEPS else None


def _lowers(tried, first):
    """Whether one of the rates lowers the loss."""
    known = {rate: value for rate, value in tried.items() if value is not None}
    best = min(known, key=known.get, default=None)
    name = "a learning rate lowers it" if len(tried) > 1 else f"the learning rate {next(iter(tried)):g} lowers it"
    if best is None:
        return SanityRow(name, f"less than {first:.4g}", "not finite with any", False)
    return SanityRow(name, f"less than {first:.4g}", f"{known[best]:.4g} with {best:g}", known[best] < 0.99 * first)


def _overfits(net, loss, few, optimizer, tried):
    """Whether a net can learn some samples by heart, with a third and with a thirtieth of the best rate."""
    known = {rate: value for rate, value in tried.items() if value is not None}
    best = min(known, key=known.get, default=min(tried))
    count = len(trees.flat(few[0])[0])
    name, expected, words = f"{count} samples can be overfitted", "all targets met", []
    for rate in (best / 3, best / 30):
        first, lowest, most = None, float("inf"), -1.0
        for value, found in _losses(net, loss, few, optimizer, rate, _LONG):
            first = value if first is None else first
            lowest = min(lowest, value)
            if found is None or not found[1]:
                expected, done = "a tenth of the loss", value <= 0.1 * first
            else:
                most = max(most, found[0] / found[1])
                done = most == 1
            if done:
                return SanityRow(name, expected, f"loss {first:.3g} to {value:.3g}", True)
        words.append(f"loss {lowest:.3g} at best" + (f", {most:.0%} met" if most >= 0 else ""))
    return SanityRow(name, expected, words[0], False)
