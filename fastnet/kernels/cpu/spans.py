"""Short loops over runs of numbers, for use inside kernels."""
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime.jit import inlined, jit


@jit
def clear(x, start, stop):
    """x[start : stop] = 0."""
    for i in range(start, stop, simd.lanes(x)):
        simd.store_part(x, i, simd.full(x, 0), stop - i)


@inlined
def fetch(x, start, stop):
    """Have x[start : stop] brought into the second cache, one request for each line of 64 bytes."""
    for i in range(start, min(stop, x.size), 64 // x.itemsize):
        simd.prefetch(x, i)


@inlined
def finish(y, at, n, add, adding, relu, mask, masked):
    """What is left to do for n results that were just written: y + add, max(., 0), and 0 where mask is not above 0."""
    for i in range(at, at + n, simd.lanes(y)):
        v = simd.load_part(y, i, at + n - i)
        if adding:
            v = v + simd.load_part(add, i, at + n - i)
        if relu:
            v = simd.relu(v)
        if masked:
            v = simd.positive(v, simd.load_part(mask, i, at + n - i))
        simd.store_part(y, i, v, at + n - i)
