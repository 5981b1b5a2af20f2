"""Nets whose images are bfloat16 between convolutions, beside the same nets layer by layer.

    NUMBA_DISABLE_JIT=1 python -m tests.program.shortened

does it in plain Python, on any processor, and prints the operations that read or make short images.
"""
import numpy as np

import fastnet
from fastnet.kernels import bfloat16_products
from fastnet.kernels.cpu import simd
from fastnet.layers import BatchNorm2d, Concat, Conv2d, MaxPool2d, Parallel, ReLU, Residual, Sequential


def made(layers):
    """A net whose norms do something."""
    fastnet.manual_seed(0)
    net, rng = Sequential(*layers), np.random.default_rng(0)
    for _, layer in net.named_layers():
        if isinstance(layer, BatchNorm2d):
            layer.running_mean = rng.standard_normal(layer.running_mean.shape).astype(np.float32) / 4
            layer.running_var = rng.uniform(0.5, 2, layer.running_var.shape).astype(np.float32)
    return net


def images(shape):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def check(net, x):
    """The same, up to rounding, as layer by layer and as in float32; and the same each time."""
    y = net(x)
    for _ in range(3):
        _compare(net(x), y, 0)
    with fastnet.plainly():
        _compare(net(x), y, 0.03)
    with fastnet.exact():
        _compare(net(x), y, 0.03)


def _compare(found, wanted, tolerance):
    for one, other in zip(*(y if isinstance(y, tuple) else (y,) for y in (found, wanted)), strict=True):
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max()


if __name__ == "__main__":
    simd.AMX = True
    sums = Sequential(Residual(Sequential(Conv2d(16, 16, 3, padding=1), BatchNorm2d(16))), ReLU())
    net = made([Conv2d(3, 16, 3, padding=1), ReLU(), MaxPool2d(3, 2),
                Parallel(Concat(), sums, Conv2d(16, 8, 3, padding=1)), Conv2d(24, 16, 3), ReLU()])
    with bfloat16_products():
        check(net, images((1, 3, 8, 8)))
        for node in net.program((1, 3, 8, 8)).after.nodes:
            if any(value.short for value in (*node.results, *node.values())):
                print(node.op)
