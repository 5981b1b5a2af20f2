"""What stands between Python functions and LLVM's code: `frontend`."""
import numpy as np
import pytest
from numba import config, types
from numba.extending import overload

from fastnet.kernels.cpu.runtime import frontend, jit, launch, literal, made_for

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")


@pytest.fixture(autouse=True)
def nothing_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))


def _chain(a, b, c):
    raise NotImplementedError("compiled functions call what is compiled for them")


@overload(_chain)
def _compiled_chain(a, b, c):
    return lambda a, b, c: a * b + c


def _kernel(name, mark):
    def chain(block, slot, y, a, b, c):
        y[block] = _chain(a[block], b[block], c[block])

    return mark(made_for(name)(chain))


def _ran(kernel):
    a = np.float32([1 + 2**-12, 3])
    y = np.empty_like(a)
    launch(kernel, 2, y, a, a, -a * a, work=1)      # NumPy rounds a * a
    return y


def test_what_is_called_is_compiled_as_the_caller_is():
    """With a product and a sum rounded one by one, or at once where the processor can, in whichever order they are
    asked for: the meaning of a call that is kept for one of them is not the other's."""
    first = [_ran(_kernel(f"{mark.__name__}_first", mark)) for mark in (jit, literal)]
    then = [_ran(_kernel(f"{mark.__name__}_then", mark)) for mark in (literal, jit)]
    np.testing.assert_array_equal(first, then[::-1])
    np.testing.assert_array_equal(first[1], 0)
    assert first[0][0] in (0, np.float32(2.0**-24))


def test_numba_is_asked_once(monkeypatch):
    asked, find = [], frontend._find

    def counted(function, context, args, keywords):
        asked.append((function, args))
        return find(function, context, args, keywords)

    monkeypatch.setattr(frontend, "_known", {})
    monkeypatch.setattr(frontend, "_latest", (object(), {}))

    def sums(block, slot, x):
        x[block] = x[block] + 1 + block + 2
        x[block] = x[block] + 3 + block + 4

    x = np.zeros(3, np.int64)
    monkeypatch.setattr(types.Function, "get_call_type", find)      # which is put back, since `frontend` leaves _find
    monkeypatch.setattr(frontend, "_find", counted)
    launch(jit(made_for("once")(sums)), 3, x, work=1)
    np.testing.assert_array_equal(x, [10, 12, 14])
    assert 0 < len(asked) == len(set(asked)), "something was asked twice"


def test_no_kernel_is_a_generator():
    def numbers(block, slot, x):
        yield x[block]

    with pytest.raises(TypeError, match="numbers.* is a generator, which no kernel can be"):
        launch(jit(made_for("generator")(numbers)), 1, np.zeros(1), work=1)
    assert types.Function.get_call_type is frontend._find, "Numba is left as it was"


def test_paths_that_meet_and_loops_that_go_on():
    """Variables with several assignments, a loop that is come back to from two places, and one that is left early."""
    def meet(block, slot, x, y):
        total, last = 0, -1
        for i in range(x.size):
            if x[i] < 0:
                continue
            if x[i] == 9:
                last = i
                break
            step = 1 if x[i] % 2 else 10
            total += step
        y[block] = total * 100 + last

    kernel, y = jit(made_for("meeting")(meet)), np.zeros(1, np.int64)
    for x in ([1, 2, -3, 4, 5], [2, -1, 9, 1], [-1], [9]):
        x = np.array(x)
        launch(kernel, 1, x, y, work=1)
        assert y[0] == meet_in_python(x)


def meet_in_python(x):
    before = list(x[:list(x).index(9)]) if 9 in x else list(x)
    total = sum(1 if one % 2 else 10 for one in before if one >= 0)
    return total * 100 + (list(x).index(9) if 9 in x else -1)
