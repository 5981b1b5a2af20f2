"""What is written past the caches has the bits of what is not, for any number of threads."""
import numba
import numpy as np
import pytest

from fastnet.kernels import naive
from fastnet.kernels.activations import reads
from fastnet.kernels.cpu import (
    activation_backward,
    activation_forward,
    add,
    avgpool2d_backward,
    avgpool2d_forward,
    batchnorm_backward,
    batchnorm_forward,
    batchnorm_inference,
    channel_shuffle,
    concat,
    groupnorm_backward,
    groupnorm_forward,
    layernorm_backward,
    layernorm_forward,
    multiply,
    permute,
    spans,
    split,
)
from fastnet.kernels.cpu.activations import COMPILED

SIZE = spans.FAR // 4 + 16_384 + 5      # numbers of float32, the last vector not full


@pytest.fixture(params=[1, 2])
def threads(request):
    before = numba.get_num_threads()
    numba.set_num_threads(min(request.param, numba.config.NUMBA_NUM_THREADS))
    yield
    numba.set_num_threads(before)


def numbers(seed):
    return np.random.default_rng(seed).standard_normal(SIZE, dtype=np.float32)


def in_parts(operation, *arrays):
    step = SIZE // 8
    return np.concatenate([operation(*(array[i: i + step] for array in arrays)) for i in range(0, SIZE, step)])


def assert_bits(ours, theirs):
    np.testing.assert_array_equal(ours.view(np.int32), theirs.view(np.int32))


@pytest.mark.parametrize("function", ["relu", "hardtanh", "gelu", "sigmoid"])
def test_activations(function, threads):
    assert function in COMPILED
    x, dy = numbers(0), numbers(1)
    y = activation_forward(x, function, -0.5, 0.5)
    assert_bits(y, in_parts(lambda x: activation_forward(x, function, -0.5, 0.5), x))
    kept = y if reads(function) == "y" else x
    assert_bits(activation_backward(dy, kept, function, -0.5, 0.5),
                in_parts(lambda dy, kept: activation_backward(dy, kept, function, -0.5, 0.5), dy, kept))


def test_what_only_moves(threads):
    a, b = numbers(0), numbers(1)
    assert_bits(add(a, b), a + b)
    assert_bits(multiply(a, b[:1]), a * b[:1])
    joined = concat([a, b, a[:7], b[:9], a[:5]], 0)
    assert_bits(joined, np.concatenate([a, b, a[:7], b[:9], a[:5]]))
    for part, whole in zip(split(joined, [SIZE, SIZE, 7, 9, 5], 0), [a, b, a[:7], b[:9], a[:5]], strict=True):
        assert_bits(part, whole)


@pytest.mark.parametrize("c", [64, 30])
def test_shuffled_channels(c, threads):
    """Whole cache lines, and what begins anywhere in one."""
    x = numbers(0)[: SIZE // c * c].reshape(-1, c, 1, 1)
    for groups in (2, c // 2):
        y = channel_shuffle(x, groups).reshape(-1, c)
        assert_bits(y, x.reshape(-1, groups, c // groups).transpose(0, 2, 1).reshape(-1, c))


def test_axes_in_another_order(threads):
    x = numbers(0)[: SIZE // 8192 * 8192].reshape(-1, 2, 64, 64)
    for dims in ((0, 2, 3, 1), (2, 1, 0, 3), (1, 0, 2, 3)):
        assert_bits(permute(x, dims), x.transpose(dims))


@pytest.fixture
def images():
    """(x, dy), images channels-last, each so large that it is written past the caches, and (gamma, beta)."""
    x, dy = (numbers(seed)[: SIZE // 2048 * 2048].reshape(-1, 8, 8, 32).transpose(0, 3, 1, 2) for seed in range(2))
    return x, dy, numbers(2)[:32], numbers(3)[:32]


@pytest.mark.parametrize("channels", [64, 80])
def test_group_norm_of_many_channels(channels, threads):
    """Four vectors side by side, and what is left of the channels behind these."""
    x = numbers(0)[: SIZE // (64 * channels) * 64 * channels].reshape(-1, 8, 8, channels).transpose(0, 3, 1, 2)
    gamma, beta, some = numbers(2)[:channels], numbers(3)[:channels], slice(500, 510)
    y, _, _ = groupnorm_forward(x, gamma, beta, 4, 1e-5)
    assert_bits(y[some], groupnorm_forward(x[some], gamma, beta, 4, 1e-5)[0])


@pytest.mark.parametrize("activation", [None, ("relu", 0.0, 0.0), ("sigmoid", 0.0, 0.0)])
def test_norms_of_samples(images, activation, threads):
    """Samples do not know of each other: all of them have the bits of a few."""
    x, dy, gamma, beta = images
    some = slice(1000, 1010)
    y, mean, var = groupnorm_forward(x, gamma, beta, 4, 1e-5, activation=activation)
    assert_bits(y[some], groupnorm_forward(x[some], gamma, beta, 4, 1e-5, activation=activation)[0])
    dx, _, _ = groupnorm_backward(dy, x, gamma, mean, var, 1e-5)
    assert_bits(dx[some], groupnorm_backward(dy[some], x[some], gamma, mean[some], var[some], 1e-5)[0])
    rows, drows = (array.transpose(0, 2, 3, 1).reshape(-1, 32) for array in (x, dy))
    y, mean, var = layernorm_forward(rows, gamma, beta, 1, 1e-5, activation=activation)
    assert_bits(y[some], layernorm_forward(rows[some], gamma, beta, 1, 1e-5, activation=activation)[0])
    dx, _, _ = layernorm_backward(drows, rows, gamma, mean, var, 1e-5)
    assert_bits(dx[some], layernorm_backward(drows[some], rows[some], gamma, mean[some], var[some], 1e-5)[0])


@pytest.mark.parametrize("activation", [None, ("relu", 0.0, 0.0), ("sigmoid", 0.0, 0.0)])
def test_batchnorm(images, activation, threads):
    """What is written is that of the naive one, wherever in the array it lies."""
    x, dy, gamma, beta = images
    y, mean, var = batchnorm_forward(x, gamma, beta, 1e-5, activation=activation)
    wanted, *_ = naive.batchnorm_forward(x, gamma, beta, 1e-5)
    if activation is not None:
        wanted = naive.activation_forward(wanted, *activation)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
    some = slice(1000, 1010)
    y = batchnorm_inference(x, gamma, beta, mean, var, 1e-5, activation=activation)
    assert_bits(y[some], batchnorm_inference(x[some], gamma, beta, mean, var, 1e-5, activation=activation))
    dx, _, _ = batchnorm_backward(dy, x, gamma, mean, var, 1e-5)
    np.testing.assert_allclose(dx, naive.batchnorm_backward(dy, x, gamma, mean, var, 1e-5)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel, stride, padding", [(2, 2, 0), (3, 2, 1), (4, 2, 1), (3, 3, 1), (3, 1, 1)])
def test_averages_go_back(images, kernel, stride, padding, threads):
    """Windows one by one, one or two by two, with gaps, and more; images do not know of each other."""
    x, _, _, _ = images
    geometry = (kernel,) * 2, (stride,) * 2, (padding,) * 4
    dy = avgpool2d_forward(x, *geometry)
    dx, some = avgpool2d_backward(dy, x.shape, *geometry), slice(1000, 1010)
    assert_bits(dx[some], avgpool2d_backward(dy[some], x[some].shape, *geometry))
    np.testing.assert_allclose(dx[some], naive.avgpool2d_backward(dy[some], x[some].shape, *geometry), rtol=1e-5,
                               atol=1e-6)
