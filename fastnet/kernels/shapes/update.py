"""Optimiser steps, which write into value and the state, give nothing, and refuse read-only arrays.

scale multiplies grad.
"""

from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import PYTHON_FLOAT, fits


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
    fits(grad, value.shape, "grad")


def adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False, scale=1.0):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps).

    g = scale grad + weight_decay value; with decoupled=True g = scale grad and value shrinks by 1 - lr weight_decay
    first. All arrays have one shape; step counts from 1. Sources: Kingma and Ba, Adam, 2015, algorithm 1; Loshchilov
    and Hutter, Decoupled weight decay regularization, 2019, algorithm 2.
    """
    arguments.integer(step, "step", 1)
    checks.in_place(value, m=m, v=v)
    fits(grad, value.shape, "grad")


def sum_of_squares(arrays):
    """The sum of x^2 over all numbers x of a list of arrays, of any shapes, each in a dtype of its own, added up in
    float64: a Python float. No float32 overflows it; NaN and infinity come through."""
    for i, array in enumerate(arrays):
        checks.real(array, f"arrays[{i}]")
    return PYTHON_FLOAT
