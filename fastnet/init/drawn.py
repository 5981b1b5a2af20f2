"""Weights that are drawn at random."""
from math import ceil, erf, exp, pi, prod, sqrt

import numpy as np

from fastnet import arguments
from fastnet.init.seeds import drawing, generator
from fastnet.init.shapes import LARGEST, checked_shape, fan_of, fans_of, gain_of, matrix_shape, weight_shape


@drawing
def uniform(shape, a=0.0, b=1.0):
    """Uniform in [a, b).

    >>> drawn = uniform(10_000, -2, 4)
    >>> print(drawn.min().round(1), drawn.max().round(1))
    -2.0 4.0
    """
    a, b = arguments.number(a, "uniform: a", -LARGEST, LARGEST), arguments.number(b, "uniform: b", -LARGEST, LARGEST)
    if a > b:
        raise ValueError(f"uniform: b must be at least a = {a:g}, got {b:g}")
    return generator().uniform(a, b, checked_shape(shape, "uniform")).astype(np.float32)


@drawing
def normal(shape, mean=0.0, std=1.0):
    """Normal with the given mean and standard deviation.

    >>> drawn = normal((100, 100), mean=1, std=0.5)
    >>> print(drawn.mean().round(1), drawn.std().round(1))
    1.0 0.5
    """
    mean = arguments.number(mean, "normal: mean", -LARGEST, LARGEST)
    std = arguments.number(std, "normal: std", 0, LARGEST)
    return generator().normal(mean, std, checked_shape(shape, "normal")).astype(np.float32)


@drawing
def trunc_normal(shape, mean=0.0, std=1.0, a=-2.0, b=2.0):
    """Normal with the given mean and standard deviation, what lies outside of [a, b] being drawn anew.

    ValueError where the mean lies more than two deviations outside of [a, b], where hardly anything would be drawn.

    >>> print(abs(trunc_normal(10_000, std=0.5, a=-1, b=1)).max().round(1))
    1.0
    """
    who = "trunc_normal"
    mean = arguments.number(mean, f"{who}: mean", -LARGEST, LARGEST)
    std = arguments.number(std, f"{who}: std", most=LARGEST, above=0)
    a, b = arguments.number(a, f"{who}: a", -LARGEST, LARGEST), arguments.number(b, f"{who}: b", -LARGEST, LARGEST)
    if a >= b:
        raise ValueError(f"{who}: b must be above a = {a:g}, got {b:g}")
    if not a - 2 * std <= mean <= b + 2 * std:
        raise ValueError(f"{who}: mean must be within two std of [{a:g}, {b:g}], got {mean:g} and std = {std:g}")
    shape = checked_shape(shape, who)
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


@drawing
def orthogonal(shape, gain=1.0):
    """gain times a matrix with orthonormal rows, or columns where it has fewer of them, evenly distributed over all
    such matrices; a weight of more axes is seen as (K, C R S).

    Saxe et al., Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Neural Networks (2014), section 3;
    evenly: Mezzadri, How to Generate Random Matrices from the Classical Compact Groups (2007), section 5.

    >>> rows = orthogonal((3, 100))
    >>> np.allclose(rows @ rows.T, np.eye(3), atol=1e-5)
    True
    """
    gain = arguments.number(gain, "orthogonal: gain", -LARGEST, LARGEST)
    shape = weight_shape(shape, "orthogonal")
    rows, columns = shape[0], prod(shape[1:])
    q, r = np.linalg.qr(generator().normal(size=(max(rows, columns), min(rows, columns))))
    q *= gain * np.where(np.diagonal(r) < 0, -1, 1)
    return np.array(q if rows >= columns else q.T, np.float32, order="C").reshape(shape)


@drawing
def sparse(shape, sparsity, std=0.01):
    """A matrix (K, C) of normal numbers with deviation `std`, of which in each column the share `sparsity`, rounded up,
    is zero. Martens, Deep Learning via Hessian-free Optimization (2010), section 5, in PyTorch's form.

    >>> np.count_nonzero(sparse((10, 4), sparsity=0.7), axis=0)
    array([3, 3, 3, 3])
    """
    shape = rows, _ = matrix_shape(shape, "sparse")
    sparsity = arguments.number(sparsity, "sparse: sparsity", 0, 1)
    std = arguments.number(std, "sparse: std", 0, LARGEST)
    value = normal(shape, 0.0, std)
    order = generator().permuted(np.broadcast_to(np.arange(rows)[:, None], shape), axis=0)
    value[order < ceil(sparsity * rows)] = 0
    return value


