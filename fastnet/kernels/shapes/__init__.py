"""What every operation takes, gives and refuses: the contract, one function an operation.

Each function has the name and the arguments of its operation. It checks them, looks at no number, and returns what the
operation gives: a `Kind` for each array, in a tuple where there are several, in a list where the operation gives one,
and None for what is left out. An operand is anything with ``shape`` and ``dtype``; nothing is converted here. Results
take the dtype of the first operand (float32 where that is neither float32 nor float64, as the operations convert it).
A Python float counts as a Kind of shape () and dtype float64.

ValueError where shapes or arguments do not fit, TypeError for a dtype that does not; the texts are those of `checks`.
Letters and the meaning of stride, padding and dilation stand in `fastnet.kernels`. `OPS`, {name: function}, is the
one list of operations: every public function of this folder's files, which are named as those of the backends.
"""
from inspect import isfunction

from fastnet.kernels import checks, windows
from fastnet.kernels.shapes import (
    activation,
    broadcast,
    conv,
    embedding,
    features,
    group_norm,
    layer_norm,
    linear,
    locally_connected,
    move,
    nearest,
    norm,
    pointwise,
    pool,
    pool_max,
    recurrent,
    resample,
    response_norm,
    roi,
    score_losses,
    softmax,
    unpool,
    update,
)
from fastnet.kernels.shapes.kind import PYTHON_FLOAT, Kind

__all__ = ["HEADS", "OPS", "PYTHON_FLOAT", "Kind"]

_FILES = (activation, broadcast, conv, embedding, features, group_norm, layer_norm, linear, locally_connected, move,
          nearest, norm, pointwise, pool, pool_max, recurrent, resample, response_norm, roi, score_losses, softmax,
          unpool, update)
OPS = {name: value for module in _FILES for name, value in vars(module).items()
       if isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")}
globals().update(OPS)

# Operations that refuse some of the numbers in an input: the name of the input, and what raises ValueError for such
# numbers, given what the operation is given. A net asks them of what it was given, before each pass.
HEADS = {
    "embedding_forward": ("x", lambda w, x: checks.indices(x, w.shape[0])),
    **dict.fromkeys(("roi_pool_forward", "roi_align_forward"),
                    ("boxes", lambda x, boxes, **options: windows.boxes_within(boxes, x.shape[0]))),
}
