"""Losses of scores against class labels, each with its gradient for the scores, in one pass. A block is some rows; a
row is a sample, or a pixel, whose C scores lie side by side.

The losses of a block are added up in float64. Where a row counts for nothing, its label being the
one that is ignored or its weight being 0, its scores are not read.
"""
import math
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.move import ordered
from fastnet.kernels.cpu.runtime import Launch, flat, jit, kept, like, planned
from fastnet.kernels.cpu.softmax import exponentials, row_sum

# Rows of a block, at least, and the numbers that a block of short rows has.
_ROWS, _NUMBERS = 16, 1024
_NO_LABEL = -1
# Losses of blocks that Python adds up sooner than NumPy.
_FEW = 7
# Operations of `launch` that a score takes where exponentials are taken, and where most scores are not read.
_LONG, _SHORT = 10, 0.25
_SQUARED = 2


class _Rows(NamedTuple):
    """What all kernels here are told of the rows, of C numbers: where the losses go, the label of each row, and what
    its loss is multiplied by. Where there are no weights their arrays are empty."""

    losses: np.ndarray          # the sum of each block
    labels: np.ndarray
    weight: np.ndarray          # of each class
    sample_weight: np.ndarray   # of each sample, which has `each` rows
    numbers: np.ndarray         # what all losses are multiplied by, and what the weights of all classes add up to
    c: int
    each: int
    lines: int      # rows of a block
    ignored: int    # the label of rows that count for nothing


class _Target(NamedTuple):
    """The probabilities that are aimed at: `elsewhere` for each class, times its weight, and `at_label` more for the
    right one."""

    at_label: float
    elsewhere: float
    gamma: float


def softmax_cross_entropy(logits, labels, label_smoothing=0.0, weight=None, sample_weight=None, ignore_index=None,
                          gamma=0.0, scale=None):
    """-sum over c of t[c] log p[c], where t is the label, smoothed and weighted; times (1 - p[label])^gamma."""
    logits, labels = checks.floating(logits, "logits"), np.asarray(labels)
    plan = planned(_plan_cross_entropy, (logits, labels, weight, sample_weight), label_smoothing, ignore_index, gamma)
    return plan(logits, labels, weight, sample_weight, scale)


def soft_cross_entropy(logits, targets, label_smoothing=0.0, weight=None, sample_weight=None, scale=None):
    """-sum over c of t[c] log p[c], where t are the targets, smoothed and weighted."""
    logits = checks.floating(logits, "logits")
    targets = checks.floating(targets, "targets", like=logits)
    plan = planned(_plan_soft_cross_entropy, (logits, targets, weight, sample_weight), label_smoothing)
    weight = np.ones(logits.shape[1], logits.dtype) if weight is None else weight
    return plan(logits, None, weight, sample_weight, scale, ordered(targets))


def nll_loss(x, labels, weight=None, sample_weight=None, ignore_index=None, scale=None):
    """-weight[label] x[label]."""
    x, labels = checks.floating(x, "x"), np.asarray(labels)
    plan = planned(_plan_nll, (x, labels, weight, sample_weight), ignore_index)
    return plan(x, labels, weight, sample_weight, scale)


def margin_loss(x, labels, p=1, margin=1.0, weight=None, sample_weight=None, scale=None):
    """weight[label] times the sum over c that is not the label of max(0, margin - x[label] + x[c])^p."""
    x, labels = checks.floating(x, "x"), np.asarray(labels)
    plan = planned(_plan_margins, (x, labels, weight, sample_weight), p, margin)
    return plan(x, labels, weight, sample_weight, scale)


def epsilon_softmax_loss(x, labels, cost, epsilon=1.0, sample_weight=None, scale=None):
    """epsilon log(sum over c of exp((x[c] + cost[label, c]) / epsilon)) - x[label]."""
    x, labels = checks.floating(x, "x"), np.asarray(labels)
    cost = checks.floating(cost, "cost", like=x)
    plan = planned(_plan_epsilon_softmax, (x, labels, cost, sample_weight), epsilon)
    return plan(x, labels, None, sample_weight, scale, flat(cost))


def _arrays(kinds):
    """Arrays without numbers, as `shapes` takes them."""
    return [None if kind is None else shapes.Kind(*kind) for kind in kinds]


