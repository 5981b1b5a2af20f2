"""Launching: which threads run, and what happens with several Python threads and after a fork."""
import contextlib
import gc
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba import config
from numba.core.codegen import JITCodeLibrary

from fastnet.kernels.cpu.runtime import (
    SERIAL_WORK,
    Launch,
    call,
    function_address,
    in_line,
    inlined,
    jit,
    launch,
    literal,
    machine_code,
    made_for,
)
from fastnet.kernels.cpu.runtime.atomic import count, look
from fastnet.kernels.cpu.runtime.launches import slots

PARALLEL = SERIAL_WORK + 1


@jit
def mark(block, slot, seen, visits):
    """Leave the slot and count the visit of each block."""
    seen[block] = slot
    visits[block] += 1


def launched(blocks, work):
    """The slot that each block ran in; every block ran once."""
    seen, visits = np.full(blocks, -1), np.zeros(blocks, np.int64)
    launch(mark, blocks, seen, visits, work=work)
    assert (visits == 1).all()
    return seen


@pytest.mark.parametrize("blocks", [0, 1, 2, 3, 7, 100])
def test_every_block_runs_once(blocks):
    assert set(launched(blocks, work=1)) <= {0}
    threads = 1 if config.DISABLE_JIT else numba.get_num_threads()
    assert set(launched(blocks, PARALLEL)) <= set(range(min(threads, blocks)))


def test_little_work_stays_in_one_thread():
    assert set(launched(100, SERIAL_WORK)) == {0}
    assert slots(SERIAL_WORK) == 1
    assert slots(PARALLEL) == (1 if config.DISABLE_JIT else numba.get_num_threads())


@jit
def wait(block, slot, done, late, blocks):
    """The first block takes until all others are done, or is late after some seconds."""
    looks = 0
    while block == 0 and look(done, 0) < blocks - 1 and looks < 5 * 10**9:
        looks += 1
    if block == 0 and look(done, 0) < blocks - 1:
        late[0] = 1
    count(done, 0)


