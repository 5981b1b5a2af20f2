"""The recurrent cells, a row each: what a layer does at each step, for all backends.

z is what the input gives to the step, x W_ih^T + b_ih, and a what the state gives, h W_hh^T + b_hh, both of so many
gates, each of H numbers; h' (and c') are the state after the step, sigma is the sigmoid:

    rnn_tanh    h' = tanh(z + a)
    rnn_relu    h' = max(z + a, 0)                                          Elman, Finding structure in time, 1990
    gru         r, u = sigma(z + a) of their gates;  n = tanh(z_n + r a_n);  h' = n + u (h - n)
                gates r, u, n                                               Cho et al., RNN encoder-decoder, 2014
    lstm        i, f, o = sigma(z + a), g = tanh(z + a) of their gates;  c' = f c + i g;  h' = o tanh(c')
                gates i, f, g, o           Hochreiter and Schmidhuber, Long short-term memory, 1997; Gers et al., 2000

Their order is PyTorch's. What is kept of a step for the way back, each of H numbers:

    rnn_tanh, rnn_relu      h', which is y
    gru                     r, u, n, a_n, h - n
    lstm                    i, f, g, o, c
"""
from typing import NamedTuple


class Cell(NamedTuple):
    """How many gates it has, and how many numbers of each unit are kept of a step; whether there is a second state, c;
    whether the gradients for z and for a differ."""

    gates: int
    kept: int
    has_c: bool = False
    splits: bool = False


CELLS = {"rnn_tanh": Cell(1, 1), "rnn_relu": Cell(1, 1), "gru": Cell(3, 5, splits=True), "lstm": Cell(4, 5, has_c=True)}