@kept
def _plan_cross_entropy(kinds, options, types):
    (logits, labels, weight, sample_weight), (smoothing, ignore_index, gamma) = _arrays(kinds), options
    shapes.softmax_cross_entropy(logits, labels, smoothing, weight, sample_weight, ignore_index, gamma)
    kind, smoothing = logits.dtype.type, float(smoothing)
    target = _Target(kind(1 - smoothing), kind(smoothing / logits.shape[1]), float(gamma))
    return _Plan(_cross_entropy, logits, _LONG, (target,), ignore_index)


@kept
def _plan_soft_cross_entropy(kinds, options, types):
    (logits, targets, weight, sample_weight), (smoothing,) = _arrays(kinds), options
    shapes.soft_cross_entropy(logits, targets, smoothing, weight, sample_weight)
    kind, smoothing = logits.dtype.type, float(smoothing)
    return _Plan(_soft_cross_entropy, logits, _LONG, (kind(1 - smoothing), kind(smoothing / logits.shape[1])))


@kept
def _plan_nll(kinds, options, types):
    (x, labels, weight, sample_weight), (ignore_index,) = _arrays(kinds), options
    shapes.nll_loss(x, labels, weight, sample_weight, ignore_index)
    return _Plan(_nll, x, _SHORT, (), ignore_index)


@kept
def _plan_margins(kinds, options, types):
    (x, labels, weight, sample_weight), (p, margin) = _arrays(kinds), options
    shapes.margin_loss(x, labels, p, margin, weight, sample_weight)
    return _Plan(_margins, x, 1, (int(p), x.dtype.type(margin)))


@kept
def _plan_epsilon_softmax(kinds, options, types):
    (x, labels, cost, sample_weight), (epsilon,) = _arrays(kinds), options
    shapes.epsilon_softmax_loss(x, labels, cost, epsilon, sample_weight)
    return _Plan(_epsilon_softmax, x, _LONG, (x.dtype.type(epsilon),))


