"""Special functions of vectors, of which activations are made; `like` is an array of such numbers."""
import math

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import hash_of, literal, made_for


def polynomial(*coefficients):
    """The function that evaluates it at a vector, the highest power first."""
    first, rest = coefficients[0], coefficients[1:]

    @literal
    @made_for(hash_of(coefficients))
    def polynomial(v, like):
        result = simd.full(like, first)
        for coefficient in rest:
            result = simd.fma(result, v, simd.full(like, coefficient))
        return result

    return polynomial


@literal
def logistic(v, like):
    """1 / (1 + exp(-x)): with e = exp(-|x|) that is 1 / (1 + e) above 0, and e / (1 + e) below."""
    one, e = simd.full(like, 1), simd.exp_of_minus_size(v)
    return simd.quotient(simd.pick(v, simd.full(like, 0), one, e), one + e)


# Of s^2: up to 1/9 that is exact to the last bit of float64, and of float32.
_atanh_over_s, _atanh_over_s_short = (polynomial(*(1 / k for k in range(last, 0, -2))) for last in (33, 15))


@literal
def log1p(e, like):
    """log(1 + e) for e up to 1: 2 atanh(s) with s = e / (e + 2), at most 1/3."""
    s = simd.quotient(e, e + simd.full(like, 2))
    if like.itemsize == 4:
        return simd.full(like, 2) * s * _atanh_over_s_short(s * s, like)
    return simd.full(like, 2) * s * _atanh_over_s(s * s, like)


# Of x^2: (x cosh(x) - sinh(x)) / x^3 and cosh(x). Up to |x| = 1 that is exact to the last bit of float64, and of
# float32.
_above_cosh, _above_cosh_short = (polynomial(*(2 * k / math.factorial(2 * k + 1) for k in range(last, 0, -1)))
                                  for last in (10, 6))
_cosh, _cosh_short = (polynomial(*(1 / math.factorial(2 * k) for k in range(last, -1, -1))) for last in (9, 6))


@literal
def less_tanh(v, like):
    """x - tanh(x) for |x| up to 1, as (x cosh(x) - sinh(x)) / cosh(x): in both series all terms have one sign, so that
    no digit is lost where x and tanh(x) are nearly the same."""
    square = v * v
    if like.itemsize == 4:
        return v * square * simd.quotient(_above_cosh_short(square, like), _cosh_short(square, like))
    return v * square * simd.quotient(_above_cosh(square, like), _cosh(square, like))


_erf_above = polynomial(1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2,
                        3.20937758913846947e3)
_erf_below = polynomial(1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
                        2.84423683343917062e3)
_rest_above = polynomial(2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
                         2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
                         1.23033935479799725e3)
_rest_below = polynomial(1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
                         1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
                         1.23033935480374942e3)


# Of Phi(-a) exp(a^2 / 2), for a from 0 to 14.5, where float32 ends: all are positive, and the quotient is wrong by 6e-9
# of itself. Found by least squares whose weights grew where the error was largest (Lawson's method).
_tail_above = polynomial(4.11627271e-3, 4.06329958e-2, 1.83234475e-1, 4.38294089e-1, 5.00000003e-1)
_tail_below = polynomial(1.03178458e-2, 1.01858263e-1, 4.69468873e-1, 1.20250044, 1.67447316, 1.0)


@literal
def _normal_short(v, like):
    """`normal` for float32, within 4 units in the last place around 0, beyond within those that exp(-x^2 / 2) has: with
    a = |x| it is exp(-a^2 / 2) P(a) / Q(a), or 1 minus that."""
    zero = simd.full(like, 0)
    away = simd.clip(simd.size(v), zero, simd.full(like, 14.5))
    tail = simd.exp(away * away * simd.full(like, -0.5))
    share = simd.quotient(tail * _tail_above(away, like), _tail_below(away, like))
    return simd.above(v, zero, simd.full(like, 1) - share, share), tail


@literal
def normal(v, like):
    """(Phi(x), exp(-x^2 / 2)) of the normal distribution: with z = |x| / sqrt(2), 1/2 + z R(z^2) / 2 with the sign of x
    up to z = 0.46875, then exp(-z^2) S(z) / 2, or 1 minus that. Source: Cody, "Rational Chebyshev approximations for
    the error function", 1969; his second formula serves beyond 4 too, where Phi is 0 or 1 to eight digits."""
    if like.itemsize == 4:
        return _normal_short(v, like)
    zero, half = simd.full(like, 0), simd.full(like, 0.5)
    scaled = v * simd.full(like, math.sqrt(0.5))
    away = simd.clip(simd.size(scaled), zero, simd.full(like, 30))
    square = away * away
    tail = simd.exp(zero - square)
    near = half + half * scaled * _erf_above(square, like) / _erf_below(square, like)
    far = half * tail * _rest_above(away, like) / _rest_below(away, like)
    far = simd.pick(v, zero, simd.full(like, 1) - far, far)
    return simd.pick(away, simd.full(like, 0.46875), far, near), tail
