"""Pictures: what stands in the axes, and what is refused."""
import subprocess
import sys

import numpy as np
import pytest

from fastnet import History, plot

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend comes first)

ROWS = [{"epoch": 1, "loss": 2.0, "val_loss": None}, {"epoch": 2, "loss": 1.5, "val_loss": 1.75}]


@pytest.fixture(params=["given", "new"])
def ax(request):
    """Axes to draw into, or None to ask for new ones."""
    yield pyplot.figure().add_subplot() if request.param == "given" else None
    pyplot.close("all")


def drawn(result, ax):
    """The axes that were drawn into; they are the given ones."""
    assert ax is None or result is ax
    result.figure.canvas.draw()
    return result


def test_curves_draw_each_column_against_its_epochs(ax):
    loss, validation = drawn(plot.curves(ROWS, "loss", "val_loss", ax=ax), ax).get_lines()
    np.testing.assert_array_equal(loss.get_xydata(), [[1, 2.0], [2, 1.5]])
    np.testing.assert_array_equal(validation.get_xydata(), [[2, 1.75]])
    assert validation.get_label() == "val loss"


def test_a_history_is_drawn_as_its_rows():
    (line,) = plot.curves(History(ROWS), "loss").get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [2.0, 1.5])
    pyplot.close("all")


def test_filters_are_stretched_and_set_side_by_side(ax):
    weight = np.zeros((3, 3, 2, 2), np.float32)
    weight[0, 0], weight[1, :, 0, 1], weight[2] = 4, -3, 7
    (image,) = drawn(plot.filters(weight, ax=ax), ax).get_images()
    sheet = image.get_array()
    assert sheet.shape == (5, 5, 3)
    np.testing.assert_array_equal(sheet[:2, :2], np.broadcast_to([1, 0, 0], (2, 2, 3)))  # only red is high
    np.testing.assert_array_equal(sheet[:2, 3:, 0], [[1, 0], [1, 1]])
    np.testing.assert_array_equal(sheet[3:, :2], 0)  # a constant filter
    np.testing.assert_array_equal(sheet[3:, 3:], 1)  # no fourth filter


def test_grey_filters():
    assert plot.filters(np.ones((4, 1, 3, 3))).get_images()[0].get_array().shape == (7, 7, 3)
    pyplot.close("all")


def test_confusion_matrix_counts_and_names(ax):
    result = drawn(plot.confusion_matrix([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], ["cat", "dog"], ax=ax), ax)
    assert [text.get_text() for text in result.texts] == ["1", "1", "1", "2"]
    assert [label.get_text() for label in result.get_yticklabels()] == ["cat", "dog"]
    np.testing.assert_allclose(result.get_images()[0].get_array(), [[1 / 2, 1 / 2], [1 / 3, 2 / 3]])


@pytest.mark.parametrize(("call", "message"), [
    (lambda: plot.curves(ROWS, "accuracy"), "curves: keys .* no epoch has a value 'accuracy': rows hold epoch, loss, "),
    (lambda: plot.curves([], "loss"), "curves: keys .* rows hold no row"),
    (lambda: plot.filters(np.zeros((8, 16, 3, 3))), r"filters: weight must have shape .*, got \(8, 16, 3, 3\)"),
    (lambda: plot.filters(np.zeros((8, 3))), r"got \(8, 3\)"),
    (lambda: plot.confusion([0, 1], [0], 2), "confusion: predictions must be 2 class numbers, one for each sample"),
    (lambda: plot.confusion([0, 2], [0, 1], 2), "confusion: labels must be class numbers from 0 to 1, got 2 at positi"),
    (lambda: plot.confusion([0, 1], [0.0, 1.0], 2), r"confusion: predictions must be .*: give predictions.astype"),
    (lambda: plot.filters(np.full((1, 1, 2, 2), np.nan)), "filters: weight must be finite"),
    (lambda: plot.filters(np.zeros((1, 1, 2, 2)), ax=3), "filters: ax must be axes of matplotlib, or None, got 3"),
    (lambda: plot.curves([1, 2], "loss"), "curves: rows must be dictionaries with the key 'epoch', got 1"),
    (lambda: plot.curves(ROWS), "curves: keys must name one column at least"),
    (lambda: plot.confusion_matrix([0], [0], "ab"), "confusion_matrix: classes must be a list of names, got 'ab'"),
])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_without_matplotlib_the_error_tells_the_remedy():
    code = ("import sys; sys.modules['matplotlib'] = None\nfrom fastnet import plot\n"
            "try: plot.filters([[[[0.0]]]])\nexcept ImportError as error: print(error)")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith('pip install "fastnet-numba[plot]"')
