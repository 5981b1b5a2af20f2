"""Layers made of layers: in a row, side by side, around a shortcut; and what joins their results."""
from fastnet import arguments
from fastnet.layers.base import Layer
from fastnet.layers.container import Container, check_layer
from fastnet.layers.formula import formula
from fastnet.program import trees
from fastnet.program.calls import name_layer


class Sequential(Container):
    """Layers in a row: y = layers[-1](... layers[1](layers[0](x))). Named "0", "1", ... as in PyTorch.

    The layers are fixed when it is made: ``net[3]`` reads one, ``Sequential(*net.layers[:4], other)`` makes another row
    of them. ValueError where one object is given twice, TypeError for what is no layer.
    """

    def __init__(self, *layers):
        for i, layer in enumerate(layers):
            check_layer(self, layer, f"argument {i}")
        self._layers = layers
        self.adopt()

    @property
    def layers(self):
        """The layers, a tuple."""
        return self._layers

    def named_children(self):
        return [(str(i), layer) for i, layer in enumerate(self._layers)]

    def __getitem__(self, i):
        try:
            return self._layers[i if isinstance(i, slice) else arguments.integer(i, "the index")]
        except IndexError:
            raise IndexError(f"{self.label}: there are {len(self)} layers, got the index {i}") from None
        except TypeError as error:
            name_layer(error, self)
            raise

    def __len__(self):
        return len(self._layers)

    def compose(self, x, training):
        for layer in self._layers:
            x = layer(x)
        return x


class Residual(Container):
    """y = body(x) + shortcut(x), or body(x) + x without a shortcut. ValueError where the two differ in shape.

    He et al., Deep Residual Learning for Image Recognition (2016), equations 1 and 2.
    """

    def __init__(self, body, shortcut=None):
        check_layer(self, body, "body")
        if shortcut is not None:
            check_layer(self, shortcut, "shortcut")
        self.body, self.shortcut = body, shortcut
        self.adopt()

    def compose(self, x, training):
        y = self.body(x)
        b = x if self.shortcut is None else self.shortcut(x)
        if y.shape != b.shape:
            raise ValueError(f"the body gives shape {y.shape}, the shortcut {b.shape}; they must be the same: give a "
                             "shortcut that changes the shape as the body does, a 1x1 convolution of its stride")
        total = Add()
        vars(total)["backend"] = self.backend
        return total((y, b))


class Merge(Layer):
    """A layer that joins several arrays, which it takes as a tuple; backward returns the tuple of their gradients.
    `Parallel` joins branches with one, `Graph` any entries."""

    takes_several = True

    @staticmethod
    def check_several(x):
        """TypeError for anything but a tuple of arrays, ValueError for an empty one."""
        if not isinstance(x, tuple) or not all(map(trees.is_leaf, x)):
            got = {tuple: "a tuple of tuples", dict: "a dictionary"}.get(type(x), "one array")
            raise TypeError(f"expected a tuple of arrays as x, got {got}")
        if not x:
            raise ValueError("expected a tuple of at least one array as x, got none")


class Add(Merge):
    """y = the sum of the inputs, a tuple of arrays of one shape, from the first to the last."""

    traceable = True

    @formula
    def forward(self, x, training=False):
        self.check_several(x)
        if any(one.shape != x[0].shape for one in x):
            raise ValueError(f"expected inputs of one shape, got {', '.join(str(one.shape) for one in x)}")
        y = x[0]
        for one in x[1:]:
            y = self.ops.add(y, one)
        if training:
            self.saved = (len(x),)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        count, = self.take_saved()
        return (dy,) * count if need_dx else None


class Concat(Merge):
    """y = the inputs, a tuple of arrays, joined along the channels, axis 1; all other axes must agree."""

    traceable = True

    @formula
    def forward(self, x, training=False):
        self.check_several(x)
        y = self.ops.concat(x)
        if training:
            self.saved = ([one.shape[1] for one in x],)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        sizes, = self.take_saved()
        return tuple(self.ops.split(dy, sizes)) if need_dx else None


class Parallel(Container):
    """y = merge((branch(x) for each branch)), the merge being ``Add()``, ``Concat()`` or a `Merge` of one's own.

    The branches are named "0", "1", ..., the merge "merge".
    """

    def __init__(self, merge, *branches):
        if not isinstance(merge, Merge):
            raise TypeError(f"{self.label}: expected a merge such as Add() or Concat() first, got "
                            f"{arguments.shown(merge)}")
        if not branches:
            raise ValueError(f"{self.label}: expected at least one branch after the merge, got none")
        for i, branch in enumerate(branches):
            check_layer(self, branch, f"branch {i}")
        self.merge, self.branches = merge, branches
        self.adopt()

    def named_children(self):
        return [*((str(i), branch) for i, branch in enumerate(self.branches)), ("merge", self.merge)]

    def compose(self, x, training):
        return self.merge(tuple([branch(x) for branch in self.branches]))
