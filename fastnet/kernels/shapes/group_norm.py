"""Normalisation of groups of channels of each sample; gamma and beta may be None, as in `norm`."""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import Kind, affine, affine_gradients, arriving, fits


def groupnorm_forward(x, gamma, beta, groups, eps):
    """y = gamma xhat + beta with xhat = (x - mean) / sqrt(var + eps), and the mean and the biased variance of each
    sample's groups: so many groups of channels that follow each other, with all pixels. x (N, C) or (N, C, H, W), gamma
    and beta (C,), mean and var (N, groups). ValueError where groups do not divide C, and where eps is not above zero.
    Source: Wu and He, Group normalization, 2018."""
    n, c = _channels(x.shape)
    affine(gamma, beta, (c,))
    if c % arguments.integer(groups, "groups", 1):
        raise ValueError(f"{groups} groups do not divide the {c} channels of x of shape {tuple(x.shape)}")
    arguments.number(eps, "eps", above=0)
    y = Kind(x.shape, checks.result_dtype(x, "x"))
    statistics = Kind((n, groups), y.dtype)
    return y, statistics, statistics


def groupnorm_backward(dy, x, gamma, mean, var, eps):
    """With xhat as in groupnorm_forward and m numbers in a group: dbeta = sum of dy, dgamma = sum of dy xhat, both over
    all samples, dx = (gamma dy - a - xhat b) / sqrt(var + eps) with a = (the sum of gamma dy over the group) / m and
    b = (the sum of gamma dy xhat over the group) / m."""
    n, c = _channels(x.shape)
    dx = Kind(x.shape, arriving(dy, x.shape))
    checks.real(x, "x")
    if len(mean.shape) != 2 or mean.shape[0] != n or c % max(1, mean.shape[1]):
        raise ValueError(f"expected mean of shape ({n}, groups), got mean of shape {mean.shape}")
    checks.real(mean, "mean")
    fits(var, mean.shape, "var")
    arguments.number(eps, "eps", above=0)
    return dx, *affine_gradients(gamma, Kind((c,), dx.dtype))


def _channels(shape):
    """(N, C) of the shape of rows or images."""
    if len(shape) not in (2, 4):
        raise ValueError(f"expected x of shape (N, C) or (N, C, H, W), got x of shape {tuple(shape)}")
    checks.not_empty(shape)
    return shape[:2]
