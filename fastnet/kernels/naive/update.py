"""Optimiser steps, which alone write into their arguments, the parameter and the optimiser's state; and the sum that
gradients are clipped by."""
import numpy as np

from fastnet.kernels import checks, shapes


def sgd_update(value, grad, velocity, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False,
               scale=1.0):
    """g = scale grad + weight_decay value; velocity = momentum velocity + (1 - dampening) g (g itself where first);
    value -= lr velocity, or lr (g + momentum velocity) with nesterov; value -= lr g without momentum."""
    shapes.sgd_update(value, np.asarray(grad), velocity, lr, momentum)
    grad = checks.updatable(value, grad, **({"velocity": velocity} if momentum else {}))
    step = scale * grad + weight_decay * value if weight_decay else scale * grad
    if momentum:
        velocity[...] = step if first else momentum * velocity + (1 - dampening) * step
        step = step + momentum * velocity if nesterov else velocity
    value -= lr * step


def adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False, scale=1.0):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)."""
    shapes.adam_update(value, np.asarray(grad), m, v, step, lr, beta1, beta2, eps)
    grad = scale * checks.updatable(value, grad, m=m, v=v)
    if decoupled:
        value *= 1 - lr * weight_decay
    elif weight_decay:
        grad = grad + weight_decay * value
    m[...] = beta1 * m + (1 - beta1) * grad
    v[...] = beta2 * v + (1 - beta2) * grad * grad
    value -= lr / (1 - beta1**step) * m / (np.sqrt(v / (1 - beta2**step)) + eps)


def sum_of_squares(arrays):
    """The sum of x^2 over all numbers x of all arrays, added up in float64."""
    arrays = [checks.floating(array, f"arrays[{i}]") for i, array in enumerate(arrays)]
    shapes.sum_of_squares(arrays)
    with np.errstate(over="ignore"):  # too large a sum is infinite
        return float(sum(np.square(array, dtype=np.float64).sum() for array in arrays))
