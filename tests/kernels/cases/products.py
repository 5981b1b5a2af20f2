"""Products with weights."""
from .case import Case


def linear(name, x, w, bias=True):
    return Case("linear_forward", name, (x, w, w[:1] if bias else None), {})


LINEARS = [
    linear("plain", (5, 33), (17, 33)),
    linear("sixteen", (16, 64), (10, 64)),
    linear("no-bias", (7, 300), (65, 300), bias=False),
    linear("one-sample", (1, 5), (3, 5)),
    linear("one-sample-of-many", (1, 2100), (19, 2100)),
    linear("few-samples", (6, 1077), (43, 1077)),
    linear("one-output", (9, 16), (1, 16), bias=False),
    linear("one-input", (3, 1), (16, 1)),
    linear("rows-that-collide", (18, 1024), (9, 1024)),
    linear("outputs-that-collide", (17, 3), (1024, 3)),
    linear("many-samples", (1100, 67), (130, 67)),
    linear("many-samples-that-collide", (1100, 40), (256, 40)),
]


def _gradients(ops, case, arrays, results, dys):
    dw, db = ops.linear_backward_weight(dys[0], arrays[0], bias=arrays[2] is not None)
    return [ops.linear_backward_input(dys[0], arrays[1]), dw, db]


CASES, EXACT = LINEARS, ("linear_forward",)
GRADIENTS = {"linear_forward": _gradients}
