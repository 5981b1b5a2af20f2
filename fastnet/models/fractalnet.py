"""FractalNet: paths of several depths side by side, and no shortcut."""
from fastnet import arguments, init
from fastnet.layers import Add, AvgPool2d, Dropout, Flatten, Graph, Linear, MaxPool2d, Sequential, StochasticDepth
from fastnet.models.blocks import conv_norm, model, scaled, start

_CHANNELS = (64, 128, 256, 512, 512)    # of the five blocks
_DROPOUT = (0.0, 0.1, 0.2, 0.3, 0.4)    # behind each


@model(3, 32, 32)
def fractalnet(num_classes=10, in_channels=3, width=1.0, columns=3, drop_path=0.15):
    """FractalNet for CIFAR-10 of five blocks: with three columns 20 layers deep, 33,724,618 parameters, x (N, 3, 32,
    32), or (N, 3, H, W) with H and W from 32 to 63. `width` multiplies all channels.

    A block of one column is a 3x3 convolution; one of C columns is two of C - 1 columns in a row, beside one more
    convolution. Where columns meet, the mean of all is taken. Larsson et al., FractalNet: Ultra-Deep Neural Networks
    without Residuals (2017), sections 3 and 4.1; other implementations have as many parameters, comparisons such as
    that of Huang et al. (2017, table 2) say 38.6 million. In training a join leaves out each column but the deepest
    with probability `drop_path` for each sample, and divides by 1 - drop_path; theirs leaves out any but one.
    Convolutions start as He et al. (2015) advise. torchvision has no such net. ValueError for more than eight columns.

    >>> fractalnet.input_shape
    (3, 32, 32)
    """
    columns = arguments.integer(columns, "fractalnet: columns", 1, 8)
    layers, before = [], in_channels
    for channels, dropout in zip(_CHANNELS, _DROPOUT, strict=True):
        channels, nodes = scaled(channels, width), {}
        _join(nodes, _fractal(nodes, columns, "input", before, channels, drop_path), drop_path)
        layers += [Graph(nodes), *([Dropout(dropout)] if dropout else []), MaxPool2d(2)]
        before = channels
    return start(Sequential(*layers, Flatten(), Linear(before, num_classes)), init.kaiming_normal)


def _fractal(nodes, columns, source, before, channels, drop_path):
    """Add to `nodes` a block of so many columns that reads `source`; the names of the entries that meet at its end,
    the deepest last."""
    name = f"conv{columns}_{sum(known.startswith(f'conv{columns}_') for known in nodes) + 1}"
    nodes[name] = (conv_norm(before, channels), source)
    if columns == 1:
        return [name]
    middle = _join(nodes, _fractal(nodes, columns - 1, source, before, channels, drop_path), drop_path)
    return [name, *_fractal(nodes, columns - 1, middle, channels, channels, drop_path)]


def _join(nodes, ends, drop_path):
    """Add the mean of some entries; its name."""
    if len(ends) == 1:
        return ends[0]
    *others, deepest = ends
    if drop_path:
        nodes.update({f"drop_{end}": (StochasticDepth(drop_path, "row"), end) for end in others})
        others = [f"drop_{end}" for end in others]
    nodes[f"sum_{deepest}"] = (Add(), [*others, deepest])
    nodes[f"join_{deepest}"] = (AvgPool2d(1, divisor_override=len(ends)), f"sum_{deepest}")
    return f"join_{deepest}"
