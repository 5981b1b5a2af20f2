"""The net as a graph, and what a unit sees."""
import numpy as np
import pytest

import fastnet
from fastnet import (
    Add,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Linear,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    init,
    models,
    plot,
)


def words(result):
    return [text.get_text() for text in result.texts if text.get_text()]


def lines(result):
    return [(text.xyann, text.xy) for text in result.texts if not text.get_text()]


def test_a_row_is_a_column(ax, drawn):
    net = Sequential(Conv2d(1, 2, 3), ReLU(), Flatten(), Linear(18, 4))
    result = drawn(plot.graph(net, (1, 1, 5, 5), ax=ax))
    assert words(result) == ["input  (1, 1, 5, 5)", "Conv2d 0  (1, 2, 3, 3)", "ReLU 1  (1, 2, 3, 3)",
                             "Flatten 2  (1, 18)", "Linear 3  (1, 4)"]
    assert lines(result) == [((0, i), (0, i + 1)) for i in range(4)]


def test_what_does_nothing_at_inference_stands_in_the_row():
    net = Sequential(Linear(3, 4), Dropout(0.5), ReLU())
    assert lines(plot.graph(net, (1, 3))) == [((0, i), (0, i + 1)) for i in range(3)]


def test_branches_stand_beside_each_other():
    net = Sequential(Parallel(Concat(), Conv2d(1, 2, 1), Sequential(Conv2d(1, 2, 1), ReLU()), ReLU()))
    result = plot.graph(net, (1, 1, 4, 4))
    assert lines(result) == [((0, 0), (0, 1)), ((0, 0), (1, 1)), ((1, 1), (1, 2)), ((0, 0), (2, 1)),
                             ((0, 1), (0, 3)), ((1, 2), (0, 3)), ((2, 1), (0, 3))]


def test_boxes_with_long_names_do_not_overlap():
    """Inception modules: four columns, names of thirty letters."""
    with init.skip():
        result = plot.graph(models.googlenet(), (1, 3, 64, 64))
    result.figure.canvas.draw()
    rows = {}
    for text in result.texts:
        if text.get_text():
            rows.setdefault(text.get_position()[1], []).append(text.get_bbox_patch().get_window_extent())
    assert max(map(len, rows.values())) == 4
    for boxes in rows.values():
        boxes.sort(key=lambda box: box.x0)
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


def test_a_shortcut_and_a_graph_are_the_same_picture():
    first, second = (Conv2d(2, 2, 3, padding=1) for _ in range(2))
    graph = Graph({"conv": (first, "input"), "sum": (Add(), ("conv", "input"))})
    drawings = [plot.graph(net, (1, 2, 4, 4)) for net in (Residual(second), graph)]
    assert lines(drawings[0]) == lines(drawings[1]) == [((0, 0), (0, 1)), ((0, 1), (0, 2)), ((0, 0), (0, 2))]


def test_large_and_single():
    result = plot.graph(fastnet.models.resnet20(), (1, 3, 32, 32))
    result.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in result.texts if text.get_text()]
    assert len(boxes) > 60 and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1:])
    assert words(plot.graph(Linear(3, 2), (1, 3))) == ["input  (1, 3)", "Linear  (1, 2)"]


def test_what_a_unit_sees(ax, drawn):
    """Three convolutions of 3 x 3 see 7 x 7 pixels."""
    net = Sequential(*(Conv2d(1, 1, 3, padding=1) for _ in range(3)))
    x = np.ones((1, 1, 15, 15), np.float32)
    dy = np.zeros_like(x)
    dy[0, 0, 7, 7] = 1
    gradient = fastnet.input_gradient(net, x, dy)[0]
    result = drawn(plot.effective_receptive_field(gradient, ax=ax))
    assert result.get_title() == "sees 7 x 7 of 15 x 15 pixels"
    np.testing.assert_array_equal(result.get_lines()[0].get_xdata(), [3.5, 10.5, 10.5, 3.5, 3.5])
    assert len(plot.effective_receptive_field(gradient, x[0]).get_images()) == 2


@pytest.mark.parametrize(("call", "message"), [
    (lambda: plot.graph(3, (1, 3)), "graph: net must be a layer, got 3"),
    (lambda: plot.graph(Linear(3, 2), (1, 4)), "graph: input_shape: Linear: expected 3 input features"),
    (lambda: plot.effective_receptive_field(np.zeros((1, 3, 3))),
     "effective_receptive_field: gradient must not be 0 everywhere"),
    (lambda: plot.effective_receptive_field(np.ones((3, 3))),
     r"effective_receptive_field: gradient must have shape \(C, H, W\)"),
    (lambda: plot.effective_receptive_field(np.ones((1, 3, 3)), np.ones((1, 4, 4))),
     "effective_receptive_field: image must have the size"),
])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
