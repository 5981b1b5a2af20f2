"""The activations, one row each: what three numbers say in registers, and what is a compiled function.

A function goes through a span of numbers, in place or not, and is compiled once, as it is written: see
`runtime.literal`. Kernels get its address.
"""
import math
from typing import NamedTuple

from fastnet.kernels.activations import SELU_ALPHA, SELU_SCALE
from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import literal
from fastnet.kernels.cpu.special import less_tanh, log1p, logistic, normal

_NONE = math.nan    # as a bound
_FAR = 1000.0       # inputs are cut off here: beyond, results do not change any more, but squares would overflow


class Bend(NamedTuple):
    """An activation made of straight pieces, in three steps:

    1. v is raised to `least` where it is below that.
    2. v is lowered to `largest` where it is above that.
    3. If `sloped`, v is multiplied by `factor` where it is not above 0.

    For most activations the last one would change nothing: `sloped` is false, and it is left out. A bound that is NaN
    is switched off, since no comparison with NaN is true. `simd.python` has it in NumPy.
    """

    sloped: bool
    factor: float
    least: float
    largest: float


class Activation(NamedTuple):
    """A row of the table. A number takes `cost` operations, as `launch` counts them. Piecewise linear activations have
    `bend`, which gives the Bend for (alpha, beta); others have `forward`, a compiled function. All have `backward`,
    another one; see `epilogue.Call` for what they take."""

    cost: int
    bend: object = None
    forward: object = None
    backward: object = None


NO_BEND, RELU = Bend(False, 1.0, _NONE, _NONE), Bend(False, 1.0, 0.0, _NONE)


def _smooth(cost, formula, gradient):
    """The row of an activation. formula(v, like, alpha, beta) gives the activation of a vector v; `like` is a vector of
    that kind or any array of such numbers. gradient(g, v, like, alpha, beta) gives g times the derivative; there v is x
    or y, whichever `fastnet.kernels.activations` says that the activation reads."""

    def forward(start, stop, path, alpha, beta):
        x, y = path.x, path.y
        wide = simd.wide_lanes(y)
        whole = start if path.far else start + max(0, stop - start) // wide * wide  # what is far waits for memory
        for i in range(start, whole, wide):
            v = simd.load_wide(x, i)
            simd.store(y, i, formula(v, v, alpha, beta))
        for i in range(whole, stop, simd.lanes(y)):
            spans.put(y, i, formula(simd.load_part(x, i, stop - i), y, alpha, beta), stop - i, path.far)

    def backward(start, stop, path, kept, at, alpha, beta):
        dy, dx = path.x, path.y
        for i in range(start, stop, simd.lanes(dx)):
            n = stop - i
            v = simd.load_part(kept, at + i - start, n)
            spans.put(dx, i, gradient(simd.load_part(dy, i, n), v, dx, alpha, beta), n, path.far)

    # A gradient may serve several rows, but names are one for each kernel.
    forward.__qualname__, backward.__qualname__ = formula.__name__, f"{formula.__name__}{gradient.__name__}"
    return Activation(cost, None, literal(forward), literal(backward))


def _piecewise(bend):
    """The row of an activation of which bend(alpha, beta) is the Bend."""
    compiled = literal(bend)

    def backward(start, stop, path, y, at, alpha, beta):
        dy, dx, pieces = path.x, path.y, compiled(alpha, beta)
        for i in range(start, stop, simd.lanes(dx)):
            v = simd.unbend(simd.load_part(dy, i, stop - i), simd.load_part(y, at + i - start, stop - i), pieces)
            spans.put(dx, i, v, stop - i, path.far)

    backward.__qualname__ = f"{bend.__name__}_gradient"
    return Activation(1, bend, None, literal(backward))


def _relu(alpha, beta):
    """max(x, 0)."""
    return Bend(False, 1.0, 0.0, _NONE)


def _leaky_relu(alpha, beta):
    """x where x > 0, else alpha x."""
    return Bend(True, alpha, _NONE, _NONE)


def _hardtanh(alpha, beta):
    """min(max(x, alpha), beta)."""
    return Bend(False, 1.0, alpha, beta)


@literal
def sigmoid(v, like, alpha, beta):
    """1 / (1 + exp(-x))."""
    return logistic(v, like)


