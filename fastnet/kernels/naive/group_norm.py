"""Normalisation of groups of channels of each sample."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last, total


def groupnorm_forward(x, gamma, beta, groups, eps):
    """y = gamma (x - mean) / sqrt(var + eps) + beta with the mean and the biased variance of each group of channels."""
    x, gamma, beta = alike(x=x, gamma=gamma, beta=beta)
    shapes.groupnorm_forward(x, gamma, beta, groups, eps)
    y, mean, var = normalise(_grouped(x, groups), eps, True, 2)
    return channels_last(times(y.reshape(x.shape), _spread(gamma, x), _spread(beta, x))), mean, var


def groupnorm_backward(dy, x, gamma, mean, var, eps):
    """dx = (gamma dy - a - xhat b) / sqrt(var + eps), a and b being the means of gamma dy and of gamma dy xhat in a
    group; dgamma = sum of dy xhat, dbeta = sum of dy."""
    dy, x, gamma, mean, var = alike(dy=dy, x=x, gamma=gamma, mean=mean, var=var)
    shapes.groupnorm_backward(dy, x, gamma, mean, var, eps)
    groups = mean.shape[1]
    weighted = _grouped(times(dy, _spread(gamma, x)), groups)
    dx, xhat = differentiate(weighted, _grouped(x, groups), mean, var, eps, True)
    axes = (0,) if x.ndim == 2 else (0, 2, 3)
    return channels_last(dx.reshape(x.shape)), *gradients(dy, xhat.reshape(x.shape), gamma, axes)


def alike(**operands):
    """The operands, in the dtype of the first one; None stays."""
    (name, first), *others = operands.items()
    first = checks.floating(first, name)
    return [first, *(checks.optional(array, name, like=first) for name, array in others)]


def _grouped(x, groups):
    """(N, C, ...) as (N, groups, C / groups, ...)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def _spread(values, x):
    """(C,) in a shape that goes with x (N, C) or (N, C, H, W)."""
    return values if values is None or x.ndim == 2 else values[:, None, None]


def times(x, gamma, beta=None):
    """gamma x + beta, without what is None."""
    y = x if gamma is None else x * gamma
    return y if beta is None else y + beta


def normalise(x, eps, centred, rank):
    """xhat over all axes behind the first `rank`, and mean and variance."""
    axes = tuple(range(rank, x.ndim))
    m = x[(0,) * rank].size
    mean = total(x, axes) / m if centred else np.zeros(x.shape[:rank], x.dtype)
    var = total(np.square(x - _behind(mean, x)), axes) / m
    return (x - _behind(mean, x)) / np.sqrt(_behind(var, x) + x.dtype.type(eps)), mean, var


def differentiate(weighted, x, mean, var, eps, centred):
    """(dx, xhat) for gamma dy."""
    axes, m = tuple(range(mean.ndim, x.ndim)), x[(0,) * mean.ndim].size
    inverse = 1 / np.sqrt(_behind(var, x) + x.dtype.type(eps))
    xhat = (x - _behind(mean, x)) * inverse
    a = total(weighted, axes, keepdims=True) / m if centred else 0
    b = total(weighted * xhat, axes, keepdims=True) / m
    return (weighted - a - xhat * b) * inverse, xhat


def gradients(dy, xhat, gamma, axes):
    return (None, None) if gamma is None else (total(dy * xhat, axes), total(dy, axes))


def _behind(values, x):
    """The values of the first axes in a shape that goes with x."""
    return values.reshape(values.shape + (1,) * (x.ndim - values.ndim))
