"""The compiled primitives do what `simd.python` says, number for number."""
import numba
import numpy as np
import pytest
from numba import config

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.activations import NO_BEND, RELU
from fastnet.kernels.cpu.conv.winograd_filters import matrices
from fastnet.kernels.cpu.epilogue import NO_CALL, Epilogue
from fastnet.kernels.cpu.simd import python as in_python
from fastnet.kernels.cpu.simd import python_functions, python_rows, python_transforms

from .test_bends import BENDS

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="without the compiler, simd.python is what runs")
in_python.configure(simd.VECTOR_BYTES)
DTYPES = ["float32", "float64"]
TILES = [pytest.param(getattr(simd, name), id=name) for name in ("HALF", "NARROW", "THREE_HALVES", "WIDE")]
PAIRS = [pytest.param(getattr(simd, name), id=name) for name in ("HALF_PAIRS", "NARROW_PAIRS", "WIDE_PAIRS")]
CANARY = 77.0


def both(make, *arguments, **flags):
    """Run the program that ``make(module of primitives)`` returns with either; each gets its own copy of the arrays,
    which start one element behind an aligned address. Returns both lists of arrays."""
    outcomes = []
    for run in (numba.njit(make(simd), **flags), make(in_python)):
        mine = [unaligned(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
        run(*mine)
        outcomes.append([argument for argument in mine if isinstance(argument, np.ndarray)])
    return outcomes


def unaligned(array):
    whole = np.empty(array.size + 1, array.dtype)
    whole[1:] = array
    return whole[1:]


def assert_equal(outcomes):
    for ours, theirs in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def numbers(size, dtype, seed=0):
    return np.random.default_rng(seed).integers(-9, 10, size).astype(dtype)


def lane_by_lane(s):
    def program(x, out):
        n = s.lanes(x)
        a, b, c, d = s.load(x, 1), s.load(x, 1 + n), s.load(x, 1 + 2 * n), s.load(x, 1 + 3 * n)
        s.store(out, 0, a + b)
        s.store(out, n, a - b)
        s.store(out, 2 * n, a * b)
        s.store(out, 3 * n, s.fma(a, b, c))
        s.store(out, 4 * n, s.relu(a))
        s.store(out, 5 * n, s.positive(a, b))
        s.store(out, 6 * n, s.pick(a, b, c, d))
        s.store(out, 7 * n, s.matching(a, b, c))
        s.store(out, 8 * n, s.full(x, 2.5))
        s.store(out, 9 * n, s.sqrt(a))
        s.store(out, 10 * n, s.above(a, b, c, d))
        s.stream_part(out, 11 * n, a, n)
        s.stream_part(out, 12 * n, b, 1)
        out[13 * n] = s.total(c)
        out[13 * n + 1] = n
        out[13 * n + 2] = s.has_nan(a)
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic(dtype):
    """All pairs of special numbers and some of either sign; whole ones, so that fma rounds nothing."""
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -1.0, 3.0])
    left, right = (grid.ravel() for grid in np.meshgrid(special, special))
    n = simd.width(dtype)
    run = numba.njit(lane_by_lane(simd))
    for start in range(0, left.size, n):
        third, fourth = numbers(n, dtype, start), numbers(n, dtype, start + 1)
        x = np.concatenate([[CANARY], left[start: start + n], right[start: start + n], third, fourth]).astype(dtype)
        ours, theirs = np.full((2, 13 * n + 3), CANARY, dtype)
        run(x, ours)
        with np.errstate(invalid="ignore"):
            lane_by_lane(in_python)(x, theirs)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_total_adds_halves(dtype):
    x = np.random.default_rng(0).standard_normal(1 + 4 * simd.width(dtype)).astype(dtype)
    with np.errstate(invalid="ignore"):
        ours, theirs = both(lane_by_lane, x, np.zeros(13 * simd.width(dtype) + 3, dtype))
    assert ours[1][13 * simd.width(dtype)] == theirs[1][13 * simd.width(dtype)]


