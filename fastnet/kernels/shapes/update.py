"""Optimiser steps, which write into value and the state, give nothing, and refuse read-only arrays.

value, grad and the state are arrays of one shape, or lists of as many arrays: then each is changed as if it came alone,
and all have the dtype of the first value. scale multiplies grad.
"""

from fastnet import arguments
from fastnet.kernels import checks, updates
from fastnet.kernels.shapes.kind import PYTHON_FLOAT


def sgd_update(value, grad, velocity, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False,
               scale=1.0):
    """g = scale grad + weight_decay value; velocity = momentum velocity + (1 - dampening) g (g itself where first);
    value -= lr velocity, or lr (g + momentum velocity) with nesterov; value -= lr g without momentum.

    velocity is None where momentum is 0. Source: Sutskever et al., On the importance of initialization and momentum in
    deep learning, 2013, in the form that PyTorch gives it.
    """
    updates.in_place(value, grad, velocity=_of_momentum(velocity, momentum))


def adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False, scale=1.0,
                largest=None):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps), with largest = max(largest, v) in place of
    v where it is given.

    g = scale grad + weight_decay value; with decoupled=True g = scale grad and value shrinks by 1 - lr weight_decay
    first. step counts from 1. Sources: Kingma and Ba, Adam, 2015, algorithm 1; Loshchilov and Hutter, Decoupled weight
    decay regularization, 2019, algorithm 2; Reddi et al., On the convergence of Adam and beyond, 2018, algorithm 2
    (AMSGrad), with PyTorch's correction of largest.
    """
    arguments.integer(step, "step", 1)
    updates.in_place(value, grad, m=m, v=v, largest=largest)


def nadam_update(value, grad, m, v, step, lr, beta1, beta2, eps, now, following, product, weight_decay=0.0,
                 decoupled=False, scale=1.0):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr ((1 - now) g / (1 - product) + following m / (1 - product following)) / (sqrt(v / (1 - beta2^step))
    + eps).

    now and following are the momenta of this step and of the next, product that of all up to this one; g and decoupled
    as in `adam_update`. Source: Dozat, Incorporating Nesterov momentum into Adam, 2016, in the form that PyTorch gives
    it.
    """
    arguments.integer(step, "step", 1)
    updates.in_place(value, grad, m=m, v=v)


def rmsprop_update(value, grad, square, mean, velocity, lr, alpha, eps, weight_decay=0.0, momentum=0.0, scale=1.0):
    """square = alpha square + (1 - alpha) g^2; d = g / (sqrt(square) + eps), or, with mean = alpha mean +
    (1 - alpha) g where it is given, d = g / (sqrt(square - mean^2) + eps); value -= lr d, with momentum
    velocity = momentum velocity + d and value -= lr velocity.

    g = scale grad + weight_decay value; velocity is None where momentum is 0. Sources: Tieleman and Hinton, Lecture
    6.5, 2012; with mean Graves, Generating sequences with recurrent neural networks, 2013, equations 38 to 41, but eps
    outside of the root, as in PyTorch.
    """
    updates.in_place(value, grad, square=square, mean=mean, velocity=_of_momentum(velocity, momentum))


def adagrad_update(value, grad, total, lr, eps, weight_decay=0.0, scale=1.0):
    """total += g^2; value -= lr g / (sqrt(total) + eps), with g = scale grad + weight_decay value.

    Source: Duchi et al., Adaptive subgradient methods, 2011, section 1.1, with the diagonal of G.
    """
    updates.in_place(value, grad, total=total)


def sum_of_squares(arrays):
    """The sum of x^2 over all numbers x of a list of arrays, of any shapes, each in a dtype of its own, added up in
    float64: a Python float. No float32 overflows it; NaN and infinity come through."""
    for i, array in enumerate(arrays):
        checks.real(array, f"arrays[{i}]")
    return PYTHON_FLOAT


def _of_momentum(velocity, momentum):
    """The velocity that a momentum needs, None without one."""
    if momentum and velocity is None:
        raise ValueError(f"momentum {momentum} needs a velocity, got None")
    return velocity if momentum else None
