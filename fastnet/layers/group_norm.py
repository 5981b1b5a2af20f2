"""Normalisation of each sample by itself."""
from math import prod

import numpy as np

from fastnet import arguments
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.norm import set_affine, set_gradients
from fastnet.layers.shape import reshaped, to_images


class GroupNorm(Layer):
    """y = weight (x - mean) / sqrt(var + eps) + bias with a mean and a biased variance for each group of channels of
    each sample: x and y (N, C, ...), C channels in `num_groups` groups that follow each other.

    weight (C,) starts at one, bias (C,) at zero; there are neither with affine=False, and no bias with bias=False.
    ValueError where num_groups does not divide num_channels, and for inputs that do not fit.
    Wu and He, Group Normalization (2018).

    >>> GroupNorm(2, 4)(np.float32([[1, 3, 10, 30]])).round(3)
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    traceable, options = True, ("num_groups", "num_channels", "eps")

    @named_errors
    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, *, bias=True):
        self.set_options(num_groups=num_groups, num_channels=num_channels, eps=eps)
        set_affine(self, self.num_channels, arguments.flag(affine, "affine"), arguments.flag(bias, "bias"))

    def check(self, num_groups, num_channels, eps):
        num_groups = arguments.size(num_groups, "num_groups")
        num_channels = arguments.size(num_channels, "num_channels")
        if num_channels % num_groups:
            raise ValueError(f"num_channels={num_channels} must be a multiple of num_groups={num_groups}")
        self.check_size(num_channels)
        return {"num_groups": num_groups, "num_channels": num_channels, "eps": arguments.number(eps, "eps", above=0)}

    @property
    def affine(self):
        """Whether there is a weight, and, unless the constructor was told bias=False, a bias."""
        return self.weight is not None

    @formula
    def forward(self, x, training=False):
        if x.ndim < 2:
            raise ValueError(f"expected x of shape (N, C, ...), got x of shape {tuple(x.shape)}")
        checks.not_empty(x.shape)
        checks.channels(x.shape, self.num_channels)
        images = to_images(self.ops, x)
        y, mean, var = self.ops.groupnorm_forward(images, value_of(self.weight), value_of(self.bias), self.num_groups,
                                                  self.eps)
        if training:
            self.saved = (images, mean, var)
        return reshaped(self.ops, y, tuple(x.shape))

    @formula
    def backward(self, dy, need_dx=True):
        x, mean, var = self.take_saved()
        dx, dgamma, dbeta = self.ops.groupnorm_backward(to_images(self.ops, dy), x, value_of(self.weight), mean, var,
                                                        self.eps)
        set_gradients(self, dgamma, dbeta)
        return reshaped(self.ops, dx, tuple(dy.shape)) if need_dx else None

    def arguments(self):
        return f"{self.num_groups}, {self.num_channels}" + keywords(
            eps=(self.eps, 1e-5), affine=(self.affine, True), bias=(self.bias is not None, self.affine))


class _LastAxes(Layer):
    """What both norms over the last axes share; `centred` tells whether the mean is taken off."""

    options = ("normalized_shape", "eps")
    centred = True

    def check(self, normalized_shape, eps):
        normalized_shape = arguments.lengths(normalized_shape, "normalized_shape")
        self.check_size(*normalized_shape)
        return {"normalized_shape": normalized_shape, "eps": arguments.number(eps, "eps", above=0)}

    @property
    def elementwise_affine(self):
        """Whether there is a weight, and, where the layer has one unless it is told not to, a bias."""
        return self.weight is not None

    def _epsilon(self, dtype):
        """The eps for arrays of a dtype."""
        return self.eps

    @formula
    def forward(self, x, training=False):
        axes = len(self.normalized_shape)
        if x.ndim <= axes or tuple(x.shape[x.ndim - axes:]) != self.normalized_shape:
            wanted = ", ".join(map(str, self.normalized_shape))
            raise ValueError(f"expected x of shape (N, ..., {wanted}), got x of shape {tuple(x.shape)}")
        checks.not_empty(x.shape)
        rows, weight, bias, axes = self._operands(x)
        y, mean, var = self.ops.layernorm_forward(rows, weight, bias, axes, self._epsilon(x.dtype), self.centred)
        if training:
            self.saved = (rows, mean, var)
        return reshaped(self.ops, y, tuple(x.shape))

    @formula
    def backward(self, dy, need_dx=True):
        x, mean, var = self.take_saved()
        rows, weight, *_ = self._operands(dy)
        dx, *gradients = self.ops.layernorm_backward(rows, x, weight, mean, var, self._epsilon(dy.dtype), self.centred)
        set_gradients(self, *(one if one is None or one.shape == self.normalized_shape else
                              one.reshape(self.normalized_shape) for one in gradients))
        return reshaped(self.ops, dx, tuple(dy.shape)) if need_dx else None

    def _operands(self, x):
        """x, the weight, the bias, and how many axes of x are theirs; where that does not lie together in memory, or is
        more than the operation knows of, as rows."""
        weight, bias, axes = value_of(self.weight), value_of(self.bias), len(self.normalized_shape)
        if x.ndim < 4 or x.ndim == 4 == axes + 1:
            return x, weight, bias, axes
        size = prod(self.normalized_shape)
        weight, bias = (None if one is None else one.reshape(size) for one in (weight, bias))
        return reshaped(self.ops, x, (x.size // size, size)), weight, bias, 1

    def arguments(self):
        shape = self.normalized_shape
        return str(shape[0] if len(shape) == 1 else shape)


class LayerNorm(_LastAxes):
    """y = weight (x - mean) / sqrt(var + eps) + bias with a mean and a biased variance over the last axes of x, whose
    lengths are `normalized_shape`, an integer for one: LayerNorm(512) for x (N, 512) and (N, T, 512), LayerNorm((C, H,
    W)) for images (N, C, H, W). y has the shape of x.

    weight, of normalized_shape, starts at one, bias, alike, at zero; there are neither with elementwise_affine=False,
    and no bias with bias=False. ValueError for inputs that do not fit.
    Ba et al., Layer Normalization (2016).

    >>> LayerNorm(2)(np.float32([[1, 3], [10, 30]])).round(3)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    traceable = True

    @named_errors
    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        self.set_options(normalized_shape=normalized_shape, eps=eps)
        set_affine(self, self.normalized_shape, arguments.flag(elementwise_affine, "elementwise_affine"),
                   arguments.flag(bias, "bias"))

    def arguments(self):
        affine = self.elementwise_affine
        return super().arguments() + keywords(eps=(self.eps, 1e-5), elementwise_affine=(affine, True),
                                              bias=(self.bias is not None, affine))