def across(s):
    def program(x, out):
        n = s.lanes(x)
        for i in range(out.size):
            out[i] = s.largest(s.load(x, i * n))
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_largest(dtype):
    """In any lane, and NaN over all."""
    n = simd.width(dtype)
    x = np.tile(-np.arange(n) - 1.0, (4 * n, 1)).astype(dtype)
    for lane in range(n):
        x[4 * lane: 4 * lane + 3, lane] = 3, np.inf, np.nan
    x[3::4] = -np.inf
    assert_equal(both(across, x.ravel(), np.zeros(4 * n, dtype)))


def exponentials(s):
    def program(x, out):
        for i in range(0, x.size, s.lanes(x)):
            s.store(out, i, s.exp(s.load(x, i)))
    return program


@pytest.mark.parametrize("dtype, lowest, highest", [("float32", -104, 89), ("float64", -746, 710)])
def test_exp(dtype, lowest, highest):
    """Two units in the last place, numbers too small to be normal and too large to be finite included."""
    tiny = np.finfo(dtype).tiny
    special = [np.nan, 0, -0.0, 1, np.inf, -np.inf, lowest, highest, 1e30, -1e30, tiny, 0.34657, -0.34658]
    x = np.concatenate([special, np.linspace(lowest - 2, highest + 2, 4083)]).astype(dtype)
    ours = np.zeros_like(x)
    numba.njit(exponentials(simd))(x, ours)
    with np.errstate(over="ignore", under="ignore"):
        theirs = np.exp(x.astype(np.longdouble)).astype(dtype)
    assert np.isnan(ours[0]) and ours[1:3].tolist() == [1, 1]
    assert np.isinf(theirs).sum() > 2 and ((0 < theirs) & (theirs < tiny)).sum() > 9
    np.testing.assert_array_max_ulp(ours[1:], theirs[1:], 2)


def falling(s):
    def program(x, out):
        for i in range(0, x.size, s.lanes(x)):
            s.store(out, i, s.exp_of_minus_size(s.load(x, i)))
            s.store(out, x.size + i, s.size(s.load(x, i)))
    return program


@pytest.mark.parametrize("dtype, lowest", [("float32", -104), ("float64", -746)])
def test_exp_of_minus_size(dtype, lowest):
    special = [np.nan, 0, -0.0, np.inf, -np.inf, lowest, -lowest, 1e30, -1e30, np.finfo(dtype).tiny, 0.34657, -0.34658]
    x = np.concatenate([special, np.linspace(lowest - 2, 2 - lowest, 4084)]).astype(dtype)
    ours = np.zeros(2 * x.size, dtype)
    numba.njit(falling(simd))(x, ours)
    with np.errstate(under="ignore"):
        theirs = np.exp(-np.abs(x.astype(np.longdouble))).astype(dtype)
    assert np.isnan(ours[0]) and ours[1:3].tolist() == [1, 1]
    np.testing.assert_array_max_ulp(ours[1: x.size], theirs[1:], 2)
    np.testing.assert_array_equal(ours[x.size:], np.abs(x))
    assert not np.signbit(ours[x.size + 1:]).any()


def quotients(s):
    def program(x, out):
        half = x.size // 2
        for i in range(0, half, s.lanes(x)):
            s.store(out, i, s.quotient(s.load(x, i), s.load(x, half + i)))
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_quotient(dtype):
    """A unit in the last place, over the whole range that it promises, and where the quotient is no normal number."""
    rng, size = np.random.default_rng(0), 1 << 14
    sign, below = rng.choice([-1, 1], size), np.exp2(rng.uniform(-120, 120, size))
    above = sign * below * np.exp2(rng.uniform(-125, 7, size))
    above[:9] = [0, -0.0, np.nan, 1, 1, 1, 3, 1e-45, 3e38]
    below[:9] = [1, 2, 1, np.nan, 1, 3, 2.0 ** -120, 1, 2.0 ** 120]
    x = np.concatenate([above, below]).astype(dtype)
    ours = np.zeros(size, dtype)
    numba.njit(quotients(simd))(x, ours)
    theirs = (x[:size].astype(np.longdouble) / x[size:]).astype(dtype)
    assert np.isnan(ours[2:4]).all() and ours[4] == 1
    np.testing.assert_array_max_ulp(np.delete(ours, [2, 3]), np.delete(theirs, [2, 3]), 1)


