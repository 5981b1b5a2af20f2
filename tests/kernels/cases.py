"""One table of cases for each operation, and how to call it and its gradients: it serves every backend and every judge.

A case names a forward operation, the shapes of its operands and its options. `operands` draws the arrays, `forward`
calls the operation, `gradients` calls the backward operations that belong to it. Every operation of the contract is
reached this way, but for the optimiser steps, which write in place and have tests of their own.
"""
from collections import namedtuple

import numpy as np

Case = namedtuple("Case", "op name shapes options")


def conv(name, x, w, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, bias=True, relu=False):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "relu": relu}
    return Case("conv2d_forward", name, (x, w, w[:1] if bias else None), options)


def linear(name, x, w, bias=True, relu=False):
    return Case("linear_forward", name, (x, w, w[:1] if bias else None), {"relu": relu})


def pool(op, name, x, kernel_size, stride, padding=(0, 0, 0, 0), **options):
    return Case(op, name, (x,), {"kernel_size": kernel_size, "stride": stride, "padding": padding, **options})


def norm(op, name, x, **activation):
    vectors = {"batchnorm_forward": 2, "batchnorm_inference": 4}[op]
    return Case(op, name, (x, *[x[1:2]] * vectors), {"eps": 1e-3, **activation})


CONVOLUTIONS = [
    conv("3x3", (2, 16, 7, 9), (16, 16, 3, 3), padding=(1, 1, 1, 1)),
    conv("3x3-relu", (2, 16, 8, 8), (32, 16, 3, 3), padding=(1, 1, 1, 1), relu=True),
    conv("3x3-wide", (1, 64, 12, 20), (64, 64, 3, 3), padding=(1, 1, 1, 1), bias=False),
    conv("3x3-odd-channels", (2, 17, 6, 5), (33, 17, 3, 3), padding=(1, 1, 1, 1)),
    conv("3x3-valid", (3, 33, 5, 7), (17, 33, 3, 3), bias=False),
    conv("first-layer", (3, 3, 16, 16), (32, 3, 3, 3), padding=(1, 1, 1, 1)),
    conv("first-layer-7x7-stride-2", (1, 3, 15, 17), (16, 3, 7, 7), stride=(2, 2), padding=(3, 3, 3, 3), relu=True),
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
    conv("groups-1x1", (2, 12, 4, 5), (8, 3, 1, 1), groups=4, relu=True),
    conv("depthwise", (2, 33, 7, 6), (33, 1, 3, 3), padding=(1, 1, 1, 1), groups=33),
    conv("depthwise-stride-2", (1, 16, 9, 9), (16, 1, 5, 5), stride=(2, 2), padding=(2, 2, 2, 2), groups=16, relu=True),
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
    linear("relu", (16, 64), (10, 64), relu=True),
    linear("no-bias", (7, 300), (65, 300), bias=False),
    linear("one-sample", (1, 5), (3, 5)),
    linear("one-output", (9, 16), (1, 16), relu=True, bias=False),
    linear("one-input", (3, 1), (16, 1)),
    linear("rows-that-collide", (6, 1024), (9, 1024), relu=True),
    linear("outputs-that-collide", (5, 3), (1024, 3)),
]

POOLS = [pool(op, name, *arguments, **options) for op, name, arguments, options in (
    *(("maxpool2d_forward", *case) for case in (
        ("2x2", ((2, 16, 8, 6), (2, 2), (2, 2)), {}),
        ("2x2-relu", ((2, 17, 7, 9), (2, 2), (2, 2)), {"relu": True}),
        ("3x3-stride-2", ((1, 33, 9, 8), (3, 3), (2, 2), (1, 1, 1, 1)), {}),
        ("overlapping-relu", ((2, 5, 6, 7), (3, 2), (1, 1), (1, 2, 0, 1)), {"relu": True}),
        ("2x2-few-channels", ((3, 6, 9, 8), (2, 2), (2, 2)), {"relu": True}),
        ("2x2-rest-of-channels", ((2, 20, 5, 4), (2, 2), (2, 2)), {}),
        ("2x2-overlapping", ((2, 3, 5, 4), (2, 2), (1, 2)), {}),
        ("2x2-padded", ((2, 19, 5, 6), (2, 2), (2, 2), (1, 0, 1, 1)), {}),
        ("3x2-padded", ((2, 5, 7, 8), (3, 2), (4, 2), (2, 1, 1, 0)), {"relu": True}),
        ("gaps", ((1, 3, 8, 9), (2, 1), (3, 4)), {}),
        ("16-bit-index", ((1, 3, 20, 19), (16, 17), (3, 2), (4, 0, 0, 5)), {}),
        ("whole-image", ((2, 64, 3, 5), (3, 5), (3, 5)), {}),
        ("one-channel", ((2, 1, 5, 5), (2, 2), (1, 1)), {"relu": True}))),
    ("maxpool2d_inference", "2x2", ((2, 16, 8, 6), (2, 2), (2, 2)), {}),
    ("maxpool2d_inference", "3x3-relu", ((1, 33, 9, 8), (3, 3), (2, 2), (1, 1, 1, 1)), {"relu": True}),
    ("avgpool2d_forward", "2x2", ((2, 16, 8, 6), (2, 2), (2, 2)), {}),
    ("avgpool2d_forward", "3x3-padded", ((1, 17, 7, 9), (3, 3), (2, 2), (1, 1, 1, 1)), {}),
    ("avgpool2d_forward", "image-only", ((2, 5, 6, 7), (3, 2), (2, 1), (2, 1, 0, 1)), {"count_include_pad": False}),
    ("avgpool2d_forward", "gaps", ((1, 3, 8, 9), (2, 1), (3, 4)), {}),
)]

