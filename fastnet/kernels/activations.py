"""What each activation is, a row each, in plain NumPy: the definition, for all backends.

    relu        max(x, 0)
    leaky_relu  x where x > 0, else alpha x, with a slope alpha of at least 0
    hardtanh    min(max(x, alpha), beta), alpha <= beta; ReLU6 is that between 0 and 6
    sigmoid     1 / (1 + exp(-x))
    tanh        tanh(x)
    elu         x where x > 0, else alpha (exp(x) - 1), with an alpha of at least 0 (Clevert et al., 2016)
    selu        scale x where x > 0, else scale alpha (exp(x) - 1), with the two numbers that keep mean 0 and variance 1
                from layer to layer (Klambauer et al., Self-normalizing neural networks, 2017)
    silu        x / (1 + exp(-x)) (Elfwing et al., Sigmoid-weighted linear units, 2018)
    gelu        x Phi(x) with Phi(x) = (1 + erf(x / sqrt(2))) / 2 (Hendrycks and Gimpel, 2016)
    gelu_tanh   x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    hardsigmoid min(max(x + 3, 0), 6) / 6 (Courbariaux et al., BinaryConnect, 2015, with the slope of MobileNetV3)
    hardswish   x min(max(x + 3, 0), 6) / 6 (Howard et al., Searching for MobileNetV3, 2019)
    mish        x tanh(log(1 + exp(x))) (Misra, Mish: a self regularized non-monotonic activation function, 2019)
    softplus    log(1 + exp(alpha x)) / alpha, but x where alpha x > beta (Dugas et al., 2001)
    softsign    x / (1 + |x|) (Bergstra et al., Quadratic polynomials learn better image features, 2009)
    log_sigmoid -log(1 + exp(-x))
    celu        x where x > 0, else alpha (exp(x / alpha) - 1) (Barron, Continuously differentiable ELUs, 2017)
    softshrink  x - alpha where x > alpha, x + alpha where x < -alpha, else 0, with an alpha of at least 0
    hardshrink  x where |x| > alpha, else 0, likewise
    tanhshrink  x - tanh(x)
    threshold   x where x > alpha, else beta

At a kink as in PyTorch: relu and hardtanh have slope 0 there, leaky_relu and elu alpha, celu 1, hardsigmoid, the
shrinks and threshold 0, hardswish 0 and 1. Where relu, hardtanh, hardsigmoid, hardswish, softshrink, hardshrink and
threshold are constant dx is 0 whatever dy is, NaN and infinity too. NaN is nowhere taken for a number: y is NaN where x
is, and no gradient becomes 0 there.
"""
import math
from typing import NamedTuple

import numpy as np


class Activation(NamedTuple):
    """A row of the table: what y is of (x, alpha, beta), and dx of (dy, x or y, alpha, beta), whichever it `reads`;
    `refuses` says, for (alpha, beta), what is wrong with them, or None."""

    reads: str
    forward: object
    backward: object
    refuses: object = lambda alpha, beta: None


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _share(x):
    """Phi(x) of the normal distribution. As erfc, because 1 + erf leaves no digit of what is small."""
    return (_erfc(np.asarray(x, np.float64) / -math.sqrt(2)) / 2).astype(x.dtype)


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _density(x):
    return np.exp(x * x / -2) / math.sqrt(2 * math.pi)


def _silu_slope(x):
    share = _sigmoid(x)
    return share * (1 + x * (1 - share))


def _bent(x):
    """(1 + tanh u) / 2 for gelu_tanh's u, as the sigmoid of 2 u: 1 + tanh would leave no digit of what is small."""
    return _sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))


def _gelu_tanh_slope(x):
    share, small = _bent(x), np.clip(x, -30, 30)  # beyond, share is 0 or 1 to the last bit, and x^2 might be infinite
    return share + small * share * (1 - share) * (math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * small**2))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805     # solve the equations (4) and (5) of that paper


def _softplus(x, alpha, beta):
    return np.where(alpha * x > beta, x, np.logaddexp(0, alpha * x) / alpha)


def _softplus_backward(dy, x, alpha, beta):
    return np.where(alpha * x > beta, dy, dy * _sigmoid(alpha * x))


def _log_sigmoid(x):
    return -np.logaddexp(0, -x)


def _celu(x, alpha, beta):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def _softshrink(x, alpha, beta):
    return np.where(x > alpha, x - alpha, np.where(x < -alpha, x + alpha, x * 0))


def _hardshrink(x, alpha, beta):
    return np.where((x >= -alpha) & (x <= alpha), 0, x)


# Of x^2, the highest power first: (x cosh(x) - sinh(x)) / x^3, and cosh(x).
_ABOVE_COSH = [2 * k / math.factorial(2 * k + 1) for k in range(10, 0, -1)]
_COSH = [1 / math.factorial(2 * k) for k in range(10, -1, -1)]


def _tanhshrink(x):
    """x - tanh(x), near 0 by two series: the difference would leave no digit of what is small."""
    near = np.clip(x, -1, 1)
    square = near * near
    small = near * square * (np.polyval(_ABOVE_COSH, square) / np.polyval(_COSH, square))
    return np.where(np.abs(x) > 1, x - np.tanh(x), small.astype(x.dtype))


