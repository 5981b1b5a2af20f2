"""The table of layers that every test of the battery runs over, and what those tests share."""
import copy

import numpy as np

from fastnet import layers
from fastnet.layers import Layer

IMAGES = (2, 4, 5, 6)
ROWS = (3, 5)

# How a layer is written, and the shape of its input: a list of shapes for one that joins several.
CASES = [
    ("Conv2d(4, 3, 3)", IMAGES),
    ("Conv2d(4, 3, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), bias=False)", IMAGES),
    ("Conv2d(4, 6, kernel_size=3, padding=(1, 2, 0, 1), dilation=(1, 2), groups=2)", IMAGES),
    ("Conv2d(4, 3, kernel_size=3, stride=2, padding='same')", IMAGES),
    ("Conv2d(4, 2, kernel_size=2, padding='full')", IMAGES),
    ("Conv2d(4, 4, kernel_size=3, padding='same', groups=4)", IMAGES),
    ("Conv2d(4, 3, kernel_size=1, padding='valid')", IMAGES),
    ("Linear(5, 4)", ROWS),
    ("Linear(5, 1, bias=False)", ROWS),
    ("MaxPool2d(2)", IMAGES),
    ("MaxPool2d(kernel_size=(3, 2), stride=(1, 2), padding=1)", IMAGES),
    ("MaxPool2d(kernel_size=3, stride=2, padding='same')", IMAGES),
    ("AvgPool2d(2)", IMAGES),
    ("AvgPool2d(kernel_size=3, stride=2, padding=1, count_include_pad=False)", IMAGES),
    ("AdaptiveAvgPool2d(1)", IMAGES),
    ("AdaptiveMaxPool2d(1)", IMAGES),
    ("BatchNorm2d(4)", IMAGES),
    ("BatchNorm2d(4, eps=0.001, momentum=0.5)", IMAGES),
    ("BatchNorm1d(5)", ROWS),
    ("ReLU()", IMAGES),
    ("ReLU()", ROWS),
    ("SiLU()", IMAGES),
    ("SiLU()", ROWS),
    ("Dropout(p=0.3)", IMAGES),
    ("Dropout(p=0)", ROWS),
    ("Flatten()", IMAGES),
    ("Flatten()", ROWS),
    ("Identity()", IMAGES),
    ("Softmax(dim=1)", ROWS),
    ("LogSoftmax(dim=1)", ROWS),
    ("Sequential()", ROWS),
    ("Sequential(Conv2d(4, 3, 3), ReLU(), Conv2d(3, 4, 2), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(), "
     "Linear(4, 3), ReLU())", IMAGES),
    ("Checkpoint(Sequential(Conv2d(4, 3, 3), BatchNorm2d(3), ReLU(), Dropout(p=0.3), Conv2d(3, 2, 1)))", IMAGES),
    ("Checkpoint(Linear(5, 4))", ROWS),
    ("Add()", [ROWS, ROWS, ROWS]),
    ("Concat()", [IMAGES, (2, 3, 5, 6)]),
    ("Parallel(Add(), Identity(), Conv2d(4, 4, 3, padding=1), Sequential(ReLU(), Conv2d(4, 4, 1)))", IMAGES),
    ("Parallel(Concat(), AvgPool2d(3, 1, 1), Conv2d(4, 2, 1))", IMAGES),
    ("Residual(Sequential(Linear(5, 4), ReLU(), Linear(4, 5)))", ROWS),
    ("Residual(Conv2d(4, 2, 3, padding=1), Sequential(Conv2d(4, 2, 1), BatchNorm2d(2)))", IMAGES),
    ("Graph({'a': (Linear(5, 4), ['input']), 'sum': (Add(), ['a', 'b', 'a']), 'b': (Linear(5, 4), 'input'), "
     "'end': (Concat(), ['sum', 'input'])})", ROWS),
]
IDS = [text[:60] for text, _ in CASES]


def build(text, backend=layers.Layer.backend, dtype="float32"):
    """The layer that is written so, on that backend."""
    return eval(text, dict(vars(layers))).to(backend).astype(dtype)


def arrays(shape, dtype="float32", seed=0):
    """An input of distinct values, none near zero, in random order; a list of them for a list of shapes."""
    if isinstance(shape, list):
        return [arrays(one, dtype, seed + i) for i, one in enumerate(shape)]
    values = np.linspace(-1.5, 1.5, 2 * np.prod(shape))[::2]
    return np.random.default_rng(seed).permutation(values).reshape(shape).astype(dtype)


def as_list(x):
    """What a layer takes or gives, as a list of arrays."""
    return x if isinstance(x, list) else [x]


def gradients(layer, x, dy):
    """y, the gradients of the inputs as a list, and those of the parameters."""
    y = layer.forward(x, training=True)
    dx = layer.backward(dy)
    return y, as_list(dx), [parameter.grad for parameter in layer.parameters()]


def numeric_gradients(layer, x, dy, step=1e-6):
    """d sum(y dy) / d value by central differences, for each input and each parameter of a copy of `layer`."""
    layer = copy.deepcopy(layer)
    x = copy.deepcopy(x)

    def value():
        # A fresh copy each time, so that running statistics and Dropout's generator stand where they stood.
        return np.sum(copy.deepcopy(layer).forward(x, training=True) * dy)

    def differentiate(array):
        result = np.empty_like(array)
        for place in np.ndindex(array.shape):
            old = array[place]
            array[place] = old + step
            above = value()
            array[place] = old - step
            result[place] = (above - value()) / (2 * step)
            array[place] = old
        return result

    return ([differentiate(array) for array in as_list(x)],
            [differentiate(parameter.value) for parameter in layer.parameters()])


class Scale(Layer):
    """A user's layer with the least it needs: y = factor x, the factors kept where only `parameters` knows."""

    def __init__(self, parameter):
        self.kept = [parameter]

    def parameters(self):
        return self.kept

    def forward(self, x, training=False):
        if training:
            self.saved = (x,)
        return x * self.kept[0].value

    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        self.kept[0].grad = np.sum(dy * x).reshape(1)
        return dy * self.kept[0].value if need_dx else None
