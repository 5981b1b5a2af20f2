"""Normalisation."""
import numpy as np

from .case import Case, as_list


def norm(op, name, x):
    vectors = {"batchnorm_forward": 2, "batchnorm_inference": 4}[op]
    return Case(op, name, (x, *[x[1:2]] * vectors), {"eps": 1e-3})


def track(name, channels, momentum, count):
    options = {"num_batches_tracked": np.array(6), "momentum": momentum, "count": count}
    return Case("batchnorm_track", name, ((channels,),) * 4, options)


NORMS = [
    norm("batchnorm_forward", "images", (4, 16, 5, 6)),
    norm("batchnorm_forward", "images-odd", (3, 33, 4, 3)),
    norm("batchnorm_forward", "rows", (9, 17)),
    norm("batchnorm_forward", "two-rows", (2, 5)),
    norm("batchnorm_forward", "one-image", (1, 3, 7, 2)),
    norm("batchnorm_inference", "images", (2, 17, 5, 4)),
    norm("batchnorm_inference", "one-row", (1, 64)),
    norm("batchnorm_inference", "one-value", (1, 3, 1, 1)),
    track("many", 33, 0.1, 24),
    track("two-values", 1, 0.99, 2),
    track("all-alike", 18, None, 20),
    track("nothing-new", 16, 0, 20),
    track("nothing-old", 17, 1, 20),
]


def _forward(ops, case, arrays):
    options = dict(case.options)
    return as_list(getattr(ops, case.op)(*arrays, options.pop("eps"), **options))


def _track(ops, case, arrays):
    options = dict(case.options)
    return list(ops.batchnorm_track(*arrays[:2], options.pop("num_batches_tracked"), *arrays[2:], **options))


CASES, EXACT = NORMS, ("batchnorm_track",)
NO_GRADIENT = ("batchnorm_track",)
SQUARED = {"batchnorm_inference": (4,), "batchnorm_track": (1, 3)}
CONSTANT = {"batchnorm_inference": (3, 4)}
FORWARD = {"batchnorm_forward": _forward, "batchnorm_inference": _forward, "batchnorm_track": _track}
GRADIENTS = {
    "batchnorm_forward": lambda ops, case, arrays, results, dys: list(
        ops.batchnorm_backward(dys[0], *arrays[:2], *results[1:], **case.options)),
    "batchnorm_inference": lambda ops, case, arrays, results, dys: [
        *ops.batchnorm_inference_backward(dys[0], *arrays[:2], *arrays[3:], **case.options), None, None],
}
