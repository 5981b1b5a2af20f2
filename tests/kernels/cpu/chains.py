"""Chains of convolutions in bands, and the same convolutions one after the other.

    NUMBA_DISABLE_JIT=1 python -m tests.kernels.cpu.chains      plain Python, every read and write within its array
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import bfloat16_products, load
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv.chain_plan import Chain, bands_of, by_matrices

cpu = load("cpu")
RELU, SILU, CLIP = ("relu", 0.0, 0.0), ("silu", 0.0, 0.0), ("hardtanh", -0.5, 0.75)


class Case(NamedTuple):
    """Images of x, how many channels `expand` makes of theirs and `project` makes in the end, None where it is missing;
    (channels of a group, R, S), and stride, padding and dilation of the grouped convolution."""

    x: tuple
    expand: int | None
    grouped: tuple
    project: int | None
    where: tuple
    activations: tuple = (RELU, RELU, None)
    add: bool = False
    dtype: str = "float32"

    @property
    def chain(self):
        wide, (size, *kernel) = self.expand or self.x[1], self.grouped
        return Chain(self.x, self.expand and (wide, self.x[1], 1, 1), (wide, size, *kernel),
                     self.project and (self.project, wide, 1, 1), (*self.where, wide // size))


_PLAIN, _HALVED = ((1, 1), (1, 1, 1, 1), (1, 1)), ((2, 2), (1, 1, 1, 1), (1, 1))
CASES = {
    "three": Case((2, 5, 15, 11), 24, (1, 3, 3), 7, _PLAIN),
    "added": Case((1, 7, 24, 9), 32, (1, 3, 3), 7, _PLAIN, add=True),
    "by functions": Case((3, 4, 13, 8), 20, (1, 3, 3), 33, _HALVED, (SILU, SILU, CLIP), True),
    "without project": Case((2, 6, 16, 10), 40, (1, 3, 3), None, _HALVED, (SILU, SILU, None), True),
    "without expand": Case((4, 18, 12, 10), None, (1, 3, 3), 9, _PLAIN, (None, CLIP, SILU)),
    "groups of two": Case((2, 8, 14, 7), 36, (2, 3, 3), 8, _PLAIN, (CLIP, SILU, RELU)),
    "float64": Case((2, 5, 14, 6), 24, (1, 3, 3), 5, _PLAIN, dtype="float64", add=True),
    "one row each": Case((8, 3, 1, 9), 16, (1, 1, 3), 3, ((1, 1), (0, 0, 1, 1), (1, 1))),
    "dilated, uneven": Case((2, 4, 19, 13), 17, (1, 5, 2), 6, ((3, 1), (3, 0, 1, 2), (2, 1))),
}


# What takes minutes in plain Python: more pixels than one table of the direct way has, and a result no cache holds.
LARGE = {
    "pixels": Case((4, 1, 300, 240), 2, (1, 3, 3), 1, _PLAIN),
    "result": Case((4, 8, 79, 83), 50, (1, 3, 3), None, _PLAIN, (RELU, SILU, None)),
}


# For matrices of bfloat16 numbers: which 1x1 convolutions, (expand, project), have channels enough for them, or so few
# that one after the other they have a way of their own.
MATRICES = {
    "both": ((True, True), Case((2, 32, 9, 7), 40, (1, 3, 3), 16, _PLAIN, (SILU, RELU, SILU), True)),
    "project": ((False, True), Case((1, 5, 16, 9), 36, (1, 3, 3), 20, _HALVED, (RELU, SILU, None))),
    "few": ((True, True), Case((2, 10, 12, 9), 40, (1, 3, 3), 24, _PLAIN, (RELU, SILU, None))),
    "many": ((True, True), Case((2, 35, 24, 20), 210, (1, 3, 3), 70, _PLAIN, (SILU, RELU, SILU), True)),
    "expand": ((True, False), Case((4, 33, 8, 5), 48, (2, 3, 3), None, _PLAIN, (CLIP, SILU, None), True)),
}


def draw(rng):
    """A random Case, or None."""
    size = int(rng.choice([1, 1, 1, 2, 4, 8]))
    wide = int(rng.integers(2, 1 + 200 // size)) * size
    stride, dilation = (tuple(map(int, rng.integers(1, most, 2))) for most in (4, 3))
    some = RELU, SILU, CLIP, ("leaky_relu", 0.1, 0.0), None
    x = *map(int, (rng.integers(1, 6), rng.integers(1, 48), *rng.integers(3, 60, 2))),
    expand, project = (int(rng.integers(1, 70)) if rng.random() < 0.7 else None for _ in range(2))
    expand, x = (wide, x) if expand else (None, (x[0], wide, *x[2:]))
    case = Case(x, expand, (size, *map(int, rng.integers(1, 6, 2))), project, (
        stride, tuple(map(int, rng.integers(0, 4, 4))), dilation), tuple(some[rng.integers(5)] for _ in range(3)),
        bool(rng.random() < 0.5), str(rng.choice(["float32", "float32", "float64"])))
    try:
        there = (expand or project) and bands_of(case.chain, np.dtype(case.dtype)) is not None
    except ValueError:  # a kernel larger than the image
        there = False
    return case if there else None


def results(case, seed=0):
    """(what the chain gives, what its convolutions give one after the other)."""
    rng, chain = np.random.default_rng(seed), case.chain

    def images(n, c, h, w):
        return rng.standard_normal((n, h, w, c)).astype(case.dtype).transpose(0, 3, 1, 2)

    def pack(shape):
        w, b = (rng.standard_normal(size).astype(case.dtype) for size in (shape, shape[:1]))
        return cpu.conv2d_pack(w, b)

    x, add = images(*case.x), images(*chain.y) if case.add else None
    expand, grouped, project = (shape and pack(shape) for shape in (chain.expand, chain.grouped, chain.project))
    first, second, third = case.activations
    there = [place for place, one in enumerate((expand, grouped, project)) if one]
    made = cpu.conv2d_chain_inference(x, [(expand, grouped, project)[place] for place in there], there.index(1),
                                      chain.where, [case.activations[place] for place in there], add)
    last = {"add": add} if project is None else {}
    y = cpu.conv2d_inference(x, expand, activation=first) if expand else x
    y = cpu.conv2d_inference(y, grouped, *chain.where, activation=second, **last)
    return made, cpu.conv2d_inference(y, project, activation=third, add=add) if project else y


def results_by_matrices(name):
    """`results` of that case within bfloat16_products(), on a processor with AMX."""
    matrices, case = MATRICES[name]
    with bfloat16_products():
        assert by_matrices(case.chain, case.dtype) == matrices
        return results(case)


if __name__ == "__main__":
    simd.AMX = True
    for name in MATRICES:
        np.testing.assert_array_equal(*results_by_matrices(name))
        print("by matrices:", name, flush=True)
    for name, case in CASES.items():
        np.testing.assert_array_equal(*results(case))
        print(name, flush=True)