NORMS = [
    norm("batchnorm_forward", "images", (4, 16, 5, 6)),
    norm("batchnorm_forward", "images-relu", (3, 33, 4, 3), relu=True),
    norm("batchnorm_forward", "images-silu", (3, 33, 4, 3), silu=True),
    norm("batchnorm_forward", "rows", (9, 17)),
    norm("batchnorm_forward", "rows-relu", (2, 5), relu=True),
    norm("batchnorm_forward", "one-image", (1, 3, 7, 2)),
    norm("batchnorm_inference", "images", (2, 17, 5, 4)),
    norm("batchnorm_inference", "rows-relu", (1, 64), relu=True),
    norm("batchnorm_inference", "images-silu", (2, 17, 3, 5), silu=True),
]

ELEMENTWISE = [
    *(Case(op, f"{len(shape)}d", (shape,), {}) for op in ("relu_forward", "silu_forward")
      for shape in ((7,), (5, 33), (3, 4, 5), (2, 17, 3, 5))),
    Case("dropout", "images", ((2, 17, 5, 3),), {"p": 0.4, "key": 2**63 + 5}),
    Case("dropout", "rows", ((9, 33),), {"p": 0.25, "key": 7}),
    Case("dropout", "none", ((4, 5),), {"p": 0.0, "key": 1}),
    Case("dropout", "all", ((4, 5),), {"p": 1.0, "key": 1}),
    Case("add", "images", ((2, 17, 3, 5),) * 2, {}),
    Case("add", "images-relu", ((2, 17, 3, 5),) * 2, {"relu": True}),
    Case("add", "rows-relu", ((5, 33),) * 2, {"relu": True}),
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
    Case("global_avgpool_forward", "images", ((3, 33, 5, 7),), {}),
    Case("global_avgpool_forward", "one-pixel", ((3, 5, 1, 1),), {}),
    Case("sum_of_squares", "many", ((16, 3, 5, 5), (7,), (33, 5), (3, 4, 5)), {}),
    Case("sum_of_squares", "large", ((131, 127), (5, 4), (129, 257)), {}),
]

SCORES = [
    *(Case(op, name, (shape,), {}) for op in ("softmax_forward", "log_softmax_forward")
      for name, shape in (("ten", (6, 10)), ("many", (3, 257)), ("sixteen", (5, 16)), ("one", (4, 1)))),
    Case("softmax_cross_entropy", "ten", ((5, 10),), {"labels": [3, 0, 9, 9, 1]}),
    Case("softmax_cross_entropy", "smoothed", ((4, 7),), {"labels": [6, 2, 0, 2], "label_smoothing": 0.1}),
]

CASES = [*CONVOLUTIONS, *LINEARS, *POOLS, *NORMS, *ELEMENTWISE, *SCORES]

# Sums and products of small integers are exact in these, whatever the order; the others divide or take roots.
EXACT = ("conv2d_forward", "linear_forward", "maxpool2d_forward", "maxpool2d_inference", "relu_forward", "dropout",
         "add", "concat", "split", "flatten", "unflatten", "sum_of_squares")

# These have no backward operation.
NO_GRADIENT = ("maxpool2d_inference", "batchnorm_inference", "sum_of_squares")


def name(case):
    return f"{case.op}-{case.name}"


def one_each(cases=CASES):
    """The first case of each operation."""
    return list({case.op: case for case in reversed(cases)}.values())[::-1]


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
    if case.op == "batchnorm_inference":
        arrays[4] = np.square(arrays[4])
    return arrays


def forward(ops, case, arrays):
    """What the operation returns, as a list."""
    operation = getattr(ops, case.op)
    if case.op in ("concat", "sum_of_squares"):
        return [operation(arrays)]
    if case.op.startswith("batchnorm"):
        options = dict(case.options)
        return _as_list(operation(*arrays, options.pop("eps"), **options))
    return _as_list(operation(*arrays, **case.options))


def differentiable(case, results):
    """Those of the results that gradients flow back from."""
    if case.op in NO_GRADIENT:
        return []
    return results if case.op == "split" else results[:1]


def gradients(ops, case, arrays, results, dys):
    """The gradients of sum(dy * result) for each operand, from the backward operations; None for those without."""
    op, options = case.op, dict(case.options)
    dy, x = dys[0], arrays[0]
    if options.get("relu") and op in ("conv2d_forward", "linear_forward", "add"):
        dy = ops.relu_backward(dy, results[0])
    if op == "conv2d_forward":
        dw, db = ops.conv2d_backward_weight(dy, x, arrays[1].shape, *geometry(case), bias=arrays[2] is not None)
        return [ops.conv2d_backward_input(dy, arrays[1], x.shape, *geometry(case)), dw, db]
    if op == "linear_forward":
        dw, db = ops.linear_backward_weight(dy, x, bias=arrays[2] is not None)
        return [ops.linear_backward_input(dy, arrays[1]), dw, db]
    if op == "maxpool2d_forward":
        options.pop("relu", None)
        return [ops.maxpool2d_backward(dy, results[1], x.shape, **options)]
    if op == "avgpool2d_forward":
        return [ops.avgpool2d_backward(dy, x.shape, **options)]
    if op == "global_avgpool_forward":
        return [ops.global_avgpool_backward(dy, x.shape)]
    if op == "batchnorm_forward":
        return list(ops.batchnorm_backward(dy, *arrays, *results[1:], **options))
    if op == "softmax_cross_entropy":
        return [results[1] * dy]
    if op == "silu_forward":
        return [ops.silu_backward(dy, x)]
    if op in ("relu_forward", "softmax_forward", "log_softmax_forward"):
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
