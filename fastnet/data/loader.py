"""Mini-batches of whatever lies in arrays; the next batch is prepared while this one trains."""
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from copy import copy

import numpy as np

from fastnet import arguments
from fastnet.data.augment import Augment
from fastnet.data.draws import SAMPLER, permutation
from fastnet.data.source import sample_weights, source

_OPTIONS = ("batch_size", "shuffle", "seed", "drop_last", "sampler", "augment", "normalize", "transform", "prefetch",
            "workers")


class DataLoader:
    """Iterates over batches (x, y), or x alone where there is no y: ``for x, y in DataLoader(images, labels)``; with
    weights of samples over (x, y, sample_weight).

    x, y : arrays of as many samples each, of any shape; tuples or dictionaries of arrays; memory-mapped files; a
        `Dataset`; images in files, `ImageFiles` or `ImageFolder`; or, as x alone, an object with ``len(x)`` and
        ``x[i]`` that gives one sample, x or a pair (x, y), as the data sets of PyTorch do. None of them is changed.
        Images, arrays (N, C, H, W) of uint8 or floats, come as float32, channels-last in memory, uint8 as 0.0 to 255.0.
        All other arrays come as they are, integers of y as int64.
    shuffle : another order in every epoch;  drop_last : leave out the last batch where it is not full
    sampler : a function (rng, n) that gives the numbers of an epoch's samples in place of the shuffled ones, see
        `WeightedSampler`, `BalancedSampler` and `SubsetSampler`
    augment : an `Augment`, for images;  normalize : a `Normalize`, or {key: Normalize} for an x that is a dictionary
    transform : a function (x, y) of one's own that gives the pair to use in place of a batch; (x) where there is no y
    workers : threads that prepare batches, each of them one at a time: more than one for images in files, where several
        may then call a transform, or a data set of one's own, at once
    prefetch : batches that each worker is ahead. With 0 of either they are prepared in the caller's thread.
    sample_weight : one number of at least 0 for each sample, which a `Trainer` gives to its loss

    Order and augmentation of a sample follow from (seed, epoch, place in the data set) alone, whatever the batch size,
    the threads and the prefetching. Every `iter(loader)` is one epoch: the counter `epoch` tells the next one's number,
    and `set_epoch` sets it; `state_dict` and `load_state_dict` keep it and the seed. x lives in a buffer that is used
    again once nobody refers to it: keep a batch as long as you like. Options may be assigned later, and count from the
    next epoch on. TypeError or ValueError for whatever is not as described here, at once; nothing is changed then.

    >>> x, y = np.arange(6.0), np.array([0, 0, 0, 0, 1, 1])
    >>> for x, y in DataLoader(x, y, batch_size=4, shuffle=False):
    ...     print(x, y)
    [0. 1. 2. 3.] [0 0 0 0]
    [4. 5.] [1 1]
    """

    def __init__(self, x, y=None, batch_size=128, shuffle=True, seed=0, drop_last=False, sampler=None, augment=None,
                 normalize=None, transform=None, prefetch=1, workers=1, sample_weight=None):
        vars(self)["_source"] = source(x, y)
        vars(self)["_weight"] = sample_weights(sample_weight, self._source)
        values = batch_size, shuffle, seed, drop_last, sampler, augment, normalize, transform, prefetch, workers
        self._keep(dict(zip(_OPTIONS, values, strict=True)))
        self.epoch = 0

    def _keep(self, given):
        """Check all options, then keep them; TypeError or ValueError where one does not fit."""
        def integer(name, least, most=None):
            return arguments.integer(given[name], f"DataLoader: {name}", least, most)

        def function(name, what):
            return None if given[name] is None else arguments.function(given[name], f"DataLoader: {name}", what)

        kept = {
            "batch_size": integer("batch_size", 1), "seed": integer("seed", 0, 2**63 - 1),
            "prefetch": integer("prefetch", 0), "workers": integer("workers", 0, 1024),
            "shuffle": arguments.flag(given["shuffle"], "DataLoader: shuffle"),
            "drop_last": arguments.flag(given["drop_last"], "DataLoader: drop_last"),
            "sampler": function("sampler", "a function (rng, n) that gives the numbers of samples"),
            "augment": given["augment"], "normalize": given["normalize"],
            "transform": function("transform", "a function of a batch"),
        }
        if kept["augment"] is not None:
            arguments.instance(kept["augment"], Augment, "DataLoader: augment", "an Augment or None")
            if kept["augment"].mixes and self._weight is not None:
                raise ValueError("DataLoader: sample_weight belongs to samples as they are: leave out mixup and cutmix")
        count, batches = self._source.count, self._source.prepare(kept["augment"], kept["normalize"])
        if kept["sampler"] is not None:
            count = len(self._sampled(kept["sampler"], kept["seed"], 0))
        if kept["drop_last"] and count < kept["batch_size"]:
            raise ValueError(f"DataLoader: batch_size must be at most the number of samples where drop_last is True, "
                             f"got {kept['batch_size']} for {count}, so that there is no batch")
        vars(self).update(kept, _count=count, _batches=batches)

    def _sampled(self, sampler, seed, epoch):
        """The numbers of an epoch's samples, as a sampler gives them."""
        n = self._source.count
        index = arguments.values(sampler(np.random.default_rng([seed, epoch, SAMPLER]), n), "DataLoader: what sampler "
                                 "gives")
        if index.ndim != 1 or index.dtype.kind not in "iu" or not len(index):
            raise ValueError("DataLoader: sampler must give a row of integers, the numbers of samples, one at least, "
                             f"got {arguments.shown(index)}")
        if not 0 <= index.min() <= index.max() < n:
            raise ValueError(f"DataLoader: sampler must give numbers of {n} samples, got some from {index.min()} to "
                             f"{index.max()}")
        return index.astype(np.int64, copy=False)

    def __setattr__(self, name, value):
        if name == "epoch":
            object.__setattr__(self, name, arguments.integer(value, "DataLoader: epoch", 0, 2**63 - 1))
        elif name in _OPTIONS:
            self._keep({**{option: vars(self)[option] for option in _OPTIONS}, name: value})
        else:
            raise AttributeError(f"DataLoader: {name} cannot be assigned; make a new loader for other data")

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_batches"}

    def __setstate__(self, state):
        vars(self).update(state)
        vars(self)["_batches"] = self._source.prepare(self.augment, self.normalize)

    def in_order(self):
        """A loader of all the same samples, each once, in the order of the data and not augmented, for `predict`; this
        one stays as it is."""
        other = copy(self)
        other._keep({**{option: vars(self)[option] for option in _OPTIONS}, "drop_last": False, "shuffle": False,
                     "sampler": None, "augment": None})
        return other

    def __len__(self):
        """Batches in an epoch."""
        full, rest = divmod(self._count, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def set_epoch(self, epoch):
        """The next iteration is that of epoch number `epoch`, counted from 0."""
        self.epoch = epoch

    def state_dict(self):
        """What the next epoch depends on beside the data and the options: {"epoch": ..., "seed": ...}."""
        return {"epoch": self.epoch, "seed": self.seed}

    def load_state_dict(self, state):
        """Go on where a loader with this `state_dict` stood. ValueError where something is missing or does not fit;
        nothing is changed then."""
        who = "DataLoader.load_state_dict"
        state = arguments.mapping(state, f"{who}: state", "what state_dict gives")
        if state.keys() != {"epoch", "seed"}:
            raise ValueError(f"{who}: state must have the keys 'epoch' and 'seed', got {sorted(state)}")
        epoch, seed = (arguments.integer(state[name], f"{who}: {name}", 0, 2**63 - 1) for name in ("epoch", "seed"))
        self.seed, self.epoch = seed, epoch

    def __iter__(self):
        return self.iterate_from(0)

    def iterate_from(self, first):
        """The next epoch's batches from number `first` on, counted from 0; those before it are not computed. ValueError
        where there are fewer."""
        first = arguments.integer(first, f"DataLoader.iterate_from: first, one of {len(self)} batches,", 0, len(self))
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._iterate(epoch, first)

    def _order(self, epoch):
        """The numbers of an epoch's samples."""
        if self.sampler is None:
            n = self._source.count
            return permutation(self.seed, epoch, n) if self.shuffle else np.arange(n)
        order = self._sampled(self.sampler, self.seed, epoch)
        if len(order) != self._count:
            raise ValueError(f"DataLoader: sampler must give as many samples in each epoch, got {self._count} in the "
                             f"first and {len(order)} in epoch {epoch}")
        return order

    def _iterate(self, epoch, first):
        order = self._order(epoch)
        mixes = self.augment is not None and self.augment.mixes
        parts = [order[i:i + self.batch_size] for i in range(0, self.batch_size * len(self), self.batch_size)]
        if mixes:   # the last one of a batch is mixed with the first of the next
            parts = [np.append(part, after[:1]) for part, after in zip(parts, [*parts[1:], order], strict=True)]
        batches, seed, transform, weight, given = self._batches, self.seed, self.transform, self._weight, 0

        def batch(part):
            made = _transformed(transform, batches(part, seed, epoch))
            return made if weight is None else (*made, weight[part])

        for made in _ahead(batch, parts[first:], self.workers, self.prefetch * self.workers):
            if made is not None:    # all of its files could be damaged
                given += 1
                yield made
        self._source.end(given)

    def __repr__(self):
        names = "sampler", "augment", "normalize", "transform", "drop_last"
        options = [f"{name}={getattr(self, name)!r}" for name in names if getattr(self, name)]
        return (f"DataLoader({self._source.describe()}, {len(self):,} batches of {self.batch_size}, "
                f"shuffle={self.shuffle}, seed={self.seed}{''.join(', ' + option for option in options)})")


def _ahead(function, parts, workers, ahead):
    """function(part) of each, in their order, prepared by `workers` threads, so many `ahead` of the one that is given.
    """
    if ahead == 0:
        yield from map(function, parts)
        return
    threads = ThreadPoolExecutor(workers, thread_name_prefix="fastnet-loader")
    try:
        coming = deque(threads.submit(function, part) for part in parts[:ahead])
        for i in range(len(parts)):
            if i + ahead < len(parts):
                coming.append(threads.submit(function, parts[i + ahead]))
            yield coming.popleft().result()
    finally:  # also where the caller stops half-way: a generator that is dropped runs this
        threads.shutdown(cancel_futures=True)


def _transformed(transform, batch):
    """What a function of the user's makes of a batch."""
    if transform is None or batch is None:
        return batch
    if not isinstance(batch, tuple):
        return transform(batch)
    made = transform(*batch)
    if not isinstance(made, (tuple, list)) or len(made) != 2:
        raise TypeError(f"DataLoader: transform must give the pair (x, y) to use in place of the one that it got, got "
                        f"{arguments.shown(made)}")
    return tuple(made)
