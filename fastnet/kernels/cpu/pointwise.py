"""Losses that compare numbers element by element, and what is added to a loss for the size of weights.

The losses are the rows of `fastnet.kernels.pointwise` in vectors, a formula each, of which `_kernel` makes the kernel.
A block is some elements; it writes their gradient and the sum of their losses, added up in float64 from short chains.
"""
import math
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd, sums
from fastnet.kernels.cpu.move import ordered
from fastnet.kernels.cpu.runtime import Launch, empty, flat, jit, kept, launch, like, named, planned
from fastnet.kernels.cpu.special import log1p

_BLOCK = 16_384
_ROWS = 16
_FAR = 1e30


class _Numbers(NamedTuple):
    """The numbers of a formula, and what its loss is multiplied by."""

    alpha: float
    beta: float
    scale: float


class _Row(NamedTuple):
    """A loss: how many operations of `launch` an element takes, and its kernel."""

    cost: int
    kernel: object


def pointwise_loss(x, target, function, alpha=0.0, beta=0.0, weight=None, scale=None):
    """(scale times the sum of weight f(x, target), its gradient for x)."""
    x = checks.floating(x, "x")
    target, weight = checks.floating(target, "target", like=x), checks.optional(weight, "weight", like=x)
    run, size, none = planned(_plan_pointwise, (x, target, weight), function, alpha, beta)
    scale = 1 / size if scale is None else arguments.number(scale, "scale")
    dx, losses = like(x), np.empty(run.blocks, np.float64)
    run(ordered(x), ordered(target), none if weight is None else ordered(weight), flat(dx), losses,
        np.array((alpha, beta, scale), x.dtype))
    return scale * float(losses.sum()), dx


