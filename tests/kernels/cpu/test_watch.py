"""Watchers: every change of every kind of array is seen, and nothing else."""
import numpy as np
import pytest

from fastnet.kernels import cpu


def words(count, dtype):
    return np.random.default_rng(0).standard_normal(count).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 15, 16, 17, 31, 100, 20_001])
def test_any_element_counts(count, dtype):
    array = words(count, dtype)
    watcher = cpu.watcher()
    watcher.add([words(5, dtype), array, words(count, dtype)])
    assert not watcher.changed()
    for place in {0, count // 2, count - 1}:
        old = array[place].copy()
        for value in (old + 1, -old - 1, np.nextafter(old, 9) if dtype != "int8" else old ^ 1):
            array[place] = value
            assert watcher.changed()
            array[place] = old
            assert not watcher.changed()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("change", [
    np.negative, np.flip, np.sort, lambda a: np.roll(a, 16), lambda a: 2 * a, np.zeros_like, lambda a: a * (1 + 2**-20),
    lambda a: np.where(np.arange(a.size) % 32 == 0, -a, a), lambda a: np.concatenate([a[32:64], a[:32], a[64:]])])
def test_changes_of_many_elements_do_not_cancel(change, dtype):
    array = words(4096, dtype)
    watcher = cpu.watcher()
    watcher.add([array])
    array[:] = change(array)
    assert watcher.changed()


def test_layouts_and_growth():
    base = words(600, "float32").reshape(10, 60)
    arrays = [base.T.copy().T, base[:, ::2], base[3:5], np.zeros((0, 3)), np.zeros(()), np.zeros(2, ">f4")]
    watcher = cpu.watcher()
    assert not watcher.changed()
    for array in arrays:
        watcher.add([array])
        assert not watcher.changed()
    for array in arrays:
        if array.size:
            old = array.copy()
            array[(-1,) * array.ndim] = 5
            assert watcher.changed()
            array[...] = old
            assert not watcher.changed()


def test_numbers_that_compare_equal():
    array = np.array([0.0, np.nan, 1.0])
    watcher = cpu.watcher()
    watcher.add([array])
    assert not watcher.changed()    # NaN is itself
    array[0] = -0.0
    assert watcher.changed()        # 1 / x tells them apart
