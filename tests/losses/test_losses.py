"""Losses: known values, what counts for nothing, numbers at the edge, what is refused; `test_random` has the rest."""
import math

import numpy as np
import pytest

from fastnet import kernels, losses
from fastnet.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    EpsilonSoftmaxLoss,
    FocalLoss,
    HingeLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    PoissonNLLLoss,
    SigmoidFocalLoss,
    SmoothL1Loss,
    SoftMarginLoss,
    WeightedSum,
)

RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(5, 4)), np.array([0, 3, 1, 1, 2])
TARGET = RNG.normal(size=(5, 4))
INF, NAN = math.inf, math.nan
# The course's scores of cat, car and frog for three images, of the classes 0, 1 and 2.
SCORES = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])


@pytest.fixture(params=kernels.BACKENDS)
def backend(request):
    return request.param


def f4(*numbers):
    return np.array(numbers, np.float32)


def test_cross_entropy_of_the_course(backend):
    loss = CrossEntropyLoss(backend=backend)
    value, _ = loss(f4(SCORES[0]), np.array([0]))
    assert value == pytest.approx(2.0404, abs=1e-4)
    value, dlogits = loss(np.zeros((7, 10), np.float32), np.arange(7))
    assert type(value) is float and value == pytest.approx(math.log(10), rel=1e-6) == pytest.approx(2.3026, abs=1e-4)
    assert dlogits.dtype == np.float32
    np.testing.assert_allclose(dlogits, (0.1 - np.eye(7, 10)) / 7, rtol=1e-6)


def test_support_vector_machine_of_the_course(backend):
    svm = MultiMarginLoss(over_classes="sum", backend=backend)
    for row, (scores, wanted) in enumerate(zip(SCORES, (2.9, 0, 12.9), strict=True)):
        assert svm(scores[None], [row])[0] == pytest.approx(wanted)
    assert svm(SCORES, np.arange(3))[0] == pytest.approx(5.2667, abs=1e-4)
    assert MultiMarginLoss(backend=backend)(SCORES, np.arange(3))[0] == pytest.approx(5.2667 / 3, abs=1e-4)
    squared = MultiMarginLoss(2, over_classes="sum", backend=backend)
    assert squared(SCORES[:1], [0])[0] == pytest.approx(2.9**2)
    assert svm(1e-6 * np.ones((4, 10)), np.arange(4))[0] == pytest.approx(9)


def test_smoothing_mixes_the_label_with_all_classes(backend):
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    target = 0.8 * np.eye(4)[LABELS] + 0.2 / 4
    smoothed = CrossEntropyLoss(label_smoothing=0.2, backend=backend)
    value, dlogits = smoothed(LOGITS, LABELS)
    assert value == pytest.approx(-(target * log_p).sum() / 5, rel=1e-12)
    np.testing.assert_allclose(dlogits, (np.exp(log_p) - target) / 5, atol=1e-15)
    same, alike = CrossEntropyLoss(backend=backend)(LOGITS, target)
    assert same == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(alike, dlogits, atol=1e-15)


def test_pixels_are_rows(backend):
    """Images, sequences and volumes, of any layout, are as many rows as they have pixels."""
    rng = np.random.default_rng(1)
    for rest in ((3,), (3, 2), (2, 1, 3), (2, 2, 1, 2)):
        x, labels = rng.normal(size=(2, *rest, 5)), rng.integers(0, 5, (2, *rest))
        labels[1].flat[0] = -100
        for loss in (CrossEntropyLoss(rng.random(5), backend=backend), NLLLoss(backend=backend),
                     FocalLoss(backend=backend)):
            value, gradient = loss(x.reshape(-1, 5), labels.reshape(-1))
            for given in (np.moveaxis(x, -1, 1), np.ascontiguousarray(np.moveaxis(x, -1, 1))):
                found, gradients = loss(given, labels)
                assert found == pytest.approx(value, rel=1e-12)
                assert gradients.shape == given.shape
                np.testing.assert_allclose(np.moveaxis(gradients, 1, -1).reshape(-1, 5), gradient, atol=1e-15)


