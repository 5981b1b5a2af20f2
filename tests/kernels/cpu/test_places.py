"""Many arrays looked at by one call."""
import numpy as np
import pytest
from numba import config

from fastnet.kernels import load
from fastnet.kernels.cpu.runtime import address, places

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="there is no machine code to look with")


def arrays(*shapes, dtype=np.float32):
    return [np.zeros(shape, dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_addresses(dtype):
    shapes = (3, 5), (7,), (), (2, 0, 4), (1, 2, 3, 4, 5)
    columns = [arrays(*shapes, dtype=dtype) for _ in range(3)]
    assert places(columns).tolist() == [[address(one) for one in column] for column in columns]


def test_views_lie_where_they_begin():
    whole = np.zeros((4, 6), np.float32)
    assert places([[whole[2:]], [whole[:2]]]).tolist() == [[address(whole) + 48], [address(whole)]]


def unusual():
    shut = np.zeros((3, 5), np.float32)
    shut.flags.writeable = False
    return {
        "shape": np.zeros((5, 3), np.float32), "axes": np.zeros(15, np.float32), "dtype": np.zeros((3, 5)),
        "order": np.zeros((5, 3), np.float32).T, "strides": np.zeros((3, 10), np.float32)[:, ::2],
        "swapped": np.zeros((3, 5), ">f4"), "integers": np.zeros((3, 5), np.int32), "shut": shut,
        "class": np.zeros((3, 5), np.float32).view(np.matrix), "none": None, "number": 1.5, "list": [[1.0]],
        "aligned": np.zeros(61, np.uint8)[1:].view(np.float32).reshape(3, 5),
    }


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("name", unusual())
def test_what_needs_a_closer_look(name, column):
    columns = [arrays((2, 2), (3, 5), (4,)) for _ in range(3)]
    columns[column][1] = unusual()[name]
    found = places(columns)
    assert (found is None) == (name != "shut" or column != 1)   # gradients are read alone


@pytest.mark.parametrize("backend", ["naive", "cpu"])
def test_an_empty_array_beside_one_of_two_blocks(backend):
    """One block too few and one too many: as many blocks as arrays, and yet not one each."""
    rng = np.random.default_rng(0)
    values = [np.zeros(0, np.float32), rng.standard_normal(20_000, dtype=np.float32)]
    grads = [np.zeros(0, np.float32), rng.standard_normal(20_000, dtype=np.float32)]
    expected = values[1] - np.float32(0.5) * grads[1]
    load(backend).sgd_update(values, grads, None, 0.5)
    np.testing.assert_allclose(values[1], expected, rtol=1e-6)
