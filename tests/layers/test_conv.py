"""Values of convolutions that can be worked out by hand, the flipped ones of mathematics among them."""
import numpy as np
import pytest

from fastnet import Conv1d, Conv2d, ConvTranspose2d, LocallyConnected2d, plainly

X, ONES, POWERS = [1, 2, 3], [1, 1, 1], [1, 10, 100]
PADDINGS = [("valid", [6], [321]), ("same", [3, 6, 5], [210, 321, 32]),
            ("full", [1, 3, 6, 5, 3], [100, 210, 321, 32, 3])]


def sequence(numbers):
    return np.array(numbers, np.float32)[None, None]


def convolved(layer, kernel, x):
    """What the layer makes of x with that kernel, as numbers."""
    layer.weight.value = kernel
    return layer(x).ravel().tolist()


@pytest.mark.parametrize("backend", ["cpu", "naive"])
@pytest.mark.parametrize(("padding", "of_ones", "of_powers"), PADDINGS)
def test_cross_correlation_and_true_convolution(padding, of_ones, of_powers, backend):
    """What lies under the kernel as it stands; and flipped, as each layer's docstring tells, numpy.convolve."""
    sequences = Conv1d(1, 1, 3, padding=padding, bias=False).to(backend)
    images = Conv2d(1, 1, (1, 3), padding=padding, bias=False).to(backend)
    upright = Conv2d(1, 1, (3, 1), padding=padding, bias=False).to(backend)
    x = sequence(X)
    for kernel, wanted in ((ONES, of_ones), (POWERS, of_powers)):
        kernel = sequence(kernel)
        assert convolved(sequences, kernel, x) == wanted
        assert convolved(images, kernel[:, :, None], x[:, :, None]) == wanted
        true = np.convolve(X, kernel.ravel(), padding).tolist()
        assert convolved(sequences, kernel[:, :, ::-1], x) == true
        assert convolved(images, kernel[:, :, None][:, :, ::-1, ::-1], x[:, :, None]) == true
        assert convolved(upright, kernel[..., None][:, :, ::-1, ::-1], x[..., None]) == true
    assert true == {"valid": [123], "same": [12, 123, 230], "full": [1, 12, 123, 230, 300]}[padding]


def test_a_kernel_is_flipped_in_both_directions():
    """An impulse comes out as the kernel, and as the kernel turned by half a circle where it is not flipped."""
    kernel, x = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 2, 3), np.zeros((1, 1, 3, 5), np.float32)
    x[0, 0, 1, 2] = 1
    conv = Conv2d(1, 1, (2, 3), padding="valid", bias=False)
    assert convolved(conv, kernel[:, :, ::-1, ::-1], x) == kernel.ravel().tolist()
    assert convolved(conv, kernel, x) == kernel.ravel()[::-1].tolist()


def test_a_transposed_convolution_of_stride_1_is_the_full_true_one():
    rng = np.random.default_rng(0)
    x, kernel = rng.integers(-3, 4, (2, 3, 5, 6)).astype(np.float32), rng.integers(-3, 4, (3, 4, 3, 2))
    transposed = ConvTranspose2d(3, 4, (3, 2), bias=False)
    transposed.weight.value = kernel
    conv = Conv2d(3, 4, (3, 2), padding="full", bias=False)
    conv.weight.value = kernel.swapaxes(0, 1)[:, :, ::-1, ::-1]
    np.testing.assert_array_equal(transposed(x), conv(x))


@pytest.mark.parametrize("output_padding", [0, 1])
def test_a_transposed_convolution_goes_back_to_the_size(output_padding):
    """Both sizes from which a stride of 2 makes 4 x 4."""
    x = np.ones((1, 2, 7 + output_padding, 7 + output_padding), np.float32)
    half, back = Conv2d(2, 3, 3, 2, 1), ConvTranspose2d(3, 2, 3, 2, 1, output_padding)
    assert half(x).shape == (1, 3, 4, 4) and back(half(x)).shape == x.shape


def test_locally_connected_with_one_kernel_everywhere_is_a_convolution():
    rng = np.random.default_rng(0)
    x, kernel = rng.integers(-3, 4, (2, 3, 5, 6)).astype(np.float32), rng.integers(-3, 4, (4, 3, 3, 2))
    conv, local = Conv2d(3, 4, (3, 2), 2, 1), LocallyConnected2d(3, 4, (5, 6), (3, 2), 2, 1)
    conv.weight.value, conv.bias.value = kernel, np.arange(4)
    local.weight.value = np.broadcast_to(kernel.transpose(2, 3, 1, 0), local.weight.shape)
    local.bias.value = np.broadcast_to(np.arange(4)[:, None, None], local.bias.shape)
    assert local.weight.shape == (3, 4, 3, 2, 3, 4) and local.bias.shape == (4, 3, 4)
    np.testing.assert_array_equal(local.weight.value[1, 2].transpose(3, 2, 0, 1), kernel)
    y, wanted = (layer.forward(x, training=True) for layer in (local, conv))
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(local.backward(y), conv.backward(y))
    dw = local.weight.grad.sum((0, 1), dtype=np.float64).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(dw, conv.weight.grad)
    np.testing.assert_array_equal(local.bias.grad.sum((1, 2)), conv.bias.grad)


def test_a_sequence_is_an_image_of_one_row():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 20, 33), np.float32)
    one, two = Conv1d(20, 18, 5, 2, 3), Conv2d(20, 18, (1, 5), (1, 2), (0, 3))
    two.load_state_dict({"weight": one.weight.value[:, :, None], "bias": one.bias.value})
    for _ in range(4):      # computed one by one, recorded, replayed
        y, wanted = one.forward(x, training=True), two.forward(x[:, :, None], training=True)
        np.testing.assert_array_equal(y, wanted[:, :, 0])
        assert y.flags.c_contiguous
        np.testing.assert_array_equal(one.backward(y), two.backward(wanted)[:, :, 0])
        np.testing.assert_array_equal(one.weight.grad, two.weight.grad[:, :, 0])
        np.testing.assert_array_equal(one(x), two(x[:, :, None])[:, :, 0])
        with plainly():
            np.testing.assert_array_equal(one(x), y)
        one.weight.value = two.weight.value[:, :, 0] * np.float32(0.5)
        two.weight.value = two.weight.value * np.float32(0.5)


def test_options_may_be_assigned_where_the_weight_stays():
    layer = LocallyConnected2d(2, 3, (5, 6), 3, padding="valid")
    with np.testing.assert_raises_regex(ValueError, "^LocallyConnected2d: the weight has shape .*: make a new layer$"):
        layer.padding = 1
    layer.padding = 0
    back = ConvTranspose2d(2, 3, 3, stride=2, output_padding=1)
    with np.testing.assert_raises_regex(ValueError, "^ConvTranspose2d: output_padding must be smaller than the stride"):
        back.stride = 1
    back.output_padding = 0
    back.stride = 1
    assert back.output_shape((1, 2, 5, 5)) == (1, 3, 7, 7)
