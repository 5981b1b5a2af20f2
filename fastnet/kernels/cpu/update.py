"""Optimiser steps: one pass over parameters, their gradients and the optimiser's state, in place.

They alone write into their arguments. However many arrays there are, they take one look, see `places`, and one launch:
a table, made once for arrays of these sizes, tells each block which share of which array is its own, and another one,
made at each step, where the arrays lie in memory. A kernel gets its numbers in one array, because each argument costs
time at the call. It sees its share as an array of its own, which it indexes from 0 on: a negative index would count
from the end, and Numba has each one checked for it, unless LLVM can prove that none is negative.
"""
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.kernels import checks, shapes, updates
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import Launch, address, entry, inlined, jit, kept, launch, lying_at, named, places

_BLOCK = 16_384
# Numbers that are updated, and squared and added, in the time of what `launch` counts as one operation.
_UPDATED, _SQUARED = 2, 8
# How many sums a block of `sum_of_squares` keeps side by side, for vector instructions to add to.
_ROW = 256


class _Part(NamedTuple):
    """What a block has to do: so many numbers of array number `owner` of each list, from so many bytes on."""

    size: int
    owner: int
    start: int


class _Sgd(NamedTuple):
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
    rate: float     # what m is multiplied by: lr / (1 - beta1^step), in NAdam lr following / (1 - product following)
    ahead: float    # what g is multiplied by: 0, in NAdam lr (1 - now) / (1 - product)
    correct: float  # 1 / (1 - beta2^step)


class _Rmsprop(NamedTuple):
    scale: float
    decay: float
    lr: float
    alpha: float
    fresh: float    # 1 - alpha
    momentum: float
    eps: float


class _Adagrad(NamedTuple):
    scale: float
    decay: float
    lr: float
    eps: float


def sgd_update(value, grad, velocity, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, first=False,
               scale=1.0):
    """g = scale grad + weight_decay value; velocity = momentum velocity + (1 - dampening) g (g itself where first);
    value -= lr velocity, or lr (g + momentum velocity) with nesterov; value -= lr g without momentum."""
    found = None if momentum and velocity is None else _found(value, grad, velocity if momentum else None)
    if found is None:
        shapes.sgd_update(value, grad, velocity, lr, momentum)
        found = updates.updatable(value, grad, velocity=velocity if momentum else None)
    numbers = _Sgd(scale, weight_decay, lr, momentum, 1 if first else 1 - dampening)
    if momentum:
        _update(_momentum, found, numbers, bool(nesterov), bool(first))
    else:
        _update(_sgd, found, numbers)


def adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False, scale=1.0,
                largest=None):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps), with g = scale grad + weight_decay value
    or, where decoupled, g = scale grad and value shrunk by 1 - lr weight_decay first; with largest = max(largest, v)
    in place of v where it is given."""
    arguments.integer(step, "step", 1)
    found = _found(value, grad, m, v, largest)
    if found is None:
        shapes.adam_update(value, grad, m, v, step, lr, beta1, beta2, eps, largest=largest)
        found = updates.updatable(value, grad, m=m, v=v, largest=largest)
    _update(_adam, found,
            _Adam(scale, *_decays(lr, weight_decay, decoupled), beta1, 1 - beta1, beta2, 1 - beta2, eps,
                  lr / (1 - beta1**step), 0, 1 / (1 - beta2**step)), largest is not None)


def nadam_update(value, grad, m, v, step, lr, beta1, beta2, eps, now, following, product, weight_decay=0.0,
                 decoupled=False, scale=1.0):
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    value -= lr ((1 - now) g / (1 - product) + following m / (1 - product following)) / (sqrt(v / (1 - beta2^step))
    + eps)."""
    arguments.integer(step, "step", 1)
    found = _found(value, grad, m, v)
    if found is None:
        shapes.nadam_update(value, grad, m, v, step, lr, beta1, beta2, eps, now, following, product)
        found = updates.updatable(value, grad, m=m, v=v)
    _update(_adam, found,
            _Adam(scale, *_decays(lr, weight_decay, decoupled), beta1, 1 - beta1, beta2, 1 - beta2, eps,
                  lr * following / (1 - product * following), lr * (1 - now) / (1 - product), 1 / (1 - beta2**step)),
            False)


