"""Frames: machine code writes the words that Python would write."""
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba import config, types

from fastnet.kernels.cpu.runtime import frames

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="without the compiler there are no frames")


class Inner(NamedTuple):
    y: np.ndarray
    wanted: bool


class Outer(NamedTuple):
    scale: float
    inner: Inner
    nothing: tuple
    last: int


X = np.arange(12.0).reshape(3, 4)
ARGS = {
    "none": (),
    "arrays": (X, X[1:], X.reshape(-1).astype(np.float32), np.empty((0, 5)), np.array(7)),
    "whole numbers": (0, 1, -1, 2**30, -2**31, 2**62 + 3, -2**63, True, False),
    "numbers": (0.5, -0.0, float("inf"), np.float64(0.25)),
    "short numbers": (np.float32(0.1), np.float32("-inf"), 2, np.float32(-0.0), np.float32(1e-42)),
    "of NumPy": (np.float16(0.25), np.int64(-3), np.uint8(200), np.bool_(True)),
    "tuples": (1, Outer(0.5, Inner(X, True), (), 3), (2, (3, (4, (5,)))), X),
    "many tuples": (((((((((((1,),),),),),),),),),), 2),
}


@pytest.mark.parametrize("name", ARGS)
def test_machine_code_writes_what_python_writes(name):
    args = ARGS[name]
    words = frames.words(frames.flat(args))
    assert frames.frame(args, len(words))[:len(words)].tolist() == words


@pytest.mark.parametrize("name", ["whole numbers", "tuples"])
def test_nothing_is_written_behind_a_frame(name):
    """Of more arguments than a kernel has, no word goes where the frame ends."""
    args = ARGS[name]
    words = frames.words(frames.flat(args))
    for size in range(len(words)):
        assert frames.frame(args, size).tolist() == words


def test_what_a_frame_cannot_hold_is_refused():
    with pytest.raises(numba.TypingError, match="C-contiguous"):
        frames.frame((X.T,), 3)
    for number in (2**63, -2**64):
        with pytest.raises(OverflowError):
            frames.frame((number,), 1)


def test_threads_share_an_entrance():
    """Two functions of one name would take each other's machine code from the cache."""
    barrier, kinds = Barrier(8), (types.int64,) * 37

    def ask(_):
        barrier.wait()
        return frames.entrance(kinds)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(ask, range(8)))) == 1
