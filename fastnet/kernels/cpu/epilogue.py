"""What is done to a result as it is written: something is added, an activation applied, or the derivative of one.

A kernel gets one `Epilogue`, of one type whatever is absent, so none is compiled anew for an activation. Piecewise
linear activations are numbers (`Bend`), which `spans.in_registers` applies before a result is written. Any other is a
compiled function, which `spans.call_functions` calls on what was just written, while that lies in cache. The operations
for an activation alone are kernels that copy and have an epilogue: the same code, and so the same bits.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.activations import reads
from fastnet.kernels.cpu import spans
from fastnet.kernels.cpu.activations import COMPILED, NO_BEND, RELU, Bend
from fastnet.kernels.cpu.runtime import flat, function_address


class Call(NamedTuple):
    """A compiled function (start, stop, path, alpha, beta) that goes the `spans.Path` from x[start : stop] to the same
    places of y, or (start, stop, path, kept, at, alpha, beta) that goes so from dy to dx, where the activation read or
    gave kept[at : ...]; none where the address is 0."""

    address: int
    alpha: float
    beta: float


class Epilogue(NamedTuple):
    """Three steps, each of which may be absent:

    1. `add` is added to the result.
    2. An activation is applied: `bend` if it is piecewise linear, otherwise `function`.
    3. The result is multiplied by the derivative of a second activation: `masking` if that is piecewise linear,
       otherwise `derivative`. `mask` is what the second activation gave in the forward pass.

    Arrays are flat and of one length. Where `add` or `mask` is absent the result's own array stands in its place, and
    nothing that is read from it is used. `through_activation` tells what the fields of another kind of Epilogue mean.
    """

    level: int          # how much there is to do in registers: spans.BOUND, OPERANDS or SLOPED
    add: np.ndarray
    adding: bool
    bend: Bend
    function: Call
    mask: np.ndarray
    masked: bool        # whether the third step is done in registers, by `masking`
    masking: Bend
    derivative: Call

    @property
    def kind(self):
        """What machine code is compiled for, see `runtime.compiler.address`: the numbers have one type each."""
        return Epilogue, self.add.dtype


NO_CALL = Call(0, 0.0, 0.0)
# The Bend of no second activation: where there is no mask its output counts as 1, which the derivative of a ReLU leaves
# as it is.
NO_MASKING = RELU


def checked(kind, add=None, activation=None, mask=None, masking=None):
    """(add, mask), flat and in the dtype of the result, a `shapes.Kind`, whose epilogue they are to be.

    ValueError where something does not fit: a shape, a mask without `masking` or the other way round, an activation
    that is none or, for `masking`, whose derivative does not follow from its output."""
    if activation is not None:
        shapes.activation_forward(kind, *activation)
    if (mask is None) != (masking is None):
        raise ValueError(f"mask and masking come together, got {'masking' if mask is None else 'mask'} alone")
    if masking is not None:
        shapes.activation_forward(kind, *masking)
        if reads(masking[0]) != "y":
            raise ValueError(f"the derivative of {masking[0]} does not follow from its output, which a mask is")
    return [None if array is None else flat(checks.operand(array, kind.shape, name, like=kind))
            for name, array in (("add", add), ("mask", mask))]


def cost(activation):
    """How many operations of `launch` an activation, or None, is for each number."""
    return 0 if activation is None else COMPILED[activation[0]].cost


def make(y, add=None, activation=None, mask=None, masking=None):
    """The Epilogue of a result y, all arrays flat; `activation` and `masking` are (name, alpha, beta) or None."""
    bend, function = (NO_BEND, NO_CALL) if activation is None else forward(y.dtype, *activation)
    late = function.address != 0    # what comes after a function cannot come before it, in registers
    back, derivative = (NO_MASKING, NO_CALL) if masking is None else backward(y.dtype, late, *masking)
    masked = masking is not None and derivative.address == 0
    operands = masked or add is not None
    level = spans.SLOPED if bend.sloped or back.sloped else spans.OPERANDS if operands else spans.BOUND
    return Epilogue(level, y if add is None else add, add is not None, bend, function,
                    y if mask is None else mask, masked, back, derivative)


@functools.lru_cache(maxsize=256)
def forward(dtype, name, alpha=0.0, beta=0.0):
    """(Bend, Call) of an activation, one of them the one that does nothing."""
    row, alpha, beta = COMPILED[name], float(alpha), float(beta)
    if row.bend is not None:
        return row.bend(alpha, beta), NO_CALL
    path = spans.Path(np.empty(0, dtype), np.empty(0, dtype), False)
    return NO_BEND, Call(function_address(row.forward, (path, alpha, beta)), alpha, beta)


@functools.lru_cache(maxsize=256)
def backward(dtype, late, name, alpha=0.0, beta=0.0):
    """(Bend, Call) of an activation's derivative, one of them without effect. A piecewise linear activation has a Bend;
    but where a function runs first (`late`), even its derivative is a function, because Bends are applied in registers,
    before any function."""
    row, alpha, beta = COMPILED[name], float(alpha), float(beta)
    if row.bend is not None and not late:
        return row.bend(alpha, beta), NO_CALL
    path = spans.Path(np.empty(0, dtype), np.empty(0, dtype), False)
    return NO_MASKING, Call(function_address(row.backward, (path, path.y, 0, alpha, beta)), alpha, beta)


def through_activation(dy, activation):
    """The Epilogue by which the backward pass of a batch norm first takes dy back through an activation that came after
    the norm, and whose input is worked out again there. `masking` or `derivative` is the activation's derivative. Where
    that is worked out from the activation's output, `bend` or `function` makes the output of the input. `mask` is not
    used, and `masked` says only that the activation is piecewise linear."""
    if activation is None:
        return make(dy)
    bend, function = forward(dy.dtype, *activation)
    back, derivative = backward(dy.dtype, False, *activation)
    piecewise, reads_y = derivative.address == 0, reads(activation[0]) == "y"
    level = spans.SLOPED if back.sloped else spans.OPERANDS if piecewise else spans.BOUND
    return Epilogue(level, dy, False, bend, function if reads_y else NO_CALL, dy, piecewise, back, derivative)
