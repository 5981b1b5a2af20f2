"""Means and variances that are found in one reading, relative to pivots, wherever the pivots happen to lie."""
import numpy as np
import pytest

from fastnet.kernels import load

# So many channels and pixels are one block of batch norm and one piece of group norm, on every machine.
CHANNELS, SIDE = 64, 16
# By how many deviations those pixels are off that a pivot is the mean of: nearly all numbers are nearer to the mean.
OFF = [0, 1, 1.9, 2.1, 3, 10, 1e5]


def numbers(off, dtype):
    """Images in which every 64th pixel, four of each image, is so many deviations off."""
    x = np.random.default_rng(0).standard_normal((3, SIDE * SIDE, CHANNELS)) + 5
    x[:, ::SIDE * SIDE // 4] += off
    return x.reshape(3, SIDE, SIDE, CHANNELS).astype(dtype).transpose(0, 3, 1, 2)


def batch(x):
    _, mean, var = load("cpu").batchnorm_forward(x, None, None, 1e-5)
    return mean, var


def groups(x):
    _, mean, var = load("cpu").groupnorm_forward(x, None, None, CHANNELS, 1e-5)
    return mean, var


@pytest.mark.parametrize("dtype, bound", [(np.float32, 2e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("off", OFF)
@pytest.mark.parametrize("moments, axes", [(batch, (0, 2, 3)), (groups, (2, 3))])
def test_pivots_far_from_the_mean(moments, axes, off, dtype, bound):
    x = numbers(off, dtype)
    mean, var = moments(x)
    wide = x.astype(np.longdouble)
    np.testing.assert_allclose(mean, wide.mean(axes), rtol=bound)
    np.testing.assert_allclose(var, wide.var(axes), rtol=bound)


@pytest.mark.parametrize("moments, axes", [(batch, (0, 2, 3)), (groups, (2, 3))])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_channel_leaves_the_others_alone(moments, axes, value):
    """Its pivot is no number, which must not keep the others' from being judged."""
    x = numbers(1e5, np.float32)
    x[0, 3, 0, 0] = value
    mean, var = moments(x)
    sound = np.delete(np.arange(CHANNELS), 3)
    others = x[:, sound].astype(float)
    for found, expected in ((mean, others.mean(axes)), (var, others.var(axes))):
        np.testing.assert_allclose(found[..., sound], expected, rtol=2e-6)
        assert not np.isfinite(found[..., 3]).all()


@pytest.mark.parametrize("channels, groups", [(5, 5), (70, 7), (128, 8), (130, 2)])
@pytest.mark.parametrize("rows", [1, 2, 3, 300])
def test_channels_that_are_no_whole_vectors(channels, groups, rows):
    """And few rows; of many, those that a pivot is made of are far off."""
    x = np.random.default_rng(0).standard_normal((2, rows, channels)).astype(np.float32)
    if rows > 4:
        x[:, ::rows // 4] += 1e4
    mean, var = batch(x.reshape(-1, channels))
    wide, ones = x.astype(float), np.ones(channels, np.float32)
    np.testing.assert_allclose(mean, wide.mean((0, 1)), rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(var, wide.var((0, 1)), rtol=2e-6, atol=1e-7)
    image = x.reshape(2, 1, rows, channels).transpose(0, 3, 1, 2)
    _, mean, var = load("cpu").groupnorm_forward(image, ones, ones, groups, 1e-5)
    wide = wide.reshape(2, rows, groups, -1)
    np.testing.assert_allclose(mean, wide.mean((1, 3)), rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(var, wide.var((1, 3)), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("moments, axes", [(batch, (0, 2, 3)), (groups, (2, 3))])
def test_squares_that_overflow_around_a_pivot_only(moments, axes):
    x = numbers(5e18, np.float32)
    x[1:] = x[:1]
    mean, var = moments(x)
    np.testing.assert_allclose(mean, x.astype(float).mean(axes), rtol=2e-6)
    np.testing.assert_allclose(var, x.astype(float).var(axes), rtol=2e-6)


def test_equal_numbers_have_no_variance():
    x = np.full((2, SIDE, SIDE, CHANNELS), 0.1, np.float32).transpose(0, 3, 1, 2)
    for mean, var in (batch(x), groups(x)):
        np.testing.assert_allclose(mean, np.float32(0.1), rtol=1e-7)
        assert var.max() < 1e-15
