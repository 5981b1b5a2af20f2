"""Every operation as compiled, parallel machine code, in Python that Numba compiles at the first call.

Each file has two storeys: the operation, which checks its arguments, and the kernels it launches, which trust them.
`runtime` compiles, launches, records and has the memory, `simd` the vector instructions, `conv` the convolutions
(docs/convolution.md is the way in). `fusions` has the rules by which lists of operations are rewritten for this
backend, the only ones who know of the fused forms: keyword arguments behind those of the contract, and convolutions
with packed weights.

The words of this folder. Some have two meanings, which the context tells apart, as everywhere in this field:

    pass        forward, or the gradient for the input, or for the weights
    way         how a pass is computed: for convolutions direct, of vectors or whole matrices, Winograd's or depthwise
    kernel      a compiled function (block, slot, ...) that computes one block; and what convolves images, R x S
    block       the piece of a result that one call of a kernel owns: nobody else writes there
    slot        which of the running threads it is, and so which piece of scratch memory it may use
    plan        numbers that are worked out once and that a kernel reads by name, see `runtime.plan`
    part        one of the pieces that the work of a panel, a sum or a recording is cut into
    chain       the numbers that are added one by one in float32, no more than 64 in most places, see `sums`; and
                convolutions that an image goes through in bands, some rows at a time, see `conv.chain`
    vector      one register full of numbers; each number is in a lane
    tile        the sums that a register tile keeps in registers while it multiplies: some rows of a panel's width
    panel       some columns of a matrix, as many as a tile is wide, stored row by row
    word        what is moved as one, whatever it means: an element of an array, a number or two of bfloat16; in frames
                and plans 64 bits
    short       images whose words are two numbers of bfloat16 each, see `short`; `shortening` says which are
    pixel       a place of an image with all its channels, which lie side by side
    tap         one element (r, s) of a convolution's kernel, and the pixel that it meets
    patch       what Winograd computes at a time: m x m pixels of a result, and the n x n that they are computed from
    point       one of the n x n numbers that a patch or a kernel becomes in Winograd's form
    line        a row of an image as matrix registers read it, of positions, one for each pixel and some for zeros, see
                `conv.amx_layout`; there a phase is the pixels that are a stride apart
    run         numbers side by side that are multiplied in one innermost loop: where they start and how many they are
    source      what one row, column or pixel of a resampled image is made of, among others: one of x, with a weight
    stretch     neighbours of a result whose sources are neighbours too, and so are made by one loop, see `resample`
    fold        neighbouring axes in memory along which a smaller array is whole, or has length 1, see `broadcast`
    span        the numbers of an array from a start up to a stop
    strip       some rows of a large image, all of whose strips share one table
    epilogue    what is done to a result as it is written: a sum, an activation, the derivative of one
    bend        an activation that is piecewise linear: three numbers say which
    mask        what an activation gave in the forward pass, from which its derivative is worked out; `masking` is which
                activation that was
    frame       the arguments of a launch as they lie in memory, see `runtime.frames`
    entrance    a compiled function that takes a kernel's arguments out of a frame and calls it
    sweep       how the blocks of a launch go over an array from one end to the other, see `runtime.pairs`; a unit is
                some blocks of two launches that take turns by their sweeps
"""
from fastnet.kernels import collect, counter
from fastnet.kernels.cpu import (
    activation,
    broadcast,
    embedding,
    features,
    group_norm,
    layer_norm,
    linear,
    locally_connected,
    move,
    nearest,
    norm,
    packed_linear,
    pointwise,
    pool,
    pool_max,
    recurrent,
    resample,
    response_norm,
    roi,
    runtime,
    score_losses,
    short,
    softmax,
    statistics,
    unpool,
    update,
)
from fastnet.kernels.cpu.conv import chain, ops, transposed
from fastnet.kernels.cpu.fusions import RULES as rules

globals().update(collect(
    activation, broadcast, chain, counter, embedding, features, group_norm, layer_norm, linear, locally_connected, move,
    nearest, norm, ops, packed_linear, pointwise, pool, pool_max, recurrent, resample, response_norm, roi, runtime,
    score_losses, short, softmax, statistics, transposed, unpool, update,
    extras=("conv2d_algorithm", "conv2d_pack", "conv2d_pack_folded", "conv2d_inference", "conv2d_maxpool_forward",
            "conv2d_maxpool_inference", "conv2d_chain_inference", "conv2d_short", "conv_transpose2d_pack",
            "conv_transpose2d_pack_folded", "conv_transpose2d_inference", "recorder", "in_line", "Arena", "address",
            "release", "empty_cache", "watcher", "places", "shorten", "lengthen", "maxpool2d_short", "linear_pack",
            "linear_inference")))

__all__ = ["rules"]
