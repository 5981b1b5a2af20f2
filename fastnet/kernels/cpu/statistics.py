"""The running statistics of batch normalisation, which inference uses in place of a batch's own."""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, copies, shapes
from fastnet.kernels.cpu.runtime import empty, flat, launch, literal


def batchnorm_track(running_mean, running_var, num_batches_tracked, mean, var, count, momentum=None):
    """The running statistics (1 - momentum) old + momentum new, var made unbiased, and one batch more: new arrays. Of
    mean and var with a row for each sample the means over these are the new ones."""
    running_mean, counted = checks.floating(running_mean, "running_mean"), np.asarray(num_batches_tracked)
    new = {"running_var": running_var, "mean": mean, "var": var}
    running_var, mean, var = (checks.floating(array, name, like=running_mean) for name, array in new.items())
    shapes.batchnorm_track(running_mean, running_var, counted, mean, var, count, momentum)
    dtype = running_mean.dtype
    tracked = empty(running_mean.shape, dtype), empty(running_mean.shape, dtype), empty((), np.int64)
    old = _Running(flat(running_mean), flat(running_var), flat(copies.converted(counted, np.int64)))
    launch(_track, 1, old, flat(mean), flat(var), _Running(*map(flat, tracked)),
           -1.0 if momentum is None else float(momentum), float(count), work=0)
    return tracked


class _Running(NamedTuple):
    mean: np.ndarray
    var: np.ndarray
    batches: np.ndarray     # one integer: how many were tracked


@literal
def _track(block, slot, old, mean, var, moved, momentum, count):
    """A momentum below zero stands for None."""
    moved.batches[0] = old.batches[0] + 1
    if momentum < 0:
        momentum = 1 / moved.batches[0]
    kept, taken = mean.dtype.type(1 - momentum), mean.dtype.type(momentum)
    unbiased = mean.dtype.type(momentum * count / (count - 1))
    for j in range(moved.mean.size):
        moved.mean[j] = kept * old.mean[j] + taken * _average(mean, j, moved.mean.size)
        moved.var[j] = kept * old.var[j] + unbiased * _average(var, j, moved.mean.size)


@literal
def _average(x, first, apart):
    """The mean of the numbers that lie so far apart."""
    total = 0.0
    for i in range(first, x.size, apart):
        total += x[i]
    return x.dtype.type(total / (x.size // apart))
