"""Batch normalisation (Ioffe and Szegedy, Batch normalization, 2015, algorithm 1) over all axes but the second."""
import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.naive.activation import silu_backward, silu_forward
from fastnet.kernels.naive.array import channels_last, plus, rectify


def batchnorm_forward(x, gamma, beta, eps, relu=False, add=None, silu=False):
    """y = gamma (x - mean) / sqrt(var + eps) + beta with the mean and the biased variance of each channel.
    relu=True, after add where there is one, or silu=True alone is applied to it.

    x, y and add (N, C) or (N, C, H, W); gamma, beta, mean, var (C,). ValueError where a channel has only one value.
    """
    checks.silu_alone(silu, relu, add)
    x = checks.floating(x, "x")
    c = checks.batchnorm_channels(x.shape, training=True)
    gamma, beta, eps = _scale(x, gamma, beta, eps, c)
    add = checks.operand(add, x.shape, "add", like=x)
    axes = _axes(x)
    mean = x.mean(axis=axes)
    var = np.square(x - _spread(mean, x)).mean(axis=axes)
    return _finished(_normalise(x, gamma, beta, mean, var, eps), relu, add, silu), mean, var


def batchnorm_backward(dy, x, gamma, beta, mean, var, eps, relu=False, silu=False):
    """With xhat = (x - mean) / sqrt(var + eps) and m values per channel: dbeta = sum of dy, dgamma = sum of dy xhat,
    dx = gamma / sqrt(var + eps) (dy - dbeta / m - xhat dgamma / m). relu=True sets dy to 0 where y was not positive;
    silu=True multiplies it by the slope of that function where y came out of it.

    dy, x, dx (N, C) or (N, C, H, W); all others (C,).
    """
    checks.silu_alone(silu, relu)
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    c = checks.batchnorm_channels(x.shape, training=True)
    checks.has_shape(dy, x.shape, "dy")
    gamma, beta, eps = _scale(dy, gamma, beta, eps, c)
    mean = checks.operand(mean, (c,), "mean", like=dy)
    var = checks.operand(var, (c,), "var", like=dy)
    if relu:
        dy = np.where(_normalise(x, gamma, beta, mean, var, eps) > 0, dy, 0)
    elif silu:
        dy = silu_backward(dy, _normalise(x, gamma, beta, mean, var, eps))
    inverse = 1 / np.sqrt(var + eps)
    xhat = (x - _spread(mean, x)) * _spread(inverse, x)
    dgamma, dbeta = (dy * xhat).sum(axis=_axes(x)), dy.sum(axis=_axes(x))
    m = x.size // c
    dx = _spread(gamma * inverse, x) * (dy - _spread(dbeta / m, x) - xhat * _spread(dgamma / m, x))
    return channels_last(dx), dgamma, dbeta


def batchnorm_inference(x, gamma, beta, mean, var, eps, relu=False, add=None, silu=False):
    """y as in batchnorm_forward with the statistics given."""
    checks.silu_alone(silu, relu, add)
    x = checks.floating(x, "x")
    c = checks.batchnorm_channels(x.shape, training=False)
    gamma, beta, eps = _scale(x, gamma, beta, eps, c)
    mean = checks.operand(mean, (c,), "mean", like=x)
    var = checks.operand(var, (c,), "var", like=x)
    add = checks.operand(add, x.shape, "add", like=x)
    return _finished(_normalise(x, gamma, beta, mean, var, eps), relu, add, silu)


def _scale(x, gamma, beta, eps, c):
    gamma = checks.operand(gamma, (c,), "gamma", like=x)
    beta = checks.operand(beta, (c,), "beta", like=x)
    return gamma, beta, checks.above_zero(eps, "eps")


def _normalise(x, gamma, beta, mean, var, eps):
    scale = gamma / np.sqrt(var + eps)
    return (x - _spread(mean, x)) * _spread(scale, x) + _spread(beta, x)


def _finished(y, relu, add, silu):
    """y, with what is to be added, through the activation."""
    return silu_forward(y) if silu else channels_last(rectify(plus(y, add), relu))


def _axes(x):
    return (0,) if x.ndim == 2 else (0, 2, 3)


def _spread(values, x):
    """(C,) in a shape that goes with x (N, C) or (N, C, H, W)."""
    return values if x.ndim == 2 else values[:, None, None]
