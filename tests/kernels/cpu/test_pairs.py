"""Launches that take turns compute the same, to the last bit, and only those do that can."""
import numba
import numpy as np
import pytest
from hypothesis import assume, given, strategies
from numba import config

from fastnet import kernels
from fastnet.kernels.cpu.conv.operands import Y
from fastnet.kernels.cpu.runtime import array as runtime_array
from fastnet.kernels.cpu.runtime import frames, launches, pairs, record, replay
from fastnet.kernels.cpu.runtime.pairs import Note, Place, Sweep, Unit

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="there is no machine code to run again")

cpu = kernels.load("cpu")
RNG = np.random.default_rng(0)
SILU, RELU = ("silu", 0.0, 0.0), ("relu", 0.0, 0.0)

# (x, w, stride, padding, dilation, groups): register tiles, with strips, a stride, several images at a time and few
# channels; Winograd's; groups of few channels, with slices of them; few channels with padding.
CONVOLUTIONS = {
    "1x1": ((3, 16, 20, 20), (24, 16, 1, 1), 1, 0, 1, 1),
    "small images": ((9, 32, 5, 5), (32, 32, 1, 1), 1, 0, 1, 1),
    "stride": ((2, 16, 21, 17), (20, 16, 3, 3), 2, 1, 1, 1),
    "wide stride": ((2, 16, 19, 23), (20, 16, 1, 1), 3, 0, 1, 1),
    "strips": ((1, 16, 200, 90), (8, 16, 3, 3), 1, 2, 2, 1),
    "winograd": ((3, 32, 21, 18), (48, 32, 3, 3), 1, 1, 1, 1),
    "groups": ((2, 64, 15, 15), (64, 16, 3, 3), 2, 1, 1, 4),
    "depthwise": ((2, 40, 30, 19), (40, 1, 5, 5), 1, 2, 1, 40),
    "depthwise stride": ((2, 96, 31, 20), (96, 1, 3, 3), 2, 1, 1, 96),
    "stem": ((2, 3, 41, 37), (16, 3, 7, 7), 2, 3, 1, 1),
}


def images(*shape):
    n, c, h, w = shape
    return RNG.standard_normal((n, h, w, c), np.float32).transpose(0, 3, 1, 2)


def where(convolution):
    _, _, stride, padding, dilation, groups = convolution
    return (stride, stride), (padding,) * 4, (dilation, dilation), groups


def convolve(name, direction):
    """The result of one pass of a convolution, and a function that computes it."""
    x, w, *_ = convolution = CONVOLUTIONS[name]
    x, w = images(*x), RNG.standard_normal(w, np.float32)
    if direction == "forward":
        return lambda: cpu.conv2d_forward(x, w, None, *where(convolution))
    dy = images(*cpu.conv2d_forward(x, w, None, *where(convolution)).shape)
    return lambda: cpu.conv2d_backward_input(dy, w, x.shape, *where(convolution))


def noted(function, monkeypatch):
    """(what a function returns, the arguments of `launches._run` for each launch with a Sweep)."""
    found, run = [], launches._run

    def note(kernel, blocks, args, work, sweeps=(None, None)):
        run(kernel, blocks, args, work, sweeps)
        if any(sweeps):
            found.append((kernel, blocks, args, sweeps))

    monkeypatch.setattr(launches, "_run", note)
    return function(), found


def run_some(kernel, args, first, stop):
    """Run blocks `first` to `stop` - 1 of a kernel."""
    enter, size = launches._enter(args)
    frame, table = frames.frame(args, size), np.array([*Unit(first, 0, 0, 0), *Unit(stop, 0, 0, 0)])
    script = np.array([*replay.Entry(enter, kernel, frames.address(frame), stop, 1, 0),
                       *replay.Entry(enter, kernel, frames.address(frame), stop, 0, -1)])
    replay.run(*replay.prepared(script, table, np.zeros(1000, np.int64), 1, False))


