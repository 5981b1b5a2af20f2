"""What every operation takes, gives and refuses: the contract, one function an operation.

Each function has the name and the arguments of its operation. It checks them, looks at no number, and returns what the
operation gives: a `Kind` for each array, in a tuple where there are several, in a list where the operation gives one,
and None for what is left out. An operand is anything with ``shape`` and ``dtype``; nothing is converted here. Results
take the dtype of the first operand (float32 where that is neither float32 nor float64, as the operations convert it).
A Python float counts as a Kind of shape () and dtype float64.

ValueError where shapes or arguments do not fit, TypeError for a dtype that does not; the texts are those of `checks`.
Letters and the meaning of stride, padding and dilation stand in `fastnet.kernels`. `OPS`, {name: function}, is the
one list of operations: every public function of this file.
"""
from inspect import isfunction
from math import prod
from numbers import Real
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.activations import ACTIVATIONS, reads


class Kind(NamedTuple):
    """An array without its numbers."""

    shape: tuple
    dtype: np.dtype


PYTHON_FLOAT = Kind((), checks.FLOAT64)


# Convolution and products

def conv2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """y[n,k,p,q] = b[k] + sum over c, r, s of x[n, c, p stride + r dilation - top, q stride + s dilation - left]
    w[k,c,r,s], pixels outside the image being zero (the cross-correlation of deep learning).

    x (N, C, H, W), w (K, C / groups, R, S), b (K,), y (N, K, P, Q). Output channel k sees the input channels of its
    own group alone. Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    checks.real(w, "w")
    shape = checks.conv2d_shape(x.shape, w.shape, stride, padding, dilation, groups)
    if b is not None:
        _fits(b, shape[1:2], "b")
    return Kind(shape, checks.result_dtype(x, "x"))


def conv2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups):
    """dx: every dy[n,k,p,q] sends dy w[k,:,r,s] back to the pixel that it was computed from.

    dy (N, K, P, Q), w (K, C / groups, R, S), x_shape (N, C, H, W), the shape of dx.
    """
    checks.real(w, "w")
    return Kind(tuple(x_shape), _gradient(dy, checks.conv2d_shape(x_shape, w.shape, stride, padding, dilation, groups)))


def conv2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True):
    """dw[k,c,r,s] = sum over n, p, q of dy[n,k,p,q] times the pixel that w[k,c,r,s] met there; db[k] = sum of dy.

    dy (N, K, P, Q), x (N, C, H, W), dw of w_shape (K, C / groups, R, S), db (K,) or None without bias.
    """
    checks.real(x, "x")
    dtype = _gradient(dy, checks.conv2d_shape(x.shape, w_shape, stride, padding, dilation, groups))
    return Kind(tuple(w_shape), dtype), Kind((w_shape[0],), dtype) if bias else None


def linear_forward(x, w, b=None):
    """y = x w^T + b; x (N, C), w (K, C), b (K,), y (N, K)."""
    checks.real(w, "w")
    shape = checks.linear_shape(x.shape, w.shape)
    if b is not None:
        _fits(b, shape[1:], "b")
    return Kind(shape, checks.result_dtype(x, "x"))


def linear_backward_input(dy, w):
    """dx = dy w; dy (N, K), w (K, C), dx (N, C)."""
    checks.real(w, "w")
    n, k = checks.scores(dy.shape, "dy")
    if len(w.shape) != 2 or w.shape[0] != k or 0 in w.shape:
        raise ValueError(f"expected w of shape ({k}, C), got w of shape {w.shape}")
    return Kind((n, w.shape[1]), checks.result_dtype(dy, "dy"))


def linear_backward_weight(dy, x, bias=True):
    """dw = dy^T x and db = sum of dy over the batch; dy (N, K), x (N, C), dw (K, C), db (K,) or None without bias."""
    checks.real(x, "x")
    dtype = checks.result_dtype(dy, "dy")
    (n, k), (batch, c) = checks.scores(dy.shape, "dy"), checks.scores(x.shape)
    if batch != n:
        raise ValueError(f"dy and x must have the same batch size, got dy of shape {dy.shape} and x of shape {x.shape}")
    return Kind((k, c), dtype), Kind((k,), dtype) if bias else None


# Pooling; kernel_size and stride are pairs, and the padding is smaller than the kernel on each side

def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0)):
    """y[n,c,p,q] is the largest pixel of the window at (p, q), and index the place r S + s within the window where
    it stood (for maxpool2d_backward). Padding never wins; of equal values the first in the window wins, a NaN wins
    over all. x (N, C, H, W), y and index (N, C, P, Q); index is uint8 for windows up to 254 pixels, uint16 up to
    65534, and ValueError beyond."""
    shape = checks.pool2d_shape(x.shape, kernel_size, stride, padding)
    return Kind(shape, checks.result_dtype(x, "x")), Kind(shape, np.dtype(checks.pool_index_dtype(kernel_size)))


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding):
    """dx: every dy[n,c,p,q] goes to the pixel that won its window, and nowhere where index is the largest number of
    its dtype. dy and index (N, C, P, Q), x_shape (N, C, H, W), the shape of dx."""
    shape = checks.pool2d_shape(x_shape, kernel_size, stride, padding)
    dtype = _gradient(dy, shape)
    checks.pool_index(index, shape, kernel_size)
    return Kind(tuple(x_shape), dtype)


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True):
    """y[n,c,p,q] is the sum over the window at (p, q) divided by R S, or, with count_include_pad=False, by the
    number of its pixels that lie in the image. x (N, C, H, W), y (N, C, P, Q)."""
    return Kind(checks.pool2d_shape(x.shape, kernel_size, stride, padding), checks.result_dtype(x, "x"))


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True):
    """dx: every dy[n,c,p,q] is shared out equally among the pixels that were counted; dy (N, C, P, Q), x_shape
    (N, C, H, W), the shape of dx."""
    return Kind(tuple(x_shape), _gradient(dy, checks.pool2d_shape(x_shape, kernel_size, stride, padding)))


def global_avgpool_forward(x):
    """The mean of each channel's image: x (N, C, H, W), y (N, C, 1, 1)."""
    return Kind((*checks.images(x.shape)[:2], 1, 1), checks.result_dtype(x, "x"))


