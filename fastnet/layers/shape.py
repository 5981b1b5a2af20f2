"""Layers that change the shape only."""
from math import prod

from fastnet.kernels import checks
from fastnet.layers.base import Layer, named_errors


class Flatten(Layer):
    """x (N, C, H, W), or any other shape, becomes y (N, C H W), in that order, as in PyTorch.

    Since images are channels-last in memory this copies them, except where only one axis is longer than 1.
    """

    kind = "flatten"

    @named_errors
    def forward(self, x, training=False):
        y = x.reshape(self.output_shape(x.shape))
        if training:
            self.saved = (x.shape,)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        return dy.reshape(x_shape) if need_dx else None

    @named_errors
    def output_shape(self, input_shape):
        if len(input_shape) < 2:
            raise ValueError(f"expected x with a batch axis and others, got x of shape {tuple(input_shape)}")
        checks.not_empty(input_shape)
        return input_shape[0], prod(input_shape[1:])
