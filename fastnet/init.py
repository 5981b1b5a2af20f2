"""Initial values of weights, and the generator they are drawn from.

An initialiser is a function from a shape to a float32 array: ``kaiming_normal((64, 3, 3, 3))``. `apply` re-initialises
all weights of a net: ``apply(net, kaiming_normal)``, ``apply(net, functools.partial(normal, std=0.01))``. The names are
PyTorch's without the trailing underscore, since nothing is changed in place.

In the formulas fan_in is the number of inputs that one output sums (C R S for a convolution, C for a linear layer) and
fan_out is the number of outputs that one input reaches (K R S, K).
"""
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from math import ceil, erf, exp, inf, pi, prod, sqrt

import numpy as np

from fastnet import arguments

_generator = None
_skips = ContextVar("fastnet.init.skip", default=None)     # a list of how many numbers may still be made
_own = ContextVar("the generator of a block of `seeded`", default=None)
_MOST_AXES, _MOST_NUMBERS = 32, 2**40
# Beyond any weight: what is made with numbers up to here stays finite in single precision.
LARGEST = 1e30


def manual_seed(seed):
    """Start the generator anew. What is built afterwards, weights and the seeds of Dropout, depends on `seed` alone.

    Returns the generator. Without a call, or for None, it starts from the operating system's entropy. `seed` is an
    integer of at least 0. Within a block of `seeded` it is that block's generator that starts anew.
    """
    global _generator
    if seed is not None:
        seed = arguments.integer(seed, "manual_seed: seed", 0)
    made = np.random.default_rng(seed)
    if _own.get() is None:
        _generator = made
    else:
        _own.set(made)
    return made


@contextmanager
def seeded(seed):
    """Within ``with seeded(0):`` this thread draws from a generator of its own, and nobody else's moves: nets that
    several threads make at once depend on their seeds alone. `seed` is an integer of at least 0."""
    before = _own.set(np.random.default_rng(arguments.integer(seed, "seeded: seed", 0)))
    try:
        yield
    finally:
        _own.reset(before)


def generator():
    """The generator that initialisers draw from, a `numpy.random.Generator`."""
    own = _own.get()
    if own is not None:
        return own
    return manual_seed(None) if _generator is None else _generator


@contextmanager
def skip(most=None):
    """Within ``with skip():`` this thread draws no weights: initialisers that would, give zeros. For a net whose
    weights are loaded next, or of which only the shapes matter; it is made at once, and takes memory only for what is
    written later. The generator stays where it was, but for the seed of each Dropout. With `most`, an integer,
    initialisers that would make more numbers than that, all together, raise ValueError.

    >>> with skip():
    ...     int(np.count_nonzero(uniform((3, 3))))
    0
    """
    most = inf if most is None else arguments.integer(most, "skip: most", 0)
    before = _skips.set([most])
    try:
        yield
    finally:
        _skips.reset(before)


def _drawing(initialiser):
    """Decorate an initialiser that draws, so that `skip` can tell it not to. Its zeros are a single one, seen at every
    place: whoever keeps a weight copies it, see `arguments.converted`."""
    @wraps(initialiser)
    def draw(shape, *args, **kwargs):
        if _skips.get() is not None:
            return np.broadcast_to(np.zeros((), np.float32), _counted(shape, initialiser.__name__))
        return initialiser(shape, *args, **kwargs)
    return draw


def zeros(shape):
    """All zero."""
    return np.zeros(_counted(shape, "zeros"), np.float32)


def ones(shape):
    """All one."""
    return np.ones(_counted(shape, "ones"), np.float32)


def constant(shape, val):
    """All `val`."""
    return np.full(_counted(shape, "constant"), arguments.number(val, "constant: val", -LARGEST, LARGEST), np.float32)


def eye(shape):
    """A matrix (K, C) with ones on its diagonal and zeros elsewhere: a linear layer that passes on what it can."""
    return np.eye(*_matrix(shape, "eye"), dtype=np.float32)


