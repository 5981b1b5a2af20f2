"""What each recurrent cell does at a step, forward and backward, to some sequences that are a block's; see `recurrent`.

A function is compiled once, and called by its address: (first, stop, sequence, memory, at, t, numbers) for the
sequences first <= i < stop at time t; the block's memory begins at `at`.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.activations import sigmoid, sigmoid_gradient, tanh, tanh_gradient
from fastnet.kernels.cpu.runtime import inlined, jit, literal, named


class Plan(NamedTuple):
    """What is the same for all blocks and steps of a launch: the steps, the sizes, and what lies where."""

    begin: int          # steps that a launch takes, counted in the order in which they are taken
    end: int
    steps: int
    batch: int
    hidden: int
    depth: int          # numbers of a row of `left`, and so of the sums of products
    wide: int           # numbers of a row of `sums`
    panels: int
    rows: int           # sequences of a block
    height: int         # and of a register tile
    step_apart: int     # rows of an array from a step to the next one
    sequence_apart: int     # and from a sequence to the next one
    left_row: int       # where things are in a block's memory: `left` first, then `sums`, then `second`, a state
    sums: int
    sums_row: int
    second: int
    state: int          # the one that the loop begins and ends with
    state_row: int
    size: int           # of a block's memory
    from_end: int
    back: int
    full: int           # whether what the way back needs is written; whether there is a dy
    carries: int        # whether `second` is a share of the gradient for h, which is to be added in the end


class Sequence(NamedTuple):
    """Forward z is read, y, kept and before are written; backward dy, in place of y, and kept are read, and dz and da,
    in place of z and before, are written. What is not wanted is another of them, and means nothing."""

    z: np.ndarray
    y: np.ndarray
    kept: np.ndarray
    before: np.ndarray


class _Row(NamedTuple):
    """Where a sequence's numbers are at a step: its row in the arrays, and its rows in the block's memory."""

    row: int
    left: int
    sums: int
    second: int


@inlined
def _row(plan, first, i, at, t):
    k = i - first
    return _Row(t * plan.step_apart + i * plan.sequence_apart, at + k * plan.left_row,
                at + plan.sums + k * plan.sums_row, at + plan.second + k * plan.hidden)


@inlined
def _both(z, memory, here, gate, gates, j, hidden):
    """z + a of a gate."""
    return simd.load_part(z, (here.row * gates + gate) * hidden + j, hidden - j) + simd.load_part(
        memory, here.sums + gate * hidden + j, hidden - j)


@inlined
def _get(x, row, place, count, j, hidden):
    """A vector of the numbers at a place of so many in a row."""
    return simd.load_part(x, (row * count + place) * hidden + j, hidden - j)


@inlined
def _put(x, row, place, count, j, hidden, v):
    simd.store_part(x, (row * count + place) * hidden + j, v, hidden - j)


@inlined
def _arriving(sequence, memory, here, j, plan):
    """The gradient for h: that which comes from the step after, and that for y."""
    dh = simd.load_part(memory, here.sums + j, plan.hidden - j)
    if plan.full:
        dh = dh + _get(sequence.y, here.row, 0, 1, j, plan.hidden)
    return dh


@inlined
def _leave(sequence, memory, here, gate, gates, j, hidden, v):
    """Write the gradient for z + a of a gate: to dz, and to where the product reads it."""
    _put(sequence.z, here.row, gate, gates, j, hidden, v)
    simd.store_part(memory, here.left + gate * hidden + j, v, hidden - j)


@jit
def lstm(first, stop, sequence, memory, at, t, numbers):
    """c = f c + i g and h = o tanh(c), of the gates i, f, g, o of z + a. What backward needs goes to `kept`."""
    plan = named(Plan, numbers)
    z, kept, hidden = sequence.z, sequence.kept, plan.hidden
    for sample in range(first, stop):
        here = _row(plan, first, sample, at, t)
        for j in range(0, hidden, simd.lanes(z)):
            n = hidden - j
            i = sigmoid(_both(z, memory, here, 0, 4, j, hidden), z, 0.0, 0.0)
            f = sigmoid(_both(z, memory, here, 1, 4, j, hidden), z, 0.0, 0.0)
            g = tanh(_both(z, memory, here, 2, 4, j, hidden), z, 0.0, 0.0)
            o = sigmoid(_both(z, memory, here, 3, 4, j, hidden), z, 0.0, 0.0)
            c = simd.load_part(memory, here.second + j, n)
            if plan.full:
                _put(kept, here.row, 0, 5, j, hidden, i)
                _put(kept, here.row, 1, 5, j, hidden, f)
                _put(kept, here.row, 2, 5, j, hidden, g)
                _put(kept, here.row, 3, 5, j, hidden, o)
                _put(kept, here.row, 4, 5, j, hidden, c)
                _put(sequence.before, here.row, 0, 1, j, hidden, simd.load_part(memory, here.left + j, n))
            c = simd.fma(f, c, i * g)
            h = o * tanh(c, z, 0.0, 0.0)
            simd.store_part(memory, here.second + j, c, n)
            simd.store_part(memory, here.left + j, h, n)
            _put(sequence.y, here.row, 0, 1, j, hidden, h)


@jit
def lstm_backward(first, stop, sequence, memory, at, t, numbers):
    """The gradients of the four gates, and in `second` that of the c before."""
    plan = named(Plan, numbers)
    kept, hidden = sequence.kept, plan.hidden
    for sample in range(first, stop):
        here = _row(plan, first, sample, at, t)
        for j in range(0, hidden, simd.lanes(kept)):
            n = hidden - j
            i, f = _get(kept, here.row, 0, 5, j, hidden), _get(kept, here.row, 1, 5, j, hidden)
            g, o = _get(kept, here.row, 2, 5, j, hidden), _get(kept, here.row, 3, 5, j, hidden)
            c, dh = _get(kept, here.row, 4, 5, j, hidden), _arriving(sequence, memory, here, j, plan)
            end = tanh(simd.fma(f, c, i * g), kept, 0.0, 0.0)
            dc = simd.load_part(memory, here.second + j, n) + tanh_gradient(dh * o, end, kept, 0.0, 0.0)
            _leave(sequence, memory, here, 0, 4, j, hidden, sigmoid_gradient(dc * g, i, kept, 0.0, 0.0))
            _leave(sequence, memory, here, 1, 4, j, hidden, sigmoid_gradient(dc * c, f, kept, 0.0, 0.0))
            _leave(sequence, memory, here, 2, 4, j, hidden, tanh_gradient(dc * i, g, kept, 0.0, 0.0))
            _leave(sequence, memory, here, 3, 4, j, hidden, sigmoid_gradient(dh * end, o, kept, 0.0, 0.0))
            simd.store_part(memory, here.second + j, dc * f, n)


@jit
def gru(first, stop, sequence, memory, at, t, numbers):
    """h = new + u (h - new) with new = tanh(z + r a), r and u being gates of z + a."""
    plan = named(Plan, numbers)
    z, kept, hidden = sequence.z, sequence.kept, plan.hidden
    for sample in range(first, stop):
        here = _row(plan, first, sample, at, t)
        for j in range(0, hidden, simd.lanes(z)):
            n = hidden - j
            r = sigmoid(_both(z, memory, here, 0, 3, j, hidden), z, 0.0, 0.0)
            u = sigmoid(_both(z, memory, here, 1, 3, j, hidden), z, 0.0, 0.0)
            inner, h = simd.load_part(memory, here.sums + 2 * hidden + j, n), simd.load_part(memory, here.left + j, n)
            new = tanh(simd.fma(r, inner, _get(z, here.row, 2, 3, j, hidden)), z, 0.0, 0.0)
            less = h - new
            if plan.full:
                _put(kept, here.row, 0, 5, j, hidden, r)
                _put(kept, here.row, 1, 5, j, hidden, u)
                _put(kept, here.row, 2, 5, j, hidden, new)
                _put(kept, here.row, 3, 5, j, hidden, inner)
                _put(kept, here.row, 4, 5, j, hidden, less)
                _put(sequence.before, here.row, 0, 1, j, hidden, h)
            h = simd.fma(u, less, new)
            simd.store_part(memory, here.left + j, h, n)
            _put(sequence.y, here.row, 0, 1, j, hidden, h)


@jit
def gru_backward(first, stop, sequence, memory, at, t, numbers):
    """da differs from dz in the last gate."""
    plan = named(Plan, numbers)
    kept, hidden = sequence.kept, plan.hidden
    for sample in range(first, stop):
        here = _row(plan, first, sample, at, t)
        for j in range(0, hidden, simd.lanes(kept)):
            n = hidden - j
            r, u = _get(kept, here.row, 0, 5, j, hidden), _get(kept, here.row, 1, 5, j, hidden)
            new, inner = _get(kept, here.row, 2, 5, j, hidden), _get(kept, here.row, 3, 5, j, hidden)
            less = _get(kept, here.row, 4, 5, j, hidden)
            dh = _arriving(sequence, memory, here, j, plan) + simd.load_part(memory, here.second + j, n)
            past = dh * u
            du = sigmoid_gradient(dh * less, u, kept, 0.0, 0.0)
            dn = tanh_gradient(dh - past, new, kept, 0.0, 0.0)
            dr = sigmoid_gradient(dn * inner, r, kept, 0.0, 0.0)
            _leave(sequence, memory, here, 0, 3, j, hidden, dr)
            _leave(sequence, memory, here, 1, 3, j, hidden, du)
            _leave(sequence, memory, here, 2, 3, j, hidden, dn * r)
            _put(sequence.z, here.row, 2, 3, j, hidden, dn)
            _put(sequence.before, here.row, 0, 3, j, hidden, dr)
            _put(sequence.before, here.row, 1, 3, j, hidden, du)
            _put(sequence.before, here.row, 2, 3, j, hidden, dn * r)
            simd.store_part(memory, here.second + j, past, n)


def _simple(function, gradient):
    """(forward, backward) of the cell that is one activation, and by whose derivative gradient(g, y) multiplies g."""

    def forward(first, stop, sequence, memory, at, t, numbers):
        plan = named(Plan, numbers)
        z, hidden = sequence.z, plan.hidden
        for sample in range(first, stop):
            here = _row(plan, first, sample, at, t)
            for j in range(0, hidden, simd.lanes(z)):
                if plan.full:
                    h = simd.load_part(memory, here.left + j, hidden - j)
                    _put(sequence.before, here.row, 0, 1, j, hidden, h)
                h = function(_both(z, memory, here, 0, 1, j, hidden), z, 0.0, 0.0)
                simd.store_part(memory, here.left + j, h, hidden - j)
                _put(sequence.y, here.row, 0, 1, j, hidden, h)

    def backward(first, stop, sequence, memory, at, t, numbers):
        plan = named(Plan, numbers)
        for sample in range(first, stop):
            here = _row(plan, first, sample, at, t)
            for j in range(0, plan.hidden, simd.lanes(memory)):
                y, dh = _get(sequence.kept, here.row, 0, 1, j, plan.hidden), _arriving(sequence, memory, here, j, plan)
                _leave(sequence, memory, here, 0, 1, j, plan.hidden, gradient(dh, y, memory, 0.0, 0.0))

    forward.__qualname__, backward.__qualname__ = f"rnn_{function.__name__}", f"rnn_{gradient.__name__}"
    return jit(forward), jit(backward)


@literal
def relu(v, like, alpha, beta):
    """max(x, 0), for the cell of RNN, which calls it as it does tanh."""
    return simd.relu(v)


@literal
def relu_gradient(g, y, like, alpha, beta):
    """g where y is above 0 or NaN, else 0."""
    return simd.positive(g, y)


STEPS = {"rnn_tanh": _simple(tanh, tanh_gradient), "rnn_relu": _simple(relu, relu_gradient), "gru": (gru, gru_backward),
         "lstm": (lstm, lstm_backward)}