class RMSNorm(_LastAxes):
    """y = weight x / sqrt(mean of x^2 + eps) with the mean over the last axes of x, whose lengths are
    `normalized_shape`, an integer for one, as for LayerNorm. y has the shape of x.

    eps=None is the machine epsilon of the dtype that is computed in. weight, of normalized_shape, starts at one; with
    elementwise_affine=False there is none. ValueError for inputs that do not fit.
    Zhang and Sennrich, Root Mean Square Layer Normalization (2019).

    >>> RMSNorm(2)(np.float32([[1, 7]])).round(3)  # the root of the mean square is 5
    array([[0.2, 1.4]], dtype=float32)
    """

    traceable, centred = True, False

    @named_errors
    def __init__(self, normalized_shape, eps=None, elementwise_affine=True):
        self.set_options(normalized_shape=normalized_shape, eps=eps)
        set_affine(self, self.normalized_shape, arguments.flag(elementwise_affine, "elementwise_affine"), False)

    def check(self, normalized_shape, eps):
        kept = super().check(normalized_shape, 1 if eps is None else eps)
        return kept | {"eps": None if eps is None else kept["eps"]}

    def _epsilon(self, dtype):
        return float(np.finfo(dtype).eps) if self.eps is None else self.eps

    def arguments(self):
        return super().arguments() + keywords(eps=(self.eps, None), elementwise_affine=(self.elementwise_affine, True))


class LocalResponseNorm(Layer):
    """y = x / (k + alpha / size (the sum of x^2 over `size` channels around))^beta: the channels c - size // 2 to
    c + (size - 1) // 2 at the same place; those that there are not count as 0. x and y (N, C, H, W) or (N, C, ...).

    ValueError for inputs that do not fit. Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural
    Networks (2012), section 3.3, whose alpha is alpha / size here, as in PyTorch.

    >>> LocalResponseNorm(3, alpha=3, beta=1)(np.float32([[[1], [0], [2]]])).ravel().round(4)
    array([0.5, 0. , 0.4], dtype=float32)
    """

    traceable, options = True, ("size", "alpha", "beta", "k")

    @named_errors
    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        self.set_options(size=size, alpha=alpha, beta=beta, k=k)

    def check(self, size, alpha, beta, k):
        return {"size": arguments.size(size, "size"), "alpha": arguments.number(alpha, "alpha"),
                "beta": arguments.number(beta, "beta"), "k": arguments.number(k, "k")}

    @formula
    def forward(self, x, training=False):
        if x.ndim < 3:
            raise ValueError(f"expected x of shape (N, C, H, W) or (N, C, ...), got x of shape {tuple(x.shape)}")
        checks.not_empty(x.shape)
        images = to_images(self.ops, x)
        if training:
            self.saved = (images,)
        y = self.ops.local_response_norm_forward(images, self.size, self.alpha, self.beta, self.k)
        return reshaped(self.ops, y, tuple(x.shape))

    @formula
    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        if not need_dx:
            return None
        dx = self.ops.local_response_norm_backward(to_images(self.ops, dy), x, self.size, self.alpha, self.beta, self.k)
        return reshaped(self.ops, dx, tuple(dy.shape))

    def arguments(self):
        return str(self.size) + keywords(alpha=(self.alpha, 1e-4), beta=(self.beta, 0.75), k=(self.k, 1.0))
