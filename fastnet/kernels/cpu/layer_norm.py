"""Layer normalisation (Ba, Kiros and Hinton, "Layer normalization", 2016), and that by the root of the mean square
alone (Zhang and Sennrich, "Root mean square layer normalization", 2019).

A row is what is normalised together: numbers that lie side by side, with a gamma and a beta of their own each. A block
has some rows, one after the other; vectors run along a row.

    forward    y = gamma (x - mean) / deviation + beta,   deviation = sqrt(var + eps)
    backward   dx = (gamma dy - a - xhat b) / deviation,  a and b the means of gamma dy and of gamma dy xhat in a row

Without a mean, where it is not `centred`, mean and a are 0 and var is the mean of the squares. What the rows of a block
contribute to dgamma and dbeta adds up in the block's own line of a table, whose columns are added up at the end.
"""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import epilogue, moments, simd, spans, sums
from fastnet.kernels.cpu.move import turn_images
from fastnet.kernels.cpu.runtime import Launch, empty, flat, inlined, jit, kept, launch, like

# Numbers that are gone through together, and those of a block in which rows add up nothing.
_CHUNK, _BLOCK = 2048, 16_384
# Blocks that there are at least, where there are so many rows: lines of a table as long as a row.
_FEWEST = 16


def layernorm_forward(x, gamma, beta, axes, eps, centred=True, add=None, activation=None):
    """(y, mean, var): y = gamma (x - mean) / sqrt(var + eps) + beta, with the mean and the biased variance over the
    last `axes` axes; not `centred`, 0 stands for the mean."""
    x = checks.floating(x, "x")
    gamma, beta = (checks.optional(array, name, like=x) for array, name in ((gamma, "gamma"), (beta, "beta")))
    kind, statistics, _ = shapes.layernorm_forward(x, gamma, beta, axes, eps, centred)
    add, _ = epilogue.checked(kind, add, activation)
    y, mean, var, norm = like(x), empty(*statistics), empty(*statistics), _norm(statistics.shape, x.size, x.dtype)
    weights = moments.affine(_turned(gamma), _turned(beta), norm.rows.size, x.dtype)
    norm.forward(flat(x), flat(y), moments.operands(weights, mean, var, eps, centred), norm.rows,
                 epilogue.make(flat(y), add, activation))
    return y, mean, var


def layernorm_backward(dy, x, gamma, mean, var, eps, centred=True):
    """(dx, dgamma, dbeta); without gamma None for both, and where it is not `centred` None for dbeta."""
    dy = checks.floating(dy, "dy")
    x, mean, var = (checks.floating(array, name, like=dy) for array, name in ((x, "x"), (mean, "mean"), (var, "var")))
    gamma = checks.optional(gamma, "gamma", like=dy)
    shapes.layernorm_backward(dy, x, gamma, mean, var, eps, centred)
    norm, dtype, dx = _norm(mean.shape, x.size, dy.dtype), dy.dtype, like(x)
    weights = moments.affine(_turned(gamma), None, norm.rows.size, dtype)
    product = empty(norm.table if gamma is not None else 0, dtype)
    table = _Sums(empty(product.size, dtype) if centred else product, product)
    norm.backward(_Arrays(flat(dy), flat(x), flat(dx)), moments.operands(weights, mean, var, eps, centred), table,
                  norm.rows, gamma is not None)
    if gamma is None:
        return dx, None, None
    total = sums.column_sums(norm.blocks, norm.rows.size, norm.rows.size, dtype, dtype)
    dgamma, dbeta = total(table.product), total(table.dy) if centred else None
    return dx, _turned_back(dgamma, gamma.shape), None if dbeta is None else _turned_back(dbeta, gamma.shape)


def _turned(weight):
    """The weight of images, (C, H, W), in the order in which these lie in memory; any other, and None, as it is."""
    if weight is None or weight.ndim != 3:
        return weight
    c, pixels = weight.shape[0], prod(weight.shape[1:])
    turned = empty(weight.size, weight.dtype)
    launch(turn_images, 1, flat(weight), turned, c, pixels, work=weight.size)
    return turned


def _turned_back(total, shape):
    """The gradient of such a weight, of that shape."""
    if len(shape) != 3:
        return total.reshape(shape)
    weight, (c, *image) = empty(shape, total.dtype), shape
    launch(turn_images, 1, total, weight.reshape(-1), prod(image), c, work=total.size)
    return weight


class _Rows(NamedTuple):
    """`count` rows of `size` numbers; a block has `lines` of them."""

    size: int
    count: int
    lines: int


class _Arrays(NamedTuple):
    dy: np.ndarray
    x: np.ndarray
    dx: np.ndarray


class _Sums(NamedTuple):
    """The sums of dy and of dy xhat over the rows of a block, a line for each."""

    dy: np.ndarray
    product: np.ndarray