def sums_of_products(s):
    def program(x, out, fused):
        n = s.lanes(x)
        for i in range(0, out.size, n):
            product = s.load(x, i) * s.load(x, i + n)
            s.store(out, i, s.plus(product, s.load(x, i + 2 * n)))
            s.store(fused, i, s.load(x, i) * s.load(x, i) + s.load(x, i + n))
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_plus_rounds_products_first(dtype):
    """In kernels too, where the compiler may make one operation of a product and a sum, and does so of others."""
    x = np.random.default_rng(0).standard_normal(66 * simd.width(dtype)).astype(dtype)
    room = np.zeros(64 * simd.width(dtype), dtype)
    (_, ours, fused), (_, theirs, rounded) = both(sums_of_products, x, room, room, fastmath={"contract"})
    np.testing.assert_array_equal(ours, theirs)
    assert simd.HOST == "plain" or (fused != rounded).any()


def bent(load, lanes):
    """A program for vectors of either width."""
    def program(x, out):
        for i in range(0, x.size, lanes(x)):
            v = load(x, i)
            share = simd.quotient(simd.exp(v), simd.full(v, 3) + simd.exp_of_minus_size(v))
            share = simd.clip(share, simd.full(v, 0.5), simd.full(v, 9))
            simd.store(out, i, simd.pick(v, simd.full(v, v.itemsize), simd.fma(v, v, share), share - simd.size(v)))
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_wide_vectors(dtype):
    """They give the same bits as one register after the other, and lie in memory like these."""
    x = np.linspace(-90, 90, 64 * simd.width(dtype)).astype(dtype)
    wide, narrow = np.zeros((2, x.size), dtype)
    numba.njit(bent(simd.load_wide, simd.wide_lanes))(x, wide)
    numba.njit(bent(simd.load, simd.lanes))(x, narrow)
    np.testing.assert_array_equal(wide, narrow)
    assert np.unique(wide).size > 500


def logarithms(s):
    def program(x, out):
        for i in range(0, x.size, s.lanes(x)):
            s.store(out, i, s.log(s.load(x, i)))
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_log(dtype):
    """Two units in the last place, numbers too small to be normal included, and close to 1."""
    kind = np.finfo(dtype)
    special = [np.nan, 0, -0.0, 1, np.inf, -np.inf, -1, -kind.tiny, kind.smallest_subnormal, kind.tiny / 3, kind.tiny,
               kind.max, np.sqrt(0.5), np.sqrt(2), 1 - kind.epsneg, 1 + kind.eps]
    exponents = np.linspace(np.log2(float(kind.tiny)) - 20, np.log2(float(kind.max)) - 0.1, 2048)
    x = np.concatenate([special, np.exp2(exponents), np.linspace(0.4, 2.1, 2032)]).astype(dtype)
    ours = np.zeros_like(x)
    numba.njit(logarithms(simd))(x, ours)
    with np.errstate(divide="ignore", invalid="ignore"):
        theirs = np.log(x.astype(np.longdouble)).astype(dtype)
    assert ours[3] == 0 and (ours[1:3] == -np.inf).all() and ours[4] == np.inf and np.isnan(ours[[0, 5, 6, 7]]).all()
    np.testing.assert_array_max_ulp(ours[8:], theirs[8:], 2)


def words(s):
    def program(x, out):
        n = s.lanes(x)
        for i in range(0, x.size - n, n):
            s.store(out, i, s.pair(s.load(x, i), s.load(x, i + n)))
            s.store(out, x.size + i, s.low(s.load(out, i)))
            s.store(out, 2 * x.size + i, s.high(s.load(out, i)))
    return program


