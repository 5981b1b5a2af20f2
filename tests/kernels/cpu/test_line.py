"""Launches that wait in line while another thread makes their machine code."""
import json
import os
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
from numba import config

import fastnet
from fastnet.kernels import cpu
from fastnet.kernels.cpu.runtime import empty, flat, in_line, in_turn, jit, launch, launches, machine_code, made_for

ROOT = Path(fastnet.__file__).parents[1]
pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")


@pytest.fixture
def held(tmp_path, monkeypatch):
    """An event until which nobody makes machine code, and a cache that is empty; kernels are compiled beforehand that
    any test launches with."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    launch(_new("before"), 4, np.zeros(4), 1.0, work=1)
    event, make = threading.Event(), machine_code.make

    def wait(*given):
        assert event.wait(60)
        return make(*given)

    monkeypatch.setattr(machine_code, "make", wait)
    yield event
    event.set()


def _new(name):
    """A kernel that nobody has compiled: x = x * 2 + shift."""
    def double(block, slot, x, shift):
        x[block] = x[block] * 2 + shift

    return jit(made_for(name)(double))


def test_launches_wait_for_their_code_and_run_in_order(held):
    x, told = np.ones(4), []
    with in_line():
        launch(_new("first"), 4, x, 1.0, work=1)
        in_turn(lambda: told.append(x.copy()))
        launch(_new("second"), 4, x, 10.0, work=1)
        assert (x == 1).all() and not told
        held.set()
    np.testing.assert_array_equal(x, 16)
    np.testing.assert_array_equal(told, [[3] * 4])


def test_what_is_compiled_waits_behind_what_is_not(held):
    x, ready = np.ones(4), _new("before")
    launch(ready, 4, x, 0.0, work=1)
    with in_line():
        launch(ready, 4, x, 0.0, work=1)    # at once: nothing is before it
        np.testing.assert_array_equal(x, 4)
        launch(_new("late"), 4, x, 1.0, work=1)
        launch(ready, 4, x, 0.0, work=1)
        np.testing.assert_array_equal(x, 4)
        held.set()
    np.testing.assert_array_equal(x, 18)


def test_numpy_copies_what_has_run(held):
    """An array that kernels cannot read as it lies is copied by NumPy: so what waits has to run before."""
    x = np.ones(8)
    with in_line():
        launch(_new("copied"), 8, x, 1.0, work=1)
        held.set()
        np.testing.assert_array_equal(flat(x[::2]), 3)


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_that_are_computed_are_packed_when_they_are(dtype):
    """NumPy brings them into the order of their axes, and into the dtype of x."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).transpose(0, 3, 1, 2) for shape in ((1, 9, 9, 5), (11, 3, 3, 5)))
    x = x.astype(dtype)
    expected = cpu.conv2d_forward(x, cpu.add(w, w))
    with in_line():
        y = cpu.conv2d_forward(x, cpu.add(w, w))
    np.testing.assert_array_equal(y, expected)


def test_an_error_ends_the_line(held):
    """What waits is forgotten, and launches are what they were."""
    x, body = np.ones(4), _new("forgotten")
    with pytest.raises(ZeroDivisionError), in_line():
        launch(body, 4, x, 1.0, work=1)
        1 / 0  # noqa: B018
    held.set()
    assert (x == 1).all()
    launch(body, 4, x, 1.0, work=1)
    assert (x == 3).all()