class _Norm:
    """The launches for so many rows, an array's shape, out of `work` numbers of a dtype."""

    def __init__(self, shape, work, dtype):
        count = prod(shape)
        size = work // count
        lines = max(1, min(sums.CHAIN, max(count // _FEWEST, _BLOCK // size)))
        self.rows, self.blocks = _Rows(size, count, lines), -(-count // lines)
        self.table = self.blocks * size
        self.forward, self.backward = (Launch(kernel, self.blocks, 4 * work) for kernel in (_forward, _backward))


_norm = kept(_Norm)


# Forward

@jit
def _forward(block, slot, x, y, operands, rows, epilogue):
    mean, var, size = operands.mean, operands.var, rows.size
    for row in range(block * rows.lines, min((block + 1) * rows.lines, rows.count)):
        start = row * size
        mean[row], var[row] = moments.of_run(x, start, size, operands.centred)
        line = _Line(start, mean[row], 1 / np.sqrt(var[row] + var.dtype.type(operands.eps)))
        for first in range(0, size, _CHUNK):
            last = min(first + _CHUNK, size)
            if epilogue.level == spans.SLOPED:
                _apply(x, y, line, first, last, operands, epilogue, spans.SLOPED)
            elif epilogue.level == spans.OPERANDS:
                _apply(x, y, line, first, last, operands, epilogue, spans.OPERANDS)
            else:
                _apply(x, y, line, first, last, operands, epilogue, spans.BOUND)
            spans.call_functions(y, start + first, start + last, epilogue)


class _Line(NamedTuple):
    """Where a row starts, its mean, and 1 / deviation."""

    start: int
    mean: float
    inverse: float


@inlined
def _apply(x, y, line, first, last, operands, epilogue, level):
    """y = (x - mean) inverse gamma + beta, and what follows, for a row's numbers from `first` to `last` - 1."""
    mean, inverse = simd.full(x, line.mean), simd.full(x, line.inverse)
    for j in range(first, last, simd.lanes(x)):
        n, at = last - j, line.start + j
        v = (simd.load_part(x, at, n) - mean) * inverse
        v = simd.fma(v, simd.load_part(operands.gamma, j, n), simd.load_part(operands.beta, j, n))
        simd.store_part(y, at, spans.in_registers(v, at, n, epilogue, level), n)


# Backward

@jit
def _backward(block, slot, arrays, operands, table, rows, affine):
    gamma, size, to = operands.gamma, rows.size, block * rows.size
    if affine:
        spans.clear(table.dy, to, to + size)
        spans.clear(table.product, to, to + size)
    for row in range(block * rows.lines, min((block + 1) * rows.lines, rows.count)):
        var = operands.var[row] + gamma.dtype.type(operands.eps)
        line = _Line(row * size, operands.mean[row], 1 / np.sqrt(var))
        if not affine:
            a, b = _sums_of_row(arrays, gamma, line, size, table, to, False, True)
        elif operands.centred:
            a, b = _sums_of_row(arrays, gamma, line, size, table, to, True, True)
        else:
            a, b = _sums_of_row(arrays, gamma, line, size, table, to, True, False)
        _differ(arrays, gamma, line, size, a / size if operands.centred else 0.0, b / size)


@inlined
def _sums_of_row(arrays, gamma, line, size, table, to, affine, centred):
    """The sums of gamma dy and of gamma dy xhat over a row; those of dy and dy xhat of each place add to the table."""
    dy, x, lanes, start = arrays.dy, arrays.x, simd.lanes(arrays.x), line.start
    mean, inverse = simd.full(x, line.mean), simd.full(x, line.inverse)
    total, product, few = 0.0, 0.0, sums.CHAIN * lanes
    for first in range(0, size, few):
        last, a, b = min(first + few, size), simd.full(x, 0), simd.full(x, 0)
        for j in range(first, last, lanes):
            n = last - j
            g, v = simd.load_part(dy, start + j, n), simd.load_filled(x, start + j, n, mean)
            v = (v - mean) * inverse
            weighted = g * simd.load_part(gamma, j, n)
            a, b = a + weighted, simd.fma(weighted, v, b)
            if affine:
                simd.store_part(table.product, to + j, simd.fma(g, v, simd.load_part(table.product, to + j, n)), n)
                if centred:
                    simd.store_part(table.dy, to + j, simd.load_part(table.dy, to + j, n) + g, n)
        total += simd.total(a)
        product += simd.total(b)
    return total, product


@inlined
def _differ(arrays, gamma, line, size, a, b):
    """dx of a row."""
    dy, x, start = arrays.dy, arrays.x, line.start
    mean, inverse, a, b = simd.full(x, line.mean), simd.full(x, line.inverse), simd.full(x, a), simd.full(x, b)
    for j in range(0, size, simd.lanes(x)):
        n = size - j
        v = simd.fma((simd.load_part(x, start + j, n) - mean) * inverse, b, a)
        v = simd.load_part(dy, start + j, n) * simd.load_part(gamma, j, n) - v
        simd.store_part(arrays.dx, start + j, v * inverse, n)
