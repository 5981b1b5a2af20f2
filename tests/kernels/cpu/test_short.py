"""Images of bfloat16 numbers, two to a word, outside of convolutions, whose own are in test_amx."""
import numpy as np
import pytest

from fastnet.kernels import bfloat16_products, load
from tests.kernels.cpu import amx

cpu = load("cpu")
WHERE = (1, 1), (0, 0, 0, 0), (1, 1), 1


@pytest.fixture(params=[(1, 2, 1, 1), (2, 34, 9, 7), (3, 66, 30, 41)], ids=str)
def x(request):
    x = np.random.default_rng(0).standard_normal(request.param, np.float32)
    x.flat[0] = np.nan
    return x


def test_numbers_are_rounded_to_nearest(x):
    short = cpu.shorten(x)
    assert short.shape == (x.shape[0], x.shape[1] // 2, *x.shape[2:])
    np.testing.assert_array_equal(cpu.lengthen(short), amx.rounded(x))


def test_ties_go_to_even():
    x = np.uint32([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF]).view(np.float32).reshape(1, 4, 1, 1)
    found = cpu.lengthen(cpu.shorten(x)).reshape(-1).view(np.uint32)
    assert [hex(bits) for bits in found] == ["0x3f800000", "0x3f820000", "0x3f810000", "0x3f800000"]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("options", [
    ((3, 3), (2, 2), (1, 1, 1, 1)), ((2, 2), (2, 2)), ((3, 2), (1, 1), (1, 0, 0, 1)),
    ((3, 3), (2, 2), (0, 0, 0, 0), (1, 1), True), ((2, 3), (1, 2), (1, 1, 0, 2), (2, 1))])
def test_pooling_is_that_of_the_numbers(x, options, relu):
    if min(x.shape[2:]) < 5:
        x = np.tile(x, (1, 1, 5, 5))
    y, _ = cpu.maxpool2d_forward(amx.rounded(x).astype(np.float32), *options, relu=relu)
    np.testing.assert_array_equal(cpu.lengthen(cpu.maxpool2d_short(cpu.shorten(x), *options, relu=relu)), y)


def test_odd_channels_have_no_words():
    with pytest.raises(ValueError, match="even number of channels, these have 3"):
        cpu.shorten(np.zeros((1, 3, 2, 2), np.float32))


def test_ways_that_know_no_words_refuse_them():
    x, packed = np.zeros((1, 8, 5, 5), np.float32), cpu.conv2d_pack(np.zeros((16, 16, 3, 3), np.float32))
    with pytest.raises(ValueError, match="no way of computing this convolution reads and writes such short images"):
        cpu.conv2d_short(x, packed, ("x",), WHERE)
    few = cpu.conv2d_pack(np.zeros((16, 4, 3, 3), np.float32))
    with bfloat16_products(), pytest.raises(ValueError, match="such short images"):
        cpu.conv2d_short(np.zeros((1, 2, 5, 5), np.float32), few, ("x", "y"), WHERE)