def rmsprop_update(value, grad, square, mean, velocity, lr, alpha, eps, weight_decay=0.0, momentum=0.0, scale=1.0):
    """square = alpha square + (1 - alpha) g^2; d = g / (sqrt(square) + eps), or, with mean = alpha mean +
    (1 - alpha) g where it is given, d = g / (sqrt(square - mean^2) + eps); value -= lr d, with momentum
    velocity = momentum velocity + d and value -= lr velocity."""
    found = None if momentum and velocity is None else _found(value, grad, square, mean, velocity if momentum else None)
    if found is None:
        shapes.rmsprop_update(value, grad, square, mean, velocity, lr, alpha, eps, momentum=momentum)
        found = updates.updatable(value, grad, square=square, mean=mean, velocity=velocity if momentum else None)
    _update(_rmsprop, found, _Rmsprop(scale, weight_decay, lr, alpha, 1 - alpha, momentum, eps), mean is not None,
            bool(momentum))


def adagrad_update(value, grad, total, lr, eps, weight_decay=0.0, scale=1.0):
    """total += g^2; value -= lr g / (sqrt(total) + eps)."""
    found = _found(value, grad, total)
    if found is None:
        shapes.adagrad_update(value, grad, total, lr, eps)
        found = updates.updatable(value, grad, total=total)
    _update(_adagrad, found, _Adagrad(scale, weight_decay, lr, eps))


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


def _decays(lr, weight_decay, decoupled):
    """(what is added to the gradient, for each unit of value; what is left of value before the step)."""
    return (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)


class _Found(NamedTuple):
    """Lists of arrays that need no closer look."""

    values: list
    places: np.ndarray  # where they, the gradients and each part of the state lie: (lists, arrays in each)


def _found(value, grad, *state):
    """The `_Found` of operands, lists of arrays, where the state may be None; None where they are no lists, or where
    somebody must look closer."""
    while state and state[-1] is None:
        state = state[:-1]
    columns = [value, grad, *(column for column in state if column is not None)]
    if not all([type(column) is list and len(column) == len(value) > 0 for column in columns]):
        return None
    where = places(columns)
    if where is None or all([column is not None for column in state]):
        return None if where is None else _Found(value, where)
    whole = np.zeros((2 + len(state), len(value)), np.int64)
    whole[[0, 1, *(i for i, column in enumerate(state, 2) if column is not None)]] = where
    return _Found(value, whole)


def _update(kernel, found, numbers, *flags):
    """Launch over all arrays of a `_Found`, or of rows (value, grad, *state). Of rows, what is not C-contiguous goes
    there as a copy, and copies of what is updated are copied back."""
    if isinstance(found, _Found):
        _launch(kernel, *found, numbers, flags)
    elif found:
        given = [[array if array is None or array.flags.carray or _lies_in_order(array) else array.copy()
                  for array in row] for row in found]
        where = np.array([[0 if array is None else address(array) for array in row] for row in given]).T.copy()
        _launch(kernel, [row[0] for row in given], where, numbers, flags)
        for row, arrays in zip(found, given, strict=True):
            for place, (target, array) in enumerate(zip(row, arrays, strict=True)):
                if array is not target and place != 1:     # the gradient stays
                    target[...] = array


def _launch(kernel, values, where, numbers, flags):
    """One launch over all values; `where` they and their operands lie, a row for each list."""
    dtype = values[0].dtype
    table, run = _plan(kernel, tuple([one.size for one in values]), dtype, len(where), flags)
    run(table, where, np.array(numbers, dtype), *flags)


def _lies_in_order(array):
    """As `flags.carray` has it, but for a gradient that is read-only."""
    return array.flags.c_contiguous and array.flags.aligned


