"""Losses of the scores of classes: which class a sample, or each pixel of it, belongs to."""
import numpy as np

from fastnet import arguments
from fastnet.losses.base import Loss, LossValue, at_least, class_weights, index_to_ignore, one_of


class ClassLoss(Loss):
    """Outputs (N, C) are scores, targets (N,) class numbers 0 .. C - 1; or (N, C, ...) and (N, ...), a class for each
    pixel. A subclass defines `rows`."""

    task = "classes"
    ignore_index = None
    mean_weight = None      # the weights of classes that enter what the mean divides by

    def __call__(self, outputs, targets, sample_weight=None):
        scores = self.scores(outputs)
        shape, rows = scores.shape[:1] + scores.shape[2:], _as_images(scores)
        labels = arguments.label_array(targets, self.said("targets"), shape)
        sample_weight = self.sample_weights(sample_weight, scores)
        try:
            value, gradient = self.rows(rows, labels.reshape(rows.shape[:1] + rows.shape[2:]), sample_weight)
        except (ValueError, IndexError):    # the operation looks at each label: one that it refuses is named here
            arguments.labels(labels, self.said("targets"), shape, scores.shape[1], self.ignore_index)
            raise
        return LossValue(value, gradient.reshape(scores.shape))

    def rows(self, scores, labels, sample_weight):
        """(value, gradient) for scores (N, C) or (N, C, H, W) and labels that fit."""
        raise NotImplementedError(f"{type(self).__name__} defines no rows")

    def scores(self, outputs):
        """The outputs as an array of two axes or more."""
        outputs = self.numbers(outputs, "outputs")
        if outputs.ndim < 2:
            raise ValueError(f"{self.said('outputs')} must have shape (N, C), one row of scores a sample, or (N, C, "
                             f"...), got {outputs.shape}")
        return outputs

    def of_classes(self, name, scores):
        """The option `name`, an array of one number or row a class, or None, for these scores."""
        value = getattr(self, name)
        if value is not None and len(value) != scores.shape[1]:
            raise ValueError(f"{self.said('outputs')} must be scores of the {len(value)} classes that {name} has, got "
                             f"{scores.shape[1]}")
        return value

    def divisor(self, outputs, targets, sample_weight=None):
        if self.reduction == "sum":
            return None
        scores = self.scores(outputs)
        labels = arguments.label_array(targets, self.said("targets"), scores.shape[:1] + scores.shape[2:])
        return float(self.total(labels, self.sample_weights(sample_weight, scores)))

    def mean_over(self, labels, sample_weight):
        """What the sum of all losses is multiplied by."""
        return self.scale(self.total(labels, sample_weight))

    def total(self, labels, sample_weight):
        """What the mean divides by: the sum, over all labels that are not ignored, of the weights of their sample, and
        of their class where `mean_weight` has some."""
        weight, kept, count = self.mean_weight, None, labels.size
        if self.ignore_index is not None:
            kept = labels != self.ignore_index
            count = np.count_nonzero(kept)
            kept = None if count == labels.size else kept
        if weight is None and sample_weight is None:
            return count
        share = np.ones(labels.shape)
        if sample_weight is not None:
            share *= sample_weight.reshape(-1, *[1] * (labels.ndim - 1))
        if weight is not None:
            share *= weight[labels if kept is None else np.where(kept, labels, 0)]
        return (share if kept is None else share[kept]).sum()


