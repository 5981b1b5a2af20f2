"""The exponential function as LLVM code; `simd.python` says what it means."""
import math

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnet.kernels.cpu.simd.llvm import Vector, _fma

# Bits of the mantissa, bias of the exponent, the range where the result is neither 0 nor infinite, the degree of
# the series, and the two parts of the logarithm of 2, of which the first has so few bits that its product with a whole
# number is exact.
_EXP = {
    types.float32: (23, 127, -104.0, 89.0, 7, 0.693359375, -2.12194440054690583e-4),
    types.float64: (52, 1023, -746.0, 710.0, 13, 0.693145751953125, 1.42860682030941723212e-6),
}


def _emit_exp(builder, v, x, less):
    """exp(x), minus 1 where `less`, and the bounds' exponentials for numbers beyond them."""
    mantissa, bias, lowest, highest, degree, high, low = _EXP[v.dtype]
    integer = ir.IntType(v.dtype.bitwidth)

    def whole(number):
        return ir.Constant(ir.VectorType(integer, v.count), [number] * v.count)

    def power(exponent):
        bits = builder.shl(builder.add(exponent, whole(bias)), whole(mantissa))
        return builder.bitcast(bits, v.llvm)

    for sign, bound in (("<", lowest), (">", highest)):
        x = builder.select(builder.fcmp_ordered(sign, x, v.constant(bound)), v.constant(bound), x)
    # A number so large that its last bit stands for 1: adding it rounds, and leaves n in the lowest bits. (The
    # conversion of a NaN to an integer would be undefined; this way its exponent is some number or other.)
    large = v.constant(1.5 * 2.0 ** mantissa)
    shifted = _fma(builder, v, x, v.constant(1 / math.log(2)), large)
    rounded = builder.fsub(shifted, large)
    r = _fma(builder, v, rounded, v.constant(-low), _fma(builder, v, rounded, v.constant(-high), x))
    # In two steps, since 2^n itself may lie outside of the range of normal numbers.
    n = builder.sub(builder.bitcast(shifted, whole(0).type), builder.bitcast(large, whole(0).type))
    half = builder.ashr(n, whole(1))
    first, second = power(half), power(builder.sub(n, half))
    result = v.constant(1 / math.factorial(degree))
    for k in range(degree - 1, less, -1):
        result = _fma(builder, v, result, r, v.constant(1 / math.factorial(k)))
    if less:  # 2^n (exp(r) - 1) + (2^n - 1): near 0, where n is 0, nothing is lost
        result = _fma(builder, v, builder.fmul(result, r), r, r)
        rest = builder.fsub(builder.fmul(first, second), v.constant(1))
        return _fma(builder, v, builder.fmul(result, first), second, rest)
    result = _fma(builder, v, result, r, v.constant(1))
    return builder.fmul(builder.fmul(result, first), second)


@intrinsic
def exp(typingctx, v):
    """Cody and Waite, "Software Manual for the Elementary Functions" (1980), chapter 6: exp(x) = 2^n exp(r) with n the
    whole number next to x / log 2, and Taylor's series for exp(r), which is cut where |r| <= log(2) / 2 loses nothing.
    """
    if isinstance(v, Vector):
        return v(v), lambda context, builder, signature, args: _emit_exp(builder, v, args[0], False)


@intrinsic
def expm1(typingctx, v):
    """As `exp`, the 1 left out of the series: Muller et al., "Handbook of Floating-Point Arithmetic" (2018), 10.2."""
    if isinstance(v, Vector):
        return v(v), lambda context, builder, signature, args: _emit_exp(builder, v, args[0], True)
