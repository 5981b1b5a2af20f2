"""Every operation as compiled, parallel machine code, in Python that Numba compiles at the first call.

Each file has two storeys: the operation, which checks its arguments, and the kernels it launches, which trust them.
`jit` compiles and launches, `simd` has the vector instructions, `array` the memory.
"""
from fastnet.kernels.cpu.activation import (
    add,
    concat,
    dropout,
    flatten,
    relu_backward,
    relu_forward,
    silu_backward,
    silu_forward,
    split,
    unflatten,
)
from fastnet.kernels.cpu.conv.ops import (
    conv2d_algorithm,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    conv2d_inference,
    conv2d_maxpool_forward,
    conv2d_maxpool_inference,
    conv2d_pack,
)
from fastnet.kernels.cpu.linear import linear_backward_input, linear_backward_weight, linear_forward
from fastnet.kernels.cpu.norm import batchnorm_backward, batchnorm_forward, batchnorm_inference
from fastnet.kernels.cpu.pool import (
    avgpool2d_backward,
    avgpool2d_forward,
    global_avgpool_backward,
    global_avgpool_forward,
    maxpool2d_backward,
    maxpool2d_forward,
    maxpool2d_inference,
)
from fastnet.kernels.cpu.runtime.replay import record
from fastnet.kernels.cpu.runtime.watch import watcher
from fastnet.kernels.cpu.softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_cross_entropy,
    softmax_forward,
)
from fastnet.kernels.cpu.update import adam_update, sgd_update, sum_of_squares

__all__ = [
    "adam_update", "add", "avgpool2d_backward", "avgpool2d_forward", "batchnorm_backward", "batchnorm_forward",
    "batchnorm_inference", "concat", "conv2d_algorithm", "conv2d_backward_input", "conv2d_backward_weight",
    "conv2d_forward", "conv2d_inference", "conv2d_maxpool_forward", "conv2d_maxpool_inference", "conv2d_pack",
    "dropout", "flatten", "global_avgpool_backward", "global_avgpool_forward", "linear_backward_input",
    "linear_backward_weight", "linear_forward", "log_softmax_backward", "log_softmax_forward", "maxpool2d_backward",
    "maxpool2d_forward", "maxpool2d_inference", "record", "relu_backward", "relu_forward", "sgd_update",
    "silu_backward", "silu_forward", "softmax_backward", "softmax_cross_entropy", "softmax_forward", "split",
    "sum_of_squares", "unflatten", "watcher",
]
