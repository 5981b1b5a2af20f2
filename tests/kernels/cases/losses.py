"""Losses: of scores against labels, of numbers against numbers; and the penalty of weights."""
import numpy as np

from fastnet.kernels.pointwise import LOSSES

from .case import Case, as_list

TEN, SEVEN, PIXELS = np.array([3, 0, 9, 9, 1]), np.array([6, 2, 0, 2]), np.array([[[0, 2, 1]], [[1, 1, 2]]])
WEIGHT, SAMPLES = np.array([0.5, 1, 2, 0, 1.5, 0.25, 3]), np.array([0.5, 2, 0, 1])
COST = np.abs(np.subtract.outer(np.arange(7.0), np.arange(7.0)))
# Those whose formula takes any numbers; the others are for tests/losses.
ANYWHERE = [function for function in LOSSES if function not in ("binary", "kl", "focal", "poisson_rate")]

OF_LABELS = [Case(op, name, (shape,), {"labels": labels, **options}) for op, name, shape, labels, options in (
    *((op, name, shape, labels, {}) for op in ("softmax_cross_entropy", "nll_loss", "margin_loss")
      for name, shape, labels in (("ten", (5, 10), TEN), ("pixels", (2, 3, 1, 3), PIXELS),
                                  ("many", (3, 257), np.array([256, 0, 17])), ("one", (2, 1), np.array([0, 0])))),
    ("softmax_cross_entropy", "smoothed", (4, 7), SEVEN, {"label_smoothing": 0.1}),
    ("softmax_cross_entropy", "weighted", (4, 7), SEVEN, {"label_smoothing": 0.2, "weight": WEIGHT, "scale": 0.3}),
    ("softmax_cross_entropy", "samples", (4, 7), SEVEN, {"sample_weight": SAMPLES, "ignore_index": 0}),
    ("softmax_cross_entropy", "focal", (4, 7), SEVEN, {"gamma": 1.5, "weight": WEIGHT}),
    ("nll_loss", "weighted", (4, 7), SEVEN, {"weight": WEIGHT, "sample_weight": SAMPLES, "ignore_index": 0}),
    ("margin_loss", "squared", (4, 7), SEVEN, {"p": 2, "margin": 0.7, "weight": WEIGHT, "scale": 1.0}),
    ("margin_loss", "samples", (2, 3, 1, 3), PIXELS, {"sample_weight": SAMPLES[:2]}),
    ("epsilon_softmax_loss", "plain", (4, 7), SEVEN, {"cost": 0 * COST}),
    ("epsilon_softmax_loss", "sharp", (4, 7), SEVEN, {"cost": COST, "epsilon": 0.1, "sample_weight": SAMPLES}),
)]
OF_NUMBERS = [
    *(Case("soft_cross_entropy", name, (shape,) * 2, options) for name, shape, options in (
        ("rows", (4, 7), {}), ("pixels", (2, 3, 2, 3), {"label_smoothing": 0.1}),
        ("weighted", (4, 7), {"weight": WEIGHT, "label_smoothing": 0.3, "sample_weight": SAMPLES, "scale": 0.5}))),
    *(Case("pointwise_loss", function, ((3, 7), (3, 7), None), {"function": function, "alpha": 0.3, "beta": 1.5})
      for function in ANYWHERE),
    Case("pointwise_loss", "weighted", ((2, 5, 3, 4),) * 3, {"function": "squared", "scale": 0.5}),
    Case("pointwise_loss", "one", ((1,), (1,), None), {"function": "huber", "alpha": 1.0}),
]
PENALTIES = [
    Case("weight_penalty", "both", ((5, 7), (5, 7)), {"l1": 0.5, "l2": 0.25}),
    Case("weight_penalty", "images", ((4, 3, 2, 5),) * 2, {"l2": 2.0}),
    Case("clip_rows", "some", ((4, 7),), {"limit": 2.5}),
    Case("clip_rows", "one", ((3, 1),), {"limit": 0.5}),
]

CASES = [*OF_LABELS, *OF_NUMBERS, *PENALTIES]
EXACT = ()
# What is added to a gradient flows back from no gradient; a projection is no part of a pass.
NO_GRADIENT = ("weight_penalty", "clip_rows")
SQUARED = {"soft_cross_entropy": (1,)}
CONSTANT = {"soft_cross_entropy": (1,), "pointwise_loss": (1, 2)}
FORWARD = {"pointwise_loss": lambda ops, case, arrays: as_list(
    ops.pointwise_loss(arrays[0], arrays[1], weight=arrays[2], **case.options))}
GRADIENTS = {case.op: lambda ops, case, arrays, results, dys: [results[1] * dys[0], None, None][:len(arrays)]
             for case in OF_LABELS + OF_NUMBERS}
