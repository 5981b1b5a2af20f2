"""Pictures made of pictures: what stands in the axes, and what is refused."""
import subprocess
import sys

import numpy as np
import pytest

import fastnet
from fastnet import plot

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 3, 8, 8), np.uint8)


def sheet(result):
    return result.get_images()[0].get_array()


def titles(result):
    return [text.get_text() for text in result.texts]


def test_filters_are_stretched_and_set_side_by_side(ax, drawn):
    weight = np.zeros((3, 3, 2, 2), np.float32)
    weight[0, 0], weight[1, :, 0, 1], weight[2] = 4, -3, 7
    found = sheet(drawn(plot.filters(weight, ax=ax)))
    assert found.shape == (5, 5, 4)
    np.testing.assert_array_equal(found[:2, :2], np.broadcast_to([1, 0, 0, 1], (2, 2, 4)))  # only red is high
    np.testing.assert_array_equal(found[:2, 3:, 0], [[1, 0], [1, 1]])
    np.testing.assert_array_equal(found[3:, :2], np.broadcast_to([0, 0, 0, 1], (2, 2, 4)))  # a constant filter
    np.testing.assert_array_equal(found[3:, 3:, 3], 0)  # no fourth filter: one sees through
    assert sheet(plot.filters(np.ones((4, 1, 3, 3)))).shape == (7, 7, 4)


@pytest.mark.parametrize("count", [1, 3, 20, 100])
def test_templates_have_their_classes_above_them(count):
    weight, names = RNG.standard_normal((count, 48)), [f"a class with the long name {i}" for i in range(count)]
    result = plot.templates(weight, (3, 4, 4), names)
    result.figure.canvas.draw()
    assert len(titles(result)) == count and titles(result)[-1].endswith(str(count - 1))
    assert all(len(title) < 27 and "\u2026" in title for title in titles(result))
    assert titles(plot.templates(weight, (3, 4, 4)))[:1] == ["0"]


def test_titles_stand_within_their_pictures_above_them(ax, drawn):
    result = drawn(plot.images(IMAGES, ["aeroplane"] * 6, ax=ax, columns=3))
    boxes = [text.get_window_extent() for text in result.texts]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1:])
    found = sheet(result)
    top = np.flatnonzero(found[:, 0, 3])[0]
    np.testing.assert_allclose(found[top:top + 8, :8, :3], IMAGES[0].transpose(1, 2, 0) / 255)


def test_activation_maps_are_stretched_each_or_together():
    maps = np.stack([np.eye(3), 0.5 * np.eye(3)])
    each, together = (sheet(plot.activation_maps(maps, together=flag)) for flag in (False, True))
    np.testing.assert_array_equal(each[:, :3], each[:, 4:])
    assert not np.array_equal(together[:, :3], together[:, 4:]) and np.array_equal(each[:, :3], together[:, :3])


def test_misclassified_images_tell_both_classes(ax, drawn):
    labels, said = np.array([0, 1, 1, 0, 1, 0]), np.array([0, 0, 1, 1, 1, 1])
    result = drawn(plot.misclassified(IMAGES, labels, said, ["cat", "dog"], ax=ax, most=2))
    assert titles(result) == ["cat\n(is dog)", "dog\n(is cat)"]
    np.testing.assert_allclose(sheet(result)[-8:, :8, :3], IMAGES[1].transpose(1, 2, 0) / 255)


def test_where_nothing_is_wrong_the_axes_say_so(ax, drawn):
    result = drawn(plot.misclassified(IMAGES, np.zeros(6, int), np.zeros(6, int), ["cat"], ax=ax))
    assert titles(result) == ["nothing is misclassified"] and not result.get_images()


def test_neighbours_stand_beside_their_queries():
    found = IMAGES[[[1, 2], [3, 4]]]
    result = plot.neighbours(IMAGES[:2], found, [["a", "b", "c"], ["d", "e", "f"]])
    assert titles(result) == list("abcdef")
    picture = sheet(plot.neighbours(IMAGES[:2], found))
    assert picture.shape == (17, 26, 4)
    np.testing.assert_allclose(picture[9:, 18:, :3], IMAGES[4].transpose(1, 2, 0) / 255)


def test_heat_lies_over_the_whole_image(ax, drawn):
    image, heat = drawn(plot.overlay(IMAGES[0], np.eye(4), ax=ax)).get_images()
    assert heat.get_extent() == image.get_extent() and heat.get_array().shape == (4, 4)
    assert np.ptp(image.get_array()[..., :3], axis=2).max() < 1e-12     # grey
    plot.overlay(IMAGES[0], np.zeros((8, 8)))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: plot.filters(np.zeros((8, 16, 3, 3))), r"filters: weight must have shape .*, got \(8, 16, 3, 3\)"),
    (lambda: plot.filters(fastnet.Linear(3, 2)), r"filters: weight .* got a net or layer: give .*net\[0\].weight"),
    (lambda: plot.filters(np.zeros((8, 3))), r"filters: weight must .*, got an array of shape \(8, 3\)"),
    (lambda: plot.filters(np.full((1, 1, 2, 2), np.nan)), "filters: weight must be finite"),
    (lambda: plot.filters(np.zeros((1, 1, 2, 2)), ax=3), "filters: ax must be axes of matplotlib, or None, got 3"),
    (lambda: plot.templates(np.zeros((2, 5)), (1, 2, 2)), "templates: weight must have rows of 4 numbers"),
    (lambda: plot.templates(np.zeros((2, 4)), (1, 2, 2), ["a"]), "templates: classes must hold 2 names, got 1"),
    (lambda: plot.activation_maps(np.zeros((1, 2, 3, 3))), r"activation_maps: maps must .* of one image, y\[0\]"),
    (lambda: plot.images(np.zeros((2, 5, 3, 3))), "images: x must be images of one or three channels"),
    (lambda: plot.images(IMAGES, ["a"]), "images: titles must hold 6 names, got 1"),
    (lambda: plot.misclassified(IMAGES, [0], [0], ["a"]), "misclassified: labels must be 6 class numbers"),
    (lambda: plot.neighbours(IMAGES[:2], IMAGES[:2, None, :, :4]), "neighbours: found must be images of the size"),
    (lambda: plot.neighbours(IMAGES[:2], IMAGES[None]), "neighbours: found must hold K images for each of the 2"),
    (lambda: plot.overlay(IMAGES[0], -np.eye(3)), "overlay: heat must hold numbers of at least 0"),
    (lambda: plot.overlay(IMAGES, np.eye(3)), "overlay: image must have shape .*one image"),
])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_without_matplotlib_the_error_tells_the_remedy():
    code = ("import sys; sys.modules['matplotlib'] = None\nfrom fastnet import plot\n"
            "try: plot.filters([[[[0.0]]]])\nexcept ImportError as error: print(error)")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith('pip install "fastnet-numba[plot]"')
