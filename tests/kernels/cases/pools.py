"""Pooling."""
import numpy as np

from .case import Case


def pool(op, name, x, kernel_size, stride, padding=(0, 0, 0, 0), **options):
    return Case(op, name, (x,), {"kernel_size": kernel_size, "stride": stride, "padding": padding, **options})


LARGEST = [pool("maxpool2d_forward", name, *arguments, **options) for name, arguments, options in (
    ("2x2", ((2, 16, 8, 6), (2, 2), (2, 2)), {}),
    ("2x2-odd", ((2, 17, 7, 9), (2, 2), (2, 2)), {}),
    ("3x3-stride-2", ((1, 33, 9, 8), (3, 3), (2, 2), (1, 1, 1, 1)), {}),
    ("overlapping", ((2, 5, 6, 7), (3, 2), (1, 1), (1, 2, 0, 1)), {}),
    ("2x2-few-channels", ((3, 6, 9, 8), (2, 2), (2, 2)), {}),
    ("2x2-rest-of-channels", ((2, 20, 5, 4), (2, 2), (2, 2)), {}),
    ("2x2-whole-vectors", ((2, 64, 6, 8), (2, 2), (2, 2)), {}),
    ("2x2-one-vector", ((3, 16, 4, 6), (2, 2), (2, 2)), {}),
    ("2x2-overlapping", ((2, 3, 5, 4), (2, 2), (1, 2)), {}),
    ("2x2-padded", ((2, 19, 5, 6), (2, 2), (2, 2), (1, 0, 1, 1)), {}),
    ("3x2-padded", ((2, 5, 7, 8), (3, 2), (4, 2), (2, 1, 1, 0)), {}),
    ("gaps", ((1, 3, 8, 9), (2, 1), (3, 4)), {}),
    ("16-bit-index", ((1, 3, 20, 19), (16, 17), (3, 2), (4, 0, 0, 5)), {}),
    ("whole-image", ((2, 64, 3, 5), (3, 5), (3, 5)), {}),
    ("one-channel", ((2, 1, 5, 5), (2, 2), (1, 1)), {}),
    ("2x2-beyond", ((2, 17, 7, 9), (2, 2), (2, 2)), {"ceil_mode": True}),
    ("3x3-beyond", ((2, 5, 8, 7), (3, 3), (2, 2), (1, 1, 1, 1)), {"ceil_mode": True}),
    ("last-one-starts-outside", ((2, 5, 4, 3), (1, 2), (2, 3), (0, 0, 1, 1)), {"ceil_mode": True}),
    ("larger-than-the-image", ((2, 3, 2, 2), (3, 3), (2, 2)), {"ceil_mode": True}),
    ("dilated", ((2, 18, 9, 8), (3, 2), (1, 2)), {"dilation": (2, 3)}),
    ("dilated-padded", ((1, 5, 9, 10), (2, 3), (2, 1), (2, 1, 3, 2)), {"dilation": (3, 2)}),
    ("dilated-beyond", ((1, 5, 8, 9), (3, 2), (2, 3), (1, 1, 1, 1)), {"dilation": (2, 2), "ceil_mode": True}),
    ("dilated-apart", ((1, 5, 11, 9), (2, 2), (4, 3)), {"dilation": (3, 2)}),
)]
MEANS = [pool("avgpool2d_forward", name, *arguments, **options) for name, arguments, options in (
    ("2x2", ((2, 16, 8, 6), (2, 2), (2, 2)), {}),
    ("3x3-padded", ((1, 17, 7, 9), (3, 3), (2, 2), (1, 1, 1, 1)), {}),
    ("image-only", ((2, 5, 6, 7), (3, 2), (2, 1), (2, 1, 0, 1)), {"count_include_pad": False}),
    ("gaps", ((1, 3, 8, 9), (2, 1), (3, 4)), {}),
    ("large", ((2, 19, 12, 11), (9, 8), (2, 3), (1, 0, 3, 2)), {}),
    ("beyond", ((2, 5, 8, 7), (3, 3), (2, 2), (1, 1, 1, 1)), {"ceil_mode": True}),
    ("beyond-image-only", ((2, 5, 8, 7), (3, 3), (2, 2), (1, 1, 1, 1)),
     {"ceil_mode": True, "count_include_pad": False}),
    ("divided-by-5", ((2, 5, 6, 7), (3, 2), (2, 1), (1, 1, 0, 0)), {"divisor_override": 5, "ceil_mode": True}),
)]
POOLS = [*LARGEST, *MEANS]

