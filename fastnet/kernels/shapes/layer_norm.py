"""Normalisation over the last axes; gamma and beta may be None, as in `norm`."""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import Kind, affine, affine_gradients, arriving, fits


def layernorm_forward(x, gamma, beta, axes, eps, centred=True):
    """y = gamma xhat + beta with xhat = (x - mean) / sqrt(var + eps), and the mean and the biased variance over the
    last `axes` axes of x, which are the axes of gamma and beta, the others those of mean and var: x (N, C), (N, T, C)
    or images (N, C, H, W), of these the last three. With centred=False 0 takes the place of the mean, and var is the
    mean of x^2.
    Source: Ba et al., Layer normalization, 2016; Zhang and Sennrich, Root mean square layer normalization, 2019."""
    checks.not_empty(x.shape)
    arguments.flag(centred, "centred")
    rank = len(x.shape)
    if rank not in (2, 3, 4):
        raise ValueError(f"expected x of 2 to 4 axes, got x of shape {tuple(x.shape)}")
    if arguments.integer(axes, "axes", 1) >= rank or rank == 4 != axes + 1:
        raise ValueError(f"expected axes to be {'3 for images' if rank == 4 else f'below {rank}'}, got {axes} for x of "
                         f"shape {tuple(x.shape)}")
    affine(gamma, beta, x.shape[rank - axes:])
    arguments.number(eps, "eps", above=0)
    y = Kind(x.shape, checks.result_dtype(x, "x"))
    statistics = Kind(x.shape[:rank - axes], y.dtype)
    return y, statistics, statistics


def layernorm_backward(dy, x, gamma, mean, var, eps, centred=True):
    """With xhat as in layernorm_forward and m numbers in what is normalised together: dbeta = sum of dy, None where it
    is not centred, dgamma = sum of dy xhat, dx = (gamma dy - a - xhat b) / sqrt(var + eps) with a = (the sum of gamma
    dy) / m, 0 where it is not centred, and b = (the sum of gamma dy xhat) / m."""
    checks.not_empty(x.shape)
    arguments.flag(centred, "centred")
    dx, rank = Kind(x.shape, arriving(dy, x.shape)), len(x.shape)
    checks.real(x, "x")
    fits(mean, x.shape[:1 if rank == 4 else min(max(1, len(mean.shape)), rank - 1)], "mean")
    fits(var, mean.shape, "var")
    arguments.number(eps, "eps", above=0)
    dgamma, dbeta = affine_gradients(gamma, Kind(x.shape[len(mean.shape):], dx.dtype))
    return dx, dgamma, dbeta if centred else None
