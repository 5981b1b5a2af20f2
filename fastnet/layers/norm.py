"""Batch normalisation."""
import numpy as np

from fastnet import arguments, init
from fastnet.kernels import checks
from fastnet.layers.base import keywords
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.freezing import Freezable
from fastnet.parameter import Parameter


class _BatchNorm(Freezable):
    """y = weight (x - mean) / sqrt(var + eps) + bias, per channel; see BatchNorm2d."""

    traceable, options = True, ("num_features", "eps", "momentum")
    buffer_names = ("running_mean", "running_var", "num_batches_tracked")
    may_miss = ("num_batches_tracked",)     # states that PyTorch saved before version 0.4.1 have none
    rank, expected = None, None

    @named_errors
    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        self.set_options(num_features=num_features, eps=eps, momentum=momentum)
        self.weight = Parameter(init.ones(self.num_features))
        self.bias = Parameter(init.zeros(self.num_features))
        self.running_mean = init.zeros(self.num_features)
        self.running_var = init.ones(self.num_features)
        self.num_batches_tracked = np.array(0, np.int64)

    def check(self, num_features, eps, momentum):
        num_features = arguments.size(num_features, "num_features")
        self.check_size(num_features)
        return {"num_features": num_features, "eps": arguments.number(eps, "eps", above=0),
                "momentum": None if momentum is None else arguments.number(momentum, "momentum", 0, 1)}

    @formula
    def forward(self, x, training=False):
        self.check_shape(x.shape)
        gamma, beta = self.weight.value, self.bias.value
        if not training or self.is_frozen:
            if training:
                self.saved = (x, self.running_mean, self.running_var, True)
            return self.ops.batchnorm_inference(x, gamma, beta, self.running_mean, self.running_var, self.eps)
        y, mean, var = self.ops.batchnorm_forward(x, gamma, beta, self.eps)
        self.running_mean, self.running_var, self.num_batches_tracked = self.ops.batchnorm_track(
            self.running_mean, self.running_var, self.num_batches_tracked, mean, var, x.size // self.num_features,
            self.momentum)
        self.saved = (x, mean, var, False)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x, mean, var, frozen = self.take_saved()
        backward = self.ops.batchnorm_inference_backward if frozen else self.ops.batchnorm_backward
        dx, self.weight.grad, self.bias.grad = backward(dy, x, self.weight.value, mean, var, self.eps)
        return dx if need_dx else None

    def check_shape(self, shape):
        if len(shape) != self.rank:
            raise ValueError(f"expected x of shape {self.expected}, got x of shape {tuple(shape)}")
        checks.not_empty(shape)
        checks.channels(shape, self.num_features)

    def arguments(self):
        return str(self.num_features) + keywords(eps=(self.eps, 1e-5), momentum=(self.momentum, 0.1))


class BatchNorm2d(_BatchNorm):
    """y = weight (x - mean) / sqrt(var + eps) + bias with one mean and variance a channel: x and y (N, C, H, W).

    In training mean and variance are those of the batch, over N, H and W (the biased variance), and running_mean and
    running_var move towards them (running = (1 - momentum) running + momentum batch, with the unbiased variance);
    with momentum=None they are the means of all batches so far, which num_batches_tracked counts. Inference, and a
    frozen layer in training, use the running ones. weight starts at one, bias at zero.

    ValueError for inputs that do not fit, and in training for a single value a channel, which has no variance.
    Ioffe and Szegedy, Batch Normalization (2015), algorithms 1 and 2.
    """

    rank, expected = 4, "(N, C, H, W)"


class BatchNorm1d(_BatchNorm):
    """BatchNorm2d for rows of features: x and y (N, C), the statistics being those over N."""

    rank, expected = 2, "(N, C)"
