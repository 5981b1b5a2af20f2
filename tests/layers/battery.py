"""The table of layers that every test of the battery runs over, and what those tests share."""
import copy
import re

import numpy as np

from fastnet import layers, plainly
from fastnet.layers import GELU, Activation, Add, Container, Conv2d, Layer, Linear, Merge, Tanh
from fastnet.layers.freezing import Freezable
from fastnet.program import trees


class Integers(tuple):
    """The shape of an x of integers."""


IMAGES = (2, 4, 5, 6)
ROWS = (3, 5)
SEQUENCES = (2, 4, 7)
STEPS = (3, 2, 5)       # three steps of two sequences
STATES = [(2, 2, 4), (2, 2, 4)]
TOKENS = (2, 4, 3)

# How a layer is written, and the shape of its input: a list or a dictionary of shapes for one that takes several.
CASES = [
    ("Conv2d(4, 3, 3)", IMAGES),
    ("Conv2d(4, 3, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), bias=False)", IMAGES),
    ("Conv2d(4, 6, kernel_size=3, padding=(1, 2, 0, 1), dilation=(1, 2), groups=2)", IMAGES),
    ("Conv2d(4, 3, kernel_size=3, stride=2, padding='same')", IMAGES),
    ("Conv2d(4, 2, kernel_size=2, padding='full')", IMAGES),
    ("Conv2d(4, 4, kernel_size=3, padding='same', groups=4)", IMAGES),
    ("Conv2d(4, 3, kernel_size=1, padding='valid')", IMAGES),
    ("Conv2d(4, 3, kernel_size=3, padding=(1, 2), padding_mode='reflect')", IMAGES),
    ("Conv2d(4, 4, kernel_size=3, stride=2, padding='same', padding_mode='circular')", IMAGES),
    ("Conv2d(4, 4, kernel_size=3, padding=2, groups=2, padding_mode='replicate')", IMAGES),
    ("Conv1d(4, 3, 3)", SEQUENCES),
    ("Conv1d(4, 6, kernel_size=2, stride=2, padding=(2, 1), groups=2, bias=False)", SEQUENCES),
    ("Conv1d(4, 4, kernel_size=3, padding='same', dilation=2, groups=4)", SEQUENCES),
    ("Conv1d(4, 3, kernel_size=3, padding=2, padding_mode='reflect')", SEQUENCES),
    ("ConvTranspose2d(4, 3, 2)", IMAGES),
    ("ConvTranspose2d(4, 6, kernel_size=(3, 2), stride=2, padding=(1, 0), output_padding=(1, 0), groups=2, bias=False, "
     "dilation=(1, 3))", IMAGES),
    ("ConvTranspose2d(4, 4, kernel_size=3, stride=2, padding=(1, 0, 0, 1), groups=4)", IMAGES),
    ("LocallyConnected2d(4, 3, input_size=(5, 6), kernel_size=3)", IMAGES),
    ("LocallyConnected2d(4, 2, input_size=(5, 6), kernel_size=(2, 3), stride=(2, 1), padding='same', bias=False)",
     IMAGES),
    ("Linear(5, 4)", ROWS),
    ("Linear(5, 1, bias=False)", ROWS),
    ("Linear(5, 4)", (2, 3, 5)),
    ("Linear(6, 4)", IMAGES),
    ("Linear(3, 2, bias=False)", (2, 1, 2, 2, 3)),
    ("Maxout(5, 4, pieces=3)", ROWS),
    ("Maxout(5, 2, pieces=2, bias=False)", ROWS),
    ("MaxPool2d(2)", IMAGES),
    ("MaxPool2d(kernel_size=(3, 2), stride=(1, 2), padding=1)", IMAGES),
    ("MaxPool2d(kernel_size=3, stride=2, padding='same')", IMAGES),
    ("MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=True)", IMAGES),
    ("Unpooled(MaxPool2d(2, return_indices=True), MaxUnpool2d(2, output_size=(5, 6)))", IMAGES),
    ("Unpooled(AdaptiveMaxPool2d((1, None), return_indices=True), MaxUnpool2d((5, 1)))", IMAGES),
    ("AvgPool2d(2)", IMAGES),
    ("AvgPool2d(kernel_size=3, stride=2, padding=1, count_include_pad=False)", IMAGES),
    ("AdaptiveAvgPool2d(1)", IMAGES),
    ("AdaptiveAvgPool2d((3, None))", IMAGES),
    ("AdaptiveAvgPool2d(7)", IMAGES),
    ("AvgPool2d(kernel_size=(2, 3), stride=(2, 1), ceil_mode=True, divisor_override=5)", IMAGES),
    ("AdaptiveMaxPool2d(1)", IMAGES),
    ("ZeroPad2d(1)", IMAGES),
    ("ZeroPad2d((2, -1, 0, -2))", IMAGES),
    ("ConstantPad2d((0, 1, 2, 0), value=-0.5)", IMAGES),
    ("ReflectionPad2d(2)", IMAGES),
    ("ReplicationPad2d((3, 0, 1, 2))", IMAGES),
    ("CircularPad2d((1, 2, 5, 0))", IMAGES),
    ("Upsample(scale_factor=2)", IMAGES),
    ("Upsample(size=(7, 3))", IMAGES),
    ("Upsample(scale_factor=(1.5, 2), mode='bilinear')", IMAGES),
    ("Upsample(size=9, mode='bilinear', align_corners=True)", IMAGES),
    ("Upsample(scale_factor=1.7, mode='bilinear', recompute_scale_factor=True)", IMAGES),
    ("UpsamplingNearest2d(scale_factor=3)", IMAGES),
    ("UpsamplingBilinear2d(size=8)", IMAGES),
    ("BedOfNails((1, 2))", IMAGES),
    ("PixelShuffle(2)", IMAGES),
    ("PixelUnshuffle(2)", (2, 3, 4, 6)),
    ("AdaptiveMaxPool2d((3, None))", IMAGES),
    ("AdaptiveMaxPool2d((None, None))", IMAGES),
    ("Sequential(Boxed(), RoIPool((2, 3), spatial_scale=0.7))", IMAGES),
    ("Sequential(Boxed(), RoIAlign(2, sampling_ratio=2, aligned=True))", IMAGES),
    ("BatchNorm2d(4)", IMAGES),
    ("BatchNorm2d(4, eps=0.001, momentum=0.5)", IMAGES),
    ("BatchNorm2d(4, momentum=None)", IMAGES),
    ("BatchNorm1d(5)", ROWS),
    ("frozen(BatchNorm2d(4))", IMAGES),
    ("frozen(BatchNorm1d(5))", ROWS),
    ("freeze(BatchNorm2d(4))", IMAGES),
    ("BatchNorm1d(4)", SEQUENCES),
    ("BatchNorm2d(4, affine=False)", IMAGES),
    ("BatchNorm2d(4, bias=False)", IMAGES),
    ("BatchNorm2d(4, track_running_stats=False)", IMAGES),
    ("BatchNorm1d(5, affine=False, track_running_stats=False)", ROWS),
    ("frozen(BatchNorm1d(4, affine=False))", SEQUENCES),
    ("frozen(BatchNorm2d(4, track_running_stats=False))", IMAGES),
    ("InstanceNorm2d(4)", IMAGES),
    ("InstanceNorm2d(4, momentum=0.5, affine=True, track_running_stats=True)", IMAGES),
    ("InstanceNorm2d(4, affine=True, bias=False)", IMAGES),
    ("frozen(InstanceNorm2d(4, affine=True, track_running_stats=True))", IMAGES),
    ("GroupNorm(2, 4)", IMAGES),
    ("GroupNorm(1, 5, eps=0.001)", ROWS),
    ("GroupNorm(2, 4, bias=False)", SEQUENCES),
    ("GroupNorm(4, 4, affine=False)", (2, 4, 2, 1, 3)),
    ("LayerNorm(5)", ROWS),
    ("LayerNorm((4, 5, 6))", IMAGES),
    ("LayerNorm(6)", IMAGES),
    ("LayerNorm((5, 6), elementwise_affine=False)", IMAGES),
    ("LayerNorm(3, eps=0.001, bias=False)", TOKENS),
    ("LayerNorm((4, 3))", TOKENS),
    ("LayerNorm((3, 2, 3))", (2, 2, 3, 2, 3)),
    ("RMSNorm(5)", ROWS),
    ("RMSNorm((4, 5, 6), eps=0.01)", IMAGES),
    ("RMSNorm(3, elementwise_affine=False)", TOKENS),
    ("LocalResponseNorm(5)", IMAGES),
    ("LayerScale(4, init=0.5)", IMAGES),
    ("LayerScale(3)", TOKENS),
    ("LayerScale(5, init=-2.0)", ROWS),
    ("Residual(Sequential(Conv2d(4, 4, 1), LayerScale(4, 0.1)))", IMAGES),
    ("LocalResponseNorm(2, alpha=0.5, beta=0.6, k=2.0)", SEQUENCES),
    ("ReLU()", IMAGES),
    ("ReLU()", ROWS),
    ("LeakyReLU()", IMAGES),
    ("LeakyReLU(negative_slope=0.3)", ROWS),
    ("Hardtanh()", IMAGES),
    ("Hardtanh(min_val=-0.7, max_val=0.4)", ROWS),
    ("ReLU6()", IMAGES),
    ("Sequential(Tenfold(), ReLU6())", IMAGES),
    ("Sigmoid()", IMAGES),
    ("Sigmoid()", ROWS),
    ("Tanh()", IMAGES),
    ("Tanh()", ROWS),
    ("ELU()", IMAGES),
    ("ELU(alpha=0.6)", ROWS),
    ("SiLU()", IMAGES),
    ("SiLU()", ROWS),
    ("GELU()", IMAGES),
    ("Mish()", IMAGES),
    ("SELU()", IMAGES),
    ("Hardsigmoid()", IMAGES),
    ("Softplus()", IMAGES),
    ("Softplus(beta=2.0, threshold=1.0)", ROWS),
    ("Softsign()", ROWS),
    ("GELU(approximate='tanh')", IMAGES),
    ("GELU()", ROWS),
    ("Hardswish()", IMAGES),
    ("Sequential(Tenfold(), Hardswish())", ROWS),
    ("LogSigmoid()", IMAGES),
    ("CELU()", IMAGES),
    ("CELU(alpha=0.6)", ROWS),
    ("Softshrink()", IMAGES),
    ("Hardshrink(lambd=0.3)", ROWS),
    ("Tanhshrink()", IMAGES),
    ("Threshold(threshold=0.1, value=20.0)", IMAGES),
    ("PReLU(num_parameters=1)", IMAGES),
    ("PReLU(num_parameters=4, init=0.1)", IMAGES),
    ("PReLU(num_parameters=5)", ROWS),
    ("Clip()", IMAGES),
    ("Dropout(p=0.3)", IMAGES),
    ("Dropout(p=0)", ROWS),
    ("frozen(Dropout(p=0.3))", IMAGES),
    ("Embedding(7, 3)", Integers((4, 2))),
    ("Embedding(5, 3)", Integers((2, 3, 2))),
    ("RNN(5, 4)", STEPS),
    ("RNN(5, 3, num_layers=2, nonlinearity='relu', batch_first=True)", STEPS),
    ("GRU(5, 4, num_layers=2)", [STEPS, STATES[0]]),
    ("GRU(5, 3, bias=False, bidirectional=True, returns='output')", STEPS),
    ("LSTM(5, 4, bidirectional=True)", [STEPS, STATES]),
    ("LSTM(5, 3, batch_first=True, returns='last')", STEPS),
    ("LSTM(5, 2, num_layers=2, dropout=0.3, bidirectional=True, returns='last')", STEPS),
    ("frozen(LSTM(5, 3, num_layers=2, dropout=0.3))", STEPS),
    ("Sequential(Embedding(7, 5), LSTM(5, 4, batch_first=True, returns='last'), Linear(4, 3))", Integers((3, 4))),
    ("Recompute(Sequential(Embedding(7, 5), GRU(5, 4, num_layers=2, dropout=0.3, returns='last')))",
     Integers((3, 2))),
    ("Graph({'words': (Embedding(7, 5), 'ids'), 'read': (RNN(5, 4, batch_first=True, returns='last'), 'words'), "
     "'sum': (Add(), ['read', 'more'])}, inputs=('ids', 'more'))", {"ids": Integers((3, 2)), "more": (3, 4)}),
    ("Dropout2d(p=0.3)", IMAGES),
    ("Dropout1d(p=0.3)", SEQUENCES),
    ("StochasticDepth(p=0.3, mode='row')", IMAGES),
    ("StochasticDepth(p=0.3, mode='batch')", ROWS),
    ("frozen(StochasticDepth(p=0.3, mode='row'))", ROWS),
    ("Flatten()", IMAGES),
    ("Flatten()", ROWS),
    ("Flatten(start_dim=2)", IMAGES),
    ("Flatten(end_dim=2)", (2, 3, 4, 2, 3)),
    ("Unflatten(dim=1, unflattened_size=(2, -1))", IMAGES),
    ("Unflatten(dim=1, unflattened_size=(2, 3, 2))", (2, 12)),
    ("Permute(dims=(0, 2, 3, 1))", IMAGES),
    ("Permute(dims=(0, -1, 1))", (2, 3, 4)),
    ("ChannelShuffle(groups=2)", IMAGES),
    ("Chunk(3)", IMAGES),
    ("Chunk(2, dim=-1)", ROWS),
    ("Mean(dim=(2, 3))", IMAGES),
    ("Mean(dim=2)", IMAGES),
    ("Mean(dim=1, keepdim=True)", IMAGES),
    ("Mean(dim=-1)", (2, 3, 4)),
    ("Identity()", IMAGES),
    ("Softmax(dim=1)", ROWS),
    ("LogSoftmax(dim=1)", ROWS),
    ("Softmax(dim=1)", IMAGES),
    ("Softmax(dim=-2)", IMAGES),
    ("LogSoftmax(dim=3)", IMAGES),
    ("LogSoftmax(dim=-1)", (2, 3, 4)),
    ("Tenfold()", IMAGES),
    ("Sequential()", ROWS),
    ("Sequential(Conv2d(4, 3, 3), ReLU(), Conv2d(3, 4, 2), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(), "
     "Linear(4, 3), ReLU())", IMAGES),
    ("Sequential(Conv2d(4, 3, 3), LeakyReLU(), Conv2d(3, 4, 2), BatchNorm2d(4), GELU(), Conv2d(4, 4, 1), Tanh(), "
     "Flatten(), Linear(24, 3), ELU())", IMAGES),
    ("Sequential(Conv2d(4, 3, 3), SiLU(), Tenfold(), Conv2d(3, 4, 2), Hardswish(), BatchNorm2d(4), Sigmoid())", IMAGES),
    ("frozen(Sequential(Conv2d(4, 3, 3), BatchNorm2d(3), ReLU(), Dropout(p=0.3), Conv2d(3, 2, 1), BatchNorm2d(2)))",
     IMAGES),
    ("freeze(Sequential(Conv2d(4, 3, 3), BatchNorm2d(3), Hardtanh(), Conv2d(3, 2, 1)), '[01]')", IMAGES),
    ("Sequential(Conv2d(4, 3, 3), GroupNorm(1, 3), ReLU(), Conv2d(3, 4, 1), LayerNorm((4, 3, 4)), GELU(), "
     "Conv2d(4, 4, 2), InstanceNorm2d(4), SiLU(), LocalResponseNorm(3))", IMAGES),
    ("Sequential(Conv2d(4, 3, 3), BatchNorm2d(3, affine=False), ReLU(), Conv2d(3, 4, 1), BatchNorm2d(4, bias=False), "
     "SiLU(), BatchNorm2d(4, affine=False), GELU(), BatchNorm2d(4, track_running_stats=False), Tanh())", IMAGES),
    ("Sequential(Residual(Sequential(Conv2d(4, 4, 1), GroupNorm(2, 4))), ReLU(), "
     "Residual(Sequential(Conv2d(4, 4, 1), Dropout2d(p=0.3))), ReLU(), "
     "Residual(Sequential(Conv2d(4, 4, 1), StochasticDepth(0.5, 'row'))), LayerNorm(6))", IMAGES),
    ("Recompute(Sequential(Conv2d(4, 3, 3), BatchNorm2d(3), ReLU(), Dropout(p=0.3), Conv2d(3, 2, 1)))", IMAGES),
    ("Recompute(Linear(5, 4))", ROWS),
    ("Sequential(Linear(5, 5), Recompute(Sequential(Linear(5, 4), Recompute(GELU()), Tenfold())), Linear(4, 2))", ROWS),
    ("Add()", [ROWS, ROWS, ROWS]),
    ("Concat()", [IMAGES, (2, 3, 5, 6)]),
    ("Concat(dim=2)", [IMAGES, (2, 4, 1, 6)]),
    ("Concat(dim=-1)", [ROWS, (3, 2)]),
    ("Multiply()", [ROWS, ROWS, ROWS]),
    ("Multiply()", [IMAGES, (2, 4, 1, 1), (1, 1, 5, 6)]),
    ("Multiply()", [(2, 1, 5, 6), IMAGES]),
    ("Sequential(Chunk(2), Multiply(), PReLU(2))", IMAGES),
    ("Parallel(Multiply(), Identity(), Sequential(AdaptiveAvgPool2d(1), Conv2d(4, 2, 1), ReLU(), Conv2d(2, 4, 1), "
     "Sigmoid()))", IMAGES),
    ("Sequential({'conv': Conv2d(4, 6, 3), 'act': PReLU(6), 'shuffle': ChannelShuffle(3), 'mean': Mean((2, 3)), "
     "'fc': Linear(6, 2)})", IMAGES),
    ("Sequential(Permute((0, 2, 3, 1)), Linear(4, 3), Tanh(), Softmax(-1), Permute((0, 3, 1, 2)), Conv2d(3, 2, 1))",
     IMAGES),
    ("Difference()", [ROWS, ROWS]),
    ("Parallel(Add(), Identity(), Conv2d(4, 4, 3, padding=1), Sequential(ReLU(), Conv2d(4, 4, 1)))", IMAGES),
    ("Parallel(Concat(), AvgPool2d(3, 1, 1), Conv2d(4, 2, 1))", IMAGES),
    ("Parallel(Difference(), Linear(5, 4), Sequential(Linear(5, 4), Sigmoid()))", ROWS),
    ("Residual(Sequential(Linear(5, 4), ReLU(), Linear(4, 5)))", ROWS),
    ("Residual(Conv2d(4, 2, 3, padding=1), Sequential(Conv2d(4, 2, 1), BatchNorm2d(2)))", IMAGES),
    ("Graph({'a': (Linear(5, 4), ['input']), 'sum': (Add(), ['a', 'b', 'a']), 'b': (Linear(5, 4), 'input'), "
     "'end': (Concat(), ['sum', 'input'])})", ROWS),
    ("Graph({'conv': (Conv2d(4, 3, 3, padding=1), 'image'), 'sum': (Add(), ['conv', 'more']), "
     "'y': (ReLU(), 'sum')}, inputs=('image', 'more'))", {"image": IMAGES, "more": (2, 3, 5, 6)}),
    ("Graph({'fc': (Linear(5, 4), 'one'), 'norm': (BatchNorm1d(4), 'fc'), 'sum': (Add(), ['norm', 'two', 'fc']), "
     "'soft': (Softmax(), 'sum')}, inputs=('one', 'two'), outputs=('soft', 'fc'))", {"one": ROWS, "two": (3, 4)}),
    ("Graph({'a': (Linear(5, 4), 'input'), 'b': (Tanh(), 'a'), 'c': (Linear(4, 3), 'b')}, outputs=('c', 'b'))", ROWS),
    ("Sequential(Conv1d(4, 3, 3), ReLU(), Conv1d(3, 4, 1), GELU(), Residual(Conv1d(4, 4, 3, padding=1)), Tanh())",
     SEQUENCES),
    ("Sequential(Conv2d(4, 3, 3, stride=2), ReLU(), ConvTranspose2d(3, 4, 3, stride=2), BatchNorm2d(4), ReLU(), "
     "Residual(ConvTranspose2d(4, 4, 3, padding=1)), SiLU(), LocallyConnected2d(4, 2, 5, 2), Sigmoid())", IMAGES),
    ("Block(4)", IMAGES),
    ("Sequential(Block(4), Conv2d(4, 2, 1), Flatten())", IMAGES),
    ("TwoArmed()", [ROWS, (3, 4)]),
]
IDS = [text[:60] for text, _ in CASES]