def test_mse_by_hand(backend):
    value, gradient = MSELoss(backend=backend)(f4([1, 2], [3, 5]), [[1, 0], [0, 1]])
    assert value == (0 + 4 + 9 + 16) / 4
    np.testing.assert_array_equal(gradient, f4([0, 1], [1.5, 2]))
    value, gradient = MSELoss("sum", backend)(f4([1, 2], [3, 5]), [[1, 0], [0, 1]], sample_weight=[1, 2])
    assert value == 4 + 2 * 25
    np.testing.assert_array_equal(gradient, f4([0, 4], [12, 16]))


def test_tails_of_robust_losses(backend):
    """Huber's tail is delta |e| - delta^2 / 2."""
    for delta in (0.5, 2.0):
        value, gradient = HuberLoss(delta=delta, backend=backend)(f4(7), f4(-3))
        assert value == pytest.approx(delta * 10 - delta**2 / 2) and gradient == delta
        value, gradient = SmoothL1Loss(beta=delta, backend=backend)(f4(-7), f4(3))
        assert value == pytest.approx(10 - delta / 2) and gradient == -1
    for loss in (L1Loss(backend=backend), SmoothL1Loss(beta=0, backend=backend)):
        value, gradient = loss(f4(2, -1, 4), f4(2, 1, 1))
        assert value == pytest.approx(5 / 3)
        np.testing.assert_allclose(gradient, [0, -1 / 3, 1 / 3], rtol=1e-6)


def test_epsilon_softmax_lies_between_log_loss_and_hinge(backend):
    labels = np.arange(3)
    wanted = CrossEntropyLoss(backend=backend)(SCORES, labels)
    found = EpsilonSoftmaxLoss(backend=backend)(SCORES, labels)
    assert found[0] == pytest.approx(wanted[0], rel=1e-12)
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-15)
    value, gradient = EpsilonSoftmaxLoss(1e-6, "zero-one", backend=backend)(SCORES, labels)
    structured = (SCORES + 1 - np.eye(3)).max(axis=1) - SCORES[labels, labels]
    assert value == pytest.approx(structured.mean(), abs=1e-5)
    worst = (SCORES + 1 - np.eye(3)).argmax(axis=1)
    np.testing.assert_allclose(gradient, (np.eye(3)[worst] - np.eye(3)) / 3, atol=1e-6)


NOTHING = np.full(5, -100)


@pytest.mark.parametrize("loss", [
    CrossEntropyLoss(), CrossEntropyLoss([1, 2, 3, 4], label_smoothing=0.1), NLLLoss(), FocalLoss(),
    CrossEntropyLoss(reduction="sum"),
], ids=repr)
def test_a_batch_of_which_nothing_counts_moves_nothing(loss, backend):
    """PyTorch gives NaN: a training would end there."""
    loss.backend = backend
    bad = LOGITS.copy()
    bad[2] = NAN
    for x, targets, weight in ((bad, NOTHING, None), (LOGITS, LABELS, np.zeros(5))):
        value, gradient = loss(x, targets, weight)
        assert value == 0 and not gradient.any() and gradient.shape == LOGITS.shape


def test_a_row_that_is_ignored_is_not_looked_at(backend):
    x, labels = LOGITS.copy(), LABELS.copy()
    x[1], labels[1] = NAN, -100
    for loss in (CrossEntropyLoss(backend=backend), NLLLoss(backend=backend), FocalLoss(backend=backend)):
        value, gradient = loss(x, labels)
        kept = [0, 2, 3, 4]
        wanted, others = loss(x[kept], labels[kept])
        assert value == pytest.approx(wanted, rel=1e-12) and not gradient[1].any()
        np.testing.assert_allclose(gradient[kept], others, rtol=1e-12)


