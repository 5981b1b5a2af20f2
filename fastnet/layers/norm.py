"""Batch normalisation."""
import numpy as np

from fastnet import init
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords, named_errors
from fastnet.parameter import Parameter
from fastnet.replays import also


class _BatchNorm(Layer):
    """y = weight (x - mean) / sqrt(var + eps) + bias, per channel; see BatchNorm2d."""

    kind = "batchnorm"
    buffer_names = ("running_mean", "running_var", "num_batches_tracked")
    rank, expected = None, None

    @named_errors
    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        self.num_features = checks.positive(num_features, "num_features")
        if not eps > 0:
            raise ValueError(f"eps must be positive, got {eps!r}")
        self.eps = float(eps)
        self.momentum = checks.probability(momentum, "momentum")
        self.weight = Parameter(init.ones(self.num_features))
        self.bias = Parameter(init.zeros(self.num_features))
        self.running_mean = init.zeros(self.num_features)
        self.running_var = init.ones(self.num_features)
        self.num_batches_tracked = np.array(0, np.int64)

    @named_errors
    def forward(self, x, training=False, relu=False, add=None, silu=False):
        if x.ndim != self.rank or x.shape[1] != self.num_features:
            self.check_shape(x.shape)
        gamma, beta = self.weight.value, self.bias.value
        if not training:
            return self.ops.batchnorm_inference(x, gamma, beta, self.running_mean, self.running_var, self.eps, relu,
                                                add, silu)
        y, mean, var = self.ops.batchnorm_forward(x, gamma, beta, self.eps, relu, add, silu)
        also(self.track, mean, var, x.size // self.num_features)
        self.saved = (x, mean, var, relu and add is None, silu)
        return y

    def track(self, mean, var, count):
        """Move the running statistics towards those of a batch of `count` values a channel."""
        # New arrays rather than writes into the old ones: another thread may be reading those.
        old, new = 1 - self.momentum, self.momentum
        dtype = self.running_mean.dtype
        self.running_mean = (old * self.running_mean + new * mean).astype(dtype, copy=False)
        self.running_var = (old * self.running_var + new * count / (count - 1) * var).astype(dtype, copy=False)
        self.num_batches_tracked = np.array(self.num_batches_tracked + 1, np.int64)

    @named_errors
    def backward(self, dy, need_dx=True):
        x, mean, var, relu, silu = self.take_saved()
        dx, dgamma, dbeta = self.ops.batchnorm_backward(dy, x, self.weight.value, self.bias.value, mean, var, self.eps,
                                                        relu, silu)
        self.weight.grad, self.bias.grad = dgamma, dbeta
        return dx if need_dx else None

    def check_shape(self, shape):
        if len(shape) != self.rank:
            raise ValueError(f"expected x of shape {self.expected}, got x of shape {tuple(shape)}")
        checks.not_empty(shape)
        if shape[1] != self.num_features:
            raise ValueError(f"expected {self.num_features} input channels, got x of shape {tuple(shape)}")

    @named_errors
    def output_shape(self, input_shape):
        self.check_shape(input_shape)
        return tuple(input_shape)

    def arguments(self):
        return str(self.num_features) + keywords(eps=(self.eps, 1e-5), momentum=(self.momentum, 0.1))


class BatchNorm2d(_BatchNorm):
    """y = weight (x - mean) / sqrt(var + eps) + bias with one mean and variance a channel: x and y (N, C, H, W).

    In training mean and variance are those of the batch, over N, H and W (the biased variance), and running_mean and
    running_var move towards them (running = (1 - momentum) running + momentum batch, with the unbiased variance);
    inference uses the running ones. weight starts at one, bias at zero.

    ValueError for inputs that do not fit, and in training for a single value a channel, which has no variance.
    Ioffe and Szegedy, Batch Normalization (2015), algorithms 1 and 2.
    """

    kind = "batchnorm2d"
    rank, expected = 4, "(N, C, H, W)"


class BatchNorm1d(_BatchNorm):
    """BatchNorm2d for rows of features: x and y (N, C), the statistics being those over N."""

    kind = "batchnorm1d"
    rank, expected = 2, "(N, C)"
