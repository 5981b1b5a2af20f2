"""Normalisation over the batch: statistics of each channel, which are tracked for inference."""
import numpy as np

from fastnet import arguments, init
from fastnet.kernels import checks
from fastnet.layers.base import keywords, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.freezing import Freezable
from fastnet.layers.shape import reshaped, to_images
from fastnet.parameter import Parameter


def set_affine(layer, shape, weight, bias):
    """Make the weight, of ones, and the bias, of zeros, of a norm, or None of either: True or False tells."""
    layer.weight = Parameter(init.ones(shape)) if weight else None
    layer.bias = Parameter(init.zeros(shape)) if weight and bias else None


def set_gradients(layer, dgamma, dbeta):
    """Assign the gradients of those that there are."""
    if layer.weight is not None:
        layer.weight.grad = dgamma
    if layer.bias is not None:
        layer.bias.grad = dbeta


class _Tracking(Freezable):
    """A norm of `num_features` channels that has running statistics, or not: then inference, and a frozen layer in
    training, use those of their own numbers too."""

    options = ("num_features", "eps", "momentum")
    may_miss = ("num_batches_tracked",)     # states that PyTorch saved before version 0.4.1 have none
    ranks, expected = (), None
    defaults = True, True     # of affine and track_running_stats

    @named_errors
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, *, bias=True):
        self.set_options(num_features=num_features, eps=eps, momentum=momentum)
        affine, bias = arguments.flag(affine, "affine"), arguments.flag(bias, "bias")
        tracks = arguments.flag(track_running_stats, "track_running_stats")
        set_affine(self, self.num_features, affine, bias)
        self.running_mean = init.zeros(self.num_features) if tracks else None
        self.running_var = init.ones(self.num_features) if tracks else None
        self.num_batches_tracked = np.array(0, np.int64) if tracks else None

    def check(self, num_features, eps, momentum):
        num_features = arguments.size(num_features, "num_features")
        self.check_size(num_features)
        return {"num_features": num_features, "eps": arguments.number(eps, "eps", above=0),
                "momentum": None if momentum is None else arguments.number(momentum, "momentum", 0, 1)}

    @property
    def affine(self):
        """Whether there is a weight, and, unless the constructor was told bias=False, a bias."""
        return self.weight is not None

    @property
    def track_running_stats(self):
        """Whether there are running statistics."""
        return vars(self).get("running_mean") is not None

    @property
    def buffer_names(self):
        return ("running_mean", "running_var", "num_batches_tracked") if self.track_running_stats else ()

    def check_shape(self, shape):
        if len(shape) not in self.ranks:
            raise ValueError(f"expected x of shape {self.expected}, got x of shape {tuple(shape)}")
        checks.not_empty(shape)
        checks.channels(shape, self.num_features)

    def _as_tracked(self, x, training):
        """y by the running statistics, where these are used, else None."""
        if not self.track_running_stats or training and not self.is_frozen:
            return None
        if training:
            self.saved = (x, self.running_mean, self.running_var, True)
        return self.ops.batchnorm_inference(x, value_of(self.weight), value_of(self.bias), self.running_mean,
                                            self.running_var, self.eps)

    def _track(self, mean, var, count):
        """The running statistics, moved towards those of `count` values a channel."""
        return self.ops.batchnorm_track(self.running_mean, self.running_var, self.num_batches_tracked, mean, var, count,
                                        self.momentum)

    def _gradient(self, dy, live):
        """dx of what was saved, by the operation `live` unless running statistics were used; gradients are assigned."""
        x, mean, var, frozen = self.take_saved()
        backward = self.ops.batchnorm_inference_backward if frozen else live
        dx, dgamma, dbeta = backward(dy, x, value_of(self.weight), mean, var, self.eps)
        set_gradients(self, dgamma, dbeta)
        return dx

    def arguments(self):
        affine, tracks = self.defaults
        return str(self.num_features) + keywords(
            eps=(self.eps, 1e-5), momentum=(self.momentum, 0.1), affine=(self.affine, affine),
            track_running_stats=(self.track_running_stats, tracks), bias=(self.bias is not None, self.affine))


