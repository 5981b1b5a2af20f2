"""Dropout."""
import numpy as np

from fastnet import arguments, init
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.freezing import Freezable


class Dropout(Freezable):
    """In training y = x / (1 - p) where a random number of that element is at least p, else 0; at inference, and where
    it is frozen, y = x.

    Any shape. The numbers depend on a seed drawn from `fastnet.init.generator` when the layer is made, and on how many
    training passes it has seen. ValueError unless 0 <= p < 1.
    Srivastava et al., Dropout (2014), in the inverted form.
    """

    traceable, options = True, ("p",)

    @named_errors
    def __init__(self, p=0.5):
        self.set_options(p=p)
        self.generator = np.random.default_rng(init.generator().integers(2**63))

    def check(self, p):
        return {"p": arguments.number(p, "p", 0, below=1)}

    @formula
    def forward(self, x, training=False):
        if not training:
            return x
        key = None if self.is_frozen else self.ops.draw(self.generator)
        self.saved = (key,)
        return x if key is None else self.ops.dropout(x, self.p, key)

    @formula
    def backward(self, dy, need_dx=True):
        key, = self.take_saved()
        if not need_dx:
            return None
        return dy if key is None else self.ops.dropout(dy, self.p, key)

    def arguments(self):
        return f"p={self.p:g}"
