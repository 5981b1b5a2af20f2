"""Metrics: numbers that say how well outputs meet targets.

``metric(outputs, targets)`` gives the number of one batch or of a whole data set. In a `Trainer` and in `evaluate` they
are counted up batch by batch, so that nothing is kept: ``evaluate(net, loader, loss, metrics={"top5": top_k(5)})``.

Where a metric is a plain function it is taken as one of scikit-learn's, f(targets, outputs): outputs and targets of all
batches are kept, and it is called once. `whole` does the same for what wants other things than outputs as they are,
such as class numbers: ``metrics={"f1": whole(sklearn.metrics.f1_score, "labels", average="macro")}``.

A metric of one's own derives from `Metric`. All of them belong to outputs that are one array; `of_head` takes one of
several.
"""
from numbers import Real

import numpy as np

from fastnet import arguments, probabilities

__all__ = ["Metric", "accuracy", "binary_accuracy", "mean_absolute_error", "mean_iou", "mean_squared_error",
           "of_head", "top_k", "whole"]

# Columns of a history that no metric may be called.
RESERVED = ("epoch", "steps", "lr", "loss", "accuracy", "seconds", "images_per_second", "memory")


class Metric:
    """A metric: ``start()`` gives a state, ``update(state, outputs, targets)`` the state after one batch more, and
    ``result(state)`` the number. `lower` says that less is better.

    >>> class share_of_ones(Metric):
    ...     name = "share_of_ones"
    ...     def update(self, state, outputs, targets):
    ...         return state[0] + targets.sum(), state[1] + len(targets)
    >>> share_of_ones()(None, np.array([0, 1, 1, 1]))
    0.75
    """

    lower = False
    may_miss = False    # whether there may be no number, None

    def start(self):
        """The state before the first batch: sums and counts."""
        return 0.0, 0

    def update(self, state, outputs, targets):
        """The state after one batch more."""
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    def result(self, state):
        """The number that a state stands for: here the mean of what was added up; NaN where there was nothing."""
        total, count = state
        return float(total / count) if count else float("nan")

    def __call__(self, outputs, targets):
        return self.number(self.update(self.start(), outputs, targets), repr(self))

    def number(self, state, name):
        """What `result` gives; TypeError, with the name of the metric, where that is no number."""
        found = self.result(state)
        if isinstance(found, np.ndarray) and found.shape == () and found.dtype.kind in "fiub":
            found = found.item()
        if isinstance(found, (Real, np.bool_)):
            return float(found)
        if found is None and self.may_miss:
            return None
        raise TypeError(f"the metric {name} must give one number, got {arguments.shown(found)}")

    def __repr__(self):
        return f"metrics.{getattr(self, 'name', type(self).__name__)}"


def hits(outputs, targets, task="classes", ignore_index=None):
    """(how many targets are met, how many there are); None where that is not to be told.

    task "classes": outputs (N, C, ...) of two or more columns are the largest at the class, targets (N, ...) are
    integers below C, or `ignore_index`, which does not count. One column, (N, 1) or (N,), is the logit of class 1
    against class 0: above 0 where the target is 1, at most 0 where it is 0; targets, of either shape, are all 0 or 1,
    whatever their dtype. Tasks "yes/no", "probabilities" and "signs": outputs of any shape are above 0, 1/2 or 0 where
    the target, of the same shape, is 1; the others are 0, 0 or -1. Anything else has no classes.
    """
    outputs, targets = _plain(outputs), _plain(targets)
    if outputs is None or targets is None or len(targets) != len(outputs):
        return None
    if task != "classes":
        border, other = {"yes/no": (0, 0), "probabilities": (0.5, 0), "signs": (0, -1)}.get(task, (None, None))
        if border is None or outputs.shape != targets.shape or not np.isin(targets, (other, 1)).all():
            return None
        return int(np.count_nonzero((outputs > border) == (targets == 1))), targets.size
    if outputs.ndim == 1 or outputs.ndim == 2 and outputs.shape[1] == 1:
        outputs, truth = outputs.ravel(), targets.ravel()
        if truth.shape != outputs.shape or not np.isin(truth, (0, 1)).all():
            return None
        return int(np.count_nonzero((outputs > 0) == (truth == 1))), truth.size
    if targets.shape != outputs.shape[:1] + outputs.shape[2:] or targets.dtype.kind not in "iu":
        return None
    if (ignore_index is None or ignore_index < 0) and targets.dtype == np.int64 \
            and np.maximum.reduce(targets.view(np.uint64), axis=None, initial=0) < outputs.shape[1]:
        # None is below 0, so none is ignored.
        return int(np.count_nonzero(outputs.argmax(axis=1) == targets)), targets.size
    kept = targets == targets if ignore_index is None else targets != ignore_index
    inside = (targets >= 0) & (targets < outputs.shape[1])
    if not (inside | ~kept).all():
        return None
    return int(np.count_nonzero((outputs.argmax(axis=1) == targets) & kept)), int(np.count_nonzero(kept))


