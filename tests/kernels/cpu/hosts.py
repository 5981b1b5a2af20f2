"""Run some operations of each kind on the processor that Numba is told to compile for, against the naive backend.

    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= python -m tests.kernels.cpu.hosts

prints what the host counts as, the numbers in a vector of float32, whether AVX-512 registers are used, and how many
operations were run.
"""
import json

import numpy as np

from fastnet.kernels import bfloat16_products, load
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import cache, compiler
from tests.kernels import cases
from tests.kernels.cpu import fused
from tests.kernels.judge import assert_close, assert_same
from tests.kernels.test_backends import outcome

CASES = [
    cases.conv("winograd", (3, 17, 6, 6), (33, 17, 3, 3), padding=(1, 1, 1, 1)),
    cases.conv("stride-2", (2, 16, 9, 8), (17, 16, 3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
    cases.linear("plain", (17, 33), (17, 33)), cases.linear("few", (3, 533), (17, 533)),
    cases.pool("maxpool2d_forward", "2x2", (2, 17, 7, 9), (2, 2), (2, 2)),
    cases.norm("batchnorm_forward", "images", (3, 17, 4, 3)),
    cases.groups("images", (2, 36, 4, 3), 12),
    cases.last_axes("rows", (5, 35), 1),
    cases.Case("add", "images", ((2, 17, 3, 5),) * 2, {}),
    cases.Case("multiply", "channels-of-images", ((2, 17, 3, 5), (2, 17, 1, 1)), {}),
    cases.Case("dropout", "images", ((2, 17, 5, 3),), {"p": 0.4, "key": 5}),
    cases.recurrent("lstm", "plain", 3, 5, 19), cases.recurrent("gru", "plain", 3, 5, 3),
    cases.Case("softmax_cross_entropy", "ten", ((5, 10),), {"labels": [3, 0, 9, 9, 1]}),
]


def uses_avx512():
    """Whether kernels that are compiled now, and not taken from the cache, contain 512-bit registers."""
    attach, cache.attach = cache.attach, lambda dispatcher: dispatcher
    load("cpu").activation_forward(np.ones(100, np.float32), "relu")
    load("cpu").global_avgpool_forward(np.ones((2, 100, 5, 5), np.float32))
    cache.attach = attach
    code = [text for body, *_ in compiler._addresses for text in body.inspect_asm().values()]
    return any("zmm" in text for text in code)


if __name__ == "__main__":
    wide = uses_avx512()
    for case in CASES:
        wanted = outcome(load("naive"), case, cases.reals, "float32")
        for ours, theirs in zip(outcome(load("cpu"), case, cases.reals, "float32"), wanted, strict=True):
            if isinstance(theirs, np.ndarray) and theirs.dtype.kind == "u":
                assert_same(ours, theirs)
            else:
                assert_close(np.float32(ours), np.float32(theirs))
        for ours, theirs in fused.forms(case, "float32"):
            assert_same(ours, theirs)
    pairs = cases.conv("pairs", (3, 18, 8, 8), (33, 18, 3, 3), padding=(1, 1, 1, 1))
    with bfloat16_products():
        found = outcome(load("cpu"), pairs, cases.reals, "float32")
    for ours, theirs in zip(found, outcome(load("naive"), pairs, cases.reals, "float32"), strict=True):
        assert 0 < np.linalg.norm(ours - theirs) < 0.04 * np.linalg.norm(theirs)
    print(json.dumps([simd.HOST, simd.width("float32"), wide, len(CASES)]))
