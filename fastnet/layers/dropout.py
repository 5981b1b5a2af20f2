"""Dropout."""
import numpy as np

from fastnet import init
from fastnet.kernels import checks
from fastnet.layers.base import Layer, named_errors


class Dropout(Layer):
    """In training y = x / (1 - p) where a random number of that element is at least p, else 0; at inference y = x.

    Any shape. The numbers depend on a seed drawn from `fastnet.init.generator` when the layer is made, and on how many
    training passes it has seen. ValueError unless 0 <= p < 1.
    Srivastava et al., Dropout (2014), in the inverted form.
    """

    kind = "dropout"

    @named_errors
    def __init__(self, p=0.5):
        self.p = checks.probability(p)
        if self.p == 1:
            raise ValueError("p must be below 1, or nothing would be left")
        self.generator = np.random.default_rng(init.generator().integers(2**63))

    @named_errors
    def forward(self, x, training=False):
        if not training:
            return x
        key = int(self.generator.integers(2**63))
        y = self.ops.dropout(x, self.p, key)
        self.saved = (key,)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        key, = self.take_saved()
        return self.ops.dropout(dy, self.p, key) if need_dx else None

    def output_shape(self, input_shape):
        return tuple(input_shape)

    def arguments(self):
        return f"p={self.p:g}"
