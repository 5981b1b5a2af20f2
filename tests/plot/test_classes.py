"""Confusion matrices and decision regions: what stands in the axes, and what is refused."""
import numpy as np
import pytest
from matplotlib import pyplot

from fastnet import plot


def test_confusion_matrix_counts_and_names(ax, drawn):
    result = drawn(plot.confusion_matrix([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], ["cat", "dog"], ax=ax))
    assert [text.get_text() for text in result.texts] == ["1", "1", "1", "2"]
    assert [label.get_text() for label in result.get_yticklabels()] == ["cat", "dog"]
    np.testing.assert_allclose(result.get_images()[0].get_array(), [[1 / 2, 1 / 2], [1 / 3, 2 / 3]])


def test_shares_in_percent():
    result = plot.confusion_matrix([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], ["cat", "dog"], normalize="true")
    assert [text.get_text() for text in result.texts] == ["50", "50", "33", "67"]


@pytest.mark.parametrize("count, numbers", [(3, 9), (20, 20), (100, 0)])
def test_what_is_written_can_be_read(count, numbers):
    """Neither numbers nor names overlap or are smaller than five points; numbers that would be are left out."""
    names, right = [f"the class of number {i}" for i in range(count)], np.arange(count)
    result = plot.confusion_matrix(right, right, names)
    assert len(result.texts) == numbers
    assert all(text.get_fontsize() >= 5 for text in result.texts)
    result.figure.canvas.draw()
    labels = [label.get_window_extent() for label in result.get_yticklabels()]
    assert all(above.y0 >= below.y1 - 1.5 for above, below in zip(labels, labels[1:], strict=False))
    assert result.get_yticklabels()[0].get_fontsize() >= 6


def test_small_axes_show_fewer_names():
    small = pyplot.figure(figsize=(2, 2)).add_subplot()
    plot.confusion_matrix(np.arange(60), np.arange(60), list(map(str, range(60))), ax=small)
    assert len(small.get_yticks()) < 30 and not small.texts


X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def test_regions_are_those_of_the_net(ax, drawn):
    result = drawn(plot.decision_regions(lambda x: x, X, [0, 0, 1, 1], ["right", "up"], ax, 50))
    picture = result.get_images()[0].get_array()
    assert picture.shape == (50, 50, 4)
    np.testing.assert_array_equal(picture[0, -1], picture[0, 25])       # below the diagonal x is larger
    assert not np.array_equal(picture[0, -1], picture[-1, 0])
    assert [len(points.get_offsets()) for points in result.collections] == [2, 2]
    assert [text.get_text() for text in result.get_legend().get_texts()] == ["right", "up"]


def test_one_output_is_a_matter_of_its_sign():
    result = plot.decision_regions(lambda x: x[:, :1] - 0.5, X, [0, 1, 0, 1], resolution=10)
    picture = result.get_images()[0].get_array()
    assert len(np.unique(picture.reshape(-1, 4), axis=0)) == 2 and not np.array_equal(picture[5, 0], picture[5, -1])


def test_many_classes_have_their_legend_beside():
    x, y = np.random.default_rng(0).standard_normal((40, 2)), np.arange(40) % 20
    result = plot.decision_regions(lambda x: np.tile(x, 10), x, y, resolution=5)
    assert len(result.collections) == len(result.get_legend().get_texts()) == 20


@pytest.mark.parametrize(("call", "message"), [
    (lambda: plot.confusion([0, 1], [0], 2), "confusion: predictions must be 2 class numbers, one for each sample"),
    (lambda: plot.confusion([0, 2], [0, 1], 2), "confusion: labels must be class numbers from 0 to 1, got 2 at positi"),
    (lambda: plot.confusion([0, 1], [0.0, 1.0], 2), r"confusion: predictions must be .*: give predictions.astype"),
    (lambda: plot.confusion_matrix([0], [0], "ab"), "confusion_matrix: classes must be a list of names, got 'ab'"),
    (lambda: plot.confusion_matrix([0], [0], ["a"], normalize="all"), "confusion_matrix: normalize must be None or"),
    (lambda: plot.decision_regions(lambda x: x, np.zeros((3, 4)), [0] * 3), r"decision_regions: x must have shape"),
    (lambda: plot.decision_regions(lambda x: x, X, [0] * 4, ["a"]), "decision_regions: classes must hold 2 names"),
    (lambda: plot.decision_regions(lambda x: x[:3], X, [0] * 4), "decision_regions: net must give a row of scores for"),
])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
