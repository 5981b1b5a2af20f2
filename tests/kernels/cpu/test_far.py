"""What is written past the caches has the bits of what is not, for any number of threads."""
import numba
import numpy as np
import pytest

from fastnet.kernels.activations import reads
from fastnet.kernels.cpu import activation_backward, activation_forward, add, concat, multiply, spans, split
from fastnet.kernels.cpu.activations import COMPILED

SIZE = spans.FAR // 4 + 16_384 + 5      # numbers of float32, the last vector not full


@pytest.fixture(params=[1, 2])
def threads(request):
    before = numba.get_num_threads()
    numba.set_num_threads(min(request.param, numba.config.NUMBA_NUM_THREADS))
    yield
    numba.set_num_threads(before)


def numbers(seed):
    return np.random.default_rng(seed).standard_normal(SIZE, dtype=np.float32)


def in_parts(operation, *arrays):
    step = SIZE // 8
    return np.concatenate([operation(*(array[i: i + step] for array in arrays)) for i in range(0, SIZE, step)])


def assert_bits(ours, theirs):
    np.testing.assert_array_equal(ours.view(np.int32), theirs.view(np.int32))


@pytest.mark.parametrize("function", ["relu", "hardtanh", "gelu", "sigmoid"])
def test_activations(function, threads):
    assert function in COMPILED
    x, dy = numbers(0), numbers(1)
    y = activation_forward(x, function, -0.5, 0.5)
    assert_bits(y, in_parts(lambda x: activation_forward(x, function, -0.5, 0.5), x))
    kept = y if reads(function) == "y" else x
    assert_bits(activation_backward(dy, kept, function, -0.5, 0.5),
                in_parts(lambda dy, kept: activation_backward(dy, kept, function, -0.5, 0.5), dy, kept))


def test_what_only_moves(threads):
    a, b = numbers(0), numbers(1)
    assert_bits(add(a, b), a + b)
    assert_bits(multiply(a, b[:1]), a * b[:1])
    joined = concat([a, b, a[:7], b[:9], a[:5]], 0)
    assert_bits(joined, np.concatenate([a, b, a[:7], b[:9], a[:5]]))
    for part, whole in zip(split(joined, [SIZE, SIZE, 7, 9, 5], 0), [a, b, a[:7], b[:9], a[:5]], strict=True):
        assert_bits(part, whole)
