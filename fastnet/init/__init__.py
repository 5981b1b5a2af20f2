"""Initial values of weights, and the generator they are drawn from.

An initialiser is a function from a shape to a float32 array: ``kaiming_normal((64, 3, 3, 3))``. `apply` re-initialises
all weights of a net: ``apply(net, kaiming_normal)``, ``apply(net, functools.partial(normal, std=0.01))``. The names are
PyTorch's without the trailing underscore, since nothing is changed in place.

In the formulas fan_in is the number of inputs that one output sums (C R S for a convolution, C for a linear layer) and
fan_out is the number of outputs that one input reaches (K R S, K).
"""
from fastnet.init.drawn import (
    kaiming_normal,
    kaiming_uniform,
    normal,
    orthogonal,
    partial_dirac,
    sparse,
    trunc_normal,
    uniform,
    uniform_fan_in,
    xavier_normal,
    xavier_uniform,
)
from fastnet.init.fixed import constant, dirac, eye, ones, zeros
from fastnet.init.nets import apply
from fastnet.init.seeds import generator, manual_seed, seeded, skip
from fastnet.init.shapes import calculate_gain, fans

__all__ = ["apply", "calculate_gain", "constant", "dirac", "eye", "fans", "generator", "kaiming_normal",
           "kaiming_uniform", "manual_seed", "normal", "ones", "orthogonal", "partial_dirac", "seeded", "skip",
           "sparse", "trunc_normal", "uniform", "uniform_fan_in", "xavier_normal", "xavier_uniform", "zeros"]
