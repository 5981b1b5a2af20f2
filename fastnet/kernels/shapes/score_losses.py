"""Losses of scores against class labels, each with its gradient for the scores.

Scores are (N, C), a row a sample, or (N, C, H, W), a row a pixel; M counts the rows. Labels are (N,) or (N, H, W),
integers in 0 .. C - 1 (ValueError for others, from the operations alone: it takes the numbers to tell). `weight` (C,)
multiplies the loss of each class's rows, `sample_weight` (N,) that of each sample, None being 1; rows whose label is
`ignore_index` count for nothing. The value is `scale` times the sum over all rows, a Python float; a scale of None is
1 / M, a mean over the rows.

A score of -inf has probability 0; a row with a NaN or +inf, or of -inf alone, gives NaN; nothing else overflows.
"""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import PYTHON_FLOAT, Kind, fits


def softmax_cross_entropy(logits, labels, label_smoothing=0.0, weight=None, sample_weight=None, ignore_index=None,
                          gamma=0.0, scale=None):
    """Of each row, -sum over c of t[c] log p[c] with p = softmax(logits), and its gradient (sum of t) p - t.

    The target t[c] is weight[c] ((1 - label_smoothing) [c is the label] + label_smoothing / C) (Szegedy et al.,
    Rethinking the Inception architecture, 2016, section 7). With gamma, which goes with no smoothing, the row counts
    (1 - p[label])^gamma times (Lin et al., Focal loss for dense object detection, 2017, section 3).
    """
    _with_labels(logits, labels, weight, sample_weight, scale, "logits", ignore_index)
    smoothing = arguments.number(label_smoothing, "label_smoothing", 0, 1)
    if arguments.number(gamma, "gamma", 0) and smoothing:
        raise ValueError(f"gamma goes with label_smoothing 0, got gamma {gamma} and label_smoothing {label_smoothing}")
    return _result(logits, "logits")


def soft_cross_entropy(logits, targets, label_smoothing=0.0, weight=None, sample_weight=None, scale=None):
    """The same for targets of the shape of logits, the probabilities of all classes: t[c] = weight[c]
    ((1 - label_smoothing) targets[c] + label_smoothing / C)."""
    checks.class_scores(logits.shape, "logits")
    fits(targets, logits.shape, "targets")
    _weights(logits, weight, sample_weight, scale)
    arguments.number(label_smoothing, "label_smoothing", 0, 1)
    return _result(logits, "logits")


def nll_loss(x, labels, weight=None, sample_weight=None, ignore_index=None, scale=None):
    """Of each row, -x[label], where x holds logarithms of probabilities."""
    _with_labels(x, labels, weight, sample_weight, scale, "x", ignore_index)
    return _result(x)


def margin_loss(x, labels, p=1, margin=1.0, weight=None, sample_weight=None, scale=None):
    """Of each row, the sum over c that is not the label of max(0, margin - x[label] + x[c])^p, p being 1 or 2: the
    multiclass hinge loss (Weston and Watkins, Multi-class support vector machines, 1998) and its square."""
    _with_labels(x, labels, weight, sample_weight, scale)
    arguments.integer(p, "p", 1, 2)
    arguments.number(margin, "margin")
    return _result(x)


def epsilon_softmax_loss(x, labels, cost, epsilon=1.0, sample_weight=None, scale=None):
    """Of each row, epsilon log(sum over c of exp((x[c] + cost[label, c]) / epsilon)) - x[label], cost being (C, C): for
    epsilon 1 and no cost the cross-entropy, towards 0 the structured hinge loss max over c of (x[c] + cost[label, c])
    - x[label] (Hazan and Urtasun, A primal-dual message-passing algorithm for approximated large scale structured
    prediction, 2010)."""
    _with_labels(x, labels, None, sample_weight, scale)
    fits(cost, (x.shape[1],) * 2, "cost")
    arguments.number(epsilon, "epsilon", above=0)
    return _result(x)


def _with_labels(x, labels, weight, sample_weight, scale, name="x", ignore_index=None):
    checks.labels_shape(labels, checks.class_scores(x.shape, name))
    _weights(x, weight, sample_weight, scale)
    if ignore_index is not None:
        arguments.integer(ignore_index, "ignore_index", -2**63, 2**63 - 1)


def _weights(x, weight, sample_weight, scale):
    for array, name, axis in ((weight, "weight", 1), (sample_weight, "sample_weight", 0)):
        if array is not None:
            fits(array, (x.shape[axis],), name)
    if scale is not None:
        arguments.number(scale, "scale")


def _result(x, name="x"):
    return PYTHON_FLOAT, Kind(tuple(x.shape), checks.result_dtype(x, name))