@pytest.mark.parametrize("direction", ["forward", "backward_input"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_groups_write_where_they_say(name, direction, monkeypatch):
    """All of the result, each group nothing outside of its part; which is no more than it has to be."""
    y, [(kernel, blocks, args, (reads, writes))] = noted(convolve(name, direction), monkeypatch)
    assert reads is None and writes.argument == Y
    result = frames.flat(args)[Y]
    expected, groups = result.copy(), len(writes.starts)
    assert np.all(np.diff(writes.starts) >= 0) and np.all(np.diff(writes.stops) >= 0) and blocks % groups == 0
    written = np.zeros(result.size, bool)
    for group in range(groups):
        result[:] = np.nan
        run_some(kernel, args, group * blocks // groups, (group + 1) * blocks // groups)
        changed = np.flatnonzero(~np.isnan(result))
        np.testing.assert_array_equal(result[changed], expected[changed])
        written[changed] = True
        if changed.size:
            assert writes.starts[group] <= changed[0] and changed[-1] < writes.stops[group]
            line = y.shape[1] * y.shape[3] * max(CONVOLUTIONS[name][2], 4)
            assert writes.stops[group] - writes.starts[group] <= changed[-1] + 1 - changed[0] + 2 * line
    assert written.all()


def reading(name):
    """x, and a function that reads it. Some of the parts of 545 products have no row: 32 parts of 18."""
    x = images(2, 256, *((5, 109) if name == "sums of 545 products" else (20, 20)))
    gamma, other = np.linspace(0.5, 2, 256, dtype=np.float32), images(*x.shape)
    if name == "moments":
        return x, lambda: cpu.batchnorm_forward(x, gamma, gamma, 1e-5)
    if name.endswith("products"):
        return x, lambda: cpu.multiply_backward(x, other, (2, 256, 1, 1))
    activation = SILU if name == "gradients through silu" else RELU
    return x, lambda: cpu.batchnorm_backward(x, other, gamma, gamma, gamma, 1e-5, gamma, activation)


@pytest.mark.parametrize("name", ["moments", "gradients", "gradients through silu", "sums of products",
                                  "sums of 545 products"])
def test_groups_read_where_they_say(name, monkeypatch):
    """What other numbers there are does not matter to what a group computes: all else is NaN. Scratch memory apart,
    which holds what the last group left."""
    x, function = reading(name)
    _, found = noted(function, monkeypatch)
    kernel, blocks, args, (reads, writes) = next(one for one in found if one[3][0] is not None)
    flat = frames.flat(args)
    assert writes is None and np.shares_memory(flat[reads.argument], x)
    others = [array for array in flat if isinstance(array, np.ndarray) and array.size and not any(
        np.shares_memory(array, other) for other in (x, *runtime_array._here.scratch.values()))]
    assert others and blocks % len(reads.starts) == 0
    assert np.any(reads.starts == reads.stops) == (name == "sums of 545 products")
    run_some(kernel, args, 0, blocks)
    expected, numbers, groups = [array.copy() for array in others], flat[reads.argument].copy(), len(reads.starts)
    assert not any(np.isnan(array).any() for array in expected)
    for group in range(groups):
        flat[reads.argument][:] = np.nan
        part = slice(reads.starts[group], reads.stops[group])
        flat[reads.argument][part] = numbers[part]
        run_some(kernel, args, group * blocks // groups, (group + 1) * blocks // groups)
        for array, one in zip(others, expected, strict=True):
            np.testing.assert_array_equal(array, one)


def test_groups_are_equal():
    with pytest.raises(ValueError, match="equal groups for 64 blocks, got 62 groups"):
        launches.Launch(None, 64, 1, Sweep.even(0, 62, 9))
    launches.Launch(None, 64, 1, None, Sweep.even(0, 32, 9))


def sweeps(lengths, overlap):
    """A Sweep of groups so long, each of which reaches that far into its neighbours."""
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return Sweep(0, np.maximum(ends[:-1] - overlap, 0), np.minimum(ends[1:] + overlap, ends[-1]))


LENGTHS = strategies.lists(strategies.integers(0, 9), min_size=1, max_size=60)


@given(LENGTHS, strategies.integers(0, 4), LENGTHS, strategies.integers(0, 4), strategies.integers(1, 3),
       strategies.integers(1, 3), strategies.integers(1, 1 << 20), strategies.integers(1, 3))
def test_units(lengths, overlap, others, halo, each, every, itemsize, threads):
    """Each block runs once; those of the second launch behind all that write what they read."""
    assume(sum(lengths))
    writes = sweeps(lengths, overlap)
    reads = sweeps(np.diff(np.minimum([0, *np.cumsum(others)], sum(lengths))), halo)
    groups, readers = len(writes.starts), len(reads.starts)
    table = pairs.units_of(writes, reads, (each * groups, every * readers), itemsize, threads)
    if table is None:
        return
    units = [Unit(*row) for row in table.reshape(-1, 4)]
    assert units[0][:2] == (0, 0) and units[-1].first == each * groups and not any(unit.done for unit in units)
    assert units[0].begin == 0 and units[-2].end == units[-1].begin == every * readers
    bounds = [bound for unit in units[:-1] for bound in (unit.begin, unit.end)]
    assert bounds == sorted(bounds) and all(bound % every == 0 for bound in bounds)
    firsts = [unit.first // each for unit in units]
    assert firsts == sorted(set(firsts))

    def ready(first, stop, lower, upper):
        """Whether blocks of the second launch read nothing that groups outside of these write."""
        for reader in range(first // every, stop // every):
            touched = (writes.starts < reads.stops[reader]) & (writes.stops > reads.starts[reader])
            outside = np.flatnonzero(touched)
            assert np.all((lower <= outside) & (outside < upper))

    for here, behind in zip(units, units[1:], strict=False):
        ready(here.begin, here.end, here.first // each, behind.first // each)
    for before, here, behind in zip(units, units[1:], units[2:], strict=False):
        ready(before.end, here.begin, before.first // each, behind.first // each)


def test_units_are_as_large_as_caches_want():
    def count(groups, size, blocks):
        table = pairs.units_of(Sweep.even(0, groups, size), Sweep.even(0, 4 * groups, size // 4), blocks, 4, 2)
        return None if table is None else len(table) // len(Unit._fields) - 1

    assert count(1000, 1 << 12, (1000, 4000)) == 1000 * (1 << 14) >> 18
    assert count(16, 1 << 18, (16, 64)) == 16 and count(16, 1 << 20, (16, 64)) is None      # no cache holds a group
    assert count(8, 1 << 12, (64, 32)) is None      # blocks can be shared more evenly
    assert count(8, 1 << 12, (8, 32)) == 8          # not here


def test_only_launches_that_can():
    """The second reads what the first writes, no other memory is common to both, nothing large lies between."""
    sweep, x, y, z, w = Sweep.even(0, 64, 1000), *(Place(object(), 0, 256_000, 4) for _ in range(4))
    writing, reading = (None, sweep._replace(argument=1)), (sweep, None)
    first, second = Note([x, y, None], writing, 64, True), Note([y, z, y], reading, 64, True)

    def found(*notes, cuts=(0,)):
        return [pair[:2] for pair in pairs.pairs_of(list(notes), cuts, 2)]

    assert found(first, second) == [(0, 1)] and found(second, first, second, first) == [(1, 2)]
    assert found(first, second, cuts=(0, 1)) == [] and found(first, second, cuts=(0, 2)) == [(0, 1)]
    assert found(first, second._replace(places=[y, x])) == []                   # writes, it may be, what is still read
    assert found(first, second._replace(places=[w, z])) == []
    assert found(first, second._replace(places=[y._replace(offset=64), z])) == []
    assert found(first, second._replace(places=[y, x._replace(nbytes=0)])) == [(0, 1)]
    assert found(first._replace(sweeps=(None, None)), second) == found(first, second._replace(shared=False)) == []
    small = Note([z, w], (None, None), 1, False)
    assert found(first, small, second) == [(0, 2)] and found(first, small._replace(shared=True), second) == []
    assert found(first, small._replace(places=[x, z]), second) == []            # has to run behind the first
    both = Note([y, z], (sweep, sweep._replace(argument=1)), 64, True)
    assert found(first, both, Note([z, w], reading, 64, True)) == [(0, 1)]      # no three


def net(x, w, v, gamma):
    """Convolutions with the sums of batch norms behind them, and back, between launches of all sizes."""
    a = cpu.activation_forward(x, "relu")
    b = cpu.conv2d_forward(a, w)
    del a
    c, mean, var = cpu.batchnorm_forward(b, gamma, gamma, 1e-5, None, SILU)
    d = cpu.conv2d_forward(c, v, None, (1, 1), (1, 1, 1, 1), (1, 1), v.shape[0])
    e, *_ = cpu.batchnorm_forward(d, gamma, gamma, 1e-5, None, RELU)
    g = cpu.conv2d_backward_input(e, v, c.shape, (1, 1), (1, 1, 1, 1), (1, 1), v.shape[0])
    h, dgamma, _ = cpu.batchnorm_backward(g, b, gamma, mean, var, 1e-5, gamma, SILU)
    g = cpu.conv2d_backward_input(h, w, x.shape, (1, 1), (0, 0, 0, 0), (1, 1), 1)
    return cpu.add(g, cpu.multiply(x, cpu.multiply_backward(g, x, (x.shape[0], x.shape[1], 1, 1)))), dgamma


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_recordings_compute_the_same(threads, monkeypatch):
    """As often as they run, for any number of threads, whatever pieces they are cut into."""
    if threads > config.NUMBA_NUM_THREADS:
        pytest.skip(f"{threads} threads on {config.NUMBA_NUM_THREADS} cores")
    x, w = images(4, 32, 41, 37), RNG.standard_normal((48, 32, 1, 1), np.float32)
    v, gamma = RNG.standard_normal((48, 1, 3, 3), np.float32), np.linspace(-1, 2, 48, dtype=np.float32)
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        expected = net(x, w, v, gamma)
        recorder = cpu.recorder()
        with recorder:
            results = net(recorder.tag("x", x), w, v, gamma)
        for key, result in enumerate(results):
            recorder.give(key, result)
        part, recording, arena = recorder.cut(), recorder.finish(), cpu.Arena()
        assert np.sum(recording._entries[:, record._TABLE] >= 0) == (4 if threads > 1 else 0)
        for long in (9.0, 9.0, 9.0, *[-1.0] * 8):
            monkeypatch.setattr(record, "_LONG", long)
            recording.move(arena.address(recording.arena_size))
            made = [recording.make(key) for key in range(2)]
            recording.bind(("x", 0, 1), [cpu.address(x), *(address for _, address in made)])
            recording.run(part)
            for (array, _), one in zip(made, expected, strict=True):
                np.testing.assert_array_equal(array, one)
        pieces = recording._parts[part]
        assert len(pieces) == len(recording._entries) - np.sum(recording._entries[:, record._TABLE] >= 0)
    finally:
        numba.set_num_threads(before)