def test_an_error_of_the_compiler_comes_out(monkeypatch, tmp_path):
    """At the end of the line, and the kernel is compiled again the next time."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    x, body = np.ones(4), _new("broken")

    def fail(*given):
        raise RuntimeError("no machine code today")

    with monkeypatch.context() as patch:
        patch.setattr(machine_code, "make", fail)
        with pytest.raises(RuntimeError, match="no machine code today"), in_line():
            launch(body, 4, x, 1.0, work=1)
    assert (x == 1).all()
    launch(body, 4, x, 1.0, work=1)
    assert (x == 3).all()


@pytest.fixture
def one_thread(monkeypatch):
    """(an event, a list): one thread makes machine code, of numbers here, and waits for the event first; the list has
    (number, by which thread) of all that is made."""
    event, made = threading.Event(), []

    def make(_, number):
        if threading.current_thread().name.startswith("only"):
            assert event.wait(60)
        made.append((number, threading.current_thread().name.partition("_")[0]))
        if number < 0:
            raise KeyboardInterrupt if number == -2 else RuntimeError("no machine code today")
        return number

    monkeypatch.setattr(machine_code, "make", make)
    with futures.ThreadPoolExecutor(1, "only") as pool:
        monkeypatch.setattr(machine_code, "_pool", pool)
        yield event, made
        event.set()


def _begun(numbers):
    """A Making for each, the first of which the only thread has taken."""
    makings = [machine_code.Making(None, number) for number in numbers]
    while not makings[0]._made.running():
        pass
    return makings


def test_who_waits_makes_what_nobody_has_begun(one_thread):
    event, made = one_thread
    first, second, third = _begun(range(3))
    second.wait()
    assert [number for number, _ in made] == [2, 1] and second.ready() and third.ready() and not first.ready()
    threading.Timer(0.05, event.set).start()
    first.wait()
    assert [first.result(), second.result(), third.result()] == [0, 1, 2]
    assert made[2:] == [(0, "only")] and not machine_code._under_way


def test_what_several_wait_for_is_made_once(one_thread):
    event, made = one_thread
    makings, results = _begun(range(40)), []
    threads = [threading.Thread(target=lambda: (makings[-1].wait(), results.extend(m.result() for m in makings)))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    event.set()
    for thread in threads:
        thread.join(60)
    assert results == 4 * [*range(40)]
    assert sorted(number for number, _ in made) == [*range(40)]


def test_errors_of_what_is_made_for_others_are_theirs(one_thread):
    event, made = one_thread
    first, wanted, broken, stopped = _begun([0, 1, -1, -2])
    with pytest.raises(KeyboardInterrupt):
        wanted.wait()
    assert made == [(-2, "MainThread")] and stopped.ready()     # nobody waits for it any more
    wanted.wait()
    assert made[1:] == [(-1, "MainThread"), (1, "MainThread")]
    with pytest.raises(RuntimeError, match="no machine code today"):
        broken.result()
    with pytest.raises(KeyboardInterrupt):      # it is made again where it is asked for
        stopped.result()
    assert len(made) == 4 and wanted.result() == 1
    event.set()
    assert first.result() == 0


def test_what_was_given_up_is_not_made_for_others(one_thread):
    event, made = one_thread
    first, second = _begun(range(2))
    second.cancel()
    event.set()
    first.wait()
    assert made == [(0, "only")] and second.result() == 1 and made[1:] == [(1, "MainThread")]


FORK = """
import json, os, numpy as np
from fastnet.kernels.cpu.runtime import in_line, jit, launch, machine_code

@jit
def triple(block, slot, x):
    x[block] *= 3

x = np.ones(4)
with in_line():
    launch(triple, 4, x, work=1)
    child = os.fork()
