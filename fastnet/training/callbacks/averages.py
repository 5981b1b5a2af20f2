"""Averages of the weights that a training went through, and the statistics of norms that go with them."""
import numpy as np

from fastnet import arguments
from fastnet.training.batches import batches as checked_batches
from fastnet.training.batches import pair, size
from fastnet.training.callbacks.base import Callback


class _Average(Callback):
    """Puts a mean of weights into the net when training ends. The mean is kept in float64: thousands of small changes
    add up to it. What the net had then is kept as `last`, and training goes on from there."""

    state_names = ("mean", "times")

    def __init__(self):
        self.last = self.mean = None
        self.times = 0

    def on_train_begin(self, trainer):
        self.last = None
        if trainer.epoch == 0:
            self.mean, self.times = None, 0

    def check_state(self, mean, times):
        who = type(self).__name__
        mean = mean if mean is None else arguments.mapping(mean, f"{who}: mean", "arrays by name")
        for name, value in (mean or {}).items():
            arguments.array(value, f"{who}: mean[{name!r}]")
        return {"mean": mean, "times": arguments.integer(times, f"{who}: times", 0)}

    def take(self, net, decay=1.0):
        """mean = d mean + (1 - d) weights, with d = min(decay, t / (t + 1)) the t-th time, t from 0."""
        state = net.state_dict()
        decay = min(decay, self.times / (self.times + 1))
        for name, value in state.items():
            if value.dtype.kind == "f":
                state[name] = value = value.astype(np.float64)
                if self.mean is not None:
                    value *= 1 - decay
                    value += decay * self.mean[name]
        self.mean, self.times = state, self.times + 1

    def on_train_end(self, trainer):
        if self.mean is not None:
            last = trainer.net.state_dict()
            trainer.net.load_state_dict({name: value.astype(last[name].dtype) for name, value in self.mean.items()})
            self.last = last


class WeightAverage(_Average):
    """When training ends, puts a running mean of the weights into the net: often a little better than the last ones.

    After every `every`-th update, mean = d mean + (1 - d) weights with d = min(decay, t / (t + 1)) the t-th time, t
    from 0: at first the plain mean of all so far, later one that forgets. Running statistics are averaged alike.
    Validation meets the weights of the moment. ``net.load_state_dict(average.last)`` brings back the last ones.
    Polyak and Juditsky, Acceleration of stochastic approximation by averaging (1992).

    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1), [WeightAverage(0.9)])
    >>> history = trainer.fit((x, x[:, :1]), 5)
    >>> len(history)
    5
    """

    def __init__(self, decay=0.999, every=1):
        super().__init__()
        self.decay = arguments.number(decay, "WeightAverage: decay", 0, 1)
        self.every = arguments.integer(every, "WeightAverage: every", 1)

    def on_step_end(self, trainer):
        if trainer.step % self.every == 0:
            self.take(trainer.net, self.decay)

    def __repr__(self):
        return f"WeightAverage(decay={self.decay:g}, every={self.every})"


class StochasticWeightAverage(_Average):
    """When training ends, puts the plain mean of the weights at the ends of epochs into the net: those of epoch `start`
    and of every `every`-th after it, the ends of cycles where the learning rate goes up and down.

    Then the running statistics of norms are computed anew for these weights, by a pass over the training data, see
    `update_bn`. Validation meets the weights of the moment; ``net.load_state_dict(average.last)`` brings back the last
    ones. A training that ends before epoch `start` is left as it is.
    Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (2018), algorithm 1.

    >>> net = fastnet.Linear(2, 1)
    >>> x = np.float32([[0, 1], [1, 0], [1, 1]])
    >>> trainer = fastnet.Trainer(net, fastnet.MSELoss(),
    ...                           fastnet.SGD(net.parameters(), 0.1), [StochasticWeightAverage(3)])
    >>> history = trainer.fit((x, x[:, :1]), 5)
    >>> len(history)
    5
    """

    def __init__(self, start, every=1):
        super().__init__()
        self.start = arguments.integer(start, "StochasticWeightAverage: start", 1)
        self.every = arguments.integer(every, "StochasticWeightAverage: every", 1)

    def on_epoch_end(self, trainer):
        if trainer.epoch >= self.start and (trainer.epoch - self.start) % self.every == 0:
            self.take(trainer.net)

    def on_train_end(self, trainer):
        super().on_train_end(trainer)
        if self.mean is not None:
            update_bn(trainer.net, trainer.train_batches)

    def __repr__(self):
        return f"StochasticWeightAverage({self.start}, every={self.every})"


def update_bn(net, batches):
    """Compute the running statistics of the norms of `net` anew, in place, as means over `batches`, each of which
    counts alike: what they should be after weights were averaged or assigned. A batch is x or a pair (x, labels).

    All else stays as it is. The passes are those of training: a Dropout drops. Norms that are frozen, and those
    without running statistics, are left alone; for a net without any other nothing is computed. TypeError or ValueError
    for what are no batches; then, and wherever a pass fails, the statistics are what they were.
    PyTorch's torch.optim.swa_utils.update_bn.

    >>> net = fastnet.Sequential(fastnet.BatchNorm1d(1))
    >>> update_bn(net, [np.float32([[1], [3]])])
    >>> net[0].running_mean
    array([2.], dtype=float32)
    """
    arguments.having(net, ("forward", "named_layers"), "update_bn: net", "a net")
    batches = checked_batches(batches, "update_bn: batches", pairs=False, again=False)
    norms = [layer for _, layer in net.named_layers()
             if "num_batches_tracked" in layer.buffer_names and not getattr(layer, "frozen", False)]
    if not norms:
        return
    before = [(layer, layer.momentum, {name: getattr(layer, name) for name in layer.buffer_names}) for layer in norms]
    count = 0
    try:
        for layer, _, buffers in before:
            layer.momentum = None   # the mean of all batches
            for name, value in buffers.items():
                setattr(layer, name, np.ones_like(value) if name == "running_var" else np.zeros_like(value))
        for batch in batches:
            x = pair(batch, "update_bn: batches")[0] if isinstance(batch, (tuple, list)) else batch
            size(x, "update_bn: batches")
            net.forward(x, training=True)
            count += 1
        if not count:
            raise ValueError("update_bn: batches must hold batches, got no batch")
    except BaseException:
        for layer, _, buffers in before:
            for name, value in buffers.items():
                setattr(layer, name, value)
        raise
    finally:
        net.saved = None    # no backward pass follows
        for layer, momentum, _ in before:
            layer.momentum = momentum
