"""Metrics: by hand, by scikit-learn, and counted up batch by batch."""
import numpy as np
import pytest

from fastnet import metrics
from fastnet.metrics import hits

RNG = np.random.default_rng(0)
SCORES, LABELS = RNG.standard_normal((40, 6)).astype(np.float32), RNG.integers(0, 6, 40)
MAPS, CLASSES = RNG.standard_normal((5, 4, 3, 6)), RNG.integers(0, 4, (5, 3, 6))


def in_batches(metric, outputs, targets):
    state = metric.start()
    for start in range(0, len(outputs), 7):
        state = metric.update(state, outputs[start: start + 7], targets[start: start + 7])
    return metric.result(state)


@pytest.mark.parametrize("metric, outputs, targets, wanted", [
    (metrics.accuracy, SCORES, LABELS, (SCORES.argmax(axis=1) == LABELS).mean()),
    (metrics.accuracy, MAPS, CLASSES, (MAPS.argmax(axis=1) == CLASSES).mean()),
    (metrics.accuracy, SCORES[:, :1], LABELS > 2, ((SCORES[:, 0] > 0) == (LABELS > 2)).mean()),
    (metrics.binary_accuracy, SCORES, (SCORES > 0.3) * 1.0, ((SCORES > 0) == (SCORES > 0.3)).mean()),
    (metrics.mean_absolute_error, SCORES, SCORES[::-1], np.abs(SCORES - SCORES[::-1]).mean()),
    (metrics.mean_squared_error, MAPS, MAPS[::-1], np.square(MAPS - MAPS[::-1]).mean()),
    (metrics.whole(lambda targets, outputs: outputs @ targets, "labels"), SCORES, LABELS, SCORES.argmax(1) @ LABELS),
], ids=str)
def test_by_hand(metric, outputs, targets, wanted):
    assert metric(outputs, targets) == pytest.approx(wanted, rel=1e-6)
    assert in_batches(metric, outputs, targets) == pytest.approx(wanted, rel=1e-6)
    assert type(metric(outputs, targets)) is float


def test_top_k():
    ranks = (-SCORES).argsort(axis=1).argsort(axis=1)[np.arange(40), LABELS]
    for k in (1, 2, 5, 6, 9):
        assert metrics.top_k(k)(SCORES, LABELS) == in_batches(metrics.top_k(k), SCORES, LABELS) == (ranks < k).mean()
    assert metrics.top_k(1)(SCORES, LABELS) == metrics.accuracy(SCORES, LABELS)
    assert metrics.top_k(1)(np.array([[np.nan, 1.0]]), [1]) == 0


def test_intersection_over_union():
    predicted = MAPS.argmax(axis=1)
    predicted[predicted == 3], targets = 2, np.where(CLASSES == 3, 255, CLASSES)
    met = [np.sum((predicted == c) & (targets == c)) for c in range(3)]
    either = [np.sum(((predicted == c) | (targets == c)) & (targets != 255)) for c in range(3)]
    wanted = np.mean([a / b for a, b in zip(met, either, strict=True)])     # no fourth class occurs
    metric = metrics.mean_iou(4, ignore_index=255)
    assert metric(predicted, targets) == in_batches(metric, predicted, targets) == pytest.approx(wanted)
    assert metrics.mean_iou(4)(MAPS, MAPS.argmax(axis=1)) == 1
    assert np.isnan(metrics.mean_iou(2, 0)(np.zeros(3, int), np.zeros(3, int)))