if child:
    print(json.dumps([x.tolist(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]))
else:
    with in_line():
        launch(triple, 4, x.astype(np.float32), work=1)
    os._exit(int(x.tolist() != [3] * 4))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_process_that_is_forked_meanwhile_has_the_code_too(tmp_path):
    """And can have more made, by threads of its own."""
    environment = {**os.environ, "FASTNET_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], env=environment, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[3] * 4, 0]


def test_where_no_thread_can_be_had_the_code_is_made_here(tmp_path, monkeypatch):
    """As in a thread that goes on when the main one has ended."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    pool = futures.ThreadPoolExecutor(1)
    pool.shutdown()
    monkeypatch.setattr(machine_code, "_pool", pool)
    x = np.ones(4)
    with in_line():
        launch(_new("alone"), 4, x, 1.0, work=1)
    assert (x == 3).all()


def test_what_is_forgotten_is_not_compiled(tmp_path, monkeypatch):
    """But for what is being compiled; and it is made where it is wanted after all."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    pool, event = futures.ThreadPoolExecutor(1), threading.Event()
    monkeypatch.setattr(machine_code, "_pool", pool)
    pool.submit(event.wait, 60)
    x, body = np.ones(4), _new("cancelled")
    with pytest.raises(ZeroDivisionError), in_line():
        launch(body, 4, x, 1.0, work=1)
        1 / 0  # noqa: B018
    launch(body, 4, x, 1.0, work=1)     # while that thread has other things to do
    assert (x == 3).all()
    event.set()
    pool.shutdown()


def test_launches_of_large_arrays_do_not_wait_for_long(held, monkeypatch):
    monkeypatch.setattr(launches, "_MOST_WAITING", 100)
    x, y = np.ones(4), np.ones(64)
    held.set()
    with in_line():
        launch(_new("small"), 4, x, 1.0, work=1)
        launch(_new("large"), 64, y, 1.0, work=1)
        assert (x == 3).all()
    assert (y == 3).all()


def test_a_line_within_a_line_and_a_recording_are_no_lines(held):
    """The outer one has all, and a recorder is told of launches as they happen."""
    x, ready = np.ones(4), _new("before")
    with in_line():
        with in_line():
            launch(_new("inner"), 4, x, 1.0, work=1)
        assert (x == 1).all()
        held.set()
    recorder = cpu.recorder()
    with recorder, in_line():
        launch(ready, 4, x, 0.0, work=1)
        np.testing.assert_array_equal(x, 6)


def test_packed_weights_are_kept_when_they_are_packed(held):
    """Another thread may look for them meanwhile."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 9, 9, 5)).transpose(0, 3, 1, 2), rng.standard_normal((11, 5, 3, 3))
    held.set()
    expected = cpu.conv2d_inference(x, cpu.conv2d_pack(w))
    held.clear()
    packed = cpu.conv2d_pack(w)
    with in_line():
        launch(_new("packing"), 4, empty(4, np.float64), 1.0, work=1)
        y = cpu.conv2d_inference(x, packed)
        assert not packed._forms
        held.set()
    assert packed._forms
    np.testing.assert_array_equal(y, expected)


def test_code_is_the_same_whoever_makes_it(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))     # there is none on disk
    body = _new("same")
    launch(body, 4, np.ones(4), 1.0, work=1)
    (library,) = [result.library for result in body.overloads.values()]
    given = library.codegen, library._bitcode()
    assert machine_code.make(*given) == machine_code.Making(*given).result() == library._code


def test_a_net_that_compiles_gives_what_it_gives_later(tmp_path, monkeypatch):
    """Its first passes, forward and back, whose launches wait, and later ones, which are replayed: the same bits."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    fastnet.manual_seed(0)
    net = fastnet.Sequential(
        fastnet.Conv2d(3, 24, 3, padding=1), fastnet.BatchNorm2d(24), fastnet.SiLU(),
        fastnet.Conv2d(24, 24, 3, padding=1, groups=24), fastnet.GELU(), fastnet.MaxPool2d(2), fastnet.Flatten(),
        fastnet.Linear(24 * 8 * 8, 7))
    x = np.random.default_rng(0).standard_normal((4, 3, 16, 16), np.float32)
    dy, found = np.ones((4, 7), np.float32), []
    for _ in range(4):
        y = net.forward(x, training=True)
        net.backward(dy)
        found.append([y, *(parameter.grad for _, parameter in net.named_parameters())])
    for later in found[1:]:
        for one, other in zip(found[0], later, strict=True):
            np.testing.assert_array_equal(one, other)
    first = net(x)
    for _ in range(3):
        np.testing.assert_array_equal(net(x), first)