@literal
def sigmoid_gradient(g, y, like, alpha, beta):
    """g y (1 - y)."""
    return g * (y * (simd.full(like, 1) - y))


@literal
def tanh(v, like, alpha, beta):
    """-e / (e + 2) for e = exp(-2 |x|) - 1, with the sign of x: nothing is lost near 0, nothing overflows.
    Source: Sun Microsystems, fdlibm, s_tanh.c, 1993."""
    zero, two = simd.full(like, 0), simd.full(like, 2)
    less = simd.expm1(simd.full(like, -2) * simd.size(v))
    result = simd.quotient(zero - less, less + two)
    return simd.pick(v, zero, result, zero - result)


@literal
def tanh_gradient(g, y, like, alpha, beta):
    """g (1 - y^2)."""
    return g * simd.fma(simd.full(like, 0) - y, y, simd.full(like, 1))


@literal
def _elu(v, like, alpha, beta):
    """x where x > 0, else alpha (exp(x) - 1). Source: Clevert et al., Exponential linear units, 2016."""
    return simd.pick(v, simd.full(like, 0), v, simd.full(like, alpha) * simd.expm1(v))


@literal
def _elu_gradient(g, y, like, alpha, beta):
    """g where y > 0, else g (y + alpha)."""
    low = simd.clip(y, simd.full(like, -math.inf), simd.full(like, 0))     # y itself where it is not above 0, or NaN
    return simd.pick(y, low, g, g * (y + simd.full(like, alpha)))


@literal
def _selu(v, like, alpha, beta):
    """scale x where x > 0, else scale alpha (exp(x) - 1). Source: Klambauer et al., Self-normalizing nets, 2017."""
    low = simd.full(like, SELU_SCALE * SELU_ALPHA) * simd.expm1(v)
    return simd.pick(v, simd.full(like, 0), simd.full(like, SELU_SCALE) * v, low)


@literal
def _selu_gradient(g, y, like, alpha, beta):
    """g scale where y > 0, else g (y + scale alpha)."""
    low = simd.clip(y, simd.full(like, -math.inf), simd.full(like, 0))     # as in `_elu_gradient`
    return g * simd.pick(y, low, simd.full(like, SELU_SCALE), y + simd.full(like, SELU_SCALE * SELU_ALPHA))


@literal
def _silu(v, like, alpha, beta):
    """x / (1 + exp(-x)). Source: Elfwing et al., Sigmoid-weighted linear units, 2018."""
    return v * logistic(v, like)


@literal
def _silu_gradient(g, v, like, alpha, beta):
    """g s (1 + x (1 - s)) with s = 1 / (1 + exp(-x))."""
    one, share = simd.full(like, 1), logistic(v, like)
    return g * (share * simd.fma(v, one - share, one))


@literal
def _gelu(v, like, alpha, beta):
    """x Phi(x). Source: Hendrycks and Gimpel, Gaussian error linear units, 2016."""
    share, _ = normal(v, like)
    return v * share


@literal
def _gelu_gradient(g, v, like, alpha, beta):
    """g (Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi))."""
    share, tail = normal(v, like)
    return g * simd.fma(v * simd.full(like, 1 / math.sqrt(2 * math.pi)), tail, share)


_INNER, _CUBE = math.sqrt(2 / math.pi), 0.044715


@literal
def _gelu_tanh(v, like, alpha, beta):
    """x (1 + tanh(u)) / 2 = x / (1 + exp(-2 u)) with u = sqrt(2 / pi) (x + 0.044715 x^3). Source: as `_gelu`."""
    inner = v * simd.fma(v * v, simd.full(like, 2 * _INNER * _CUBE), simd.full(like, 2 * _INNER))
    return v * logistic(inner, like)


@literal
def _gelu_tanh_gradient(g, v, like, alpha, beta):
    """g (s + x s (1 - s) 2 u') with s = 1 / (1 + exp(-2 u)), u' = sqrt(2 / pi) (1 + 3 0.044715 x^2)."""
    one = simd.full(like, 1)
    v = simd.clip(v, simd.full(like, -_FAR), simd.full(like, _FAR))
    square = v * v
    inner = v * simd.fma(square, simd.full(like, 2 * _INNER * _CUBE), simd.full(like, 2 * _INNER))
    share = logistic(inner, like)
    steep = v * simd.fma(square, simd.full(like, 6 * _INNER * _CUBE), simd.full(like, 2 * _INNER))
    return g * (share * simd.fma(steep, one - share, one))