def _plain(value):
    """An array of numbers with one row a sample at least; None for anything else."""
    if type(value) is np.ndarray:
        array = value
    else:
        try:
            array = np.asarray(value)
        except Exception:   # rows of different lengths, or a class of the user's own
            return None
    return array if array.dtype.kind in "fiub" and array.ndim and len(array) else None


class _Share(Metric):
    """The share of targets that are met, see `hits`."""

    def __init__(self, name, task, expected):
        self.name, self.task, self.expected = name, task, expected

    def update(self, state, outputs, targets):
        outputs = arguments.array(outputs, f"{self.name}: outputs")
        targets = arguments.values(targets, f"{self.name}: targets")
        found = hits(outputs, targets, self.task)
        if found is None:
            raise ValueError(f"{self.name}: outputs and targets must be {self.expected}, got {arguments.shown(outputs)}"
                             f" and {arguments.shown(targets)}")
        right, count = state
        return right + found[0], count + found[1]


accuracy = _Share("accuracy", "classes", "scores (N, C, ...) and class numbers (N, ...) below C, or logits (N, 1) and "
                  "0 or 1")
binary_accuracy = _Share("binary_accuracy", "yes/no", "logits and 0 or 1, of one shape")


class top_k(Metric):
    """The share of samples whose class is among the k of the largest scores: outputs (N, C), targets (N,). Where scores
    are equal to that of the class they count as smaller, NaN as larger.

    >>> scores, classes = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1])
    >>> top_k(1)(scores, classes), top_k(2)(scores, classes)
    (0.6666666666666666, 1.0)
    """

    def __init__(self, k):
        self.k = arguments.integer(k, "top_k: k", 1)

    @property
    def name(self):
        return f"top_k({self.k})"

    def update(self, state, outputs, targets):
        outputs = _scores(outputs, "top_k")
        targets = arguments.labels(targets, "top_k: targets", len(outputs), outputs.shape[1])
        right, count = state
        above = ~(outputs <= outputs[np.arange(len(outputs)), targets][:, None])
        return right + int(np.count_nonzero(above.sum(axis=1) < self.k)), count + len(outputs)


class mean_iou(Metric):
    """Intersection over union of what is predicted to be of a class and what is, the mean over all classes that occur
    in either: outputs (N, C, ...) are scores, or (N, ...) class numbers, targets (N, ...) class numbers.

    Pixels whose target is `ignore_index` do not count. Everingham et al., The Pascal Visual Object Classes Challenge
    (2015), section 4.2.

    >>> scores, classes = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1])
    >>> mean_iou(2)(scores, classes)
    0.5
    """

    def __init__(self, num_classes, ignore_index=None):
        self.num_classes = arguments.size(num_classes, "mean_iou: num_classes", 1)
        self.ignore_index = None if ignore_index is None else arguments.integer(ignore_index, "mean_iou: ignore_index",
                                                                                -2**63, 2**63 - 1)

    @property
    def name(self):
        return f"mean_iou({self.num_classes}, {self.ignore_index})"

    def start(self):
        """How often each class was taken for each: [target, predicted]."""
        return np.zeros((self.num_classes, self.num_classes), np.int64)

    def update(self, state, outputs, targets):
        outputs = arguments.array(outputs, "mean_iou: outputs")
        if outputs.dtype.kind == "f":
            if outputs.ndim < 2 or outputs.shape[1] != self.num_classes:
                raise ValueError(f"mean_iou: outputs must be scores (N, {self.num_classes}, ...) or class numbers, got "
                                 f"{arguments.shown(outputs)}")
            outputs = outputs.argmax(axis=1)
        outputs = arguments.labels(outputs, "mean_iou: outputs", outputs.shape, self.num_classes)
        targets = arguments.labels(targets, "mean_iou: targets", outputs.shape, self.num_classes, self.ignore_index)
        kept = slice(None) if self.ignore_index is None else targets != self.ignore_index
        places = targets[kept].ravel() * self.num_classes + outputs[kept].ravel()
        return state + np.bincount(places, minlength=self.num_classes**2).reshape(state.shape)

    def result(self, state):
        met, either = np.diagonal(state), state.sum(axis=0) + state.sum(axis=1) - np.diagonal(state)
        return float(np.mean(met[either > 0] / either[either > 0])) if either.any() else float("nan")


