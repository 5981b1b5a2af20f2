"""Group normalisation (Wu and He, "Group normalization", 2018): the channels of each sample in groups, and with groups
of one channel instance normalisation.

A sample is a matrix of pixels by C, vectors run over the channels. A block has some groups of one sample, all pixels of
them: it adds up each channel by itself, in pieces of some rows, combines what belongs to a group, and goes over its
numbers once more, which mostly come from a cache.

    forward    y = gamma (x - mean) / deviation + beta,   deviation = sqrt(var + eps)
    backward   dx = (gamma dy - a - xhat b) / deviation,  a and b the means of gamma dy and of gamma dy xhat in a group

What a sample contributes to dgamma and dbeta is its own line of a table, whose columns are added up at the end.
"""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import epilogue, moments, simd, spans, sums
from fastnet.kernels.cpu.runtime import Launch, empty, flat, inlined, jit, kept, like, scratch

# Numbers of a piece, which is read once for its moments, and seldom twice; of a chunk of it, gone through vector by
# vector; and of a shorter chunk, where other arrays are read or written too. The fewest rows of a chunk.
_PIECE, _CHUNK, _SHORT, _FEWEST = 32_768, 2048, 512, 4
# Rows that a piece has at most: no more than 64 sums of 32 rows each are added up in float32.
_LINES = sums.CHAIN * sums.CHAIN // 2
# Channels that a block has at least, where there are so many.
_SLAB = 64


def groupnorm_forward(x, gamma, beta, groups, eps, add=None, activation=None):
    """(y, mean, var): y = gamma (x - mean) / sqrt(var + eps) + beta, with mean and biased variance of each group."""
    x = checks.floating(x, "x")
    gamma, beta = (checks.optional(array, name, like=x) for array, name in ((gamma, "gamma"), (beta, "beta")))
    kind, statistics, _ = shapes.groupnorm_forward(x, gamma, beta, groups, eps)
    add, _ = epilogue.checked(kind, add, activation)
    norm, dtype, y = _norm(x.shape, groups, x.dtype), x.dtype, like(x)
    mean, var = empty(*statistics), empty(*statistics)
    table = moments.Moments(*(scratch(norm.pieces, dtype, norm.work, which) for which in range(3)))
    weights = moments.affine(gamma, beta, norm.plan.c, dtype)
    norm.forward(flat(x), flat(y), moments.operands(weights, mean, var, eps), table, norm.plan,
                 epilogue.make(flat(y), add, activation))
    return y, mean, var


def groupnorm_backward(dy, x, gamma, mean, var, eps):
    """(dx, dgamma, dbeta); without gamma None for both."""
    dy = checks.floating(dy, "dy")
    x, mean, var = (checks.floating(array, name, like=dy) for array, name in ((x, "x"), (mean, "mean"), (var, "var")))
    gamma = checks.optional(gamma, "gamma", like=dy)
    shapes.groupnorm_backward(dy, x, gamma, mean, var, eps)
    n, c, *_ = x.shape
    norm, dtype, dx = _norm(x.shape, mean.shape[1], dy.dtype), dy.dtype, like(x)
    arrays, table = _Arrays(flat(dy), flat(x), flat(dx)), _Sums(empty(n * c, dtype), empty(n * c, dtype))
    memory = _Memory(scratch(4 * norm.plan.slab, dtype, norm.work),
                     scratch(2 * norm.plan.slab, np.float64, norm.work, sums.PART))
    weights = moments.affine(gamma, None, c, dtype)
    norm.backward(arrays, moments.operands(weights, mean, var, eps), table, memory, norm.plan)
    if gamma is None:
        return dx, None, None
    total = sums.column_sums(n, c, c, dtype, dtype)
    return dx, total(table.product), total(table.dy)


class _Plan(NamedTuple):
    """Samples of `pixels` rows by c numbers, in groups of `width`; a block has `slab` of the channels of one. It takes
    the moments of pieces of `lines` rows, `step` at a time, and does all else with `few` rows at a time."""

    c: int
    pixels: int
    width: int
    slab: int
    lines: int
    step: int
    few: int


class _Arrays(NamedTuple):
    dy: np.ndarray
    x: np.ndarray
    dx: np.ndarray


class _Sums(NamedTuple):
    """The sums of dy and of dy xhat over the pixels of a sample, a line of channels for each."""

    dy: np.ndarray
    product: np.ndarray


class _Rows(NamedTuple):
    """The rows that begin from `first` on and before `last`, their channels from `left` on, whose own numbers are in a
    line of memory that begins at `at`; whether they are written past the caches, see `spans.put`."""

    first: int
    last: int
    left: int
    at: int
    far: bool