PLACES = [case._replace(op="maxpool2d_indices") for case in LARGEST
          if case.name in ("2x2-odd", "3x3-stride-2", "16-bit-index", "dilated-padded", "dilated-beyond")]

PARTS = [(name, (shape,), {"output_size": size}) for name, shape, size in (
    ("whole", (2, 17, 5, 7), (1, 1)), ("halves", (2, 5, 8, 6), (4, 3)), ("overlapping", (2, 18, 7, 11), (3, 4)),
    ("more-than-there-are", (1, 3, 3, 4), (5, 4)), ("two-pixels-each", (2, 33, 4, 4), (2, 2)),
    ("16-bit-index", (1, 2, 40, 37), (2, 3)))]
ADAPTIVE = [Case("adaptive_maxpool2d_forward", *part) for part in PARTS]
ADAPTIVE_PLACES = [Case("adaptive_maxpool2d_indices", *part) for part in PARTS]

UNPOOLS = [Case("maxunpool2d_forward", name, (shape,), {"output_size": size}) for name, shape, size in (
    ("2x2", (2, 17, 4, 3), (8, 7)), ("one-channel", (3, 1, 2, 5), (5, 9)), ("many-images", (5, 19, 2, 2), (3, 4)),
    ("every-place", (2, 33, 3, 2), (2, 3)))]

WHOLE_IMAGES = [
    Case("global_avgpool_forward", "images", ((3, 33, 5, 7),), {}),
    Case("global_avgpool_forward", "one-pixel", ((3, 5, 1, 1),), {}),
    Case("global_avgpool_forward", "many-channels", ((2, 200, 7, 7),), {}),
    Case("global_avgpool_forward", "many-pixels", ((2, 70, 15, 20),), {}),
]


def places(shape, output_size):
    """For max-unpooling: as many places as there are numbers, no two of an image's channel the same."""
    n, c, p, q = shape
    found = np.random.default_rng(3).random((n, c, output_size[0] * output_size[1])).argsort(2)
    return found[:, :, :p * q].reshape(shape)


def _indices(ops, case, arrays):
    """The places of the largest pixels, of which only the forward operation knows."""
    forward = getattr(ops, case.op.replace("indices", "forward"))
    return [getattr(ops, case.op)(forward(arrays[0], **case.options)[1], arrays[0].shape, **case.options)]


def _largest(ops, case, arrays, results, dys):
    backward = getattr(ops, case.op.replace("forward", "backward"))
    return [backward(dys[0], results[1], arrays[0].shape, **case.options)]


CASES = [*POOLS, *PLACES, *ADAPTIVE, *ADAPTIVE_PLACES, *UNPOOLS, *WHOLE_IMAGES]
EXACT = ("maxpool2d_forward", "maxpool2d_indices", "adaptive_maxpool2d_forward", "adaptive_maxpool2d_indices",
         "maxunpool2d_forward")
NO_GRADIENT = ("maxpool2d_indices", "adaptive_maxpool2d_indices")
FORWARD = {
    "maxpool2d_indices": _indices,
    "adaptive_maxpool2d_indices": _indices,
    "maxunpool2d_forward": lambda ops, case, arrays: [
        ops.maxunpool2d_forward(arrays[0], places(arrays[0].shape, **case.options), **case.options)],
}
GRADIENTS = {
    "maxpool2d_forward": _largest,
    "adaptive_maxpool2d_forward": _largest,
    "maxunpool2d_forward": lambda ops, case, arrays, results, dys: [
        ops.maxunpool2d_backward(dys[0], places(arrays[0].shape, **case.options))],
    "avgpool2d_forward": lambda ops, case, arrays, results, dys: [
        ops.avgpool2d_backward(dys[0], arrays[0].shape, **case.options)],
    "global_avgpool_forward": lambda ops, case, arrays, results, dys: [
        ops.global_avgpool_backward(dys[0], arrays[0].shape)],
}
