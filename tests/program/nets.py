"""Nets that are drawn at random and written down in several ways, layers of a user's own, and what compares passes."""
import copy

import numpy as np

from fastnet import Parameter, layers, manual_seed
from fastnet.layers import (
    Add,
    BatchNorm1d,
    BatchNorm2d,
    Concat,
    Container,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Identity,
    Layer,
    Linear,
    Parallel,
    Recompute,
    Residual,
    Sequential,
)

ACTIVATIONS = ("ReLU", "LeakyReLU", "Hardtanh", "ReLU6", "Sigmoid", "Tanh", "ELU", "SiLU", "GELU", "Hardswish", "Mish",
               "SELU", "Hardsigmoid", "Softplus", "Softsign", "LogSigmoid", "CELU", "Softshrink", "Hardshrink",
               "Tanhshrink")


# Layers of a user's own

class Own(Layer):
    """An opaque layer: y = tanh(x), by NumPy."""

    def forward(self, x, training=False):
        if training:
            self.saved = (x,)
        return np.tanh(x)

    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        return dy * (1 - np.tanh(x) ** 2) if need_dx else None


class Scaled(Layer):
    """An opaque layer with a parameter: y = x scale."""

    def __init__(self, scale=0.7):
        self.scale = Parameter(np.float32([scale]))

    def forward(self, x, training=False):
        if training:
            self.saved = (x,)
        return x * self.scale.value

    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        self.scale.grad = np.sum(dy * x).reshape(1)
        return dy * self.scale.value if need_dx else None


class Noise(Layer):
    """An opaque layer that draws: y = x + noise in training."""

    def __init__(self, seed=0):
        self.generator = np.random.default_rng(seed)

    def forward(self, x, training=False):
        if not training:
            return x
        self.saved = ()
        return x + self.generator.standard_normal(x.shape).astype(x.dtype)

    def backward(self, dy, need_dx=True):
        self.take_saved()
        return dy if need_dx else None


# Random nets: an expression of layers is a Layer, ("row", *parts), ("add", *parts), ("concat", *parts), where None
# among the parts of a sum stands for its input.