class CrossEntropyLoss(ClassLoss):
    """Softmax and cross-entropy in one pass: of each row -sum over c of t[c] log p[c] with p = softmax(outputs).

    outputs (N, C) are scores, not probabilities, and targets (N,) class numbers; or (N, C, ...) and (N, ...), a row for
    each pixel. The target t is (1 - label_smoothing) at the class plus label_smoothing / C everywhere, times
    `weight[c]` where weights of classes are given. Targets that are floating-point numbers of the shape of outputs are
    probabilities of all classes, smoothed and weighted alike. Rows whose class is `ignore_index` count for nothing.

    The mean divides by the sum of the weights of the rows' classes, as in PyTorch, each times its sample's weight,
    as in scikit-learn; for probabilities by the sum of the samples' weights, one for each row. If that is 0, all
    classes being ignored, value and gradient are 0, where PyTorch gives NaN: a batch without a label moves nothing.
    Natural logarithm: tiny weights start near ln C, which is 2.3026 for ten classes.
    ValueError for labels out of range or shapes that do not fit, TypeError for labels that are not integers.
    Smoothing: Szegedy et al., Rethinking the Inception Architecture (2016), section 7.

    >>> value, gradient = CrossEntropyLoss()(np.array([[2.0, 0.0]]), np.array([0]))
    >>> round(value, 4), gradient.round(4)
    (0.1269, array([[-0.1192,  0.1192]]))
    """

    rules = {"weight": class_weights, "ignore_index": index_to_ignore, "label_smoothing": at_least(0, 1)}

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0, backend="cpu"):
        super().__init__(reduction, backend, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing)

    @property
    def mean_weight(self):
        """Those of `weight`."""
        return self.weight

    def __call__(self, outputs, targets, sample_weight=None):
        if self._soft(outputs, targets):
            return self._of_probabilities(self.scores(outputs), targets, sample_weight)
        return super().__call__(outputs, targets, sample_weight)

    def divisor(self, outputs, targets, sample_weight=None):
        if self.reduction != "sum" and self._soft(outputs, targets):
            return float(self._rows(outputs, self.sample_weights(sample_weight, outputs)))
        return super().divisor(outputs, targets, sample_weight)

    def rows(self, scores, labels, sample_weight):
        weight = self.of_classes("weight", scores)
        return self.ops.softmax_cross_entropy(scores, labels, self.label_smoothing, weight, sample_weight,
                                              self.ignore_index, 0.0, self.mean_over(labels, sample_weight))

    def _soft(self, outputs, targets):
        """Whether the targets are probabilities."""
        shape = getattr(targets, "shape", None)
        return (isinstance(shape, tuple) and len(shape) > 1 and shape == getattr(outputs, "shape", None)
                and arguments.array(targets, self.said("targets")).dtype.kind == "f")

    def _of_probabilities(self, scores, targets, sample_weight):
        sample_weight = self.sample_weights(sample_weight, scores)
        value, gradient = self.ops.soft_cross_entropy(
            _as_images(scores), _as_images(self.numbers(targets, "targets", like=scores)), self.label_smoothing,
            self.of_classes("weight", scores), sample_weight, self.scale(self._rows(scores, sample_weight)))
        return LossValue(value, gradient.reshape(scores.shape))

    @staticmethod
    def _rows(scores, sample_weight):
        """What the mean over rows of probabilities divides by."""
        rows = scores.size // scores.shape[1]
        return rows if sample_weight is None else rows // len(scores) * sample_weight.sum(dtype=np.float64)


class NLLLoss(ClassLoss):
    """Of each row -weight[c] outputs[c] at its class c, where outputs (N, C) or (N, C, ...) are logarithms of
    probabilities, such as `LogSoftmax` gives. `CrossEntropyLoss` of scores is the same and more exact.

    Arguments, what the mean divides by, and errors are those of `CrossEntropyLoss` for class numbers.

    >>> value, gradient = NLLLoss()(np.log([[0.75, 0.25]]), np.array([0]))
    >>> round(value, 4), gradient.round(4)
    (0.2877, array([[-1.,  0.]]))
    """

    rules = {"weight": class_weights, "ignore_index": index_to_ignore}

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend, weight=weight, ignore_index=ignore_index)

    @property
    def mean_weight(self):
        """Those of `weight`."""
        return self.weight

    def rows(self, scores, labels, sample_weight):
        weight = self.of_classes("weight", scores)
        return self.ops.nll_loss(scores, labels, weight, sample_weight, self.ignore_index,
                                 self.mean_over(labels, sample_weight))


class FocalLoss(ClassLoss):
    """Cross-entropy in which what is right already counts little: of each row -alpha[c] (1 - p[c])^gamma log p[c] at
    its class c, with p = softmax(outputs).

    `alpha` are weights of the classes or None; gamma = 0 gives `CrossEntropyLoss`. Shapes and `ignore_index` are those
    of that. The mean divides by the number of rows that are not ignored, each times its sample's weight; alpha does
    not enter it. Lin et al., Focal Loss for Dense Object Detection (2017), section 3; `SigmoidFocalLoss` is the form
    for yes and no that is used there.

    >>> value, gradient = FocalLoss(gamma=2)(np.array([[2.0, 0.0]]), np.array([0]))
    >>> round(value, 4), gradient.round(4)
    (0.0018, array([[-0.0049,  0.0049]]))
    """

    rules = {"gamma": at_least(0), "alpha": class_weights, "ignore_index": index_to_ignore}

    def __init__(self, gamma=2.0, alpha=None, ignore_index=-100, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend, gamma=gamma, alpha=alpha, ignore_index=ignore_index)

    def rows(self, scores, labels, sample_weight):
        return self.ops.softmax_cross_entropy(scores, labels, 0.0, self.of_classes("alpha", scores), sample_weight,
                                              self.ignore_index, self.gamma, self.mean_over(labels, sample_weight))


