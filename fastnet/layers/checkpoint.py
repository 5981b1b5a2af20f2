"""Less memory for more computing: activations that are computed twice."""
import contextlib

import numpy as np

from fastnet.layers.base import Layer
from fastnet.layers.compose import check_layer
from fastnet.plan import infer


class Checkpoint(Layer):
    """y = layer(x), keeping only x between forward and backward: backward runs the layer's forward once more.

    Numbers and gradients are those of the layer to the last bit. The second run finds the random generators of the
    layers inside (attributes that are a `numpy.random.Generator`) as the first one found them, so that a dropout
    repeats its mask, and leaves the running statistics (`buffer_names`) as the first one left them. A layer of one's
    own may change nothing else in a training forward.
    Chen et al., Training deep nets with sublinear memory cost (2016), section 3.
    """

    kind = "checkpoint"

    def __init__(self, layer):
        check_layer(self, layer, "the argument")
        self.layer = layer
        self.adopt()

    def forward(self, x, training=False, packed=None):
        if not training:
            return infer(self.layer, x, packed)
        states = [generator.bit_generator.state for generator in self.generators()]
        y = self.layer.forward(x, True)
        for _, part in self.layer.named_layers():
            part.saved = None
        self.saved = (x, states)
        return y

    def backward(self, dy, need_dx=True):
        x, states = self.take_saved()
        with self.as_before(states):
            self.layer.forward(x, True)
        return self.layer.backward(dy, need_dx)

    def generators(self):
        """The random generators of all layers inside."""
        return [value for _, part in self.layer.named_layers() for value in vars(part).values()
                if isinstance(value, np.random.Generator)]

    @contextlib.contextmanager
    def as_before(self, states):
        """Put the random generators into these states, and afterwards all that forward changes to what it was."""
        generators = self.generators()
        now = [generator.bit_generator.state for generator in generators]
        buffers = [(part, name, np.array(getattr(part, name))) for _, part in self.layer.named_layers()
                   for name in part.buffer_names]
        set_states(generators, states)
        try:
            yield
        finally:
            set_states(generators, now)
            for part, name, value in buffers:
                setattr(part, name, value)

    def output_shape(self, input_shape):
        return self.layer.output_shape(input_shape)

    def inner_shapes(self, input_shape):
        return {"layer": tuple(input_shape)}

    def multiply_adds(self, input_shape):
        return self.layer.multiply_adds(input_shape)


def set_states(generators, states):
    """Set the state of each generator."""
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state
