"""Losses of scores against class labels, and their gradients. The scores are looked at as rows: one of C numbers for
each sample, or for each pixel."""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.naive.array import channels_last
from fastnet.kernels.naive.softmax import log_softmax_forward


def softmax_cross_entropy(logits, labels, label_smoothing=0.0, weight=None, sample_weight=None, ignore_index=None,
                          gamma=0.0, scale=None):
    """-sum over c of t[c] log p[c], where t is the label, smoothed and weighted; times (1 - p[label])^gamma."""
    logits, labels = checks.floating(logits, "logits"), np.asarray(labels)
    shapes.softmax_cross_entropy(logits, labels, label_smoothing, weight, sample_weight, ignore_index, gamma, scale)
    rows, labels, share = _rows(logits, labels, sample_weight, ignore_index, scale)
    weight = _weight(weight, rows)
    log_p, all_ = log_softmax_forward(rows), np.arange(len(rows))
    target = np.tile(weight * (label_smoothing / len(weight)), (len(rows), 1)).astype(rows.dtype)
    target[all_, labels] += (1 - label_smoothing) * weight[labels]
    with np.errstate(all="ignore"):
        losses = -np.where(target == 0, 0, target * log_p).sum(axis=1, dtype=np.float64)
        gradient = target.sum(axis=1, dtype=np.float64)[:, None] * np.exp(log_p) - target
        if gamma:
            log = log_p[all_, labels].astype(np.float64)
            left = -np.expm1(log)
            losses *= left**gamma
            slope = np.where(left == 0, 0, left**gamma - gamma * left**(gamma - 1) * np.exp(log) * log)
            gradient *= slope[:, None]
    return _result(losses, gradient, share, logits)


def soft_cross_entropy(logits, targets, label_smoothing=0.0, weight=None, sample_weight=None, scale=None):
    """-sum over c of t[c] log p[c], where t are the targets, smoothed and weighted."""
    logits = checks.floating(logits, "logits")
    targets = checks.floating(targets, "targets", like=logits)
    shapes.soft_cross_entropy(logits, targets, label_smoothing, weight, sample_weight, scale)
    rows, _, share = _rows(logits, None, sample_weight, None, scale)
    target = (1 - label_smoothing) * _rows_of(targets) + label_smoothing / rows.shape[1]
    target = target * _weight(weight, rows)
    log_p = log_softmax_forward(rows)
    with np.errstate(all="ignore"):
        losses = -(target * log_p).sum(axis=1, dtype=np.float64)
        gradient = target.sum(axis=1, dtype=np.float64)[:, None] * np.exp(log_p) - target
    return _result(losses, gradient, share, logits)


def nll_loss(x, labels, weight=None, sample_weight=None, ignore_index=None, scale=None):
    """-weight[label] x[label]."""
    x, labels = checks.floating(x, "x"), np.asarray(labels)
    shapes.nll_loss(x, labels, weight, sample_weight, ignore_index, scale)
    rows, labels, share = _rows(x, labels, sample_weight, ignore_index, scale)
    weight, all_ = _weight(weight, rows), np.arange(len(rows))
    gradient = np.zeros_like(rows)
    gradient[all_, labels] = -weight[labels]
    return _result(-weight[labels] * rows[all_, labels].astype(np.float64), gradient, share, x)


def margin_loss(x, labels, p=1, margin=1.0, weight=None, sample_weight=None, scale=None):
    """weight[label] times the sum over c that is not the label of max(0, margin - x[label] + x[c])^p."""
    x, labels = checks.floating(x, "x"), np.asarray(labels)
    shapes.margin_loss(x, labels, p, margin, weight, sample_weight, scale)
    rows, labels, share = _rows(x, labels, sample_weight, None, scale)
    weight, all_ = _weight(weight, rows), np.arange(len(rows))
    with np.errstate(all="ignore"):
        beyond = margin - rows[all_, labels][:, None] + rows
        beyond[all_, labels] = 0
        beyond = np.where(beyond <= 0, 0, beyond)
        losses = (beyond**p).sum(axis=1, dtype=np.float64)
        gradient = beyond * 2 if p == 2 else (beyond != 0).astype(x.dtype)
        gradient[all_, labels] = -gradient.sum(axis=1, dtype=np.float64)
    return _result(losses * weight[labels], gradient * weight[labels][:, None], share, x)


def epsilon_softmax_loss(x, labels, cost, epsilon=1.0, sample_weight=None, scale=None):
    """epsilon log(sum over c of exp((x[c] + cost[label, c]) / epsilon)) - x[label]."""
    x, labels = checks.floating(x, "x"), np.asarray(labels)
    cost = checks.floating(cost, "cost", like=x)
    shapes.epsilon_softmax_loss(x, labels, cost, epsilon, sample_weight, scale)
    rows, labels, share = _rows(x, labels, sample_weight, None, scale)
    with np.errstate(all="ignore"):
        reached = rows + cost[labels]
        largest = reached.max(axis=1, keepdims=True)
        exponentials = np.exp((reached - largest) / epsilon)
        total = exponentials.sum(axis=1, dtype=np.float64)
        all_ = np.arange(len(rows))
        losses = epsilon * np.log(total) + (largest[:, 0] - rows[all_, labels])
        gradient = exponentials / total[:, None]
        gradient[all_, labels] -= 1
    return _result(losses, gradient, share, x)


def _rows_of(x):
    """One row of C numbers for each sample, or for each pixel of each image."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def _rows(x, labels, sample_weight, ignore_index, scale):
    """(rows, the label of each, by what its loss and gradient are multiplied): 0 where the label is to be ignored."""
    rows = _rows_of(x)
    share = np.full(len(rows), 1 / len(rows) if scale is None else scale)
    if sample_weight is not None:
        share *= np.repeat(checks.floating(sample_weight, "sample_weight", like=x), len(rows) // len(x))
    if labels is not None:
        labels = checks.labels(labels, x.shape[:1] + x.shape[2:], x.shape[1], ignore_index).reshape(-1)
        share[labels == (-1 if ignore_index is None else ignore_index)] = 0
        labels = np.where(share == 0, 0, labels) if ignore_index is not None else labels
    return rows, labels, share


def _weight(weight, rows):
    return np.ones(rows.shape[1], rows.dtype) if weight is None else checks.floating(weight, "weight", like=rows)


def _result(losses, gradient, share, x):
    """(the sum of the losses, each times its share, the gradient alike, in x's shape)."""
    counts = share != 0
    with np.errstate(all="ignore"):
        value = float(np.sum(losses[counts] * share[counts], dtype=np.float64))
        gradient = np.where(counts[:, None], gradient * share[:, None], 0).astype(x.dtype)
    if x.ndim == 4:
        n, c, h, w = x.shape
        gradient = channels_last(gradient.reshape(n, h, w, c).transpose(0, 3, 1, 2))
    return value, gradient