class Tenfold(Layer):
    """A user's layer that computes with NumPy: y = 10 x."""

    def forward(self, x, training=False):
        if training:
            self.saved = ()
        return 10 * x

    def backward(self, dy, need_dx=True):
        self.take_saved()
        return 10 * dy if need_dx else None


class Clip(Activation):
    """A user's activation: what an operation can do already, by another name."""

    function, reads, numbers = "hardtanh", "y", (-0.5, 1.0)


class Difference(Merge):
    """A user's merge: the first input less the second."""

    def forward(self, x, training=False):
        if training:
            self.saved = ()
        return x[0] - x[1]

    def backward(self, dy, need_dx=True):
        self.take_saved()
        return (dy, -dy) if need_dx else None


class Block(Container):
    """A user's container, which reads what it was given and what it has made more than once."""

    def __init__(self, channels):
        self.first, self.act = Conv2d(channels, channels, 3, padding=1), GELU()
        self.second, self.total = Conv2d(channels, channels, 1, bias=False), Add()

    def compose(self, x, training):
        y = self.act(self.first(x))
        return self.total((self.second(y), x, y))


class Unpooled(Container):
    """A user's container, in which numbers go back to where the largest pixels stood."""

    def __init__(self, pool, unpool):
        self.pool, self.act, self.unpool = pool, Tanh(), unpool

    def compose(self, x, training):
        y, indices = self.pool(x)
        return self.unpool((self.act(y), indices))