@literal
def _hardsigmoid(v, like, alpha, beta):
    """min(max(x + 3, 0), 6) / 6. Source: Courbariaux et al., BinaryConnect, 2015."""
    inside = simd.clip(v + simd.full(like, 3), simd.full(like, 0), simd.full(like, 6))
    return inside * simd.full(like, 1 / 6)


@literal
def _hardsigmoid_gradient(g, y, like, alpha, beta):
    """g / 6 where y lies between 0 and 1, or is NaN, else 0, whatever g is."""
    zero = simd.full(like, 0)
    above = simd.pick(y, zero, g * simd.full(like, 1 / 6), zero)
    return simd.pick(zero - y, simd.full(like, -1), above, zero)


@literal
def _hardswish(v, like, alpha, beta):
    """x min(max(x + 3, 0), 6) / 6. Source: Howard et al., Searching for MobileNetV3, 2019."""
    return v * _hardsigmoid(v, like, alpha, beta)


@literal
def _hardswish_gradient(g, v, like, alpha, beta):
    """0 up to -3, whatever g is, g from 3 on, g (x / 3 + 1 / 2) between."""
    three, half = simd.full(like, 3), simd.full(like, 0.5)
    inside = simd.clip(v, simd.full(like, -3), three)
    slope = simd.fma(inside, simd.full(like, 1 / 3), half) - simd.matching(half, inside, three)
    return simd.pick(v, simd.full(like, -3), g * slope, simd.full(like, 0))


@literal
def _mish_terms(v, like):
    """(exp(x), n) with tanh(log(1 + exp(x))) = n / (n + 2) for n = exp(x) (exp(x) + 2); beyond 20 that is 1 to the last
    bit of float32 and float64."""
    power = simd.exp(simd.clip(v, simd.full(like, -_FAR), simd.full(like, 20)))
    return power, power * (power + simd.full(like, 2))


@literal
def _mish(v, like, alpha, beta):
    """x tanh(log(1 + exp(x))). Source: Misra, Mish, 2019."""
    _, n = _mish_terms(v, like)
    return v * simd.quotient(n, n + simd.full(like, 2))


@literal
def _mish_gradient(g, v, like, alpha, beta):
    """g (t + x (1 - t^2) s) with t = n / (n + 2), 1 - t^2 = 4 (n + 1) / (n + 2)^2 and s = exp(x) / (1 + exp(x))."""
    power, n = _mish_terms(v, like)
    v, below = simd.clip(v, simd.full(like, -_FAR), simd.full(like, _FAR)), n + simd.full(like, 2)
    steep = simd.quotient(simd.full(like, 4) * (n + simd.full(like, 1)), below * below)
    steep = steep * simd.quotient(power, power + simd.full(like, 1))
    return g * simd.fma(v, steep, simd.quotient(n, below))


@literal
def _softplus(v, like, alpha, beta):
    """log(1 + exp(alpha x)) / alpha, x where alpha x > beta. With t = alpha x and e = exp(-|t|) the logarithm is
    max(t, 0) + log(1 + e)."""
    slope = simd.full(like, alpha)
    t = v * slope
    above = simd.clip(t, simd.full(like, 0), simd.full(like, math.inf))
    return simd.pick(t, simd.full(like, beta), v, (above + log1p(simd.exp_of_minus_size(t), like)) / slope)


@literal
def _softplus_gradient(g, v, like, alpha, beta):
    """g / (1 + exp(-alpha x)), g where alpha x > beta, NaN where x is."""
    one, t = simd.full(like, 1), v * simd.full(like, alpha)
    # `pick` takes a NaN for larger than anything, and `clip` leaves it as it is.
    return g * simd.pick(t, simd.full(like, beta), simd.clip(t, one, one), logistic(t, like))


@literal
def _softsign(v, like, alpha, beta):
    """x / (1 + |x|). Source: Bergstra et al., Quadratic polynomials learn better image features, 2009."""
    return v / (simd.full(like, 1) + simd.size(v))


@literal
def _softsign_gradient(g, v, like, alpha, beta):
    """g / (1 + |x|)^2."""
    below = simd.full(like, 1) + simd.size(v)
    return g / (below * below)


