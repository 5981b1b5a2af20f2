"""One table of cases for each operation, and how to call it and its gradients: it serves every backend and every judge.

A case names a forward operation, the shapes of its operands and its options. `operands` draws the arrays, `forward`
calls the operation, `gradients` calls the backward operations that belong to it. Every operation of the contract is
reached this way, but for `draw`, which takes no array, and the optimiser steps, which write in place: their cases are
UPDATES.
"""
from collections import namedtuple

import numpy as np

from fastnet.kernels.activations import ACTIVATIONS as DEFINED

Case = namedtuple("Case", "op name shapes options")


def conv(name, x, w, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, bias=True):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Case("conv2d_forward", name, (x, w, w[:1] if bias else None), options)


def linear(name, x, w, bias=True):
    return Case("linear_forward", name, (x, w, w[:1] if bias else None), {})


def pool(op, name, x, kernel_size, stride, padding=(0, 0, 0, 0), **options):
    return Case(op, name, (x,), {"kernel_size": kernel_size, "stride": stride, "padding": padding, **options})


def norm(op, name, x):
    vectors = {"batchnorm_forward": 2, "batchnorm_inference": 4}[op]
    return Case(op, name, (x, *[x[1:2]] * vectors), {"eps": 1e-3})


def track(name, channels, momentum, count):
    options = {"num_batches_tracked": np.array(6), "momentum": momentum, "count": count}
    return Case("batchnorm_track", name, ((channels,),) * 4, options)


def activation(name, function, shape, **numbers):
    return Case("activation_forward", f"{function}-{name}", (shape,), {"function": function, **numbers})


