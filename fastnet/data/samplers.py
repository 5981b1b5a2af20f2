"""Which samples an epoch shows, and in what order, other than all of them once.

A sampler is a function (rng, n) of a numpy.random.Generator, which is another one in each epoch, and of how many
samples there are. It gives the numbers of the samples, as many in each epoch: ``DataLoader(..., sampler=...)``.
"""
import numpy as np

from fastnet import arguments


def _asked(who, rng, n, count=None, what=None):
    """Refuse what are no arguments of a sampler, and an n that is not its own `count`."""
    arguments.instance(rng, np.random.Generator, f"{who}: rng", "a numpy.random.Generator")
    if arguments.integer(n, f"{who}: n", 1) != count and what is not None:
        raise ValueError(f"{who}: {what} must be one a sample, got {count} for "
                         f"n={arguments.shown(n)}")


class WeightedSampler:
    """Draws samples with probabilities in proportion to `weights`, (N,), finite and not negative.

    num_samples : how many an epoch shows, at first as many as there are;  replacement : whether one may come twice
    As PyTorch's WeightedRandomSampler. ValueError for weights that are no such numbers, or, without replacement, for
    fewer weights above zero than samples are wanted.

    >>> sampler = WeightedSampler([0, 1, 1, 0])
    >>> set(sampler(np.random.default_rng(0), 4)) <= {1, 2}
    True
    """

    def __init__(self, weights, num_samples=None, replacement=True):
        weights = arguments.values(weights, "WeightedSampler: weights").astype(np.float64)
        good = weights.ndim == 1 and len(weights) and (np.isfinite(weights) & (weights >= 0)).all()
        if not good or not weights.any():
            raise ValueError("WeightedSampler: weights must be one finite number a sample, none negative and not all "
                             f"0, got {arguments.shown(weights)}")
        self.weights, self.replacement = weights, arguments.flag(replacement, "WeightedSampler: replacement")
        self.num_samples = len(weights) if num_samples is None else arguments.integer(
            num_samples, "WeightedSampler: num_samples", 1)
        if not self.replacement and self.num_samples > np.count_nonzero(weights):
            raise ValueError(f"WeightedSampler: without replacement at most {np.count_nonzero(weights)} samples can be "
                             f"drawn, those with a weight above 0, got num_samples={self.num_samples}")

    def __call__(self, rng, n):
        _asked("WeightedSampler", rng, n, len(self.weights), "weights")
        return rng.choice(n, self.num_samples, self.replacement, self.weights / self.weights.sum())

    def __repr__(self):
        return (f"WeightedSampler({len(self.weights)} weights, num_samples={self.num_samples}, "
                f"replacement={self.replacement})")


class BalancedSampler:
    """Shows every class equally often, up to one sample: those of rare classes several times.

    labels : class numbers (N,);  num_samples : how many an epoch shows, at first as many as there are
    Within a class every sample comes once before one comes again.

    >>> sampler = BalancedSampler([0, 0, 0, 0, 1, 1])
    >>> len(sampler(np.random.default_rng(0), 6))
    6
    """

    def __init__(self, labels, num_samples=None):
        self.labels = arguments.labels(labels, "BalancedSampler: labels")
        if not len(self.labels):
            raise ValueError("BalancedSampler: labels must hold one at least, got none")
        self.num_samples = len(self.labels) if num_samples is None else arguments.integer(
            num_samples, "BalancedSampler: num_samples", 1)

    def __call__(self, rng, n):
        _asked("BalancedSampler", rng, n, len(self.labels), "labels")
        classes = [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]
        share, rest = divmod(self.num_samples, len(classes))
        more = rng.permutation(len(classes)) < rest     # who gives one sample more
        chosen = [self._drawn(rng, members, share + extra) for members, extra in zip(classes, more, strict=True)]
        return rng.permutation(np.concatenate(chosen))

    @staticmethod
    def _drawn(rng, members, count):
        rounds = [rng.permutation(members) for _ in range(-(-count // len(members)))]
        return np.concatenate(rounds)[:count] if rounds else members[:0]

    def __repr__(self):
        return f"BalancedSampler({len(np.unique(self.labels))} classes, num_samples={self.num_samples})"


class SubsetSampler:
    """Shows the samples of these numbers, in another order in each epoch; as PyTorch's SubsetRandomSampler.

    >>> sampler = SubsetSampler([2, 5])
    >>> sorted(sampler(np.random.default_rng(0), 6).tolist())
    [2, 5]
    """

    def __init__(self, indices):
        indices = arguments.values(indices, "SubsetSampler: indices")
        if indices.ndim != 1 or not len(indices) or indices.dtype.kind not in "iu" or int(indices.min()) < 0:
            raise ValueError("SubsetSampler: indices must be a row of integers from 0, one at least, got "
                             f"{arguments.shown(indices)}")
        self.indices = indices.astype(np.int64)

    def __call__(self, rng, n):
        _asked("SubsetSampler", rng, n)
        return rng.permutation(self.indices)

    def __repr__(self):
        return f"SubsetSampler({len(self.indices)} samples)"