@drawing
def uniform_fan_in(shape):
    """Uniform in +-1 / sqrt(fan_in), the default of Conv2d and Linear as in PyTorch.

    LeCun et al., Efficient BackProp (1998), section 4.6, without its factor sqrt(3).

    >>> print(abs(uniform_fan_in((50, 400))).max().round(3))  # 1 / sqrt(400)
    0.05
    """
    bound = 1 / sqrt(fan_of(shape, "fan_in", "uniform_fan_in"))
    return uniform(shape, -bound, bound)


@drawing
def partial_dirac(shape):
    """For a convolution (K, C, R, S): the first min(K, C) filters pass their channel on, with a 1 in the middle and
    zeros elsewhere, as PyTorch's dirac; the others are `uniform_fan_in`. A deep net then begins like a shallow one.

    Zagoruyko and Komodakis, DiracNets (2017); the mixture: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU"
    (2024), section 3.3. ValueError for a shape without four axes.

    >>> partial_dirac((8, 1, 3, 3))[0]
    array([[[0., 0., 0.],
            [0., 1., 0.],
            [0., 0., 0.]]], dtype=float32)
    """
    shape = checked_shape(shape, "partial_dirac")
    if len(shape) != 4:
        raise ValueError(f"partial_dirac: shape must be (K, C, R, S), that of a convolution, got {shape}")
    value = uniform_fan_in(shape)
    same = np.arange(min(shape[:2]))
    value[same] = 0
    value[same, same, shape[2] // 2, shape[3] // 2] = 1
    return value


@drawing
def kaiming_uniform(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform in +-gain sqrt(3 / fan), `fan` being the one that `mode` names ("fan_in" or "fan_out").

    He et al., Delving Deep into Rectifiers (2015), section 2.2. The gain is `calculate_gain(nonlinearity, a)`; with the
    default a = 0 it is ReLU's sqrt(2).

    >>> print(abs(kaiming_uniform((50, 600))).max().round(2))  # sqrt(2) sqrt(3 / 600)
    0.1
    """
    bound = gain_of(nonlinearity, a, "kaiming_uniform") * sqrt(3 / fan_of(shape, mode, "kaiming_uniform"))
    return uniform(shape, -bound, bound)


@drawing
def kaiming_normal(shape, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal with standard deviation gain / sqrt(fan); see `kaiming_uniform`.

    >>> print(kaiming_normal((100, 200)).std().round(2))  # sqrt(2) / sqrt(200)
    0.1
    """
    gain = gain_of(nonlinearity, a, "kaiming_normal")
    return normal(shape, 0.0, gain / sqrt(fan_of(shape, mode, "kaiming_normal")))


@drawing
def xavier_uniform(shape, gain=1.0):
    """Uniform in +-gain sqrt(6 / (fan_in + fan_out)). Glorot and Bengio, Understanding the Difficulty of Training Deep
    Feedforward Neural Networks (2010), equation 16.

    >>> print(abs(xavier_uniform((200, 400))).max().round(2))  # sqrt(6 / (200 + 400))
    0.1
    """
    gain = arguments.number(gain, "xavier_uniform: gain", 0, LARGEST)
    bound = gain * sqrt(6 / sum(fans_of(shape, "xavier_uniform")))
    return uniform(shape, -bound, bound)


@drawing
def xavier_normal(shape, gain=1.0):
    """Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)); see `xavier_uniform`.

    >>> print(xavier_normal((50, 150)).std().round(2))  # sqrt(2 / (50 + 150))
    0.1
    """
    gain = arguments.number(gain, "xavier_normal: gain", 0, LARGEST)
    return normal(shape, 0.0, gain * sqrt(2 / sum(fans_of(shape, "xavier_normal"))))
