"""Layers made of layers: in a row, side by side, around a shortcut."""
import numpy as np

from fastnet.kernels import checks
from fastnet.layers.base import Layer, named_errors
from fastnet.packed import Store
from fastnet.plan import Plan, accepts, infer, kind
from fastnet.replays import Training

MOST_PLANS = 64     # kept by one container; a net that meets more input shapes than that makes them anew


class Sequential(Layer):
    """Layers in a row: y = layers[-1](... layers[1](layers[0](x))). Named "0", "1", ... as in PyTorch.

    For each input shape it makes a plan (fastnet/plan.py), which checks all shapes before anything is computed and
    fuses neighbours; `plan(input_shape)` shows it. The layers are fixed when it is made: ``net[3]`` reads one,
    ``Sequential(*net.layers[:4], other)`` makes another row of them.
    ValueError where one object is given twice, TypeError for what is no layer.
    """

    kind = "sequential"
    absorbs = False     # forward's relu is there for add alone

    def __init__(self, *layers):
        for i, layer in enumerate(layers):
            check_layer(self, layer, f"argument {i}")
        self._layers = layers
        self._plans = {}
        self._packed = Store()
        self._training = Training()
        self.adopt()

    @property
    def layers(self):
        """The layers, a tuple."""
        return self._layers

    def named_children(self):
        return [(str(i), layer) for i, layer in enumerate(self._layers)]

    def __getitem__(self, i):
        return self._layers[i]

    def __len__(self):
        return len(self._layers)

    def plan(self, input_shape):
        """The plan for x of this shape, made on first use."""
        input_shape = tuple(input_shape)
        plan = self._plans.get(input_shape)
        if plan is None:
            plan = Plan(self._layers, input_shape)
            if len(self._plans) >= MOST_PLANS:
                self._plans = {}
            self._plans[input_shape] = plan
        return plan

    def forward(self, x, training=False, packed=None, add=None, relu=False):
        """y or, for another array to add, y + add, with relu=True max(y + add, 0): a ReLU that the caller undoes."""
        if not isinstance(x, np.ndarray):
            raise TypeError(f"{self.label}: expected a NumPy array, got {type(x).__name__}")
        plan = self.plan(x.shape)
        end = {"add": add, "relu": relu} if add is not None and plan.adds else None
        if training:
            y, runner, kept = self._training.forward(self, plan, x, end)
            self.saved = (runner, kept)
        elif packed is None and end is None:
            packed = self._packed.current(self.ops)
            y = packed.replays.run(self, plan, x, lambda x: plan.infer(x, packed))
        else:
            y = plan.infer(x, self._packed.current(self.ops) if packed is None else packed, end)
        return y if add is None or end else self.ops.add(y, add, relu)

    def backward(self, dy, need_dx=True, mask=None, add=None):
        """dx or, for another array to add, dx + add; with a mask, that times (mask > 0)."""
        runner, kept = self.take_saved()
        more = need_dx and runner.adds_back and (add is not None or mask is not None)
        end = {"add": add, "mask": mask} if more else {}
        dx = runner.backward(dy, kept, need_dx, end)
        if dx is None or end:
            return dx
        if add is not None:
            return self.ops.add(dx, add, mask=mask)
        return dx if mask is None else self.ops.relu_backward(dx, mask)

    def inner_shapes(self, input_shape):
        shapes = {}
        for name, layer in self.named_children():
            shapes[name] = input_shape
            input_shape = layer.output_shape(input_shape)
        return shapes

    def output_shape(self, input_shape):
        for layer in self._layers:
            input_shape = layer.output_shape(input_shape)
        return tuple(input_shape)

    def multiply_adds(self, input_shape):
        return inner_multiply_adds(self, input_shape)

    def __getstate__(self):
        return {**super().__getstate__(), "_plans": {}, "_packed": Store(), "_training": Training()}


class Residual(Layer):
    """y = body(x) + shortcut(x), or body(x) + x without a shortcut. ValueError where the two differ in shape.

    He et al., Deep Residual Learning for Image Recognition (2016), equations 1 and 2.
    """

    kind = "residual"

    def __init__(self, body, shortcut=None):
        check_layer(self, body, "body")
        if shortcut is not None:
            check_layer(self, shortcut, "shortcut")
        self.body, self.shortcut = body, shortcut
        self.adopt()

    def forward(self, x, training=False, relu=False, packed=None):
        if self.shortcut is None:
            b = x
        else:
            b = self.shortcut.forward(x, True) if training else infer(self.shortcut, x, packed)
        if kind(self.body) == "sequential" and isinstance(x, np.ndarray):
            self.check_shapes(self.body.plan(x.shape).output_shape or b.shape, b.shape)
            y = self.body.forward(x, training, packed, add=b, relu=relu)
        else:
            a = self.body.forward(x, True) if training else infer(self.body, x, packed)
            self.check_shapes(a.shape, b.shape)
            y = self.ops.add(a, b, relu)
        if training:
            self.saved = (y if relu else None,)
        return y

    def backward(self, dy, need_dx=True, mask=None, masked=False):
        y, = self.take_saved()
        if y is not None and not masked:
            dy = self.ops.relu_backward(dy, y)
        b = dy if self.shortcut is None else self.shortcut.backward(dy, need_dx)
        if kind(self.body) == "sequential" and need_dx:
            return self.body.backward(dy, add=b, mask=mask)
        a = self.body.backward(dy, need_dx)
        return self.ops.add(a, b, mask=mask) if need_dx else None

    def check_shapes(self, a, b):
        if a != b:
            raise ValueError(f"{self.label}: the body gives shape {a}, the shortcut {b}; they must be the same: "
                             "give a shortcut that changes the shape as the body does, a 1x1 convolution of its stride")

    def output_shape(self, input_shape):
        a = self.body.output_shape(input_shape)
        b = tuple(input_shape) if self.shortcut is None else self.shortcut.output_shape(input_shape)
        self.check_shapes(a, b)
        return a

    def inner_shapes(self, input_shape):
        return {name: tuple(input_shape) for name, _ in self.named_children()}

    def multiply_adds(self, input_shape):
        return inner_multiply_adds(self, input_shape)


