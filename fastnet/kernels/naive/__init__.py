"""Every operation in plain NumPy: what each one means, and the baseline that the compiled kernels are measured by."""
import contextlib

from fastnet.kernels import collect, counter
from fastnet.kernels.naive import (
    activation,
    broadcast,
    conv,
    embedding,
    features,
    group_norm,
    layer_norm,
    linear,
    locally_connected,
    move,
    nearest,
    norm,
    pointwise,
    pool,
    pool_max,
    recurrent,
    resample,
    response_norm,
    roi,
    score_losses,
    softmax,
    unpool,
    update,
)

globals().update(collect(activation, broadcast, conv, counter, embedding, features, group_norm, layer_norm, linear,
                         locally_connected, move, nearest, norm, pointwise, pool, pool_max, recurrent, resample,
                         response_norm, roi, score_losses, softmax, unpool, update,
                         extras=("conv2d_algorithm",)))

# Lists of operations run as they were traced, and each time anew.
rules, recorder, in_line = (), None, contextlib.nullcontext


def release():
    """Nothing to do: no memory is kept for later results."""


empty_cache = release