class Boxed(Layer):
    """A user's layer that looks for boxes, and finds the same one in each image."""

    def forward(self, x, training=False):
        if training:
            self.saved = ()
        return 1 * x, np.array([(i, 0.3, 1.4, 4.6, 3.2) for i in range(len(x))], x.dtype)

    def backward(self, dy, need_dx=True):
        self.take_saved()
        return 1 * dy[0] if need_dx else None


class TwoArmed(Container):
    """A user's container that takes and gives a tuple."""

    def __init__(self):
        self.arms, self.total, self.end = [Linear(5, 4), Linear(4, 4)], Add(), Tanh()

    def compose(self, x, training):
        left, right = self.arms[0](x[0]), self.arms[1](x[1])
        return self.end(self.total((left, right, x[1]))), left


def frozen(net):
    """All norms and dropouts frozen, and statistics that make a difference; parameters are trained as before."""
    for _, layer in net.named_layers():
        if isinstance(layer, Freezable):
            layer.frozen = True
            for name, low, high in [("running_mean", -0.5, 0.5), ("running_var", 0.5, 2)]:
                if name in layer.buffer_names:
                    setattr(layer, name, np.linspace(low, high, layer.num_features, dtype=np.float32))
    return net


OWN = Tenfold, Clip, Difference, Block, Boxed, TwoArmed, Unpooled
NAMES = {cls.__name__: cls for cls in OWN} | {"frozen": frozen}