class Drawing:
    """Draws an expression of `count` layers for images of a shape."""

    def __init__(self, seed, count=10):
        manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.left = count
        self.shape = (int(self.rng.integers(2, 5)), int(self.rng.choice([3, 4, 8])), *self.rng.choice([6, 7, 8], 2))
        self.shape = tuple(map(int, self.shape))

    def net(self):
        """(expression, shape of its input)."""
        shape, parts = self.shape, ["row"]
        while self.left > 2:
            parts.append(self.part(nested=True))
        return ("row", *parts[1:], *self.end()), shape

    def part(self, nested):
        """A part of the net that changes `shape`."""
        self.left -= 1
        kinds = ["conv"] * 6 + ["norm"] * 4 + ["activation"] * 6 + ["dropout", "own", "pool"]
        kinds += ["residual"] * 3 + ["shortcut", "concat", "sum", "recompute"] if nested and self.left > 2 else []
        return getattr(self, str(self.rng.choice(kinds)))()

    def conv(self, channels=None, keeps=False):
        c = self.shape[1]
        k = channels or int(self.rng.choice([4, 8, 16]))
        kind = self.rng.choice(["1x1", "3x3", "3x3", "3x3", "5x5", "strided", "grouped", "depthwise", "same"])
        given = {"kernel_size": 3, "padding": 1, "bias": bool(self.rng.integers(2))}
        if kind == "1x1":
            given |= {"kernel_size": 1, "padding": 0}
        elif kind == "5x5":
            given |= {"kernel_size": 5, "padding": 2}
        elif kind == "same":
            given |= {"kernel_size": (2, 3), "padding": "same"}
        elif kind == "strided" and not keeps and min(self.shape[2:]) > 3:
            given |= {"stride": 2}
        elif kind == "grouped" and c % 2 == 0 and k % 2 == 0:
            given |= {"groups": 2}
        elif kind == "depthwise" and (channels is None or channels % c == 0):
            k = channels or c
            given |= {"groups": c}
        return self.placed(Conv2d(c, k, **given))

    def norm(self):
        norm = self.unevenly((BatchNorm2d if len(self.shape) == 4 else BatchNorm1d)(self.shape[1]))
        norm.frozen = bool(self.rng.integers(6) == 0)
        return norm

    def unevenly(self, norm):
        """A norm that has trained."""
        count = norm.num_features
        norm.running_mean = self.rng.uniform(-0.5, 0.5, count).astype(np.float32)
        norm.running_var = self.rng.uniform(0.5, 2, count).astype(np.float32)
        norm.weight.value[:] = self.rng.uniform(-1, 2, count)
        norm.bias.value[:] = self.rng.uniform(-0.5, 0.5, count)
        return norm

    def activation(self):
        name = str(self.rng.choice(ACTIVATIONS))
        tanh = name == "GELU" and self.rng.integers(2)
        return getattr(layers, name)(**({"approximate": "tanh"} if tanh else {}))

    def dropout(self):
        layer = Dropout(0.3)
        layer.frozen = bool(self.rng.integers(4) == 0)
        return layer

    def own(self):
        return (Own(), Scaled(), Noise(int(self.rng.integers(99))))[self.rng.integers(3)]

    def pool(self):
        small = min(self.shape[2:]) < 4
        made = [lambda: layers.MaxPool2d(3, 1, 1), lambda: layers.AvgPool2d(3, 1, 1), lambda: layers.MaxPool2d(2),
                lambda: layers.MaxPool2d(2), lambda: layers.AvgPool2d(2)]
        return self.placed(made[self.rng.integers(2 if small else 5)]())

    def residual(self):
        return ("add", self.body(self.shape[1]), None)

    def shortcut(self):
        channels = int(self.rng.choice([4, 8]))
        return ("add", *self.branches(2, channels))

    def sum(self):
        channels = int(self.rng.choice([4, 8]))
        return ("add", *self.branches(3, channels))

    def concat(self):
        count = int(self.rng.integers(2, 4))
        branches = self.branches(count, 4)
        self.shape = (self.shape[0], 4 * count, *self.shape[2:])
        return ("concat", *branches)

    def branches(self, count, channels):
        shape, found = self.shape, []
        for _ in range(count):
            self.shape = shape
            found.append(self.body(channels))
        return found

    def recompute(self):
        return Recompute(written(("row", *(self.part(nested=False) for _ in range(3))), "layers"))

    def body(self, channels):
        """Layers that change the number of channels only, and end in a convolution or what may follow one."""
        parts = [self.rng.choice([self.norm, self.activation, self.dropout, self.own])()
                 for _ in range(self.rng.integers(2))]
        parts.append(self.conv(channels, keeps=True))
        parts += [(self.norm, self.activation)[i]() for i in range(2) if self.rng.integers(2)]
        self.left -= len(parts)
        return ("row", *parts)

    def end(self):
        kind = self.rng.integers(4)
        if kind == 0:
            return []
        parts = [self.placed(Flatten() if kind == 1 else layers.AdaptiveAvgPool2d(1) if kind == 2 else
                             layers.AdaptiveMaxPool2d(1))]
        if kind > 1:
            parts.append(self.placed(Flatten()))
        parts.append(self.placed(Linear(self.shape[1], 5, bias=bool(self.rng.integers(2)))))
        return parts + [[], [self.norm(), self.activation()], [self.activation()], [layers.Softmax()],
                        [layers.LogSoftmax()]][self.rng.integers(5)]

    def placed(self, layer):
        self.shape = layer.output_shape(self.shape)
        return layer


def random_net(seed, form):
    """(net, shape of its input): a net of ten layers, a seventh of its parameters not trained, written in that form:
    "layers" (Sequential, Residual, Parallel), "graph" or "class"."""
    drawing = Drawing(seed)
    expression, shape = drawing.net()
    net = written(expression, form)
    for parameter in net.parameters():
        parameter.requires_grad = bool(drawing.rng.integers(7))
    return net, shape


def written(expression, form):
    """The net of an expression."""
    return {"layers": as_layers, "graph": as_graph, "class": Interpreted}[form](expression)


