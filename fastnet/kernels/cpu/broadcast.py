"""Products with arrays of which some axes have length 1, PReLU, means; and the sums over such axes.

In memory neighbouring axes are one where both, or neither, of the arrays have their full length: a *fold*. So an
array a and a smaller one b are a matter of three numbers for each row of a,

    b whole along the last fold     a (.., rows, inner), b (.., inner)      a row of a meets a row of b
    b of length 1 along it             a (.., rows, inner), b (.., rows)       a row of a meets a number of b

and of a table that tells where b's part for each of the outermost places starts. Channels of images: (N, C, 1, 1)
against (N, C, H, W) is the first kind, N times; (N, 1, H, W) is the second.

Sums run over one fold after the other, from the last one on: in float64 from short chains, see `sums`; along the last
fold, where all of an array may come to one number and cancel on the way, in float64 throughout.
"""
import functools
import math
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import (
    Launch,
    Sweep,
    empty,
    empty_images,
    flat,
    in_words,
    inlined,
    jit,
    kept,
    like,
    named,
    scratch,
)

# Numbers of a block; columns that a block of a sum has at most, and how many blocks are enough for one.
_BLOCK, _COLUMNS, _ENOUGH = 16_384, 256, 64
# The least that a part of a sum is worth a block.
_LEAST = 4096
# How many vectors of one sum are added up side by side, so that none waits for the one before.
_SIDE = 4


