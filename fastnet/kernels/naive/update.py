"""Optimiser steps, which alone write into their arguments, the parameter and the optimiser's state; and the sum that
gradients are clipped by."""
import numpy as np

from fastnet.kernels import checks, shapes, updates


def sgd_update(value, grad, velocity, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False,
               scale=1.0):
    """g = scale grad + weight_decay value; velocity = momentum velocity + (1 - dampening) g (g itself where first);
    value -= lr velocity, or lr (g + momentum velocity) with nesterov; value -= lr g without momentum."""
    shapes.sgd_update(value, grad, velocity, lr, momentum)
    rows = updates.updatable(value, grad, velocity=velocity if momentum else None)
    for value, grad, velocity in rows:
        step = scale * grad + weight_decay * value if weight_decay else scale * grad
        if momentum:
            velocity[...] = step if first else momentum * velocity + (1 - dampening) * step
            step = step + momentum * velocity if nesterov else velocity
        value -= lr * step


def adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False, scale=1.0,
                largest=None):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps), with largest = max(largest, v) in place of
    v where it is given."""
    shapes.adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, largest=largest)
    rows = updates.updatable(value, grad, m=m, v=v, largest=largest)
    for value, grad, m, v, largest in rows:
        _moments(_decayed(value, scale * grad, lr, weight_decay, decoupled), m, v, beta1, beta2)
        if largest is not None:
            largest[...] = np.maximum(largest, v)
            v = largest
        value -= lr / (1 - beta1**step) * m / (np.sqrt(v / (1 - beta2**step)) + eps)


def nadam_update(value, grad, m, v, step, lr, beta1, beta2, eps, now, following, product, weight_decay=0.0,
                 decoupled=False, scale=1.0):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr ((1 - now) g / (1 - product) + following m / (1 - product following)) / (sqrt(v / (1 - beta2^step))
    + eps)."""
    shapes.nadam_update(value, grad, m, v, step, lr, beta1, beta2, eps, now, following, product)
    rows = updates.updatable(value, grad, m=m, v=v)
    for value, grad, m, v in rows:
        grad = _decayed(value, scale * grad, lr, weight_decay, decoupled)
        _moments(grad, m, v, beta1, beta2)
        ahead = (1 - now) / (1 - product) * grad + following / (1 - product * following) * m
        value -= lr * ahead / (np.sqrt(v / (1 - beta2**step)) + eps)


def rmsprop_update(value, grad, square, mean, velocity, lr, alpha, eps, weight_decay=0.0, momentum=0.0, scale=1.0):
    """square = alpha square + (1 - alpha) g^2; d = g / (sqrt(square) + eps), or, with mean = alpha mean +
    (1 - alpha) g where it is given, d = g / (sqrt(square - mean^2) + eps); value -= lr d, with momentum
    velocity = momentum velocity + d and value -= lr velocity."""
    shapes.rmsprop_update(value, grad, square, mean, velocity, lr, alpha, eps, momentum=momentum)
    rows = updates.updatable(value, grad, square=square, mean=mean, velocity=velocity if momentum else None)
    for value, grad, square, mean, velocity in rows:
        grad = _decayed(value, scale * grad, lr, weight_decay, False)
        square[...] = alpha * square + (1 - alpha) * grad * grad
        spread = square
        if mean is not None:
            mean[...] = alpha * mean + (1 - alpha) * grad
            spread = square - mean * mean
        with np.errstate(invalid="ignore"):     # a variance that rounding has made negative
            step = grad / (np.sqrt(spread) + eps)
        if momentum:
            velocity[...] = momentum * velocity + step
            step = velocity
        value -= lr * step


def adagrad_update(value, grad, total, lr, eps, weight_decay=0.0, scale=1.0):
    """total += g^2; value -= lr g / (sqrt(total) + eps)."""
    shapes.adagrad_update(value, grad, total, lr, eps)
    rows = updates.updatable(value, grad, total=total)
    for value, grad, total in rows:
        grad = _decayed(value, scale * grad, lr, weight_decay, False)
        total += grad * grad
        value -= lr * grad / (np.sqrt(total) + eps)


def sum_of_squares(arrays):
    """The sum of x^2 over all numbers x of all arrays, added up in float64."""
    arrays = [checks.floating(array, f"arrays[{i}]") for i, array in enumerate(arrays)]
    shapes.sum_of_squares(arrays)
    with np.errstate(over="ignore"):  # too large a sum is infinite
        return float(sum(np.square(array, dtype=np.float64).sum() for array in arrays))


def _decayed(value, grad, lr, weight_decay, decoupled):
    """The gradient with the decay in it; where that is decoupled value shrinks instead."""
    if decoupled:
        value *= 1 - lr * weight_decay
        return grad
    return grad + weight_decay * value if weight_decay else grad


def _moments(grad, m, v, beta1, beta2):
    """The running means of the gradient and of its square."""
    m[...] = beta1 * m + (1 - beta1) * grad
    v[...] = beta2 * v + (1 - beta2) * grad * grad
