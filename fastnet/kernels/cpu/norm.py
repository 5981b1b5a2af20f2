"""Batch normalisation (Ioffe and Szegedy, "Batch normalization", 2015, algorithm 1), two passes over memory each way.

    x, y, dy, dx are matrices of m rows by C: a row is one pixel of one image, or one sample, and its C numbers lie side
    by side; vectors run over the channels. xhat = (x - mean) / deviation, deviation = sqrt(var + eps).

    forward    y = gamma xhat + beta                                         mean and var are sums over all rows
    backward   dx = gamma / deviation (dy - dbeta / m - xhat dgamma / m)     dbeta, dgamma are sums over all rows

So each way there are two passes, one that adds up and one that writes, with a short kernel between them. A block is
some rows, few enough that a second reading of them within a pass, if one is needed, comes from the second cache. What
it contributes to a sum it leaves in its own row of a table of C columns. These rows are added in order, in float64, by
the short kernel, of which a block is some columns: the same bits for any number of threads, and float32's accuracy for
any number of rows.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import epilogue, moments, simd, spans, sums
from fastnet.kernels.cpu.runtime import Launch, Sweep, call, empty, flat, inlined, jit, kept, like, scratch

# Numbers in a block, which the second cache holds.
_BLOCK = 16_384
# Numbers that are gone through together, while as many are fetched ahead; and of how many rows they are at least.
_CHUNK, _FEWEST = 512, 4
# Columns of the table that are added up together.
_COLUMNS = 128
# Number of the scratch memory, apart from that of a convolution with which the sums take turns, see `pairs`.
_OWN = 1
# Rows that a block has at most: it adds up no more than 64 sums of 64 rows each in float32, see `sums`.
_MOST_ROWS = sums.CHAIN * sums.CHAIN


def batchnorm_forward(x, gamma, beta, eps, add=None, activation=None):
    """(y, mean, var): y = gamma (x - mean) / sqrt(var + eps) + beta, with the biased variance of each channel.

    The blocks' means and squared deviations are combined after Chan, Golub and LeVeque, "Updating formulae and a
    pairwise algorithm for computing sample variances", 1979: one reading, without cancellation.
    """
    x = checks.floating(x, "x")
    gamma, beta = _alike(x, gamma=gamma, beta=beta)
    kind = shapes.batchnorm_forward(x, gamma, beta, eps)[0]
    add, _ = epilogue.checked(kind, add, activation)
    c = x.shape[1]
    y, flat_x, norm = like(x), flat(x), _norm(x.size // c, c, x.dtype)
    table = moments.Moments(*(empty(norm.table, x.dtype) for _ in range(3)))
    gamma, beta = moments.affine(gamma, beta, c, x.dtype)
    scaling = _Scaling(empty(c, x.dtype), empty(c, x.dtype), beta)
    deviation = _Deviation(empty(c, x.dtype), float(eps), gamma)
    norm.moments(flat_x, table, norm.rows)
    norm.combine_moments(table, norm.column_sums(1), scaling, deviation, norm.rows)
    norm.normalise(flat_x, flat(y), scaling, add, activation)
    return y, scaling.mean, deviation.var


def batchnorm_backward(dy, x, gamma, mean, var, eps, beta=None, activation=None):
    """(dx, dgamma, dbeta): dbeta = sum of dy, dgamma = sum of dy xhat, dx = gamma / sqrt(var + eps)
    (dy - dbeta / m - xhat dgamma / m) over m values a channel.

    With `activation`, dy is what arrives behind one whose input was y = gamma xhat + beta.
    """
    dy = checks.floating(dy, "dy")
    x, gamma, mean, var = _alike(dy, x=x, gamma=gamma, mean=mean, var=var)
    kind = shapes.batchnorm_backward(dy, x, gamma, mean, var, eps)[0]
    epilogue.checked(kind, None, activation)
    beta = checks.operand(beta, mean.shape, "beta", like=dy)
    return _backward(dy, x, gamma, mean, var, eps, (beta, activation))


def _backward(dy, x, gamma, mean, var, eps, through=(None, None), constant=False):
    """The gradients, `through` an activation: (beta, activation). With `constant` statistics dx = dy gamma / sqrt(var +
    eps). `following` is the activation that y goes into, for kernels: what dy is multiplied by first."""
    beta, activation = through
    c, dtype = x.shape[1], dy.dtype
    dx, norm = like(x), _norm(x.size // c, c, dtype)
    arrays, weights = _Arrays(flat(dy), flat(x), flat(dx)), moments.affine(gamma, beta, c, dtype)
    inverse, scale, slope = empty(c, dtype), empty(c, dtype), empty(c, dtype)
    channel = _Channel(flat(mean), weights.beta, inverse, scale, slope)
    table = _Sums(empty(norm.table, dtype), empty(norm.table, dtype))
    dgamma, dbeta, means = empty(c, dtype), empty(c, dtype), _Sums(empty(c, dtype), empty(c, dtype))
    following = epilogue.through_activation(arrays.dy, activation)
    memory = scratch(norm.memory if following.derivative.address else 0, dtype, norm.work, _OWN)
    norm.scales(weights.gamma, flat(var), float(eps), inverse, scale, slope)
    norm.gradient_sums(arrays, channel, table, memory, norm.rows, following)
    norm.combine_sums(table, norm.column_sums(2), _Sums(dbeta, dgamma), means, norm.rows)
    if constant:
        norm.scaled(arrays.dy, arrays.dx, scale, norm.rows)
    else:
        source = arrays.dx if following.derivative.address else arrays.dy
        norm.input_gradient(source, arrays, channel, means, norm.rows, following)
    return (dx, None, None) if gamma is None else (dx, dgamma, dbeta)


def batchnorm_inference(x, gamma, beta, mean, var, eps, add=None, activation=None):
    """y as in batchnorm_forward with the statistics given."""
    x = checks.floating(x, "x")
    gamma, beta, mean, var = _alike(x, gamma=gamma, beta=beta, mean=mean, var=var)
    add, _ = epilogue.checked(shapes.batchnorm_inference(x, gamma, beta, mean, var, eps), add, activation)
    c = x.shape[1]
    y, norm, weights = like(x), _norm(x.size // c, c, x.dtype), moments.affine(gamma, beta, c, x.dtype)
    inverse, scale, slope = empty(c, x.dtype), empty(c, x.dtype), empty(c, x.dtype)
    norm.scales(weights.gamma, flat(var), float(eps), inverse, scale, slope)
    norm.normalise(flat(x), flat(y), _Scaling(flat(mean), scale, weights.beta), add, activation)
    return y


def batchnorm_inference_backward(dy, x, gamma, mean, var, eps):
    """(dx, dgamma, dbeta) where the statistics are constants: dx = dy gamma / sqrt(var + eps)."""
    dy = checks.floating(dy, "dy")
    x, gamma, mean, var = _alike(dy, x=x, gamma=gamma, mean=mean, var=var)
    shapes.batchnorm_inference_backward(dy, x, gamma, mean, var, eps)
    return _backward(dy, x, gamma, mean, var, eps, constant=True)


def _alike(first, **operands):
    """The operands, in the dtype of the first one; gamma and beta may be None."""
    return [None if array is None and name in ("gamma", "beta") else checks.floating(array, name, like=first)
            for name, array in operands.items()]


class _Rows(NamedTuple):
    """A matrix of `count` rows of c numbers, of which a block takes `in_block`, `step` of them at a time."""

    c: int
    count: int
    in_block: int
    step: int


class _Scaling(NamedTuple):
    """y = (x - mean) scale + beta: one number of each for a channel."""

    mean: np.ndarray
    scale: np.ndarray
    beta: np.ndarray


class _Deviation(NamedTuple):
    """What a channel's scale follows from: gamma / sqrt(var + eps)."""

    var: np.ndarray
    eps: float
    gamma: np.ndarray


