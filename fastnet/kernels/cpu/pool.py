"""Pooling: a block is one row of an image, vectors run over the channels; all of it is bound by memory.

The backward passes go by input pixel and ask each window over it, so that overlapping windows need no atomic addition.

Vectors of the max-poolings do not stop at the end of a pixel, but at that of the row: what they write behind the pixel
is written again, by the pixels to which it belongs. So few channels cost no masks.
"""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import Launch, empty_images, flat, jit, kept, launch


def maxpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), relu=False):
    """(y, index): the largest pixel of each window and its place in it. With relu=True y is that of a ReLU, and index
    says "no gradient" (its dtype's maximum) where y is not positive."""
    x = checks.floating(x, "x")
    shape = shapes.maxpool2d_forward(x, kernel_size, stride, padding)[0].shape
    pool = _max_pool(x.dtype, *map(tuple, (x.shape, shape, kernel_size, stride, padding)))
    y, index = empty_images(*shape, x.dtype), empty_images(*shape, pool.index)
    pool.forward(flat(x), flat(y), flat(index), pool.shape, bool(relu), pool.nowhere)
    return y, index


def maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding):
    """dx: every dy[n, c, p, q] goes to the pixel that won its window."""
    dy = checks.floating(dy, "dy")
    shapes.maxpool2d_backward(dy, index, x_shape, kernel_size, stride, padding)
    pool = _max_pool(dy.dtype, *map(tuple, (x_shape, dy.shape, kernel_size, stride, padding)))
    dx = empty_images(*x_shape, dy.dtype)
    pool.backward(flat(dy), flat(index), flat(dx), pool.shape)
    return dx


class _MaxPool:
    """Max-pooling of images of one shape, all worked out but the numbers."""

    def __init__(self, x_shape, y_shape, kernel_size, stride, padding):
        (n, c, h, w), p = x_shape, y_shape[2]
        self.index = np.dtype(checks.pool_index_dtype(kernel_size))
        self.nowhere = int(np.iinfo(self.index).max)
        self.shape = _shape(x_shape, y_shape, kernel_size, stride, padding)
        work = n * c * h * w // 4  # little is done for each number
        pairs = kernel_size == (2, 2) and not any(padding)
        self.forward = Launch(_max_forward_2x2 if pairs else _max_forward, n * p, work)
        apart = stride[0] >= kernel_size[0] and stride[1] >= kernel_size[1]
        self.backward = Launch(_max_backward_apart, n * p, work) if apart else Launch(_max_backward, n * h, work)


@kept
def _max_pool(dtype, *shapes):
    """The _MaxPool of these shapes; one for each dtype, because a Launch is for one."""
    return _MaxPool(*shapes)


def avgpool2d_forward(x, kernel_size, stride, padding=(0, 0, 0, 0), count_include_pad=True):
    """The sum over each window divided by R S or, with count_include_pad=False, by its pixels within the image."""
    x = checks.floating(x, "x")
    y = empty_images(*shapes.avgpool2d_forward(x, kernel_size, stride, padding, count_include_pad).shape, x.dtype)
    launch(_average_forward, y.shape[0] * y.shape[2], flat(x), flat(y),
           _shape(x.shape, y.shape, kernel_size, stride, padding), bool(count_include_pad), work=x.size)
    return y


def avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad=True):
    """dx: every dy[n, c, p, q] is shared out equally among the pixels that were counted."""
    dy = checks.floating(dy, "dy")
    shapes.avgpool2d_backward(dy, x_shape, kernel_size, stride, padding, count_include_pad)
    shape, dx = dy.shape, empty_images(*x_shape, dy.dtype)
    launch(_average_backward, shape[0] * x_shape[2], flat(dy), flat(dx),
           _shape(x_shape, shape, kernel_size, stride, padding), bool(count_include_pad), work=dx.size)
    return dx


def global_avgpool_forward(x):
    """The mean of each channel's image: x (N, C, H, W), y (N, C, 1, 1)."""
    x = checks.floating(x, "x")
    y, (n, c, h, w) = empty_images(*shapes.global_avgpool_forward(x).shape, x.dtype), x.shape
    launch(_global_forward, n, flat(x), flat(y), c, h * w, work=x.size)
    return y


