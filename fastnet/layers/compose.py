"""Layers made of layers: in a row, side by side, around a shortcut."""
from fastnet import arguments
from fastnet.layers.container import Container, check_layer
from fastnet.layers.formula import named_errors
from fastnet.layers.merge import Add, Merge
from fastnet.layers.tree import exchange
from fastnet.program.calls import name_layer


class Sequential(Container):
    """Layers in a row: y = layers[-1](... layers[1](layers[0](x))). Named "0", "1", ... as in PyTorch, or as the
    keys of one dictionary are: ``Sequential({"conv": Conv2d(3, 8, 3), "act": ReLU()})``.

    It reads like a list: ``net[3]``, ``net["conv"]``, ``net[:4]``, a row of the same layers under the same names, as in
    PyTorch: what is trained in one is trained in both. ``net[3] = other`` puts another layer in a place, and `append`,
    `insert`, `extend`, `pop` and ``del net[3]`` change the row; layers that are named by numbers are counted anew then.
    `layers` is a tuple, which stays what it was. ValueError where one object is given twice, TypeError for what is no
    layer, IndexError and KeyError for a place that there is not.

    >>> net = Sequential(fastnet.Flatten(), fastnet.ReLU())
    >>> net(np.float32([[[1, -2], [-3, 4]]]))
    array([[1., 0., 0., 4.]], dtype=float32)
    >>> net[1]
    ReLU()
    """

    @named_errors
    def __init__(self, *layers):
        named = layers[0] if len(layers) == 1 and isinstance(layers[0], dict) else None
        if named is None:
            for i, layer in enumerate(layers):
                check_layer(self, layer, f"argument {i}")
            named = {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in named.items():
            if not isinstance(name, str) or not name or "." in name:
                kind = ValueError if isinstance(name, str) else TypeError
                raise kind(f"a layer needs a name without dots, got {arguments.shown(name)}")
            check_layer(self, layer, f"layer {name!r}")
        self._names, self._layers = tuple(named), tuple(named.values())
        self.adopt()

    @property
    def layers(self):
        """The layers, a tuple."""
        return self._layers

    def named_children(self):
        return list(zip(self._names, self._layers, strict=True))

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Sequential(dict(self.named_children()[i]))
        return super().__getitem__(i) if isinstance(i, str) else self._layers[self._place(i)]

    def __setitem__(self, i, layer):
        super().__setitem__(i if isinstance(i, str) else self._names[self._place(i)], layer)

    def __delitem__(self, i):
        """Take out one layer, or those of a slice."""
        pairs = self.named_children()
        if isinstance(i, slice):
            del pairs[i]
        else:
            del pairs[self._names.index(i) if isinstance(i, str) and i in self._names else self._place(i)]
        self._arrange(pairs)

    def __iter__(self):
        return iter(self._layers)

    def __len__(self):
        return len(self._layers)

    def append(self, layer):
        """Add a layer at the end. Returns the net."""
        check_layer(self, layer, "layer")
        return self.extend([layer])

    def extend(self, layers):
        """Add layers at the end, those of a list or of another row. Returns the net."""
        try:
            layers = arguments.listed(layers, "layers", "layers")
        except TypeError as error:
            name_layer(error, self)
            raise
        for i, layer in enumerate(layers):
            check_layer(self, layer, f"layers[{i}]")
        self._arrange(self.named_children() + [(None, layer) for layer in layers])
        return self

    def insert(self, index, layer):
        """Put a layer before the one at `index`, which may be the length. Returns the net."""
        place = len(self) if type(index) is int and index == len(self) else self._place(index)
        check_layer(self, layer, "layer")
        pairs = self.named_children()
        self._arrange([*pairs[:place], (None, layer), *pairs[place:]])
        return self

    def pop(self, index=-1):
        """Take out a layer, and return it."""
        layer = self[self._place(index)]
        del self[index]
        return layer

    def _place(self, i):
        """A place in the row, counted from 0."""
        try:
            place = arguments.integer(i, "the index")
            if not -len(self) <= place < len(self):
                raise IndexError(f"{self.label}: there are {len(self)} layers, got the index "
                                 f"{arguments.shown(i)}")
            return place % len(self)
        except TypeError as error:
            name_layer(error, self)
            raise

    def _arrange(self, pairs):
        """Let these (name, layer) be the row; new layers have no name yet."""
        added = [i for i, (name, _) in enumerate(pairs) if name is None]
        numbered = self._names == tuple(map(str, range(len(self))))
        pairs = [(str(i) if numbered or name is None else name, layer) for i, (name, layer) in enumerate(pairs)]
        names = [name for name, _ in pairs]
        taken = next((name for name in names if names.count(name) > 1), None)
        if taken is not None:
            raise ValueError(f"{self.label}: there is a layer {taken!r} already, and one that is added is named after "
                             "its place: make another row, Sequential({name: layer, ...})")
        exchange(self, [layer for layer in self._layers if all(layer is not one for _, one in pairs)],
                 [pairs[i] for i in added], lambda: self._set(pairs))

    def _set(self, pairs):
        self._names, self._layers = tuple(name for name, _ in pairs), tuple(layer for _, layer in pairs)

    def compose(self, x, training):
        for layer in self._layers:
            x = layer(x)
        return x


class Residual(Container):
    """y = body(x) + shortcut(x), or body(x) + x without a shortcut. ValueError where the two differ in shape.

    He et al., Deep Residual Learning for Image Recognition (2016), equations 1 and 2.

    >>> Residual(fastnet.ReLU())(np.float32([[-1, 2]]))
    array([[-1.,  4.]], dtype=float32)
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


class Parallel(Container):
    """y = merge((branch(x) for each branch)), the merge being ``Add()``, ``Multiply()``, ``Concat()`` or a `Merge` of
    one's own.

    The branches are named "0", "1", ..., the merge "merge".

    >>> net = Parallel(fastnet.Concat(), fastnet.Identity(), fastnet.ReLU())
    >>> net(np.float32([[-1, 2]]))
    array([[-1.,  2.,  0.,  2.]], dtype=float32)
    """

    def __init__(self, merge, *branches):
        self._check_merge(merge)
        if not branches:
            raise ValueError(f"{self.label}: expected at least one branch after the merge, got none")
        for i, branch in enumerate(branches):
            check_layer(self, branch, f"branch {i}")
        self.merge, self.branches = merge, branches
        self.adopt()

    def named_children(self):
        return [*((str(i), branch) for i, branch in enumerate(self.branches)), ("merge", self.merge)]

    def _check_merge(self, merge):
        if not isinstance(merge, Merge):
            raise TypeError(f"{self.label}: expected a merge such as Add() or Concat() first, got "
                            f"{arguments.shown(merge)}")

    def check_child(self, name, layer):
        if name == "merge":
            self._check_merge(layer)

    def compose(self, x, training):
        return self.merge(tuple([branch(x) for branch in self.branches]))
