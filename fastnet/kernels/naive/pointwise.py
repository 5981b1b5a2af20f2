"""Losses that compare numbers element by element, and what is added to a loss for the size of weights."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last
from fastnet.kernels.pointwise import LOSSES


def pointwise_loss(x, target, function, alpha=0.0, beta=0.0, weight=None, scale=None):
    """(scale times the sum of weight f(x, target), its gradient for x)."""
    x = checks.floating(x, "x")
    target, weight = checks.floating(target, "target", like=x), checks.optional(weight, "weight", like=x)
    shapes.pointwise_loss(x, target, function, alpha, beta, weight, scale)
    scale = 1 / x.size if scale is None else scale
    with np.errstate(all="ignore"):
        loss, slope = LOSSES[function].formula(x, target, alpha, beta)
        if weight is not None:
            loss, slope = loss * weight, slope * weight
        return float(scale * loss.sum(dtype=np.float64)), channels_last((slope * scale).astype(x.dtype))


def weight_penalty(value, grad, l1=0.0, l2=0.0):
    """(l1 sum of |value| + l2 sum of value^2, grad + l1 sign(value) + 2 l2 value)."""
    value = checks.floating(value, "value")
    grad = checks.floating(grad, "grad", like=value)
    shapes.weight_penalty(value, grad, l1, l2)
    wide = value.astype(np.float64)
    with np.errstate(all="ignore"):
        penalty = float((l1 and l1 * np.abs(wide).sum()) + (l2 and l2 * np.square(wide).sum()))
        return penalty, channels_last((grad + l1 * np.sign(wide) + 2 * l2 * wide).astype(value.dtype))


def clip_rows(x, limit):
    """x[n] min(1, limit / norm(x[n]))."""
    x = checks.floating(x, "x")
    shapes.clip_rows(x, limit)
    with np.errstate(all="ignore"):
        norms = np.sqrt(np.square(x, dtype=np.float64).sum(axis=1, keepdims=True))
        return np.where(norms > limit, x * (limit / norms), x).astype(x.dtype)