def multiply(a, b, shared=None):
    """a b, in the shape of a; b may have length 1 in some axes. What is `shared`, an array like b, is added: each of
    its numbers over how many of a it is for, as in `mean_backward`."""
    a = checks.floating(a, "a")
    b = checks.floating(b, "b", like=a)
    shapes.multiply(a, b)
    shared = checks.operand(shared, b.shape, "shared", like=a)
    y = like(a)
    value, c = (_product, None) if shared is None else (_product_and_share, flat(shared))
    _spread(value, a.shape, b.shape, a.dtype, a.size // b.size)(flat(a), None, flat(b), flat(y), c)
    return y


def multiply_backward(dy, a, b_shape):
    """db: the sum of dy a over the axes in which b has length 1."""
    dy = checks.floating(dy, "dy")
    a = checks.floating(a, "a", like=dy)
    kind = shapes.multiply_backward(dy, a, b_shape)
    if kind.shape == dy.shape:
        return multiply(dy, a)
    return _shaped(_sums(_products, dy.shape, kind.shape, dy.dtype)(flat(dy), flat(a)), kind.shape)


def prelu_forward(x, w):
    """y = x where x > 0, else w x."""
    x = checks.floating(x, "x")
    w = checks.floating(w, "w", like=x)
    shapes.prelu_forward(x, w)
    y = like(x)
    _spread(_prelu, x.shape, _along(w, x), x.dtype)(flat(x), None, flat(w), flat(y))
    return y


def prelu_backward(dy, x, w):
    """dx = dy where x > 0, else w dy; dw = the sum of dy x over where x is not above 0."""
    dy = checks.floating(dy, "dy")
    x, w = checks.floating(x, "x", like=dy), checks.floating(w, "w", like=dy)
    shapes.prelu_backward(dy, x, w)
    dx, along = like(dy), _along(w, x)
    _spread(_prelu_gradient, x.shape, along, dy.dtype)(flat(x), flat(dy), flat(w), flat(dx))
    return dx, _sums(_prelu_products, x.shape, along, dy.dtype)(flat(x), flat(dy)).reshape(w.shape)


def mean(x, dims):
    """The mean over these axes, which are left with length 1."""
    x = checks.floating(x, "x")
    shape = shapes.mean(x, dims).shape
    count = prod(x.shape[dim] for dim in dims)
    return _shaped(_sums(_numbers, x.shape, shape, x.dtype, count)(flat(x), flat(x)), shape)


def mean_backward(dy, x_shape, dims):
    """dy over the number of elements that each mean is of."""
    dy = checks.floating(dy, "dy")
    shape = shapes.mean_backward(dy, x_shape, dims).shape
    count = prod(shape[dim] for dim in dims)
    dx = empty_images(*shape, dy.dtype) if len(shape) == 4 else empty(shape, dy.dtype)
    _spread(_share, shape, dy.shape, dy.dtype, count)(None, None, flat(dy), flat(dx))
    return dx


def _along(w, x):
    """The shape in which w meets x."""
    return (1, w.size, *[1] * (x.ndim - 2)) if w.size > 1 else (1,) * x.ndim


def _shaped(numbers, shape):
    """Flat numbers as an array of that shape."""
    if len(shape) != 4:
        return numbers.reshape(shape)
    n, c, h, w = shape
    return numbers.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def _folds(shape, small):
    """[length, whether the smaller array is as long] of the folds of axes, in memory order; at least one."""
    order = (0, 2, 3, 1) if len(shape) == 4 else range(len(shape))
    return _joined([(shape[axis], small[axis] == shape[axis]) for axis in order])


def _joined(folds):
    """Runs of which neighbours differ."""
    found = []
    for length, whole in folds:
        if length == 1:
            continue
        if found and found[-1][1] == whole:
            length *= found.pop()[0]
        found.append((length, whole))
    return found or [(1, True)]


# Each number of a with one of b

class _Meeting(NamedTuple):
    """Rows of `inner` numbers, of which `middle` in a row belong to one entry of the table; a block takes `lines` rows,
    or one of the `parts` of one. `repeated`: b has a row for them, which is the same for all of these rows."""

    rows: int
    inner: int
    middle: int
    lines: int
    parts: int
    repeated: int


class _Operands(NamedTuple):
    """Those of the shape of y, and smaller ones."""

    a: np.ndarray
    g: np.ndarray
    b: np.ndarray
    c: np.ndarray


class _Spread:
    """y = value(a, g, b, c) for arrays a, g and y of one shape and smaller b and c, all worked out but the numbers. Of
    a and g one that is missing is the one number `count`; c may be left out."""

    def __init__(self, value, shape, small, dtype, count=1):
        *outer, inner = _folds(shape, small)
        middle = outer.pop() if outer else (1, not inner[1])
        starts = np.zeros(1, np.int64)
        for length, whole in outer:
            starts = (starts[:, None] * (length if whole else 1) + np.arange(length) * whole).reshape(-1)
        step = inner[0] if inner[1] else middle[0]
        rows, parts = len(starts) * middle[0], -(-inner[0] // _BLOCK)
        lines = max(1, _BLOCK // inner[0])
        self.starts, self.count = starts * step, np.array([count], dtype)
        self.plan = in_words(_Meeting(rows, inner[0], middle[0], lines, parts, int(inner[1])))
        self.launch = Launch(_meeting(value), -(-rows // lines) * parts, rows * inner[0])

    def __call__(self, a, g, b, y, c=None):
        a, g = (self.count if one is None else one for one in (a, g))
        self.launch(_Operands(a, g, b, b if c is None else c), y, self.starts, self.plan)


_spread = kept(_Spread)


@functools.cache
def _meeting(value):
    def meeting(block, slot, operands, y, starts, numbers):
        """Some rows, or a part of one."""
        a, g, b, c = operands
        plan, far = named(_Meeting, numbers), spans.is_far(y)
        first, left = block // plan.parts * plan.lines, block % plan.parts * _BLOCK
        right, place, row = min(left + _BLOCK, plan.inner), first // plan.middle, first % plan.middle
        for at in range(first, min(first + plan.lines, plan.rows)):
            start = at * plan.inner
            if plan.repeated:
                other = starts[place]
                for i in range(left, right, simd.lanes(y)):
                    w, u = simd.load_part(b, other + i, right - i), simd.load_part(c, other + i, right - i)
                    spans.put(y, start + i, value(a, g, start + i, right - i, w, u), right - i, far)
            else:
                w, u = simd.full(y, b[starts[place] + row]), simd.full(y, c[starts[place] + row])
                for i in range(left, right, simd.lanes(y)):
                    spans.put(y, start + i, value(a, g, start + i, right - i, w, u), right - i, far)
            row += 1
            if row == plan.middle:
                place, row = place + 1, 0

    meeting.__qualname__ = f"meeting_{value.__name__}"
    return jit(meeting)


@inlined
def _product(a, g, at, n, w, u):
    return simd.load_part(a, at, n) * w


@inlined
def _product_and_share(a, g, at, n, w, u):
    """g is one number: how many share."""
    return simd.plus(simd.load_part(a, at, n) * w, u / simd.full(a, g[0]))


@inlined
def _prelu(a, g, at, n, w, u):
    v = simd.load_part(a, at, n)
    return simd.pick(v, simd.full(a, 0), v, v * w)


@inlined
def _prelu_gradient(a, g, at, n, w, u):
    v, dy = simd.load_part(a, at, n), simd.load_part(g, at, n)
    low = simd.clip(v, simd.full(a, -math.inf), simd.full(a, 0))    # v itself where it is not above 0, or NaN
    return simd.pick(v, low, dy, dy * w)


@inlined
def _share(a, g, at, n, w, u):
    """a is one number: how many share."""
    return w / simd.full(a, a[0])


# Sums

class _Part(NamedTuple):
    """A sum over `rows` numbers that lie `columns` apart in memory, for each of these columns, `outer` times; or, where
    `columns` is 0, over `rows` that lie side by side. Each is cut into `parts` of `lines` numbers. A block takes some
    columns, `across` blocks all of them; or `together` of the sums. The last step of all divides by `count`."""

    outer: int
    rows: int
    columns: int
    parts: int
    lines: int
    across: int
    together: int
    count: int

    @property
    def sweep(self):
        """Over the numbers that columns are made of."""
        return Sweep.of_rows(0, self.outer, self.rows, self.columns, self.lines, self.parts) if self.columns else None


class _Sums:
    """The sums of value(a, g) over all folds in which the smaller shape has length 1, divided by `count`, as flat
    numbers of a dtype, all worked out but the numbers."""

    def __init__(self, value, shape, small, dtype, count=1):
        folds, self.steps = _folds(shape, small), []
        if all(whole for _, whole in folds):
            folds = [*folds, (1, False)]      # sums of one number each
        while not all(whole for _, whole in folds):
            folds = self._add_step(value, folds)
            value = _numbers
        kernel, blocks, work, plan, size, _ = self.steps[-1]
        self.steps[-1] = kernel, blocks, work, plan._replace(count=count), size, dtype
        self.steps = [(Launch(kernel, blocks, work, plan.sweep), in_words(plan), size, to)
                      for kernel, blocks, work, plan, size, to in self.steps]

    def _add_step(self, value, folds):
        """Add the sums over the last fold that is to be added up; returns the folds that are left."""
        length, whole = folds[-1]
        columns = length if whole else 0
        *rest, (rows, _) = folds[:-1] if whole else folds
        outer, across, together = prod(length for length, _ in rest), -(-columns // _COLUMNS), 1
        if columns:
            parts = _parts(rows, columns, outer * across)
            blocks = outer * parts * across
        else:
            parts = _parts(rows, 1, outer)
            together = max(1, _BLOCK // rows)
            blocks = -(-outer // together) * parts
        lines = -(-rows // parts)
        plan = _Part(outer, rows, columns, parts, lines, across, together, 1)
        self.steps.append((_columns_of(value) if columns else _rows_of(value), blocks, outer * rows * max(1, columns),
                           plan, outer * parts * max(1, columns), np.dtype(np.float64)))
        return _joined([*rest, (parts, False), (columns or 1, True)])

    def __call__(self, a, g):
        for launch, plan, size, dtype in self.steps:
            y = empty(size, dtype)
            launch(a, g, y, scratch(_COLUMNS, np.float64, launch.work, sums.PART), plan)
            a = g = y
        return a


_sums = kept(_Sums)


def _parts(rows, columns, blocks):
    """Into how many parts a sum is cut so that there are blocks enough, none of which does too little."""
    return max(1, min(-(-_ENOUGH // blocks), rows * min(columns, _COLUMNS) // _LEAST, rows))


@functools.cache
def _columns_of(value):
    def columns_of(block, slot, a, g, y, memory, numbers):
        """Some columns of one part."""
        plan, sums_at = named(_Part, numbers), slot * _COLUMNS
        left, part = block % plan.across * _COLUMNS, block // plan.across
        count, top = min(_COLUMNS, plan.columns - left), part % plan.parts * plan.lines
        bottom, start = min(top + plan.lines, plan.rows), part // plan.parts * plan.rows * plan.columns + left
        spans.clear(memory, sums_at, sums_at + count)
        lanes = simd.lanes(a)
        whole = count // (4 * lanes) * 4 * lanes    # columns that are added up four vectors at a time
        for first in range(top, bottom, sums.CHAIN):
            last = min(first + sums.CHAIN, bottom)
            for j in range(0, whole, 4 * lanes):
                at = start + first * plan.columns + j
                v = w = p = q = simd.full(a, 0)
                for _ in range(first, last):
                    v, w = v + value(a, g, at, lanes), w + value(a, g, at + lanes, lanes)
                    p, q = p + value(a, g, at + 2 * lanes, lanes), q + value(a, g, at + 3 * lanes, lanes)
                    at += plan.columns
                to = sums_at + j
                simd.accumulate(memory, to, v, lanes)
                simd.accumulate(memory, to + lanes, w, lanes)
                simd.accumulate(memory, to + 2 * lanes, p, lanes)
                simd.accumulate(memory, to + 3 * lanes, q, lanes)
            for j in range(whole, count, lanes):
                at, total = start + first * plan.columns + j, simd.full(a, 0)
                for _ in range(first, last):
                    total = total + value(a, g, at, count - j)
                    at += plan.columns
                simd.accumulate(memory, sums_at + j, total, count - j)
        for j in range(count):
            memory[sums_at + j] /= plan.count
        for j in range(0, count, simd.lanes(y)):
            v = simd.rounded(memory, sums_at + j, count - j, y)
            simd.store_part(y, part * plan.columns + left + j, v, count - j)

    columns_of.__qualname__ = f"columns_of_{value.__name__}"
    return jit(columns_of)


@functools.cache
def _rows_of(value):
    def rows_of(block, slot, a, g, y, memory, numbers):
        """One part of some sums over numbers that lie side by side."""
        plan, lanes = named(_Part, numbers), simd.lanes(a)
        first, part, sums_at = block // plan.parts * plan.together, block % plan.parts, slot * _COLUMNS
        left = part * plan.lines
        right = min(left + plan.lines, plan.rows)
        used = min(_SIDE, max(1, -(-(right - left) // lanes))) * lanes
        for row in range(first, min(first + plan.together, plan.outer)):
            start, stop = row * plan.rows + left, row * plan.rows + right
            spans.clear(memory, sums_at, sums_at + used)
            while start + _SIDE * lanes <= stop:
                for j in range(0, _SIDE * lanes, lanes):
                    simd.accumulate(memory, sums_at + j, value(a, g, start + j, lanes), lanes)
                start += _SIDE * lanes
            for j in range(0, stop - start, lanes):
                simd.accumulate(memory, sums_at + j, value(a, g, start + j, stop - start - j), lanes)
            wide = simd.full(memory, 0)
            for j in range(0, used, simd.lanes(memory)):
                wide = wide + simd.load(memory, sums_at + j)
            y[row * plan.parts + part] = simd.total(wide) / plan.count

    rows_of.__qualname__ = f"rows_of_{value.__name__}"
    return jit(rows_of)


@inlined
def _numbers(a, g, at, n):
    return simd.load_part(a, at, n)


@inlined
def _products(a, g, at, n):
    return simd.load_part(a, at, n) * simd.load_part(g, at, n)


@inlined
def _prelu_products(a, g, at, n):
    """0 where a is above 0, else a g."""
    v = simd.load_part(a, at, n)
    low = simd.clip(v, simd.full(a, -math.inf), simd.full(a, 0))    # as in `_prelu_gradient`
    return simd.pick(v, low, simd.full(a, 0), v * simd.load_part(g, at, n))
