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


@pytest.mark.parametrize(("images", "error", "message"), [
    (np.zeros((2, 3, 4)), ValueError, "images have shape (2, 3, 4), expected (N, C, H, W)"),
    (np.zeros((0, 3, 4, 4)), ValueError, "images are empty: shape (0, 3, 4, 4); give at least one sample"),
    (np.zeros((2, 3, 4, 4), np.int64), TypeError, "images have dtype int64, expected uint8 or float32"),
    (np.where(np.arange(1030).reshape(-1, 1, 1, 1) == 1027, np.nan, 0), ValueError, "image 1027 holds values that are"),
    (np.full((1, 1, 1, 1), np.inf), ValueError, "image 0 holds values that are not finite (NaN or infinity)"),
    (np.full((1, 1, 1, 1), 1e300), ValueError, "image 0 holds values that are not finite"),
])
def test_bad_images(images, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Normalize.per_channel(images)


@pytest.mark.parametrize(("mean", "std", "message"), [
    ([1, 2], [1, 2, 3], "mean has shape (2,) and std (3,); expected mean (C,) or (C, H, W) and std (C,)"),
    ([1, np.nan], [1, 1], "mean must be finite, std finite and positive"),
    ([1, 1], [1, 0], "mean must be finite, std finite and positive"),
])
def test_bad_statistics(mean, std, message):
    with pytest.raises(ValueError, match=re.escape("Normalize: " + message)):
        Normalize(mean, std)


def test_images_of_another_shape():
    with pytest.raises(ValueError, match=re.escape("fitted to 3 channels, got images of shape (N, 2, 4, 5)")):
        Normalize.per_channel(UINT8)(FLOAT)
    with pytest.raises(ValueError, match=re.escape("fitted to a mean image of shape (3, 4, 5), got")):
        Normalize.mean_image(UINT8)(UINT8[:, :, :2])


def test_repr():
    assert repr(Normalize([1, 2.123], [3, 4])) == "Normalize(2 channels, mean=[1.0, 2.12], std=[3.0, 4.0])"
