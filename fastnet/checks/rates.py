"""Which learning rate? One short training in which it grows."""
import copy
from math import exp, isfinite, log

import numpy as np

from fastnet import arguments
from fastnet.checks.common import checked_loss, measured, spare
from fastnet.training.batches import batches as checked_batches
from fastnet.training.batches import check_trained, pair

_WHO = "lr_range_test"
_REMEDY = "take more steps, a higher lr_min, or see with sanity_check whether the net learns at all"


class LRRange:
    """What `lr_range_test` found: `lrs` and `losses`, one for each step; `smoothed`, their running mean; `lowest`, the
    rate at its minimum; `steepest`, the one where it falls fastest; `diverged`, the rate at which the loss went beyond
    four times its minimum, or None; `suggestion`, the rate to begin with, a tenth of `lowest`; asking for
    it is a ValueError where the loss did not fall.
    ``fastnet.plot.lr_range(found)`` draws it.

    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> loss, optimizer = (fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1))
    >>> found = lr_range_test(net, loss, optimizer, (x, x[:, :1]), lr_min=1e-3, steps=20)
    >>> len(found.lrs) == len(found.losses)
    True
    """

    def __init__(self, lrs, losses, smoothed, diverged):
        self.lrs, self.losses, self.smoothed, self.diverged = lrs, losses, smoothed, diverged

    @property
    def lowest(self):
        return float(self.lrs[int(np.argmin(self.smoothed))])

    @property
    def steepest(self):
        end = int(np.argmin(self.smoothed)) + 1
        if end < 3:
            return self.lowest
        return float(self.lrs[int(np.argmin(np.gradient(self.smoothed[:end], np.log(self.lrs[:end]))))])

    @property
    def fell(self):
        """Whether the smoothed loss ever was a thousandth below its first."""
        first = self.smoothed[0]
        return bool(self.smoothed.min() < first - 0.001 * abs(first))

    @property
    def suggestion(self):
        if not self.fell:
            raise ValueError(f"lr_range_test: the loss did not fall, {self._told()}: {_REMEDY}")
        return self.lowest / 10

    def _told(self):
        return f"from {self.smoothed[0]:.4g} to {self.smoothed.min():.4g} at lowest in {len(self.lrs)} steps"

    def __repr__(self):
        end = f", diverged at {self.diverged:.2g}" if self.diverged else ""
        if not self.fell:
            return f"LRRange(the loss did not fall, {self._told()}{end}: {_REMEDY})"
        return (f"LRRange({len(self.lrs)} steps, loss {self.smoothed[0]:.4g} to {self.smoothed.min():.4g}, lowest at "
                f"{self.lowest:.2g}, steepest at {self.steepest:.2g}{end}: begin with {self.suggestion:.2g})")


def lr_range_test(net, loss, optimizer, batches, lr_min=1e-6, lr_max=10.0, steps=100, smoothing=0.9):
    """Train a copy of `net` for `steps` updates while the learning rate grows by the same factor in each, from `lr_min`
    to `lr_max`, and tell which loss each led to: an `LRRange`. A good rate lies where the loss falls, well before its
    minimum; behind that training diverges, and the test ends there.

    net, optimizer : copies of both go on from where they stand, momentum included; the given ones stay as they are.
    batches : arrays (x, y) or batches, gone through as often as it takes; one that tells by ``state_dict`` where it
        stands is put back there.
    smoothing : of the running mean of the losses, s = smoothing s + (1 - smoothing) loss, divided by what its weights
        add up to.

    The lrs are those of the optimiser, which groups with an lr_scale multiply. Smith, Cyclical Learning Rates for
    Training Neural Networks (2017), section 3.3; the exponential growth is Gugger's (2018). TypeError or ValueError
    for what does not fit, and where the loss is not finite at the start.

    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> loss, optimizer = (fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1))
    >>> found = lr_range_test(net, loss, optimizer, (x, x[:, :1]), lr_min=1e-3, steps=20)
    >>> found.suggestion > 1e-3
    True
    """
    loss = checked_loss(loss, _WHO)
    arguments.having(optimizer, ("step",), f"{_WHO}: optimizer", "an optimiser of the net's parameters")
    lr_min = arguments.number(lr_min, f"{_WHO}: lr_min", above=0)
    lr_max = arguments.number(lr_max, f"{_WHO}: lr_max, the last of the rates from lr_min = {lr_min:g} on,",
                              above=lr_min)
    steps = arguments.integer(steps, f"{_WHO}: steps", 2, 10**6)
    smoothing = arguments.number(smoothing, f"{_WHO}: smoothing", 0, below=1)
    spare(net, _WHO)    # refuses what is no net
    batches = checked_batches(batches, f"{_WHO}: batches", shuffle=True)
    net, optimizer = copy.deepcopy((net, optimizer))
    check_trained(net, optimizer, _WHO)
    state = batches.state_dict() if hasattr(batches, "load_state_dict") else None
    lrs = [exp(log(lr_min) + (log(lr_max) - log(lr_min)) * i / (steps - 1)) for i in range(steps)]
    try:
        losses, smoothed = _losses(net, loss, optimizer, batches, lrs, smoothing)
    finally:
        if state is not None:
            batches.load_state_dict(state)
    ended = len(losses) < steps
    count = len(smoothed)
    return LRRange(np.array(lrs[:count]), np.array(losses[:count]), np.array(smoothed),
                   lrs[min(count, steps - 1)] if ended else None)


def _losses(net, loss, optimizer, batches, lrs, smoothing):
    """The losses, and their running mean, as long as they are finite and below four times the lowest."""
    losses, smoothed, mean = [], [], 0.0
    stream = _endless(batches)
    for i, lr in enumerate(lrs):
        optimizer.lr = lr
        x, y, weight = next(stream)
        value, dy, _ = measured(net, loss, x, y, _WHO, weight)
        if not isfinite(value):
            net.saved = None    # no backward pass follows
            break
        losses.append(value)
        mean = smoothing * mean + (1 - smoothing) * value
        smoothed.append(mean / (1 - smoothing ** (i + 1)))
        if smoothed[-1] > 4 * min(smoothed) and smoothed[-1] > 0:
            break
        with np.errstate(over="ignore", invalid="ignore"):  # of a rate that is much too high
            net.backward(dy, need_dx=False)
            optimizer.step()
    if not losses:
        raise ValueError(f"{_WHO}: loss must be finite at the start, got {value}")
    return losses, smoothed


def _endless(batches):
    """(x, y, weights of samples or None) of the batches of one epoch after the other."""
    while True:
        found = False
        for batch in batches:
            found = True
            yield pair(batch, f"{_WHO}: batches")
        if not found:
            raise ValueError(f"{_WHO}: batches must hold batches, got no batch")