def build(text, backend=layers.Layer.backend, dtype="float32"):
    """The layer that is written so, on that backend."""
    return eval(text, vars(layers) | NAMES).to(backend).astype(dtype)


def is_random(text):
    return re.search(r"(Dropout\w*\(p|StochasticDepth\(p|dropout)=0\.3", text) is not None and not is_frozen(text)


def takes_integers(shape):
    """Whether an input is of integers."""
    return isinstance(shape, Integers) or isinstance(shape, dict) and any(map(takes_integers, shape.values()))


def is_frozen(text):
    """Whether all norms and dropouts are."""
    return text.startswith(("frozen(", "freeze("))


def arrays(shape, dtype="float32", seed=0):
    """An input of distinct values, none near zero, in random order; several for several shapes."""
    if isinstance(shape, dict):
        return {name: arrays(one, dtype, seed + i) for i, (name, one) in enumerate(shape.items())}
    if isinstance(shape, Integers):
        return np.random.default_rng(seed).integers(0, 5, shape)
    shapes, form = trees.shapes(shape)
    return trees.build(form, [numbers(one, dtype, seed + i) for i, one in enumerate(shapes)])


def numbers(shape, dtype, seed):
    values = np.linspace(-1.5, 1.5, 2 * np.prod(shape))[::2]
    return np.random.default_rng(seed).permutation(values).reshape(shape).astype(dtype)


