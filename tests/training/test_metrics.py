"""Accuracy is right, or None."""
import numpy as np
import pytest

import fastnet
from fastnet.metrics import hits
from fastnet.training.totals import Totals


def count_correct(outputs, targets):
    """How many are right, of all of them; or None."""
    found = hits(outputs, targets)
    assert found is None or found[1] == len(outputs)
    return found and found[0]


SCORES = np.array([[3.0, 1, 2], [0, 5, 1], [1, 0, 2], [9, 0, 0]])
LOGITS = np.array([2.0, -1.0, 0.5, -3.0])


@pytest.mark.parametrize("labels, correct", [
    (np.array([0, 1, 2, 1]), 3), ([0, 1, 2, 0], 4), (np.array([0, 1, 2, 0], np.uint8), 4),
    (np.array([0, 1, 2, 3]), None), (np.array([0, 1, 2, -1]), None),                # no classes of three
    (np.array([0.0, 1, 2, 0]), None), (np.eye(3)[[0, 1, 2, 0]], None), (list("abca"), None), (np.array([""] * 4), None),
    (np.array([[0], [1], [2], [0]]), None), (np.array([0, 1]), None), ((np.arange(4), np.arange(4)), None),
    (([0, 1], [2]), None), (None, None), (3, None), ({"y": 1}, None), (np.array([True, False, True, True]), None),
])
def test_several_columns_are_judged_by_the_largest(labels, correct):
    assert count_correct(SCORES, labels) == correct


@pytest.mark.parametrize("logits", [LOGITS, LOGITS[:, None]], ids=["(N,)", "(N, 1)"])
@pytest.mark.parametrize("labels, correct", [
    (np.array([1, 0, 1, 0]), 4), (np.array([1.0, 0.0, 0.0, 0.0]), 3), (np.array([True, False, False, True]), 2),
    (np.array([[1], [0], [1], [1]]), 3), ([0, 1, 0, 1], 0),
    (np.array([1, 0, 2, 0]), None), (np.array([1, -1, 1, -1]), None), (np.array([0.5, 0, 1, 0]), None),
    (np.array([np.nan, 0, 1, 0]), None), (np.ones((4, 2)), None), (np.ones(3), None), (("a", "b", "a", "b"), None),
])
def test_one_column_is_judged_by_its_sign(logits, labels, correct):
    assert count_correct(logits, labels) == correct


@pytest.mark.parametrize("logits", [SCORES[:, :, None], np.float64(3), (SCORES, SCORES), {"a": SCORES}, SCORES[:0]])
def test_other_outputs_have_no_accuracy(logits):
    assert count_correct(logits, np.array([0, 1, 2, 0])) is None


def test_no_logit_is_no_answer_for_class_one():
    assert count_correct(np.array([0.0]), np.array([1])) == 0 and count_correct(np.array([0.0]), np.array([0])) == 1


@pytest.mark.parametrize("columns", [1, 2])
def test_a_regression_whose_targets_look_like_classes_has_none(columns):
    net = fastnet.Linear(3, columns)
    x, y = np.ones((4, 3), np.float32), np.tile([[0], [1]], (2, columns))
    assert fastnet.evaluate(net, [(x, y)], fastnet.MSELoss())[1] is None


def test_one_batch_without_accuracy_leaves_the_epoch_without():
    totals = Totals()
    assert totals.loss is None and totals.accuracy is None
    totals.add(1.0, (3, 4), 4, 4)
    assert (totals.loss, totals.accuracy) == (1.0, 0.75)
    totals.add(2.0, None, 4, 4)
    assert (totals.loss, totals.accuracy) == (1.5, None)


def test_the_mean_over_very_many_batches_is_exact():
    totals = Totals()
    for _ in range(100_000):
        totals.add(np.float32(0.1), (1, 1), 1, 1)
    assert totals.loss == pytest.approx(float(np.float32(0.1)), rel=1e-10)


@pytest.mark.parametrize("result", ["good", None, np.ones(3)])
def test_a_metric_that_gives_no_number_is_named(result):
    class Own(fastnet.metrics.Metric):
        def update(self, state, outputs, targets):
            return state

        def result(self, state):
            return result

    data = np.ones((4, 3), np.float32), np.zeros(4, int)
    for metric in (Own(), lambda targets, outputs: result):
        with pytest.raises(TypeError, match="^the metric 'mine' must give one number, got "):
            fastnet.evaluate(fastnet.Identity(), data, fastnet.CrossEntropyLoss(), {"mine": metric})
