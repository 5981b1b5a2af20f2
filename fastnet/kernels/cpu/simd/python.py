"""What each SIMD primitive means, in plain NumPy: run when Numba's compiler is off (``NUMBA_DISABLE_JIT=1``).

An array is followed by where in it things begin: (x, i), (a, a0), (table, t). `x_row` is how far apart rows are in x. A
*panel* is a matrix stored row by row whose rows are `halves` half vectors wide. Reads and writes outside of an array
are refused here, which the compiled primitives do not do.
"""
import numpy as np

_vector_bytes = 0
sqrt = np.sqrt      # lane by lane


def configure(vector_bytes):
    """Set the size of a vector register in bytes; `simd` does it once."""
    global _vector_bytes
    _vector_bytes = vector_bytes


def lanes(x):
    """Numbers of x's dtype in one vector."""
    return _vector_bytes // x.itemsize


def load(x, i):
    """The vector at x[i : i + lanes]."""
    return part(x, i, lanes(x)).copy()


def wide_lanes(x):
    """Numbers of x's dtype in one wide vector: that takes several registers, so that there is something to do while one
    of them waits. Here it is as any other."""
    return lanes(x)


def load_wide(x, i):
    """The wide vector at x[i : i + wide_lanes]; all that works lane by lane takes it, and `store`."""
    return load(x, i)


def load_part(x, i, n):
    """A vector of x[i : i + n], zeros behind it; only min(n, lanes) elements are read, none where n <= 0."""
    n = min(max(n, 0), lanes(x))
    v = np.zeros(lanes(x), x.dtype)
    if n:
        v[:n] = part(x, i, n)
    return v


def load_filled(x, i, n, v):
    """`load_part` with the lanes of v behind the n numbers."""
    return np.where(np.arange(lanes(x)) < n, load_part(x, i, n), v)


def store(x, i, v):
    """Write the vector v to x[i : i + lanes]."""
    part(x, i, lanes(x))[:] = v


def store_part(x, i, v, n):
    """Write the first min(n, lanes) numbers of v to x[i : i + n]; nothing where n <= 0."""
    n = min(max(n, 0), lanes(x))
    if n:
        part(x, i, n)[:] = v[:n]


stream_part = store_part    # past the caches, where x[i] is aligned like a vector: for more than caches hold


def accumulate(sums, i, v, n):
    """Add the first min(n, lanes) numbers of v to sums[i : i + n], which are float64; nothing where n <= 0."""
    n = min(max(n, 0), len(v))
    if n:
        part(sums, i, n)[:] += v[:n]


def rounded(sums, i, n, x):
    """`load_part` of float64 sums, as a vector of x's dtype."""
    n = min(max(n, 0), lanes(x))
    v = np.zeros(lanes(x), x.dtype)
    if n:
        v[:n] = part(sums, i, n)
    return v


def prefetch(x, i):
    """Ask for x[i] to be brought into the second cache, and do not wait for it."""


def full(x, value):
    """A vector of x's dtype with every lane equal to value; as wide as x where that is a vector itself."""
    return np.full(lanes(x), value, x.dtype)


def fma(a, b, c):
    """a * b + c, lane by lane (rounded once where the host can)."""
    return a * b + c


def plus(v, w):
    """v + w, lane by lane, of numbers as they are: the compiler makes no `fma` of it where one is a product."""
    return v + w


def relu(v):
    """max(v, 0), lane by lane; NaN stays NaN."""
    return np.where(v < 0, v.dtype.type(0), v)


def positive(v, m):
    """0 where m <= 0, else v, where m is NaN too."""
    return np.where(m <= 0, v.dtype.type(0), v)


def bound(v, bend):
    """The first steps of a Bend: `least` where v is below it, `largest` where it is above that, else v. NaN stays NaN;
    as a bound it is none."""
    v = np.where(bend.least > v, v.dtype.type(bend.least), v)
    return np.where(bend.largest < v, v.dtype.type(bend.largest), v)


def bent(v, bend):
    """The piecewise linear activation of v that a Bend stands for, see `activations.Bend`."""
    v = bound(v, bend)
    return np.where(v > 0, v, v * v.dtype.type(bend.factor)) if bend.sloped else v


def finish(v, added, output, epilogue, sloped):
    """v after the steps of an Epilogue that are done in registers: `added` is added if `epilogue.adding`, the
    activation `epilogue.bend` is applied, and if `epilogue.masked`, the result is multiplied by the derivative of
    `epilogue.masking`, whose output was `output`. sloped = 0 promises that neither Bend is sloped."""
    if not sloped and (epilogue.bend.sloped or epilogue.masking.sloped):
        raise ValueError(f"{epilogue} is sloped")
    v = bent(v + added if epilogue.adding else v, epilogue.bend)
    return unbend(v, output, epilogue.masking) if epilogue.masked else v


