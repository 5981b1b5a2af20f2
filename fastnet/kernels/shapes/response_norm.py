"""Normalisation by the channels around, of images.

Source: Krizhevsky et al., ImageNet classification with deep convolutional neural networks, 2012, section 3.3.
"""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import Kind, fits


def local_response_norm_forward(x, size, alpha, beta, k):
    """y = x / d^beta with d = k + alpha / size (the sum of x^2 over the channels c - size // 2 to c + (size - 1) // 2
    of the same pixel; those that there are not count as 0). x and y (N, C, H, W). ValueError where size is below 1, and
    for numbers that are not finite."""
    checks.images(x.shape)
    _numbers(size, alpha, beta, k)
    return Kind(x.shape, checks.result_dtype(x, "x"))


def local_response_norm_backward(dy, x, size, alpha, beta, k):
    """dx[c] = dy[c] / d[c]^beta - 2 alpha beta / size x[c] (the sum of dy x / d^(beta + 1) over all channels in whose
    window c is), d as in local_response_norm_forward."""
    checks.images(dy.shape, "dy")
    fits(x, dy.shape, "x")
    _numbers(size, alpha, beta, k)
    return Kind(dy.shape, checks.result_dtype(dy, "dy"))


def _numbers(size, alpha, beta, k):
    arguments.integer(size, "size", 1)
    for name, value in {"alpha": alpha, "beta": beta, "k": k}.items():
        arguments.number(value, name)
