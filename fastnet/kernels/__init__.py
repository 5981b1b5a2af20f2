"""The kernels: every heavy operation of the library, once for each backend.

A backend is a module whose functions bear the names below. ``load("cpu")`` gives the compiled one, ``load("naive")``
the same operations in plain NumPy: slow, short, and the definition of what each operation means. A layer holds such a
module as ``self.ops`` and never asks which one it is; an operation that a backend lacks raises AttributeError.

The contract, for every backend
-------------------------------
* Images are arrays of shape (N, C, H, W): batch, channels, height, width. Results are channels-last in memory (an
  (N, H, W, C) buffer seen through ``transpose(0, 3, 1, 2)``); inputs may have any layout.
* float32 and float64 are computed as they come, every other real dtype is converted to float32 on entry. Operands of
  one call take the dtype of the first.
* No operation writes into its arguments. The two exceptions are `sgd_update` and `adam_update`, whose purpose it is.
* Every argument is checked before anything is computed; what does not fit raises ValueError or TypeError.
* Letters in formulas: N batch, C in-channels, K out-channels, H W input, P Q output, R S kernel; dy is the gradient
  that arrives, dx dw db are those that leave.
* ``padding`` is four integers (top, bottom, left, right); ``stride``, ``dilation`` and ``kernel_size`` are pairs
  (vertical, horizontal).
* ``relu=True`` applies max(., 0) to the result in the same pass. ``mask=a`` multiplies the returned dx by (a > 0) in
  the same pass, where ``a`` has the shape of dx: it is how the gradient passes a ReLU whose output was ``a``. ``add=a``
  adds ``a`` to the result before either, in the same pass.

Convolution and products
    conv2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False, add=None)
        -> y
    conv2d_pack(w, b=None) -> packed, w and b for `conv2d_inference`
    conv2d_inference(x, packed, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False, add=None)
        -> y
        conv2d_forward with weights that are kept from call to call in whatever form is quickest; `packed` is opaque,
        any x may be given to it, and w and b must stay as they are while it is used
    conv2d_maxpool_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False)
        -> y, index
    conv2d_maxpool_inference(x, packed, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False) -> y
        conv2d_forward or conv2d_inference, then maxpool2d_forward with windows of 2 x 2, two apart
    conv2d_algorithm(direction, dtype, x_shape, w_shape, stride, padding, dilation, groups) -> (name, reason), two texts
        what computes the "forward", "backward_input" or "backward_weight" direction, and why
    conv2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups, mask=None, add=None) -> dx
    conv2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True) -> dw, db (None without bias)
        x (N, C, H, W), w (K, C/groups, R, S), b (K,), y and dy (N, K, P, Q)
    linear_forward(x, w, b=None, relu=False) -> y
    linear_backward_input(dy, w, mask=None) -> dx
    linear_backward_weight(dy, x, bias=True) -> dw, db (None without bias)
        x (N, C), w (K, C), b (K,), y and dy (N, K)

Pooling
    maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), relu=False) -> y, index
    maxpool2d_inference(x, kernel_size, stride, padding=(0, 0, 0, 0), relu=False) -> y
    maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding) -> dx
        index is opaque (one small integer a pooled value); of equal values the first in the window wins, a NaN wins
        over all; with relu=True the gradient goes nowhere from a window without a positive value
    avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True) -> y
    avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True) -> dx
    global_avgpool_forward(x) -> y of shape (N, C, 1, 1)
    global_avgpool_backward(dy, x_shape) -> dx

Normalisation, over all axes but the second; x is (N, C) or (N, C, H, W), statistics are (C,)
    batchnorm_forward(x, gamma, beta, eps, relu=False, add=None, silu=False) -> y, mean, var (var is the biased one)
    batchnorm_backward(dy, x, gamma, beta, mean, var, eps, relu=False, silu=False) -> dx, dgamma, dbeta
        relu or silu is that of a forward pass without add, where y follows from x
    batchnorm_inference(x, gamma, beta, mean, var, eps, relu=False, add=None, silu=False) -> y
        silu=True puts y / (1 + exp(-y)) in place of y, in the same pass, and takes neither relu nor add

Element-wise and shape, any shape
    relu_forward(x) -> y
    relu_backward(dy, y) -> dx, which is dy where y > 0
    silu_forward(x) -> y, which is x / (1 + exp(-x))
    silu_backward(dy, x) -> dx
    dropout(x, p, key) -> y: x / (1 - p) where the random number of that element is at least p, else 0. The numbers
        depend on the integer ``key`` and the element's place in channels-last order alone, so dropout(dy, p, key) is
        the backward pass
    add(a, b, relu=False, mask=None) -> a + b
    concat(arrays) -> joined along axis 1
    split(x, sizes) -> list of arrays cut along axis 1: the backward of concat
    flatten(x) -> rows of shape (N, C H W)
    unflatten(y, shape) -> images of that shape (N, C, H, W), from rows: the backward of flatten

Scores, x is (N, C)
    softmax_forward(x) -> y
    softmax_backward(dy, y) -> dx
    log_softmax_forward(x) -> y
    log_softmax_backward(dy, y) -> dx
    softmax_cross_entropy(logits, labels, label_smoothing=0.0) -> mean loss (float), dlogits

Doing the same again
    record(run, x, most_bytes, after=None) -> results, again
        `results` is ``run(x)``: an array, or a list of arrays and Nones, that `run` makes from x by operations of this
        backend alone. ``again(x)`` gives the same for any x of that shape and dtype, quicker, or None where it cannot
        at the moment; `again` is None where there is no quicker way, or only one that keeps more than `most_bytes` of
        memory. What `run` does besides is not done again; other arrays are read anew, except those that were packed.
        Any number of threads may call `again`; ``again.outdated()`` tells whether it will give None until the number of
        threads that compute is what it was. With the `again` of another recording as `after`, `run` may use arrays
        made in that one, and the two are then called in turn

Weights
    watcher() -> an object with two methods: add(arrays), and changed(), which tells whether any of those arrays holds
        other numbers than when it was added; any number of threads may use it

Optimiser steps, one pass over a parameter, in place, and the sum that gradients are clipped by
    sgd_update(value, grad, velocity, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False,
               scale=1.0)
        velocity is None where momentum is 0; first=True starts the velocity from the gradient, as PyTorch does
    adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False, scale=1.0)
        step counts from 1; decoupled=True is AdamW's decay. In both, scale multiplies the gradient before all else
    sum_of_squares(arrays) -> float
        the sum of x^2 over all numbers x of a list of arrays, of any shapes, each in a dtype of its own, in float64:
        no float32 overflows it; NaN and Inf come through
"""
import importlib

