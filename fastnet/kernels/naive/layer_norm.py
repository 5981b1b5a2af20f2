"""Normalisation over the last axes."""
from fastnet.kernels import shapes
from fastnet.kernels.naive.array import channels_last
from fastnet.kernels.naive.group_norm import alike, differentiate, gradients, normalise, times


def layernorm_forward(x, gamma, beta, axes, eps, centred=True):
    """y = gamma (x - mean) / sqrt(var + eps) + beta with the mean and the biased variance over the last axes; not
    centred, 0 stands for the mean."""
    x, gamma, beta = alike(x=x, gamma=gamma, beta=beta)
    shapes.layernorm_forward(x, gamma, beta, axes, eps, centred)
    y, mean, var = normalise(x, eps, centred, x.ndim - axes)
    return channels_last(times(y, gamma, beta)), mean, var


def layernorm_backward(dy, x, gamma, mean, var, eps, centred=True):
    """dx = (gamma dy - a - xhat b) / sqrt(var + eps), a and b being the means of gamma dy, 0 where it is not centred,
    and of gamma dy xhat; dgamma = sum of dy xhat, dbeta = sum of dy."""
    dy, x, gamma, mean, var = alike(dy=dy, x=x, gamma=gamma, mean=mean, var=var)
    shapes.layernorm_backward(dy, x, gamma, mean, var, eps, centred)
    dx, xhat = differentiate(times(dy, gamma), x, mean, var, eps, centred)
    dgamma, dbeta = gradients(dy, xhat, gamma, tuple(range(mean.ndim)))
    return channels_last(dx), dgamma, dbeta if centred else None
