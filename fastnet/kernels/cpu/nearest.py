"""The nearest rows: distances of each row of x to all rows of a table, the k smallest kept as they come.

    x (N, C), rows (M, C), both flat, uint8, float32 or float64; distances and index (N, k)

What decides is a distance in float64, added up from differences, so equal rows are at distance 0 and no small distance
drowns in large numbers. To work that out for all pairs takes long, so L2 goes through the register tile first:

    |a - b|^2 = |a|^2 + |b|^2 - 2 a b        a, b less the `center`, a mean of some rows

That is in float32, whatever x is, and may be wrong by `slack` (|a|^2 + |b|^2) at most. Where it is so large that the
row cannot be among the k nearest whatever was rounded, the row is done with; all others are looked at again, by
differences: the first k, then row i with a chance of about k / i. L1, and L2 for a few rows of x, look at all pairs so.

A block owns some rows of x and one part of the table; for each of its rows of x it keeps the k nearest of that part in
a *heap*, in which entry i comes later than entries 2 i + 1 and 2 i + 2, so that the last of all stands first. In the
end the heaps of all parts are joined. Nothing but the numbers decides who is kept, so threads and parts do not matter.
"""
import functools
import math
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, copies, shapes
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.activations import NO_BEND, Bend
from fastnet.kernels.cpu.linear import FEW_SAMPLES, Columns, copy_panel
from fastnet.kernels.cpu.runtime import empty, jit, launch, readable, regrouped, scratch

_FLOAT32 = np.dtype(np.float32)
# Rows of x that a block owns at most, through tiles and by differences, and numbers of them.
_TILES, _ROWS, _NUMBERS = 10, 16, 1 << 19
# How many blocks are enough, and rows that a part has at least, since each begins with a look at k of them.
_BLOCKS, _PART = 16, 2048
# Rows of the table whose mean is the center.
_SAMPLE = 64
# Rows of a block of the launches before and after; a multiple of any panel's width.
_SOME, _WIDEST = 64, 64


