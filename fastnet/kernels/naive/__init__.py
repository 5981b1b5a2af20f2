"""Every operation in plain NumPy: what each one means, and the baseline that the compiled kernels are measured by."""
from fastnet.kernels.naive.activation import (
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
from fastnet.kernels.naive.conv import (
    conv2d_algorithm,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    conv2d_inference,
    conv2d_maxpool_forward,
    conv2d_maxpool_inference,
    conv2d_pack,
)
from fastnet.kernels.naive.linear import linear_backward_input, linear_backward_weight, linear_forward
from fastnet.kernels.naive.norm import batchnorm_backward, batchnorm_forward, batchnorm_inference
from fastnet.kernels.naive.pool import (
    avgpool2d_backward,
    avgpool2d_forward,
    global_avgpool_backward,
    global_avgpool_forward,
    maxpool2d_backward,
    maxpool2d_forward,
    maxpool2d_inference,
)
from fastnet.kernels.naive.replay import record
from fastnet.kernels.naive.softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_cross_entropy,
    softmax_forward,
)
from fastnet.kernels.naive.update import adam_update, sgd_update, sum_of_squares
from fastnet.kernels.naive.watch import watcher

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
