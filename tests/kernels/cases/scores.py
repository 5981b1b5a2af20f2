"""Scores, a row a sample."""
from .case import Case

SCORES = [
    *(Case(op, name, (shape,), {}) for op in ("softmax_forward", "log_softmax_forward")
      for name, shape in (("ten", (6, 10)), ("many", (3, 257)), ("sixteen", (5, 16)), ("one", (4, 1)))),
    *(Case(op, f"{len(shape)}d-{dim}", (shape,), {"dim": dim}) for op in ("softmax_forward", "log_softmax_forward")
      for shape, dim in (((2, 37, 3, 5), 1), ((2, 5, 3, 17), 3), ((2, 17, 6, 5), -2), ((9, 3, 5, 2), 0), ((6, 10), 0),
                         ((3, 10, 5), 1), ((7,), 0))),
]


def _gradient(ops, case, arrays, results, dys):
    return [getattr(ops, case.op.replace("forward", "backward"))(dys[0], results[0], **case.options)]


CASES, EXACT = SCORES, ()
GRADIENTS = {
    "softmax_forward": _gradient,
    "log_softmax_forward": _gradient,
}