CONVOLUTIONS = [
    conv("3x3", (2, 16, 7, 9), (16, 16, 3, 3), padding=(1, 1, 1, 1)),
    conv("3x3-more-outputs", (2, 16, 8, 8), (32, 16, 3, 3), padding=(1, 1, 1, 1)),
    conv("3x3-wide", (1, 64, 12, 20), (64, 64, 3, 3), padding=(1, 1, 1, 1), bias=False),
    conv("3x3-odd-channels", (2, 17, 6, 5), (33, 17, 3, 3), padding=(1, 1, 1, 1)),
    conv("3x3-valid", (3, 33, 5, 7), (17, 33, 3, 3), bias=False),
    conv("first-layer", (3, 3, 16, 16), (32, 3, 3, 3), padding=(1, 1, 1, 1)),
    conv("first-layer-7x7-stride-2", (1, 3, 15, 17), (16, 3, 7, 7), stride=(2, 2), padding=(3, 3, 3, 3)),
    conv("one-channel-5x5", (2, 1, 12, 11), (6, 1, 5, 5)),
    conv("5x5", (2, 6, 9, 8), (16, 6, 5, 5)),
    conv("5x5-same", (1, 16, 10, 9), (33, 16, 5, 5), padding=(2, 2, 2, 2), bias=False),
    conv("1x1", (2, 33, 5, 6), (64, 33, 1, 1)),
    conv("1x1-stride-2", (2, 16, 7, 8), (32, 16, 1, 1), stride=(2, 2), bias=False),
    conv("1x1-padded", (1, 5, 3, 4), (3, 5, 1, 1), padding=(1, 0, 2, 1)),
    conv("stride-2", (2, 16, 9, 8), (17, 16, 3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
    conv("stride-3-1-skips-pixels", (1, 5, 11, 6), (16, 5, 2, 3), stride=(3, 1), padding=(0, 1, 1, 0)),
    conv("asymmetric-padding", (2, 5, 6, 7), (16, 5, 3, 2), padding=(0, 2, 3, 1)),
    conv("full", (1, 3, 4, 5), (5, 3, 3, 4), padding=(2, 2, 3, 3)),
    conv("padding-beyond-kernel", (1, 2, 3, 3), (4, 2, 2, 2), padding=(3, 2, 2, 4)),
    conv("dilation", (2, 16, 9, 10), (16, 16, 3, 3), padding=(2, 2, 3, 3), dilation=(2, 3)),
    conv("dilation-stride", (1, 5, 12, 11), (8, 5, 3, 2), stride=(2, 3), padding=(1, 2, 0, 3), dilation=(2, 4)),
    conv("groups-2", (2, 16, 6, 7), (32, 8, 3, 3), padding=(1, 1, 1, 1), groups=2),
    conv("groups-3-stride-2", (2, 15, 7, 6), (9, 5, 3, 3), stride=(2, 2), padding=(1, 0, 1, 0), groups=3, bias=False),
    conv("groups-1x1", (2, 12, 4, 5), (8, 3, 1, 1), groups=4),
    conv("depthwise", (2, 33, 7, 6), (33, 1, 3, 3), padding=(1, 1, 1, 1), groups=33),
    conv("depthwise-stride-2", (1, 16, 9, 9), (16, 1, 5, 5), stride=(2, 2), padding=(2, 2, 2, 2), groups=16),
    conv("depthwise-wide", (2, 20, 4, 15), (20, 1, 2, 4), stride=(1, 2), padding=(0, 1, 3, 1), groups=20),
    conv("depthwise-dilation", (1, 16, 9, 13), (16, 1, 3, 3), padding=(2, 2, 2, 3), dilation=(2, 2),
         groups=16, bias=False),
    conv("depthwise-tiny", (2, 17, 1, 2), (17, 1, 3, 5), padding=(1, 1, 2, 2), groups=17),
    conv("depthwise-1x1", (1, 16, 3, 7), (16, 1, 1, 1), groups=16),
    conv("depthwise-apart", (1, 16, 5, 9), (16, 1, 2, 2), stride=(3, 3), padding=(1, 0, 0, 1), groups=16),
    conv("depthwise-twofold", (2, 5, 6, 6), (10, 1, 3, 3), padding=(0, 1, 1, 0), groups=5, bias=False),
    conv("smaller-than-kernel", (2, 3, 2, 1), (4, 3, 5, 3), padding=(2, 2, 1, 1)),
    conv("one-pixel", (4, 64, 1, 1), (10, 64, 3, 3), padding=(1, 1, 1, 1)),
    conv("whole-image", (3, 5, 4, 3), (16, 5, 4, 3)),
    conv("one-channel-to-one", (1, 1, 5, 5), (1, 1, 3, 3), padding=(1, 1, 1, 1)),
]

LINEARS = [
    linear("plain", (5, 33), (17, 33)),
    linear("sixteen", (16, 64), (10, 64)),
    linear("no-bias", (7, 300), (65, 300), bias=False),
    linear("one-sample", (1, 5), (3, 5)),
    linear("one-output", (9, 16), (1, 16), bias=False),
    linear("one-input", (3, 1), (16, 1)),
    linear("rows-that-collide", (6, 1024), (9, 1024)),
    linear("outputs-that-collide", (5, 3), (1024, 3)),
]

POOLS = [pool(op, name, *arguments, **options) for op, name, arguments, options in (
    *(("maxpool2d_forward", *case) for case in (
        ("2x2", ((2, 16, 8, 6), (2, 2), (2, 2)), {}),
        ("2x2-odd", ((2, 17, 7, 9), (2, 2), (2, 2)), {}),
        ("3x3-stride-2", ((1, 33, 9, 8), (3, 3), (2, 2), (1, 1, 1, 1)), {}),
        ("overlapping", ((2, 5, 6, 7), (3, 2), (1, 1), (1, 2, 0, 1)), {}),
        ("2x2-few-channels", ((3, 6, 9, 8), (2, 2), (2, 2)), {}),
        ("2x2-rest-of-channels", ((2, 20, 5, 4), (2, 2), (2, 2)), {}),
        ("2x2-overlapping", ((2, 3, 5, 4), (2, 2), (1, 2)), {}),
        ("2x2-padded", ((2, 19, 5, 6), (2, 2), (2, 2), (1, 0, 1, 1)), {}),
        ("3x2-padded", ((2, 5, 7, 8), (3, 2), (4, 2), (2, 1, 1, 0)), {}),
        ("gaps", ((1, 3, 8, 9), (2, 1), (3, 4)), {}),
        ("16-bit-index", ((1, 3, 20, 19), (16, 17), (3, 2), (4, 0, 0, 5)), {}),
        ("whole-image", ((2, 64, 3, 5), (3, 5), (3, 5)), {}),
        ("one-channel", ((2, 1, 5, 5), (2, 2), (1, 1)), {}))),
    ("avgpool2d_forward", "2x2", ((2, 16, 8, 6), (2, 2), (2, 2)), {}),
    ("avgpool2d_forward", "3x3-padded", ((1, 17, 7, 9), (3, 3), (2, 2), (1, 1, 1, 1)), {}),
    ("avgpool2d_forward", "image-only", ((2, 5, 6, 7), (3, 2), (2, 1), (2, 1, 0, 1)), {"count_include_pad": False}),
    ("avgpool2d_forward", "gaps", ((1, 3, 8, 9), (2, 1), (3, 4)), {}),
)]

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

# Integers from -3 to 3 meet the kinks: of all but ReLU6 on both sides.
ACTIVATIONS = [activation(f"{len(shape)}d{suffix}", function, shape, **numbers) for function, suffix, numbers in (
    ("relu", "", {}),
    ("leaky_relu", "", {"alpha": 0.125}), ("leaky_relu", "-flat", {}),
    ("hardtanh", "", {"alpha": -1, "beta": 2}), ("hardtanh", "-relu6", {"alpha": 0.0, "beta": 6.0}),
    ("sigmoid", "", {}), ("tanh", "", {}),
    ("elu", "", {"alpha": 1.0}), ("elu", "-kink", {"alpha": 0.5}),
    ("silu", "", {}), ("gelu", "", {}), ("gelu_tanh", "", {}), ("hardswish", "", {}),
    ("mish", "", {}), ("selu", "", {}), ("hardsigmoid", "", {}), ("softsign", "", {}),
    ("softplus", "", {"alpha": 1.0, "beta": 20.0}), ("softplus", "-jump", {"alpha": 2.0, "beta": 0.5}),
) for shape in ((7,), (5, 33), (3, 4, 5), (2, 17, 3, 5))]

ELEMENTWISE = [
    Case("dropout", "images", ((2, 17, 5, 3),), {"p": 0.4, "key": 2**63 + 5}),
    Case("dropout", "rows", ((9, 33),), {"p": 0.25, "key": 7}),
    Case("dropout", "none", ((4, 5),), {"p": 0.0, "key": 1}),
    Case("dropout", "all", ((4, 5),), {"p": 1.0, "key": 1}),
    Case("add", "images", ((2, 17, 3, 5),) * 2, {}),
    Case("add", "rows", ((5, 33),) * 2, {}),
    Case("add", "one-axis", ((7,),) * 2, {}),
    Case("concat", "images", ((2, 16, 3, 5), (2, 1, 3, 5), (2, 5, 3, 5)), {}),
    Case("concat", "rows", ((4, 3), (4, 17)), {}),
    Case("concat", "one", ((2, 3, 2, 2),), {}),
    Case("concat", "sequences", ((2, 3, 5), (2, 1, 5)), {}),
    Case("flatten", "images", ((3, 37, 5, 7),), {}),
    Case("flatten", "whole-vectors", ((2, 32, 4, 8),), {}),
    Case("flatten", "one-pixel", ((2, 5, 1, 1),), {}),
    Case("unflatten", "images", ((3, 37 * 35),), {"shape": (3, 37, 5, 7)}),
    Case("unflatten", "whole-vectors", ((2, 1024),), {"shape": (2, 32, 4, 8)}),
    Case("split", "sequences", ((2, 4, 5),), {"sizes": (3, 1)}),
    Case("split", "images", ((2, 22, 3, 5),), {"sizes": (16, 1, 5)}),
    Case("split", "rows", ((4, 20),), {"sizes": [3, 17]}),
    *(Case("convert", f"{dtype}-{len(shape)}d", (shape,), {"dtype": dtype}) for dtype in ("float32", "float64")
      for shape in ((7,), (5, 33), (3, 4, 5), (2, 17, 3, 5))),
    Case("global_avgpool_forward", "images", ((3, 33, 5, 7),), {}),
    Case("global_avgpool_forward", "one-pixel", ((3, 5, 1, 1),), {}),
    Case("sum_of_squares", "many", ((16, 3, 5, 5), (7,), (33, 5), (3, 4, 5)), {}),
    Case("sum_of_squares", "large", ((131, 127), (5, 4), (129, 257)), {}),
]

SCORES = [
    *(Case(op, name, (shape,), {}) for op in ("softmax_forward", "log_softmax_forward")
      for name, shape in (("ten", (6, 10)), ("many", (3, 257)), ("sixteen", (5, 16)), ("one", (4, 1)))),
    Case("softmax_cross_entropy", "ten", ((5, 10),), {"labels": np.array([3, 0, 9, 9, 1])}),
    Case("softmax_cross_entropy", "smoothed", ((4, 7),), {"labels": np.array([6, 2, 0, 2]), "label_smoothing": 0.1}),
]

CASES = [*CONVOLUTIONS, *LINEARS, *POOLS, *NORMS, *ACTIVATIONS, *ELEMENTWISE, *SCORES]

UPDATES = [Case(op, "-".join(options), shapes, options) for op, shapes, options in (
    *(("sgd_update", ((33,), (33,), None), options) for options in (
        {"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.01}, {"lr": 0.1, "weight_decay": 0.01, "scale": 0.3})),
    *(("sgd_update", ((16, 3, 3, 3),) * 3, options) for options in (
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "first": True},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True, "scale": 0.3})),
    *(("adam_update", ((10, 65),) * 4, options) for options in (
        {"step": 1, "lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
        {"step": 5, "lr": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1},
        {"step": 9, "lr": 1e-2, "beta1": 0.8, "beta2": 0.9, "eps": 1e-8, "weight_decay": 0.1, "decoupled": True},
        {"step": 2, "lr": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1, "scale": 0.3})),
)]

# Sums and products of small integers are exact in these, whatever the order, and so are running statistics, each of
# whose roundings is stated; the others divide or take roots.
EXACT = ("conv2d_forward", "linear_forward", "maxpool2d_forward", "batchnorm_track", "dropout", "add", "concat",
         "split", "flatten", "unflatten", "convert", "sum_of_squares")
EXACT_ACTIVATIONS = ("relu", "leaky_relu", "hardtanh")

# These have no backward operation.
NO_GRADIENT = ("batchnorm_track", "convert", "sum_of_squares")


def name(case):
    return f"{case.op}-{case.name}"


def exact_in_integers(case):
    return case.op in EXACT or case.options.get("function") in EXACT_ACTIVATIONS


def one_each(cases=CASES):
    """The first case of each operation, and of each activation."""
    return list({(case.op, case.options.get("function")): case for case in reversed(cases)}.values())[::-1]


def integers(rng, shape):
    return rng.integers(-3, 4, shape)


def reals(rng, shape):
    return rng.standard_normal(shape)


def distinct(rng, shape):
    """Numbers between -2 and 2, no two of them close to each other and none close to zero."""
    size = int(np.prod(shape))
    return ((rng.permutation(size) + 0.3) / size * 4 - 2).reshape(shape)


def operands(case, numbers, dtype, seed=0):
    """The arrays of a case, their numbers drawn by `numbers`; None for an operand that it does without."""
    rng = np.random.default_rng(seed)
    arrays = [None if shape is None else numbers(rng, shape).astype(dtype) for shape in case.shapes]
    for variance in {"batchnorm_inference": (4,), "batchnorm_track": (1, 3), "adam_update": (3,)}.get(case.op, ()):
        arrays[variance] = np.square(arrays[variance])
    return arrays


def forward(ops, case, arrays):
    """What the operation returns, as a list."""
    operation = getattr(ops, case.op)
    if case.op in ("concat", "sum_of_squares"):
        return [operation(arrays)]
    options = dict(case.options)
    if case.op == "batchnorm_track":
        return list(operation(*arrays[:2], options.pop("num_batches_tracked"), *arrays[2:], **options))
    if case.op.startswith("batchnorm"):
        return _as_list(operation(*arrays, options.pop("eps"), **options))
    return _as_list(operation(*arrays, **options))


def constant(case, place):
    """Whether no gradient flows to that operand: the statistics of batchnorm_inference."""
    return case.op == "batchnorm_inference" and place >= 3


def differentiable(case, results):
    """Those of the results that gradients flow back from."""
    if case.op in NO_GRADIENT:
        return []
    return results if case.op == "split" else results[:1]


def gradients(ops, case, arrays, results, dys):
    """The gradients of sum(dy * result) for each operand, from the backward operations; None for those without: what
    was left out, and the statistics of batchnorm_inference, which are constants."""
    op, options = case.op, dict(case.options)
    dy, x = dys[0], arrays[0]
    if op == "conv2d_forward":
        dw, db = ops.conv2d_backward_weight(dy, x, arrays[1].shape, *geometry(case), bias=arrays[2] is not None)
        return [ops.conv2d_backward_input(dy, arrays[1], x.shape, *geometry(case)), dw, db]
    if op == "linear_forward":
        dw, db = ops.linear_backward_weight(dy, x, bias=arrays[2] is not None)
        return [ops.linear_backward_input(dy, arrays[1]), dw, db]
    if op == "maxpool2d_forward":
        return [ops.maxpool2d_backward(dy, results[1], x.shape, **options)]
    if op == "avgpool2d_forward":
        return [ops.avgpool2d_backward(dy, x.shape, **options)]
    if op == "global_avgpool_forward":
        return [ops.global_avgpool_backward(dy, x.shape)]
    if op == "batchnorm_forward":
        return list(ops.batchnorm_backward(dy, *arrays[:2], *results[1:], **options))
    if op == "batchnorm_inference":
        return [*ops.batchnorm_inference_backward(dy, *arrays[:2], *arrays[3:], **options), None, None]
    if op == "softmax_cross_entropy":
        return [results[1] * dy]
    if op == "activation_forward":
        return [ops.activation_backward(dy, {"x": x, "y": results[0]}[DEFINED[options["function"]].reads], **options)]
    if op in ("softmax_forward", "log_softmax_forward"):
        return [getattr(ops, op.replace("forward", "backward"))(dy, results[0])]
    if op == "concat":
        return ops.split(dy, [array.shape[1] for array in arrays])
    return {"dropout": lambda: [ops.dropout(dy, **options)],
            "add": lambda: [dy, dy],
            "flatten": lambda: [ops.unflatten(dy, x.shape)],
            "unflatten": lambda: [ops.flatten(dy)],
            "split": lambda: [ops.concat(dys)]}[op]()


def geometry(case):
    """The stride, padding, dilation and groups of a convolution."""
    return [case.options[key] for key in ("stride", "padding", "dilation", "groups")]


def flat(values):
    """The elements of nested lists and tuples, one after another."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from flat(value)
        else:
            yield value


def _as_list(results):
    return list(results) if isinstance(results, (tuple, list)) else [results]