def global_avgpool_backward(dy, x_shape):
    """dx[n,c,:,:] = dy[n,c] / (H W); dy (N, C, 1, 1), x_shape (N, C, H, W), the shape of dx."""
    return Kind(tuple(x_shape), _gradient(dy, (*checks.images(x_shape)[:2], 1, 1)))


# Normalisation over all axes but the second; x, y, dy, dx (N, C) or (N, C, H, W), all other arrays (C,).
# Source: Ioffe and Szegedy, Batch normalization, 2015, algorithms 1 and 2

def batchnorm_forward(x, gamma, beta, eps):
    """y = gamma xhat + beta with xhat = (x - mean) / sqrt(var + eps), and the mean and the biased variance of each
    channel. ValueError where a channel has only one value, too, and where eps is not above zero."""
    y, channel = _norm(x, "x", x, eps, training=True, gamma=gamma, beta=beta)
    return y, channel, channel


def batchnorm_backward(dy, x, gamma, mean, var, eps):
    """With xhat as in batchnorm_forward and m values a channel: dbeta = sum of dy, dgamma = sum of dy xhat,
    dx = gamma / sqrt(var + eps) (dy - dbeta / m - xhat dgamma / m)."""
    dx, channel = _norm(dy, "dy", x, eps, training=True, gamma=gamma, mean=mean, var=var)
    return dx, channel, channel


def batchnorm_inference(x, gamma, beta, mean, var, eps):
    """y as in batchnorm_forward, with the statistics given."""
    return _norm(x, "x", x, eps, training=False, gamma=gamma, beta=beta, mean=mean, var=var)[0]


def batchnorm_inference_backward(dy, x, gamma, mean, var, eps):
    """dx = dy gamma / sqrt(var + eps), dgamma = sum of dy xhat, dbeta = sum of dy: the gradient of
    batchnorm_inference, whose statistics are constants."""
    dx, channel = _norm(dy, "dy", x, eps, training=False, gamma=gamma, mean=mean, var=var)
    return dx, channel, channel


def batchnorm_track(running_mean, running_var, num_batches_tracked, mean, var, count, momentum=None):
    """Three new arrays: running_mean and running_var, moved towards the mean and the biased variance of a batch of
    `count` values a channel, and num_batches_tracked + 1, int64 of shape (), from any integer of that shape.

    running_mean = (1 - momentum) running_mean + momentum mean, and alike with momentum count / (count - 1) for var,
    which makes the variance unbiased. None is the momentum 1 / (num_batches_tracked + 1), which makes the means of all
    batches of them. Factors are computed as Python floats, and each product and the sum is rounded to the arrays'
    dtype. ValueError where momentum is not in [0, 1] and where count is below 2.
    """
    running = Kind(running_mean.shape, checks.result_dtype(running_mean, "running_mean"))
    if len(running.shape) != 1:
        raise ValueError(f"expected running_mean of shape (C,), got running_mean of shape {running.shape}")
    for name, array in {"running_var": running_var, "mean": mean, "var": var}.items():
        _fits(array, running.shape, name)
    checks.has_shape(num_batches_tracked, (), "num_batches_tracked")
    if num_batches_tracked.dtype.kind not in "iu":
        raise TypeError(f"num_batches_tracked must be an integer, got an array of dtype {num_batches_tracked.dtype}")
    if momentum is not None:
        arguments.number(momentum, "momentum", 0, 1)
    if arguments.integer(count, "count", 1) < 2:
        raise ValueError(f"expected more than 1 value per channel when training, got a count of {count}")
    return running, running, Kind((), checks.INT64)