def _hardswish_backward(dy, x):
    return np.where(x <= -3, 0, np.where(x >= 3, dy, dy * (x / 3 + 0.5)))


def _mish_slope(x):
    soft = np.logaddexp(0, x)
    return np.tanh(soft) + x * _sigmoid(x) / np.square(np.cosh(soft))     # 1 - tanh^2 would leave no digit at the end


def _refuses_slope(alpha, beta):
    return None if 0 <= alpha < math.inf else f"alpha must be a finite number of at least 0, got {alpha!r}"


def _refuses_radius(alpha, beta):
    return None if 0 < alpha < math.inf else f"alpha must be a finite number above zero, got {alpha!r}"


def _refuses_softness(alpha, beta):
    return _refuses_radius(alpha, beta) or (
        None if abs(beta) < math.inf else f"beta must be a finite number, got {beta!r}")


def _refuses_threshold(alpha, beta):
    fine = abs(alpha) < math.inf and abs(beta) < math.inf
    return None if fine else f"alpha and beta must be finite numbers, got {alpha!r} and {beta!r}"


def _refuses_bounds(alpha, beta):
    return None if alpha <= beta else f"the least number, alpha, must not be above beta, got {alpha!r} and {beta!r}"


ACTIVATIONS = {
    "relu": Activation("y", lambda x, alpha, beta: np.maximum(x, 0),
                       lambda dy, y, alpha, beta: np.where(y <= 0, 0, dy)),
    "leaky_relu": Activation("y", lambda x, alpha, beta: np.where(x > 0, x, alpha * x),
                             lambda dy, y, alpha, beta: np.where(y > 0, dy, alpha * dy), _refuses_slope),
    "hardtanh": Activation("y", lambda x, alpha, beta: np.clip(x, alpha, beta),
                           lambda dy, y, alpha, beta: np.where((y <= alpha) | (y >= beta), 0, dy), _refuses_bounds),
    "sigmoid": Activation("y", lambda x, alpha, beta: _sigmoid(x),
                          lambda dy, y, alpha, beta: dy * (y * (1 - y))),
    "tanh": Activation("y", lambda x, alpha, beta: np.tanh(x),
                       lambda dy, y, alpha, beta: dy * (1 - y * y)),
    "elu": Activation("y", lambda x, alpha, beta: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
                      lambda dy, y, alpha, beta: np.where(y > 0, dy, dy * (y + alpha)), _refuses_slope),
    "selu": Activation("y", lambda x, alpha, beta: np.where(x > 0, SELU_SCALE * x,
                                                            SELU_SCALE * SELU_ALPHA * np.expm1(np.minimum(x, 0))),
                       lambda dy, y, alpha, beta: dy * np.where(y > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA)),
    "silu": Activation("x", lambda x, alpha, beta: x * _sigmoid(x),
                       lambda dy, x, alpha, beta: dy * _silu_slope(x)),
    "gelu": Activation("x", lambda x, alpha, beta: x * _share(x),
                       lambda dy, x, alpha, beta: dy * (_share(x) + x * _density(x))),
    "gelu_tanh": Activation("x", lambda x, alpha, beta: x * _bent(x),
                            lambda dy, x, alpha, beta: dy * _gelu_tanh_slope(x)),
    "hardsigmoid": Activation("y", lambda x, alpha, beta: np.clip(x + 3, 0, 6) / 6,
                              lambda dy, y, alpha, beta: np.where((y <= 0) | (y >= 1), 0, dy / 6)),
    "hardswish": Activation("x", lambda x, alpha, beta: x * (np.clip(x + 3, 0, 6) / 6),
                            lambda dy, x, alpha, beta: _hardswish_backward(dy, x)),
    "mish": Activation("x", lambda x, alpha, beta: x * np.tanh(np.logaddexp(0, x)),
                       lambda dy, x, alpha, beta: dy * _mish_slope(x)),
    "softplus": Activation("x", _softplus, _softplus_backward, _refuses_softness),
    "softsign": Activation("x", lambda x, alpha, beta: x / (1 + np.abs(x)),
                           lambda dy, x, alpha, beta: dy / np.square(1 + np.abs(x))),
    "log_sigmoid": Activation("x", lambda x, alpha, beta: _log_sigmoid(x),
                              lambda dy, x, alpha, beta: dy * _sigmoid(-x)),
    "celu": Activation("y", _celu, lambda dy, y, alpha, beta: np.where(y > 0, dy, dy * (y / alpha + 1)),
                       _refuses_radius),
    "softshrink": Activation("y", _softshrink, lambda dy, y, alpha, beta: np.where(y == 0, 0, dy), _refuses_slope),
    "hardshrink": Activation("y", _hardshrink, lambda dy, y, alpha, beta: np.where(y == 0, 0, dy), _refuses_slope),
    "tanhshrink": Activation("x", lambda x, alpha, beta: _tanhshrink(x),
                             lambda dy, x, alpha, beta: dy * np.square(np.tanh(x))),
    "threshold": Activation("x", lambda x, alpha, beta: np.where(x <= alpha, beta, x),
                            lambda dy, x, alpha, beta: np.where(x <= alpha, 0, dy), _refuses_threshold),
}


def reads(function):
    """What the derivative of a function is worked out from, "x" or "y"; "kept" for one that is none."""
    return ACTIVATIONS[function].reads if function in ACTIVATIONS else "kept"
