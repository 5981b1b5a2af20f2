"""Optimiser steps: one pass over a parameter, its gradient and the optimiser's state, in place.

These two operations alone write into their arguments.
"""
import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.cpu._jit import jit, launch

_BLOCK = 16_384


def sgd_update(value, grad, velocity, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False):
    """g = grad + weight_decay value; velocity = momentum velocity + (1 - dampening) g (g itself where first);
    value -= lr velocity, or lr (g + momentum velocity) with nesterov; value -= lr g without momentum."""
    if momentum and velocity is None:
        raise ValueError(f"momentum {momentum} needs a velocity, got None")
    state = {"velocity": velocity} if momentum else {}
    grad = checks.updatable(value, grad, **state)
    real = value.dtype.type
    with _Flat(value, grad, **state) as (v, g, *rest):
        launch(_sgd, -(-v.size // _BLOCK), v, g, rest[0] if momentum else v, real(lr), real(momentum),
               real(1 if first else 1 - dampening), real(weight_decay), bool(nesterov), bool(first), bool(momentum),
               work=v.size)


def adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps), with g = grad + weight_decay value or,
    where decoupled, g = grad and value shrunk by 1 - lr weight_decay first."""
    step = checks.positive(step, "step")
    grad = checks.updatable(value, grad, m=m, v=v)
    real = value.dtype.type
    shrink = real(1 - lr * weight_decay if decoupled else 1)
    with _Flat(value, grad, m=m, v=v) as (values, grads, first, second):
        launch(_adam, -(-values.size // _BLOCK), values, grads, first, second, real(lr / (1 - beta1**step)),
               real(1 / (1 - beta2**step)), real(beta1), real(1 - beta1), real(beta2), real(1 - beta2), real(eps),
               real(0 if decoupled else weight_decay), shrink, work=4 * values.size)


class _Flat:
    """The arrays as flat ones in the order of value's memory; what had to be copied for that is copied back on exit."""

    def __init__(self, value, grad, **state):
        self.targets = [value, *state.values()]
        self.grad = grad
        self.plain = all(array.flags.c_contiguous and array.flags.writeable for array in (grad, *self.targets))

    def __enter__(self):
        if self.plain:
            value, *state = (target.reshape(-1) for target in self.targets)
            return value, self.grad.reshape(-1), *state
        self.order = np.argsort([-stride for stride in self.targets[0].strides], kind="stable")
        self.copies = [np.ascontiguousarray(target.transpose(self.order)) for target in self.targets]
        value, *state = (copy.reshape(-1) for copy in self.copies)
        grad = np.ascontiguousarray(self.grad.transpose(self.order)).reshape(-1)
        return value, grad if grad.flags.writeable else grad.copy(), *state

    def __exit__(self, *error):
        for target, copy in zip(self.targets, () if self.plain else self.copies, strict=not self.plain):
            if not np.may_share_memory(target, copy):
                target.transpose(self.order)[...] = copy


@jit
def _sgd(block, slot, value, grad, velocity, lr, momentum, fresh, decay, nesterov, first, moving):
    for i in range(block * _BLOCK, min((block + 1) * _BLOCK, value.size)):
        step = grad[i] + decay * value[i]
        if moving:
            speed = fresh * step if first else momentum * velocity[i] + fresh * step
            velocity[i] = speed
            step = step + momentum * speed if nesterov else speed
        value[i] -= lr * step


@jit
def _adam(block, slot, value, grad, m, v, rate, correct, beta1, fresh1, beta2, fresh2, eps, decay, shrink):
    for i in range(block * _BLOCK, min((block + 1) * _BLOCK, value.size)):
        old = value[i] * shrink
        g = grad[i] + decay * old
        m[i] = beta1 * m[i] + fresh1 * g
        v[i] = beta2 * v[i] + fresh2 * g * g
        value[i] = old - rate * m[i] / (np.sqrt(v[i] * correct) + eps)
