"""A recording does what was recorded, for any other numbers and at other addresses, or says that it cannot."""
import gc
import threading
import weakref

import numba
import numpy as np
import pytest
from hypothesis import given, strategies
from numba import config

from fastnet import kernels
from fastnet.kernels.cpu.runtime import arena, launches, pool, record

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="there is no machine code to run again")

cpu = kernels.load("cpu")
RNG = np.random.default_rng(0)
RELU = ("relu", 0.0, 0.0)


def images(n=2, dtype="float32", channels=16, size=9):
    """Images, channels-last in memory; each call makes other ones."""
    return RNG.standard_normal((n, size, size, channels)).astype(dtype).transpose(0, 3, 1, 2)


WEIGHTS = {dtype: (RNG.standard_normal((5, 16, 3, 3)).astype(dtype), RNG.standard_normal(5).astype(dtype),
                   np.linspace(-1, 1, 7 * 160).astype(dtype).reshape(7, 160)) for dtype in ("float32", "float64")}


def run(x):
    """Operations of several kinds: on several threads and on one, with scratch memory, floats and flags."""
    w, b, v = WEIGHTS[x.dtype.name]
    y, _ = cpu.maxpool2d_forward(cpu.conv2d_forward(x, w, b, padding=(1, 1, 1, 1), activation=RELU), (2, 2), (2, 2))
    y = cpu.concat([y, cpu.avgpool2d_forward(y, (3, 3), (1, 1), (1, 1, 1, 1), count_include_pad=False)])
    y = cpu.batchnorm_inference(y, *[np.arange(1, 11, dtype=x.dtype)] * 4, 1e-5)
    y = cpu.linear_forward(cpu.flatten(y), v)
    return cpu.add(cpu.dropout(cpu.softmax_forward(y), 0.5, 3), y, activation=RELU)


class Recorded:
    """A recording of `run` with named arrays, which can be run again with others: ``y, again = Recorded.make(...)``."""

    def __init__(self, recording, part, names):
        self.recording, self.part, self.names, self.arena = recording, part, names, cpu.Arena()

    @classmethod
    def make(cls, run, **arrays):
        recorder = cpu.recorder()
        tagged = {name: recorder.tag(name, x) for name, x in arrays.items()}
        with recorder:
            y = run(**tagged)
        recorder.give("y", y)
        part = recorder.cut()
        recording = recorder.finish()
        return y, recording and cls(recording, part, tuple(arrays))

    def __call__(self, **arrays):
        recording = self.recording
        recording.move(self.arena.address(recording.arena_size))
        y, address = recording.make("y")
        recording.bind((*self.names, "y"), [*(cpu.address(arrays[name]) for name in self.names), address])
        recording.run(self.part)
        return y


@pytest.mark.parametrize("dtype", WEIGHTS)
@pytest.mark.parametrize("n", [1, 7, 64])
def test_again_is_the_same_with_other_numbers(n, dtype):
    x, other = images(n, dtype), images(n, dtype)
    y, again = Recorded.make(run, x=x)
    np.testing.assert_array_equal(y, run(x))
    for _ in range(3):
        np.testing.assert_array_equal(again(x=other), run(other))
        np.testing.assert_array_equal(again(x=x), y)


def test_results_are_the_callers():
    x = images()
    y, again = Recorded.make(run, x=x)
    first, kept = again(x=x), y.copy()
    again(x=images())
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(y, kept)
    first[:] = 0
    np.testing.assert_array_equal(again(x=x), kept)


def test_results_lie_in_memory_as_they_did():
    y, again = Recorded.make(lambda x: cpu.add(x, x), x=images())
    assert again(x=images()).strides == y.strides and again(x=images()).shape == y.shape
    y, again = Recorded.make(lambda x: cpu.flatten(x), x=images())
    assert again(x=images()).flags.c_contiguous


def test_arrays_are_read_where_they_are_bound():
    """Other weights at each run, and those that nobody bound where they were, kept alive."""
    x, w = images(), WEIGHTS["float32"][0].copy()
    _, again = Recorded.make(lambda x, w: cpu.conv2d_forward(x, w), x=x, w=w)
    for factor in (2, 3):
        other = np.float32(factor) * w
        np.testing.assert_array_equal(again(x=x, w=other), cpu.conv2d_forward(x, other))
    kept = [w]
    _, again = Recorded.make(lambda x: cpu.conv2d_forward(x, kept[0]), x=x)
    w *= 2
    expected, gone = cpu.conv2d_forward(x, w), weakref.ref(w)
    kept.clear()
    del w
    gc.collect()
    np.testing.assert_array_equal(again(x=x), expected)
    assert gone() is not None


