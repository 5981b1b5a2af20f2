"""A convolution that pools as it writes is the convolution and the pooling one after the other, to the last bit."""
import numpy as np
import pytest

from fastnet import kernels

from . import cases
from .judge import assert_same
from .test_bad_input import COVERS, TABLE

HALF = (2, 2), (2, 2), (0, 0, 0, 0)
WINOGRAD = [  # whole tiles and cut ones, an odd pixel that no window reaches, all widths of panels, both tile sizes
    cases.conv("even", (3, 16, 8, 12), (16, 16, 3, 3), padding=(1, 1, 1, 1)),
    cases.conv("odd", (2, 20, 11, 13), (37, 20, 3, 3), padding=(1, 1, 1, 1)),
    cases.conv("cut", (2, 48, 14, 10), (64, 48, 3, 3), padding=(1, 1, 1, 1), bias=False),
    cases.conv("one-image", (1, 32, 16, 16), (96, 32, 3, 3), padding=(1, 1, 1, 1)),
    cases.conv("5x5", (2, 33, 9, 12), (33, 33, 5, 5), padding=(2, 2, 2, 2)),
    cases.conv("many-tiles", (16, 16, 32, 32), (24, 16, 3, 3), padding=(1, 1, 1, 1)),
]


def pools(case):
    (_, _, *image), (_, _, *kernel) = case.shapes[:2]
    stride, (top, bottom, left, right), dilation, _ = cases.geometry(case)
    sides = zip(image, kernel, stride, (top + bottom, left + right), dilation, strict=True)
    return all((side + pad - apart * (size - 1) - 1) // step + 1 >= 2 for side, size, step, pad, apart in sides)


def one_by_one(ops, x, w, b, where, relu):
    return ops.maxpool2d_forward(ops.conv2d_forward(x, w, b, *where), *HALF, relu=relu)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("case", [case for case in cases.CONVOLUTIONS if pools(case)], ids=cases.name)
def test_same_as_one_after_the_other(case, dtype):
    ops, (x, w, b) = kernels.load("cpu"), cases.operands(case, cases.reals, dtype)
    where = cases.geometry(case)
    for relu in (False, True):
        wanted = one_by_one(ops, x, w, b, where, relu)
        for ours, theirs in zip(ops.conv2d_maxpool_forward(x, w, b, *where, relu), wanted, strict=True):
            assert_same(ours, theirs)
        assert_same(ops.conv2d_maxpool_inference(x, ops.conv2d_pack(w, b), *where, relu), wanted[0])


@pytest.mark.parametrize("case", WINOGRAD, ids=cases.name)
def test_winograd(case):
    ops, (x, w, b) = kernels.load("cpu"), cases.operands(case, cases.reals, np.float32)
    where = cases.geometry(case)
    assert ops.conv2d_algorithm("forward", x.dtype, x.shape, w.shape, *where)[0].startswith("Winograd")
    x[0, :, 1, 2] = np.nan
    x[-1, 0, 5, 3] = np.inf
    for relu in (False, True):
        wanted = one_by_one(ops, x, w, b, where, relu)
        for ours, theirs in zip(ops.conv2d_maxpool_forward(x, w, b, *where, relu), wanted, strict=True):
            assert_same(ours, theirs)


@pytest.mark.parametrize("what", TABLE["conv2d_forward"])
def test_refuses_what_conv2d_forward_refuses(what):
    ops = kernels.load("cpu")
    (x, w, *b), options, message = TABLE["conv2d_forward"][what]
    with pytest.raises((ValueError, TypeError)) as error:
        ops.conv2d_maxpool_forward(x, w, *b, **options)
    assert str(error.value) == message
    with pytest.raises((ValueError, TypeError)) as error:
        ops.conv2d_maxpool_inference(x, ops.conv2d_pack(w, *b), **options)
    assert str(error.value) == message


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("window", [((2, 2), (2, 2), (0, 0, 0, 0)), ((3, 2), (2, 1), (1, 1, 0, 1))])
def test_pooling_with_a_relu(dtype, window):
    """y is that of a ReLU before or behind it; no gradient passes where it is 0."""
    ops, x = kernels.load("cpu"), np.random.default_rng(0).standard_normal((3, 17, 9, 8)).astype(dtype) - 1
    x[0, 1, 2, 3], x[1, 2, 5, 5] = np.nan, np.inf
    y, index = ops.maxpool2d_forward(x, *window, relu=True)
    plain, places = ops.maxpool2d_forward(x, *window)
    assert_same(y, ops.activation_forward(plain, "relu"))
    assert_same(y, ops.maxpool2d_forward(ops.activation_forward(x, "relu"), *window)[0])
    assert (y == 0).any()
    assert_same(index, np.where(y == 0, np.iinfo(index.dtype).max, places).astype(index.dtype))


def test_refuses_an_image_of_one_pixel():
    ops = kernels.load("cpu")
    x, w = np.ones((1, 2, 3, 4), np.float32), np.ones((5, 2, 3, 3), np.float32)
    with pytest.raises(ValueError) as error:
        ops.conv2d_maxpool_forward(x, w)
    assert str(error.value) == COVERS.format("2 x 2", "1 x 2")
