"""The exponential function as LLVM code; `simd.python` says what it means."""
import math
from typing import NamedTuple

from llvmlite import ir
from numba import types

from fastnet.kernels.cpu.simd.code import Vector, primitive


class _Format(NamedTuple):
    """What the series needs to know of a kind of number."""

    mantissa: int           # its bits
    bias: int               # of the exponent
    lowest: float           # from here down the result is 0,
    highest: float          # from here on infinite
    degree: int             # of the series
    log_2: float            # the logarithm of 2: the first bits, so few that its product with a whole number is exact,
    log_2_rest: float       # and the others


_FORMATS = {
    types.float32: _Format(23, 127, -104.0, 89.0, 7, 0.693359375, -2.12194440054690583e-4),
    types.float64: _Format(52, 1023, -746.0, 710.0, 13, 0.693145751953125, 1.42860682030941723212e-6),
}


def _emit_exp(code, v, x, less):
    """exp(x), minus 1 where `less`, and the bounds' exponentials for numbers beyond them."""
    builder, numbers, integer = code.builder, _FORMATS[v.dtype], ir.IntType(v.dtype.bitwidth)

    def whole(number):
        return ir.Constant(ir.VectorType(integer, v.count), [number] * v.count)

    def power(exponent):
        bits = builder.shl(builder.add(exponent, whole(numbers.bias)), whole(numbers.mantissa))
        return builder.bitcast(bits, v.llvm)

    for sign, bound in (("<", numbers.lowest), (">", numbers.highest)):
        x = builder.select(builder.fcmp_ordered(sign, x, v.constant(bound)), v.constant(bound), x)
    # A number so large that its last bit stands for 1: adding it rounds, and leaves n in the lowest bits. (The
    # conversion of a NaN to an integer would be undefined; this way its exponent is some number or other.)
    large = v.constant(1.5 * 2.0 ** numbers.mantissa)
    shifted = code.fma(v, x, v.constant(1 / math.log(2)), large)
    rounded = builder.fsub(shifted, large)
    r = code.fma(v, rounded, v.constant(-numbers.log_2_rest), code.fma(v, rounded, v.constant(-numbers.log_2), x))
    # In two steps, since 2^n itself may lie outside of the range of normal numbers.
    n = builder.sub(builder.bitcast(shifted, whole(0).type), builder.bitcast(large, whole(0).type))
    half = builder.ashr(n, whole(1))
    first, second = power(half), power(builder.sub(n, half))
    result = v.constant(1 / math.factorial(numbers.degree))
    for k in range(numbers.degree - 1, less, -1):
        result = code.fma(v, result, r, v.constant(1 / math.factorial(k)))
    if less:  # 2^n (exp(r) - 1) + (2^n - 1): near 0, where n is 0, nothing is lost
        result = code.fma(v, builder.fmul(result, r), r, r)
        rest = builder.fsub(builder.fmul(first, second), v.constant(1))
        return code.fma(v, builder.fmul(result, first), second, rest)
    result = code.fma(v, result, r, v.constant(1))
    return builder.fmul(builder.fmul(result, first), second)


@primitive
def exp(v):
    """Cody and Waite, "Software Manual for the Elementary Functions" (1980), chapter 6: exp(x) = 2^n exp(r) with n the
    whole number next to x / log 2, and Taylor's series for exp(r), which is cut where |r| <= log(2) / 2 loses nothing.
    """
    if isinstance(v, Vector):
        return v(v), lambda code: _emit_exp(code, v, code.v, False)


@primitive
def expm1(v):
    """As `exp`, the 1 left out of the series: Muller et al., "Handbook of Floating-Point Arithmetic" (2018), 10.2."""
    if isinstance(v, Vector):
        return v(v), lambda code: _emit_exp(code, v, code.v, True)