def global_avgpool_backward(dy, x_shape):
    """dx[n, c, :, :] = dy[n, c] / (H W)."""
    dy = checks.floating(dy, "dy")
    n, c, h, w = shapes.global_avgpool_backward(dy, x_shape).shape
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
def _cell(place, step, before, count, extent):
    """(first, last + 1) of the pixels from the start of window `place` to that of the next, the first and last windows
    taking what is left at the edges."""
    return max(0, place * step - before), (place + 1) * step - before if place < count - 1 else extent


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
        last = ((image * h + y0 + r1 - 1) * w + x0 + s1 - 1) * c
        for i in range(0, c, simd.lanes(x)):
            room = x.size - last - i  # of the last pixel, and so of all: LLVM then asks once
            best, place = simd.load_part(x, first + i, room), simd.full(x, r0 * kernel_w + s0)
            for r in range(r0, r1):
                for s in range(s0, s1):
                    value = simd.load_part(x, first + ((r - r0) * w + s - s0) * c + i, room)
                    place = simd.pick(value, best, simd.full(x, r * kernel_w + s), place)
                    best = simd.pick(value, best, value, best)
            to = (block * q + column) * c + i
            keep(y, index, to, best, place, (block + 1) * q * c - to, relu, nowhere)


@jit
def _max_forward_2x2(block, slot, x, y, index, shape, relu, nowhere):
    """The commonest windows, without padding: the loop over one is unrolled, and takes half the time."""
    c, h, w, p, q, _, _, step_h, step_w = shape[:9]
    image, row = block // p, block % p
    for column in range(q):
        first = ((image * h + row * step_h) * w + column * step_w) * c
        for i in range(0, c, simd.lanes(x)):
            room = x.size - first - (w + 1) * c - i
            best, place = simd.load_part(x, first + i, room), simd.full(x, 0)
            for k in range(1, 4):
                value = simd.load_part(x, first + (k // 2 * w + k % 2) * c + i, room)
                place = simd.pick(value, best, simd.full(x, k), place)
                best = simd.pick(value, best, value, best)
            to = (block * q + column) * c + i
            keep(y, index, to, best, place, (block + 1) * q * c - to, relu, nowhere)


@jit
def keep(y, index, to, best, place, n, relu, nowhere):
    """Write the largest of n windows, and its place in them."""
    if relu:
        # Where best is not positive, and NaN is not, no gradient passes; the numbers are small and exact.
        place = simd.positive(place - simd.full(y, nowhere), best) + simd.full(y, nowhere)
        best = simd.relu(best)
    simd.store_part(y, to, best, n)
    simd.store_index(index, to, place, n)


@jit
def _max_backward(block, slot, dy, index, dx, shape):
    """Windows that overlap: an input row asks every window over each of its pixels."""
    c, h, w, p, q, kernel_h, kernel_w, step_h, step_w, top, left = shape[:11]
    image, row = block // h, block % h
    p0, p1 = _windows_over(row, step_h, top, kernel_h, p)
    for column in range(w):
        q0, q1 = _windows_over(column, step_w, left, kernel_w, q)
        for i in range(0, c, simd.lanes(dx)):
            to, total = (block * w + column) * c + i, simd.full(dx, 0)
            for line in range(p0, p1):
                for place in range(q0, q1):
                    source = ((image * p + line) * q + place) * c + i
                    here = (row + top - line * step_h) * kernel_w + column + left - place * step_w
                    won = simd.load_index(index, source, dy.size - source, dx)
                    total = total + simd.matching(simd.load_part(dy, source, dy.size - source), won,
                                                  simd.full(dx, here))
            simd.store_part(dx, to, total, (block + 1) * w * c - to)


@jit
def _max_backward_apart(block, slot, dy, index, dx, shape):
    """Windows that do not overlap: a row of them writes the rows of the image down to the next one's."""
    c, h, w, p, q, kernel_h, kernel_w, step_h, step_w, top, left = shape[:11]
    image, line = block // p, block % p
    y0, y1 = _cell(line, step_h, top, p, h)
    for row in range(y0, y1):
        r = row + top - line * step_h
        for place in range(q):
            x0, x1 = _cell(place, step_w, left, q, w)
            for column in range(x0, x1):
                s = column + left - place * step_w
                here = simd.full(dx, r * kernel_w + s if r < kernel_h and s < kernel_w else -1)
                for i in range(0, c, simd.lanes(dx)):
                    source = (block * q + place) * c + i
                    n = dy.size - source
                    won = simd.load_index(index, source, n, dx)
                    v = simd.matching(simd.load_part(dy, source, n), won, here)
                    simd.store_part(dx, ((image * h + row) * w + column) * c + i, v, (w - column) * c - i)


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