class _Plan:
    """A loss of arrays of these kinds, which were looked at once: what is left is the numbers. Its kernel is (block,
    slot, x, dx, rows, *more, *options), and takes so many operations of `launch` a score."""

    def __init__(self, kernel, x, cost, options, ignore_index=None):
        n, self.c, *pixels = x.shape
        count = n * prod(pixels)
        self.labels, self.none, self.no_labels = (n, *pixels), np.zeros(0, x.dtype), np.zeros(0, np.int64)
        self.ignore_index, self.options, self.share = ignore_index, options, 1 / count
        self.mean = np.array((self.share, self.c))
        lines = max(_ROWS, _NUMBERS // self.c)
        self.blocks = -(-count // lines)
        self.sizes = self.c, count // n, lines, _NO_LABEL if ignore_index is None else int(ignore_index)
        self.launch = Launch(kernel, self.blocks, int(cost * prod(x.shape)))

    def __call__(self, x, labels, weight, sample_weight, scale, *more):
        """(value, gradient)."""
        scale = self.share if scale is None else arguments.number(scale, "scale")
        labels = self.no_labels if labels is None else flat(checks.labels(labels, self.labels, self.c,
                                                                          self.ignore_index))
        weights = shares = self.none
        total = self.c
        if weight is not None:
            weights = flat(checks.floating(weight, "weight", like=x))
            total = weights.sum(dtype=np.float64)
        if sample_weight is not None:
            shares = flat(checks.floating(sample_weight, "sample_weight", like=x))
        numbers = self.mean if scale is self.share and weight is None else np.array((scale, total))
        losses, dx = np.empty(self.blocks, np.float64), like(x)
        rows = _Rows(losses, labels, weights, shares, numbers, *self.sizes)
        self.launch(ordered(x), flat(dx), rows, *more, *self.options)
        return _total(losses), dx


def _total(losses):
    """What NumPy's sum gives, which of so few adds one by one too, but takes its time."""
    if losses.size > _FEW:
        return float(np.add.reduce(losses))
    total = 0.0
    for loss in losses.tolist():
        total += loss
    return total


@jit
def _share(row, label, rows):
    """What a row's loss is multiplied by, apart from its class's weight; 0 for one that counts for nothing."""
    if label == rows.ignored:
        return 0.0
    if rows.sample_weight.size:
        return rows.numbers[0] * rows.sample_weight[row // rows.each]
    return rows.numbers[0]


@jit
def _scaled(dx, start, c, factor, less, share):
    """dx = (dx factor - less) share for the row at `start`."""
    factor, less, share = simd.full(dx, factor), simd.full(dx, less), simd.full(dx, share)
    for i in range(0, c, simd.lanes(dx)):
        v = simd.load_part(dx, start + i, c - i) * factor - less
        simd.store_part(dx, start + i, v * share, c - i)


@jit
def _scaled_by_class(dx, start, c, factor, less, share, weight):
    """dx = (dx factor - less weight) share for the row at `start`."""
    factor, less, share = simd.full(dx, factor), simd.full(dx, less), simd.full(dx, share)
    for i in range(0, c, simd.lanes(dx)):
        v = simd.load_part(dx, start + i, c - i) * factor - less * simd.load_part(weight, i, c - i)
        simd.store_part(dx, start + i, v * share, c - i)


@jit
def _weighted_sum(x, start, c, shift, weight):
    """The sum of weight (x - shift) over the row at `start`, in float64."""
    shift, total, few = simd.full(x, shift), 0.0, sums.CHAIN * simd.lanes(x)
    for first in range(0, c, few):
        part = simd.full(x, 0)
        for i in range(first, min(first + few, c), simd.lanes(x)):
            v = simd.load_filled(x, start + i, c - i, shift) - shift
            part = simd.fma(v, simd.load_part(weight, i, c - i), part)
        total += simd.total(part)
    return total


@jit
def _focus(log, gamma):
    """((1 - p)^gamma, and minus the derivative of -(1 - p)^gamma log(p) for log(p)) for the logarithm of p."""
    left = -math.expm1(log)
    if left <= 0:
        return 0.0, 0.0
    power = left**gamma
    return power, power - gamma * power / left * math.exp(log) * log


@jit
def _cross_entropy(block, slot, x, dx, rows, target):
    """p - t as it is written: where the weights differ, and t does not add up to 1, p is multiplied by its sum."""
    c, weighted, sum_of_block = rows.c, rows.weight.size > 0, 0.0
    for row in range(block * rows.lines, min((block + 1) * rows.lines, rows.labels.size)):
        start, label = row * c, rows.labels[row]
        share = _share(row, label, rows)
        if share == 0:
            spans.clear(dx, start, start + c)
            continue
        largest, total = exponentials(x, dx, start, c)
        logarithm = math.log(total)
        at_label, aimed, whole = target.at_label, target.at_label + target.elsewhere, 1.0
        if weighted:
            # In float64: t and its sum are rounded alike, and of p - t nothing is left where there is but one class.
            weight = 1.0 * rows.weight[label]
            aimed = weight * target.at_label + weight * target.elsewhere
            whole = weight * target.at_label + target.elsewhere * rows.numbers[1]
            at_label = at_label * rows.weight[label]
        log_p = x[start + label] - largest - logarithm
        loss = -at_label * log_p
        if target.elsewhere > 0:
            if weighted:
                others = _weighted_sum(x, start, c, largest, rows.weight)
            else:
                others = row_sum(x, start, c, largest)
            loss -= target.elsewhere * (others - rows.numbers[1] * logarithm)
        focus = 1.0
        if target.gamma > 0:
            power, focus = _focus(log_p, target.gamma)
            loss *= power
        sum_of_block += share * loss
        share = x.dtype.type(share * focus)
        factor = whole / total
        at = (dx[start + label] * factor - aimed) * share
        if weighted:
            _scaled_by_class(dx, start, c, factor, target.elsewhere, share, rows.weight)
        else:
            _scaled(dx, start, c, factor, target.elsewhere, share)
        dx[start + label] = at
    rows.losses[block] = sum_of_block


@jit
def _soft_cross_entropy(block, slot, x, dx, rows, targets, kept, added):
    """The targets are t = weight (kept targets + added)."""
    c, sum_of_block, few = rows.c, 0.0, sums.CHAIN * simd.lanes(x)
    kept, added = simd.full(x, kept), simd.full(x, added)
    for row in range(block * rows.lines, min((block + 1) * rows.lines, x.size // c)):
        start, share = row * c, _share(row, 0, rows)
        if share == 0:
            spans.clear(dx, start, start + c)
            continue
        largest, total = exponentials(x, dx, start, c)
        logarithm, loss, whole = simd.full(x, math.log(total)), 0.0, 0.0
        shift = simd.full(x, largest)
        for first in range(0, c, few):
            part = all_ = simd.full(x, 0)
            for i in range(first, min(first + few, c), simd.lanes(x)):
                n = c - i
                t = simd.fma(simd.load_part(targets, start + i, n), kept, added) * simd.load_part(rows.weight, i, n)
                part = simd.fma(t, simd.load_filled(x, start + i, n, shift) - shift - logarithm, part)
                all_ = all_ + t
            loss += simd.total(part)
            whole += simd.total(all_)
        sum_of_block -= share * loss
        factor, share = simd.full(x, whole / total), simd.full(x, share)
        for i in range(0, c, simd.lanes(x)):
            n = c - i
            t = simd.fma(simd.load_part(targets, start + i, n), kept, added) * simd.load_part(rows.weight, i, n)
            simd.store_part(dx, start + i, (simd.load_part(dx, start + i, n) * factor - t) * share, n)
    rows.losses[block] = sum_of_block


@jit
def _nll(block, slot, x, dx, rows):
    c, first, last = rows.c, block * rows.lines, min((block + 1) * rows.lines, rows.labels.size)
    spans.clear(dx, first * c, last * c)
    sum_of_block = 0.0
    for row in range(first, last):
        label = rows.labels[row]
        share = _share(row, label, rows)
        if share != 0:
            if rows.weight.size:
                share *= rows.weight[label]
            sum_of_block -= share * x[row * c + label]
            dx[row * c + label] = -share
    rows.losses[block] = sum_of_block


@jit
def _beyond(x, dx, start, stop, least, p, share):
    """(the sum of max(0, x + least)^p, and of its derivative) from start to stop; dx is that derivative times share."""
    loss = slope = 0.0
    least, one, share, few = simd.full(x, least), simd.full(x, 1), simd.full(x, share), sums.CHAIN * simd.lanes(x)
    for first in range(start, stop, few):
        part = parts = simd.full(x, 0)
        for i in range(first, min(first + few, stop), simd.lanes(x)):
            n = stop - i
            v = simd.relu(simd.load_filled(x, i, n, simd.full(x, -math.inf)) + least)
            rise = simd.positive(one, v)
            if p == _SQUARED:
                rise = v + v
                v = v * v
            part, parts = part + v, parts + rise
            simd.store_part(dx, i, rise * share, n)
        loss += simd.total(part)
        slope += simd.total(parts)
    return loss, slope


@jit
def _margins(block, slot, x, dx, rows, p, margin):
    c, sum_of_block = rows.c, 0.0
    for row in range(block * rows.lines, min((block + 1) * rows.lines, rows.labels.size)):
        start, label = row * c, rows.labels[row]
        share, at = _share(row, label, rows), start + label
        if rows.weight.size:
            share *= rows.weight[label]
        if share == 0:
            spans.clear(dx, start, start + c)
            continue
        least = margin - x[at]
        before, slope_before = _beyond(x, dx, start, at, least, p, share)
        behind, slope_behind = _beyond(x, dx, at + 1, start + c, least, p, share)
        sum_of_block += share * (before + behind)
        dx[at] = -share * (slope_before + slope_behind)
    rows.losses[block] = sum_of_block


@jit
def _epsilon_softmax(block, slot, x, dx, rows, cost, epsilon):
    """dx holds x + cost first, and then the exponentials."""
    c, sum_of_block, few, lowest = rows.c, 0.0, sums.CHAIN * simd.lanes(x), simd.full(x, -math.inf)
    wide = simd.full(x, epsilon)
    for row in range(block * rows.lines, min((block + 1) * rows.lines, rows.labels.size)):
        start, label = row * c, rows.labels[row]
        share = _share(row, label, rows)
        if share == 0:
            spans.clear(dx, start, start + c)
            continue
        best, right = lowest, x[start + label]
        for i in range(0, c, simd.lanes(x)):
            v = simd.load_filled(x, start + i, c - i, lowest) + simd.load_part(cost, label * c + i, c - i)
            simd.store_part(dx, start + i, v, c - i)
            best = simd.pick(v, best, v, best)
        largest, total = simd.largest(best), 0.0
        for first in range(0, c, few):
            part = simd.full(x, 0)
            for i in range(first, min(first + few, c), simd.lanes(x)):
                v = simd.load_filled(dx, start + i, c - i, lowest) - simd.full(x, largest)
                v = simd.exp(v / wide)
                simd.store_part(dx, start + i, v, c - i)
                part = part + v
            total += simd.total(part)
        sum_of_block += share * (epsilon * math.log(total) + (largest - right))
        at = (dx[start + label] / total - 1) * share
        _scaled(dx, start, c, 1 / total, 0, share)
        dx[start + label] = at
    rows.losses[block] = sum_of_block