# Element by element, and what only moves numbers

def activation_forward(x, function, alpha=0.0, beta=0.0):
    """y = f(x), element by element, for an x of any shape; NaN stays NaN. `function` is the name of a row of
    `activations`, alpha and beta are its numbers. ValueError for any other name, and for numbers that it refuses."""
    _activation(function, alpha, beta)
    return _any(x, "x")


def activation_backward(dy, kept, function, alpha=0.0, beta=0.0):
    """dx = dy f'(x); `kept` is the x or the y of activation_forward, whichever the function's row `reads`."""
    _activation(function, alpha, beta)
    dx = _any(dy, "dy")
    _fits(kept, dx.shape, reads(function))
    return dx


def dropout(x, p, key):
    """y = x / (1 - p) where the random number of that element is at least p, else 0, for an x of any shape; backward
    is dx = dropout(dy, p, key). The random number is a hash of `key`, an integer taken modulo 2^64 or what `draw`
    returned, and of the element's place in (N, H, W, C) order for images, in C order for other shapes, as `counter`
    tells. 1 / (1 - p) is rounded to the dtype of x and then multiplied. ValueError where p is not in [0, 1].
    Source: Srivastava et al., Dropout, 2014."""
    arguments.number(p, "p", 0, 1)
    checks.dropout_key(key)
    return _any(x, "x")


def draw(generator):
    """A key for `dropout`, a uint64 array of two words, from the next integer of a numpy.random.Generator: the same
    on every backend, see `counter.draw`. Here nothing is drawn."""
    checks.draws_integers(generator)
    return Kind((2,), checks.UINT64)


def add(a, b):
    """a + b for two arrays of one shape, any."""
    y = _any(a, "a")
    _fits(b, y.shape, "b")
    return y


def concat(arrays):
    """The arrays joined along axis 1; all other axes agree."""
    shape = checks.concat_shape([array.shape for array in arrays])
    for i, array in enumerate(arrays):
        checks.real(array, f"arrays[{i}]")
    return Kind(shape, checks.result_dtype(arrays[0], "arrays[0]"))


def split(x, sizes):
    """A list: x cut along axis 1 into arrays of the given sizes, which add up to its length. The backward of concat."""
    dtype, shape = checks.result_dtype(x, "x"), x.shape
    return [Kind((shape[0], size, *shape[2:]), dtype) for size in checks.split_sizes(shape, sizes)]


def flatten(x):
    """x (N, C, H, W) as rows (N, C H W), each in that order."""
    n, *image = checks.images(x.shape)
    return Kind((n, prod(image)), checks.result_dtype(x, "x"))


def unflatten(y, shape):
    """Images of that shape (N, C, H, W) from rows (N, C H W): the way back from `flatten`."""
    n, *image = checks.images(shape)
    return Kind(tuple(shape), _gradient(y, (n, prod(image)), "y"))


def convert(x, dtype):
    """The numbers of x, of any real dtype, shape and layout, in float32 or float64: a new array. Too large a number
    becomes infinite. ValueError for another dtype."""
    checks.real(x, "x")
    checks.not_empty(x.shape)
    return Kind(x.shape, arguments.dtype(dtype))


# Scores x (N, C), a row a sample. A score of -inf has probability 0; a row with a NaN or +inf, or of -inf alone, gives
# NaN; nothing else overflows

def softmax_forward(x):
    """y[n,c] = exp(x[n,c]) / sum over j of exp(x[n,j])."""
    return Kind(checks.scores(x.shape), checks.result_dtype(x, "x"))


def softmax_backward(dy, y):
    """dx = y (dy - sum of dy y over the row); y is the output of softmax_forward."""
    _fits(y, checks.scores(dy.shape, "dy"), "y")
    return Kind(dy.shape, checks.result_dtype(dy, "dy"))