@pytest.mark.parametrize("make, x, t, value, gradient", [
    (MSELoss, f4([3e38, 3e38]), f4([-3e38, -3e38]), INF, f4([INF, INF])),
    (MSELoss, f4([1]), np.array([[1e300]]), INF, f4([-INF])),
    (L1Loss, f4([INF, 0]), f4([0, 0]), INF, f4([0.5, 0])),
    (HuberLoss, f4([1e30, -INF]), f4([0, 0]), INF, f4([0.5, -0.5])),
    (BCEWithLogitsLoss, f4([1e30, -1e30]), f4([1, 0]), 0, f4([0, 0])),
    (BCEWithLogitsLoss, f4([200, -200]), f4([0, 1]), 200, f4([0.5, -0.5])),
    (BCELoss, f4([0, 1]), f4([1, 0]), 100, f4([-0.5e12, 0.5e12])),
    (BCELoss, f4([0, 1]), f4([0, 1]), 0, f4([0, 0])),
    (KLDivLoss, f4([-1, -2]), f4([0, 0]), 0, f4([0, 0])),
    (SoftMarginLoss, f4([-1e30, 1e30]), f4([1, 1]), 5e29, f4([-0.5, 0])),
    (SigmoidFocalLoss, f4([200, -200]), f4([1, 0]), 0, f4([0, 0])),
    (lambda: SigmoidFocalLoss(0.5), f4([200, -200]), f4([1, 0]), 0, f4([0, 0])),
    (HingeLoss, f4([1e30, INF]), f4([1, 1]), 0, f4([0, 0])),
    (PoissonNLLLoss, f4([100]), f4([1]), INF, f4([INF])),
    (CrossEntropyLoss, f4([1e38, -1e38, 0]), [0], 0, f4([0, 0, 0])),
    (CrossEntropyLoss, f4([0, -INF, 0]), [2], math.log(2), f4([0.5, 0, -0.5])),
    (CrossEntropyLoss, f4([0, -INF, 0]), [1], INF, f4([0.5, -1, 0.5])),
    (FocalLoss, f4([1e38, -1e38, 0]), [0], 0, f4([0, 0, 0])),
    (MultiMarginLoss, f4([1e38, -1e38, 0]), [0], 0, f4([0, 0, 0])),
    (lambda: EpsilonSoftmaxLoss(1e-6), f4([1e30, -1e30, 0]), [0], 0, f4([0, 0, 0])),
])
def test_numbers_at_the_edge(make, x, t, value, gradient, backend):
    loss = make()
    loss.backend = backend
    found, slope = loss(x, t)
    assert found == pytest.approx(value, rel=1e-6, abs=1e-30)
    np.testing.assert_allclose(slope, gradient, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("loss, t", [
    (CrossEntropyLoss(), [1]), (CrossEntropyLoss(), f4([0.5, 0.5])), (FocalLoss(), [0]), (MultiMarginLoss(), [0]),
    (EpsilonSoftmaxLoss(), [1]), *((loss, f4([1, 1])) for loss in (
        MSELoss(), L1Loss(), HuberLoss(), BCEWithLogitsLoss(), BCELoss(), KLDivLoss(), KLDivLoss(log_target=True),
        HingeLoss(), SoftMarginLoss(), SigmoidFocalLoss(), PoissonNLLLoss(), PoissonNLLLoss(log_input=False))),
], ids=repr)
def test_nan_is_nowhere_taken_for_a_number(loss, t, backend):
    loss.backend = backend
    assert math.isnan(loss(f4([0.5, NAN]), t)[0])


def test_heads(backend):
    x = {"class": LOGITS, "box": TARGET, "unused": TARGET}
    t = {"class": LABELS, "box": np.zeros((5, 4))}
    first, second = CrossEntropyLoss(backend=backend), SmoothL1Loss(backend=backend)
    loss = WeightedSum({"class": first, "box": second}, {"class": 1, "box": 0.5})
    value, gradient = loss(x, t)
    assert value == first(LOGITS, LABELS)[0] + 0.5 * second(TARGET, t["box"])[0]
    assert gradient.keys() == x.keys() and gradient["unused"] is None
    np.testing.assert_array_equal(gradient["class"], first(LOGITS, LABELS)[1])
    np.testing.assert_array_equal(gradient["box"], 0.5 * second(TARGET, t["box"])[1])
    weights = np.arange(5)
    value, gradient = WeightedSum((first, second), [2, 1])((LOGITS, TARGET), [LABELS, t["box"]], weights)
    assert type(gradient) is tuple and value == pytest.approx(
        2 * first(LOGITS, LABELS, weights)[0] + second(TARGET, t["box"], weights)[0])
    nested = WeightedSum((WeightedSum({"a": first}), second), (3, 1))
    value, gradient = nested(({"a": LOGITS}, TARGET), ({"a": LABELS}, t["box"]))
    np.testing.assert_allclose(gradient[0]["a"], 3 * first(LOGITS, LABELS)[1])
    assert repr(WeightedSum((MSELoss(),))) == "WeightedSum((MSELoss(),), (1.0,))"


def test_what_they_are_for():
    tasks = {name: getattr(losses, name).task for name in losses.__all__}
    assert tasks["CrossEntropyLoss"] == tasks["EpsilonSoftmaxLoss"] == "classes" and tasks["MSELoss"] == "numbers"
    assert (tasks["BCELoss"], tasks["BCEWithLogitsLoss"], tasks["HingeLoss"]) == ("probabilities", "yes/no", "signs")
    assert CrossEntropyLoss().classifies and BCELoss().classifies and not MSELoss().classifies
    assert not WeightedSum((MSELoss(),)).classifies


def test_they_print_what_is_not_as_it_comes():
    loss = CrossEntropyLoss([1, 0.5], label_smoothing=0.1)
    assert repr(loss) == "CrossEntropyLoss(weight=[1.0, 0.5], label_smoothing=0.1)"
    assert repr(HuberLoss("sum")) == "HuberLoss(reduction='sum')" and repr(MSELoss()) == "MSELoss()"
    assert repr(BCELoss(np.ones((2, 3)))) == "BCELoss(weight=an array of shape (2, 3) and dtype float64)"


@pytest.mark.parametrize("call, error, message", [
    (lambda: CrossEntropyLoss(label_smoothing=1.5), ValueError, "CrossEntropyLoss: label_smoothing must be .* most 1,"),
    (lambda: CrossEntropyLoss(backend="gpu"), ValueError, "CrossEntropyLoss: backend must be 'naive' or 'cpu', got 'g"),
    (lambda: CrossEntropyLoss(0.1), ValueError, "CrossEntropyLoss: weight must be an array of one number for each cla"),
    (lambda: CrossEntropyLoss([1, -1]), ValueError, "CrossEntropyLoss: weight must hold finite numbers of at least 0,"),
    (lambda: CrossEntropyLoss([1, 2])(LOGITS, LABELS), ValueError, "outputs must be scores of the 2 classes that weig"),
    (lambda: MSELoss("none"), ValueError, "MSELoss: reduction must be 'mean' or 'sum', got 'none': a gradient follows"),
    (lambda: MSELoss("batchmean"), ValueError, "MSELoss: reduction must be 'mean' or 'sum', got 'batchmean'"),
    (lambda: CrossEntropyLoss()(LOGITS, [0, 1, 2, 3, 4]), ValueError,
     "CrossEntropyLoss: targets must be class numbers from 0 to 3, or -100 to be ignored, got 4 at position 4"),
    (lambda: MultiMarginLoss()(LOGITS, [0, 1, 2, -1, 0]), ValueError, "from 0 to 3, got -1 at position 3"),
    (lambda: CrossEntropyLoss()(LOGITS, LABELS.astype(np.uint64) + np.uint64(2**63)), ValueError,
     "from 0 to 3, .*got 9223372036854775808 at position 0"),
    (lambda: CrossEntropyLoss()(LOGITS, [0, 1]), ValueError, "CrossEntropyLoss: targets must be 5 class numbers"),
    (lambda: CrossEntropyLoss()(LOGITS, LABELS / 1), TypeError, r"targets must be .*: give targets.astype\('int64'\)"),
    (lambda: CrossEntropyLoss()(LOGITS, np.eye(4, dtype=int)[LABELS]), ValueError, r"give targets.argmax\(axis=1\)"),
    (lambda: NLLLoss()(LOGITS, np.eye(4)[LABELS]), TypeError, r"one-hot .*, give targets.argmax\(axis=1\)"),
    (lambda: CrossEntropyLoss()(LOGITS, LABELS[:, None]), ValueError, r"targets must be .*: give targets.ravel\(\)"),
    (lambda: CrossEntropyLoss()(LOGITS, np.array(list("abcde"))), TypeError, r"np.unique\(targets, return_inverse=Tru"),
    (lambda: CrossEntropyLoss()(LOGITS, list("abcde")), TypeError, "targets must be .*: number the classes"),
    (lambda: CrossEntropyLoss()(LOGITS, [(0, 1), (2,)]), TypeError, "targets must be an array of class numbers, got"),
    (lambda: CrossEntropyLoss()(LOGITS, np.ma.array(LABELS)), TypeError, "targets is a masked array"),
    (lambda: CrossEntropyLoss()(LOGITS, None), TypeError, "CrossEntropyLoss: targets must be a NumPy array, got None"),
    (lambda: CrossEntropyLoss()(LOGITS[0], LABELS), ValueError, r"CrossEntropyLoss: outputs must have shape \(N, C\)"),
    (lambda: CrossEntropyLoss()(LOGITS[:0], LABELS[:0]), ValueError, "empty batch"),
    (lambda: CrossEntropyLoss()(LOGITS[:0], LABELS[:0]), ValueError, "^CrossEntropyLoss: empty batch: got outputs"),
    (lambda: CrossEntropyLoss()(np.zeros((2, 3, 4, 5)), np.zeros((2, 3, 4), int)), ValueError,
     r"targets must be class numbers of shape \(2, 4, 5\), got an array of shape \(2, 3, 4\)"),
    (lambda: CrossEntropyLoss()(np.zeros((2, 3, 4, 5)), [0, 1]), ValueError,
     r"one class number for each sample and pixel, an array of shape \(2, 4, 5\), got an array of shape \(2,\)"),
    (lambda: CrossEntropyLoss()(np.zeros((1, 3, 2, 2)), np.full((1, 2, 2), 3)), ValueError, r"got 3 at position \(0, "),
    (lambda: CrossEntropyLoss()(LOGITS, LABELS, [1, 2]), ValueError,
     r"CrossEntropyLoss: sample_weight must be one number for each sample, of shape \(5,\), got an array of shape"),
    (lambda: MSELoss()(LOGITS, TARGET, [1, 2, NAN, 4, 5]), ValueError, "sample_weight must hold finite numbers of at "),
    (lambda: MSELoss()(np.zeros((3, 1)), np.zeros(3)), ValueError,
     r"MSELoss.*same shape, got \(3, 1\) and \(3,\): give targets\[:, None\]"),
    (lambda: MSELoss()(np.zeros((0, 1)), np.zeros((0, 1))), ValueError, "empty batch"),
    (lambda: MSELoss()(np.float32(3), np.float32(3)), ValueError, "MSELoss: outputs must have an axis of samples"),
    (lambda: MSELoss()(np.zeros(2, complex), np.zeros(2)), TypeError, "MSELoss: outputs must hold real numbers"),
    (lambda: MSELoss()(np.zeros(2), np.ma.zeros(2)), TypeError, "MSELoss: targets is a masked array"),
    (lambda: BCELoss()(f4(0.5, 1.5), f4(0, 1)), ValueError, r"BCELoss: outputs must be probabilities .*, got 1.5: end"),
    (lambda: BCELoss(np.ones(3))(f4(0.5, 0.5), f4(0, 1)), ValueError, r"a shape that weight, of shape \(3,\), can be "),
    (lambda: HingeLoss()(f4(0.5, 0.5), f4(0, 1)), ValueError, r"HingeLoss: targets must be -1 and 1, got 0.0: for 0 a"),
    (lambda: HuberLoss(delta=0), ValueError, "HuberLoss: delta must be a finite number above 0, got 0"),
    (lambda: MultiMarginLoss(3), ValueError, "MultiMarginLoss: p must be an integer of at least 1 and at most 2, got "),
    (lambda: EpsilonSoftmaxLoss(0), ValueError, "EpsilonSoftmaxLoss: epsilon must be a finite number of at least 1e-0"),
    (lambda: EpsilonSoftmaxLoss(1, np.ones((2, 2))), ValueError, "task_loss must hold .*, and 0 for what is right, on"),
    (lambda: EpsilonSoftmaxLoss(1, np.ones((2, 3))), ValueError, "task_loss must be a square array, a row for each cl"),
    (lambda: EpsilonSoftmaxLoss(1, 1 - np.eye(2))(LOGITS, LABELS), ValueError, "of the 2 classes that task_loss has"),
    (lambda: WeightedSum({}), ValueError, "WeightedSum: losses must hold losses, got none"),
    (lambda: WeightedSum(MSELoss()), TypeError, "WeightedSum: losses must be a dictionary .head: loss., or a tuple"),
    (lambda: WeightedSum((MSELoss,)), TypeError, r"WeightedSum: losses must be .*make an object of it, MSELoss\(...\)"),
    (lambda: WeightedSum((MSELoss(),), (1, 2)), ValueError, "WeightedSum: weights must be 1 numbers, one for each los"),
    (lambda: WeightedSum({"a": MSELoss()}, {"b": 1}), ValueError, "weights must be a number for each of the heads 'a'"),
    (lambda: WeightedSum({"a": MSELoss()})((LOGITS,), (TARGET,)), TypeError, "outputs must be a dictionary with the h"),
    (lambda: WeightedSum((MSELoss(),))((LOGITS,), (TARGET, 3)), ValueError, "targets must be a tuple .* 0, got a tupl"),
])
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_huge_label_is_not_the_one_to_ignore(backend):
    """As int64 it would be -100."""
    labels = np.array([0, 2**64 - 100], np.uint64)
    with pytest.raises(ValueError, match=f"^CrossEntropyLoss: targets must be class numbers .* got {2**64 - 100} at"):
        CrossEntropyLoss(backend=backend)(LOGITS[:2], labels)
    with pytest.raises(ValueError, match="^CrossEntropyLoss: targets must be class numbers .* got 9 at position 1"):
        CrossEntropyLoss(np.ones(4), backend=backend)(LOGITS[:2], np.array([0, 9]), np.ones(2))


def test_what_was_right_once_is_looked_at_again(backend):
    """1 and True are one key of a dictionary."""
    ops = kernels.load(backend)
    ops.softmax_cross_entropy(LOGITS, LABELS, 1), ops.softmax_cross_entropy(LOGITS, LABELS, 1)
    for wrong in (True, [1]):
        with pytest.raises(TypeError, match="^label_smoothing must be a finite number"):
            ops.softmax_cross_entropy(LOGITS, LABELS, wrong)
    ops.pointwise_loss(LOGITS, TARGET, "huber", 1)
    with pytest.raises(TypeError, match="^alpha must be a finite number"):
        ops.pointwise_loss(LOGITS, TARGET, "huber", True)
    with pytest.raises(ValueError, match="^label 4 at position 0 is out of range"):
        ops.softmax_cross_entropy(LOGITS, LABELS + 4, 1)


def test_a_refused_option_leaves_the_old_one():
    loss = CrossEntropyLoss(label_smoothing=0.1)
    with pytest.raises(TypeError):
        loss.label_smoothing = None
    with pytest.raises(ValueError, match="reduction"):
        loss.reduction = "none"
    assert (loss.label_smoothing, loss.reduction) == (0.1, "mean")
    heads = WeightedSum({"a": MSELoss()})
    with pytest.raises(ValueError, match="weights must be a number for each"):
        heads.losses = {"b": MSELoss()}
    assert heads.losses.keys() == {"a"}


def test_tensors_of_pytorch_are_taken(backend):
    torch = pytest.importorskip("torch")
    for t in (LABELS, np.eye(4)[LABELS]):
        for ours, theirs in zip(CrossEntropyLoss(backend=backend)(torch.tensor(LOGITS), torch.tensor(t)),
                                CrossEntropyLoss(backend=backend)(LOGITS, t), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("loss, target", [(CrossEntropyLoss(), np.zeros(300_000, int)),
                                          (MSELoss(), np.zeros((300_000, 4), np.float32))], ids=repr)
def test_the_mean_over_many_rows_keeps_single_precision(loss, target):
    logits = np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (300_000, 1))
    one, _ = loss(logits[:1].astype(np.float64), target[:1].astype(np.float64 if target.ndim == 2 else int))
    assert loss(logits, target)[0] == pytest.approx(one, rel=1e-6)
