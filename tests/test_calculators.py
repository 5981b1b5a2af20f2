"""The calculators, with the values of the courses."""

import numpy as np
import pytest

from fastnet import (
    Concat,
    Conv2d,
    Linear,
    LocallyConnected2d,
    MaxPool2d,
    Parallel,
    ReLU,
    Sequential,
    init,
    models,
    summary,
)
from fastnet.calculators import conv_parameters, output_size, receptive_field


def test_output_size():
    assert output_size(7, 3) == 5 and output_size(7, 3, 0, 2) == 3 and output_size(7, 3, 1, 1) == 7
    assert output_size(32, 5, 2) == 32 and output_size(227, 11, 0, 4) == 55 and output_size(55, 3, 0, 2) == 27
    assert output_size(7, 3, 0, 3) == 2     # rounded down
    for exact in (True, False):
        assert output_size(10, 3, 0, 1, exact=exact) == 8
    with pytest.raises(ValueError, match=r"^output_size: stride must divide W - F \+ 2 P = 10 - 3 \+ 2 \* 0 = 7, got "
                                         r"2: 1 pixels would never be seen; an input_size of 9 or 11 fits$"):
        output_size(10, 3, 0, 2, exact=True)
    assert output_size(9, 3, 0, 2, exact=True) == 4 and output_size(11, 3, 0, 2, exact=True) == 5
    with pytest.raises(
            ValueError, match="^output_size: kernel_size must fit into input_size, got a window over 11 pixels for 8"):
        output_size(8, 6, 1, dilation=2)


def test_output_size_is_that_of_a_layer():
    rng = np.random.default_rng(0)
    for _ in range(100):
        size, kernel, padding, stride, dilation = (int(rng.integers(*bounds)) for bounds in
                                                   ((12, 30), (1, 5), (0, 4), (1, 5), (1, 4)))
        layer = Conv2d(1, 1, kernel, stride, padding, dilation)
        assert output_size(size, kernel, padding, stride, dilation) == layer.output_shape((1, 1, size, size))[2]


def test_parameters():
    assert conv_parameters(3, 96, 11) == 34_944 == size(Conv2d(3, 96, 11))
    assert conv_parameters(3, 96, 11, places=(55, 55)) == 34_944 * 3025
    assert conv_parameters(4, 6, (3, 1), groups=2, bias=False) == size(Conv2d(4, 6, (3, 1), groups=2, bias=False))
    assert conv_parameters(2, 3, 3, places=(4, 5)) == size(LocallyConnected2d(2, 3, (6, 7), 3))
    assert conv_parameters(2, 3, 3, places=20) == conv_parameters(2, 3, 3, places=(4, 5))
    with pytest.raises(ValueError, match="^conv_parameters: groups must divide in_channels and out_channels, got 2"):
        conv_parameters(4, 3, 3, groups=2)


def size(net):
    return sum(parameter.size for parameter in net.parameters())


def test_stacked_kernels():
    """Three 3x3 see what one 7x7 sees, with 27 C^2 parameters in place of 49 C^2."""
    assert receptive_field([3, 3, 3]) == receptive_field([7]) == 7 and receptive_field([3, 3]) == 5
    assert 3 * conv_parameters(64, 64, 3, bias=False) == 27 * 64**2
    assert conv_parameters(64, 64, 7, bias=False) == 49 * 64**2
    assert receptive_field([]) == 1 and receptive_field([(3, 2), (3, 2, 2)]) == 11
    assert receptive_field([(11, 4), (3, 2), 5, (3, 2), 3, 3, 3, (3, 2)]) == 195    # AlexNet's features
    for wrong, text in (([0], r"windows\[0\]"), ([(3, 2, 1, 1)], r"windows\[0\]"), (3, "windows"),
                        ([2, "x"], r"windows\[1\]")):
        with pytest.raises((TypeError, ValueError), match=f"^receptive_field: {text} must be"):
            receptive_field(wrong)


def test_values_of_the_courses():
    """Nets of neurons 3-4-2 and 3-4-4-1; AlexNet's beginning; VGG-16; inception modules, naive and with bottlenecks."""
    assert size(Sequential(Linear(3, 4), Linear(4, 2))) == 26
    assert size(Sequential(Linear(3, 4), Linear(4, 4), Linear(4, 1))) == 41
    table = summary(Sequential(Conv2d(3, 96, 11, 4), ReLU(), MaxPool2d(3, 2)), (1, 3, 227, 227))
    assert table.rows[0][2:5] == ((1, 96, 55, 55), 34_944, 55 * 55 * 96 * 363)
    assert table.rows[2][2] == (1, 96, 27, 27) and table.rows[2][6] == (19, 19)
    with init.skip():
        table = summary(models.vgg16(), (1, 3, 224, 224))
    assert round(table.parameters / 1e6) == 138 and round(table.multiply_adds / 1e9, 1) == 15.5
    naive = Parallel(Concat(), Conv2d(256, 128, 1), Conv2d(256, 192, 3, padding=1), Conv2d(256, 96, 5, padding=2),
                     MaxPool2d(3, 1, 1))
    assert naive.output_shape((1, 256, 28, 28)) == (1, 672, 28, 28)
    assert naive.multiply_adds((1, 256, 28, 28)) == 28 * 28 * 256 * (128 + 9 * 192 + 25 * 96)   # 854 million
    with_bottlenecks = Parallel(
        Concat(), Conv2d(256, 128, 1), Sequential(Conv2d(256, 64, 1), Conv2d(64, 192, 3, padding=1)),
        Sequential(Conv2d(256, 64, 1), Conv2d(64, 96, 5, padding=2)),
        Sequential(MaxPool2d(3, 1, 1), Conv2d(256, 64, 1)))
    assert with_bottlenecks.output_shape((1, 256, 28, 28)) == (1, 480, 28, 28)
    assert round(with_bottlenecks.multiply_adds((1, 256, 28, 28)) / 1e6) == 271