def log_softmax_forward(x):
    """y[n,c] = x[n,c] - log(sum over j of exp(x[n,j]))."""
    return softmax_forward(x)


def log_softmax_backward(dy, y):
    """dx = dy - exp(y) (sum of dy over the row); y is the output of log_softmax_forward."""
    return softmax_backward(dy, y)


def softmax_cross_entropy(logits, labels, label_smoothing=0.0):
    """The mean over the batch of -sum over c of t[c] log softmax(logits)[c], a Python float, and its gradient
    (softmax - t) / N. The target t is (1 - label_smoothing) at the label plus label_smoothing / C everywhere (Szegedy
    et al., Rethinking the Inception architecture, 2016, section 7).

    logits and gradient (N, C); labels (N,), integers in 0 .. C - 1 (ValueError for others, from the operation alone:
    it takes the numbers to tell).
    """
    checks.labels_shape(labels, checks.scores(logits.shape, "logits")[0])
    arguments.number(label_smoothing, "label_smoothing", 0, 1)
    return PYTHON_FLOAT, Kind(logits.shape, checks.result_dtype(logits, "logits"))


# Optimiser steps write into value and the state, give nothing, and refuse read-only arrays; scale multiplies grad

def sgd_update(value, grad, velocity, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False,
               scale=1.0):
    """g = scale grad + weight_decay value; velocity = momentum velocity + (1 - dampening) g (g itself where first);
    value -= lr velocity, or lr (g + momentum velocity) with nesterov; value -= lr g without momentum.

    All arrays have one shape; velocity is None where momentum is 0. Source: Sutskever et al., On the importance of
    initialization and momentum in deep learning, 2013, in the form that PyTorch gives it.
    """
    if momentum and velocity is None:
        raise ValueError(f"momentum {momentum} needs a velocity, got None")
    checks.in_place(value, **({"velocity": velocity} if momentum else {}))
    _fits(grad, value.shape, "grad")


def adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False, scale=1.0):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps).

    g = scale grad + weight_decay value; with decoupled=True g = scale grad and value shrinks by 1 - lr weight_decay
    first. All arrays have one shape; step counts from 1. Sources: Kingma and Ba, Adam, 2015, algorithm 1; Loshchilov
    and Hutter, Decoupled weight decay regularization, 2019, algorithm 2.
    """
    arguments.integer(step, "step", 1)
    checks.in_place(value, m=m, v=v)
    _fits(grad, value.shape, "grad")


def sum_of_squares(arrays):
    """The sum of x^2 over all numbers x of a list of arrays, of any shapes, each in a dtype of its own, added up in
    float64: a Python float. No float32 overflows it; NaN and infinity come through."""
    for i, array in enumerate(arrays):
        checks.real(array, f"arrays[{i}]")
    return PYTHON_FLOAT


def _gradient(dy, shape, name="dy"):
    """The dtype of the results of the gradient that arrives, which must have this shape."""
    checks.has_shape(dy, shape, name)
    return checks.result_dtype(dy, name)


def _any(array, name):
    """What is made, element by element, of an operand of any shape."""
    checks.not_empty(array.shape, name)
    return Kind(array.shape, checks.result_dtype(array, name))


def _fits(array, shape, name):
    """Refuse an operand that is not of this shape or holds no real numbers."""
    checks.real(array, name)
    checks.has_shape(array, shape, name)


def _norm(first, name, x, eps, training, **vectors):
    """The Kinds of the result that has the shape of x, and of what has one number a channel."""
    dtype = checks.result_dtype(first, name)
    checks.real(x, "x")
    channel = checks.batchnorm_channels(x.shape, training),
    checks.has_shape(first, x.shape, name)
    for vector, array in vectors.items():
        _fits(array, channel, vector)
    arguments.number(eps, "eps", above=0)
    return Kind(x.shape, dtype), Kind(channel, dtype)


def _activation(function, alpha, beta):
    """Refuse a function that is none, and numbers that make none of it whose derivative follows."""
    arguments.choice(function, tuple(ACTIVATIONS), "function")
    if not isinstance(alpha, Real) or not isinstance(beta, Real):
        raise TypeError(f"alpha and beta must be numbers, got {arguments.shown(alpha)} and {arguments.shown(beta)}")
    trouble = ACTIVATIONS[function].refuses(alpha, beta)
    if trouble:
        raise ValueError(f"{function}: {trouble}")


OPS = {name: value for name, value in list(globals().items())
       if isfunction(value) and value.__module__ == __name__ and not name.startswith("_")}
