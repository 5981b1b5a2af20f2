"""Normalisation over all axes but the second; x, y, dy, dx (N, C) or (N, C, H, W), all other arrays (C,).

Without gamma it counts as 1 and without beta that as 0, which are None then, as are the gradients for them: beta comes
with a gamma alone. Source: Ioffe and Szegedy, Batch normalization, 2015, algorithms 1 and 2.
"""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import Kind, affine, affine_gradients, fits


def batchnorm_forward(x, gamma, beta, eps):
    """y = gamma xhat + beta with xhat = (x - mean) / sqrt(var + eps), and the mean and the biased variance of each
    channel. ValueError where a channel has only one value, too, and where eps is not above zero."""
    y, channel = _norm(x, "x", x, eps, training=True)
    affine(gamma, beta, channel.shape)
    return y, channel, channel


def batchnorm_backward(dy, x, gamma, mean, var, eps):
    """With xhat as in batchnorm_forward and m values a channel: dbeta = sum of dy, dgamma = sum of dy xhat,
    dx = gamma / sqrt(var + eps) (dy - dbeta / m - xhat dgamma / m)."""
    dx, channel = _norm(dy, "dy", x, eps, training=True, mean=mean, var=var)
    return dx, *affine_gradients(gamma, channel)


def batchnorm_inference(x, gamma, beta, mean, var, eps):
    """y as in batchnorm_forward, with the statistics given."""
    y, channel = _norm(x, "x", x, eps, training=False, mean=mean, var=var)
    affine(gamma, beta, channel.shape)
    return y


def batchnorm_inference_backward(dy, x, gamma, mean, var, eps):
    """dx = dy gamma / sqrt(var + eps), dgamma = sum of dy xhat, dbeta = sum of dy: the gradient of
    batchnorm_inference, whose statistics are constants."""
    dx, channel = _norm(dy, "dy", x, eps, training=False, mean=mean, var=var)
    return dx, *affine_gradients(gamma, channel)


def batchnorm_track(running_mean, running_var, num_batches_tracked, mean, var, count, momentum=None):
    """Three new arrays: running_mean and running_var, moved towards the mean and the biased variance of a batch of
    `count` values a channel, and num_batches_tracked + 1, int64 of shape (), from any integer of that shape. Of mean
    and var with a row for each sample, (N, C), the means over these count.

    running_mean = (1 - momentum) running_mean + momentum mean, and alike with momentum count / (count - 1) for var,
    which makes the variance unbiased. None is the momentum 1 / (num_batches_tracked + 1), which makes the means of all
    batches of them. Factors are computed as Python floats, and each product and the sum is rounded to the arrays'
    dtype. ValueError where momentum is not in [0, 1] and where count is below 2.
    """
    running = Kind(running_mean.shape, checks.result_dtype(running_mean, "running_mean"))
    if len(running.shape) != 1:
        raise ValueError(f"expected running_mean of shape (C,), got running_mean of shape {running.shape}")
    given = running.shape if len(mean.shape) != 2 else (mean.shape[0], *running.shape)
    for name, array, shape in (("running_var", running_var, running.shape), ("mean", mean, given), ("var", var, given)):
        fits(array, shape, name)
    checks.has_shape(num_batches_tracked, (), "num_batches_tracked")
    if num_batches_tracked.dtype.kind not in "iu":
        raise TypeError(f"num_batches_tracked must be an integer, got an array of dtype {num_batches_tracked.dtype}")
    if momentum is not None:
        arguments.number(momentum, "momentum", 0, 1)
    if arguments.integer(count, "count", 1) < 2:
        raise ValueError(f"expected more than 1 value per channel when training, got a count of {count}")
    return running, running, Kind((), checks.INT64)


def _norm(first, name, x, eps, training, **vectors):
    """The Kinds of the result that has the shape of x, and of what has one number a channel."""
    dtype = checks.result_dtype(first, name)
    checks.real(x, "x")
    channel = checks.batchnorm_channels(x.shape, training),
    checks.has_shape(first, x.shape, name)
    for vector, array in vectors.items():
        fits(array, channel, vector)
    arguments.number(eps, "eps", above=0)
    return Kind(x.shape, dtype), Kind(channel, dtype)