class _Error(Metric):
    """A mean over all elements of outputs and targets of one shape."""

    lower = True

    def __init__(self, name):
        self.name = name

    def update(self, state, outputs, targets):
        outputs = arguments.array(outputs, f"{self.name}: outputs")
        targets = arguments.values(targets, f"{self.name}: targets")
        if outputs.shape != targets.shape:
            raise ValueError(f"{self.name}: outputs and targets must have the same shape, got {outputs.shape} and "
                             f"{targets.shape}")
        error = np.subtract(outputs, targets, dtype=np.float64)
        total, count = state
        error = np.abs(error) if self.name == "mean_absolute_error" else error * error
        return total + error.sum(), count + error.size


mean_absolute_error = _Error("mean_absolute_error")
mean_squared_error = _Error("mean_squared_error")


class _Met(_Share):
    """The share of targets that a loss finds met; of what it cannot tell nothing is counted."""

    may_miss = True

    def __init__(self, loss):
        super().__init__("accuracy", loss.task, "")
        self.ignore_index = getattr(loss, "ignore_index", None)

    def update(self, state, outputs, targets):
        found = hits(outputs, targets, self.task, self.ignore_index)
        return state if found is None else (state[0] + found[0], state[1] + found[1])

    def result(self, state):
        return super().result(state) if state[1] else None


class _Deviation(Metric):
    """mean_absolute_error of what has one shape; of all else nothing is counted."""

    name, lower, may_miss = "mean_absolute_error", True, True

    def update(self, state, outputs, targets):
        outputs, targets = _plain(outputs), _plain(targets)
        if outputs is None or targets is None or outputs.shape != targets.shape:
            return state
        total, count = state
        error = np.subtract(outputs, targets, dtype=outputs.dtype if outputs.dtype.kind == "f" else np.float64)
        return total + float(np.abs(error, out=error).sum(dtype=np.float64)), count + error.size

    def result(self, state):
        return super().result(state) if state[1] else None


def following(loss):
    """What a training by `loss` counts where no metrics are asked for, beside the share of targets that are met: for a
    loss of numbers how far they are from their targets, as "mae"; for one of several heads "kind_accuracy" or
    "size_mae" of each head, by its name."""
    found = {}
    losses = getattr(loss, "losses", {}) if getattr(loss, "task", None) == "heads" else {}
    for head, one in losses.items() if isinstance(losses, dict) else enumerate(losses):
        inside = {"accuracy": _Met(one)} if getattr(one, "classifies", False) else following(one)
        found.update({f"{head}_{name}": of_head(head, metric) for name, metric in inside.items()})
    found = {name: metric for name, metric in found.items() if not name.startswith("val_")}
    return {"mae": _Deviation()} if getattr(loss, "task", None) == "numbers" else found


# What `whole` makes of outputs.
_FORMS = ("scores", "labels", "probabilities")