class Merge(Layer):
    """A layer with several inputs: forward takes a list of arrays, backward returns the list of their gradients, and
    output_shape takes a list of shapes. `Parallel` and `Graph` join branches with one."""


class Add(Merge):
    """y = the sum of the inputs, which have one shape."""

    kind = "add"

    @named_errors
    def forward(self, x, training=False, relu=False):
        self.output_shape([a.shape for a in x])
        y = total(self.ops, x, relu=relu)
        if training:
            self.saved = (len(x), y if relu else None)
        return y

    @named_errors
    def backward(self, dy, need_dx=True, masked=False):
        count, y = self.take_saved()
        if not need_dx:
            return None
        if y is not None and not masked:
            dy = self.ops.relu_backward(dy, y)
        return [dy] * count

    @named_errors
    def output_shape(self, input_shape):
        if not input_shape:
            raise ValueError("expected a list of at least one array, got none")
        for shape in input_shape:
            if shape != input_shape[0]:
                raise ValueError(f"expected inputs of one shape, got {', '.join(map(str, input_shape))}")
        return tuple(input_shape[0])


class Concat(Merge):
    """y = the inputs joined along the channels, axis 1; all other axes must agree."""

    kind = "concat"

    @named_errors
    def forward(self, x, training=False):
        y = self.ops.concat(x)
        if training:
            self.saved = ([a.shape[1] for a in x],)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        sizes, = self.take_saved()
        return self.ops.split(dy, sizes) if need_dx else None

    @named_errors
    def output_shape(self, input_shape):
        return checks.concat_shape([tuple(shape) for shape in input_shape])


class Parallel(Layer):
    """y = merge([branch(x) for each branch]), the merge being ``Add()``, ``Concat()`` or a `Merge` of one's own.

    The branches are named "0", "1", ..., the merge "merge".
    """

    kind = "parallel"

    def __init__(self, merge, *branches):
        check_merge(self, merge)
        if not branches:
            raise ValueError(f"{self.label}: expected at least one branch after the merge, got none")
        for i, branch in enumerate(branches):
            check_layer(self, branch, f"branch {i}")
        self.merge, self.branches = merge, branches
        self.adopt()

    def named_children(self):
        return [*((str(i), branch) for i, branch in enumerate(self.branches)), ("merge", self.merge)]

    @property
    def absorbs(self):
        """Whether the merge can apply and undo a ReLU."""
        return accepts(self.merge.forward, "relu") and accepts(self.merge.backward, "masked")

    def forward(self, x, training=False, relu=False, packed=None):
        if training:
            parts = [branch.forward(x, True) for branch in self.branches]
            self.saved = ()
        else:
            parts = [infer(branch, x, packed) for branch in self.branches]
        return self.merge.forward(parts, training, relu=True) if relu else self.merge.forward(parts, training)

    def backward(self, dy, need_dx=True, mask=None, masked=False):
        self.take_saved()
        parts = self.merge.backward(dy, masked=True) if masked else self.merge.backward(dy)
        parts = [branch.backward(part, need_dx) for branch, part in zip(self.branches, parts, strict=True)]
        return total(self.ops, parts, mask=mask) if need_dx else None

    def output_shape(self, input_shape):
        return self.merge.output_shape([branch.output_shape(input_shape) for branch in self.branches])

    def inner_shapes(self, input_shape):
        shapes = {name: tuple(input_shape) for name, _ in self.named_children()}
        shapes["merge"] = [branch.output_shape(input_shape) for branch in self.branches]
        return shapes

    def multiply_adds(self, input_shape):
        return inner_multiply_adds(self, input_shape)


def check_layer(owner, layer, what):
    """TypeError unless `layer` is a Layer with one input."""
    if isinstance(layer, Merge):
        raise TypeError(f"{owner.label}: {what} must be a layer with one input, got {layer!r}, which joins several; "
                        "use Parallel or Graph")
    if not isinstance(layer, Layer):
        hint = "; write Name() to make one" if isinstance(layer, type) else ""
        raise TypeError(f"{owner.label}: {what} must be a layer, got {layer!r}{hint}")


def check_merge(owner, merge):
    """TypeError unless `merge` is a Merge."""
    if not isinstance(merge, Merge):
        raise TypeError(f"{owner.label}: expected a merge such as Add() or Concat() first, got {merge!r}")


def total(ops, arrays, relu=False, mask=None):
    """The sum of the arrays, in order, through a ReLU or a mask in the last addition."""
    result = arrays[0]
    for array in arrays[1:-1]:
        result = ops.add(result, array)
    if len(arrays) > 1:
        return ops.add(result, arrays[-1], relu, mask)
    if relu:
        result = ops.relu_forward(result)
    return result if mask is None else ops.relu_backward(result, mask)


def inner_multiply_adds(layer, input_shape):
    """The multiply-adds of all layers inside."""
    children = dict(layer.named_children())
    return sum(children[name].multiply_adds(shape) for name, shape in layer.inner_shapes(input_shape).items())
