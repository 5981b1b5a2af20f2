"""Layers that change the shape only."""
from math import prod

from fastnet.kernels import checks
from fastnet.layers.base import Layer
from fastnet.layers.formula import formula


class Flatten(Layer):
    """x (N, C, H, W), or any other shape, becomes y (N, C H W), in that order, as in PyTorch.

    Since images are channels-last in memory this copies them, except where they are single pixels.
    """

    traceable = True

    @formula
    def forward(self, x, training=False):
        if x.ndim < 2:
            raise ValueError(f"expected x with a batch axis and others, got x of shape {tuple(x.shape)}")
        checks.not_empty(x.shape)
        if training:
            self.saved = (x.shape,)
        return self.ops.flatten(x) if _turns(x.shape) else x.reshape((x.shape[0], prod(x.shape[1:])))

    @formula
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        if not need_dx:
            return None
        return self.ops.unflatten(dy, x_shape) if _turns(x_shape) else dy.reshape(x_shape)


def _turns(shape):
    """Whether the numbers of x are in another order in memory than those of y: those of images, of several pixels."""
    return len(shape) == 4 and shape[2:] != (1, 1)
