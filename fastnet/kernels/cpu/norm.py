"""Batch normalisation (Ioffe and Szegedy, "Batch normalization", 2015, algorithm 1), two passes over memory each way.

Channels-last, x is a matrix of rows (pixels) by C. A block is some rows; what it contributes to a sum over all rows it
leaves in its own line of a table of partial sums, and the lines are added in order: the same bits for any number of
threads.
"""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import epilogue, simd, spans, sums
from fastnet.kernels.cpu.runtime import Launch, call, empty, flat, inlined, jit, kept, launch, like, literal, scratch

# Numbers in a block: two readings of it come from the second cache.
_BLOCK = 16_384
# Numbers that are gone through together, while as many are fetched ahead.
_CHUNK = 512
# Rows that a block has at most: it adds up no more than 64 sums of 64 rows each in float32, see `sums`.
_LINES = sums.CHAIN * sums.CHAIN


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
    means, squares = empty(norm.partial, x.dtype), empty(norm.partial, x.dtype)
    mean, var, channel = empty(c, x.dtype), empty(c, x.dtype), empty(3 * c, x.dtype)
    norm.moments(flat_x, means, squares, *norm.shape)
    norm.combine_moments(means, squares, flat(gamma), flat(beta), float(eps), mean, var, channel, *norm.shape[1:])
    norm.normalise(flat_x, flat(y), channel, add, activation)
    return y, mean, var


def batchnorm_backward(dy, x, gamma, mean, var, eps, beta=None, activation=None):
    """(dx, dgamma, dbeta): dbeta = sum of dy, dgamma = sum of dy xhat, dx = gamma / sqrt(var + eps)
    (dy - dbeta / m - xhat dgamma / m) over m values a channel.

    With `activation`, dy is what arrives behind one whose input was y = gamma xhat + beta.
    """
    dy = checks.floating(dy, "dy")
    x, gamma, mean, var = _alike(dy, x=x, gamma=gamma, mean=mean, var=var)
    kind = shapes.batchnorm_backward(dy, x, gamma, mean, var, eps)[0]
    epilogue.checked(kind, None, activation)
    if activation is not None:
        beta = checks.operand(beta, gamma.shape, "beta", like=dy)
        if beta is None:
            raise ValueError("an activation's input is worked out again with beta, got None")
    return _backward(dy, x, gamma, mean, var, eps, beta, activation, False)


