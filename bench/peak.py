"""The two ceilings: how many floating-point operations a second the cores do when they do nothing but multiply and
add, and how many bytes a second they move when they do next to nothing else."""
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnet.kernels.cpu import simd

WIDTH = simd.VECTOR_BYTES // 4
# Independent sums: enough to hide the latency of an addition, few enough for the 32 or 16 registers.
CHAINS = 24 if simd.HOST in ("avx512", "neon") else 12
STEPS = 2_000_000
TRIAD_SIZE = 1 << 25


@intrinsic
def chains(typing_context, steps):
    """Sum of CHAINS vectors, each multiplied and added to ``steps`` times: acc = acc * 0.5 + 1."""

    def generate(context, builder, signature, arguments):
        count, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), WIDTH)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{WIDTH}f32")
        half, one = ir.Constant(vector, [0.5] * WIDTH), ir.Constant(vector, [1.0] * WIDTH)
        before, body = builder.block, builder.append_basic_block("body")
        after = builder.append_basic_block("after")
        builder.branch(body)
        builder.position_at_end(body)
        i = builder.phi(count)
        sums = [builder.phi(vector) for _ in range(CHAINS)]
        following = [builder.call(fma, [acc, half, one]) for acc in sums]
        i_next = builder.add(i, ir.Constant(count, 1))
        i.add_incoming(ir.Constant(count, 0), before)
        i.add_incoming(i_next, body)
        for k, (acc, new) in enumerate(zip(sums, following, strict=True)):
            acc.add_incoming(ir.Constant(vector, [float(k)] * WIDTH), before)
            acc.add_incoming(new, body)
        builder.cbranch(builder.icmp_signed("<", i_next, arguments[0]), body, after)
        builder.position_at_end(after)
        total = following[0]
        for acc in following[1:]:
            total = builder.fadd(total, acc)
        result = builder.extract_element(total, ir.Constant(ir.IntType(32), 0))
        for lane in range(1, WIDTH):
            result = builder.fadd(result, builder.extract_element(total, ir.Constant(ir.IntType(32), lane)))
        return result

    return types.float32(types.int64), generate


@numba.njit(parallel=True)
def _burn(out, steps):
    for t in numba.prange(out.size):
        out[t] = chains(steps)


def burst(threads):
    """A function that keeps ``threads`` threads busy with FMAs, and the number of operations of one call."""
    out = np.empty(threads, np.float32)

    def run():
        _burn(out, STEPS)
        return (out,)

    return run, 2 * CHAINS * WIDTH * STEPS * threads


@numba.njit(parallel=True, fastmath={"contract"})
def _triad(a, b, c):
    for i in numba.prange(a.size):
        a[i] = b[i] + np.float32(0.5) * c[i]


def triad():
    """A function that does a = b + c / 2 on arrays far larger than any cache (as STREAM does), and the bytes of one
    call, every array counted once."""
    a, b, c = (np.ones(TRIAD_SIZE, np.float32) for _ in range(3))

    def run():
        _triad(a, b, c)
        return (a,)

    return run, 3 * a.nbytes