class _Memory(NamedTuple):
    """Scratch memory: lines of the channels of a block, and sums in float64."""

    lines: np.ndarray
    sums: np.ndarray


class _Norm:
    """The launches for arrays of one shape and dtype."""

    def __init__(self, shape, groups, dtype):
        n, c, *image = shape
        pixels, width = prod(image), c // groups
        self.work = 4 * prod(shape)
        slab = width * -(-_SLAB // width)
        slab = slab if c % slab == 0 else c
        lines = max(1, min(_LINES, _PIECE // slab))
        step, few = (max(_FEWEST, min(sums.CHAIN // 2, size // slab)) for size in (_CHUNK, _SHORT))
        self.plan, self.pieces = _Plan(c, pixels, width, slab, lines, step, few), -(-pixels // lines) * slab
        self.forward, self.backward = (Launch(kernel, n * c // slab, self.work) for kernel in (_forward, _backward))


_norm = kept(_Norm)


@inlined
def _place(block, plan):
    """(sample, first channel, where that begins) of a block."""
    slabs = plan.c // plan.slab
    sample, left = block // slabs, block % slabs * plan.slab
    return sample, left, sample * plan.pixels * plan.c + left


# Forward

@jit
def _forward(block, slot, x, y, operands, table, plan, epilogue):
    sample, left, start = _place(block, plan)
    pieces = (plan.pixels + plan.lines - 1) // plan.lines
    at, columns = slot * pieces * plan.slab, moments.Columns(plan.slab, plan.c, plan.step)
    for piece in range(pieces):
        first = piece * plan.lines
        moments.of_columns(x, start + first * plan.c, min(plan.lines, plan.pixels - first), columns, table,
                           at + piece * plan.slab)
    mean, var = operands.mean, operands.var
    for j in range(0, plan.slab, plan.width):
        group = (sample * plan.c + left + j) // plan.width
        mean[group], var[group] = _combined(table, at + j, plan)
        scale = 1 / np.sqrt(var[group] + var.dtype.type(operands.eps))
        for i in range(j, j + plan.width):      # nobody reads the moments of these channels any more
            table.means[at + i], table.squares[at + i] = mean[group], operands.gamma[left + i] * scale
    calling = epilogue.function.address != 0    # what lies side by side
    far = spans.is_far(y) and not calling
    # A vector that is no whole cache line, written past the caches, wants the rest of the line to follow at once.
    narrow = far and simd.lanes(y) * y.itemsize < 64
    rows = 1 if narrow or calling and plan.slab < plan.c else plan.few
    for top in range((plan.pixels - 1) // rows * rows, -1, -rows):  # a cache has what was read last
        here = _Rows(start + top * plan.c, start + min(top + rows, plan.pixels) * plan.c, left, at, far)
        if far and plan.slab == plan.c:     # what this thread most likely reads next comes while it writes
            ahead = 2 * (start + plan.pixels * plan.c) - here.last
            spans.fetch(x, ahead, ahead + here.last - here.first)
        if epilogue.level == spans.SLOPED:
            _apply(x, y, here, operands, table, plan, epilogue, spans.SLOPED)
        elif epilogue.level == spans.OPERANDS:
            _apply(x, y, here, operands, table, plan, epilogue, spans.OPERANDS)
        else:
            _apply(x, y, here, operands, table, plan, epilogue, spans.BOUND)
        spans.call_functions(y, here.first, here.last - plan.c + plan.slab, epilogue)


@jit
def _combined(table, at, plan):
    """Mean and variance of the group whose first channel's moments are at table[at] and, for each piece, a slab further
    on."""
    total, square, size = 0.0, 0.0, plan.pixels * plan.width
    for first in range(0, plan.pixels, plan.lines):
        here, rows = at + first // plan.lines * plan.slab, min(plan.lines, plan.pixels - first)
        for i in range(here, here + plan.width):
            total += table.means[i] * float(rows)
    centre = total / size
    for first in range(0, plan.pixels, plan.lines):
        here, rows = at + first // plan.lines * plan.slab, min(plan.lines, plan.pixels - first)
        for i in range(here, here + plan.width):
            away = table.means[i] - centre
            square += table.squares[i] + away * away * rows
    return centre, square / size


@inlined
def _apply(x, y, rows, operands, line, plan, epilogue, level):
    """y = (x - mean) scale + beta, and what follows, for some rows; mean and scale are in the line. The last row comes
    first: memory that is gone through in one direction is fetched ahead by the processor. Four vectors side by side
    make whole lines of a cache."""
    at, left, lanes = rows.at, rows.left, simd.lanes(x)
    whole = plan.slab // (4 * lanes) * 4 * lanes
    for j in range(0, whole, 4 * lanes):
        means, scales = moments.load_four(line.means, at + j), moments.load_four(line.squares, at + j)
        betas = moments.load_four(operands.beta, left + j)
        for top in range(rows.last - plan.c + j, rows.first + j - 1, -plan.c):
            numbers = moments.load_four(x, top)
            for k in range(4):
                i = top + k * lanes
                v = simd.fma(numbers[k] - means[k], scales[k], betas[k])
                spans.put(y, i, spans.in_registers(v, i, lanes, epilogue, level), lanes, rows.far)
    for j in range(whole, plan.slab, lanes):
        n = plan.slab - j
        mean, scale = simd.load_part(line.means, at + j, n), simd.load_part(line.squares, at + j, n)
        beta = simd.load_part(operands.beta, left + j, n)
        for i in range(rows.last - plan.c + j, rows.first + j - 1, -plan.c):
            v = simd.fma(simd.load_part(x, i, n) - mean, scale, beta)
            spans.put(y, i, spans.in_registers(v, i, n, epilogue, level), n, rows.far)


# Backward

@jit
def _backward(block, slot, arrays, operands, table, memory, plan):
    sample, left, start = _place(block, plan)
    dy, x, dx, lines, slab = arrays.dy, arrays.x, arrays.dx, memory.lines, plan.slab
    first_group = (sample * plan.c + left) // plan.width
    mean = slot * 4 * slab      # lines of: the mean, and what dy, x - mean and 1 are multiplied by
    by_dy, by_x, by_one = mean + slab, mean + 2 * slab, mean + 3 * slab
    total, product, far = slot * 2 * slab, slot * 2 * slab + slab, spans.is_far(dx)
    for i in range(slab):
        group = first_group + i // plan.width
        lines[mean + i] = operands.mean[group]
    spans.clear(memory.sums, total, total + 2 * slab)
    for top in range(0, plan.pixels, plan.few):
        if slab == plan.c:
            spans.fetch(dy, start + (top + plan.few) * slab, start + (top + 2 * plan.few) * slab)
            spans.fetch(x, start + (top + plan.few) * slab, start + (top + 2 * plan.few) * slab)
        _add_rows(arrays, start + top * plan.c, min(plan.few, plan.pixels - top), memory, mean, total, plan)
    for j in range(0, slab, plan.width):
        inverse = 1 / np.sqrt(operands.var[first_group + j // plan.width] + dy.dtype.type(operands.eps))
        a, b, size = 0.0, 0.0, plan.pixels * plan.width
        for i in range(j, j + plan.width):
            memory.sums[product + i] *= inverse
            a += memory.sums[total + i] * operands.gamma[left + i]
            b += memory.sums[product + i] * operands.gamma[left + i]
        for i in range(j, j + plan.width):
            lines[by_dy + i] = operands.gamma[left + i] * inverse
            lines[by_x + i], lines[by_one + i] = b / size * inverse * inverse, a / size * inverse
    for i in range(slab):
        table.dy[sample * plan.c + left + i] = memory.sums[total + i]
        table.product[sample * plan.c + left + i] = memory.sums[product + i]
    for i in range(start, start + plan.pixels * plan.c, plan.c):
        for j in range(0, slab, simd.lanes(x)):
            n = slab - j
            v = simd.load_part(x, i + j, n) - simd.load_part(lines, mean + j, n)
            v = simd.fma(v, simd.load_part(lines, by_x + j, n), simd.load_part(lines, by_one + j, n))
            v = simd.load_part(dy, i + j, n) * simd.load_part(lines, by_dy + j, n) - v
            spans.put(dx, i + j, v, n, far)


@inlined
def _add_rows(arrays, start, rows, memory, mean, total, plan):
    """Add dy and dy (x - mean) of some rows, a chain at most, to the sums."""
    dy, x, c, slab = arrays.dy, arrays.x, plan.c, plan.slab
    for j in range(0, slab, simd.lanes(x)):
        n, centre = slab - j, simd.load_part(memory.lines, mean + j, slab - j)
        part, product = simd.full(x, 0), simd.full(x, 0)
        for i in range(start + j, start + j + rows * c, c):
            g = simd.load_part(dy, i, n)
            part = part + g
            product = simd.fma(g, simd.load_part(x, i, n) - centre, product)
        simd.accumulate(memory.sums, total + j, part, n)
        simd.accumulate(memory.sums, total + slab + j, product, n)