def as_layers(expression):
    """As Sequential, Residual and Parallel."""
    if isinstance(expression, Layer):
        return expression
    kind, *parts = expression
    if kind == "add" and len(parts) == 2:
        return Residual(*[part if part is None else as_layers(part) for part in parts])
    made = [Identity() if part is None else as_layers(part) for part in parts]
    return Sequential(*made) if kind == "row" else Parallel(Add() if kind == "add" else Concat(), *made)


def as_graph(expression):
    """As one flat Graph."""
    nodes = {}

    def write(expression, source):
        if expression is None:
            return source
        if isinstance(expression, Layer):
            layer, inputs = expression, [source]
        else:
            kind, *parts = expression
            if kind == "row":
                for part in parts:
                    source = write(part, source)
                return source
            inputs = [write(part, source) for part in parts]
            layer = Add() if kind == "add" else Concat()
        name = f"n{len(nodes)}"
        nodes[name] = layer, inputs
        return name

    write(expression, "input")
    return Graph(nodes)


class Interpreted(Container):
    """A user's container: any expression, its layers kept in a list."""

    def __init__(self, expression):
        self.layers = []
        self.expression = self.numbered(expression)
        self.merges = {"add": Add(), "concat": Concat()}
        self.adopt()

    def numbered(self, expression):
        """The expression with the numbers of its layers."""
        if isinstance(expression, Layer):
            self.layers = [*self.layers, expression]
            return len(self.layers) - 1
        if expression is None:
            return None
        return (expression[0], *map(self.numbered, expression[1:]))

    def compose(self, x, training):
        return self.value(self.expression, x)

    def value(self, expression, x):
        if expression is None:
            return x
        if isinstance(expression, int):
            return self.layers[expression](x)
        kind, *parts = expression
        if kind == "row":
            for part in parts:
                x = self.value(part, x)
            return x
        made = (Add if kind == "add" else Concat)()
        made.backend = self.backend
        return made(tuple([self.value(part, x) for part in parts]))


# Passes

def images(shape, seed, dtype=np.float32):
    """Images, channels-last in memory; or rows."""
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if x.ndim == 4 else x


def step(net, x, need_dx=True, dy=None):
    """All that a training pass leaves: {name: array or None}."""
    y = net.forward(x, training=True)
    dx = net.backward(np.cos(y) if dy is None else dy, need_dx)
    return {"y": y, "dx": dx, **{f"d {name}": parameter.grad for name, parameter in net.named_parameters()},
            **net.state_dict()}


def learn(net, rate=0.02):
    """An optimiser's step, in place; a short one, whatever the gradient is."""
    for parameter in net.parameters():
        if parameter.grad is not None:
            parameter.value -= rate * parameter.grad / float(1 + np.abs(parameter.grad).max())


def check_same(actual, expected):
    """The same to the last bit, NaN included."""
    for name, array in expected.items():
        if array is None:
            assert actual[name] is None, name
        else:
            assert actual[name].dtype == array.dtype, name
            np.testing.assert_array_equal(actual[name], array, name)
    assert actual.keys() == expected.keys()


def check_close(actual, expected, tolerance):
    """The same within that part of each array's largest value, or of a thousandth of the largest of all: a gradient
    may be zero but for rounding."""
    least = 1e-3 * max(np.abs(array).max(initial=0) for array in expected.values() if array is not None)
    for name, array in expected.items():
        if array is None:
            assert actual[name] is None, name
        else:
            largest = max(np.abs(array).max(initial=0), least)
            np.testing.assert_allclose(actual[name], array, rtol=0, atol=tolerance * largest, err_msg=name)
    assert actual.keys() == expected.keys()


def fresh(net):
    """A copy that has no programs."""
    return copy.deepcopy(net)


def is_replayed(net, shape, training=True):
    """Whether the last pass of a net on x of that shape was replayed."""
    programs = [program for key, program in net.runner._programs.items()
                if key[0].shape == tuple(shape) and program.trace.training == training]
    return any(program.recorded is not None for program in programs)
