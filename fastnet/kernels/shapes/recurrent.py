"""One recurrent layer in one direction, from the products of its input with its weights on.

T steps, N sequences, H units, G gates; `cell` is a row of `cells`. z is (T, N, G H), or (N, T, G H) where
`batch_first`, as are, with other numbers in place of G H, the other arrays of three axes: y and before (H), kept (K H).
w is W_hh (G H, H), b is b_hh (G H,); h and c, the states to begin with, are (N, H), zeros where they are left out. The
steps are taken from the last one to the first where `reverse`.
"""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.cells import CELLS
from fastnet.kernels.shapes.kind import Kind, fits


def recurrent_forward(z, w, cell, b=None, h=None, c=None, reverse=False, batch_first=False):
    """y, the state h after each step; h_n and c_n (N, H), the states after the last one, c_n None but for "lstm"; kept,
    what the way back needs, None where that is y; and before, the state h that each step began with."""
    y, h_n, c_n = recurrent_inference(z, w, cell, b, h, c, reverse, batch_first)
    width = CELLS[cell].kept
    return y, h_n, c_n, None if width == 1 else Kind((*y.shape[:2], width * y.shape[2]), y.dtype), y


def recurrent_inference(z, w, cell, b=None, h=None, c=None, reverse=False, batch_first=False):
    """The first three results of recurrent_forward."""
    checks.real(z, "z")
    hidden, row = _hidden(w, cell), CELLS[cell]
    batch = _sequences(z, "z", row.gates, hidden, reverse, batch_first)
    if b is not None:
        fits(b, w.shape[:1], "b")
    state = _states(batch, hidden, row, checks.result_dtype(z, "z"), h=h, c=c)
    return Kind((*z.shape[:2], hidden), state.dtype), state, state if row.has_c else None


def recurrent_backward(kept, w, cell, dy=None, dh=None, dc=None, reverse=False, batch_first=False):
    """dz; da, the gradient for h W_hh^T + b_hh, None where that is dz; and dh and dc (N, H), those for the states that
    it began with, dc None but for "lstm". Given are the gradients for y, h_n and c_n, None where nobody used them.

    The gradient for w is da^T before, that for b the sum of da, over all steps and sequences."""
    checks.real(kept, "kept")
    hidden, row = _hidden(w, cell), CELLS[cell]
    batch = _sequences(kept, "kept", row.kept, hidden, reverse, batch_first)
    if dy is not None:
        fits(dy, (*kept.shape[:2], hidden), "dy")
    state = _states(batch, hidden, row, checks.result_dtype(kept, "kept"), dh=dh, dc=dc)
    dz = Kind((*kept.shape[:2], row.gates * hidden), state.dtype)
    return dz, dz if row.splits else None, state, state if row.has_c else None


def _hidden(w, cell):
    """H, from w."""
    gates = CELLS[arguments.choice(cell, tuple(CELLS), "cell")].gates
    checks.real(w, "w")
    if len(w.shape) != 2 or 0 in w.shape or w.shape[0] != gates * w.shape[1]:
        wanted = "(H, H)" if gates == 1 else f"({gates} H, H)"
        raise ValueError(f"expected w of shape {wanted}, got w of shape {tuple(w.shape)}")
    return w.shape[1]


def _sequences(array, name, count, hidden, reverse, batch_first):
    """N of an array of three axes, `count` numbers for each unit."""
    arguments.flag(reverse, "reverse")
    axes = "(N, T" if arguments.flag(batch_first, "batch_first") else "(T, N"
    if len(array.shape) != 3 or array.shape[2] != count * hidden:
        raise ValueError(f"expected {name} of shape {axes}, {count * hidden}), got {name} of shape "
                         f"{tuple(array.shape)}")
    checks.not_empty(array.shape, name)
    return array.shape[0 if batch_first else 1]


def _states(batch, hidden, row, dtype, **states):
    """The Kind of a state; the two that are given must fit."""
    for name, state in states.items():
        if state is not None:
            if name.endswith("c") and not row.has_c:
                raise ValueError(f"{name} belongs to the cell 'lstm' alone")
            fits(state, (batch, hidden), name)
    return Kind((batch, hidden), dtype)