def test_scikit_learn_agrees():
    sklearn = pytest.importorskip("sklearn.metrics")
    softmax = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    yes = (LABELS > 2).astype(int)
    for metric, outputs, targets, wanted in (
            (metrics.whole(sklearn.f1_score, "labels", average="macro"), SCORES, LABELS,
             sklearn.f1_score(LABELS, SCORES.argmax(axis=1), average="macro")),
            (metrics.whole(sklearn.roc_auc_score), SCORES[:, :1], yes, sklearn.roc_auc_score(yes, SCORES[:, 0])),
            (metrics.whole(sklearn.average_precision_score), SCORES[:, 0], yes,
             sklearn.average_precision_score(yes, SCORES[:, 0])),
            (metrics.whole(sklearn.f1_score, "labels"), SCORES[:, :1], yes, sklearn.f1_score(yes, SCORES[:, 0] > 0)),
            (metrics.whole(sklearn.roc_auc_score, "probabilities", multi_class="ovr"), SCORES, LABELS,
             sklearn.roc_auc_score(LABELS, softmax, multi_class="ovr")),
            (metrics.whole(sklearn.log_loss, "probabilities"), SCORES[:, 0], yes,
             sklearn.log_loss(yes, 1 / (1 + np.exp(-SCORES[:, 0].astype(float)))))):
        assert metric(outputs, targets) == pytest.approx(wanted, rel=1e-6)
        assert in_batches(metric, outputs, targets) == pytest.approx(wanted, rel=1e-6)
    assert metrics.top_k(3)(SCORES, LABELS) == sklearn.top_k_accuracy_score(LABELS, SCORES, k=3, labels=range(6))
    assert metrics.mean_iou(6)(SCORES, LABELS) == pytest.approx(
        sklearn.jaccard_score(LABELS, SCORES.argmax(axis=1), average="macro"))
    assert metrics.whole(sklearn.log_loss).lower and metrics.whole(sklearn.mean_squared_error).lower
    assert not metrics.whole(sklearn.f1_score).lower and metrics.whole(sklearn.f1_score, lower=True).lower


def test_what_is_met_by_the_task():
    x, yes = np.array([[2.0, -1.0], [0.4, -3.0]]), np.array([[1, 0], [0, 0]])
    assert hits(x, yes, "yes/no") == (3, 4) and hits(x, 2 * yes - 1, "signs") == (3, 4)
    assert hits(x / 2 + 0.3, yes, "probabilities") == (4, 4) and hits(x, yes * 2, "yes/no") is None
    assert hits(x, yes, "numbers") is None and hits(x, yes[:, 0], "yes/no") is None
    assert hits(MAPS, CLASSES) == (int((MAPS.argmax(axis=1) == CLASSES).sum()), CLASSES.size)
    some = np.where(CLASSES == 2, -100, CLASSES)
    assert hits(MAPS, some) is None
    assert hits(MAPS, some, ignore_index=-100)[1] == np.sum(CLASSES != 2)
    assert hits(MAPS, some * 0 - 100, ignore_index=-100) == (0, 0)


@pytest.mark.parametrize("call, error, message", [
    (lambda: metrics.top_k(0), ValueError, "top_k: k must be an integer of at least 1, got 0"),
    (lambda: metrics.top_k(2)(SCORES[0], LABELS), ValueError, r"top_k: outputs must be scores \(N, C\), got an array "),
    (lambda: metrics.top_k(2)(SCORES, LABELS + 1), ValueError, "top_k: targets must be class numbers from 0 to 5, got"),
    (lambda: metrics.accuracy(SCORES, LABELS / 1), ValueError, "accuracy: outputs and targets must be scores .* class"),
    (lambda: metrics.mean_iou(3)(MAPS, CLASSES), ValueError, r"mean_iou: outputs must be scores \(N, 3, ...\) or clas"),
    (lambda: metrics.mean_squared_error(SCORES, LABELS), ValueError, "mean_squared_error: outputs and targets must ha"),
    (lambda: metrics.whole(max, "classes"), ValueError, "whole: outputs must be 'scores', 'labels' or 'probabilities'"),
    (lambda: metrics.whole(max)(SCORES, LABELS[1:]), ValueError, "whole: outputs and targets must hold the same numbe"),
    (lambda: metrics.whole(max)([1], [1]), TypeError, "whole: outputs must be a NumPy array"),
    (lambda: metrics.whole(lambda t, o: "good")(SCORES, LABELS), TypeError, "the metric .* one number, got 'good'"),
    (lambda: metrics.whole(lambda t, o: None)(SCORES, LABELS), TypeError, "the metric .* one number, got None"),
    (lambda: metrics.whole(lambda t, o: o)(SCORES, LABELS), TypeError, "the metric .* one number, got an array of sh"),
    (lambda: metrics.Metric()(SCORES, LABELS), NotImplementedError, "Metric defines no update"),
])
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
