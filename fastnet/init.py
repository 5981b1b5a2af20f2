"""Initial values of weights, and the one generator they are drawn from.

An initialiser is a function from a shape to a float32 array: ``kaiming_normal((64, 3, 3, 3))``. `apply` re-initialises
all weights of a net: ``apply(net, kaiming_normal)``, ``apply(net, functools.partial(normal, std=0.01))``. The names are
PyTorch's without the trailing underscore, since nothing is changed in place.

In the formulas fan_in is the number of inputs that one output sums (C R S for a convolution, C for a linear layer) and
fan_out is the number of outputs that one input reaches (K R S, K).
"""
from math import prod, sqrt

import numpy as np

from fastnet import arguments

_generator = None
_MOST_AXES, _MOST_NUMBERS = 32, 2**40


def manual_seed(seed):
    """Start the generator anew. What is built afterwards, weights and the seeds of Dropout, depends on `seed` alone.

    Returns the generator. Without a call, or for None, it starts from the operating system's entropy. `seed` is an
    integer of at least 0.
    """
    global _generator
    if seed is not None:
        seed = arguments.integer(seed, "manual_seed: seed", 0)
    _generator = np.random.default_rng(seed)
    return _generator


def generator():
    """The generator that initialisers draw from, a `numpy.random.Generator`."""
    return manual_seed(None) if _generator is None else _generator


def zeros(shape):
    """All zero."""
    return np.zeros(_shape(shape, "zeros"), np.float32)


def ones(shape):
    """All one."""
    return np.ones(_shape(shape, "ones"), np.float32)


def uniform(shape, a=0.0, b=1.0):
    """Uniform in [a, b)."""
    a, b = arguments.number(a, "uniform: a"), arguments.number(b, "uniform: b")
    if a > b:
        raise ValueError(f"uniform: b must be at least a = {a:g}, got {b:g}")
    return generator().uniform(a, b, _shape(shape, "uniform")).astype(np.float32)


def normal(shape, mean=0.0, std=1.0):
    """Normal with the given mean and standard deviation."""
    mean, std = arguments.number(mean, "normal: mean"), arguments.number(std, "normal: std", 0)
    return generator().normal(mean, std, _shape(shape, "normal")).astype(np.float32)


def uniform_fan_in(shape):
    """Uniform in +-1 / sqrt(fan_in), the default of Conv2d and Linear as in PyTorch.

    LeCun et al., Efficient BackProp (1998), section 4.6, without its factor sqrt(3).
    """
    bound = 1 / sqrt(_fan(shape, "fan_in", "uniform_fan_in"))
    return uniform(shape, -bound, bound)