def gradients(layer, x, dy):
    """y and the gradients of the inputs, as lists, and those of the parameters that are trained."""
    y = layer.forward(x, training=True)
    dx = layer.backward(dy)
    assert trees.form(dx) == trees.form(x)
    assert all(one is not None or given.dtype.kind == "i"
               for one, given in zip(trees.flat(dx), trees.flat(x), strict=True))
    assert all(parameter.grad is None for parameter in layer.parameters() if not parameter.requires_grad)
    dxs = [one for one in trees.flat(dx) if one is not None]
    return trees.flat(y), dxs, [parameter.grad for parameter in trained(layer)]


def trained(layer):
    return [parameter for parameter in layer.parameters() if parameter.requires_grad]


def numeric_gradients(layer, x, dy, step=1e-6):
    """d sum(y dy) / d value by central differences, for each input, but for those of integers, and each trained
    parameter of a copy of `layer`."""
    layer = copy.deepcopy(layer)
    x = copy.deepcopy(x)

    def value():
        # A fresh copy each time, so that running statistics and Dropout's generator stand where they stood.
        with plainly():
            y = copy.deepcopy(layer).forward(x, training=True)
        return sum(np.sum(a * b) for a, b in zip(trees.flat(y), trees.flat(dy), strict=True))

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

    return ([differentiate(array) for array in trees.flat(x) if array.dtype.kind == "f"],
            [differentiate(parameter.value) for parameter in trained(layer)])


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
