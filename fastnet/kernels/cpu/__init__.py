"""Every operation as compiled, parallel machine code, in Python that Numba compiles at the first call.

Each file has two storeys: the operation, which checks its arguments, and the kernels it launches, which trust them.
`runtime` compiles, launches, records and has the memory, `simd` the vector instructions. `fusions` has the rules by
which lists of operations are rewritten for this backend, the only ones who know of the fused forms: keyword arguments
behind those of the contract, and convolutions with packed weights.
"""
from fastnet.kernels import collect, counter
from fastnet.kernels.cpu import activation, linear, move, norm, pool, softmax, update
from fastnet.kernels.cpu.conv import ops
from fastnet.kernels.cpu.fusions import RULES as rules
from fastnet.kernels.cpu.runtime import array, record, watch

globals().update(collect(
    activation, counter, linear, move, norm, ops, pool, softmax, update, array, record, watch,
    extras=("conv2d_algorithm", "conv2d_pack", "conv2d_pack_folded", "conv2d_inference", "conv2d_maxpool_forward",
            "conv2d_maxpool_inference", "recorder", "Arena", "address", "watcher")))

__all__ = ["rules"]