def test_nothing_is_recorded_that_is_no_launch():
    """Operands in another layout or dtype are copied by NumPy."""
    turned = np.ascontiguousarray(images().transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
    assert Recorded.make(lambda x: cpu.add(x, turned), x=images())[1] is None
    for dtype in ("float16", ">f4", "float64", "int32"):
        given = np.ones((2, 3), dtype)
        again = Recorded.make(lambda x, given=given: cpu.convert(given, np.dtype(np.float32)), x=images())[1]
        assert (again is None) == (dtype in ("float16", ">f4"))


def test_a_result_that_is_a_part_of_something_larger():
    assert Recorded.make(lambda x: cpu.add(x, x)[:1], x=images(2))[1] is None
    assert Recorded.make(lambda x: x, x=images(2))[1] is None


def test_parts():
    """Cut where the caller wants, run in any number; what the second part reads of the first lies in the arena."""
    recorder, x = cpu.recorder(), images()
    tagged = recorder.tag("x", x)
    with recorder:
        y = cpu.add(tagged, tagged)
    first = recorder.cut()
    z = recorder.tag("z", images())
    with recorder:
        total = cpu.add(y, z)
    recorder.give("total", total)
    del y
    second = recorder.cut()
    recording = recorder.finish()
    arena = cpu.Arena()
    for _ in range(3):
        x, z = images(), images()
        recording.move(arena.address(recording.arena_size))
        recording.bind(("x",), [cpu.address(x)])
        recording.run(first)
        made, address = recording.make("total")
        recording.bind(("z", "total"), [cpu.address(z), address])
        recording.run(second)
        np.testing.assert_array_equal(made, x + x + z)


def test_what_takes_long_is_cut(monkeypatch):
    """And computes the same, piece by piece, at last one launch at a time."""
    monkeypatch.setattr(record, "_LONG", -1.0)
    x = images()
    y, again = Recorded.make(run, x=x)
    launches, counts = len(again.recording._entries), []
    for _ in range(8):
        np.testing.assert_array_equal(again(x=x), y)
        counts.append(len(again.recording._parts[again.part]))
    assert counts[:3] == [2, 4, 8] and counts[-1] == launches
    assert again.recording._parts[again.part][-1].stop == launches


def test_memory_serves_again_within_a_recording():
    def long(x):
        for _ in range(50):
            x = cpu.activation_forward(x, "relu")
        return x

    x = RNG.standard_normal(1 << 18, np.float32)
    _, again = Recorded.make(long, x=x)
    assert x.nbytes <= again.recording.arena_size <= 2 * x.nbytes and again.recording.nbytes < 1 << 16
    np.testing.assert_array_equal(again(x=-x), np.maximum(-x, 0))


def test_one_arena_serves_many_recordings():
    x, other = images(2), images(7)
    (y, first), (z, second) = Recorded.make(run, x=x), Recorded.make(run, x=other)
    second.arena = first.arena
    for _ in range(3):
        np.testing.assert_array_equal(first(x=x), y)
        np.testing.assert_array_equal(second(x=other), z)


def test_an_arena_gives_its_memory_back(monkeypatch):
    monkeypatch.setattr(pool, "shared_pool", pool.Pool())
    one = cpu.Arena()
    first = one.address(1 << 18)
    assert one.address(1 << 17) == first and first % 64 == 0
    with one.lock:
        one.clear()       # somebody has it
    assert one.address(1 << 18) == first
    one.user = user = images()
    arena.clear_arenas()      # somebody will come back
    assert one.address(1 << 18) == first
    del user
    arena.clear_arenas()
    assert pool.shared_pool._free_bytes >= 1 << 18
    one.address(1 << 20)
    del one
    assert pool.shared_pool._free_bytes >= 1 << 20


def test_a_recording_within_another():
    """The outer one would miss what the inner one notes."""
    inner, x = [], images()

    def nested(x):
        inner.append(Recorded.make(run, x=np.asarray(x)))
        return cpu.add(inner[-1][0], inner[-1][0])

    y, again = Recorded.make(nested, x=x)
    assert again is None
    np.testing.assert_array_equal(y, 2 * run(x))
    np.testing.assert_array_equal(inner[0][1](x=x), run(x))


def test_an_error_ends_the_recording():
    with pytest.raises(ValueError, match="input channels"):
        Recorded.make(lambda x: cpu.conv2d_forward(x, WEIGHTS["float32"][0][:, :3]), x=images())
    assert launches.recorder() is None


@pytest.fixture
def threads():
    before = numba.get_num_threads()
    yield before
    numba.set_num_threads(before)


def test_the_number_of_threads(threads):
    x = images(64)
    expected = run(x)
    for count in range(1, threads + 1):
        numba.set_num_threads(count)
        _, again = Recorded.make(run, x=x)
        assert not again.recording.outdated()
        for other in range(1, threads + 1):     # fewer threads than it was made for share its work
            numba.set_num_threads(other)
            assert again.recording.outdated() == (other != count)
            np.testing.assert_array_equal(again(x=x), expected)


def test_the_number_of_threads_changes_while_recording(threads):
    """Scratch memory is for the threads that there were."""
    if threads == 1:
        pytest.skip("there is one thread only")
    recorder = cpu.recorder()
    with recorder:
        y = cpu.add(x := images(), x)
    numba.set_num_threads(1)
    with recorder:
        y = cpu.add(y, y)
    recorder.give("y", y)
    recorder.cut()
    assert recorder.outdated and recorder.finish() is None


def test_many_threads_of_python():
    """They take turns with the arena; results are never mixed."""
    x, wrong = images(), []
    _, again = Recorded.make(run, x=x)

    def work():
        mine = images()
        expected = run(mine)
        for _ in range(50):
            with again.arena.lock:
                result = again(x=mine)
            if not np.array_equal(result, expected):
                wrong.append(result)

    running = [threading.Thread(target=work) for _ in range(6)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    assert not wrong


class Piece:
    """What `place` looks at."""

    def __init__(self, size, birth, death):
        self.size, self.birth, self.death, self.offset = size, birth, death, None


lives = strategies.lists(strategies.tuples(strategies.integers(0, 5000), strategies.integers(0, 30),
                                           strategies.integers(0, 20)), max_size=40)


@given(lives)
def test_pieces_that_are_needed_together_lie_apart(lives):
    pieces = [Piece(size, birth, birth + span) for size, birth, span in lives]
    total = arena.arrange(pieces)
    for i, one in enumerate(pieces):
        assert one.offset % 64 == 0 and 0 <= one.offset and one.offset + one.size <= total
        for other in pieces[:i]:
            # A piece that is born when another one dies may have its place; one that lives for no launch needs none.
            together = one.birth < other.death and other.birth < one.death
            apart = one.offset + one.size <= other.offset or other.offset + other.size <= one.offset
            assert apart or not together


@given(lives)
def test_the_arena_is_no_larger_than_all_pieces(lives):
    pieces = [Piece(size, birth, birth + span) for size, birth, span in lives]
    assert arena.arrange(pieces) <= sum(-(-piece.size // 64) * 64 for piece in pieces)


def test_places_are_found_again():
    pieces = [Piece(1000, 0, 2), Piece(64, 1, 5), Piece(900, 2, 4), Piece(100, 2, 4), Piece(2000, 4, 5)]
    total = arena.arrange(pieces)
    assert [piece.offset for piece in pieces] == [0, 2048, 0, 960, 0]
    assert total == 2048 + 64   # what the last two need together


def test_small_pieces_do_not_stand_in_the_way_of_large_ones():
    """As in a net that halves its images, and joins what it kept of them on the way back: no byte is left over."""
    pieces = [Piece(size, birth, death) for size, birth, death in
              ((1024, 0, 9), (2048, 0, 2), (512, 1, 8), (1024, 2, 4), (256, 3, 7), (1024, 6, 8), (4096, 8, 9))]
    together = max(sum(piece.size for piece in pieces if piece.birth <= launch < piece.death) for launch in range(9))
    assert arena.arrange(pieces) == together
