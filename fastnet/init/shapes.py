"""The shapes of weights, and what initialisers work out from them: fans, and the gains beside these."""
from math import prod, sqrt

import numpy as np

from fastnet import arguments

_MOST_AXES, _MOST_NUMBERS = 32, 2**40
# Beyond any weight: what is made with numbers up to here stays finite in single precision.
LARGEST = 1e30


def fans(shape):
    """(fan_in, fan_out) of a weight of shape (K, C), (K, C, R, S) or (P, Q, R, S, C, K), that of a LocallyConnected2d,
    where they are those of one place. ValueError for fewer than two axes.

    >>> fans((100, 30)), fans((64, 3, 5, 5))
    ((30, 100), (75, 1600))
    """
    return fans_of(shape, "fans")


def calculate_gain(nonlinearity, a=0.0):
    """What keeps the variance through a non-linearity: 1 for "linear" and "sigmoid", 5 / 3 for "tanh", sqrt(2) for
    "relu", sqrt(2 / (1 + a^2)) for "leaky_relu" of slope `a`, 3 / 4 for "selu".

    >>> calculate_gain("linear"), calculate_gain("selu"), round(calculate_gain("relu"), 4)
    (1.0, 0.75, 1.4142)
    """
    return gain_of(nonlinearity, a, "calculate_gain")


def checked_shape(shape, who):
    """A shape as a tuple; one integer is that of a row."""
    if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool):
        shape = (shape,)
    if hasattr(shape, "grad") and hasattr(shape, "value"):     # a Parameter
        raise TypeError(f"{who}: shape must be a shape, got {shape}: nothing is drawn in place, give its shape and "
                        f"assign what comes, parameter.value = init.{who}(parameter.shape)")
    shape = arguments.shape(shape, f"{who}: shape")
    if len(shape) > _MOST_AXES or prod(shape) > _MOST_NUMBERS:
        raise ValueError(f"{who}: shape must be that of an array that memory can hold, got {arguments.shown(shape)}")
    return shape


def weight_shape(shape, who):
    """The shape of a weight."""
    shape = checked_shape(shape, who)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"{who}: shape must be that of a weight, (K, C) or (K, C, R, S) without zeros, got {shape}")
    return shape


def matrix_shape(shape, who):
    """The shape of a weight of two axes."""
    shape = checked_shape(shape, who)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{who}: shape must be that of a matrix, (K, C) without zeros, got {shape}")
    return shape


def fans_of(shape, who):
    """`fans`, in whose errors stands who asks."""
    shape = weight_shape(shape, who)
    outputs, inputs, *window = shape if len(shape) != 6 else (*shape[:3:-1], *shape[2:4])
    return inputs * prod(window), outputs * prod(window)


def fan_of(shape, mode, who):
    """The one of both that `mode` names."""
    arguments.choice(mode, ("fan_in", "fan_out"), f"{who}: mode")
    return fans_of(shape, who)[mode == "fan_out"]


def gain_of(nonlinearity, a, who):
    """`calculate_gain`, in whose errors stands who asks."""
    a = arguments.number(a, f"{who}: a", -LARGEST, LARGEST)
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": sqrt(2),
             "leaky_relu": sqrt(2 / (1 + a * a)), "selu": 3 / 4}
    return gains[arguments.choice(nonlinearity, tuple(gains), f"{who}: nonlinearity")]
