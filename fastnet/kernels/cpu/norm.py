"""Batch normalisation (Ioffe and Szegedy, "Batch normalization", 2015, algorithm 1), two passes over memory each way.

Channels-last, x is a matrix of rows (pixels) by C. A block is some rows; what it contributes to a sum over all rows it
leaves in its own line of a table of partial sums, and the lines are added in order: the same bits for any number of
threads.
"""
import functools

import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.activation import silu_of, silu_slope
from fastnet.kernels.cpu.runtime.array import empty, flat, like
from fastnet.kernels.cpu.runtime.jit import Launch, jit

# Numbers in a block: two readings of it come from the second cache.
_BLOCK = 16_384
# Numbers that are fetched ahead, while as many are added up.
_CHUNK = 512


def batchnorm_forward(x, gamma, beta, eps, relu=False, add=None, silu=False):
    """(y, mean, var): y = gamma (x - mean) / sqrt(var + eps) + beta, with the biased variance of each channel.

    x (N, C) or (N, C, H, W). The blocks' means and squared deviations are combined after Chan, Golub and LeVeque,
    "Updating formulae and a pairwise algorithm for computing sample variances", 1979: one reading, without
    cancellation.
    """
    checks.silu_alone(silu, relu, add)
    x = checks.floating(x, "x")
    c = checks.batchnorm_channels(x.shape, training=True)
    gamma, beta, eps = _scale(x, gamma, beta, eps, c)
    add = checks.operand(add, x.shape, "add", like=x)
    y, flat_x, norm = like(x), flat(x), _norm(x.size // c, c, x.dtype)
    means, squares = empty(norm.partial, x.dtype), empty(norm.partial, x.dtype)
    mean, var, channel = np.empty(c, x.dtype), np.empty(c, x.dtype), np.empty(3 * c, x.dtype)
    norm.moments(flat_x, means, squares, *norm.shape)
    norm.combine_moments(means, squares, flat(gamma), flat(beta), eps, mean, var, channel, *norm.shape[1:])
    norm.normalise(flat_x, flat(y), channel, relu, silu, add)
    return y, mean, var


def batchnorm_backward(dy, x, gamma, beta, mean, var, eps, relu=False, silu=False):
    """(dx, dgamma, dbeta): dbeta = sum of dy, dgamma = sum of dy xhat, dx = gamma / sqrt(var + eps)
    (dy - dbeta / m - xhat dgamma / m) over m values a channel. relu=True sets dy to 0 where y was not positive,
    silu=True multiplies it by the slope there."""
    checks.silu_alone(silu, relu)
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    c = checks.batchnorm_channels(x.shape, training=True)
    checks.has_shape(dy, x.shape, "dy")
    gamma, beta, eps = _scale(dy, gamma, beta, eps, c)
    mean, var = checks.operand(mean, (c,), "mean", like=dy), checks.operand(var, (c,), "var", like=dy)
    dx, flat_dy, flat_x, norm = like(x), flat(dy), flat(x), _norm(x.size // c, c, x.dtype)
    channel, means = np.empty(4 * c, dy.dtype), np.empty(2 * c, dy.dtype)
    dgamma, dbeta = np.empty(c, dy.dtype), np.empty(c, dy.dtype)
    sums, products = empty(norm.partial, dy.dtype), empty(norm.partial, dy.dtype)
    norm.scales(flat(gamma), flat(beta), flat(mean), flat(var), eps, channel)
    norm.gradient_sums(flat_dy, flat_x, channel, sums, products, *norm.shape, bool(relu), bool(silu))
    norm.combine_sums(sums, products, dbeta, dgamma, means, norm.shape[1])
    norm.input_gradient(flat_dy, flat_x, flat(dx), channel, means, *norm.shape, bool(relu), bool(silu))
    return dx, dgamma, dbeta


def batchnorm_inference(x, gamma, beta, mean, var, eps, relu=False, add=None, silu=False):
    """y as in batchnorm_forward with the statistics given."""
    checks.silu_alone(silu, relu, add)
    x = checks.floating(x, "x")
    c = checks.batchnorm_channels(x.shape, training=False)
    gamma, beta, eps = _scale(x, gamma, beta, eps, c)
    mean, var = checks.operand(mean, (c,), "mean", like=x), checks.operand(var, (c,), "var", like=x)
    add = checks.operand(add, x.shape, "add", like=x)
    y, channel, norm = like(x), np.empty(4 * c, x.dtype), _norm(x.size // c, c, x.dtype)
    norm.scales(flat(gamma), flat(beta), flat(mean), flat(var), eps, channel)
    norm.normalise(flat(x), flat(y), channel, relu, silu, add)
    return y


def _scale(x, gamma, beta, eps, c):
    gamma, beta = checks.operand(gamma, (c,), "gamma", like=x), checks.operand(beta, (c,), "beta", like=x)
    return gamma, beta, checks.above_zero(eps, "eps")


class _Norm:
    """The launches for `rows` rows of c numbers of one dtype."""

    def __init__(self, rows, c, dtype):
        lines = max(1, _BLOCK // c)
        blocks, work = -(-rows // lines), rows * c
        self.shape, self.partial = (c, rows, lines), blocks * c
        self.moments, self.apply = Launch(_moments, blocks, work), Launch(_apply, blocks, work)
        self.gradient_sums = Launch(_gradient_sums, blocks, work)
        self.input_gradient = Launch(_input_gradient, blocks, work)
        self.scales, self.combine_moments = Launch(_scales, 1, 0), Launch(_combine_moments, 1, 0)
        self.combine_sums = Launch(_combine_sums, 1, 0)

    def normalise(self, x, y, channel, relu, silu, add):
        self.apply(x, y, channel, *self.shape, bool(relu), bool(silu), y if add is None else flat(add), add is not None)


_norm = functools.lru_cache(maxsize=256)(_Norm)


@jit
def _scales(block, slot, gamma, beta, mean, var, eps, channel):
    """What the kernels below read for each channel: mean, gamma / deviation, beta and 1 / deviation, in four rows."""
    c = mean.size
    for j in range(c):
        inverse = 1 / np.sqrt(var[j] + var.dtype.type(eps))
        channel[j], channel[c + j] = mean[j], gamma[j] * inverse
        channel[2 * c + j], channel[3 * c + j] = beta[j], inverse


@jit
def _moments(block, slot, x, means, squares, c, rows, lines):
    """A block's mean of each channel, and the sum of the squared deviations from it."""
    first, last, to = block * lines, min((block + 1) * lines, rows), block * c
    step = max(2, _CHUNK // c)
    spans.clear(means, to, to + c)
    spans.clear(squares, to, to + c)
    for top in range(first, last, step):
        bottom = min(top + step, last)
        spans.fetch(x, bottom * c, (bottom + step) * c)
        for j in range(0, c, simd.lanes(x)):
            # Relative to the first row, so that a large mean does not swallow what the rows differ by.
            n, pivot = c - j, simd.load_part(x, first * c + j, c - j)
            even, odd = simd.load_part(means, to + j, n), simd.full(x, 0)
            for i in range(top, bottom - 1, 2):
                even = even + (simd.load_part(x, i * c + j, n) - pivot)
                odd = odd + (simd.load_part(x, (i + 1) * c + j, n) - pivot)
            if (bottom - top) % 2:
                even = even + (simd.load_part(x, (bottom - 1) * c + j, n) - pivot)
            simd.store_part(means, to + j, even + odd, n)
    count = x.dtype.type(last - first)
    for j in range(0, c, simd.lanes(x)):
        n, pivot = c - j, simd.load_part(x, first * c + j, c - j)
        simd.store_part(means, to + j, simd.fma(simd.load_part(means, to + j, n), simd.full(x, 1 / count), pivot), n)
    for top in range(first, last, step):
        bottom = min(top + step, last)
        for j in range(0, c, simd.lanes(x)):
            n, mean = c - j, simd.load_part(means, to + j, c - j)
            even, odd = simd.load_part(squares, to + j, n), simd.full(x, 0)
            for i in range(top, bottom - 1, 2):
                v, w = simd.load_part(x, i * c + j, n) - mean, simd.load_part(x, (i + 1) * c + j, n) - mean
                even, odd = simd.fma(v, v, even), simd.fma(w, w, odd)
            if (bottom - top) % 2:
                v = simd.load_part(x, (bottom - 1) * c + j, n) - mean
                even = simd.fma(v, v, even)
            simd.store_part(squares, to + j, even + odd, n)


@jit
def _combine_moments(block, slot, means, squares, gamma, beta, eps, mean, var, channel, rows, lines):
    """Mean and variance of all rows from those of the blocks, and what `_apply` reads."""
    c = mean.size
    blocks = means.size // c
    for j in range(c):
        total = 0.0
        for i in range(blocks):
            total += means[i * c + j] * float(min(lines, rows - i * lines))
        centre = total / rows
        square = 0.0
        for i in range(blocks):
            away = means[i * c + j] - centre
            square += squares[i * c + j] + away * away * min(lines, rows - i * lines)
        mean[j] = centre
        var[j] = square / rows
        channel[j], channel[c + j] = mean[j], gamma[j] / np.sqrt(var[j] + var.dtype.type(eps))
        channel[2 * c + j] = beta[j]


@jit
def _apply(block, slot, x, y, channel, c, rows, lines, relu, silu, add, adding):
    """y = (x - mean) gamma / deviation + beta, + add where there is one, through the activation."""
    for i in range(block * lines, min((block + 1) * lines, rows)):
        for j in range(0, c, simd.lanes(x)):
            n, at = c - j, i * c + j
            v = simd.load_part(x, at, n) - simd.load_part(channel, j, n)
            v = simd.fma(v, simd.load_part(channel, c + j, n), simd.load_part(channel, 2 * c + j, n))
            if adding:
                v = v + simd.load_part(add, at, n)
            if relu:
                v = simd.relu(v)
            if silu:
                v = silu_of(v, x)
            simd.store_part(y, at, v, n)


@jit
def _gradient_sums(block, slot, dy, x, channel, sums, products, c, rows, lines, relu, silu):
    """A block's sums of dy and of dy xhat."""
    first, last, to = block * lines, min((block + 1) * lines, rows), block * c
    step = max(2, _CHUNK // c)
    spans.clear(sums, to, to + c)
    spans.clear(products, to, to + c)
    for top in range(first, last, step):
        bottom = min(top + step, last)
        spans.fetch(dy, bottom * c, (bottom + step) * c)
        spans.fetch(x, bottom * c, (bottom + step) * c)
        for j in range(0, c, simd.lanes(x)):
            n = c - j
            mean, scale = simd.load_part(channel, j, n), simd.load_part(channel, c + j, n)
            beta, total = simd.load_part(channel, 2 * c + j, n), simd.load_part(sums, to + j, n)
            product = simd.load_part(products, to + j, n)
            for i in range(top, bottom):
                g, v = simd.load_part(dy, i * c + j, n), simd.load_part(x, i * c + j, n) - mean
                if relu:
                    g = simd.positive(g, simd.fma(v, scale, beta))
                if silu:
                    g = g * silu_slope(simd.fma(v, scale, beta), x)
                total = total + g
                product = simd.fma(g, v, product)
            simd.store_part(sums, to + j, total, n)
            simd.store_part(products, to + j, product, n)
    for j in range(0, c, simd.lanes(x)):
        n = c - j
        v = simd.load_part(products, to + j, n) * simd.load_part(channel, 3 * c + j, n)
        simd.store_part(products, to + j, v, n)


@jit
def _combine_sums(block, slot, sums, products, dbeta, dgamma, means, rows):
    """dbeta and dgamma, and both divided by the number of rows."""
    c = dbeta.size
    for j in range(c):
        total, product = 0.0, 0.0
        for at in range(j, sums.size, c):
            total += sums[at]
            product += products[at]
        dbeta[j], dgamma[j] = total, product
        means[j], means[c + j] = total / rows, product / rows


@jit
def _input_gradient(block, slot, dy, x, dx, channel, means, c, rows, lines, relu, silu):
    """dx from dy and xhat; `means` holds dbeta / m and dgamma / m."""
    for i in range(block * lines, min((block + 1) * lines, rows)):
        for j in range(0, c, simd.lanes(x)):
            n, at = c - j, i * c + j
            scale = simd.load_part(channel, c + j, n)
            g, v = simd.load_part(dy, at, n), simd.load_part(x, at, n) - simd.load_part(channel, j, n)
            if relu:
                g = simd.positive(g, simd.fma(v, scale, simd.load_part(channel, 2 * c + j, n)))
            if silu:
                g = g * silu_slope(simd.fma(v, scale, simd.load_part(channel, 2 * c + j, n)), x)
            share = simd.load_part(channel, 3 * c + j, n) * simd.load_part(means, c + j, n)
            v = g - simd.load_part(means, j, n) - v * share
            simd.store_part(dx, at, scale * v, n)
