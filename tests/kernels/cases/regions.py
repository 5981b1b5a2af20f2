"""Pooling of regions. Boxes are an option: their places decide what is computed, and no gradient flows to them."""
import numpy as np

from .case import Case

# Rows of (image number, x1, y1, x2, y2): inside, across the edges, of no extent, the wrong way round, larger than the
# image, and outside of it.
BOXES = np.array([[1, 0.3, 1.2, 6.7, 5.1], [0, -3.4, -2.6, 4.4, 3.3], [1, 2.2, 2.2, 2.2, 2.2], [0, 5.5, 5, 3.3, 2.1],
                  [0, -40.2, -30, 50, 60.1], [1, 20.5, 20, 30, 30.5], [1, 1.25, 0.75, 5.25, 6.75]])


def region(op, name, x_shape, output_size, boxes=BOXES, **options):
    return Case(op, name, (x_shape,), {"boxes": boxes, "output_size": output_size, **options})


CASES = [
    region("roi_pool_forward", "bins", (2, 17, 7, 8), (2, 3)),
    region("roi_pool_forward", "one-bin", (2, 3, 5, 6), (1, 1), spatial_scale=0.7),
    region("roi_pool_forward", "more-bins-than-pixels", (2, 33, 6, 5), (7, 7), spatial_scale=0.5),
    region("roi_align_forward", "bins", (2, 17, 7, 8), (2, 3), sampling_ratio=2),
    region("roi_align_forward", "as-many-samples-as-pixels", (2, 3, 9, 8), (3, 2), spatial_scale=0.9),
    region("roi_align_forward", "aligned", (2, 18, 6, 7), (3, 3), spatial_scale=0.5, sampling_ratio=3, aligned=True),
    region("roi_align_forward", "aligned-free", (2, 5, 7, 6), (2, 2), spatial_scale=1.3, aligned=True),
    region("roi_align_forward", "large-bins", (2, 3, 17, 16), (1, 1), boxes=BOXES * [1, 3, 3, 3, 3]),
    region("roi_align_forward", "one-row", (2, 5, 1, 8), (2, 2), sampling_ratio=2),
]
EXACT = ("roi_pool_forward",)


def _options(case, *without):
    return {name: value for name, value in case.options.items() if name not in ("boxes", *without)}


def _forward(ops, case, arrays):
    found = getattr(ops, case.op)(arrays[0], case.options["boxes"], **_options(case))
    return list(found) if isinstance(found, tuple) else [found]


FORWARD = {"roi_pool_forward": _forward, "roi_align_forward": _forward}
GRADIENTS = {
    "roi_pool_forward": lambda ops, case, arrays, results, dys: [
        ops.roi_pool_backward(dys[0], results[1], case.options["boxes"], arrays[0].shape)],
    "roi_align_forward": lambda ops, case, arrays, results, dys: [
        ops.roi_align_backward(dys[0], case.options["boxes"], arrays[0].shape, **_options(case, "output_size"))],
}