class _Channel(NamedTuple):
    """What the way back reads for each channel: 1 / deviation is `inverse`, gamma / deviation is both `scale`, as a
    product with that, and `slope`, as the forward pass rounds it: y = (x - mean) slope + beta to the last bit."""

    mean: np.ndarray
    beta: np.ndarray
    inverse: np.ndarray
    scale: np.ndarray
    slope: np.ndarray


class _Arrays(NamedTuple):
    """The matrices of the way back."""

    dy: np.ndarray
    x: np.ndarray
    dx: np.ndarray


class _Sums(NamedTuple):
    """The sums of dy and of dy xhat, or what follows from them: a row for each block, or one for all."""

    dy: np.ndarray
    product: np.ndarray


class _Norm:
    """The launches for `count` rows of c numbers of one dtype."""

    def __init__(self, count, c, dtype):
        in_block, step = max(1, min(_MOST_ROWS, _BLOCK // c)), max(_FEWEST, min(sums.CHAIN, _CHUNK // c))
        blocks, self.work = -(-count // in_block), count * c
        self.rows, self.table, self.memory = _Rows(c, count, in_block, step), blocks * c, step * c
        reads = Sweep.even(0, blocks, in_block * c)
        self.moments, self.gradient_sums = (
            Launch(kernel, blocks, self.work, reads) for kernel in (_moments, _gradient_sums))
        self.apply = Launch(_apply, blocks, self.work)
        self.input_gradient, self.scaled = (Launch(kernel, blocks, self.work) for kernel in (_input_gradient, _scaled))
        self.scales, columns = Launch(_scales, 1, 0), -(-c // _COLUMNS)
        self.combine_moments = Launch(_combine_moments, columns, self.table)
        self.combine_sums = Launch(_combine_sums, columns, self.table)

    def column_sums(self, count):
        """Scratch memory for `count` sums of each of the columns that are added up together."""
        return scratch(count * _COLUMNS, np.float64, self.table, sums.PART)

    def normalise(self, x, y, scaling, add, activation):
        self.apply(x, y, scaling, self.rows, epilogue.make(y, add, activation))


_norm = kept(_Norm)


# Forward

@jit
def _moments(block, slot, x, table, rows):
    """A block's mean of each channel, and the sum of the squared deviations from it."""
    first, last = block * rows.in_block, min((block + 1) * rows.in_block, rows.count)
    columns = moments.Columns(rows.c, rows.c, rows.step)
    moments.of_columns(x, first * rows.c, last - first, columns, table, block * rows.c)


@jit
def _combine_moments(block, slot, table, memory, scaling, deviation, rows):
    """Mean and variance over all rows of some channels from those of the blocks, and gamma / deviation."""
    c, means, mean, var = rows.c, table.means, scaling.mean, deviation.var
    whole, left, at = rows.count // rows.in_block, block * _COLUMNS, slot * _COLUMNS
    n, rest = min(_COLUMNS, c - left), rows.count - whole * rows.in_block
    _add_columns(memory, at, means, left, whole, c, n)
    for j in range(n):
        total = memory[at + j] * rows.in_block
        if rest:
            total += means[whole * c + left + j] * float(rest)
        mean[left + j] = total / rows.count
    spans.clear(memory, at, at + n)
    for i in range(whole + (rest > 0)):
        share = simd.full(means, min(rows.in_block, rows.count - i * rows.in_block))
        for j in range(0, n, simd.lanes(means)):
            here, some = i * c + left + j, n - j
            away = simd.load_part(means, here, some) - simd.load_part(mean, left + j, some)
            square = simd.fma(away * share, away, simd.load_part(table.squares, here, some))
            simd.accumulate(memory, at + j, square, some)
    for j in range(n):
        channel = left + j
        var[channel] = memory[at + j] / rows.count
        scaling.scale[channel] = deviation.gamma[channel] / np.sqrt(var[channel] + var.dtype.type(deviation.eps))


@inlined
def _add_columns(memory, at, table, left, blocks, c, n):
    """memory[at:] = the sums over `blocks` rows of n columns of a table, the first of which is `left`."""
    spans.clear(memory, at, at + n)
    for i in range(blocks):
        for j in range(0, n, simd.lanes(table)):
            simd.accumulate(memory, at + j, simd.load_part(table, i * c + left + j, n - j), n - j)


@jit
def _apply(block, slot, x, y, scaling, rows, epilogue):
    """y = (x - mean) gamma / deviation + beta, and what follows."""
    first, last = block * rows.in_block, min((block + 1) * rows.in_block, rows.count)
    if epilogue.level == spans.SLOPED:
        _apply_rows(x, y, scaling, first, last, epilogue, spans.SLOPED)
    elif epilogue.level == spans.OPERANDS:
        _apply_rows(x, y, scaling, first, last, epilogue, spans.OPERANDS)
    else:
        _apply_rows(x, y, scaling, first, last, epilogue, spans.BOUND)
    spans.call_functions(y, first * rows.c, last * rows.c, epilogue)


@inlined
def _apply_rows(x, y, scaling, first, last, epilogue, level):
    c = scaling.mean.size
    for i in range(first, last):
        for j in range(0, c, simd.lanes(x)):
            n, at = c - j, i * c + j
            v = simd.load_part(x, at, n) - simd.load_part(scaling.mean, j, n)
            v = simd.fma(v, simd.load_part(scaling.scale, j, n), simd.load_part(scaling.beta, j, n))
            simd.store_part(y, at, spans.in_registers(v, at, n, epilogue, level), n)


# Backward

@jit
def _scales(block, slot, gamma, var, eps, inverse, scale, slope):
    """The numbers of a `_Channel` that follow from gamma and var."""
    for j in range(var.size):
        deviation = np.sqrt(var[j] + var.dtype.type(eps))
        inverse[j] = 1 / deviation
        scale[j], slope[j] = gamma[j] * inverse[j], gamma[j] / deviation


@jit
def _gradient_sums(block, slot, arrays, channel, table, memory, rows, following):
    """A block's sums of dy and of dy xhat. What a compiled function has to do with dy before that is done here once,
    and waits in dx until `_input_gradient` has its place."""
    dy, x, c, step = arrays.dy, arrays.x, rows.c, rows.step
    first, last, to = block * rows.in_block, min((block + 1) * rows.in_block, rows.count), block * c
    spans.clear(table.dy, to, to + c)
    spans.clear(table.product, to, to + c)
    for top in range(first, last, step):
        bottom = min(top + step, last)
        spans.fetch(dy, bottom * c, (bottom + step) * c)
        spans.fetch(x, bottom * c, (bottom + step) * c)
        source = dy
        if following.derivative.address != 0:
            _through_function(arrays, channel, memory, slot * step * c, top, bottom, following)
            source = arrays.dx
        if following.level == spans.SLOPED:
            _sum_rows(_Arrays(source, x, x), channel, table, to, top, bottom, following, spans.SLOPED)
        elif following.level == spans.OPERANDS:
            _sum_rows(_Arrays(source, x, x), channel, table, to, top, bottom, following, spans.OPERANDS)
        else:
            _sum_rows(_Arrays(source, x, x), channel, table, to, top, bottom, following, spans.BOUND)
    for j in range(0, c, simd.lanes(x)):
        n = c - j
        v = simd.load_part(table.product, to + j, n) * simd.load_part(channel.inverse, j, n)
        simd.store_part(table.product, to + j, v, n)


@jit
def _through_function(arrays, channel, memory, at, top, bottom, following):
    """dx = dy times the derivative of the activation that follows, for some rows; its input is put into memory[at:]."""
    dy, x, dx, c = arrays.dy, arrays.x, arrays.dx, channel.mean.size
    start, stop = top * c, bottom * c
    for i in range(top, bottom):
        for j in range(0, c, simd.lanes(x)):
            n, here = c - j, i * c + j
            v = simd.load_part(x, here, n) - simd.load_part(channel.mean, j, n)
            v = simd.fma(v, simd.load_part(channel.slope, j, n), simd.load_part(channel.beta, j, n))
            simd.store_part(memory, at + here - start, v, n)
    function, derivative = following.function, following.derivative
    if function.address != 0:
        here = spans.Path(memory, memory, False)
        call(function.address, (at, at + stop - start, here, function.alpha, function.beta))
    call(derivative.address, (start, stop, spans.Path(dy, dx, False), memory, at, derivative.alpha, derivative.beta))


@inlined
def _sum_rows(arrays, channel, table, to, top, bottom, following, level):
    """What rows `top` to `bottom` - 1 add to a block's sums of dy and of dy (x - mean)."""
    dy, x, c = arrays.dy, arrays.x, channel.mean.size
    for j in range(0, c, simd.lanes(x)):
        n = c - j
        mean, slope = simd.load_part(channel.mean, j, n), simd.load_part(channel.slope, j, n)
        beta, total, product = simd.load_part(channel.beta, j, n), simd.full(x, 0), simd.full(x, 0)
        for i in range(top, bottom):
            g = simd.load_part(dy, i * c + j, n)
            v = simd.load_part(x, i * c + j, n) - mean
            if level:
                g = simd.through(g, simd.fma(v, slope, beta), following.masking, level == spans.SLOPED)
            total = total + g
            product = simd.fma(g, v, product)
        simd.store_part(table.dy, to + j, simd.load_part(table.dy, to + j, n) + total, n)
        simd.store_part(table.product, to + j, simd.load_part(table.product, to + j, n) + product, n)


@jit
def _combine_sums(block, slot, table, memory, totals, means, rows):
    """dbeta and dgamma of some channels, and both divided by the number of rows."""
    c, left, at = rows.c, block * _COLUMNS, 2 * slot * _COLUMNS
    n, blocks = min(_COLUMNS, c - left), table.dy.size // c
    _add_columns(memory, at, table.dy, left, blocks, c, n)
    _add_columns(memory, at + _COLUMNS, table.product, left, blocks, c, n)
    for j in range(n):
        total, product, channel = memory[at + j], memory[at + _COLUMNS + j], left + j
        totals.dy[channel], totals.product[channel] = total, product
        means.dy[channel], means.product[channel] = total / rows.count, product / rows.count


@jit
def _input_gradient(block, slot, dy, arrays, channel, means, rows, following):
    """dx from dy, which may lie in dx, and xhat."""
    first, last = block * rows.in_block, min((block + 1) * rows.in_block, rows.count)
    arrays = _Arrays(dy, arrays.x, arrays.dx)
    if following.level == spans.SLOPED:
        _write_input_gradient(arrays, channel, means, first, last, following, spans.SLOPED)
    elif following.level == spans.OPERANDS:
        _write_input_gradient(arrays, channel, means, first, last, following, spans.OPERANDS)
    else:
        _write_input_gradient(arrays, channel, means, first, last, following, spans.BOUND)


@inlined
def _write_input_gradient(arrays, channel, means, first, last, following, level):
    """dx of the rows from `first` to `last` - 1."""
    dy, x, c = arrays.dy, arrays.x, channel.mean.size
    for i in range(first, last):
        for j in range(0, c, simd.lanes(x)):
            n, at = c - j, i * c + j
            g, v = simd.load_part(dy, at, n), simd.load_part(x, at, n) - simd.load_part(channel.mean, j, n)
            if level:
                y = simd.fma(v, simd.load_part(channel.slope, j, n), simd.load_part(channel.beta, j, n))
                g = simd.through(g, y, following.masking, level == spans.SLOPED)
            share = simd.load_part(channel.inverse, j, n) * simd.load_part(means.product, j, n)
            v = g - simd.load_part(means.dy, j, n) - v * share
            simd.store_part(arrays.dx, at, simd.load_part(channel.scale, j, n) * v, n)


@jit
def _scaled(block, slot, dy, dx, scale, rows):
    """dx = dy gamma / deviation."""
    c = rows.c
    for i in range(block * rows.in_block, min((block + 1) * rows.in_block, rows.count)):
        for j in range(0, c, simd.lanes(dy)):
            n, at = c - j, i * c + j
            simd.store_part(dx, at, simd.load_part(dy, at, n) * simd.load_part(scale, j, n), n)
