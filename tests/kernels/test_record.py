"""A recording does what was recorded, for any other numbers, or says that it cannot."""
import threading

import numba
import numpy as np
import pytest

from fastnet import kernels
from fastnet.kernels.cpu.runtime import array, jit

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code to run again")

cpu = kernels.load("cpu")
RNG = np.random.default_rng(0)
W = RNG.standard_normal((5, 16, 3, 3), np.float32)
B = RNG.standard_normal(5).astype(np.float32)


def record(run, x, most_bytes=1 << 30, after=None):
    return cpu.record(run, x, most_bytes, after)


def images(n=2, dtype="float32"):
    """Images to convolve with W; each call makes other ones."""
    return RNG.standard_normal((n, 16, 9, 9)).astype(dtype)


def run(x):
    """Operations of several kinds: on several threads and on one, with scratch memory, floats and flags."""
    y = cpu.maxpool2d_inference(cpu.conv2d_forward(x, W, B, padding=(1, 1, 1, 1), relu=True), (2, 2), (2, 2))
    y = cpu.concat([y, cpu.avgpool2d_forward(y, (3, 3), (1, 1), (1, 1, 1, 1), count_include_pad=False)])
    y = cpu.batchnorm_inference(y, *[np.arange(1, 11, dtype=x.dtype)] * 4, 1e-5)
    y = cpu.linear_forward(cpu.flatten(y), np.linspace(-1, 1, 7 * 160, dtype=x.dtype).reshape(7, 160))
    return cpu.add(cpu.dropout(cpu.softmax_forward(y), 0.5, 3), y, relu=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 7, 64])
def test_again_is_the_same_with_other_numbers(n, dtype):
    x, other = images(n, dtype), images(n, dtype)
    y, again = record(run, x)
    np.testing.assert_array_equal(y, run(x))
    for _ in range(3):
        np.testing.assert_array_equal(again(other), run(other))
        np.testing.assert_array_equal(again(x), y)


def test_results_are_the_callers():
    x = images()
    y, again = record(run, x)
    first, kept = again(x), y.copy()
    again(images())
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(y, kept)
    first[:] = 0
    np.testing.assert_array_equal(again(x), kept)


def test_arrays_are_read_anew():
    w = W.copy()
    x = images()
    _, again = record(lambda x: cpu.conv2d_forward(x, w), x)
    w *= 2
    np.testing.assert_allclose(again(x), cpu.conv2d_forward(x, w), rtol=1e-5, atol=1e-5)


def test_nothing_is_recorded_that_is_no_launch():
    """Operands in another layout are copied by NumPy, and other dtypes converted."""
    turned = np.ascontiguousarray(images().transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
    assert record(lambda x: cpu.add(x, turned), turned)[1] is None
    assert record(cpu.relu_forward, np.ones((2, 3), np.float16))[1] is None
    assert record(cpu.relu_forward, np.ones((2, 3), ">f4"))[1] is None


def test_what_would_keep_much_memory_is_not_recorded():
    y, again = record(run, images(1), most_bytes=1000)
    assert again is None and y.shape == (1, 7)


def test_memory_serves_again_within_a_recording():
    def long(x):
        for _ in range(50):
            x = cpu.relu_forward(x)
        return x

    x = RNG.standard_normal(1 << 18, np.float32)
    y, again = record(long, x)
    assert again.pool.taken_bytes <= 4 * x.nbytes
    np.testing.assert_array_equal(again(-x), np.maximum(-x, 0))


def test_memory_is_given_back(monkeypatch):
    monkeypatch.setattr(array, "shared_pool", array.Pool())
    x = RNG.standard_normal(1 << 18, np.float32)
    again = record(cpu.relu_forward, x)[1]
    gone = again(x), again.pool.taken_bytes
    del again
    assert array.shared_pool._free_bytes >= gone[1] > 0


def test_a_recording_that_uses_arrays_of_another():
    kept = []
    x, dy = images(), images()
    _, again = record(lambda x: kept.append(cpu.relu_forward(x)) or cpu.add(x, x), x)
    results, back = record(lambda dy: [cpu.relu_backward(dy, kept.pop()), None], dy, after=again)
    np.testing.assert_array_equal(results[0], dy * (x > 0))
    assert results[1] is None
    for _ in range(3):
        x, dy = images(), images()
        np.testing.assert_array_equal(again(x), x + x)
        dx, nothing = back(dy)
        np.testing.assert_array_equal(dx, dy * (x > 0))
        assert nothing is None


@pytest.mark.parametrize("other", [images(3), images().astype(np.float64)])
def test_another_shape_or_dtype(other):
    assert record(run, images())[1](other) is None


def test_a_recording_within_another():
    """The outer one would miss what the inner one replays."""
    x = images()
    inner = []
    y, again = record(lambda x: cpu.add(inner.append(record(run, x)) or inner[-1][0], inner[-1][0]), x)
    assert again is None
    np.testing.assert_array_equal(y, 2 * run(x))
    np.testing.assert_array_equal(inner[0][1](x), run(x))


def test_an_error_ends_the_recording():
    with pytest.raises(ValueError, match="input channels"):
        record(lambda x: cpu.conv2d_forward(x, W[:, :3]), images())
    assert jit.recorder() is None


def test_the_number_of_threads():
    x, before = images(64), numba.get_num_threads()
    expected = run(x)
    try:
        for count in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(count)
            _, again = record(run, x)
            for _ in range(5):
                np.testing.assert_array_equal(again(x), expected)
            if count > 1:
                numba.set_num_threads(count - 1)
                assert again(x) is None
    finally:
        numba.set_num_threads(before)


def test_many_threads_of_python():
    """One runs the recording, the others are told to look elsewhere; results are never mixed."""
    x, wrong, done = images(), [], []
    y, again = record(run, x)

    def work(factor):
        mine = images()
        expected = run(mine)
        for _ in range(100):
            result = again(mine)
            if result is not None:
                done.append(factor)
                if not np.array_equal(result, expected):
                    wrong.append(factor)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done and not wrong


def test_the_naive_backend_has_nothing_to_gain():
    naive = kernels.load("naive")
    y, again = naive.record(naive.relu_forward, np.array([-1.0, 2.0]), 1 << 30)
    assert again is None and list(y) == [0, 2]
