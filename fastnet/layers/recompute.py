"""Less memory for more computing: activations that are computed twice."""
from fastnet import changes
from fastnet.kernels import counter
from fastnet.layers.base import Layer
from fastnet.layers.container import check_layer
from fastnet.layers.formula import formula
from fastnet.program.calls import call, call_backward, doing_again, generator_states, rewound
from fastnet.program.trace import here


class Recompute(Layer):
    """y = layer(x), keeping only x between forward and backward: backward runs the layer's forward once more.

    Numbers and gradients are those of the layer to the last bit. The second run draws the same random numbers as the
    first one, so that a dropout repeats its mask, and leaves running statistics as they are. A layer of one's own may
    change nothing else in a training forward.
    Chen et al., Training deep nets with sublinear memory cost (2016), section 3.

    >>> layer, x = Recompute(fastnet.Sequential(fastnet.ReLU(), fastnet.Flatten())), np.float32([[-1, 2]])
    >>> layer.forward(x, training=True), layer.backward(np.ones_like(x))
    (array([[0., 2.]], dtype=float32), array([[0., 1.]], dtype=float32))
    """

    traceable = composed = takes_several = True

    def __init__(self, layer):
        check_layer(self, layer, "the argument")
        self.layer = layer
        self.adopt()

    @formula
    def forward(self, x, training=False):
        if not training:
            return call(self.layer, x, False)
        states = [] if here.tracer else generator_states(self.layer)     # of layers that draw with NumPy
        with counter.noting() as keys:
            y = call(self.layer, x, True)
        for _, part in self.layer.named_layers():
            part.saved = None
        self.saved = (x, keys, states)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x, keys, states = self.take_saved()
        with changes.quiet(), counter.repeating(keys), rewound(states), doing_again():
            call(self.layer, x, True)
        return call_backward(self.layer, dy, need_dx)
