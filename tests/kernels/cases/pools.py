"""Pooling."""
from .case import Case


def pool(op, name, x, kernel_size, stride, padding=(0, 0, 0, 0), **options):
    return Case(op, name, (x,), {"kernel_size": kernel_size, "stride": stride, "padding": padding, **options})


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

WHOLE_IMAGES = [
    Case("global_avgpool_forward", "images", ((3, 33, 5, 7),), {}),
    Case("global_avgpool_forward", "one-pixel", ((3, 5, 1, 1),), {}),
]

CASES, EXACT = [*POOLS, *WHOLE_IMAGES], ("maxpool2d_forward",)
GRADIENTS = {
    "maxpool2d_forward": lambda ops, case, arrays, results, dys: [
        ops.maxpool2d_backward(dys[0], results[1], arrays[0].shape, **case.options)],
    "avgpool2d_forward": lambda ops, case, arrays, results, dys: [
        ops.avgpool2d_backward(dys[0], arrays[0].shape, **case.options)],
    "global_avgpool_forward": lambda ops, case, arrays, results, dys: [
        ops.global_avgpool_backward(dys[0], arrays[0].shape)],
}
