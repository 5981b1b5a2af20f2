"""Pooling: a block is one row of an image, vectors run over the channels; all of it is bound by memory.

The backward passes go by input pixel and ask each window over it, so that overlapping windows need no atomic addition.
"""
import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu._jit import jit, launch
from fastnet.kernels.cpu.array import empty_images, flat


def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), relu=False):
    """(y, index): the largest pixel of each window and its place r S + s in it; of equal values the first wins, a NaN
    wins over all, and with relu=True index says "no gradient" (its dtype's maximum) where y is not positive."""
    x = checks.floating(x, "x")
    n, c, p, q = checks.pool2d_shape(x.shape, kernel_size, stride, padding)
    y = empty_images(n, c, p, q, x.dtype)
    index = empty_images(n, c, p, q, checks.pool_index_dtype(kernel_size))
    launch(_max_forward, n * p, flat(x), flat(y), flat(index), _shape(x.shape, y.shape, kernel_size, stride, padding),
           bool(relu), np.iinfo(index.dtype).max, work=x.size)
    return y, index


def maxpool2d_inference(x, kernel_size, stride, padding=(0, 0, 0, 0), relu=False):
    """y of maxpool2d_forward without the index."""
    return maxpool2d_forward(x, kernel_size, stride, padding, relu)[0]


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding):
    """dx: every dy[n, c, p, q] goes to the pixel that won its window."""
    dy = checks.floating(dy, "dy")
    shape = checks.pool2d_shape(x_shape, kernel_size, stride, padding)
    checks.has_shape(dy, shape, "dy")
    checks.pool_index(index, shape, kernel_size)
    dx = empty_images(*x_shape, dy.dtype)
    launch(_max_backward, shape[0] * x_shape[2], flat(dy), flat(index), flat(dx),
           _shape(x_shape, shape, kernel_size, stride, padding), work=dx.size)
    return dx


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True):
    """The sum over each window divided by R S or, with count_include_pad=False, by its pixels within the image."""
    x = checks.floating(x, "x")
    n, c, p, q = checks.pool2d_shape(x.shape, kernel_size, stride, padding)
    y = empty_images(n, c, p, q, x.dtype)
    launch(_average_forward, n * p, flat(x), flat(y), _shape(x.shape, y.shape, kernel_size, stride, padding),
           bool(count_include_pad), work=x.size)
    return y


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True):
    """dx: every dy[n, c, p, q] is shared out equally among the pixels that were counted."""
    dy = checks.floating(dy, "dy")
    shape = checks.pool2d_shape(x_shape, kernel_size, stride, padding)
    checks.has_shape(dy, shape, "dy")
    dx = empty_images(*x_shape, dy.dtype)
    launch(_average_backward, shape[0] * x_shape[2], flat(dy), flat(dx),
           _shape(x_shape, shape, kernel_size, stride, padding), bool(count_include_pad), work=dx.size)
    return dx


def global_avgpool_forward(x):
    """The mean of each channel's image: x (N, C, H, W), y (N, C, 1, 1)."""
    x = checks.floating(x, "x")
    n, c, h, w = checks.images(x.shape)
    y = empty_images(n, c, 1, 1, x.dtype)
    launch(_global_forward, n, flat(x), flat(y), c, h * w, work=x.size)
    return y


def global_avgpool_backward(dy, x_shape):
    """dx[n, c, :, :] = dy[n, c] / (H W)."""
    dy = checks.floating(dy, "dy")
    n, c, h, w = checks.images(x_shape)
    checks.has_shape(dy, (n, c, 1, 1), "dy")
    dx = empty_images(n, c, h, w, dy.dtype)
    launch(_global_backward, n, flat(dy), flat(dx), c, h * w, work=dx.size)
    return dx


def _shape(x_shape, y_shape, kernel_size, stride, padding):
    _, c, h, w = x_shape
    return np.array([c, h, w, *y_shape[2:], *kernel_size, *stride, padding[0], padding[2]])


@jit
def _window(place, step, before, kernel, extent):
    """(first, last + 1, start): the kernel elements of window `place` inside of the image, and the pixel under element
    0."""
    start = place * step - before
    return max(0, -start), min(kernel, extent - start), start