from fastnet.kernels.precision import bfloat16_products, exact

BACKENDS = ("naive", "cpu")

OPS = (
    "conv2d_forward", "conv2d_pack", "conv2d_inference", "conv2d_maxpool_forward", "conv2d_maxpool_inference",
    "conv2d_algorithm", "conv2d_backward_input", "conv2d_backward_weight",
    "linear_forward", "linear_backward_input", "linear_backward_weight",
    "maxpool2d_forward", "maxpool2d_inference", "maxpool2d_backward", "avgpool2d_forward", "avgpool2d_backward",
    "global_avgpool_forward", "global_avgpool_backward",
    "batchnorm_forward", "batchnorm_backward", "batchnorm_inference",
    "relu_forward", "relu_backward", "silu_forward", "silu_backward", "dropout", "add", "concat", "split", "flatten",
    "unflatten", "record",
    "softmax_forward", "softmax_backward", "log_softmax_forward", "log_softmax_backward", "softmax_cross_entropy",
    "watcher", "sgd_update", "adam_update", "sum_of_squares",
)

__all__ = ["BACKENDS", "OPS", "bfloat16_products", "exact", "load"]


def load(backend):
    """The module that implements the operations: ``"cpu"`` (compiled by Numba) or ``"naive"`` (plain NumPy)."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}: choose one of {', '.join(map(repr, BACKENDS))}")
    return importlib.import_module(f"{__name__}.{backend}")