def test_words_of_two_numbers():
    """Every upper half that is no denormal number, which the host may take for zero, with lower halves that round up,
    down and to even; NaN stays NaN."""
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    bits = np.concatenate([upper | lower for lower in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)])
    x = bits.view(np.float32)
    x = x[(np.abs(x) >= np.finfo(np.float32).tiny) | (bits << 1 == 0) | np.isnan(x)]
    x = np.append(x[: x.size // 256 * 256], np.zeros(simd.width("float32"), np.float32))
    (_, ours), (_, theirs) = both(words, x, np.zeros(3 * x.size, np.float32))
    for start in (x.size, 2 * x.size):  # the words themselves may hold NaN of any kind
        np.testing.assert_array_equal(ours[start: start + x.size], theirs[start: start + x.size])
    finite = np.abs(x) < 3.38e38
    finite[-simd.width("float32"):] = False
    rounded = theirs[x.size: 2 * x.size][finite]
    assert finite.sum() > 300_000
    assert (np.abs(rounded - x[finite]) <= np.abs(x[finite]) / 256).all()


def reordered(s):
    orders = s if s is simd else python_functions

    def program(x, out):
        n = s.lanes(x)
        v, w = s.load(x, 1), s.load(x, 1 + n)
        s.store(out, 0, orders.zip_first(v, w))
        s.store(out, n, orders.zip_last(v, w))
        s.store(out, 2 * n, orders.evens(v, w))
        s.store(out, 3 * n, orders.odds(v, w))
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_lanes_in_another_order(dtype):
    lanes = simd.width(dtype)
    assert_equal(both(reordered, np.arange(1 + 2 * lanes).astype(dtype), np.zeros(4 * lanes, dtype)))


def transposed(s):
    def program(x, y, m, n, row):
        s.transpose(x, 1, row, m, n, y, 2, s.lanes(x) + 1)
        s.transpose(x, 1, row, m, n, y, 2 + s.lanes(x) * (s.lanes(x) + 1), s.lanes(x) // 2)
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose(dtype):
    """A whole square and parts of one; rows of y may overlap, and then the later one stands."""
    lanes = simd.width(dtype)
    x, room = numbers(1 + (lanes - 1) * (lanes + 2) + lanes, dtype), np.full(2 * (lanes + 1) ** 2, CANARY, dtype)
    for m, n in ((lanes, lanes), (1, 1), (lanes - 1, lanes + 5), (lanes + 3, lanes // 2), (2, 3)):
        last = 1 + (min(m, lanes) - 1) * (lanes + 2) + min(n, lanes)
        assert_equal(both(transposed, x[:last], room, m, n, lanes + 2))


def parts(s):
    def program(x, loaded, filled, stored):
        lanes = s.lanes(x)
        whole = s.load(x, 2)
        for count in range(-1, lanes + 3):
            at = (count + 1) * (lanes + 3)
            s.store(loaded, at, s.load_part(x, 3, count))
            s.store(filled, at, s.load_filled(x, 3, count, s.full(x, 2.5)))
            s.store_part(stored, at + 1, whole, count)
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_parts(dtype):
    lanes = simd.width(dtype)
    room = np.full((lanes + 4) * (lanes + 3), CANARY, dtype)
    assert_equal(both(parts, numbers(lanes + 3, dtype), room, room, room))


def accumulated(s):
    def program(x, sums, loaded):
        lanes = s.lanes(x)
        for count in range(-1, lanes + 3):
            at = (count + 1) * (lanes + 3)
            s.accumulate(sums, at + 1, s.load(x, 2), count)
            s.accumulate(sums, at + 1, s.full(x, 2**-24), count)
            s.store(loaded, at, s.rounded(sums, at, count, x))
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_float64_sums(dtype):
    """Sums are float64, whatever is added; no other number than the first ones changes; and they come back rounded."""
    lanes = simd.width(dtype)
    assert_equal(both(accumulated, numbers(lanes + 2, dtype), np.full((lanes + 4) * (lanes + 3), CANARY),
                      np.full((lanes + 4) * (lanes + 3), CANARY, dtype)))


def distances(s):
    def program(places, x, loaded):
        lanes = s.lanes(x)
        for count in range(-1, lanes + 3):
            s.store(loaded, (count + 1) * lanes, s.load_distances(places, 3, count, 7, x))
    return program


@pytest.mark.parametrize("kind", ["int64", "float32", "float64"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_distances(kind, dtype):
    """Small ones are exact, and large ones remain large."""
    lanes = simd.width(dtype)
    places = np.random.default_rng(0).integers(0, 1000, lanes + 3).astype(kind)
    places[3], places[4] = 2**24 + 6, -2**40
    assert_equal(both(distances, places, numbers(1, dtype), np.full((lanes + 4) * lanes, CANARY, dtype)))


def index_parts(s):
    def program(index, x, loaded, stored):
        lanes = s.lanes(x)
        for count in range(-1, lanes + 3):
            at = (count + 1) * (lanes + 3)
            s.store(loaded, at, s.load_index(index, 3, count, x))
            s.store_index(stored, at + 1, s.load(x, 1), count)
    return program


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_indices(kind, dtype):
    lanes, most = simd.width(dtype), min(np.iinfo(kind).max, 2**24)     # whole numbers that float32 can tell apart
    index = np.random.default_rng(0).integers(0, most, lanes + 3, endpoint=True).astype(kind)
    index[3], index[-1] = most, most - 1
    x = np.append(numbers(1, dtype), np.linspace(0, most, lanes).round()).astype(dtype)
    size = (lanes + 4) * (lanes + 3)
    assert_equal(both(index_parts, index, x, np.full(size, CANARY, dtype), np.full(size, 77, kind)))


def paired_cases():
    """(tiles, dtype), with words for float32 alone."""
    return [pytest.param(*tiles.values, dtype, id=f"{tiles.id}-{dtype}")
            for group, dtypes in ((TILES, DTYPES), (PAIRS, ["float32"])) for tiles in group for dtype in dtypes]


def entries(tiles, size, dtype, seed):
    """Whole numbers, or words of two."""
    if tiles.word == 1:
        return numbers(size, dtype, seed)
    return in_python.pair(numbers(size, dtype, seed), numbers(size, dtype, seed + 100))


def tile_program(tiles):
    def make(s):
        tile = s.make_tile(simd.ROWS, tiles.halves, tiles.word == 2) if s is in_python else tiles.tile

        def program(a, table, zeros, b, bias, c, at, given, bend):
            a0, t, runs, length, step, b0, bias0, c0, at0, m, n, now = given
            tile(a, a0, table, t, zeros, runs, length, step, b, b0, bias, bias0, c, c0, at, at0, m, n, bend, now)
        return program
    return make


@pytest.mark.parametrize("tiles, dtype", paired_cases())
def test_tile(tiles, dtype):
    """Any number of rows, columns, runs and products, offsets and steps; rows outside read zeros, and nothing but the
    wanted m x n numbers of c changes."""
    rows, lanes = simd.ROWS, simd.width(dtype)
    panel = tiles.halves * lanes // 2
    rng = np.random.default_rng(0)
    run = numba.njit(tile_program(tiles)(simd))
    columns = sorted({max(1, place + more) for place in (0, lanes // 2, lanes, panel) for more in (-1, 0, 1)})
    for trial in range(12 * len(columns)):
        m, n = 1 + trial % rows, columns[trial % len(columns)]
        runs, length, step = rng.integers(0, 4), rng.integers(0, 6), rng.integers(1, 4)
        a0, t, b0, bias0, c0, at0, now = *rng.integers(0, 9, 6), trial % 2
        reach = 1 + max(length - 1, 0) * step
        table = rng.integers(0, 40, t + runs * rows)
        table[rng.random(table.size) < 0.3] = -1
        width = panel + 3
        at = np.append(np.zeros(at0, np.int64), rng.permutation(rows) * width)
        arrays = (entries(tiles, a0 + 40 + reach, dtype, trial), table, np.zeros(reach, dtype),
                  entries(tiles, b0 + runs * length * panel, dtype, trial + 1),
                  numbers(bias0 + panel, dtype, trial + 2))
        ours, theirs = np.full((2, c0 + rows * width), CANARY, dtype)
        given = tuple(map(int, (a0, t, runs, length, step, b0, bias0, c0, at0, m, n, now)))
        bend = BENDS[trial % len(BENDS)]
        run(*arrays, ours, at, given, bend)
        tile_program(tiles)(in_python)(*arrays, theirs, at, given, bend)
        np.testing.assert_array_equal(ours, theirs, err_msg=str(given))


@pytest.mark.parametrize("ahead", [0, 5, 1 << 40, -(1 << 40)])
@pytest.mark.parametrize("halves, paired", [(1, False), (4, False), (6, False), (4, True)])
def test_tile_fetching(halves, paired, ahead):
    """The same numbers, wherever what is asked for lies: there may be no memory."""
    def make(s):
        tile = s.make_tile_fetching(4, halves, paired)

        def program(a, table, b, bias, c, places, bend, ahead):
            tile(a, 0, table, 0, a, 2, 3, 1, b, 0, bias, 0, c, 0, places, 0, 4, 5, bend, 1, ahead)
        return program

    panel = halves * simd.width("float32") // 2
    a, b = (in_python.pair(numbers(n, "float32", 1), numbers(n, "float32", 2)) if paired else numbers(n, "float32", 1)
            for n in (20, 6 * panel))
    table, places = np.array([0, 3, 6, 9, -1, 1, 2, 17]), np.arange(4) * 6
    given = a, table, b, numbers(panel, "float32", 3), np.full(24, CANARY, "float32"), places, RELU, ahead
    assert_equal(both(make, *given))


def plain_program(tiles, rows, compiled):
    def make(s):
        tile = s.make_tile_plain(rows, tiles.halves, tiles.word == 2) if s is in_python else compiled

        def program(a, b, c, given):
            a0, a_next, length, b0, c0 = given
            tile(a, a0, a_next, length, b, b0, c, c0)
        return program
    return make


@pytest.mark.parametrize("tiles, dtype", paired_cases())
@pytest.mark.parametrize("short", (False, True))
def test_tile_plain(tiles, short, dtype):
    panel = tiles.halves * simd.width(dtype) // 2
    rows, tile = (tiles.short_rows, tiles.tile_short) if short else (tiles.rows, tiles.tile_plain)
    make = plain_program(tiles, rows, tile)
    rng = np.random.default_rng(0)
    run = numba.njit(make(simd))
    lanes = simd.width(dtype)
    for length in (0, 1, 2, lanes - 1, lanes, lanes + 1, 3 * lanes, 3 * lanes + 2):
        a0, b0, c0, more = (int(number) for number in rng.integers(0, 9, 4))
        a_next, columns = rows * lanes + more, -(-length // lanes)
        given = a0, a_next, length, b0, c0
        a = entries(tiles, a0 + columns * a_next, dtype, length)
        b = entries(tiles, b0 + length * panel, dtype, length + 1)
        ours, theirs = np.full((2, c0 + rows * panel + 3), CANARY, dtype)
        run(a, b, ours, given)
        make(in_python)(a, b, theirs, given)
        np.testing.assert_array_equal(ours, theirs, err_msg=str(given))


def multiples_program(s):
    multiples = (python_rows if s is in_python else simd).make_multiples(3, 2)

    def program(a, b, c, given):
        a0, a_row, m, length, b0, b_row, c0, c_row = given
        multiples(a, a0, a_row, m, length, b, b0, b_row, c, c0, c_row)
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_multiples(dtype):
    """Of whole numbers; of rows that are not there nothing is read and nothing written, nor beside the two vectors of
    those that are."""
    lanes, run = simd.width(dtype), numba.njit(multiples_program(simd))
    for m, length in ((3, 7), (1, 1), (2, 4), (9, 5), (3, 0)):
        rows = min(m, 3)
        a_row, b_row, c_row, a0, b0, c0 = length + m, 2 * lanes + 3, 2 * lanes + m, m, 3, 1
        a = numbers(a0 + (rows - 1) * a_row + length, dtype, m)
        b = numbers(b0 + max(0, length - 1) * b_row + 2 * lanes, dtype, length)
        ours = numbers(c0 + (rows - 1) * c_row + 2 * lanes + 3, dtype, 9)
        theirs, given = ours.copy(), (a0, a_row, m, length, b0, b_row, c0, c_row)
        run(a, b, ours, given)
        multiples_program(in_python)(a, b, theirs, given)
        np.testing.assert_array_equal(ours, theirs, err_msg=str(given))


def dots_program(s):
    dots = (python_rows if s is in_python else simd).make_dots(3, 2)

    def program(a, b, c, given):
        a0, a_row, m, b0, b_row, there, n, c0, c_row = given
        dots(a, a0, a_row, m, b, b0, b_row, there, n, c, c0, c_row)
    return program


@pytest.mark.parametrize("dtype", DTYPES)
def test_dots(dtype):
    """Of whole numbers; rows that are not there are not read, nor is what lies behind the last one's numbers."""
    lanes, run = simd.width(dtype), numba.njit(dots_program(simd))
    for m, there, n in ((3, 2, 2 * lanes), (9, 5, lanes + 1), (1, 2, 3), (2, 1, lanes), (1, 1, 3 * lanes - 1),
                        (3, 2, 0)):
        a_row, b_row, c_row, a0, b0, c0 = n + 2, n + 5, 4, 3, 1, 2
        a = numbers(a0 + (min(m, 3) - 1) * a_row + n, dtype, m)
        b = numbers(b0 + (min(there, 2) - 1) * b_row + n, dtype, n)
        ours = numbers(c0 + c_row + 3, "float64", 9)
        theirs, given = ours.copy(), (a0, a_row, m, b0, b_row, there, n, c0, c_row)
        run(a, b, ours, given)
        dots_program(in_python)(a, b, theirs, given)
        np.testing.assert_array_equal(ours, theirs, err_msg=str(given))


def runs_program(tiles, adjacent):
    def make(s):
        ready = tiles.tile_adjacent if adjacent else tiles.tile_runs
        how = tiles.depth_rows, tiles.halves, adjacent, tiles.word == 2
        tile = s.make_tile_runs(*how) if s is in_python else ready

        def program(a, offsets, b, table, c, given):
            o, step, b0, t, runs, c0, ldc = given
            tile(a, offsets, o, step, b, b0, table, t, runs, c, c0, ldc)
        return program
    return make


@pytest.mark.parametrize("tiles, dtype, adjacent", [
    pytest.param(*case.values, adjacent, id=f"{case.id}-{adjacent}")
    for case in paired_cases() for adjacent in (False, True) if adjacent or case.values[0].word == 1])
def test_tile_runs(tiles, adjacent, dtype):
    """Any number of runs, of any length, none included; offsets may be negative as long as the sum is not."""
    rows, panel = tiles.depth_rows, tiles.halves * simd.width(dtype) // 2
    rng = np.random.default_rng(0)
    run = numba.njit(runs_program(tiles, adjacent)(simd))
    for trial in range(30):
        o, step, b0, t, c0 = (int(number) for number in rng.integers(1, 9, 5))
        runs, ldc = trial % 4, panel + trial % 3
        offsets = np.arange(o + rows) - 20 if adjacent else rng.integers(-20, 20, o + rows)
        listed = rng.integers((20, 0, 0), (40, 30, 6), (runs, 3))
        table = np.append(np.zeros(t, np.int64), listed)
        a, b = entries(tiles, 60 + 6 * step, dtype, trial), entries(tiles, b0 + 30 + 6 * panel, dtype, trial + 1)
        ours, theirs = np.tile(numbers(c0 + rows * ldc, dtype, trial + 2), (2, 1))
        given = o, step, b0, t, runs, c0, ldc
        run(a, offsets, b, table, ours, given)
        runs_program(tiles, adjacent)(in_python)(a, offsets, b, table, theirs, given)
        np.testing.assert_array_equal(ours, theirs, err_msg=str(given))


# Rows and columns that are each other's negatives, in full or in part, or equal, or hold one number alone: what the
# generator of straight-line code looks for.
SIGNS = np.array([[1, 2, 0, -1], [1, -2, 0, -1], [-1, -2, 0, 1], [0, 0, 4, 0], [1, 2, 0.5, -1], [1, 2, 0.5, -1]])
F4, F2 = matrices(4, 3), matrices(2, 3)
MATRICES = {"signs": SIGNS, "columns": SIGNS.T, "A4": F4.at, "B4": F4.bt, "F4": np.round(F4.f * 243), "B2": F2.bt,
            "one": np.array([[-3.0]])}


def transforms(matrix):
    def make(s):
        makers = python_transforms if s is in_python else simd
        plain, biased = makers.make_transform(matrix), makers.make_transform_biased(matrix)
        gathered, finished = makers.make_transform_gathered(matrix), makers.make_transform_finished(matrix)
        summed = makers.make_transform_gathered(matrix, summed=True)

        def program(x, bias, table, y, z, gathered_y, n, bends, followers):
            plain(x, 2, n * 7, n, y, 3, n * 9, n)
            gathered(x, 2, table, 1, bias, gathered_y, 3, n * 9, n)
            summed(x, 2, table, 1, bias, gathered_y, 3 + n * 80, n * 9, n)
            for k in range(4):
                biased(x, 2, n * 7, n, z, 1 + n * 80 * k, n, n * 8, bias, 2, bends[k // 2], k % 2)
            for k in range(len(followers)):
                finished(x, 2, n * 7, n, z, 1 + n * 80 * (k + 4), n, n * 8, bias, 2, followers[k])
        return program
    return make


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MATRICES)
def test_transforms(name, dtype):
    """Whole numbers, and matrices of whole numbers and halves: every order of additions gives the same."""
    n = simd.width(dtype)
    kinds = [(adding, bend, masking) for adding in (False, True) for bend in BENDS for masking in (None, *BENDS[1:4])]
    room = np.full(n * 80 * (4 + len(kinds)), CANARY, dtype)
    add, mask = numbers(room.size, dtype, 3), numbers(room.size, dtype, 4)
    followers = tuple(Epilogue(2, add, adding, bend, NO_CALL, mask, masking is not None, masking or RELU, NO_CALL)
                      for adding, bend, masking in kinds)
    x, bias = numbers(2 + 7 * 7 * n, dtype), numbers(2 + n, dtype, 1)
    size = MATRICES[name].shape[1]
    table = np.append(0, np.random.default_rng(2).integers(-1, 7 * 6, size * size) * n)
    table[table < 0] = -1  # there the vector is the first of another array
    assert_equal(both(transforms(MATRICES[name]), x, bias, table, room, room, room, n, (NO_BEND, RELU), followers))


def pairing_transforms(matrix):
    def make(s):
        makers = python_transforms if s is in_python else simd
        halved, paired = makers.make_transform_halved(matrix), makers.make_transform_paired(matrix)
        summed = makers.make_transform_paired(matrix, summed=True)

        def program(x, zeros, table, y, z, n):
            halved(x, 2, table, 1, zeros, y, 3, n * 9, n)
            paired(x, 2, table, 1, zeros, z, 3, n * 9, n)
            summed(x, 2, table, 1, zeros, z, 3 + n * 80, n * 9, n)
        return program
    return make


@pytest.mark.parametrize("name", MATRICES)
def test_transforms_into_words(name):
    """Whole numbers as above; what a number is paired with is there before."""
    n, size = simd.width("float32"), MATRICES[name].shape[1]
    x, zeros = numbers(2 + 7 * 7 * n, "float32"), numbers(n, "float32", 1)
    table = np.append(0, np.random.default_rng(2).integers(-1, 7 * 6, size * size) * n)
    table[table < 0] = -1
    room = n * 160
    outcomes = both(pairing_transforms(MATRICES[name]), x, zeros, table, np.full(room, CANARY, "float32"),
                    numbers(room, "float32", 3), n)
    assert_equal([[array.view(np.uint32) for array in arrays[3:]] for arrays in outcomes])