@kept
def _plan(kernel, sizes, dtype, lists, flags):
    """(a `_Part` for each block, what launches the kernel) for so many lists of arrays of these sizes."""
    sizes = np.array(sizes)
    blocks = -(-sizes // _BLOCK)
    owner = np.repeat(np.arange(len(sizes)), blocks)
    start = (np.arange(len(owner)) - (np.cumsum(blocks) - blocks)[owner]) * _BLOCK
    table = np.stack([np.minimum(sizes[owner] - start, _BLOCK), owner, start * dtype.itemsize], axis=1)
    return table.reshape(-1), Launch(kernel, len(owner), int(sizes.sum()) // _UPDATED)


@inlined
def _at(which, part, where):
    """Where a block's share of list number `which` begins."""
    return where[which, part.owner] + part.start


@jit
def _sgd(block, slot, table, where, numbers):
    part, now = entry(_Part, table, block), named(_Sgd, numbers)
    value = lying_at(_at(0, part, where), part.size, numbers)
    grad = lying_at(_at(1, part, where), part.size, numbers)
    for i in range(value.size):
        value[i] -= now.lr * (now.scale * grad[i] + now.decay * value[i])


@jit
def _momentum(block, slot, table, where, numbers, nesterov, first):
    part, now = entry(_Part, table, block), named(_Sgd, numbers)
    value = lying_at(_at(0, part, where), part.size, numbers)
    grad = lying_at(_at(1, part, where), part.size, numbers)
    velocity = lying_at(_at(2, part, where), part.size, numbers)
    for i in range(value.size):
        step = now.scale * grad[i] + now.decay * value[i]
        speed = now.fresh * step if first else now.momentum * velocity[i] + now.fresh * step
        velocity[i] = speed
        value[i] -= now.lr * (step + now.momentum * speed if nesterov else speed)


@jit
def _adagrad(block, slot, table, where, numbers):
    part, now = entry(_Part, table, block), named(_Adagrad, numbers)
    value = lying_at(_at(0, part, where), part.size, numbers)
    grad = lying_at(_at(1, part, where), part.size, numbers)
    total = lying_at(_at(2, part, where), part.size, numbers)
    for i in range(value.size):
        g = now.scale * grad[i] + now.decay * value[i]
        total[i] += g * g
        value[i] -= now.lr * g / (np.sqrt(total[i]) + now.eps)


@jit
def _adam(block, slot, table, where, numbers, amsgrad):
    """In vectors written out: LLVM does not compare the addresses of so many arrays, to make vectors of loops."""
    part, now = entry(_Part, table, block), named(_Adam, numbers)
    value = lying_at(_at(0, part, where), part.size, numbers)
    grad = lying_at(_at(1, part, where), part.size, numbers)
    m = lying_at(_at(2, part, where), part.size, numbers)
    v = lying_at(_at(3, part, where), part.size, numbers)
    largest = lying_at(_at(4 if amsgrad else 3, part, where), part.size, numbers)
    scale, decay, shrink = simd.full(value, now.scale), simd.full(value, now.decay), simd.full(value, now.shrink)
    beta1, fresh1, rate = simd.full(value, now.beta1), simd.full(value, now.fresh1), simd.full(value, now.rate)
    beta2, fresh2, ahead = simd.full(value, now.beta2), simd.full(value, now.fresh2), simd.full(value, now.ahead)
    eps, correct = simd.full(value, now.eps), simd.full(value, now.correct)
    for i in range(0, part.size, simd.lanes(value)):
        n = part.size - i
        old = shrink * simd.load_part(value, i, n)
        g = simd.fma(decay, old, scale * simd.load_part(grad, i, n))
        mean = simd.fma(beta1, simd.load_part(m, i, n), fresh1 * g)
        square = simd.fma(beta2, simd.load_part(v, i, n), fresh2 * g * g)
        simd.store_part(m, i, mean, n)
        simd.store_part(v, i, square, n)
        if amsgrad:
            before = simd.load_part(largest, i, n)
            square = simd.pick(square, before, square, before)
            simd.store_part(largest, i, square, n)
        step = simd.fma(rate, mean, ahead * g) / (simd.sqrt(square * correct) + eps)
        simd.store_part(value, i, old - step, n)


@jit
def _rmsprop(block, slot, table, where, numbers, centered, moving):
    part, now = entry(_Part, table, block), named(_Rmsprop, numbers)
    value = lying_at(_at(0, part, where), part.size, numbers)
    grad = lying_at(_at(1, part, where), part.size, numbers)
    squares = lying_at(_at(2, part, where), part.size, numbers)
    means = lying_at(_at(3 if centered else 2, part, where), part.size, numbers)
    velocity = lying_at(_at(4 if moving else 2, part, where), part.size, numbers)
    scale, decay, lr = simd.full(value, now.scale), simd.full(value, now.decay), simd.full(value, now.lr)
    alpha, fresh, eps = simd.full(value, now.alpha), simd.full(value, now.fresh), simd.full(value, now.eps)
    momentum = simd.full(value, now.momentum)
    for i in range(0, part.size, simd.lanes(value)):
        n = part.size - i
        old = simd.load_part(value, i, n)
        g = simd.fma(decay, old, scale * simd.load_part(grad, i, n))
        spread = simd.fma(alpha, simd.load_part(squares, i, n), fresh * g * g)
        simd.store_part(squares, i, spread, n)
        if centered:
            mean = simd.fma(alpha, simd.load_part(means, i, n), fresh * g)
            simd.store_part(means, i, mean, n)
            spread = spread - mean * mean
        step = g / (simd.sqrt(spread) + eps)
        if moving:
            step = simd.fma(momentum, simd.load_part(velocity, i, n), step)
            simd.store_part(velocity, i, step, n)
        simd.store_part(value, i, old - lr * step, n)


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
