"""Random configurations of every layer: PyTorch judges where it has the layer, finite differences in float64 where not.

A configuration that ever failed is kept in KEPT.
"""
import zlib

import numpy as np
import pytest

import fastnet
from fastnet.layers import Activation, Container, Layer, Merge
from fastnet.program import trees

from .battery import arrays, build, gradients, numeric_gradients
from .draws import DRAWS, Config
from .test_torch import compare

torch = pytest.importorskip("torch")

# PyTorch says that it copies there, which is its own affair.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")

KEPT = [
    Config("PReLU(num_parameters=1, init=-0.996)", (3, 18, 10, 3)),     # a gradient of 800 products that cancel
]

# Layers that are no layer by themselves, have no arguments to draw, or draw numbers of their own.
NOT_DRAWN = {"Dropout", "Dropout1d", "Dropout2d", "Recompute", "StochasticDepth"}


def configuration(name, number):
    """The configuration of that number."""
    return DRAWS[name](np.random.default_rng([zlib.crc32(name.encode()), number]))


def judge(config):
    """PyTorch, or finite differences, on one configuration."""
    x = arrays(config.shape, "float64", seed=1)
    if config.judge == "":
        layer = build(config.text, dtype="float64")
        dy = arrays(layer.output_shape(config.shape), "float64", seed=2)
        _, dxs, grads = gradients(layer, x, dy)
        wanted = numeric_gradients(layer, x, dy)
        for actual, expected in zip([*dxs, *grads], [*wanted[0], *wanted[1]], strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6 * max(1, np.abs(expected).max()))
        return
    for dtype, tolerance in (("float64", 1e-12), ("float32", 2e-5)):
        torch.manual_seed(0)    # for its weights, so that no ReLU is decided by another last bit each time
        other = eval(config.judge or config.text, vars(torch.nn) | {"torch": torch})
        given = trees.map(lambda one, dtype=dtype: one.astype(dtype) if one.dtype.kind == "f" else one, x)
        compare(build(config.text), other, given, tolerance, dtype)


@pytest.mark.parametrize("config", KEPT, ids=lambda config: config.text)
def test_kept(config):
    judge(config)


@pytest.mark.parametrize("name", DRAWS)
def test_some(name):
    for number in range(6):
        judge(configuration(name, number))


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWS)
def test_many(name):
    for number in range(6, 60):
        config = configuration(name, number)
        try:
            judge(config)
        except Exception as error:
            raise AssertionError(f"{config}") from error


def test_every_layer_is_drawn():
    """A layer that is in the public names has a draw, unless it is made of other layers."""
    public = {name for name, value in vars(fastnet.layers).items() if isinstance(value, type)
              and issubclass(value, Layer) and not issubclass(value, (Container, Merge))}
    assert public - {"Layer", Activation.__name__} - NOT_DRAWN == set(DRAWS)


def test_a_wrong_layer_is_noticed():
    with pytest.raises(AssertionError):
        judge(Config("Sigmoid()", (3, 4), "Tanh()"))