class whole(Metric):
    """A function f(targets, outputs, **options) of scikit-learn as a metric: outputs and targets of all batches are
    kept and it is called once.

    `outputs` says what it wants: "scores", the outputs as they are, (N, 1) as (N,); "labels", class numbers: the place
    of the largest score, or for one column whether the logit is above 0; "probabilities", the softmax of the scores, or
    for one column 1 / (1 + exp(-x)). `lower` says that less is better; None looks at the function's name, which ends
    with _loss, _error or _deviance where that is so, as scikit-learn promises. What the function raises is raised.

    >>> scores, classes = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1])
    >>> whole(lambda targets, found: (targets == found).sum(), "labels")(scores, classes)
    2.0
    """

    def __init__(self, function, outputs="scores", lower=None, **options):
        self.function = arguments.function(function, "whole: function", "a function of (targets, outputs)")
        self.outputs = arguments.choice(outputs, _FORMS, "whole: outputs")
        self.name = getattr(function, "__name__", type(function).__name__)
        self.lower = self.name.endswith(("_loss", "_error", "_deviance")) if lower is None else arguments.flag(
            lower, "whole: lower")
        self.options = options

    def start(self):
        """The outputs and the targets so far."""
        return ()

    def update(self, state, outputs, targets):
        outputs = _form(arguments.array(outputs, "whole: outputs"), self.outputs)
        targets = arguments.values(targets, "whole: targets")
        if not outputs.ndim or not targets.ndim or len(outputs) != len(targets):
            raise ValueError(f"whole: outputs and targets must hold the same number of samples, got "
                             f"{arguments.shown(outputs)} and {arguments.shown(targets)}")
        return *state, (outputs, targets)

    def result(self, state):
        outputs, targets = (np.concatenate(parts) for parts in zip(*state, strict=True))
        return self.function(targets, outputs, **self.options)

    def __repr__(self):
        return f"metrics.whole({self.name})"


class of_head(Metric):
    """A metric of one head of a net with several: ``of_head("kind", accuracy)`` for outputs and targets that are
    dictionaries, ``of_head(0, accuracy)`` for tuples. A plain function is taken as by `whole`.

    >>> scores, classes = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1])
    >>> of_head("kind", accuracy)({"kind": scores}, {"kind": classes})
    0.6666666666666666
    """

    def __init__(self, head, metric):
        self.head = head if isinstance(head, str) else arguments.integer(head, "of_head: head, where it is no name,", 0)
        self.metric = metric if isinstance(metric, Metric) else whole(
            arguments.function(metric, "of_head: metric", "a metric, such as metrics.accuracy"))
        self.lower, self.may_miss = self.metric.lower, self.metric.may_miss

    def start(self):
        return self.metric.start()

    def update(self, state, outputs, targets):
        return self.metric.update(state, self._part(outputs, "outputs"), self._part(targets, "targets"))

    def result(self, state):
        return self.metric.result(state)

    def _part(self, tree, name):
        try:
            if isinstance(tree, (dict, tuple, list)):
                return tree[self.head]
        except (LookupError, TypeError):
            pass
        raise ValueError(f"of_head: {name} must have the head {self.head!r}, got "
                         + (f"the heads {', '.join(map(repr, list(tree)[:5]))}" if isinstance(tree, dict)
                            else f"{len(tree)} heads" if isinstance(tree, (tuple, list)) else arguments.shown(tree)))

    def __repr__(self):
        return f"metrics.of_head({self.head!r}, {self.metric!r})"


def named(metrics, name):
    """`metrics`, a dictionary of Metrics and functions or None, as a dictionary of Metrics."""
    if metrics is None:
        return {}
    what = 'a dictionary of metrics, such as {"top5": metrics.top_k(5)}'
    found = arguments.mapping(metrics, name, what)
    for key, metric in found.items():
        if key in RESERVED or key.startswith("val_"):
            raise ValueError(f"{name} must have names of their own, got {key!r}, which the history has already")
        if not isinstance(metric, Metric):
            found[key] = whole(arguments.function(metric, name, what))
    return found


def _scores(outputs, who):
    outputs = arguments.array(outputs, f"{who}: outputs")
    if outputs.ndim != 2 or 0 in outputs.shape:
        raise ValueError(f"{who}: outputs must be scores (N, C), got {arguments.shown(outputs)}")
    return outputs


def _form(outputs, form):
    """Outputs as a function wants them."""
    if outputs.ndim == 2 and outputs.shape[1] == 1:
        outputs = outputs[:, 0]
    if form == "labels":
        return (outputs > 0).astype(np.int64) if outputs.ndim == 1 else outputs.argmax(axis=1)
    if form == "probabilities":
        if outputs.ndim == 1:
            return probabilities.sigmoid(outputs)
        return probabilities.softmax(outputs)
    return outputs
