"""Winograd's convolutions in all their forms against naive ones.

    NUMBA_DISABLE_JIT=1 python -m tests.kernels.cpu.winograds

does it in plain Python, where every place that a primitive reads or writes is checked; it prints the cases.
"""
import itertools

import numpy as np

from fastnet.kernels import naive
from fastnet.kernels.cpu import epilogue
from fastnet.kernels.cpu.conv import winograd_weight
from fastnet.kernels.cpu.conv.choice import WINOGRAD_SIZES
from fastnet.kernels.cpu.conv.geometry import Geometry
from fastnet.kernels.cpu.conv.passes import WinogradBackwardInput, WinogradBackwardWeight, WinogradForward
from fastnet.kernels.cpu.runtime import empty_images, flat

# x, w and groups: panels of half a vector, of one and of some more, and channels that are no vectors.
CASES = {
    "to few": ((2, 16, 6, 7), (8, 16, 3, 3), 1),
    "from few": ((2, 8, 6, 7), (16, 8, 3, 3), 1),
    "groups to few": ((2, 32, 8, 5), (16, 16, 3, 3), 2),
    "groups of vectors": ((2, 48, 5, 8), (48, 16, 3, 3), 3),
    "groups of more": ((1, 34, 9, 6), (74, 17, 3, 3), 2),
    "groups of 5x5": ((2, 34, 5, 7), (18, 17, 5, 5), 2),
}

ROOM = winograd_weight._BLOCK_BYTES


def check(name):
    """Compare all passes, the pooled one too, in every form for that kernel: of float32, and of bfloat16 numbers, whose
    roundings are far larger; the gradients with both steps in one kernel, and one after the other."""
    x_shape, w_shape, groups = CASES[name]
    r, y_shape, rng = w_shape[2], x_shape[:1] + w_shape[:1] + x_shape[2:], np.random.default_rng(0)
    where = (1, 1), (r // 2,) * 4, (1, 1), groups
    geometry = Geometry.of(x_shape, w_shape, y_shape, np.float32, where)
    x, w, b, dy = (rng.standard_normal(shape, np.float32) for shape in (x_shape, w_shape, w_shape[:1], y_shape))
    x, dy = images(x), images(dy)
    y, dx = naive.conv2d_forward(x, w, b, *where), naive.conv2d_backward_input(dy, w, x_shape, *where)
    pooled, index = naive.maxpool2d_forward(y, (2, 2), (2, 2))
    dw, db = naive.conv2d_backward_weight(dy, x, w_shape, *where)
    for m, paired, room in itertools.product(WINOGRAD_SIZES[r], (False, True), (ROOM, 0)):
        winograd_weight._BLOCK_BYTES = room
        got, smaller, places, back = (images(np.full(like.shape, np.nan), like.dtype) for like in (
            y, pooled, index, dx))
        way = WinogradForward(geometry, m, paired and x_shape[1] // groups % 2 == 0)    # pairs of input channels
        way.run(flat(x), *way.pack(w, b), flat(got), epilogue.make(flat(got)))
        way.run_pooled(flat(x), *way.pack(w, b), flat(smaller), flat(places), False, epilogue.make(flat(smaller)))
        way = WinogradBackwardInput(geometry, m, paired and w_shape[0] // groups % 2 == 0)
        way.run(flat(dy), *way.pack(w, None), flat(back), epilogue.make(flat(back)))
        way = WinogradBackwardWeight(geometry, m, paired)
        assert way.gradient.fused == (room > 0)
        gradients = way.run(flat(x), flat(dy), True)
        assert paired or (places == index).all()
        for ours, wanted in zip((got, smaller, back, *gradients), (y, pooled, dx, dw, db), strict=True):
            assert np.linalg.norm(ours - wanted) < (0.03 if paired else 2e-5) * np.linalg.norm(wanted)


def images(values, dtype=np.float32):
    """The same in memory as kernels read it."""
    made = empty_images(*values.shape, dtype)
    with np.errstate(invalid="ignore"):
        made[...] = values
    return made


if __name__ == "__main__":
    for name in CASES:
        check(name)
        print(name)
