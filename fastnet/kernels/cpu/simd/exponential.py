"""The exponential function and the logarithm as LLVM code; `simd.python_functions` says what they mean."""
import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types

from fastnet.kernels.cpu.simd.code import Vector, primitive
from fastnet.kernels.cpu.simd.host import SPECIAL


class _Format(NamedTuple):
    """What the series needs to know of a kind of number."""

    mantissa: int           # its bits
    bias: int               # of the exponent
    lowest: float           # from here down the result is 0,
    highest: float          # from here on infinite
    degree: int             # of the series
    log_2: float            # the logarithm of 2: the first bits, so few that its product with a whole number is exact,
    log_2_rest: float       # and the others
    terms: int              # of the series of the logarithm
    root: int               # the bits of the root of 1/2


_FORMATS = {
    types.float32: _Format(23, 127, -104.0, 89.0, 7, 0.693359375, -2.12194440054690583e-4, 4,
                           int(np.float32(math.sqrt(0.5)).view(np.int32))),
    types.float64: _Format(52, 1023, -746.0, 710.0, 13, 0.693145751953125, 1.42860682030941723212e-6, 10,
                           int(np.float64(math.sqrt(0.5)).view(np.int64))),
}


def _emit_exp(code, v, x, less=False, falls=False):
    """exp(x), minus 1 where `less`, and the bounds' exponentials for numbers beyond them. Where it `falls`, no x is
    above 0."""
    builder, numbers, integer = code.builder, _FORMATS[v.dtype], ir.IntType(v.dtype.bitwidth)

    def whole(number):
        return ir.Constant(ir.VectorType(integer, v.count), [number] * v.count)

    def scaled(number):
        """2^n times a vector, in one step, which is rounded once: n is the number `rounded`."""
        every = ir.Constant(ir.IntType(512 // v.dtype.bitwidth), -1)
        return code.call_for_registers(f"llvm.x86.avx512.mask.scalef.p{'s' if v.dtype == types.float32 else 'd'}.512",
                                       v, [number, rounded, number, every, ir.IntType(32)(4)])

    def power(exponent):
        bits = builder.shl(builder.add(exponent, whole(numbers.bias)), whole(numbers.mantissa))
        return builder.bitcast(bits, v.llvm)

    for sign, bound in (("<", numbers.lowest), (">", numbers.highest))[:2 - falls]:
        x = builder.select(builder.fcmp_ordered(sign, x, v.constant(bound)), v.constant(bound), x)
    # A number so large that its last bit stands for 1: adding it rounds, and leaves n in the lowest bits. (The
    # conversion of a NaN to an integer would be undefined; this way its exponent is some number or other.)
    large = v.constant(1.5 * 2.0 ** numbers.mantissa)
    shifted = code.fma(v, x, v.constant(1 / math.log(2)), large)
    rounded = builder.fsub(shifted, large)
    r = code.fma(v, rounded, v.constant(-numbers.log_2_rest), code.fma(v, rounded, v.constant(-numbers.log_2), x))
    one_step = SPECIAL and v.count * v.dtype.bitwidth >= 512
    if not one_step:    # in two steps, since 2^n itself may lie outside of the range of normal numbers
        n = builder.sub(builder.bitcast(shifted, whole(0).type), builder.bitcast(large, whole(0).type))
        half = builder.ashr(n, whole(1))
        first, second = power(half), power(builder.sub(n, half))
    if less:  # 2^n (exp(r) - 1) + (2^n - 1): near 0, where n is 0, nothing is lost
        result = v.constant(1 / math.factorial(numbers.degree))
        for k in range(numbers.degree - 1, 1, -1):
            result = code.fma(v, result, r, v.constant(1 / math.factorial(k)))
        result = code.fma(v, builder.fmul(result, r), r, r)
        if one_step:
            return builder.fadd(scaled(result), builder.fsub(scaled(v.constant(1)), v.constant(1)))
        rest = builder.fsub(builder.fmul(first, second), v.constant(1))
        return code.fma(v, builder.fmul(result, first), second, rest)
    result = v.constant(1 / math.factorial(numbers.degree))
    for k in range(numbers.degree - 1, -1, -1):
        result = code.fma(v, result, r, v.constant(1 / math.factorial(k)))
    if one_step:
        return scaled(result)
    return builder.fmul(builder.fmul(result, first), second)


@primitive
def exp(v):
    """Cody and Waite, "Software Manual for the Elementary Functions" (1980), chapter 6: exp(x) = 2^n exp(r) with n the
    whole number next to x / log 2, and Taylor's series for exp(r), which is cut where |r| <= log(2) / 2 loses nothing.
    """
    if isinstance(v, Vector):
        return v(v), lambda code: _emit_exp(code, v, code.v)


@primitive
def exp_of_minus_size(v):
    def emit(code):
        return _emit_exp(code, v, code.builder.fneg(code.call(f"llvm.fabs.{v.suffix}", v.llvm, [code.v])), falls=True)

    if isinstance(v, Vector):
        return v(v), emit


@primitive
def expm1(v):
    """As `exp`, the 1 left out of the series: Muller et al., "Handbook of Floating-Point Arithmetic" (2018), 10.2."""
    if isinstance(v, Vector):
        return v(v), lambda code: _emit_exp(code, v, code.v, less=True)


def _emit_log(code, v, x):
    """log(x) = e log 2 + log(m) with m = 1 + f between the roots of 1/2 and 2."""
    builder, numbers, integer = code.builder, _FORMATS[v.dtype], ir.IntType(v.dtype.bitwidth)

    def whole(number):
        return ir.Constant(ir.VectorType(integer, v.count), [number] * v.count)

    # Numbers too small to be normal have their exponent elsewhere: they are made larger first.
    small = builder.fcmp_ordered("<", x, v.constant(2.0 ** (1 - numbers.bias)))
    normal = builder.select(small, builder.fmul(x, v.constant(2.0 ** numbers.mantissa)), x)
    bits = builder.bitcast(normal, whole(0).type)
    exponent = builder.ashr(builder.sub(bits, whole(numbers.root)), whole(numbers.mantissa))
    m = builder.bitcast(builder.sub(bits, builder.shl(exponent, whole(numbers.mantissa))), v.llvm)
    # As in `_emit_exp`, a large number whose lowest bits a small integer is added to, and which is then taken off.
    large = v.constant(1.5 * 2.0 ** numbers.mantissa)
    shifted = builder.bitcast(builder.add(builder.bitcast(large, whole(0).type), exponent), v.llvm)
    e = builder.fsub(shifted, large)
    e = builder.select(small, builder.fsub(e, v.constant(numbers.mantissa)), e)
    f = builder.fsub(m, v.constant(1))
    s = builder.fdiv(f, builder.fadd(f, v.constant(2)))
    square = builder.fmul(s, s)
    rest = v.constant(2 / (2 * numbers.terms + 1))
    for k in range(numbers.terms - 1, 0, -1):
        rest = code.fma(v, rest, square, v.constant(2 / (2 * k + 1)))
    half = builder.fmul(builder.fmul(f, f), v.constant(0.5))
    rest = code.fma(v, s, code.fma(v, rest, square, half), builder.fmul(e, v.constant(numbers.log_2_rest)))
    result = code.fma(v, e, v.constant(numbers.log_2), builder.fsub(f, builder.fsub(half, rest)))
    for symbol, other, value in (("==", v.constant(0), v.constant(-math.inf)), ("<", v.constant(0),
                                 v.constant(math.nan)), ("==", v.constant(math.inf), x)):
        result = builder.select(builder.fcmp_ordered(symbol, x, other), value, result)
    return builder.select(builder.fcmp_unordered("uno", x, x), x, result)


@primitive
def log(v):
    """With s = f / (f + 2), log(1 + f) = 2 atanh(s) = f - (f^2 / 2 - s (f^2 / 2 + 2 s^2 / 3 + 2 s^4 / 5 + ...)).
    Source: Sun Microsystems, fdlibm, e_log.c, 1993; the series is cut where |s| <= 0.172 loses nothing."""
    if isinstance(v, Vector):
        return v(v), lambda code: _emit_log(code, v, code.v)
