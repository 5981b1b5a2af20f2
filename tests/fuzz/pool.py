"""Values of every kind, right for some arguments and wrong for most: tag -> how to make a fresh one."""
import collections
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np

from fastnet import SGD, Linear, Parameter, ReLU, Sequential

from ..layers.wrong import Raising

try:
    import torch
except ImportError:     # the tensors are left out
    torch = None


def _own_list():
    value = []
    value.append(value)
    return value


def _own_dict():
    value = {}
    value["a"] = value
    return value


def _objects():
    value = np.empty(2, object)
    value[0] = Raising()
    return value


def _read_only():
    value = np.ones((2, 3), np.float32)
    value.flags.writeable = False
    return value


POOL = {
    **{f"int {value}": lambda value=value: value for value in (0, 1, 2, 3, 7, -1, 2**31, 2**63, 10**30)},
    "int huge": lambda: -10**5000, "np.int64": lambda: np.int64(2), "np.uint8": lambda: np.uint8(3),
    "True": lambda: True, "False": lambda: False, "np.True_": lambda: np.True_,
    **{f"float {value}": lambda value=value: value for value in (0.5, 0.0, -0.5, 1.0, 2.5, 1e-30, 1e30, 1e300)},
    "NaN": lambda: float("nan"), "inf": lambda: float("inf"), "-inf": lambda: -float("inf"),
    "np.float32": lambda: np.float32(0.5), "np.float64 NaN": lambda: np.float64("nan"), "complex": lambda: 1j,
    "Fraction": lambda: Fraction(1, 2), "Decimal": lambda: Decimal("0.5"), "None": lambda: None,
    **{f"text {value!r}": lambda value=value: value
       for value in ("", "no such word", "cpu", "same", "float32", "a\0b")},
    "long text": lambda: "x" * 10000, "bytes": lambda: b"3", "path": lambda: Path("no") / "such" / "file",
    "dtype": lambda: np.dtype(np.float64), "other dtype": lambda: np.int32,
    **{f"array {shape}": lambda shape=shape: np.ones(shape, np.float32)
       for shape in ((), (0,), (3,), (0, 3), (2, 3), (2, 0, 3, 3), (2, 3, 4, 5), (1, 2, 3, 4, 5))},
    **{f"array {dtype}": lambda dtype=dtype: np.zeros((2, 3), dtype)
       for dtype in ("bool", "int8", ">i4", "uint64", "float16", ">f4", "float64", "longdouble", "complex64", "O", "U3",
                     "M8[s]", "V4")},
    "array NaN": lambda: np.full((2, 3), np.nan, np.float32), "array large": lambda: np.full((2, 3), 1e300),
    "array of huge integers": lambda: np.full(3, 2**64 - 1, np.uint64), "labels": lambda: np.arange(2),
    "masked": lambda: np.ma.masked_array(np.ones((2, 3), np.float32), np.eye(2, 3) > 0),
    "array of objects": _objects, "strided": lambda: np.ones((4, 6), np.float32)[::2, ::2],
    "negative strides": lambda: np.ones((2, 3), np.float32)[::-1, ::-1], "read-only": _read_only,
    "broadcast": lambda: np.broadcast_to(np.float32(1), (2, 3)),
    "Fortran": lambda: np.asfortranarray(np.ones((2, 3), np.float32)),
    "unaligned": lambda: np.frombuffer(bytearray(25), np.float32, 6, 1).reshape(2, 3),
    "empty list": list, "list": lambda: [1, 2], "ragged list": lambda: [[1.0], [2.0, 3.0]],
    "list of None": lambda: [None], "list of raising": lambda: [Raising()], "its own dict": _own_dict,
    "list of arrays": lambda: [np.ones((2, 3), np.float32)] * 2, "long list": lambda: list(range(1000)),
    "its own list": _own_list, "1-tuple": lambda: (3,), "pair": lambda: (1, 2), "4-tuple": lambda: (1, 2, 3, 4),
    "tuple of floats": lambda: (1.0, 2.0), "pair of arrays": lambda: (np.ones((2, 3), np.float32), np.arange(2)),
    "batch": lambda: [(np.ones((2, 3), np.float32), np.arange(2))],
    "empty tuple": tuple, "empty dict": dict, "dict": lambda: {"a": 1}, "dict of numbers": lambda: {3: 3},
    "dict of arrays": lambda: {"weight": np.ones((2, 3), np.float32)}, "set": lambda: {1, 2}, "range": lambda: range(3),
    "generator": lambda: (i for i in (1, 2)), "deque": lambda: collections.deque([1, 2]),
    "class": lambda: int, "object": object, "raising": Raising, "function": lambda: len, "lambda": lambda: lambda x: x,
    "module": lambda: np, "ellipsis": lambda: ..., "slice": lambda: slice(2), "numpy generator": lambda:
    np.random.default_rng(0), "layer class": lambda: ReLU, "layer": lambda: ReLU(), "list of layers": lambda: [ReLU()],
    "net": lambda: Sequential(Linear(3, 2)), "parameter": lambda: Parameter(np.ones(2)),
    "optimiser": lambda: SGD(Linear(3, 2).parameters(), lr=0.1), "exception": lambda: ValueError("one's own"),
}
if torch is not None:
    POOL |= {
        "tensor": lambda: torch.ones(2, 3), "tensor with gradient": lambda: torch.ones(2, 3, requires_grad=True),
        "integer tensor": lambda: torch.tensor(2), "bfloat16": lambda: torch.ones(2, 3, dtype=torch.bfloat16),
        "meta": lambda: torch.ones(2, 3, device="meta"), "complex tensor": lambda: torch.ones(2, 3) * 1j,
        "conjugate": lambda: torch.conj(torch.ones(2, 3) * 1j), "sparse": lambda: torch.eye(2).to_sparse(),
    }
# What is right for a size, and takes forever or fills the memory.
CALLABLE = {"class", "function", "lambda", "other dtype", "layer class", "layer", "net"}
LARGE = {f"int {value}" for value in (2**31, 2**63, 10**30)} | {"long list"}