def unbend(g, y, bend):
    """g times the derivative of a Bend whose output was y: 0 where y <= least or y >= largest; elsewhere g, and where
    it is sloped and y not above 0, g times `factor`. A bound that is NaN is never reached, and a y that is NaN reaches
    none."""
    share = np.where(y > 0, g, g * g.dtype.type(bend.factor)) if bend.sloped else g
    return np.where((y <= bend.least) | (y >= bend.largest), g.dtype.type(0), share)


def through(g, v, bend, sloped):
    """`unbend` by the activation's input v in place of its output. sloped = 0 promises that the Bend is not sloped."""
    if bend.sloped and not sloped:
        raise ValueError(f"{bend} is sloped")
    return unbend(g, bent(v, bend), bend)


size = np.abs


def quotient(v, w):
    """v / w within a unit in the last place, quicker than that, for finite v and for w between 2^-120 and 2^120; of a 0
    the sign may get lost."""
    return v / w


def clip(v, low, high):
    """v, or whichever of the bounds it is beyond; NaN stays NaN."""
    return np.where(v > high, high, np.where(v < low, low, v))


def pick(v, w, a, b):
    """a where v > w, or v is NaN and w is not, else b."""
    return np.where((v > w) | (np.isnan(v) & ~np.isnan(w)), a, b)


def above(v, w, a, b):
    """a where v > w, else b."""
    return np.where(v > w, a, b)


def has_nan(v):
    """Whether a lane is NaN."""
    return bool(np.isnan(v).any())


def matching(v, a, b):
    """v where a == b, else 0."""
    return np.where(a == b, v, v.dtype.type(0))


def load_distances(places, i, n, base, x):
    """How far n of the places are from `base`, and 0 behind them, as a vector of x's dtype: exact where that is less
    than 2^24, and never less than that where it is more. -1 for a place that is no integer."""
    n = min(max(n, 0), lanes(x))
    v = np.zeros(lanes(x), x.dtype)
    if n:
        far = part(places, i, n) - places.dtype.type(base)
        v[:n] = far if far.dtype.kind == "i" else np.where(np.trunc(far) == far, far, -1)
    return v


def load_index(index, i, n, x):
    """`load_part` of an array of small unsigned integers, as a vector of x's dtype."""
    n = min(max(n, 0), lanes(x))
    v = np.zeros(lanes(x), x.dtype)
    if n:
        v[:n] = part(index, i, n)
    return v


def store_index(index, i, v, n):
    """`store_part` of whole numbers into an array of small unsigned integers."""
    n = min(max(n, 0), len(v))
    if n:
        part(index, i, n)[:] = v[:n]


def transpose(x, x0, x_row, m, n, y, y0, y_row):
    """y[y0 + j * y_row + i] = x[x0 + i * x_row + j] for i, j < lanes: a square, rows becoming columns.

    Only rows i < m, at least one, and numbers j < n of them are read: a row behind them is taken for the first one,
    a number for zero. All of the square is written, in the order of j.
    """
    square = [load_part(x, x0 + (i if i < m else 0) * x_row, n) for i in range(lanes(x))]
    for j, column in enumerate(np.transpose(square)):
        store(y, y0 + j * y_row, column)