@pytest.mark.skipif(config.DISABLE_JIT or numba.get_num_threads() < 2, reason="one thread does all")
def test_what_a_thread_does_not_get_to_is_done_by_others():
    done, late = np.zeros(1, np.int64), np.zeros(1, np.int64)
    launch(wait, 50, done, late, 50, work=PARALLEL)
    assert done[0] == 50 and not late[0]


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_two_threads_compile_a_kernel_once():
    """A thread that comes second finds what the first one compiled, whether it runs it alone or in parallel."""
    body, out = jit(_fill), np.zeros(64, np.int64)
    threads = [threading.Thread(target=launch, args=(body, 64, out), kwargs={"work": work}) for work in (0, PARALLEL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(body.overloads) == 1
    np.testing.assert_array_equal(out, np.arange(64))


def _fill(block, slot, out):
    out[block] = block


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_kernels_have_no_entrance_from_python_until_it_is_asked_for():
    """Also where it was compiled as a kernel before."""
    body, out = jit(_fill), np.zeros(4, np.int64)
    launch(body, 4, out, work=1)
    (result,) = body.overloads.values()
    assert result.library.get_pointer_to_function(result.fndesc.llvm_cpython_wrapper_name) == 0
    body(2, 0, out[::-1])
    np.testing.assert_array_equal(out, [0, 2, 2, 3])
    assert len(body.overloads) == 1


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("first", [0, 1])
def test_a_function_is_machine_code_by_itself_only_where_somebody_calls_it_by_its_address(
        first, tmp_path, monkeypatch):
    """Whichever comes first, the function and the one whose code it is part of give the same."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))  # what is kept there is machine code already
    inner, out = jit(_fill), np.zeros((2, 4), np.int64)

    @inlined
    def outer(block, slot, out):
        inner(block, slot, out)
        out[block] *= 2

    def is_made(body):
        (result,) = body.overloads.values()
        return result.library.made

    bodies = [inner, outer]
    launch(bodies[first], 4, out[first], work=1)
    if first:
        assert is_made(outer) and not is_made(inner)
    launch(bodies[1 - first], 4, out[1 - first], work=1)
    assert is_made(outer) and is_made(inner)
    np.testing.assert_array_equal(out, [[0, 1, 2, 3], [0, 2, 4, 6]])


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("wanted", [True, False])
def test_the_collector_goes_on_after_compiling_where_it_did_before(wanted):
    before = gc.isenabled()
    try:
        (gc.enable if wanted else gc.disable)()
        launch(jit(_fill), 4, np.zeros(4, np.int64), work=1)
        assert gc.isenabled() == wanted
        with pytest.raises(numba.TypingError):
            launch(jit(_nonsense), 4, np.zeros(4, np.int64), work=1)
        assert gc.isenabled() == wanted
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("place", [contextlib.nullcontext, in_line])
@pytest.mark.parametrize("owner, when", [(machine_code, "make"), (JITCodeLibrary, "_finalize_final_module"),
                                         (JITCodeLibrary, "_finalize_specific")])
def test_what_was_interrupted_is_compiled_again(owner, when, place, tmp_path, monkeypatch):
    """Ctrl-C while machine code is made must leave no half of a kernel behind, which would be called."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    body, out = jit(made_for(when, place.__name__)(_fill_anew())), np.zeros(4, np.int64)

    def interrupt(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, when, interrupt)
        with pytest.raises(KeyboardInterrupt), place():
            launch(body, 4, out, work=1)
    assert not out.any()
    for _ in range(2):
        launch(body, 4, out, work=1)
    np.testing.assert_array_equal(out, np.arange(4))


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_a_kernel_that_knows_an_address_of_this_process_is_not_kept(tmp_path, monkeypatch):
    """As of a large array that it reads without being given it."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    out = np.zeros(4, np.int64)
    launch(jit(_read_large), 4, out, work=1)
    np.testing.assert_array_equal(out, LARGE[:4])
    assert not [path for path in tmp_path.rglob("*.bin") if "_read_large" in path.name]
    launch(jit(_fill), 4, out, work=1)
    assert [path for path in tmp_path.rglob("*.bin") if "_fill" in path.name]


LARGE = np.arange(200_000) * 3


def _read_large(block, slot, out):
    out[block] = LARGE[block]


def _fill_anew():
    def fill(block, slot, out):
        out[block] = block

    return fill


def _nonsense(block, slot, out):
    out[block] = "nonsense" + block


@jit
def double(block, slot, x, y):
    y[block] = 2 * x[block]


@pytest.mark.skipif(config.DISABLE_JIT, reason="plain Python follows any strides")
@pytest.mark.parametrize("work", [1, PARALLEL])
def test_strided_arrays_are_refused(work):
    """Also after the kernel was compiled for contiguous ones, whose code would misread them."""
    x, y = np.arange(8.0), np.zeros(4)
    launch(double, 4, x, y, work=work)
    np.testing.assert_array_equal(y, 2 * x[:4])
    for strided in (x[::2], np.zeros((4, 2))[:, 0]):
        with pytest.raises(numba.TypingError, match="kernels take C-contiguous arrays only"):
            launch(double, 4, strided, y, work=work)
    x.flags.writeable = False
    launch(double, 4, x[4:], y, work=work)
    np.testing.assert_array_equal(y, 2 * x[4:])


class Inner(NamedTuple):
    factor: float
    wanted: bool


class Outer(NamedTuple):
    x: np.ndarray
    inner: Inner
    shift: int


@jit
def unpack(block, slot, y, given, last):
    y[block] = given.x[block] * given.inner.factor + given.shift + last if given.inner.wanted else -1


@pytest.mark.parametrize("work", [1, PARALLEL])
def test_named_tuples_are_arguments(work):
    for dtype in ("float32", "float64"):
        x, y = np.arange(8, dtype=dtype), np.zeros(8, dtype)
        launch(unpack, 8, y, Outer(x, Inner(0.5, True), 3), 100, work=work)
        np.testing.assert_array_equal(y, x / 2 + 103)
        launch(unpack, 8, y, Outer(x, Inner(0.5, False), 3), 100, work=work)
        assert (y == -1).all()


@jit
def negate(start, stop, x, factor):
    for i in range(start, stop):
        x[i] = x[i] * -factor


@jit
def hand_on(block, slot, function, x):
    call(function, (2 * block, 2 * block + 2, x, 3.0))


def test_functions_are_called_by_their_address():
    x = np.arange(8.0)
    launch(hand_on, 3, function_address(negate, (x, 3.0)), x, work=1)
    np.testing.assert_array_equal(x, [0, -3, -6, -9, -12, -15, 6, 7])


def run(script, layer="omp", threads=4):
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": str(threads)}
    environment.pop("NUMBA_DISABLE_JIT", None)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


THREADS = """
import json, sys, threading
import numba, numpy as np
from fastnet import models, manual_seed
from fastnet.kernels.cpu.runtime import jit, launch
from fastnet.kernels.cpu.runtime.launches import slots

@jit
def mark(block, slot, seen):
    seen[block] = slot

manual_seed(0)
net = models.lenet5()
x = np.random.default_rng(0).standard_normal((8, 3, 32, 32), np.float32)
expected = net(x)
wrong, used = [], {}

def work(number):
    mine = 1 + number % 4
    numba.set_num_threads(mine)
    for _ in range(10):
        if not np.array_equal(net(x), expected):
            wrong.append(number)
        seen = np.full(64, -1)
        launch(mark, 64, seen, work=1_000_000)
        if not set(seen.tolist()) <= set(range(mine)) or slots(1_000_000) != mine:
            wrong.append(number)

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([wrong, numba.threading_layer(), numba.get_num_threads(), slots(1_000_000)]))
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_python_threads_share_a_net_and_have_thread_counts_of_their_own(layer):
    assert run(THREADS, layer) == [[], layer, 4, 4]


FORK = """
import json, os, sys, threading
import numba, numpy as np
from fastnet.kernels import load
from fastnet.kernels.cpu.runtime import pool
ops = load("cpu")
small, large = np.ones((2, 3), np.float32), np.ones((16, 64, 64), np.float32)

def outcome(function):
    try:
        return function().sum().item()
    except RuntimeError as error:
        return str(error)

def in_child(work):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    return json.loads(text) if text else "killed by signal %d" % os.waitpid(child, 0)[1]

def child():
    found = [outcome(lambda: ops.activation_forward(x, 'relu')) for x in (small, large)]
    found.append(in_child(lambda: outcome(lambda: ops.activation_forward(large, 'relu'))))
    numba.set_num_threads(1)
    return found + [outcome(lambda: ops.activation_forward(large, 'relu'))]

if sys.argv[1:] == ["counted"]:
    numba.get_num_threads()            # starts Numba's threads, though no kernel of ours has run
elif sys.argv[1:] == ["held"]:
    ops.activation_forward(large, 'relu')
    pool.shared_pool._lock.acquire()        # as a thread that prepares batches may hold it at the wrong moment
else:
    ops.activation_forward(large, 'relu')
print(json.dumps(in_child(child)))
"""
REFUSED = ("this process was forked from one that had already run parallel kernels (threading layer 'omp'), which its "
           "threads do not survive: start workers with multiprocessing's 'spawn' method, use threads, or call "
           "numba.set_num_threads(1) in the worker")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU OpenMP is what does not survive a fork")
@pytest.mark.parametrize("before", ["ran", "counted", "held"])
def test_a_forked_child_is_told_what_it_may_do(before):
    """Small work runs, parallel work is refused in it and in its own children; one thread may always work."""
    script = f"import sys; sys.argv[1:] = [{before!r}]\n" + FORK
    assert run(script) == [6, REFUSED, REFUSED, 65536]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_may_work_with_workqueue():
    assert run(FORK, "workqueue") == [6, 65536, 65536, 65536]


def test_a_launch_that_is_kept_runs_like_launch():
    kept = Launch(_mark, 5, work=10**6)
    for _ in range(3):
        marks = np.zeros(5)
        kept(marks, 2.0)
        np.testing.assert_array_equal(marks, [0, 2, 4, 6, 8])


@jit
def _mark(block, slot, marks, factor):
    marks[block] = factor * block


def test_the_kernel_of_the_documentation():
    path = Path(__file__).parents[3] / "docs" / "runtime.md"
    block, = re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names = {"__name__": "documentation"}
    exec(compile(block, str(path), "exec"), names)
    x = np.arange(2 * 3 * 70 * 80, dtype=np.float32).reshape(2, 70, 80, 3)
    np.testing.assert_array_equal(names["double"](x), 2 * x)


@pytest.mark.parametrize("compiled", [jit, literal])
def test_functions_that_differ_in_what_they_are_made_for_differ_in_name(compiled):
    """Machine code finds a function by its name: of two, kept on disk by two processes, a third would call one."""
    def make(number, mark):
        @mark
        def plus(x):
            return x + number

        return plus

    with pytest.raises(TypeError, match=r"make\.<locals>\.plus reads names of the function around it.*`made_for`"):
        make(3, compiled)
    one, other = (make(number, lambda function, number=number: compiled(made_for(number, "x")(function)))
                  for number in (3, 30))
    assert (one.__qualname__, other.__qualname__) == ("plus_3_x", "plus_30_x")
    assert (one(4), other(4)) == (7, 34)
    assert make(5, inlined)(4) == 9     # which nobody finds by its name
