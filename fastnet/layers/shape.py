"""Layers that change the shape only."""
from math import prod

from fastnet.kernels import checks
from fastnet.layers.base import Layer, named_errors


class Flatten(Layer):
    """x (N, C, H, W), or any other shape, becomes y (N, C H W), in that order, as in PyTorch.

    Since images are channels-last in memory this copies them, except where they are single pixels.
    """

    kind = "flatten"

    @named_errors
    def forward(self, x, training=False):
        shape = self.output_shape(x.shape)
        y = self.ops.flatten(x) if _turns(x.shape) else x.reshape(shape)
        if training:
            self.saved = (x.shape,)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        if not need_dx:
            return None
        return self.ops.unflatten(dy, x_shape) if _turns(x_shape) else dy.reshape(x_shape)

    @named_errors
    def output_shape(self, input_shape):
        if len(input_shape) < 2:
            raise ValueError(f"expected x with a batch axis and others, got x of shape {tuple(input_shape)}")
        checks.not_empty(input_shape)
        return input_shape[0], prod(input_shape[1:])


def _turns(shape):
    """Whether the numbers of x are in another order in memory than those of y: those of images, of several pixels."""
    return len(shape) == 4 and shape[2:] != (1, 1)
