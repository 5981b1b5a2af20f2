"""Curves, searches and paths: what stands in the axes, and what is refused."""
import numpy as np
import pytest

import fastnet
from fastnet import History, plot
from fastnet.checks import LRRange

ROWS = [{"epoch": 1, "loss": 2.0, "val_loss": None}, {"epoch": 2, "loss": 1.5, "val_loss": 1.75}]


def test_curves_draw_each_column_against_its_epochs(ax, drawn):
    loss, validation = drawn(plot.curves(ROWS, "loss", "val_loss", ax=ax)).get_lines()
    np.testing.assert_array_equal(loss.get_xydata(), [[1, 2.0], [2, 1.5]])
    np.testing.assert_array_equal(validation.get_xydata(), [[2, 1.75]])
    assert validation.get_label() == "val loss"


def test_without_keys_the_losses_that_are_there_are_drawn():
    assert [line.get_label() for line in plot.curves(ROWS).get_lines()] == ["loss", "val loss"]
    (line,) = plot.curves(History(ROWS[:1])).get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[1, 2.0]])


def test_curves_by_steps():
    ax = plot.curves([{"step": i, "epoch": 1, "loss": 1 / i} for i in range(1, 100)])
    assert ax.get_xlabel() == "step" and len(ax.get_lines()[0].get_xdata()) == 99


def test_one_epoch_has_room_around_it():
    ax = plot.curves(ROWS[:1])
    assert ax.get_xlim() == (0, 2) and all(tick == int(tick) for tick in ax.get_xticks())


FOUND = LRRange(np.geomspace(1e-4, 1, 5), np.array([3.0, 2, 1, 2, 9]), np.array([3.0, 2, 1, 2, 9]), 1.0)


@pytest.mark.parametrize("count", [7, 40])
def test_a_long_legend_stands_beside_the_curves(count):
    """And leaves them room."""
    keys = [f"optimiser {i}" for i in range(count)]
    for result in (plot.curves([{"epoch": i, **dict.fromkeys(keys, i)} for i in range(3)], *keys),
                   plot.paths(lambda x, y: x * y, {key: np.eye(2) for key in keys})):
        result.figure.canvas.draw()
        place, names = result.get_window_extent(), result.get_legend().get_window_extent()
        assert names.x0 > place.x1 and place.height > 0.7 * result.figure.bbox.height


def test_the_way_of_one_that_stands_still(drawn):
    result = plot.paths(lambda x, y: x + y, {"none": np.full((2, 2), 100.0)})
    assert result.get_xlim() == result.get_ylim() == (80, 120)


def test_a_range_test_is_drawn(ax, drawn):
    result = drawn(plot.lr_range(FOUND, ax=ax))
    assert result.get_xscale() == "log"
    labels = [text.get_text() for text in result.get_legend().get_texts()]
    assert labels == ["loss", "running mean", "lowest, at 0.01", "begin with 0.001", "diverged at 1"]


TRIALS = [{"lr": 10.0**-i, "decay": 1.0 + i, "score": score} for i, score in enumerate((0.5, 0.9, None, float("nan")))]


def test_a_search_is_drawn(ax, drawn):
    result = drawn(plot.search(TRIALS, "lr", "decay", "score", ax=ax))
    failed, points, best = result.collections
    assert len(failed.get_offsets()) == len(points.get_offsets()) == 2
    np.testing.assert_array_equal(best.get_offsets(), [[0.1, 2.0]])
    assert (result.get_xscale(), result.get_yscale()) == ("log", "linear")
    best = plot.search(TRIALS, "lr", "decay", "score", lower=True).collections[2]
    np.testing.assert_array_equal(best.get_offsets(), [[1.0, 1.0]])


def test_trials_that_all_failed_are_crosses():
    assert len(plot.search(TRIALS[2:], "lr", "decay", "score").collections) == 1


def saddle(x, y):
    return x**2 - y**2


def test_paths_are_drawn(ax, drawn):
    ways = {"SGD": [[0, 1], [1, 1], [2, 2]], "gone": np.array([[0, 0], [np.inf, 0], [1, 1]])}
    result = drawn(plot.paths(saddle, ways, ax=ax))
    lines = {line.get_label(): line.get_xydata() for line in result.get_lines() if line.get_label() in ways}
    assert len(lines["SGD"]) == 3 and len(lines["gone"]) == 1
    assert result.get_xlim()[0] < 0 and result.get_ylim()[1] > 2
    assert plot.paths(saddle, ways, bounds=(-1, 1, -2, 2)).get_ylim() == (-2, 2)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: plot.curves(ROWS, "accuracy"), "curves: keys .* no epoch has a value 'accuracy': rows hold epoch, loss, "),
    (lambda: plot.curves([], "loss"), "curves: keys .* rows hold no row"),
    (lambda: plot.curves([]), "curves: keys .* rows hold no row"),
    (lambda: plot.curves([1, 2], "loss"), "curves: rows must be dictionaries with the key 'epoch' or 'step', got 1"),
    (lambda: plot.lr_range(fastnet.History()), "lr_range: found must be what lr_range_test gave"),
    (lambda: plot.search([], "lr", "decay", "score"), "search: rows must hold one trial at least"),
    (lambda: plot.search(TRIALS, "lr", "momentum", "score"), "search: y must be a key of all rows, got 'momentum'"),
    (lambda: plot.search([{"a": "x", "s": 1}], "a", "a", "s"), "search: rows, 'a', must be a finite number"),
    (lambda: plot.paths(saddle, {}), "paths: paths must hold one path at least"),
    (lambda: plot.paths(saddle, {"a": [1, 2]}), r"paths: paths\['a'\] must be places of shape \(T, 2\)"),
    (lambda: plot.paths(saddle, {"a": [[1, 2]]}, bounds=(1, 0, 0, 1)), "paths: bounds must be .*rising"),
    (lambda: plot.paths(lambda x, y: x * np.nan, {"a": [[1, 2]]}), "paths: function must be finite somewhere"),
])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
