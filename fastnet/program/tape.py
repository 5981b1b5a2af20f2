"""The calls of layers that a container makes, noted so that its backward pass can be derived from them."""
import numpy as np

from fastnet.program import trees
from fastnet.program.calls import call, call_backward, name_layer, opaque
from fastnet.program.run import arriving, entered
from fastnet.program.trace import here


class Tape:
    """Calls layers for the container that composes, on Values or on numbers.

    The backward pass is the calls in reverse. Gradients of a value that several calls read are added up as they come:
    that of the last reader first.
    """

    def __init__(self, container, x, training):
        self.container, self.x, self.training = container, x, training
        self.calls = []     # (layer, given, made)
        self._known = {id(value) for value in trees.flat(x)}

    def compose(self):
        """What the container's compose gives."""
        before, here.calls = here.calls, self
        try:
            self.y = self.container.compose(self.x, self.training)
            self._check(self.y, "what it returned")
        except (TypeError, ValueError) as error:
            name_layer(error, self.container)
            raise
        finally:
            here.calls = before
        return self.y

    def call(self, layer, x):
        """y of a layer, which is noted."""
        if isinstance(x, list):
            x = tuple(x)
        self._check(x, f"what it gave to {layer.label}")
        given = self._floats(x) if here.tracer is None and opaque(layer, self.container.backend) and \
            not layer.lets_integers_in() else x
        if self.training and any(called is layer for called, _, _ in self.calls):
            raise ValueError(f"compose(x, training) calls {layer.label} twice, but a layer saves for one backward at a "
                             "time; make one object for each call")
        y = self._from(layer, call(layer, given, self.training), "y")
        if here.tracer is None:     # a result is another object than what it was made from, so that both can be told
            given = trees.flat(given)
            y = trees.map(lambda one: one.view() if any(one is other for other in given) else one, y)
        self._known.update(map(id, trees.flat(y)))
        self.calls.append((layer, x, y))
        return y

    def _check(self, tree, what):
        for value in trees.flat(tree):
            if id(value) not in self._known:
                raise TypeError(f"compose(x, training) must be made of calls of layers, as in "
                                f"`return self.second(self.first(x))`, but {what} is neither x nor the result of "
                                "such a call; write a Layer with forward and backward for anything else")

    def arriving(self, net, dy):
        """dy as `backward` takes it; TypeError or ValueError where it is not of the form and the shapes of y."""
        return dy if here.tracer is not None else arriving(net, net.ops, dy, trees.kinds(self.y))

    def backward(self, dy, need_dx):
        """dx, a tree like x, or None where it is not needed."""
        self._gradients = {}
        self._add(self.y, dy)
        first = next((i for i, (layer, _, _) in enumerate(self.calls) if layer.trains()), len(self.calls))
        for i in range(len(self.calls) - 1, -1, -1):
            layer, given, made = self.calls.pop()
            gradient = self._take(made)
            needed = need_dx or i > first
            if i < first and not need_dx or all(one is None for one in trees.flat(gradient)):
                for _, part in layer.named_layers():
                    part.saved = None
            else:
                dx = call_backward(layer, gradient, needed)
                if needed:
                    self._add(given, self._dx(layer, given, dx))
        return self._take(self.x) if need_dx else None

    def _from(self, layer, made, name):
        """What a layer made; where it is opaque, brought into the net's dtype and layout."""
        return self._entering(layer, made, name) if opaque(layer, self.container.backend) else made

    def _dx(self, layer, given, dx):
        """The gradient for what a layer was given; for integers there may be none."""
        if layer.lets_integers_in() and trees.form(dx) == trees.form(given):
            return trees.build(given, [one if one is None and array.dtype.kind != "f" else self._from(layer, one, "dx")
                                       for one, array in zip(trees.flat(dx), trees.flat(given), strict=True)])
        return self._from(layer, dx, "dx")

    def _entering(self, layer, tree, name):
        if here.tracer is not None:
            return tree
        return entered(layer, self.container.ops, tree, name, self._dtype())

    def _floats(self, x):
        """What an opaque layer is given, in the net's dtype: it takes no integers."""
        dtype = self._dtype()
        return trees.map(lambda one: one if one.dtype.kind == "f" else self.container.ops.convert(one, dtype), x)

    def _dtype(self):
        """That of the net: of the numbers that it was given, other than integers, else of its parameters."""
        found = [one.dtype for one in trees.flat(self.x) if one.dtype.kind == "f"]
        return found[0] if found else self.container.dtype or np.dtype(np.float32)

    def _add(self, values, gradients):
        for value, gradient in zip(trees.flat(values), trees.flat(gradients), strict=True):
            if gradient is not None:
                before = self._gradients.get(id(value))
                self._gradients[id(value)] = gradient if before is None else self.container.ops.add(before, gradient)

    def _take(self, values):
        return trees.map(lambda value: self._gradients.pop(id(value), None), values)
