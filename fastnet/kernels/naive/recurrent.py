"""Recurrent layers, step by step; `cells` has the formulas, here are their derivatives."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.activations import ACTIVATIONS
from fastnet.kernels.cells import CELLS


def recurrent_forward(z, w, cell, b=None, h=None, c=None, reverse=False, batch_first=False):
    """The states after each step, and what the way back needs."""
    z = checks.floating(z, "z")
    w, b, h, c = (checks.optional(array, name, like=z) for array, name in ((w, "w"), (b, "b"), (h, "h"), (c, "c")))
    found = shapes.recurrent_forward(z, w, cell, b, h, c, reverse, batch_first)
    y, h_n, _, kept, before = (None if kind is None else np.zeros(*kind) for kind in found)
    h, c = (np.zeros_like(h_n) if state is None else state for state in (h, c))
    for t in _steps(y, reverse, batch_first):
        a = h @ w.T if b is None else h @ w.T + b
        before[t] = h
        with np.errstate(over="ignore", invalid="ignore"):
            h, c, keeps = _FORWARD[cell](z[t], a, h, c)
        y[t] = h
        if kept is not None:
            kept[t] = np.concatenate(keeps, 1)
    return y, np.array(h), np.array(c) if CELLS[cell].has_c else None, kept, before


def recurrent_inference(z, w, cell, b=None, h=None, c=None, reverse=False, batch_first=False):
    """The states after each step."""
    return recurrent_forward(z, w, cell, b, h, c, reverse, batch_first)[:3]


def recurrent_backward(kept, w, cell, dy=None, dh=None, dc=None, reverse=False, batch_first=False):
    """From the last step to the first: the gradients for z, for h W_hh^T + b_hh, and for the states before."""
    kept = checks.floating(kept, "kept")
    w, dy, dh, dc = (checks.optional(array, name, like=kept)
                     for array, name in ((w, "w"), (dy, "dy"), (dh, "dh"), (dc, "dc")))
    found = shapes.recurrent_backward(kept, w, cell, dy, dh, dc, reverse, batch_first)
    dz, da, state = np.zeros(*found[0]), found[1] and np.zeros(*found[1]), found[2]
    dh, dc = (np.zeros(*state) if given is None else given for given in (dh, dc))
    for t in _steps(kept, reverse, batch_first)[::-1]:
        dh = dh if dy is None else dh + dy[t]
        into_z, into_a, past, dc = _BACKWARD[cell](dh, dc, *np.split(kept[t], CELLS[cell].kept, 1))
        dz[t], into_a = np.concatenate(into_z, 1), np.concatenate(into_a, 1)
        if da is not None:
            da[t] = into_a
        dh = into_a @ w + past
    return dz, da, np.array(dh), np.array(dc) if CELLS[cell].has_c else None


def _steps(y, reverse, batch_first):
    """The index of each step, in the order in which the steps are taken."""
    order = [(slice(None), t) if batch_first else t for t in range(y.shape[batch_first])]
    return order[::-1] if reverse else order


def _function(name):
    """(an activation, its derivative's product with a gradient, from its y)."""
    row = ACTIVATIONS[name]
    return lambda x: row.forward(x, 0.0, 0.0), lambda g, y: row.backward(g, y, 0.0, 0.0)


(sigmoid, through_sigmoid), (tanh, through_tanh) = _function("sigmoid"), _function("tanh")


def _simple(name):
    function, through = _function(name)

    def forward(z, a, h, c):
        return function(z + a), c, ()

    def backward(dh, dc, y):
        dz = through(dh, y)
        return [dz], [dz], 0, dc

    return forward, backward


def _gru(z, a, h, c):
    (z_r, z_u, z_n), (a_r, a_u, a_n) = np.split(z, 3, 1), np.split(a, 3, 1)
    r, u = sigmoid(z_r + a_r), sigmoid(z_u + a_u)
    n = tanh(z_n + r * a_n)
    return n + u * (h - n), c, (r, u, n, a_n, h - n)


def _gru_backward(dh, dc, r, u, n, a_n, less):
    dz_u, dz_n = through_sigmoid(dh * less, u), through_tanh(dh - dh * u, n)
    dz_r = through_sigmoid(dz_n * a_n, r)
    return [dz_r, dz_u, dz_n], [dz_r, dz_u, dz_n * r], dh * u, dc


def _lstm(z, a, h, c):
    i, f, g, o = np.split(z + a, 4, 1)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    keeps = i, f, g, o, c
    c = f * c + i * g
    return o * tanh(c), c, keeps


def _lstm_backward(dh, dc, i, f, g, o, c):
    end = tanh(f * c + i * g)
    dc = dc + through_tanh(dh * o, end)
    dz = [through_sigmoid(dc * g, i), through_sigmoid(dc * c, f), through_tanh(dc * i, g), through_sigmoid(dh * end, o)]
    return dz, dz, 0, dc * f


_FORWARD, _BACKWARD = ({"gru": gru, "lstm": lstm, "rnn_tanh": _simple("tanh")[side], "rnn_relu": _simple("relu")[side]}
                       for side, gru, lstm in ((0, _gru, _lstm), (1, _gru_backward, _lstm_backward)))