@jit
def _windows_over(pixel, step, before, kernel, count):
    """(first, last + 1) of the windows that contain a pixel."""
    reach = pixel + before
    return max(0, (reach - kernel) // step + 1), min(count, reach // step + 1)


@jit
def _max_forward(block, slot, x, y, index, shape, relu, nowhere):
    c, h, w, p, q, kernel_h, kernel_w, step_h, step_w, top, left = shape[:11]
    image, row = block // p, block % p
    r0, r1, y0 = _window(row, step_h, top, kernel_h, h)
    for column in range(q):
        s0, s1, x0 = _window(column, step_w, left, kernel_w, w)
        first = ((image * h + y0 + r0) * w + x0 + s0) * c
        for i in range(0, c, simd.lanes(x)):
            n, to = c - i, (block * q + column) * c + i
            best, place = simd.load_part(x, first + i, n), simd.full(x, r0 * kernel_w + s0)
            for r in range(r0, r1):
                for s in range(s0, s1):
                    value = simd.load_part(x, ((image * h + y0 + r) * w + x0 + s) * c + i, n)
                    place = simd.pick(value, best, simd.full(x, r * kernel_w + s), place)
                    best = simd.pick(value, best, value, best)
            if relu:
                # Where best is not positive, and NaN is not, no gradient passes; the numbers are small and exact.
                place = simd.positive(place - simd.full(x, nowhere), best) + simd.full(x, nowhere)
                best = simd.relu(best)
            simd.store_part(y, to, best, n)
            simd.store_index(index, to, place, n)


@jit
def _max_backward(block, slot, dy, index, dx, shape):
    c, h, w, p, q, kernel_h, kernel_w, step_h, step_w, top, left = shape[:11]
    image, row = block // h, block % h
    p0, p1 = _windows_over(row, step_h, top, kernel_h, p)
    for column in range(w):
        q0, q1 = _windows_over(column, step_w, left, kernel_w, q)
        for i in range(0, c, simd.lanes(dx)):
            n, total = c - i, simd.full(dx, 0)
            for line in range(p0, p1):
                for place in range(q0, q1):
                    source = ((image * p + line) * q + place) * c + i
                    here = (row + top - line * step_h) * kernel_w + column + left - place * step_w
                    won = simd.load_index(index, source, n, dx)
                    total = total + simd.matching(simd.load_part(dy, source, n), won, simd.full(dx, here))
            simd.store_part(dx, (block * w + column) * c + i, total, n)


@jit
def _average_forward(block, slot, x, y, shape, count_all):
    c, h, w, p, q, kernel_h, kernel_w, step_h, step_w, top, left = shape[:11]
    image, row = block // p, block % p
    r0, r1, y0 = _window(row, step_h, top, kernel_h, h)
    for column in range(q):
        s0, s1, x0 = _window(column, step_w, left, kernel_w, w)
        to = (block * q + column) * c
        for i in range(c):
            y[to + i] = 0
        for r in range(r0, r1):
            for s in range(s0, s1):
                source = ((image * h + y0 + r) * w + x0 + s) * c
                for i in range(c):
                    y[to + i] += x[source + i]
        count = y.dtype.type(kernel_h * kernel_w if count_all else (r1 - r0) * (s1 - s0))
        for i in range(c):
            y[to + i] /= count


@jit
def _average_backward(block, slot, dy, dx, shape, count_all):
    c, h, w, p, q, kernel_h, kernel_w, step_h, step_w, top, left = shape[:11]
    image, row = block // h, block % h
    p0, p1 = _windows_over(row, step_h, top, kernel_h, p)
    for column in range(w):
        to = (block * w + column) * c
        q0, q1 = _windows_over(column, step_w, left, kernel_w, q)
        for i in range(c):
            dx[to + i] = 0
        for line in range(p0, p1):
            r0, r1, _ = _window(line, step_h, top, kernel_h, h)
            for place in range(q0, q1):
                s0, s1, _ = _window(place, step_w, left, kernel_w, w)
                count = dx.dtype.type(kernel_h * kernel_w if count_all else (r1 - r0) * (s1 - s0))
                source = ((image * p + line) * q + place) * c
                for i in range(c):
                    dx[to + i] += dy[source + i] / count


@jit
def _global_forward(block, slot, x, y, c, pixels):
    to = block * c
    for i in range(c):
        y[to + i] = 0
    for pixel in range(pixels):
        source = (block * pixels + pixel) * c
        for i in range(c):
            y[to + i] += x[source + i]
    for i in range(c):
        y[to + i] /= y.dtype.type(pixels)


@jit
def _global_backward(block, slot, dy, dx, c, pixels):
    for pixel in range(pixels):
        to = (block * pixels + pixel) * c
        for i in range(c):
            dx[to + i] = dy[block * c + i] / dx.dtype.type(pixels)