@literal
def _log_sigmoid(v, like, alpha, beta):
    """-log(1 + exp(-x)) = min(x, 0) - log(1 + exp(-|x|))."""
    below = simd.clip(v, simd.full(like, -math.inf), simd.full(like, 0))
    return below - log1p(simd.exp_of_minus_size(v), like)


@literal
def _log_sigmoid_gradient(g, v, like, alpha, beta):
    """g / (1 + exp(x))."""
    return g * logistic(simd.full(like, 0) - v, like)


@literal
def _celu(v, like, alpha, beta):
    """x where x > 0, else alpha (exp(x / alpha) - 1). Source: Barron, Continuously differentiable ELUs, 2017."""
    radius = simd.full(like, alpha)
    return simd.pick(v, simd.full(like, 0), v, radius * simd.expm1(v / radius))


@literal
def _celu_gradient(g, y, like, alpha, beta):
    """g where y > 0, else g (y / alpha + 1)."""
    low = simd.clip(y, simd.full(like, -math.inf), simd.full(like, 0))     # as in `_elu_gradient`
    return simd.pick(y, low, g, g * (y / simd.full(like, alpha) + simd.full(like, 1)))


@literal
def _softshrink(v, like, alpha, beta):
    """x without what lies between -alpha and alpha."""
    radius = simd.full(like, alpha)
    return v - simd.clip(v, simd.full(like, 0) - radius, radius)


@literal
def _hardshrink(v, like, alpha, beta):
    """x where |x| > alpha, else 0."""
    return simd.pick(simd.size(v), simd.full(like, alpha), v, simd.full(like, 0))


@literal
def _shrink_gradient(g, y, like, alpha, beta):
    """g where y is not 0, whatever g is where it is."""
    return simd.pick(simd.size(y), simd.full(like, 0), g, simd.full(like, 0))


@literal
def _tanhshrink(v, like, alpha, beta):
    """x - tanh(x), near 0 without taking one from the other."""
    far = v - tanh(v, like, alpha, beta)
    return simd.pick(simd.size(v), simd.full(like, 1), far, less_tanh(v, like))


@literal
def _tanhshrink_gradient(g, v, like, alpha, beta):
    """g tanh(x)^2."""
    slope = tanh(v, like, alpha, beta)
    return g * (slope * slope)


@literal
def _threshold(v, like, alpha, beta):
    """x where x > alpha, else beta."""
    return simd.pick(v, simd.full(like, alpha), v, simd.full(like, beta))


@literal
def _threshold_gradient(g, v, like, alpha, beta):
    """g where x > alpha, else 0, whatever g is."""
    return simd.pick(v, simd.full(like, alpha), g, simd.full(like, 0))


COMPILED = {
    "relu": _piecewise(_relu),
    "leaky_relu": _piecewise(_leaky_relu),
    "hardtanh": _piecewise(_hardtanh),
    "sigmoid": _smooth(4, sigmoid, sigmoid_gradient),
    "tanh": _smooth(5, tanh, tanh_gradient),
    "elu": _smooth(4, _elu, _elu_gradient),
    "selu": _smooth(4, _selu, _selu_gradient),
    "silu": _smooth(4, _silu, _silu_gradient),
    "gelu": _smooth(10, _gelu, _gelu_gradient),
    "gelu_tanh": _smooth(5, _gelu_tanh, _gelu_tanh_gradient),
    "hardsigmoid": _smooth(2, _hardsigmoid, _hardsigmoid_gradient),
    "hardswish": _smooth(2, _hardswish, _hardswish_gradient),
    "mish": _smooth(5, _mish, _mish_gradient),
    "softplus": _smooth(9, _softplus, _softplus_gradient),
    "softsign": _smooth(2, _softsign, _softsign_gradient),
    "log_sigmoid": _smooth(9, _log_sigmoid, _log_sigmoid_gradient),
    "celu": _smooth(4, _celu, _celu_gradient),
    "softshrink": _smooth(1, _softshrink, _shrink_gradient),
    "hardshrink": _smooth(1, _hardshrink, _shrink_gradient),
    "tanhshrink": _smooth(7, _tanhshrink, _tanhshrink_gradient),
    "threshold": _smooth(1, _threshold, _threshold_gradient),
}
