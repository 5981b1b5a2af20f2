"""Normalisation."""
import numpy as np

from .case import Case, as_list


def norm(op, name, x, gamma=True, beta=True):
    vectors = {"batchnorm_forward": 0, "batchnorm_inference": 2}[op]
    return Case(op, name, (x, *affine(x[1:2], gamma, beta), *[x[1:2]] * vectors), {"eps": 1e-3})


def affine(shape, gamma=True, beta=True):
    """The shapes of gamma and beta, None of what is left out."""
    return shape if gamma else None, shape if gamma and beta else None


def groups(name, x, count, **given):
    return Case("groupnorm_forward", name, (x, *affine(x[1:2], **given)), {"groups": count, "eps": 1e-3})


def last_axes(name, x, axes, centred=True, **given):
    given = given if centred else given | {"beta": False}
    return Case("layernorm_forward", name, (x, *affine(x[len(x) - axes:], **given)),
                {"axes": axes, "eps": 1e-3, "centred": centred})


def local_norm(name, x, size, alpha=0.3, beta=0.75, k=1.0):
    options = {"size": size, "alpha": alpha, "beta": beta, "k": k}
    return Case("local_response_norm_forward", name, (x,), options)


def track(name, channels, momentum, count, *samples):
    options = {"num_batches_tracked": np.array(6), "momentum": momentum, "count": count}
    return Case("batchnorm_track", name, ((channels,),) * 2 + ((*samples, channels),) * 2, options)


NORMS = [
    norm("batchnorm_forward", "images", (4, 16, 5, 6)),
    norm("batchnorm_forward", "images-odd", (3, 33, 4, 3)),
    norm("batchnorm_forward", "rows", (9, 17)),
    norm("batchnorm_forward", "two-rows", (2, 5)),
    norm("batchnorm_forward", "one-image", (1, 3, 7, 2)),
    norm("batchnorm_forward", "not-affine", (2, 17, 3, 4), gamma=False),
    norm("batchnorm_forward", "no-bias", (5, 19), beta=False),
    norm("batchnorm_inference", "images", (2, 17, 5, 4)),
    norm("batchnorm_inference", "one-row", (1, 64)),
    norm("batchnorm_inference", "one-value", (1, 3, 1, 1)),
    norm("batchnorm_inference", "not-affine", (3, 18), gamma=False),
    norm("batchnorm_inference", "no-bias", (1, 5, 3, 4), beta=False),
    track("many", 33, 0.1, 24),
    track("of-samples", 18, 0.25, 6, 4),
    track("two-values", 1, 0.99, 2),
    track("all-alike", 18, None, 20),
    track("nothing-new", 16, 0, 20),
    track("nothing-old", 17, 1, 20),
]

SAMPLES = [
    groups("images", (3, 16, 5, 6), 4),
    groups("images-odd", (2, 33, 4, 3), 3),
    groups("several-blocks", (2, 192, 3, 5), 4),
    groups("slabs", (2, 128, 3, 2), 8),
    groups("each-channel", (3, 37, 5, 4), 37),
    groups("all-channels", (2, 5, 4, 3), 1, beta=False),
    groups("not-affine", (2, 34, 3, 3), 17, gamma=False),
    groups("rows", (4, 20), 5),
    groups("one-row", (1, 64), 2),
    last_axes("rows", (9, 17), 1),
    last_axes("images", (3, 5, 4, 3), 3),
    last_axes("images-of-whole-vectors", (2, 32, 4, 8), 3),
    last_axes("sequences", (3, 5, 33), 1),
    last_axes("sequences-whole", (3, 4, 9), 2, beta=False),
    last_axes("not-affine", (70, 5), 1, gamma=False),
    last_axes("long-rows", (3, 2500), 1),
    last_axes("root-of-squares", (5, 64), 1, centred=False),
    last_axes("root-of-squares-of-images", (2, 3, 5, 4), 3, centred=False),
    last_axes("root-of-squares-not-affine", (3, 2, 19), 1, centred=False, gamma=False),
]

LOCAL = [
    local_norm("five", (2, 17, 3, 4), 5),
    local_norm("even", (1, 33, 2, 3), 4, beta=0.5),
    local_norm("wider-than-channels", (3, 5, 4, 2), 13, k=2.0),
    local_norm("one", (2, 16, 3, 1), 1, alpha=2.0, beta=1.0),
    local_norm("many", (1, 150, 2, 2), 131, alpha=1.0),
]


def _forward(ops, case, arrays):
    options = dict(case.options)
    return as_list(getattr(ops, case.op)(*arrays, options.pop("eps"), **options))


def _track(ops, case, arrays):
    options = dict(case.options)
    return list(ops.batchnorm_track(*arrays[:2], options.pop("num_batches_tracked"), *arrays[2:], **options))


def _given(arrays, gradients):
    """The gradients, None for operands that were left out."""
    return [None if array is None else gradient for array, gradient in zip(arrays, gradients, strict=True)]


CASES, EXACT = [*NORMS, *SAMPLES, *LOCAL], ("batchnorm_track",)
NO_GRADIENT = ("batchnorm_track",)
SQUARED = {"batchnorm_inference": (4,), "batchnorm_track": (1, 3)}
CONSTANT = {"batchnorm_inference": (3, 4)}
FORWARD = {"batchnorm_forward": _forward, "batchnorm_inference": _forward, "batchnorm_track": _track}
GRADIENTS = {
    "batchnorm_forward": lambda ops, case, arrays, results, dys: _given(
        arrays, ops.batchnorm_backward(dys[0], *arrays[:2], *results[1:], **case.options)),
    "batchnorm_inference": lambda ops, case, arrays, results, dys: [*_given(
        arrays[:3], ops.batchnorm_inference_backward(dys[0], *arrays[:2], *arrays[3:], **case.options)), None, None],
    "groupnorm_forward": lambda ops, case, arrays, results, dys: _given(
        arrays, ops.groupnorm_backward(dys[0], *arrays[:2], *results[1:], case.options["eps"])),
    "layernorm_forward": lambda ops, case, arrays, results, dys: _given(
        arrays, ops.layernorm_backward(dys[0], *arrays[:2], *results[1:], case.options["eps"],
                                       case.options["centred"])),
    "local_response_norm_forward": lambda ops, case, arrays, results, dys: [
        ops.local_response_norm_backward(dys[0], arrays[0], **case.options)],
}