def nearest_rows(x, rows, k, metric="l2"):
    """The k smallest distances of each row of x, in order, and the rows of the table that they are to."""
    x, rows = checks.bytes_or_floating(x, "x"), checks.bytes_or_floating(rows, "rows")
    if x.dtype != rows.dtype:
        x = checks.floating(x, "x")
        rows = checks.floating(rows, "rows", like=x)
    distances, index = shapes.nearest_rows(x, rows, k, metric)
    (n, k), (m, c) = distances.shape, rows.shape
    tiled = metric == "l2" and n > FEW_SAMPLES
    search = _search(n, m, c, k, tiled)
    data = _Data(*(readable(copies.in_order(array), array.dtype)[0] for array in (x, rows)))
    heaps = _Heaps(empty(n * search.parts * k, np.float64), empty(n * search.parts * k, np.int64))
    blocks, work = -(-n // search.group) * search.parts, n * m * c // simd.width(_FLOAT32)
    if tiled:
        _by_tiles(data, heaps, search, blocks, work)
    else:
        launch(_difference_kernel(metric), blocks, data, heaps, search, work=work)
    y, places = empty((n, k), distances.dtype), empty((n, k), index.dtype)
    launch(_finish, -(-n // _SOME), heaps, y.reshape(-1), places.reshape(-1), search, metric == "l2",
           work=heaps.far.size)
    return y, places


class _Search(NamedTuple):
    """How many rows of x, of the table, numbers of a row, and rows wanted; rows of x that a block owns, parts of the
    table, and rows of each."""

    n: int
    m: int
    c: int
    k: int
    group: int
    parts: int
    length: int


class _Data(NamedTuple):
    """What is searched for, and where."""

    x: np.ndarray
    rows: np.ndarray


class _Heaps(NamedTuple):
    """Heap p of row i of x is entries (i parts + p) k and so on: distances, squared for L2, and rows of the table."""

    far: np.ndarray
    row: np.ndarray


class _Tables(NamedTuple):
    """What tiles start from: -|b|^2 / 2 less its slack; and where rows of a block's x start, and those of a tile."""

    center: np.ndarray
    lows: np.ndarray
    reads: np.ndarray
    writes: np.ndarray


class _Room(NamedTuple):
    """Scratch memory: rows of x and of the table less the center, a panel of these, a tile, and |a|^2 less its slack.
    """

    x: np.ndarray
    rows: np.ndarray
    panel: np.ndarray
    tile: np.ndarray
    lows: np.ndarray


class _Bounds(NamedTuple):
    """What may be rounded, as a share of |a|^2 + |b|^2, and where numbers are too small to be rounded in proportion;
    squares up to `most` are sure not to become infinite. And the activation of a tile, which is none."""

    slack: float
    least: float
    most: float
    bend: Bend


class _Query(NamedTuple):
    """A row of x, where its heap is, and |a|^2 less its slack."""

    i: int
    root: int
    low: float


def _search(n, m, c, k, tiled):
    most = max(1, min(_TILES, _NUMBERS // (c * simd.ROWS))) * simd.ROWS if tiled else _ROWS
    groups = -(-n // most)
    whole = simd.ROWS if tiled else 1
    group = -(-n // (groups * whole)) * whole
    parts = min(-(-_BLOCKS // groups), -(-m // max(_PART, k)))
    length = -(-m // (parts * _WIDEST)) * _WIDEST
    return _Search(n, m, c, k, group, -(-m // length), length)


def _by_tiles(data, heaps, search, blocks, work):
    """Fill the heaps with squared distances."""
    tiles, info, c = simd.tiles_for(search.m, _FLOAT32), np.finfo(np.float32), search.c
    panel = tiles.halves * simd.width(_FLOAT32) // 2
    # A product of rows is wrong by up to (c + 1) eps / 2 times |a| |b| + |b|^2 / 2, and it counts twice; taking the
    # center away, and what else is rounded, adds some eps, the sums in float64 less.
    bounds = _Bounds((c + 16) * float(info.eps), 4 * (c + 2) * float(info.tiny), float(info.max) / 64, NO_BEND)
    tables = _Tables(empty(c, data.rows.dtype), empty(-(-search.m // panel) * panel, _FLOAT32),
                     np.arange(search.group) * c, np.arange(simd.ROWS) * panel)
    launch(_mean_of_some, -(-c // _SOME), data.rows, tables.center, search, work=_SAMPLE * c)
    launch(_measure, -(-search.m // _SOME), data.rows, tables, search, bounds, work=search.m * c)
    room = _Room(*(scratch(size, _FLOAT32, work, which) for which, size in enumerate(
        (search.group * c, panel * c, (c + simd.width(_FLOAT32)) * panel, simd.ROWS * panel))),
        scratch(search.group, np.float64, work))
    launch(_tile_kernel(tiles), blocks, data, heaps, tables, room, search, bounds, work=work)


# Distances

@regrouped
def _squares(x, i, rows, j, c):
    """The sum of (x[i + t] - rows[j + t])^2 over t < c; infinite where that is no number."""
    a, b, total = x[i:i + c], rows[j:j + c], 0.0
    for t in range(c):
        difference = np.float64(a[t]) - np.float64(b[t])
        total += difference * difference
    return total if total == total else math.inf


@regrouped
def _magnitudes(x, i, rows, j, c):
    """The sum of |x[i + t] - rows[j + t]|."""
    a, b, total = x[i:i + c], rows[j:j + c], 0.0
    for t in range(c):
        total += abs(np.float64(a[t]) - np.float64(b[t]))
    return total if total == total else math.inf


# Heaps

@jit
def _later(far, row, other_far, other_row):
    return far > other_far or (far == other_far and row > other_row)


@jit
def _sink(heaps, root, size, far, row):
    """Put an entry in the place of the last one of a heap of that size, which starts at `root`."""
    i = 0
    while 2 * i + 1 < size:
        child = root + 2 * i + 1
        if 2 * i + 2 < size and _later(heaps.far[child + 1], heaps.row[child + 1], heaps.far[child], heaps.row[child]):
            child += 1
        if not _later(heaps.far[child], heaps.row[child], far, row):
            break
        heaps.far[root + i], heaps.row[root + i] = heaps.far[child], heaps.row[child]
        i = child - root
    heaps.far[root + i], heaps.row[root + i] = far, row


@jit
def _offer(heaps, root, k, far, row):
    """Keep an entry if it comes before the last one."""
    if _later(heaps.far[root], heaps.row[root], far, row):
        _sink(heaps, root, k, far, row)


@jit
def _clear(heaps, first, count, part, search):
    """Heaps of that many rows of x, with entries that come after all others."""
    for i in range(first, first + count):
        root = (i * search.parts + part) * search.k
        for at in range(root, root + search.k):
            heaps.far[at], heaps.row[at] = math.inf, search.m


@jit
def _finish(block, slot, heaps, y, index, search, squared):
    """Join the heaps of some rows of x, and sort them: the last one goes to the end, again and again."""
    parts, k = search.parts, search.k
    for i in range(block * _SOME, min((block + 1) * _SOME, search.n)):
        root = i * parts * k
        for at in range(root + k, root + parts * k):
            _offer(heaps, root, k, heaps.far[at], heaps.row[at])
        for last in range(k - 1, -1, -1):
            far, row = heaps.far[root], heaps.row[root]
            y[i * k + last], index[i * k + last] = math.sqrt(far) if squared else far, row
            _sink(heaps, root, last, heaps.far[root + last], heaps.row[root + last])


# By differences

@functools.cache
def _difference_kernel(metric):
    distance = _magnitudes if metric == "l1" else _squares

    def nearest(block, slot, data, heaps, search):
        """Every row of a part for some rows of x."""
        part, first, c = block % search.parts, block // search.parts * search.group, search.c
        count = min(search.group, search.n - first)
        _clear(heaps, first, count, part, search)
        for row in range(part * search.length, min((part + 1) * search.length, search.m)):
            for i in range(first, first + count):
                far = distance(data.x, i * c, data.rows, row * c, c)
                _offer(heaps, (i * search.parts + part) * search.k, search.k, far, row)

    nearest.__qualname__ = f"nearest_{metric}"
    return jit(nearest)


# Through tiles

@jit
def _mean_of_some(block, slot, rows, center, search):
    """Some numbers of the center. Any center would do; near the middle, little is rounded."""
    step = max(1, search.m // _SAMPLE)
    for t in range(block * _SOME, min((block + 1) * _SOME, search.c)):
        total, count = 0.0, 0
        for row in range(0, search.m, step):
            total += rows[row * search.c + t]
            count += 1
        center[t] = total / count


@jit
def _measure(block, slot, rows, tables, search, bounds):
    """What tiles start from for some rows. A row too far away for the tile's numbers gets an infinity, which is larger
    than anything that could rule it out."""
    for row in range(block * _SOME, min((block + 1) * _SOME, search.m)):
        square = _squares(rows, row * search.c, tables.center, 0, search.c)
        tables.lows[row] = -square * (1 - bounds.slack) / 2 if square < bounds.most else math.inf


@jit
def _centered(x, i, center, y, j, c):
    """y[j + t] = x[i + t] - center[t], rounded when that is done: what float64 tells apart is in the digits behind."""
    a, b = x[i:i + c], y[j:j + c]
    for t in range(c):
        b[t] = np.float64(a[t]) - np.float64(center[t])


@functools.cache
def _tile_kernel(tiles):
    tile, halves = tiles.tile, tiles.halves

    def nearest_by_tiles(block, slot, data, heaps, tables, room, search, bounds):
        """Every row of a part for some rows of x: a panel of rows, a tile, a look at what came out."""
        part, first, c, lanes = block % search.parts, block // search.parts * search.group, search.c, simd.lanes(room.x)
        count, panel = min(search.group, search.n - first), halves * simd.lanes(room.x) // 2
        x_at, rows_at, panel_at = slot * search.group * c, slot * panel * c, slot * (c + lanes) * panel
        tile_at, low_at = slot * simd.ROWS * panel, slot * search.group
        _clear(heaps, first, count, part, search)
        for i in range(count):
            _centered(data.x, (first + i) * c, tables.center, room.x, x_at + i * c, c)
            square = _squares(data.x, (first + i) * c, tables.center, 0, c)
            low = square * (1 - bounds.slack) - bounds.least
            room.lows[low_at + i] = low if square < bounds.most else -math.inf
        for left in range(part * search.length, min((part + 1) * search.length, search.m), panel):
            n = min(panel, search.m - left)
            for j in range(n):
                _centered(data.rows, (left + j) * c, tables.center, room.rows, rows_at + j * c, c)
            copy_panel(room.rows, Columns(rows_at, c, c, n, True), panel, room.panel, panel_at)
            for i in range(0, count, simd.ROWS):
                m = min(simd.ROWS, count - i)
                tile(room.x, x_at, tables.reads, i, room.x, 1, c, 1, room.panel, panel_at, tables.lows, left,
                     room.tile, tile_at, tables.writes, 0, m, n, bounds.bend, False)
                for one in range(m):
                    row = first + i + one
                    query = _Query(row, (row * search.parts + part) * search.k, room.lows[low_at + i + one])
                    _look(data, heaps, room, query, left, n, tile_at + one * panel, search)

    nearest_by_tiles.__qualname__ = f"nearest_by_tiles_{halves}"
    return jit(nearest_by_tiles)


@jit
def _look(data, heaps, room, query, left, n, at, search):
    """Of n rows from `left` on those that may be near to a row of x, by what a tile has made: a b - |b|^2 / 2."""
    root, c, lanes = query.root, search.c, simd.lanes(room.tile)
    for j in range(0, n, lanes):
        least = (query.low - heaps.far[root]) / 2
        if not simd.largest(simd.load_part(room.tile, at + j, n - j)) < least:
            for row in range(j, min(j + lanes, n)):
                if not room.tile[at + row] < least:
                    far = _squares(data.x, query.i * c, data.rows, (left + row) * c, c)
                    _offer(heaps, root, search.k, far, left + row)
                    least = (query.low - heaps.far[root]) / 2