@kept
def _plan_pointwise(kinds, options, types):
    """(what launches the kernel, how many numbers there are, an array for a weight that is absent)."""
    (x, target, weight), (function, alpha, beta) = [kind and shapes.Kind(*kind) for kind in kinds], options
    shapes.pointwise_loss(x, target, function, alpha, beta, weight)
    row, size = COMPILED[function], prod(x.shape)
    return Launch(row.kernel, -(-size // _BLOCK), row.cost * size), size, np.zeros(0, x.dtype)


def weight_penalty(value, grad, l1=0.0, l2=0.0):
    """(l1 sum of |value| + l2 sum of value^2, grad + l1 sign(value) + 2 l2 value)."""
    value = checks.floating(value, "value")
    grad = checks.floating(grad, "grad", like=value)
    shapes.weight_penalty(value, grad, l1, l2)
    new, blocks, kind = like(value), -(-value.size // _BLOCK), value.dtype.type
    found = np.empty(2 * blocks, np.float64)
    launch(_penalty, blocks, flat(value), flat(grad), flat(new), found, kind(l1), kind(2 * l2), work=value.size)
    sizes, squares = found[:blocks].sum(), found[blocks:].sum()
    return (float(l1 * sizes) if l1 else 0.0) + (float(l2 * squares) if l2 else 0.0), new


def clip_rows(x, limit):
    """x[n] min(1, limit / norm(x[n]))."""
    x = checks.floating(x, "x")
    n, c = shapes.clip_rows(x, limit).shape
    y = empty((n, c), x.dtype)
    launch(_clip_rows, -(-n // _ROWS), flat(x), y.reshape(-1), n, c, float(limit), work=x.size)
    return y


def _kernel(formula):
    """The kernel of a loss that is formula(v, t, like, numbers), (loss, derivative) of the vectors v and t, where
    `like` is an array of such numbers."""

    def kernel(block, slot, x, target, weight, dx, losses, given):
        start, stop, lanes = block * _BLOCK, min((block + 1) * _BLOCK, x.size), simd.lanes(x)
        numbers = named(_Numbers, given)
        total, few, scale = 0.0, sums.CHAIN * lanes, simd.full(x, numbers.scale)
        for first in range(start, stop, few):
            part = simd.full(x, 0)
            for i in range(first, min(first + few, stop), lanes):
                n = stop - i
                loss, slope = formula(simd.load_part(x, i, n), simd.load_part(target, i, n), x, numbers)
                if weight.size > 0:
                    more = simd.load_part(weight, i, n)
                    loss, slope = loss * more, slope * more
                if n < lanes:   # behind the last element there is no loss, whatever the formula says of zeros
                    simd.store_part(dx, i, loss, n)
                    loss = simd.load_part(dx, i, n)
                simd.store_part(dx, i, slope * scale, n)
                part = part + loss
            total += simd.total(part)
        losses[block] = total

    kernel.__qualname__ = formula.__name__
    return jit(kernel)


@jit
def _sign(v, like):
    """-1, 0 or 1, and NaN of NaN."""
    zero, one = simd.full(like, 0), simd.full(like, 1)
    minus = zero - one
    return simd.pick(v, zero, simd.clip(v, one, one), simd.clip(v, minus, minus) + simd.matching(one, v, zero))


@jit
def _softplus_terms(v, like):
    """(log(1 + e), e) with e = exp(-|x|): what log(1 + exp(x)) is more than max(x, 0)."""
    e = simd.exp_of_minus_size(v)
    return log1p(e, like), e


@jit
def _squared(v, t, like, numbers):
    error = v - t
    return error * error, error + error


@jit
def _absolute(v, t, like, numbers):
    error = v - t
    return simd.size(error), _sign(error, like)


@jit
def _huber(v, t, like, numbers):
    error = v - t
    near = simd.clip(error, simd.full(like, -numbers.alpha), simd.full(like, numbers.alpha))
    small = simd.size(near)
    return small * (simd.size(error) - simd.full(like, 0.5) * small), near


@jit
def _binary(v, t, like, numbers):
    one, far, none = simd.full(like, 1), simd.full(like, -100), simd.full(like, math.inf)
    rest = one - v
    loss = (t - one) * simd.clip(simd.log(rest), far, none) - t * simd.clip(simd.log(v), far, none)
    return loss, (v - t) / simd.clip(v * rest, simd.full(like, 1e-12), none)


@jit
def _with_logits(v, t, like):
    """(the loss, the probability p, 1 - p)."""
    zero, one = simd.full(like, 0), simd.full(like, 1)
    rest, e = _softplus_terms(v, like)
    less = simd.quotient(simd.pick(v, zero, one, e), one + e)
    more = simd.quotient(simd.pick(v, zero, e, one), one + e)
    return simd.clip(v, zero, simd.full(like, math.inf)) - v * t + rest, less, more


@jit
def _binary_with_logits(v, t, like, numbers):
    loss, share, rest = _with_logits(v, t, like)
    return loss, share * (simd.full(like, 1) - t) - rest * t


@jit
def _kl(v, t, like, numbers):
    log = simd.clip(simd.log(t), simd.full(like, -1000), simd.full(like, math.inf))
    return t * (log - v), simd.full(like, 0) - t


@jit
def _kl_log(v, t, like, numbers):
    share = simd.exp(t)
    return share * (t - v), simd.full(like, 0) - share


@jit
def _hinge(v, t, like, numbers):
    left = simd.full(like, 1) - t * v
    return simd.relu(left), simd.positive(simd.full(like, 0) - t, left)


@jit
def _squared_hinge(v, t, like, numbers):
    left = simd.relu(simd.full(like, 1) - t * v)
    return left * left, simd.full(like, -2) * t * left


@jit
def _soft_margin(v, t, like, numbers):
    zero, one = simd.full(like, 0), simd.full(like, 1)
    z = zero - t * v
    rest, e = _softplus_terms(z, like)
    share = simd.quotient(simd.pick(z, zero, one, e), one + e)
    return simd.clip(z, zero, simd.full(like, math.inf)) + rest, zero - t * share


@jit
def _focal(v, t, like, numbers):
    one, none = simd.full(like, 1), simd.full(like, math.inf)
    loss, share, rest = _with_logits(v, t, like)
    false = one - t
    away = share * false + rest * t
    log = simd.clip(simd.log(away), simd.full(like, -_FAR), none)
    power = simd.exp(simd.full(like, numbers.beta) * log)
    factor = power * (simd.full(like, numbers.alpha) * t + simd.full(like, 1 - numbers.alpha) * false)
    steep = share * rest * (false - t) / simd.clip(away, simd.full(like, 1 / _FAR), none)
    slope = share * false - rest * t + simd.full(like, numbers.beta) * loss * steep
    return factor * loss, factor * slope


@jit
def _poisson(v, t, like, numbers):
    rate = simd.exp(v)
    return rate - t * v, rate - t


@jit
def _poisson_rate(v, t, like, numbers):
    rate = v + simd.full(like, numbers.alpha)
    return v - t * simd.log(rate), simd.full(like, 1) - t / rate


COMPILED = {
    "squared": _Row(1, _kernel(_squared)),
    "absolute": _Row(1, _kernel(_absolute)),
    "huber": _Row(1, _kernel(_huber)),
    "binary": _Row(8, _kernel(_binary)),
    "binary_with_logits": _Row(8, _kernel(_binary_with_logits)),
    "kl": _Row(4, _kernel(_kl)),
    "kl_log": _Row(4, _kernel(_kl_log)),
    "hinge": _Row(1, _kernel(_hinge)),
    "squared_hinge": _Row(1, _kernel(_squared_hinge)),
    "soft_margin": _Row(8, _kernel(_soft_margin)),
    "focal": _Row(16, _kernel(_focal)),
    "poisson": _Row(4, _kernel(_poisson)),
    "poisson_rate": _Row(4, _kernel(_poisson_rate)),
}


@jit
def _penalty(block, slot, value, grad, new, found, l1, twice_l2):
    """found holds the sum of |value| of each block, and then those of value^2."""
    start, stop, lanes = block * _BLOCK, min((block + 1) * _BLOCK, value.size), simd.lanes(value)
    few, first_power, second_power = sums.CHAIN * lanes, 0.0, 0.0
    l1, twice_l2 = simd.full(value, l1), simd.full(value, twice_l2)
    for first in range(start, stop, few):
        part = parts = simd.full(value, 0)
        for i in range(first, min(first + few, stop), lanes):
            n = stop - i
            v = simd.load_part(value, i, n)
            part, parts = part + simd.size(v), simd.fma(v, v, parts)
            change = simd.fma(twice_l2, v, l1 * _sign(v, value))
            simd.store_part(new, i, simd.load_part(grad, i, n) + change, n)
        first_power += simd.total(part)
        second_power += simd.total(parts)
    found[block], found[found.size // 2 + block] = first_power, second_power


@jit
def _clip_rows(block, slot, x, y, n, c, limit):
    lanes = simd.lanes(x)
    few = sums.CHAIN * lanes
    for row in range(block * _ROWS, min((block + 1) * _ROWS, n)):
        start, total = row * c, 0.0
        for first in range(0, c, few):
            part = simd.full(x, 0)
            for i in range(first, min(first + few, c), lanes):
                v = simd.load_part(x, start + i, c - i)
                part = simd.fma(v, v, part)
            total += simd.total(part)
        if total == math.inf:   # squares beyond float32 are none beyond float64
            total = 0.0
            for i in range(start, start + c):
                total += np.float64(x[i]) * np.float64(x[i])
        norm = math.sqrt(total)
        factor = simd.full(x, limit / norm if norm > limit else 1.0)
        for i in range(0, c, lanes):
            simd.store_part(y, start + i, simd.load_part(x, start + i, c - i) * factor, c - i)
