"""Which images of a net are kept as bfloat16 at inference, and that no more than their numbers is rounded."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config

import fastnet
from fastnet.kernels import bfloat16_products, exact
from fastnet.kernels.cpu import simd
from fastnet.layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
)
from tests.program import shortened

pytestmark = pytest.mark.usefixtures("late")
AMX = pytest.mark.skipif(not simd.AMX or config.DISABLE_JIT, reason="needs a processor with AMX")
SHAPE = 2, 3, 24, 24


def stem(channels=32):
    return [Conv2d(3, channels, 3, padding=1), ReLU()]


def conv(channels, out, *more, size=3):
    return Sequential(Conv2d(channels, out, size, padding=size // 2), BatchNorm2d(out), *more)


# A net, and what reads short images and makes them: (operation, its `short`).
NETS = {
    "row": (lambda: [*stem(), conv(32, 64, ReLU()), conv(64, 32, SiLU()), Conv2d(32, 8, 1)],
            [("conv2d_short", ("y",)), *[("conv2d_short", ("x", "y"))] * 2, ("conv2d_short", ("x",))]),
    "sums": (lambda: [*stem(), Residual(Sequential(conv(32, 32, ReLU()), conv(32, 32))), ReLU(),
                      Residual(Sequential(conv(32, 32, ReLU()), conv(32, 32))), AdaptiveAvgPool2d(1), Flatten(),
                      Linear(32, 5)],
             [("conv2d_short", ("y",)), *[("conv2d_short", ("x", "y"))] * 4, ("lengthen", None)]),
    "pools": (lambda: [*stem(), MaxPool2d(3, 2, padding=1), conv(32, 64, ReLU()), MaxPool2d(2), conv(64, 32),
                       Flatten(), Linear(32 * 36, 5)],
              [("conv2d_short", ("y",)), ("maxpool2d_short", None), ("conv2d_short", ("x", "y")),
               ("maxpool2d_short", None), ("conv2d_short", ("x",))]),
    "branches": (lambda: [*stem(), Parallel(Concat(), conv(32, 32, ReLU(), size=1), conv(32, 48, ReLU()),
                                            Sequential(MaxPool2d(3, 1, padding=1), conv(32, 16, ReLU(), size=1))),
                          conv(96, 40, ReLU(), size=1), Conv2d(40, 5, 1)],
                 [("conv2d_short", ("y",)), *[("conv2d_short", ("x", "y"))] * 2, ("maxpool2d_short", None),
                  ("conv2d_short", ("x", "y")), ("concat", None), ("conv2d_short", ("x",))]),
    # The shortcut of few channels is read as images that matrices are made of, and added: short for both or for none.
    "few channels twice": (lambda: [Conv2d(3, 8, 3, padding=1), ReLU(), Residual(Conv2d(8, 8, 3, padding=1)),
                                    MaxPool2d(2), Conv2d(8, 16, 3), ReLU(), Conv2d(16, 8, 3)],
                           [("conv2d_short", ("y",)), ("conv2d_short", ("x",))]),
    "odd": (lambda: [*stem(33), conv(33, 35, ReLU()), Conv2d(35, 8, 1)], []),
    "groups": (lambda: [*stem(64), Conv2d(64, 66, 3, groups=2), ReLU(), Conv2d(66, 32, 1)],
               [("conv2d_short", ("y",)), ("conv2d_short", ("x",))]),
    "others in between": (lambda: [*stem(), Sigmoid(), BatchNorm2d(32), Residual(Sigmoid()), conv(32, 8)], []),
}


@AMX
@pytest.mark.parametrize("name", NETS)
def test_images_between_convolutions_are_short(name):
    layers, wanted = NETS[name]
    net, x = shortened.made(layers()), shortened.images(SHAPE)
    with bfloat16_products():
        nodes = net.program(SHAPE).after.nodes
        found = [(node.op, node.options.get("short")) for node in nodes
                 if "short" in node.options or any(value.short for value in (*node.results, *node.values()))]
        shapes = [row[1] for row in fastnet.explain(net, SHAPE).rows if not row[2][:1] == ["float32 again"]]
        shortened.check(net, x)
    assert found == wanted
    with exact():
        assert {row[1] for row in fastnet.explain(net, SHAPE).rows} <= set(shapes)  # of what the words stand for


@AMX
def test_an_image_that_few_read_short_stays_as_it_is():
    """One that is written by and added to what knows no words would be converted again and again."""
    net = shortened.made([*stem(), Residual(Sigmoid()), Residual(Sigmoid()), Residual(conv(32, 32)), Sigmoid()])
    with bfloat16_products():
        assert "short" not in str(net.program(SHAPE))
        shortened.check(net, shortened.images(SHAPE))


@AMX
def test_nothing_is_short_elsewhere():
    net, x = shortened.made(NETS["sums"][0]()), shortened.images(SHAPE)
    assert "short" not in str(net.program(SHAPE))
    with exact():
        assert "short" not in str(net.program(SHAPE))
    with bfloat16_products():
        assert "short" in str(net.program(SHAPE))
        assert "short" not in str(net.program(SHAPE, training=True))
        assert "short" not in str(net.astype("float64").program(SHAPE, dtype="float64"))
    before = fastnet.activations(net, x.astype(np.float64))
    with bfloat16_products():
        for name, array in fastnet.activations(net, x.astype(np.float64)).items():
            np.testing.assert_allclose(array, before[name], rtol=1e-12)


@AMX
def test_convolutions_alone_see_the_same_numbers():
    """They round what they read anyway, so that nothing changes where nobody else reads it."""
    net, x = shortened.made(NETS["row"][0]()), shortened.images(SHAPE)
    with bfloat16_products():
        short = net(x)
        np.testing.assert_array_equal(short, net(x))    # replayed
        with fastnet.plainly():
            plain = net(x)
    # Batch norms are folded into the weights, which are rounded after it.
    assert np.abs(short - plain).max() <= 0.01 * np.abs(plain).max()
    net = shortened.made([*stem(), Conv2d(32, 64, 3), ReLU(), Conv2d(64, 8, 1)])
    with bfloat16_products():
        short = net(x)
        with fastnet.plainly():
            np.testing.assert_array_equal(short, net(x))


@AMX
@pytest.mark.parametrize("n", [1, 3, 40, 2000])
def test_linear_layers_of_sealed_nets_multiply_bfloat16_numbers(n):
    """As if x and the weights had been rounded; 2000 x 300 numbers are more than one line of pixels holds."""
    net, x = shortened.made([Linear(300, 70), ReLU(), Linear(70, 12)]), shortened.images((n, 300))
    first, _, second = net
    with bfloat16_products():
        as_ever = net(x)
        assert "linear_inference" not in str(net.program(x.shape))
        fastnet.seal(net)
        assert str(net.program(x.shape)).count("linear_inference") == 2
        y = net(x)
        for _ in range(4):      # plainly, recorded, replayed, quickly
            np.testing.assert_array_equal(net(x), y)
        h = np.maximum(rounded(x) @ rounded(first.weight.value).T + first.bias.value, 0)
        wanted = rounded(h) @ rounded(second.weight.value).T + second.bias.value
        # A number between two of bfloat16 may become either one where sums were rounded in another order.
        assert np.abs(y - wanted).max() <= 2e-3 * np.abs(wanted).max() < np.abs(y - as_ever).max() * 2
        with fastnet.plainly():
            np.testing.assert_array_equal(net(x), as_ever)
        net.load_state_dict({name: 2 * value for name, value in net.state_dict().items()})
        assert "linear_inference" not in str(net.program(x.shape)) and np.abs(net(x)).max() > 2 * np.abs(y).max()
    fastnet.seal(net)
    assert "linear_inference" not in str(net.program(x.shape))
    with bfloat16_products():
        assert "matrices of bfloat16" in fastnet.explain(net, x.shape).rows[0][2][0]
        assert "linear_inference" not in str(net.program(x.shape, training=True))


def rounded(array):
    """Each number as the nearest of bfloat16, of two that are as near the even one."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def test_in_plain_python():
    """Where every place is checked, and on any processor."""
    done = subprocess.run([sys.executable, "-m", "tests.program.shortened"], cwd=Path(__file__).parents[2],
                          env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["conv2d_short", "maxpool2d_short", "conv2d_short", "conv2d_short",
                                   "concat", "conv2d_short"]