def total(v):
    """The sum of the lanes, in halves: the same order on every run."""
    while len(v) > 1:
        v = v[: len(v) // 2] + v[len(v) // 2:]
    return v[0]


def largest(v):
    """The largest lane; NaN where one of them is."""
    return np.max(v)


def load_short(words, i, n):
    """A vector of the bfloat16 numbers i, i + 1, ... of an array of words, two in each, the even one in the lower half;
    `load_part` otherwise. i and n are even."""
    n = min(max(n, 0), lanes(words))
    v = np.zeros(lanes(words), np.float32)
    if n:
        v[:n] = apart(part(words, i // 2, n // 2), 0)
    return v


def store_short(words, i, v, w, n, far):
    """Write n numbers, those of v and behind them those of w, rounded to nearest, as `load_short` finds them; past the
    caches if `far`. At most 2 lanes are written, none where n <= 0. i and n are even."""
    n, both = min(max(n, 0), 2 * lanes(words)), np.concatenate([v, w])
    if n:
        part(words, i // 2, n // 2)[:] = pair(both[0: n: 2], both[1: n: 2])


def pair(v, w):
    """Words that hold two bfloat16 numbers each, v rounded to nearest in the lower half and w in the upper one."""
    return ((rounded_bits(v) >> 16) | rounded_bits(w)).view(np.float32)


def low(words):
    """The lower numbers of a vector of words, as float32."""
    return (words.view(np.uint32) << 16).view(np.float32)


def high(words):
    """The upper ones."""
    return (words.view(np.uint32) & 0xFFFF0000).view(np.float32)


def rounded_bits(v):
    """Bits of float32 numbers rounded to bfloat16, to nearest and ties to even."""
    bits = np.ascontiguousarray(v, np.float32).view(np.uint32)
    nearest = bits.astype(np.uint64) + 0x7FFF + (bits >> 16 & 1)
    return np.where(np.isnan(v), bits | 0x400000, nearest).astype(np.uint32) & np.uint32(0xFFFF0000)


def apart(words, axis):
    """Words as twice as many float32 numbers along an axis."""
    words = np.ascontiguousarray(words)
    shape = [size * (1 + (i == axis)) for i, size in enumerate(words.shape)]
    return np.stack([low(words), high(words)], axis + 1).reshape(shape)


def make_tile(rows, halves, paired=False):
    """The tile with that many rows, and half vectors to a row; of `paired` numbers if asked for."""

    def tile(a, a0, table, t, zeros, runs, length, step, b, b0, bias, bias0, c, c0, places, p, m, n, bend, now):
        """c[c0 + places[p + i] + j] = bias[bias0 + j] + sum over r < runs and l < length of
        row_ri[l * step] * b[b0 + (r * length + l) * panel + j], for i < m and j < n, and with now != 0 its `bend`.

        row_ri starts at a[a0 + table[t + r * rows + i]], or at zeros[0] where that entry is negative. Of a only rows
        i < m are read, of c only m x n numbers written; m is at least 1. In a convolution a run is a tap, `length` the
        channels of a pixel, and the table says where the pixel is that row i meets under the tap. Paired: of words.
        """
        panel = halves * lanes(b) // 2
        acc = np.tile(part(bias, bias0, panel), (rows, 1))
        for r in range(runs):
            left = np.empty((rows, length), a.dtype)
            for i in range(rows):
                start = table[t + r * rows + (i if i < m else 0)]
                source, start = (zeros, 0) if start < 0 else (a, a0 + start)
                left[i] = part(source, start, (length - 1) * step + 1)[::step] if length else 0
            right = part(b, b0 + r * length * panel, length * panel).reshape(length, panel)
            acc += apart(left, 1) @ apart(right, 0) if paired else left @ right
        if now:
            acc = bent(acc, bend)
        n = min(n, panel)
        for i in range(min(m, rows)):
            part(c, c0 + places[p + i], n)[:] = acc[i, :n]

    return tile


def make_tile_fetching(rows, halves, paired=False):
    """The tile that with each row of b asks for the line of memory `ahead` numbers further on."""
    tile = make_tile(rows, halves, paired)

    def tile_fetching(*operands):
        """`tile`, whose arguments are followed by `ahead`: which is not looked at, wherever it points."""
        tile(*operands[:-1])

    return tile_fetching


def make_tile_plain(rows, halves, paired=False):
    """The tile without bias, edges or anything else that short products cannot pay for, for rows a constant apart; of
    `paired` numbers if asked for."""

    def tile_plain(a, a0, a_next, length, b, b0, c, c0):
        """c[c0 + i * panel + j] = sum over l < length of
        a[a0 + l // lanes * a_next + i * lanes + l % lanes] * b[b0 + l * panel + j], for all i < rows and j < panel.

        Row i of a is cut into vectors, `a_next` numbers from one to the next; those of all rows lie side by side. If
        paired, a and b hold words, see `pair`, and a product of two words is that of the lower numbers and that of the
        upper ones.
        """
        count, panel = lanes(a), halves * lanes(b) // 2
        columns = -(-length // count)
        if not length:
            part(c, c0, rows * panel)[:] = 0
            return
        left = np.stack([part(a, a0 + k * a_next, rows * count).reshape(rows, count) for k in range(columns)], axis=1)
        left = left.reshape(rows, -1)[:, :length]
        right = part(b, b0, length * panel).reshape(length, panel)
        product = apart(left, 1) @ apart(right, 0) if paired else left @ right
        part(c, c0, rows * panel)[:] = product.reshape(-1)

    return tile_plain


def make_tile_runs(rows, halves, adjacent, paired=False):
    """The accumulating tile with that many rows, and half vectors to a row; `adjacent` wants offsets that follow each
    other, `paired` products of words as in `make_tile_plain`."""

    def tile_runs(a, offsets, o, step, b, b0, table, t, runs, c, c0, c_row):
        """c[c0 + i * c_row + j] += sum over r < runs and l < n_r of
        a[a_r + offsets[o + i] + l * step] * b[b0 + b_r + l * panel + j], for all i < rows and j < panel,

        with (a_r, b_r, n_r) = table[t + 3 * r : t + 3 * r + 3].
        """
        panel = halves * lanes(b) // 2
        if adjacent and (np.diff(offsets[o: o + rows]) != 1).any():
            raise IndexError(f"rows at {offsets[o: o + rows]} are not adjacent")
        for r in range(runs):
            a_r, b_r, n = (table[t + 3 * r + k] for k in range(3))
            if n > 0:
                right = part(b, b0 + b_r, n * panel).reshape(n, panel)
                for i in range(rows):
                    left = part(a, a_r + offsets[o + i], (n - 1) * step + 1)[::step]
                    product = apart(left, 0) @ apart(right, 0) if paired else left @ right
                    part(c, c0 + i * c_row, panel)[:] += product

    return tile_runs


def part(x, i, n):
    """x[i : i + n], refused where it does not lie inside: the compiled primitives would read foreign memory."""
    if i < 0 or i + n > x.size:
        raise IndexError(f"a primitive wants elements {i} to {i + n} of an array of {x.size}")
    return x[i: i + n]
