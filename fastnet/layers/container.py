"""What all layers made of layers share: they compose, and everything else follows from that."""
from fastnet import arguments, changes
from fastnet.layers.base import Layer
from fastnet.layers.formula import composing, flag
from fastnet.program import watch
from fastnet.program.calls import name_layer, opaque
from fastnet.program.passes import Pass
from fastnet.program.run import entered
from fastnet.program.tape import Tape
from fastnet.program.trace import here


class Container(Layer):
    """A net, or a part of one, that does nothing but call layers: define ``compose(x, training)``.

    Layers are called as ``layer(x)``, with a tuple where they take several arrays; sums and concatenations are layers
    too, `Add` and `Concat`. The backward pass is derived from the calls. It does not matter for speed how a net is
    divided into containers.

    compose runs once for each shape of x and kind of pass, on values without numbers, and the calls that it made then
    are what later passes do. Where an attribute of the net or of a layer in it is assigned, another layer too, or what
    is trained or frozen changes, it runs anew. What else it may decide by is not noticed, and stays decided: random
    numbers, items of lists, dictionaries and arrays, the numbers in weights, attributes of the class, globals. A
    shortcut that is drawn by hand is drawn once: `StochasticDepth` draws in each pass. Assign what compose decides by
    to an attribute, ``self.deep = True``, or write a `Layer` with forward and backward, which runs in every pass.

    >>> class Block(Container):
    ...     def __init__(self):
    ...         self.relu, self.add = fastnet.ReLU(), fastnet.Add()
    ...     def compose(self, x, training):
    ...         return self.add((x, self.relu(x)))
    >>> Block()(np.float32([[-1, 2]]))
    array([[-1.,  4.]], dtype=float32)
    """

    traceable = composed = True

    def compose(self, x, training):
        """y of x, an array or a tuple or dictionary of arrays, by calls of layers and nothing else."""
        raise NotImplementedError(f"{self.label} defines no compose(x, training)")

    def forward(self, x, training=False):
        training = training if type(training) is bool else flag(self, training, "training")
        if not composing() and not opaque(self, self.backend):     # a forward around this one runs plainly
            if not training:
                return self.runner.inference(self, x)
            y, done = self.runner.forward(self, x)
            self.saved = (done,)
            return y
        if here.tracer is None:
            x = entered(self, self.ops, x, "x", self.dtype, self.lets_integers_in())
        tape = Tape(self, x, training)
        y = tape.compose()
        if here.watches and not here.layer:
            watch.tell(self, "y", y)
        if training:
            self.saved = (tape,)
        return y

    def backward(self, dy, need_dx=True):
        need_dx = need_dx if type(need_dx) is bool else flag(self, need_dx, "need_dx")
        done, = self.take_saved() if self.saved is None else self.saved
        dy = done.arriving(self, dy)
        self.saved = None
        if isinstance(done, Pass):
            return done.backward(self, dy, need_dx)
        if here.watches and not here.layer:
            watch.tell(self, "dy", dy)
        with changes.gradients() as found:
            dx = done.backward(dy, need_dx)
        for parameter, gradient in found.items():
            parameter.grad = gradient
        return dx


def check_layer(owner, layer, what):
    """TypeError unless `layer` is a Layer."""
    try:
        arguments.instance(layer, Layer, what, "a layer")
    except TypeError as error:
        name_layer(error, owner)
        raise
