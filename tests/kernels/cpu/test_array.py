"""The pool hands a buffer out again only when nobody refers to it, and a steady training step takes nothing new."""
import gc
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from numba import config

from fastnet.kernels.cpu import runtime
from fastnet.kernels.cpu.runtime import array
from fastnet.kernels.cpu.runtime import pool as pools

SIZE = pools._SMALL  # float32 numbers: four times what is too small for the pool


@pytest.fixture
def pool(monkeypatch):
    """A pool of its own for one test."""
    pool = pools.Pool()
    monkeypatch.setattr(pools, "shared_pool", pool)
    return pool


def address(x):
    return x.__array_interface__["data"][0]


@pytest.mark.parametrize("keep", [
    lambda x: x, lambda x: x[3:7], lambda x: x.T, lambda x: x.reshape(8, -1)[2:, ::3].T[1], np.asarray, memoryview,
    lambda x: x.view(np.int32), lambda x: [x[:1]], lambda x: np.lib.stride_tricks.as_strided(x, (4,), (8,)),
    lambda x: np.frombuffer(x, np.uint8), lambda x: x.flat, lambda x: np.broadcast_to(x, (2, *x.shape)),
    lambda x: x.data.cast("B")[5:9], lambda x: x.astype(np.float32, copy=False).squeeze(), lambda x: x.base,
], ids=lambda keep: str(keep.__code__.co_firstlineno) if hasattr(keep, "__code__") else keep.__name__)
def test_a_buffer_lives_as_long_as_any_view(pool, keep):
    first = array.empty((64, SIZE // 64))
    first[...] = 1
    place = address(first)
    kept = keep(first)
    del first
    second = array.empty((64, SIZE // 64))
    second[...] = 2
    assert address(second) != place
    del kept
    third = array.empty((64, SIZE // 64))
    assert address(third) == place
    np.testing.assert_array_equal(second, 2)


@pytest.mark.parametrize("copy", [np.copy, lambda x: x + 1, lambda x: x.astype(np.float64), lambda x: x[[0, 1]],
                                  lambda x: x.tobytes(), lambda x: x.sum(axis=0)])
def test_copies_do_not_hold_the_buffer(pool, copy):
    first = array.empty((64, SIZE // 64))
    first[...] = 1
    place, copied = address(first), copy(first)
    del first
    second = array.empty((64, SIZE // 64))
    second[...] = 2
    assert address(second) == place and address(np.asarray(copied)) != place


def test_an_array_in_a_cycle_is_given_back_by_the_collector(pool):
    first = array.empty(SIZE)
    place = address(first)
    cycle = [first]
    cycle.append(cycle)
    del first, cycle
    gc.collect()
    assert address(array.empty(SIZE)) == place


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
@pytest.mark.parametrize("shape", [(0, 3), (1,), (7, 9), 5000, np.int64(70_001), (3, 333, 77), (1 << 20,)])
def test_shape_dtype_and_alignment(pool, shape, dtype):
    x = array.empty(shape, dtype)
    assert x.shape == (shape if isinstance(shape, tuple) else (shape,)) and x.dtype == dtype
    assert x.flags.c_contiguous and x.flags.writeable and x.flags.aligned
    if x.nbytes >= pools._SMALL:
        assert address(x) % 64 == 0
    x[...] = 3


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_slots_do_not_share_a_line_of_the_cache(dtype):
    for size in (1, 3, 16, 17, 33):
        room = runtime.whole_lines(size, dtype)
        assert size <= room < size + 128 // np.dtype(dtype).itemsize and room * np.dtype(dtype).itemsize % 128 == 0


def test_images_are_channels_last(pool):
    x = array.empty_images(4, 16, 30, 20, np.float64)
    assert x.shape == (4, 16, 30, 20) and x.dtype == np.float64 and x.transpose(0, 2, 3, 1).flags.c_contiguous


def test_a_buffer_serves_smaller_arrays_but_not_much_smaller_ones(pool):
    first = array.empty(5 * SIZE)
    place = address(first)
    del first
    small = array.empty(2 * SIZE - 16)
    assert address(small) != place
    half = array.empty(2 * SIZE)
    assert address(half) == place and half.nbytes == 8 * SIZE
    larger = array.empty(5 * SIZE)
    assert not any(np.may_share_memory(larger, other) for other in (small, half))


def test_the_smallest_buffer_that_fits_is_taken(pool):
    arrays = [array.empty(SIZE + 1000 * i) for i in (3, 1, 2)]
    places = [address(x) for x in arrays]
    del arrays
    assert address(array.empty(SIZE + 1500)) == places[2]


def test_of_equal_buffers_the_last_that_came_back_goes_first(pool):
    """Its memory is still in the caches; taken in turn, all of them would be fetched from memory again and again."""
    first, second = array.empty(SIZE), array.empty(SIZE)
    place = address(first)
    del second, first
    for _ in range(3):
        assert address(array.empty(SIZE)) == place


def test_small_arrays_are_no_business_of_the_pool(pool, monkeypatch):
    monkeypatch.setattr(pool, "take", None)
    array.empty(pools._SMALL // 4 - 1)
    with pytest.raises(TypeError):
        array.empty(pools._SMALL // 4)


def test_free_memory_has_a_limit_and_can_be_returned(pool, monkeypatch):
    monkeypatch.setattr(pools, "_KEPT", 40 * SIZE)
    arrays = [array.empty(SIZE + 16 * i) for i in range(20)]
    del arrays
    assert 30 * SIZE < pool._free_bytes <= 40 * SIZE
    assert pool._free_bytes == sum(buffer.capacity for buffer in pool._free)
    kept = array.empty(SIZE + 16 * 19)
    runtime.empty_cache()
    assert pool._free_bytes == 0 and pool._free == []
    kept[...] = 1
    del kept
    assert len(pool._free) == 1


def test_leases_that_end_while_the_pool_is_busy_are_collected_later(pool):
    """The garbage collector may run inside of `take`, in the very thread that holds the lock."""
    first = array.empty(SIZE)
    place = address(first)
    with pool._lock:
        del first
    assert address(array.empty(SIZE)) == place


def test_many_threads(pool):
    """Every thread fills arrays of sizes that fit each other's buffers and finds its own numbers again later."""
    wrong = []

    def work(number):
        rng, held = np.random.default_rng(number), []
        for step in range(300):
            x = array.empty(int(rng.integers(SIZE // 4, SIZE)))
            mark = number * 1000 + step
            x[...] = mark
            held.append((mark, x[::7]))
            if len(held) > 5:
                mark, view = held.pop(int(rng.integers(len(held))))
                if not (view == mark).all():
                    wrong.append(mark)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    # Seven arrays live at once in each thread; sizes differ by up to four, and a buffer serves down to half its own.
    assert len(pool._free) + len(pool._returned) <= 3 * 8 * 7


def test_scratch_memory_is_kept_by_each_thread():
    first, other = array.scratch(5000, np.float32, 0), array.scratch(5000, np.float32, 0, which=1)
    assert first.size == 5000 and not np.shares_memory(first, other)
    assert address(array.scratch(3000, np.float32, 0)) == address(first) and address(first) % 64 == 0
    assert not np.shares_memory(array.scratch(5000, np.int64, 0), first)
    found = []
    thread = threading.Thread(target=lambda: found.append(array.scratch(5000, np.float32, 0)))
    thread.start()
    thread.join()
    assert not np.shares_memory(found[0], first)
    runtime.empty_cache()
    assert array._here.scratch == {}


def test_python_ends_quietly():
    """Whatever is still lent then, and in whatever order modules and arrays go."""
    program = ("from fastnet.kernels.cpu.runtime import array\n"
               "import builtins; builtins.kept = array.empty(1 << 20); kept = array.scratch(1 << 20, 'f4', 0)")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert result.stderr == ""


def layouts(x):
    yield "contiguous", x, True
    yield "fortran", np.asfortranarray(x), x.ndim == 1 or x.size == 1
    yield "sliced", np.repeat(x, 2, axis=-1)[..., ::2], x.size == 1
    yield "reversed", np.flip(np.flip(x).copy()), x.size == 1
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen, False
    yield "big-endian", x.astype(x.dtype.newbyteorder(">")), False
    yield "unaligned", np.frombuffer(bytearray(b"." + x.tobytes()), x.dtype, offset=1).reshape(x.shape), False
    yield "broadcast", np.broadcast_to(x[:1], x.shape), False


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (2, 3, 4, 5), (1, 1, 1, 1), (3, 1, 4, 1)])
def test_flat(shape):
    """`flat` is the array in memory order, images channels-last, copied only where a kernel could not take it."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    if x.ndim == 4:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    inner = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    for name, view, shares in layouts(inner):
        view = view.transpose(0, 3, 1, 2) if x.ndim == 4 else view
        y = array.flat(view)
        np.testing.assert_array_equal(y, (view.transpose(0, 2, 3, 1) if x.ndim == 4 else view).ravel(), err_msg=name)
        assert y.ndim == 1 and y.dtype == np.float32 and y.dtype.isnative, name
        assert y.flags.c_contiguous and y.flags.aligned and y.flags.writeable, name
        assert np.shares_memory(y, view) == shares, name


def test_like_matches_flat():
    for shape in ((5,), (2, 3, 4, 5)):
        x = array.like(np.zeros(shape, np.float64))
        assert x.shape == shape and x.dtype == np.float64 and np.shares_memory(array.flat(x), x)


STEPS = """
import json, resource
import numpy as np
from fastnet import Adam, CrossEntropyLoss, models
net, loss = models.small_convnet(), CrossEntropyLoss()
optimizer = Adam(net.parameters(), lr=1e-3)
rng = np.random.default_rng(0)
x, labels = rng.standard_normal((32, 3, 32, 32), np.float32), rng.integers(0, 10, 32)
faults = []
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    _, dlogits = loss(net.forward(x, training=True), labels)
    net.backward(dlogits, need_dx=False)
    optimizer.step()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(json.dumps(faults))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="page faults are counted on POSIX systems only")
@pytest.mark.skipif(config.DISABLE_JIT, reason="takes minutes")
def test_a_steady_training_step_takes_no_new_memory():
    """Page faults a step, each 4 KB that the system had to find, where every megabyte not from the pool is a new one:
    malloc is told to keep none of that size. Without the pool there are thousands."""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
    done = subprocess.run([sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    faults = json.loads(done.stdout)
    assert sorted(faults[3:])[3] < 100, faults
