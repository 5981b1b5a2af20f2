"""Batch normalisation over all axes but the second."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last, total


def batchnorm_forward(x, gamma, beta, eps):
    """y = gamma (x - mean) / sqrt(var + eps) + beta with the mean and the biased variance of each channel."""
    x = checks.floating(x, "x")
    gamma, beta = _alike(x, gamma=gamma, beta=beta)
    shapes.batchnorm_forward(x, gamma, beta, eps)
    mean = total(x, _axes(x)) / (x.size // x.shape[1])
    var = total(np.square(x - _spread(mean, x)), _axes(x)) / (x.size // x.shape[1])
    return _normalise(x, gamma, beta, mean, var, eps), mean, var


def batchnorm_backward(dy, x, gamma, mean, var, eps):
    """dbeta = sum of dy, dgamma = sum of dy xhat, dx = gamma / sqrt(var + eps) (dy - dbeta / m - xhat dgamma / m)."""
    dy = checks.floating(dy, "dy")
    x, gamma, mean, var = _alike(dy, x=x, gamma=gamma, mean=mean, var=var)
    shapes.batchnorm_backward(dy, x, gamma, mean, var, eps)
    inverse = 1 / np.sqrt(var + float(eps))
    xhat = (x - _spread(mean, x)) * _spread(inverse, x)
    dgamma, dbeta = total(dy * xhat, _axes(x)), total(dy, _axes(x))
    m = x.size // x.shape[1]
    dx = _spread(_or(gamma, 1) * inverse, x) * (dy - _spread(dbeta / m, x) - xhat * _spread(dgamma / m, x))
    return channels_last(dx), *_given(gamma, dgamma, dbeta)


def batchnorm_inference(x, gamma, beta, mean, var, eps):
    """y as in batchnorm_forward with the statistics given."""
    x = checks.floating(x, "x")
    gamma, beta, mean, var = _alike(x, gamma=gamma, beta=beta, mean=mean, var=var)
    shapes.batchnorm_inference(x, gamma, beta, mean, var, eps)
    return _normalise(x, gamma, beta, mean, var, eps)


def batchnorm_inference_backward(dy, x, gamma, mean, var, eps):
    """dx = dy gamma / sqrt(var + eps), dgamma = sum of dy xhat, dbeta = sum of dy."""
    dy = checks.floating(dy, "dy")
    x, gamma, mean, var = _alike(dy, x=x, gamma=gamma, mean=mean, var=var)
    shapes.batchnorm_inference_backward(dy, x, gamma, mean, var, eps)
    inverse = 1 / np.sqrt(var + float(eps))
    xhat = (x - _spread(mean, x)) * _spread(inverse, x)
    dgamma, dbeta = total(dy * xhat, _axes(x)), total(dy, _axes(x))
    return channels_last(dy * _spread(_or(gamma, 1) * inverse, x)), *_given(gamma, dgamma, dbeta)


def batchnorm_track(running_mean, running_var, num_batches_tracked, mean, var, count, momentum=None):
    """The running statistics (1 - momentum) old + momentum new, var made unbiased, and one batch more."""
    running_mean, counted = checks.floating(running_mean, "running_mean"), np.asarray(num_batches_tracked)
    running_var, mean, var = _alike(running_mean, running_var=running_var, mean=mean, var=var)
    shapes.batchnorm_track(running_mean, running_var, counted, mean, var, count, momentum)
    if mean.ndim == 2:
        mean, var = total(mean, 0) / len(mean), total(var, 0) / len(var)
    new = 1 / (int(counted) + 1) if momentum is None else float(momentum)
    old = 1 - new
    unbiased = float(new * count / (count - 1))
    return old * running_mean + new * mean, old * running_var + unbiased * var, np.array(counted + 1, np.int64)


def _alike(first, **operands):
    """The operands, in the dtype of the first one; gamma and beta may be None."""
    return [None if array is None and name in ("gamma", "beta") else checks.floating(array, name, like=first)
            for name, array in operands.items()]


def _or(array, number):
    return number if array is None else array


def _given(gamma, dgamma, dbeta):
    return (None, None) if gamma is None else (dgamma, dbeta)


def _normalise(x, gamma, beta, mean, var, eps):
    scale = _or(gamma, 1) / np.sqrt(var + float(eps))
    y = (x - _spread(mean, x)) * _spread(scale, x)
    return channels_last(y if beta is None else y + _spread(beta, x))


def _axes(x):
    return (0,) if x.ndim == 2 else (0, 2, 3)


def _spread(values, x):
    """(C,) in a shape that goes with x (N, C) or (N, C, H, W)."""
    return values if x.ndim == 2 else values[:, None, None]
