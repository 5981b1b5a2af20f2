"""Features of images against scikit-image, against exact arithmetic, and against published numbers."""
from fractions import Fraction

import numpy as np
import pytest

from fastnet import data, features, kernels
from tests.kernels.judge import assert_close, assert_same

naive = kernels.load("naive")
RNG = np.random.default_rng(0)
COLOURS = data.synthetic(6, 1)[0].images
NORMS = ("L1", "L1-sqrt", "L2", "L2-Hys")


def judged(images, orientations, cell, block, norm):
    """What scikit-image says, image by image."""
    hog = pytest.importorskip("skimage.feature").hog
    return np.stack([hog(image.transpose(1, 2, 0), orientations, cell, block, norm, channel_axis=-1)
                     for image in images])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("orientations, cell, block", [(9, (8, 8), (3, 3)), (8, (5, 7), (2, 1)), (4, (4, 16), (1, 1)),
                                                       (1, (3, 3), (2, 2)), (18, (32, 32), (1, 1))])
def test_hog_is_that_of_scikit_image(orientations, cell, block, norm):
    """Of whole numbers, where directions on the edge of a bin are common, and of colours and grey alike."""
    for images in (COLOURS, COLOURS[:, 1:2]):
        found = features.hog(images, orientations, cell, block, norm)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, judged(images, orientations, cell, block, norm), atol=2e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hog_of_floats(dtype):
    """scikit-image adds up in single precision."""
    images = RNG.standard_normal((3, 3, 19, 33)).astype(dtype)
    found = features.hog(images, 9, (6, 8), (2, 2), "L2")
    assert found.dtype == dtype
    np.testing.assert_allclose(found, judged(images, 9, (6, 8), (2, 2), "L2"), atol=2e-6)


def test_numbers_of_a_hog():
    """Dalal and Triggs' window of 64 x 128 pixels has 3780 numbers; 320 x 240 pixels, one cell a block, 10,800."""
    for height, width, block, count in ((128, 64, (2, 2), 3780), (240, 320, (1, 1), 10_800)):
        assert features.hog(np.zeros((1, 1, height, width), np.uint8), cells_per_block=block).shape == (1, count)


def test_a_slope_has_one_direction():
    """Brightness that grows along rows is in the first bin, along columns in the one in the middle."""
    slope = np.broadcast_to(np.arange(16.0), (16, 16))
    for image, wanted in ((slope, 0), (slope.T, 4), (slope + slope.T, 2), (slope.T - slope, 6), (-slope, 0)):
        histogram = features.hog(image[None, None], 8, (16, 16), (1, 1), "L1")[0]
        assert histogram.argmax() == wanted and histogram[wanted] > 0.75    # the border has other directions


@pytest.mark.parametrize("images", [COLOURS, COLOURS.astype(np.float32) / 7, COLOURS.astype(np.float64)],
                         ids=lambda images: images.dtype.name)
def test_naive_says_the_same_of_any_layout(images):
    last = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    sealed = images.copy()
    sealed.flags.writeable = False
    for function, options in ((features.hog, {"pixels_per_cell": (7, 8), "block_norm": "L1-sqrt"}),
                              (features.hue_histogram, {"bins": 7})):
        wanted = getattr(naive, function.__name__)(images, **options)
        for other in (images, last, sealed, images[:, :, ::-1][:, :, ::-1]):
            assert_close(function(other, **options), wanted)
            assert_same(function(other, **options), function(images, **options))


def exact_hue(pixel):
    """How far round the colours a pixel is, as a fraction of 1."""
    red, green, blue = map(int, pixel)
    largest, d = max(pixel), int(max(pixel)) - int(min(pixel))
    if not d:
        return Fraction(0)
    if largest == red:
        return Fraction(green - blue, 6 * d) % 1
    return Fraction(2 * d + blue - red, 6 * d) if largest == green else Fraction(4 * d + red - green, 6 * d)


@pytest.mark.parametrize("bins", [1, 6, 10, 36])
def test_hues_are_those_of_exact_arithmetic(bins):
    """In few shades, so that many hues are where a bin begins."""
    images = RNG.integers(0, 6, (2, 3, 11, 9)).astype(np.uint8) * 40
    wanted = [np.bincount([int(exact_hue(pixel) * bins) for pixel in image.reshape(3, -1).T], minlength=bins) / 99
              for image in images]
    np.testing.assert_array_equal(features.hue_histogram(images, bins), np.array(wanted, np.float32))


@pytest.mark.parametrize("call, text", [
    (lambda: features.hog(COLOURS, cells_per_block=(5, 1)), "hog: cells_per_block (5, 1) of pixels_per_cell (8, 8) "
     "cover 40 x 8 pixels and images have 32 x 32: use fewer or smaller cells"),
    (lambda: features.hog(COLOURS.transpose(0, 2, 3, 1)), "hog: images must have shape (N, C, H, W), got (6, 32, 32, 3)"
     ", which looks like channels-last: give images.transpose(0, 3, 1, 2)"),
    (lambda: features.hog(COLOURS, block_norm="L3"), "hog: block_norm must be 'L1', 'L1-sqrt', 'L2' or 'L2-Hys', got "
     "'L3'"),
    (lambda: features.hog(COLOURS, 0), "hog: orientations must be an integer of at least 1 and at most 360, got 0"),
    (lambda: features.hue_histogram(COLOURS[:, :1]), "hue_histogram: images must have 3 channels, red, green and blue, "
     "got shape (6, 1, 32, 32)"),
])
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == text