class MultiMarginLoss(ClassLoss):
    """The multiclass hinge loss: of each row weight[y] / C times the sum over all classes c but the right one, y, of
    max(0, margin - x[y] + x[c])^p, p being 1 or 2.

    With over_classes="sum" it is not divided by C: the loss of the multiclass SVM, which starts at C - 1 for tiny
    weights. outputs are (N, C) or (N, C, ...), targets class numbers (N,) or (N, ...). The mean divides by the sum of
    the samples' weights, one for each row; `weight`, of the classes, does not enter it, as in PyTorch.
    Weston and Watkins, Multi-class Support Vector Machines (1998).

    >>> value, gradient = MultiMarginLoss(margin=3)(np.array([[2.0, 0.0]]), np.array([0]))
    >>> round(value, 4), gradient.round(4)
    (0.5, array([[-0.5,  0.5]]))
    """

    rules = {"p": lambda value, name: arguments.integer(value, name, 1, 2), "weight": class_weights,
             "margin": arguments.number, "over_classes": one_of("mean", "sum")}

    def __init__(self, p=1, margin=1.0, weight=None, reduction="mean", over_classes="mean", backend="cpu"):
        super().__init__(reduction, backend, p=p, margin=margin, weight=weight, over_classes=over_classes)

    def rows(self, scores, labels, sample_weight):
        scale = self.mean_over(labels, sample_weight) / (scores.shape[1] if self.over_classes == "mean" else 1)
        return self.ops.margin_loss(scores, labels, self.p, self.margin, self.of_classes("weight", scores),
                                    sample_weight, scale)


def _costs(value, name):
    """The rule of `EpsilonSoftmaxLoss.task_loss`."""
    if value is None or isinstance(value, str):
        return arguments.choice(value, (None, "zero-one"), name)
    value = np.array(arguments.values(value, name), np.float64)
    if value.ndim != 2 or value.shape[0] != value.shape[1] or not value.size:
        raise ValueError(f"{name} must be a square array, a row for each class, got {arguments.shown(value)}")
    if not ((value >= 0) & (value < np.inf)).all() or np.diagonal(value).any():
        raise ValueError(f"{name} must hold finite numbers of at least 0, and 0 for what is right, on the diagonal")
    return value


class EpsilonSoftmaxLoss(ClassLoss):
    """Between log loss and structured hinge: of each row epsilon log(sum over c of exp((x[c] + cost(y, c)) / epsilon))
    - x[y] at its class y.

    `task_loss` is what it costs to say c where y is right: an array (C, C), row y, of numbers of at least 0 and 0 on
    the diagonal; "zero-one", 1 for all that is wrong; or None, nothing. Without it epsilon 1 is the log loss,
    `CrossEntropyLoss`; with it epsilon towards 0 is the structured hinge loss max over c of (x[c] + cost(y, c)) - x[y].
    epsilon is 1e-6 at least. outputs are (N, C) or (N, C, ...), targets class numbers (N,) or (N, ...). The mean
    divides by the sum of the samples' weights, one for each row.
    Hazan and Urtasun, A Primal-Dual Message-Passing Algorithm for Approximated Large Scale Structured Prediction
    (2010).

    >>> value, gradient = EpsilonSoftmaxLoss()(np.array([[2.0, 0.0]]), np.array([0]))
    >>> round(value, 4), gradient.round(4)
    (0.1269, array([[-0.1192,  0.1192]]))
    """

    rules = {"epsilon": at_least(1e-6), "task_loss": _costs}

    def __init__(self, epsilon=1.0, task_loss=None, reduction="mean", backend="cpu"):
        super().__init__(reduction, backend, epsilon=epsilon, task_loss=task_loss)

    def rows(self, scores, labels, sample_weight):
        classes = scores.shape[1]
        if isinstance(self.task_loss, np.ndarray):
            cost = self.of_classes("task_loss", scores)
        else:
            cost = np.zeros((classes, classes)) if self.task_loss is None else 1 - np.eye(classes)
        return self.ops.epsilon_softmax_loss(scores, labels, cost, self.epsilon, sample_weight,
                                             self.mean_over(labels, sample_weight))


def _as_images(x):
    """x (N, C, ...) of any rank as (N, C) or (N, C, H, W)."""
    return x if x.ndim in (2, 4) else x.reshape(*x.shape[:2], -1, 1)
