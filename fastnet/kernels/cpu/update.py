"""Optimiser steps: one pass over a parameter, its gradient and the optimiser's state, in place.

`sgd_update` and `adam_update` alone write into their arguments. A kernel gets its numbers in one array, because each
argument costs time at the call, and cuts its block out of the arrays first. A negative index would count from the end,
and Numba has each one checked for it; in a slice that is indexed from 0 on LLVM can prove that none is negative, drops
the check, and makes vector instructions of the loop.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu.runtime import jit, launch, named

_BLOCK = 16_384
# Numbers that are updated, and squared and added, in the time of what `launch` counts as one operation.
_UPDATED, _SQUARED = 2, 8
# How many sums a block of `sum_of_squares` keeps side by side, for vector instructions to add to.
_ROW = 256


class _Sgd(NamedTuple):
    scale: float
    decay: float
    lr: float


class _Momentum(NamedTuple):
    scale: float
    decay: float
    lr: float
    momentum: float
    fresh: float    # the share of the gradient in the velocity


class _Adam(NamedTuple):
    scale: float
    decay: float    # added to the gradient
    shrink: float   # the value is multiplied by this first: 1, or 1 - lr weight_decay where that is decoupled
    beta1: float
    fresh1: float   # 1 - beta1
    beta2: float
    fresh2: float
    eps: float
    rate: float     # lr / (1 - beta1^step)
    correct: float  # 1 / (1 - beta2^step)


def sgd_update(value, grad, velocity, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False,
               scale=1.0):
    """g = scale grad + weight_decay value; velocity = momentum velocity + (1 - dampening) g (g itself where first);
    value -= lr velocity, or lr (g + momentum velocity) with nesterov; value -= lr g without momentum."""
    shapes.sgd_update(value, np.asarray(grad), velocity, lr, momentum)
    if not momentum:
        grad = checks.updatable(value, grad)
        _update(_sgd, [value], grad, _Sgd(scale, weight_decay, lr))
        return
    grad = checks.updatable(value, grad, velocity=velocity)
    numbers = _Momentum(scale, weight_decay, lr, momentum, 1 if first else 1 - dampening)
    _update(_momentum, [value, velocity], grad, numbers, bool(nesterov), bool(first))


def adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False, scale=1.0):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps), with g = scale grad + weight_decay value
    or, where decoupled, g = scale grad and value shrunk by 1 - lr weight_decay first."""
    shapes.adam_update(value, np.asarray(grad), m, v, step, lr, beta1, beta2, eps)
    grad = checks.updatable(value, grad, m=m, v=v)
    decay, shrink = (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)
    _update(_adam, [value, m, v], grad, _Adam(scale, decay, shrink, beta1, 1 - beta1, beta2, 1 - beta2, eps,
                                              lr / (1 - beta1**step), 1 / (1 - beta2**step)))


def sum_of_squares(arrays):
    """The sum of x^2 over all numbers x of all arrays, added up in float64 and in an order that the sizes decide."""
    arrays = [checks.floating(array, f"arrays[{i}]") for i, array in enumerate(arrays)]
    shapes.sum_of_squares(arrays)
    large = [array if array.flags.carray else array.copy() for array in arrays if array.size > _BLOCK]
    small = [array for array in arrays if array.size <= _BLOCK]
    if small:  # one launch for all of them
        large.append(np.concatenate(small, axis=None))
    total = 0.0
    for array in large:
        blocks = -(-array.size // _BLOCK)
        sums = np.zeros(blocks * _ROW)
        launch(_squares, blocks, array.ravel(), sums, work=array.size // _SQUARED)
        total += sum(sums[::_ROW].tolist())
    return total


def _update(kernel, targets, grad, numbers, *flags):
    """Launch over value and state, which are the targets, and the gradient. What is not C-contiguous, or a gradient
    that is read-only, goes there as a copy; copies of targets are copied back."""
    arrays = [array if array.flags.carray else array.copy() for array in (*targets, grad)]
    launch(kernel, -(-grad.size // _BLOCK), *[array.ravel() for array in arrays], np.array(numbers, grad.dtype), *flags,
           work=grad.size // _UPDATED)
    for target, array in zip(targets, arrays[:-1], strict=True):
        if array is not target:
            target[...] = array


@jit
def _sgd(block, slot, values, grads, numbers):
    part = slice(block * _BLOCK, (block + 1) * _BLOCK)
    value, grad = values[part], grads[part]
    now = named(_Sgd, numbers)
    for i in range(value.size):
        value[i] -= now.lr * (now.scale * grad[i] + now.decay * value[i])


@jit
def _momentum(block, slot, values, velocities, grads, numbers, nesterov, first):
    part = slice(block * _BLOCK, (block + 1) * _BLOCK)
    value, velocity, grad = values[part], velocities[part], grads[part]
    now = named(_Momentum, numbers)
    for i in range(value.size):
        step = now.scale * grad[i] + now.decay * value[i]
        speed = now.fresh * step if first else now.momentum * velocity[i] + now.fresh * step
        velocity[i] = speed
        value[i] -= now.lr * (step + now.momentum * speed if nesterov else speed)


@jit
def _adam(block, slot, values, ms, vs, grads, numbers):
    part = slice(block * _BLOCK, (block + 1) * _BLOCK)
    value, m, v, grad = values[part], ms[part], vs[part], grads[part]
    now = named(_Adam, numbers)
    for i in range(value.size):
        old = value[i] * now.shrink
        g = now.scale * grad[i] + now.decay * old
        m[i] = now.beta1 * m[i] + now.fresh1 * g
        v[i] = now.beta2 * v[i] + now.fresh2 * g * g
        value[i] = old - now.rate * m[i] / (np.sqrt(v[i] * now.correct) + now.eps)


@jit
def _squares(block, slot, x, sums):
    """The sum of a block's squares. The block is read in rows of `_ROW` numbers, the squares of column j are added to
    sums[j] of the block, and at last all of these, in order, to the first."""
    part, row = x[block * _BLOCK:(block + 1) * _BLOCK], sums[block * _ROW:(block + 1) * _ROW]
    for start in range(0, part.size, _ROW):
        numbers = part[start:start + _ROW]
        for i in range(numbers.size):
            number = np.float64(numbers[i])
            row[i] += number * number
    for i in range(1, row.size):
        row[0] += row[i]
