"""Muon, whose steps are orthogonal."""
from math import sqrt

import numpy as np

from fastnet import arguments, kernels
from fastnet.optim.base import Optimizer
from fastnet.optim.sgd import SGD


class Muon(SGD):
    """Momentum whose step is made orthogonal: every direction of a weight matrix moves equally far.

    A weight of two axes or more is read as a matrix, (K, C R S) for a convolution, and with d the direction in which
    SGD of the same momentum would go,
    value -= lr * weight_decay * value;  value -= lr * sqrt(max(1, rows / columns)) * orthogonalize(d).
    A step has always the same length: lr alone says how far it goes.
    With normalize=True the weight is first brought to the length sqrt(K), that of K orthonormal rows; lr is then the
    share by which it turns. That suits weights before a batch norm, which does not feel their length.

    It is meant for the weights between the first layer and the last. The others go into a group with
    ``"orthogonal": False``, which is plain `SGD`, with an "lr_scale" of its own:
    ``Muon([{"params": filters}, {"params": others, "orthogonal": False, "lr_scale": 0.5}], lr=0.1)``.
    Jordan, Muon: An optimizer for hidden layers in neural networks (2024); defaults and form as torch.optim.Muon.
    ValueError names the argument that is out of range.

    >>> weight = fastnet.Parameter([[0, 0], [0, 0]])
    >>> weight.grad = np.float32([[100, 0], [0, -1]])
    >>> Muon([weight], lr=0.1).step()
    >>> weight.value.round(1)  # both directions move about as far
    array([[-0.1,  0. ],
           [ 0. ,  0.1]], dtype=float32)
    """

    def __init__(self, params, lr=1e-3, momentum=0.95, weight_decay=0.1, nesterov=True, ns_steps=5, normalize=False,
                 orthogonal=True, max_norm=None, backend="cpu"):
        Optimizer.__init__(self, params, lr, max_norm, backend, momentum=momentum, dampening=0.0,
                           weight_decay=weight_decay, nesterov=nesterov, ns_steps=ns_steps, normalize=normalize,
                           orthogonal=orthogonal)

    def check(self, options):
        options = super().check(options)
        for name in ("normalize", "orthogonal"):
            options[name] = arguments.flag(options[name], self.said(name))
        options["ns_steps"] = arguments.integer(options["ns_steps"], self.said("ns_steps"), 1, 100)
        for parameter in options["params"] if options["orthogonal"] else ():
            if parameter.value.ndim < 2:
                raise ValueError(f"{self.said('params')}: a parameter of shape {parameter.shape} is no matrix; put it "
                                 "into a group with 'orthogonal': False")
        return options

    def update(self, values, grads, options, states, lr, scale):
        if not options["orthogonal"]:
            super().update(values, grads, options, states, lr, scale)
            return
        velocities = self.kept("momentum_buffer", values, states)
        directions = [np.zeros_like(velocity) for velocity in velocities]
        # Where SGD goes from zero, with its steps turned round.
        self.ops.sgd_update(directions, grads, velocities, -1.0, options["momentum"], nesterov=options["nesterov"],
                            scale=scale)
        for value, direction in zip(values, directions, strict=True):
            self._turn(value, direction, options, lr)

    def _turn(self, value, direction, options, lr):
        """Move one weight as its direction says, made orthogonal."""
        rows = direction.reshape(len(value), -1)
        step = orthogonalize(rows, options["ns_steps"], self.ops).reshape(value.shape)
        keep = 1 - lr * options["weight_decay"]
        if options["normalize"]:
            keep *= len(value) ** 0.5 / (keep * norm(value, self.ops) + 1e-7)
        self.ops.sgd_update([value], [step], None, 1.0, weight_decay=1 - keep,
                            scale=lr * max(1, rows.shape[0] / rows.shape[1]) ** 0.5)


def orthogonalize(matrix, steps=5, ops=None):
    """About the nearest matrix with orthonormal rows, or columns where it has fewer of them: U V' for U S V'.

    `steps` times X = P X with P = a I + b A + c A A and A = X X', from X = matrix / norm: a polynomial that drives all
    singular values towards one, and with these quick coefficients leaves them between 0.7 and 1.2. For up to three
    steps only A goes through them, as P A P, which is the smaller matrix; then X takes the product of all P at once.
    More steps without a new A would make rounding grow.
    Jordan, Muon (2024), with its coefficients; Bernstein and Newhouse, Old Optimizer, New Norm (2024), appendix A.

    >>> orthogonalize(np.float32([[100, 0], [0, -1]])).round(1)  # the nearest one has 1 and -1 there
    array([[ 0.7,  0. ],
           [ 0. , -0.7]], dtype=float32)
    """
    ops = kernels.load("cpu") if ops is None else arguments.having(
        ops, ("linear_forward", "linear_backward_input", "sum_of_squares"), "orthogonalize: ops", "a backend's module")
    matrix = arguments.array(matrix, "orthogonalize: matrix")
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"orthogonalize: matrix must have two axes, none of them empty, got {arguments.shown(matrix)}")
    steps = arguments.integer(steps, "orthogonalize: steps", 1, 100)
    if matrix.dtype not in (np.float32, np.float64):
        matrix = matrix.astype(np.float32)
    product = ops.linear_forward  # x y', where every y but X is symmetric

    def polynomial(square):
        factor = -4.775 * square + 2.0315 * product(square, square)
        factor.flat[::len(factor) + 1] += 3.4445
        return factor

    x = matrix / (norm(matrix, ops) + 1e-7)
    wide = x.shape[0] <= x.shape[1]
    x = np.ascontiguousarray(x if wide else x.T)
    for done in range(0, steps, 3):
        square = product(x, x)
        factors = factor = polynomial(square)
        for _ in range(min(steps - done, 3) - 1):
            square = product(product(factor, square), factor)
            factor = polynomial(square)
            factors = product(factor, factors)
        x = ops.linear_backward_input(factors, x)  # factors X
    return x if wide else x.T


def norm(array, ops):
    """The 2-norm of all numbers of an array: a Python float, so that it leaves dtypes alone, added up in float64."""
    return sqrt(ops.sum_of_squares([array]))
