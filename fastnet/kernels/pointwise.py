"""What each loss of numbers is, element by element, a row each, in plain NumPy: the definition, for all backends.

    squared              (x - t)^2
    absolute             |x - t|, whose slope at 0 is 0
    huber                e^2 / 2 where e = |x - t| is at most alpha, else alpha e - alpha^2 / 2 (Huber, Robust
                         estimation of a location parameter, 1964)
    binary               -t log(x) - (1 - t) log(1 - x) for probabilities x, the logarithms being -100 at least; the
                         slope is (x - t) / max(x (1 - x), 1e-12)
    binary_with_logits   the same of 1 / (1 + exp(-x))
    kl                   t log(t) - t x for a logarithm x of a probability; t log(t) is 0 where t is
    kl_log               the same where t is a logarithm too: exp(t) (t - x)
    hinge                max(0, 1 - t x), squared_hinge its square; t is -1 or 1 (Cortes and Vapnik, Support-vector
                         networks, 1995)
    soft_margin          log(1 + exp(-t x))
    focal                (alpha t + (1 - alpha) (1 - t)) q^beta times `binary_with_logits`, where q is how far the
                         probability of what is true is from 1: 1 - p for t = 1, p for t = 0 (Lin et al., Focal loss for
                         dense object detection, 2017, section 3)
    poisson              exp(x) - t x for a logarithm x of a rate
    poisson_rate         x - t log(x + alpha) for a rate x

NaN is nowhere taken for a number.
"""
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """A row of the table: (loss, its derivative for x) of (x, t, alpha, beta); `refuses` says, for (alpha, beta), what
    is wrong with them, or None."""

    formula: object
    refuses: object = lambda alpha, beta: None


def _share(x):
    """1 / (1 + exp(-x)), with all its digits where it is small."""
    e = np.exp(-np.abs(x))
    return np.where(x > 0, 1, e) / (1 + e)


def _absolute(x, t, alpha, beta):
    return np.abs(x - t), np.sign(x - t)


def _huber(x, t, alpha, beta):
    error = x - t
    near = np.clip(error, -alpha, alpha)
    return np.abs(near) * (np.abs(error) - np.abs(near) / 2), near


def _binary(x, t, alpha, beta):
    loss = -t * np.maximum(np.log(x), -100) - (1 - t) * np.maximum(np.log1p(-x), -100)
    return loss, (x - t) / np.maximum(x * (1 - x), 1e-12)


def _binary_with_logits(x, t, alpha, beta):
    return np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))), _share(x) * (1 - t) - _share(-x) * t


def _kl(x, t, alpha, beta):
    return t * np.maximum(np.log(t), -1000) - t * x, -t


def _kl_log(x, t, alpha, beta):
    return np.exp(t) * (t - x), -np.exp(t)


def _hinge(x, t, alpha, beta):
    left = 1 - t * x
    return np.where(left <= 0, 0, left), np.where(left <= 0, 0, -t)


def _squared_hinge(x, t, alpha, beta):
    left, slope = _hinge(x, t, alpha, beta)
    return left * left, 2 * left * slope


def _soft_margin(x, t, alpha, beta):
    return np.logaddexp(0, -t * x), -t * _share(-t * x)


def _focal(x, t, alpha, beta):
    loss, slope = _binary_with_logits(x, t, alpha, beta)
    share, rest = _share(x), _share(-x)
    away = share * (1 - t) + rest * t
    factor = (alpha * t + (1 - alpha) * (1 - t)) * away**beta
    return factor * loss, factor * (slope + beta * loss * share * rest * (1 - 2 * t) / np.maximum(away, 1e-30))


LOSSES = {
    "squared": Row(lambda x, t, alpha, beta: ((x - t) * (x - t), 2 * (x - t))),
    "absolute": Row(_absolute),
    "huber": Row(_huber, lambda alpha, beta: None if alpha > 0 else "alpha must be above 0"),
    "binary": Row(_binary),
    "binary_with_logits": Row(_binary_with_logits),
    "kl": Row(_kl),
    "kl_log": Row(_kl_log),
    "hinge": Row(_hinge),
    "squared_hinge": Row(_squared_hinge),
    "soft_margin": Row(_soft_margin),
    "focal": Row(_focal, lambda alpha, beta: None if 0 <= alpha <= 1 and beta >= 0 else
                 "alpha must lie between 0 and 1 and beta be at least 0"),
    "poisson": Row(lambda x, t, alpha, beta: (np.exp(x) - t * x, np.exp(x) - t)),
    "poisson_rate": Row(lambda x, t, alpha, beta: (x - t * np.log(x + alpha), 1 - t / (x + alpha))),
}