def dirac(shape, groups=1):
    """A convolution (K, C / groups, R, S), or one of one or three dimensions, that passes channels on: in each group
    filter d has a 1 in the middle of channel d, as long as there are channels, and zeros elsewhere.

    Zagoruyko and Komodakis, DiracNets (2017), section 3, in PyTorch's form. ValueError where groups do not divide K.
    """
    shape = _shape(shape, "dirac")
    groups = arguments.integer(groups, "dirac: groups", 1)
    if len(shape) not in (3, 4, 5) or 0 in shape:
        raise ValueError(f"dirac: shape must be that of a convolution, such as (K, C, R, S), got {shape}")
    if shape[0] % groups:
        raise ValueError(f"dirac: groups must divide the {shape[0]} filters of shape {shape}, got "
                         f"{arguments.shown(groups)}")
    value, own = np.zeros(shape, np.float32), shape[0] // groups
    same = np.arange(min(own, shape[1]))
    middle = tuple(length // 2 for length in shape[2:])
    for group in range(groups):
        value[(group * own + same, same, *middle)] = 1
    return value


@_drawing
def uniform(shape, a=0.0, b=1.0):
    """Uniform in [a, b)."""
    a, b = arguments.number(a, "uniform: a", -LARGEST, LARGEST), arguments.number(b, "uniform: b", -LARGEST, LARGEST)
    if a > b:
        raise ValueError(f"uniform: b must be at least a = {a:g}, got {b:g}")
    return generator().uniform(a, b, _shape(shape, "uniform")).astype(np.float32)


@_drawing
def normal(shape, mean=0.0, std=1.0):
    """Normal with the given mean and standard deviation."""
    mean = arguments.number(mean, "normal: mean", -LARGEST, LARGEST)
    std = arguments.number(std, "normal: std", 0, LARGEST)
    return generator().normal(mean, std, _shape(shape, "normal")).astype(np.float32)


@_drawing
def trunc_normal(shape, mean=0.0, std=1.0, a=-2.0, b=2.0):
    """Normal with the given mean and standard deviation, what lies outside of [a, b] being drawn anew.

    ValueError where the mean lies more than two deviations outside of [a, b], where hardly anything would be drawn.
    """
    who = "trunc_normal"
    mean = arguments.number(mean, f"{who}: mean", -LARGEST, LARGEST)
    std = arguments.number(std, f"{who}: std", most=LARGEST, above=0)
    a, b = arguments.number(a, f"{who}: a", -LARGEST, LARGEST), arguments.number(b, f"{who}: b", -LARGEST, LARGEST)
    if a >= b:
        raise ValueError(f"{who}: b must be above a = {a:g}, got {b:g}")
    if not a - 2 * std <= mean <= b + 2 * std:
        raise ValueError(f"{who}: mean must be within two std of [{a:g}, {b:g}], got {mean:g} and std = {std:g}")
    shape = _shape(shape, who)
    nearest = min(max(mean, a), b)
    # How much of what is drawn can be kept: of normal numbers, and of uniform ones that are kept by their density.
    kept = (erf((b - mean) / std / sqrt(2)) - erf((a - mean) / std / sqrt(2))) / 2
    even = kept * sqrt(2 * pi) * std / (b - a) * exp((nearest - mean) ** 2 / std**2 / 2)
    rng, found, count = generator(), [np.zeros(0)], prod(shape)
    while count:
        if kept > even:
            drawn = rng.normal(mean, std, count)
            drawn = drawn[(drawn >= a) & (drawn <= b)]
        else:
            drawn, height = rng.uniform(a, b, count), rng.random(count)
            drawn = drawn[height <= np.exp(((nearest - mean) ** 2 - (drawn - mean) ** 2) / std**2 / 2)]
        found.append(drawn)
        count -= len(drawn)
    return np.concatenate(found).reshape(shape).clip(a, b).astype(np.float32)


@_drawing
def orthogonal(shape, gain=1.0):
    """gain times a matrix with orthonormal rows, or columns where it has fewer of them, evenly distributed over all
    such matrices; a weight of more axes is seen as (K, C R S).

    Saxe et al., Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Neural Networks (2014), section 3;
    evenly: Mezzadri, How to Generate Random Matrices from the Classical Compact Groups (2007), section 5.
    """
    gain = arguments.number(gain, "orthogonal: gain", -LARGEST, LARGEST)
    shape = _weight(shape, "orthogonal")
    rows, columns = shape[0], prod(shape[1:])
    q, r = np.linalg.qr(generator().normal(size=(max(rows, columns), min(rows, columns))))
    q *= gain * np.where(np.diagonal(r) < 0, -1, 1)
    return np.array(q if rows >= columns else q.T, np.float32, order="C").reshape(shape)


@_drawing
def sparse(shape, sparsity, std=0.01):
    """A matrix (K, C) of normal numbers with deviation `std`, of which in each column the share `sparsity`, rounded up,
    is zero. Martens, Deep Learning via Hessian-free Optimization (2010), section 5, in PyTorch's form."""
    shape = rows, _ = _matrix(shape, "sparse")
    sparsity = arguments.number(sparsity, "sparse: sparsity", 0, 1)
    std = arguments.number(std, "sparse: std", 0, LARGEST)
    value = normal(shape, 0.0, std)
    order = generator().permuted(np.broadcast_to(np.arange(rows)[:, None], shape), axis=0)
    value[order < ceil(sparsity * rows)] = 0
    return value


@_drawing
def uniform_fan_in(shape):
    """Uniform in +-1 / sqrt(fan_in), the default of Conv2d and Linear as in PyTorch.

    LeCun et al., Efficient BackProp (1998), section 4.6, without its factor sqrt(3).
    """
    bound = 1 / sqrt(_fan(shape, "fan_in", "uniform_fan_in"))
    return uniform(shape, -bound, bound)


@_drawing
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


@_drawing
def kaiming_uniform(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform in +-gain sqrt(3 / fan), `fan` being the one that `mode` names ("fan_in" or "fan_out").

    He et al., Delving Deep into Rectifiers (2015), section 2.2. The gain is `calculate_gain(nonlinearity, a)`; with the
    default a = 0 it is ReLU's sqrt(2).
    """
    bound = _gain(nonlinearity, a, "kaiming_uniform") * sqrt(3 / _fan(shape, mode, "kaiming_uniform"))
    return uniform(shape, -bound, bound)


@_drawing
def kaiming_normal(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal with standard deviation gain / sqrt(fan); see `kaiming_uniform`."""
    gain = _gain(nonlinearity, a, "kaiming_normal")
    return normal(shape, 0.0, gain / sqrt(_fan(shape, mode, "kaiming_normal")))


@_drawing
def xavier_uniform(shape, gain=1.0):
    """Uniform in +-gain sqrt(6 / (fan_in + fan_out)). Glorot and Bengio, Understanding the Difficulty of Training Deep
    Feedforward Neural Networks (2010), equation 16."""
    gain = arguments.number(gain, "xavier_uniform: gain", 0, LARGEST)
    bound = gain * sqrt(6 / sum(_fans(shape, "xavier_uniform")))
    return uniform(shape, -bound, bound)


@_drawing
def xavier_normal(shape, gain=1.0):
    """Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)); see `xavier_uniform`."""
    gain = arguments.number(gain, "xavier_normal: gain", 0, LARGEST)
    return normal(shape, 0.0, gain * sqrt(2 / sum(_fans(shape, "xavier_normal"))))


def calculate_gain(nonlinearity, a=0.0):
    """What keeps the variance through a non-linearity: 1 for "linear" and "sigmoid", 5 / 3 for "tanh", sqrt(2) for
    "relu", sqrt(2 / (1 + a^2)) for "leaky_relu" of slope `a`, 3 / 4 for "selu"."""
    return _gain(nonlinearity, a, "calculate_gain")


def fans(shape):
    """(fan_in, fan_out) of a weight of shape (K, C), (K, C, R, S) or (P, Q, R, S, C, K), that of a LocallyConnected2d,
    where they are those of one place. ValueError for fewer than two axes."""
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
        values.append(arguments.converted(value, parameter.value.dtype, f"apply: the initial value of {name}"))
    for (_, parameter, _), value in zip(todo, values, strict=True):
        parameter.value = value
    return net


def _shape(shape, who):
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


def _counted(shape, who):
    """The shape of what is made; ValueError where `skip` allows no more."""
    shape, left = _shape(shape, who), _skips.get()
    if left is not None:
        left[0] -= prod(shape)
        if left[0] < 0:
            raise ValueError(f"{who}: shape must be such that there are no more numbers than may be, got {shape}")
    return shape


def _weight(shape, who):
    """The shape of a weight."""
    shape = _shape(shape, who)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"{who}: shape must be that of a weight, (K, C) or (K, C, R, S) without zeros, got {shape}")
    return shape


def _matrix(shape, who):
    """The shape of a weight of two axes."""
    shape = _shape(shape, who)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{who}: shape must be that of a matrix, (K, C) without zeros, got {shape}")
    return shape


def _fans(shape, who):
    shape = _weight(shape, who)
    outputs, inputs, *window = shape if len(shape) != 6 else (*shape[:3:-1], *shape[2:4])
    return inputs * prod(window), outputs * prod(window)


def _fan(shape, mode, who):
    arguments.choice(mode, ("fan_in", "fan_out"), f"{who}: mode")
    return _fans(shape, who)[mode == "fan_out"]


def _gain(nonlinearity, a, who):
    a = arguments.number(a, f"{who}: a", -LARGEST, LARGEST)
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": sqrt(2),
             "leaky_relu": sqrt(2 / (1 + a * a)), "selu": 3 / 4}
    return gains[arguments.choice(nonlinearity, tuple(gains), f"{who}: nonlinearity")]