class _BatchNorm(_Tracking):
    """y = weight (x - mean) / sqrt(var + eps) + bias, per channel; see BatchNorm2d."""

    traceable = True

    @formula
    def forward(self, x, training=False):
        self.check_shape(x.shape)
        shape, x = tuple(x.shape), to_images(self.ops, x)
        y = self._as_tracked(x, training)
        if y is None:
            if x.size == self.num_features:
                raise ValueError(f"expected more than 1 value per channel when training, got x of shape {shape}, one "
                                 "sample, which has no variance: where it is what is left for the last batch, give the "
                                 "DataLoader drop_last=True or another batch_size")
            y, mean, var = self.ops.batchnorm_forward(x, value_of(self.weight), value_of(self.bias), self.eps)
            if training:
                self.saved = (x, mean, var, False)
                if self.track_running_stats:
                    self.running_mean, self.running_var, self.num_batches_tracked = self._track(
                        mean, var, x.size // self.num_features)
        return reshaped(self.ops, y, shape)

    @formula
    def backward(self, dy, need_dx=True):
        dx = self._gradient(to_images(self.ops, dy), self.ops.batchnorm_backward)
        return reshaped(self.ops, dx, tuple(dy.shape)) if need_dx else None


class BatchNorm2d(_BatchNorm):
    """y = weight (x - mean) / sqrt(var + eps) + bias with one mean and variance a channel: x and y (N, C, H, W).

    In training mean and variance are those of the batch, over N, H and W (the biased variance), and running_mean and
    running_var move towards them (running = (1 - momentum) running + momentum batch, with the unbiased variance);
    with momentum=None they are the means of all batches so far, which num_batches_tracked counts. Inference, and a
    frozen layer in training, use the running ones; with track_running_stats=False there are none, and these use the
    batch's too. weight starts at one, bias at zero; there are neither with affine=False, and no bias with bias=False.

    ValueError for inputs that do not fit, and for a single value a channel, which has no variance, where statistics are
    the batch's. Ioffe and Szegedy, Batch Normalization (2015), algorithms 1 and 2.

    >>> norm = BatchNorm2d(1)
    >>> norm.forward(np.float32([1, 3]).reshape(2, 1, 1, 1), training=True).ravel().round(3)
    array([-1.,  1.], dtype=float32)
    >>> norm.running_mean  # a tenth of the way from 0 to 2
    array([0.2], dtype=float32)
    """

    ranks, expected = (4,), "(N, C, H, W)"


class BatchNorm1d(_BatchNorm):
    """BatchNorm2d for rows of features, x and y (N, C), the statistics being those over N, and for sequences, x and y
    (N, C, L), the statistics being those over N and L.

    >>> BatchNorm1d(2).forward(np.float32([[1, 10], [3, 30]]), training=True).round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    ranks, expected = (2, 3), "(N, C) or (N, C, L)"


class InstanceNorm2d(_Tracking):
    """y = weight (x - mean) / sqrt(var + eps) + bias with a mean and a biased variance for each channel of each sample,
    over H and W: x and y (N, C, H, W).

    Inference uses the sample's own as well, unless track_running_stats=True: then it, and a frozen layer in training,
    use running_mean and running_var, which move in training towards the means over the batch as BatchNorm2d's do; with
    momentum=None alone num_batches_tracked counts, and in PyTorch they would stand still then.
    weight, which starts at one, and bias, at zero, are there with affine=True, bias=False leaves the bias out.

    ValueError for inputs that do not fit, and for images of one pixel where statistics are the sample's own.
    Ulyanov et al., Instance Normalization (2016).

    >>> InstanceNorm2d(1)(np.float32([[[[1, 3]]], [[[10, 30]]]])).reshape(2, 2).round(3)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    traceable, ranks, expected, defaults = True, (4,), "(N, C, H, W)", (False, False)

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, *, bias=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias)

    @formula
    def forward(self, x, training=False):
        self.check_shape(x.shape)
        y = self._as_tracked(x, training)
        if y is None:
            pixels = x.shape[2] * x.shape[3]
            if pixels == 1:
                raise ValueError(f"expected images of more than 1 pixel, got x of shape {tuple(x.shape)}")
            y, mean, var = self.ops.groupnorm_forward(x, value_of(self.weight), value_of(self.bias), self.num_features,
                                                      self.eps)
            if training:
                self.saved = (x, mean, var, False)
                if self.track_running_stats:
                    self.running_mean, self.running_var, counted = self._track(mean, var, pixels)
                    if self.momentum is None:
                        self.num_batches_tracked = counted
        return y

    @formula
    def backward(self, dy, need_dx=True):
        dx = self._gradient(dy, self.ops.groupnorm_backward)
        return dx if need_dx else None
