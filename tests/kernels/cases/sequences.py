"""Recurrent layers, and tables of vectors."""
import numpy as np

from .case import Case

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}


def recurrent(cell, name, steps, batch, hidden, *, bias=True, h=True, c=True, op="recurrent_forward", **options):
    columns, state = GATES[cell] * hidden, (batch, hidden)
    z = (batch, steps, columns) if options.get("batch_first") else (steps, batch, columns)
    shapes = z, (columns, hidden), (columns,) if bias else None, state if h else None, \
        state if c and cell == "lstm" else None
    return Case(op, f"{cell}-{name}", shapes, {"cell": cell, "reverse": False, "batch_first": False, **options})


RECURRENT = [
    recurrent("lstm", "plain", 4, 3, 7),
    recurrent("lstm", "reverse", 3, 14, 20, h=False, reverse=True, batch_first=True),
    recurrent("lstm", "no-bias", 2, 1, 1, bias=False, c=False),
    recurrent("lstm", "one-step", 1, 5, 12, h=False, c=False, batch_first=True),
    recurrent("gru", "plain", 4, 3, 7),
    recurrent("gru", "reverse", 3, 14, 20, h=False, reverse=True),
    recurrent("gru", "no-bias", 2, 2, 33, bias=False, batch_first=True),
    recurrent("rnn_tanh", "plain", 4, 3, 7),
    recurrent("rnn_tanh", "reverse", 3, 14, 33, bias=False, h=False, reverse=True, batch_first=True),
    recurrent("rnn_relu", "plain", 3, 4, 9),
    recurrent("rnn_relu", "one-of-each", 1, 1, 1, h=False, bias=False),
    *(recurrent(cell, "plain", 3, 2, 5, op="recurrent_inference") for cell in GATES),
]


def table(name, w, x):
    return Case("embedding_forward", name, (w,), {"x": np.array(x)})


TABLES = [
    table("plain", (7, 5), [3, 0, 6, 3, 3]),
    table("one-row", (1, 1), [0, 0]),
    table("often", (5, 37), np.arange(300) ** 2 % 3),
    table("wide", (3, 300), [2, 0]),
]


def _operands(case, arrays):
    """The arguments in the order of the contract."""
    z, w, *others = arrays
    return z, w, case.options["cell"], *others, case.options["reverse"], case.options["batch_first"]


def _forward(ops, case, arrays):
    return [result for result in getattr(ops, case.op)(*_operands(case, arrays)) if result is not None]


def _states(case):
    """How many results gradients flow back from: y and the last states."""
    return 3 if case.options["cell"] == "lstm" else 2


def _gradients(ops, case, arrays, results, dys):
    _, w, b, h, c = arrays
    before, kept = results[-1], results[-2] if len(results) > 3 else results[0]
    dy, dh, dc = [*dys, None][:3]
    dz, da, dh, dc = ops.recurrent_backward(kept, w, case.options["cell"], dy, dh, dc, case.options["reverse"],
                                            case.options["batch_first"])
    da = dz if da is None else da
    rows = [array.reshape(-1, array.shape[2]) for array in (da, before)]
    dw, db = ops.linear_backward_weight(*rows, bias=b is not None)
    return [dz, dw, db, None if h is None else dh, None if c is None else dc]


CASES, EXACT = [*RECURRENT, *TABLES], ("embedding_forward",)
NO_GRADIENT = ("recurrent_inference",)
DIFFERENTIABLE = {"recurrent_forward": _states}
FORWARD = {"recurrent_forward": _forward, "recurrent_inference": _forward}
GRADIENTS = {
    "recurrent_forward": _gradients,
    "embedding_forward": lambda ops, case, arrays, results, dys: [
        ops.embedding_backward(dys[0], x=case.options["x"], rows=len(arrays[0]))],
}
