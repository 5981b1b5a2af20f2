"""The shape rules by themselves: what they return; what they refuse is in test_bad_input.py."""
import numpy as np
import pytest

from fastnet.kernels import axes, checks, windows

PADDINGS = ('padding must be an integer, (vertical, horizontal), (top, bottom, left, right), "same", "valid" or '
            '"full", none of them negative, got ')


@pytest.mark.parametrize("padding, kernel_size, stride, dilation, wanted", [
    (0, (3, 3), (1, 1), (1, 1), (0, 0, 0, 0)),
    (2, (3, 3), (1, 1), (1, 1), (2, 2, 2, 2)),
    ((1, 2), (3, 3), (1, 1), (1, 1), (1, 1, 2, 2)),
    ([1, 2, 3, 4], (3, 3), (1, 1), (1, 1), (1, 2, 3, 4)),
    ("valid", (3, 5), (1, 1), (1, 1), (0, 0, 0, 0)),
    ("full", (3, 5), (1, 1), (1, 2), (2, 2, 8, 8)),
    ("same", (3, 5), (1, 1), (1, 1), (1, 1, 2, 2)),
    ("same", (4, 2), (1, 1), (1, 3), (1, 2, 1, 2)),
    ("same", (3, 3), (2, 2), (1, 1), (0, 1, 1, 1)),
    ("same", (1, 1), (2, 3), (1, 1), (0, 0, 0, 0)),
])
def test_padding(padding, kernel_size, stride, dilation, wanted):
    assert checks.resolve_padding(padding, kernel_size, stride, dilation, (10, 9)) == wanted


@pytest.mark.parametrize("size", range(1, 13))
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_same_padding_leaves_one_output_a_stride(size, stride, kernel):
    pads = checks.resolve_padding("same", (kernel, 1), (stride, 1), (2, 1), (size, 1))
    shape = checks.conv2d_shape((1, 1, size, 1), (1, 1, kernel, 1), (stride, 1), pads, (2, 1), 1)
    assert shape == (1, 1, -(-size // stride), 1)
    assert 0 <= pads[1] - pads[0] <= 1


@pytest.mark.parametrize("padding", [-1, (1, 2, 3), "some", None, 1.5, (1, -1), ("a", "b")])
def test_padding_refuses(padding):
    with pytest.raises(TypeError if padding in (None, 1.5, ("a", "b")) else ValueError) as error:
        checks.resolve_padding(padding, (3, 3), (1, 1), (1, 1), (10, 9))
    assert str(error.value) == f"{PADDINGS}{padding!r}"


def test_shapes():
    assert checks.conv2d_shape((1, 3, 227, 227), (96, 3, 11, 11), (4, 4), (0,) * 4, (1, 1), 1) == (1, 96, 55, 55)
    assert windows.pool2d_shape((1, 96, 55, 55), (3, 3), (2, 2), (0,) * 4) == (1, 96, 27, 27)
    assert checks.linear_shape((8, 3072), (10, 3072)) == (8, 10)
    # The naive inception module: 1x1, 3x3 and 5x5 convolutions and the pooled input side by side.
    assert axes.concat_shape([(1, channels, 28, 28) for channels in (128, 192, 96, 256)]) == (1, 672, 28, 28)


@pytest.mark.parametrize("dtype", ["uint8", "int8", ">i4", "int64", "uint64"])
def test_labels_become_int64(dtype):
    labels = checks.labels(np.array([3, 0, 9], dtype), (3,), 10)
    assert labels.dtype == np.int64 and labels.dtype.isnative
    assert labels.tolist() == [3, 0, 9]


def test_huge_unsigned_label_is_named():
    with pytest.raises(ValueError, match="^label 9223372036854775809 at position 0 is out of range: 10 classes"):
        checks.labels(np.array([2**63 + 1], np.uint64), (1,), 10)


@pytest.mark.parametrize("dtype, wanted", [
    ("float32", "float32"), ("float64", "float64"), (">f8", "float64"), (">f4", "float32"), ("float16", "float32"),
    ("bool", "float32"), ("int64", "float32"), ("uint8", "float32")])
def test_floating(dtype, wanted):
    array = np.array([0, 1], dtype)
    result = checks.floating(array, "x")
    assert result.dtype == wanted and result.dtype.isnative
    assert result.tolist() == [0, 1]
    assert (result is array) == (np.dtype(dtype) == wanted)
    assert checks.result_dtype(array, "x") is result.dtype
    assert checks.floating(array, "x", like=np.ones(1)).dtype == np.float64
    assert checks.optional(array, "x", like=np.ones(1)).dtype == np.float64


def test_what_was_left_out_stays_so():
    assert checks.optional(None, "b", like=np.ones(1)) is None
