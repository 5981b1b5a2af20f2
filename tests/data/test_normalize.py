import re

import numpy as np
import pytest

from fastnet.data import Normalize

RNG = np.random.default_rng(11)
UINT8 = RNG.integers(0, 256, (2500, 3, 4, 5), np.uint8)  # more than two chunks
FLOAT = (RNG.standard_normal((50, 2, 4, 5)) * 3 + 1000).astype(np.float32)


@pytest.mark.parametrize("images", [UINT8, FLOAT], ids=["uint8", "float"])
def test_per_channel(images):
    exact = images.astype(np.float64)
    normalize = Normalize.per_channel(images)
    np.testing.assert_allclose(normalize.mean, exact.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(normalize.std, exact.std(axis=(0, 2, 3)), rtol=1e-9)
    expected = (exact - normalize.mean[:, None, None]) / normalize.std[:, None, None]
    result = normalize(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=2e-7 * np.abs(images.max() / normalize.std.min()))


def test_mean_image():
    normalize = Normalize.mean_image(UINT8)
    result = normalize(UINT8)
    np.testing.assert_allclose(normalize.mean, UINT8.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(axis=(0, 2, 3)), 1, rtol=1e-5)


def test_min_max():
    result = Normalize.min_max(FLOAT)(FLOAT)
    np.testing.assert_allclose(result.min(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(result.max(axis=(0, 2, 3)), 1, atol=1e-4)


@pytest.mark.parametrize("fit", [Normalize.per_channel, Normalize.mean_image, Normalize.min_max])
def test_a_constant_channel_is_only_centred(fit):
    assert (fit(np.full((4, 1, 2, 2), 7, np.uint8))(np.full((1, 1, 2, 2), 9, np.uint8)) == 2).all()


@pytest.mark.parametrize("fit", [Normalize.per_channel, Normalize.mean_image, Normalize.min_max])
def test_a_channel_whose_mean_is_rounded_is_constant_all_the_same(fit):
    """A thousand times 0.1 do not add up to a hundred: what is left is no deviation."""
    images = np.full((1000, 1, 3, 3), 0.1, np.float32)
    np.testing.assert_allclose(fit(images).std, 1)
    np.testing.assert_allclose(fit(images)(images), 0, atol=1e-8)


@pytest.mark.parametrize(("images", "error", "message"), [
    (np.zeros(2), ValueError, "x must have shape (N, C, ...), one number at least, got (2,)"),
    (np.full((3, 2), np.nan), ValueError, "x must be finite, in single precision too, and sample 0 is not"),
    (np.zeros((0, 3, 4, 4)), ValueError, "x must hold one pixel at least, got shape (0, 3, 4, 4)"),
    (np.zeros((2, 3, 4, 4), np.int64), TypeError, "x must be uint8 or float, got an array of shape (2, 3, 4, 4)"),
    (np.where(np.arange(1030).reshape(-1, 1, 1, 1) == 1027, np.nan, 0), ValueError, "and sample 1027 is not"),
    (np.full((1, 1, 1, 1), np.inf), ValueError, "and sample 0 is not (NaN, infinity or beyond 3.4e38)"),
    (np.full((1, 1, 1, 1), 1e300), ValueError, "and sample 0 is not (NaN, infinity or beyond 3.4e38)"),
    ([[[[0.0]]]], TypeError, "x must be a NumPy array, got [[[[0.0]]]]: make one"),
    (np.ma.zeros((1, 1, 1, 1)), TypeError, "x is a masked array"),
    (np.zeros((2, 32, 32, 3)), ValueError, "which looks like channels-last: give images.transpose(0, 3"),
])
def test_bad_images(images, error, message):
    for call, name in ((Normalize.per_channel, "Normalize.per_channel"), (Normalize.mean_image, "Normalize.mean_image"),
                       (Normalize.min_max, "Normalize.min_max"), (Normalize([0], [1]), "Normalize")):
        with pytest.raises(error, match=re.escape(message)) as caught:
            call(images)
        assert str(caught.value).startswith(f"{name}: x ")


@pytest.mark.parametrize(("mean", "std", "error", "message"), [
    ([1, 2], [1, 2, 3], ValueError, "mean and std must have shapes (C,), or (C, ...) as a sample has, and (C,), got"),
    ([], [], ValueError, "mean and std must have shapes"),
    ([1, np.nan], [1, 1], ValueError, "mean must be finite"), ([1, 1], [1, 0], ValueError, "std must be finite and po"),
    ([1e39], [1], ValueError, "mean must be finite, in single"), ([1], [1e-39], ValueError, "std must be finite and p"),
    (None, [1], TypeError, "mean must be a NumPy array, got None"),
    (["a"], [1], TypeError, "mean must hold real numbers"), ([1], np.ma.ones(1), TypeError, "std is a masked array"),
    ([[1], [2, 3]], [1], TypeError, "mean must be an array of numbers"),
])
def test_bad_statistics(mean, std, error, message):
    with pytest.raises(error, match=re.escape("Normalize: " + message)):
        Normalize(mean, std)


def test_images_of_another_shape():
    with pytest.raises(ValueError, match=re.escape("fitted to 3 channels, got x of shape (N, 2, 4, 5)")):
        Normalize.per_channel(UINT8)(FLOAT)
    with pytest.raises(ValueError, match=re.escape("fitted to a mean of shape (3, 4, 5), got")):
        Normalize.mean_image(UINT8)(UINT8[:, :, :2])


def test_half_precision_knows_infinity():
    """Its numbers are compared with none that float16 does not have."""
    normalize = Normalize(np.zeros(1), np.ones(1))
    np.testing.assert_array_equal(normalize(np.array([[6e4], [-2]], np.float16)), [[6e4], [-2]])
    with pytest.raises(ValueError, match="x must be finite, in single precision too, and sample 1 is not"):
        normalize(np.array([[1], [np.inf]], np.float16))


def test_repr():
    assert repr(Normalize([1, 2.123], [3, 4])) == "Normalize(2 channels, mean=[1.0, 2.12], std=[3.0, 4.0])"


@pytest.mark.parametrize("fit", [Normalize.per_channel, Normalize.mean_image, Normalize.min_max])
def test_inverse_gives_back_what_was_normalised(fit):
    for images, tolerance in ((UINT8, 1e-4), (FLOAT, 1e-3)):
        normalize = fit(images)
        found = normalize.inverse(normalize(images))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, images, atol=tolerance)
    with pytest.raises(ValueError, match="^Normalize was fitted to .*, got x of shape"):
        normalize.inverse(UINT8)
