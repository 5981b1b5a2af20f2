"""A parameter: what it takes, what it keeps, what it refuses."""
import numpy as np
import pytest

from fastnet import Parameter


@pytest.mark.parametrize("given, dtype", [
    ([1, 2, 3], np.float32), (np.arange(3), np.float32), (np.arange(3.0), np.float64),
    (np.arange(3, dtype=">f4"), np.float32), (np.arange(3, dtype=np.float16), np.float32), (2.0, np.float64),
])
def test_what_is_given_is_copied(given, dtype):
    parameter = Parameter(given)
    assert parameter.value.dtype == dtype and parameter.value.flags.carray
    assert not np.shares_memory(parameter.value, given)
    np.testing.assert_array_equal(parameter.value, given)


def test_what_is_assigned_becomes_what_can_be_trained():
    parameter = Parameter(np.zeros((2, 3), np.float32))
    kept = np.ones((2, 3), np.float32)
    parameter.value = kept
    assert parameter.value is kept
    locked = kept.copy()
    locked.flags.writeable = False
    for other in (locked, np.asfortranarray(kept), np.ones((2, 6), np.float32)[:, ::2], kept.astype(">f4"),
                  np.ones((2, 3), int), np.ones((2, 3), bool), np.ones((2, 3), np.float16), np.ones((2, 3))):
        parameter.value = other
        assert parameter.value.dtype == np.float32 and parameter.value.dtype.isnative and parameter.value.flags.carray
        assert not np.shares_memory(parameter.value, other)
        np.testing.assert_array_equal(parameter.value, kept)


def test_the_dtype_is_changed_by_astype_alone():
    parameter = Parameter(np.ones(3, np.float32))
    before = parameter.value
    parameter.astype("float32")
    assert parameter.value is before
    parameter.astype(np.float64)
    assert parameter.value.dtype == np.float64 and not np.shares_memory(parameter.value, before)
    parameter.value = before
    assert parameter.value.dtype == np.float64
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got int64"):
        parameter.astype(int)


@pytest.mark.parametrize("value", [None, "x", [1.0], np.ones(3, complex), np.array(["a"]), np.ma.ones(3), Parameter])
def test_a_refused_assignment_changes_nothing(value):
    parameter = Parameter(np.ones(3))
    before, parameter.grad = parameter.value, np.zeros(3)
    with pytest.raises(TypeError, match="^Parameter: value (must|is)"):
        parameter.value = value
    with pytest.raises(TypeError, match="^Parameter: requires_grad must be True or False"):
        parameter.requires_grad = value
    assert parameter.value is before and parameter.requires_grad and parameter.grad is not None


def test_numpy_sees_the_numbers():
    parameter = Parameter([1.0, 2.0])
    assert np.asarray(parameter) is parameter.value and np.asarray(parameter, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(parameter), parameter.value)
    np.testing.assert_array_equal(np.add(parameter, 1), [2, 3])