def partial_dirac(shape):
    """For a convolution (K, C, R, S): the first min(K, C) filters pass their channel on, with a 1 in the middle and
    zeros elsewhere, as PyTorch's dirac; the others are `uniform_fan_in`. A deep net then begins like a shallow one.

    Zagoruyko and Komodakis, DiracNets (2017); the mixture: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU"
    (2024), section 3.3. ValueError for a shape without four axes.
    """
    shape = _shape(shape, "partial_dirac")
    if len(shape) != 4:
        raise ValueError(f"partial_dirac: shape must be (K, C, R, S), that of a convolution, got {shape}")
    value = uniform_fan_in(shape)
    same = np.arange(min(shape[:2]))
    value[same] = 0
    value[same, same, shape[2] // 2, shape[3] // 2] = 1
    return value


def kaiming_uniform(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform in +-gain sqrt(3 / fan), `fan` being the one that `mode` names ("fan_in" or "fan_out").

    He et al., Delving Deep into Rectifiers (2015), section 2.2. The gain is `calculate_gain(nonlinearity, a)`; with the
    default a = 0 it is ReLU's sqrt(2).
    """
    bound = _gain(nonlinearity, a, "kaiming_uniform") * sqrt(3 / _fan(shape, mode, "kaiming_uniform"))
    return uniform(shape, -bound, bound)


def kaiming_normal(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal with standard deviation gain / sqrt(fan); see `kaiming_uniform`."""
    gain = _gain(nonlinearity, a, "kaiming_normal")
    return normal(shape, 0.0, gain / sqrt(_fan(shape, mode, "kaiming_normal")))


def xavier_uniform(shape, gain=1.0):
    """Uniform in +-gain sqrt(6 / (fan_in + fan_out)). Glorot and Bengio, Understanding the Difficulty of Training Deep
    Feedforward Neural Networks (2010), equation 16."""
    gain = arguments.number(gain, "xavier_uniform: gain", 0)
    bound = gain * sqrt(6 / sum(_fans(shape, "xavier_uniform")))
    return uniform(shape, -bound, bound)


def xavier_normal(shape, gain=1.0):
    """Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)); see `xavier_uniform`."""
    gain = arguments.number(gain, "xavier_normal: gain", 0)
    return normal(shape, 0.0, gain * sqrt(2 / sum(_fans(shape, "xavier_normal"))))


def calculate_gain(nonlinearity, a=0.0):
    """What keeps the variance through a non-linearity: 1 for "linear" and "sigmoid", 5 / 3 for "tanh", sqrt(2) for
    "relu", sqrt(2 / (1 + a^2)) for "leaky_relu" of slope `a`."""
    return _gain(nonlinearity, a, "calculate_gain")


def fans(shape):
    """(fan_in, fan_out) of a weight of shape (K, C) or (K, C, R, S). ValueError for fewer than two axes."""
    return _fans(shape, "fans")


def apply(net, weight, bias=None):
    """Give every weight of `net` that has two axes or more the value ``weight(shape)``, in order; return `net`.

    With `bias`, every parameter named "bias" beside such a weight becomes ``bias(shape)``. The parameters of batch norm
    are left alone. ValueError where an initialiser returns another shape, and nothing is changed.
    """
    arguments.having(net, ("named_parameters",), "apply: net", "a layer")
    arguments.function(weight, "apply: weight", "a function of a shape, such as kaiming_normal")
    if bias is not None:
        arguments.function(bias, "apply: bias", "a function of a shape, such as zeros, or None")
    named = dict(net.named_parameters())
    todo = []
    for name, parameter in named.items():
        owner, _, last = name.rpartition(".")
        if last != "weight" or parameter.value.ndim < 2:
            continue
        todo.append((name, parameter, weight(parameter.shape)))
        companion = f"{owner}.bias" if owner else "bias"
        if bias is not None and companion in named:
            todo.append((companion, named[companion], bias(named[companion].shape)))
    values = []
    for name, parameter, value in todo:
        value = arguments.values(value, f"apply: the initial value of {name}")
        if value.shape != parameter.shape:
            raise ValueError(f"apply: the initial value of {name} must have shape {parameter.shape}, got {value.shape}")
        values.append(np.array(value, parameter.value.dtype, order="C"))
    for (_, parameter, _), value in zip(todo, values, strict=True):
        parameter.value = value
    return net


def _shape(shape, who):
    """A shape as a tuple; one integer is that of a row."""
    if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool):
        shape = (shape,)
    shape = arguments.shape(shape, f"{who}: shape")
    if len(shape) > _MOST_AXES or prod(shape) > _MOST_NUMBERS:
        raise ValueError(f"{who}: shape must be that of an array that memory can hold, got {arguments.shown(shape)}")
    return shape


def _fans(shape, who):
    shape = _shape(shape, who)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"{who}: shape must be that of a weight, (K, C) or (K, C, R, S) without zeros, got {shape}")
    window = prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _fan(shape, mode, who):
    arguments.choice(mode, ("fan_in", "fan_out"), f"{who}: mode")
    return _fans(shape, who)[mode == "fan_out"]


def _gain(nonlinearity, a, who):
    a = arguments.number(a, f"{who}: a")
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": sqrt(2), "leaky_relu": sqrt(2 / (1 + a * a))}
    return gains[arguments.choice(nonlinearity, tuple(gains), f"{who}: nonlinearity")]