def _backward(dy, x, gamma, mean, var, eps, beta, activation, constant):
    """The gradients; with `constant` statistics dx = dy gamma / sqrt(var + eps)."""
    c = x.shape[1]
    dx, flat_dy, flat_x, norm = like(x), flat(dy), flat(x), _norm(x.size // c, c, x.dtype)
    channel, means = empty(5 * c, dy.dtype), empty(2 * c, dy.dtype)
    dgamma, dbeta = empty(c, dy.dtype), empty(c, dy.dtype)
    sums, products = empty(norm.partial, dy.dtype), empty(norm.partial, dy.dtype)
    behind = epilogue.behind(flat_dy, activation)
    memory = scratch(norm.behind if behind.derivative.address else 0, dy.dtype, norm.work)
    norm.scales(flat(gamma), flat(mean if beta is None else beta), flat(mean), flat(var), float(eps), channel)
    norm.gradient_sums(flat_dy, flat_x, channel, sums, products, flat(dx), memory, *norm.shape, behind)
    norm.combine_sums(sums, products, dbeta, dgamma, means, norm.shape[1])
    if constant:
        norm.scaled(flat_dy, flat(dx), channel, *norm.shape)
    else:
        source = flat(dx) if behind.derivative.address else flat_dy
        norm.input_gradient(source, flat_x, flat(dx), channel, means, *norm.shape, behind)
    return dx, dgamma, dbeta


def batchnorm_inference(x, gamma, beta, mean, var, eps, add=None, activation=None):
    """y as in batchnorm_forward with the statistics given."""
    x = checks.floating(x, "x")
    gamma, beta, mean, var = _alike(x, gamma=gamma, beta=beta, mean=mean, var=var)
    add, _ = epilogue.checked(shapes.batchnorm_inference(x, gamma, beta, mean, var, eps), add, activation)
    c = x.shape[1]
    y, channel, norm = like(x), empty(5 * c, x.dtype), _norm(x.size // c, c, x.dtype)
    norm.scales(flat(gamma), flat(beta), flat(mean), flat(var), float(eps), channel)
    norm.normalise(flat(x), flat(y), channel, add, activation)
    return y


def batchnorm_inference_backward(dy, x, gamma, mean, var, eps):
    """(dx, dgamma, dbeta) where the statistics are constants: dx = dy gamma / sqrt(var + eps)."""
    dy = checks.floating(dy, "dy")
    x, gamma, mean, var = _alike(dy, x=x, gamma=gamma, mean=mean, var=var)
    shapes.batchnorm_inference_backward(dy, x, gamma, mean, var, eps)
    return _backward(dy, x, gamma, mean, var, eps, None, None, True)


def batchnorm_track(running_mean, running_var, num_batches_tracked, mean, var, count, momentum=None):
    """The running statistics (1 - momentum) old + momentum new, var made unbiased, and one batch more: new arrays."""
    running_mean, counted = checks.floating(running_mean, "running_mean"), np.asarray(num_batches_tracked)
    running_var, mean, var = _alike(running_mean, running_var=running_var, mean=mean, var=var)
    shapes.batchnorm_track(running_mean, running_var, counted, mean, var, count, momentum)
    dtype = running_mean.dtype
    tracked = empty(running_mean.shape, dtype), empty(running_mean.shape, dtype), empty((), np.int64)
    launch(_track, 1, *map(flat, (running_mean, running_var, counted.astype(np.int64, copy=False), mean, var)),
           *map(flat, tracked), -1.0 if momentum is None else float(momentum), float(count), work=0)
    return tracked


def _alike(first, **operands):
    """The operands, in the dtype of the first one."""
    return [checks.floating(array, name, like=first) for name, array in operands.items()]


class _Norm:
    """The launches for `rows` rows of c numbers of one dtype."""

    def __init__(self, rows, c, dtype):
        lines = max(1, min(_LINES, _BLOCK // c))
        blocks, work = -(-rows // lines), rows * c
        self.shape, self.partial = (c, rows, lines), blocks * c
        self.work, self.behind = work, _rows_together(c) * c
        self.moments, self.apply = Launch(_moments, blocks, work), Launch(_apply, blocks, work)
        self.gradient_sums = Launch(_gradient_sums, blocks, work)
        self.input_gradient, self.scaled = Launch(_input_gradient, blocks, work), Launch(_scaled, blocks, work)
        self.scales, self.combine_moments = Launch(_scales, 1, 0), Launch(_combine_moments, 1, 0)
        self.combine_sums = Launch(_combine_sums, 1, 0)

    def normalise(self, x, y, channel, add, activation):
        self.apply(x, y, channel, *self.shape, epilogue.make(y, add, activation))


_norm = kept(_Norm)


def _rows_together(c):
    """Rows that are gone through together."""
    return max(2, min(sums.CHAIN, _CHUNK // c))


_step = jit(_rows_together)


@jit
def _scales(block, slot, gamma, beta, mean, var, eps, channel):
    """What the kernels below read for each channel: mean, gamma / deviation, beta, 1 / deviation, and the second of
    these again, rounded as `_combine_moments` does, in five rows."""
    c = mean.size
    for j in range(c):
        deviation = np.sqrt(var[j] + var.dtype.type(eps))
        inverse = 1 / deviation
        channel[j], channel[c + j] = mean[j], gamma[j] * inverse
        channel[2 * c + j], channel[3 * c + j] = beta[j], inverse
        channel[4 * c + j] = gamma[j] / deviation


@jit
def _moments(block, slot, x, means, squares, c, rows, lines):
    """A block's mean of each channel, and the sum of the squared deviations from it."""
    first, last, to = block * lines, min((block + 1) * lines, rows), block * c
    step = _step(c)
    spans.clear(means, to, to + c)
    spans.clear(squares, to, to + c)
    for top in range(first, last, step):
        bottom = min(top + step, last)
        spans.fetch(x, bottom * c, (bottom + step) * c)
        for j in range(0, c, simd.lanes(x)):
            # Relative to the first row, so that a large mean does not swallow what the rows differ by.
            n, pivot = c - j, simd.load_part(x, first * c + j, c - j)
            even, odd = simd.full(x, 0), simd.full(x, 0)
            for i in range(top, bottom - 1, 2):
                even = even + (simd.load_part(x, i * c + j, n) - pivot)
                odd = odd + (simd.load_part(x, (i + 1) * c + j, n) - pivot)
            if (bottom - top) % 2:
                even = even + (simd.load_part(x, (bottom - 1) * c + j, n) - pivot)
            simd.store_part(means, to + j, simd.load_part(means, to + j, n) + (even + odd), n)
    count = x.dtype.type(last - first)
    for j in range(0, c, simd.lanes(x)):
        n, pivot = c - j, simd.load_part(x, first * c + j, c - j)
        simd.store_part(means, to + j, simd.fma(simd.load_part(means, to + j, n), simd.full(x, 1 / count), pivot), n)
    for top in range(first, last, step):
        bottom = min(top + step, last)
        for j in range(0, c, simd.lanes(x)):
            n, mean = c - j, simd.load_part(means, to + j, c - j)
            even, odd = simd.full(x, 0), simd.full(x, 0)
            for i in range(top, bottom - 1, 2):
                v, w = simd.load_part(x, i * c + j, n) - mean, simd.load_part(x, (i + 1) * c + j, n) - mean
                even, odd = simd.fma(v, v, even), simd.fma(w, w, odd)
            if (bottom - top) % 2:
                v = simd.load_part(x, (bottom - 1) * c + j, n) - mean
                even = simd.fma(v, v, even)
            simd.store_part(squares, to + j, simd.load_part(squares, to + j, n) + (even + odd), n)


@jit
def _combine_moments(block, slot, means, squares, gamma, beta, eps, mean, var, channel, rows, lines):
    """Mean and variance of all rows from those of the blocks, and what `_apply` reads."""
    c = mean.size
    blocks = means.size // c
    for j in range(c):
        total = 0.0
        for i in range(blocks):
            total += means[i * c + j] * float(min(lines, rows - i * lines))
        centre = total / rows
        square = 0.0
        for i in range(blocks):
            away = means[i * c + j] - centre
            square += squares[i * c + j] + away * away * min(lines, rows - i * lines)
        mean[j] = centre
        var[j] = square / rows
        channel[j], channel[c + j] = mean[j], gamma[j] / np.sqrt(var[j] + var.dtype.type(eps))
        channel[2 * c + j] = beta[j]


@jit
def _apply(block, slot, x, y, channel, c, rows, lines, epilogue):
    """y = (x - mean) gamma / deviation + beta, and what follows."""
    first, last = block * lines, min((block + 1) * lines, rows)
    if epilogue.more == spans.BENT:
        _apply_rows(x, y, channel, c, first, last, epilogue, spans.BENT)
    elif epilogue.more == spans.MORE:
        _apply_rows(x, y, channel, c, first, last, epilogue, spans.MORE)
    else:
        _apply_rows(x, y, channel, c, first, last, epilogue, spans.BOUND)
    spans.call(y, first * c, last * c, epilogue)


@inlined
def _apply_rows(x, y, channel, c, first, last, epilogue, more):
    for i in range(first, last):
        for j in range(0, c, simd.lanes(x)):
            n, at = c - j, i * c + j
            v = simd.load_part(x, at, n) - simd.load_part(channel, j, n)
            v = simd.fma(v, simd.load_part(channel, c + j, n), simd.load_part(channel, 2 * c + j, n))
            simd.store_part(y, at, spans.finished(v, at, n, epilogue, more), n)


@jit
def _past(dy, x, channel, dx, memory, at, top, bottom, c, behind):
    """dx = dy times the derivative of the activation behind, for some rows; its input is put into memory[at:]."""
    start, stop = top * c, bottom * c
    for i in range(top, bottom):
        for j in range(0, c, simd.lanes(x)):
            n, here = c - j, i * c + j
            v = simd.load_part(x, here, n) - simd.load_part(channel, j, n)
            v = simd.fma(v, simd.load_part(channel, 4 * c + j, n), simd.load_part(channel, 2 * c + j, n))
            simd.store_part(memory, at + here - start, v, n)
            simd.store_part(dx, here, simd.load_part(dy, here, n), n)
    function, derivative = behind.function, behind.derivative
    if function.address != 0:
        call(function.address, (at, at + stop - start, memory, function.alpha, function.beta))
    call(derivative.address, (start, stop, dx, memory, at, derivative.alpha, derivative.beta))


@jit
def _gradient_sums(block, slot, dy, x, channel, sums, products, dx, memory, c, rows, lines, behind):
    """A block's sums of dy and of dy xhat. What a compiled function has to do with dy before that is done here once,
    and waits in dx until `_input_gradient` has its place."""
    first, last, to = block * lines, min((block + 1) * lines, rows), block * c
    step, at = _step(c), slot * _step(c) * c
    spans.clear(sums, to, to + c)
    spans.clear(products, to, to + c)
    for top in range(first, last, step):
        bottom = min(top + step, last)
        spans.fetch(dy, bottom * c, (bottom + step) * c)
        spans.fetch(x, bottom * c, (bottom + step) * c)
        source = dy
        if behind.derivative.address != 0:
            _past(dy, x, channel, dx, memory, at, top, bottom, c, behind)
            source = dx
        if behind.more == spans.BENT:
            _sum_some(source, x, channel, sums, products, to, c, top, bottom, behind, spans.BENT)
        elif behind.more == spans.MORE:
            _sum_some(source, x, channel, sums, products, to, c, top, bottom, behind, spans.MORE)
        else:
            _sum_some(source, x, channel, sums, products, to, c, top, bottom, behind, spans.BOUND)
    for j in range(0, c, simd.lanes(x)):
        n = c - j
        v = simd.load_part(products, to + j, n) * simd.load_part(channel, 3 * c + j, n)
        simd.store_part(products, to + j, v, n)


@inlined
def _sum_some(dy, x, channel, sums, products, to, c, top, bottom, behind, more):
    """What rows `top` to `bottom` add to a block's sums."""
    for j in range(0, c, simd.lanes(x)):
        n = c - j
        mean, scale = simd.load_part(channel, j, n), simd.load_part(channel, 4 * c + j, n)
        beta, total, product = simd.load_part(channel, 2 * c + j, n), simd.full(x, 0), simd.full(x, 0)
        for i in range(top, bottom):
            g = simd.load_part(dy, i * c + j, n)
            v = simd.load_part(x, i * c + j, n) - mean
            if more:
                g = simd.through(g, simd.fma(v, scale, beta), behind.masking, more == spans.BENT)
            total = total + g
            product = simd.fma(g, v, product)
        simd.store_part(sums, to + j, simd.load_part(sums, to + j, n) + total, n)
        simd.store_part(products, to + j, simd.load_part(products, to + j, n) + product, n)


@jit
def _combine_sums(block, slot, sums, products, dbeta, dgamma, means, rows):
    """dbeta and dgamma, and both divided by the number of rows."""
    c = dbeta.size
    for j in range(c):
        total, product = 0.0, 0.0
        for at in range(j, sums.size, c):
            total += sums[at]
            product += products[at]
        dbeta[j], dgamma[j] = total, product
        means[j], means[c + j] = total / rows, product / rows


@jit
def _input_gradient(block, slot, dy, x, dx, channel, means, c, rows, lines, behind):
    """dx from dy, which may lie in dx, and xhat; `means` holds dbeta / m and dgamma / m."""
    first, last = block * lines, min((block + 1) * lines, rows)
    if behind.more == spans.BENT:
        _differ(dy, x, dx, channel, means, c, first, last, behind, spans.BENT)
    elif behind.more == spans.MORE:
        _differ(dy, x, dx, channel, means, c, first, last, behind, spans.MORE)
    else:
        _differ(dy, x, dx, channel, means, c, first, last, behind, spans.BOUND)


@inlined
def _differ(dy, x, dx, channel, means, c, first, last, behind, more):
    """dx of the rows from `first` to `last`."""
    for i in range(first, last):
        for j in range(0, c, simd.lanes(x)):
            n, at = c - j, i * c + j
            scale = simd.load_part(channel, c + j, n)
            g, v = simd.load_part(dy, at, n), simd.load_part(x, at, n) - simd.load_part(channel, j, n)
            if more:
                y = simd.fma(v, simd.load_part(channel, 4 * c + j, n), simd.load_part(channel, 2 * c + j, n))
                g = simd.through(g, y, behind.masking, more == spans.BENT)
            share = simd.load_part(channel, 3 * c + j, n) * simd.load_part(means, c + j, n)
            v = g - simd.load_part(means, j, n) - v * share
            simd.store_part(dx, at, scale * v, n)


@jit
def _scaled(block, slot, dy, dx, channel, c, rows, lines):
    """dx = dy gamma / deviation."""
    for i in range(block * lines, min((block + 1) * lines, rows)):
        for j in range(0, c, simd.lanes(dy)):
            n, at = c - j, i * c + j
            simd.store_part(dx, at, simd.load_part(dy, at, n) * simd.load_part(channel, c + j, n), n)


@literal
def _track(block, slot, mean, var, counted, new_mean, new_var, moved_mean, moved_var, moved_counted, momentum, count):
    """A momentum below zero stands for None."""
    moved_counted[0] = counted[0] + 1
    if momentum < 0:
        momentum = 1 / moved_counted[0]
    old, new = mean.dtype.type(1 - momentum), mean.dtype.type(momentum)
    unbiased = mean.dtype.type(momentum * count / (count - 1))
    for j in range(mean.size):
        moved_mean[j] = old * mean[j] + new * new_mean[j]
        moved_var[j] = old * var[j] + unbiased * new_var[j]
