"""Depthwise convolution, one filter a channel: no matrix product, so vectors run over the channels.

A block is one row of the output. Filters and their gradient lie as (R S, C). Where whole windows lie inside of the
image, four outputs side by side are computed at once: they share the filter and most of their pixels, which one reading
brings into registers. For that the width of the kernel, its stride and dilation are constants to the compiler.
"""
import functools

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu._jit import Launch, inlined, jit, launch
from fastnet.kernels.cpu.array import empty
from fastnet.kernels.cpu.rows import sum_rows

# Partial weight gradients: each block sums its share of the images, and the shares are added in order.
_PARTS = 16


def pack(w, backward=False):
    """Filters (C, 1, R, S) as a flat (R S, C), turned by half a circle for the gradient for the input."""
    taps = empty(w.size, w.dtype)
    launch(_turn, 1, w.reshape(-1), taps, w.shape[0], bool(backward), work=0)
    return taps


class Forward:
    """y from x, or, with stride 1, dx from dy: images `source` (H, W, C) to images `target` (P, Q, C)."""

    def __init__(self, batch, source, target, kernel, stride, dilation, before):
        self.shape = np.array([*source, *target, stride[0], dilation[0], *before, kernel[0]])
        size = batch * target[0] * target[1] * target[2]
        self.launch = Launch(_forward_kernel(kernel[1], stride[1], dilation[1]), batch * target[0],
                             size * kernel[0] * kernel[1])

    def __call__(self, x, w, b, y, relu=False, mask=None):
        self.launch(x, w, b, y, y if mask is None else mask, self.shape, bool(relu), mask is not None)


class BackwardInput:
    """dx from dy for any stride: images `source` (P, Q, C) to images `target` (H, W, C)."""

    def __init__(self, batch, source, target, stride, taps):
        self.shape, self.taps = np.array([*target, *source, *stride]), np.array(taps, np.int64).reshape(-1)
        self.launch = Launch(_backward_input, batch * target[0], batch * target[0] * target[1] * target[2] * len(taps))

    def __call__(self, dy, w, dx, mask):
        self.launch(dy, w, dx, self.taps, self.shape, dx if mask is None else mask, mask is not None)


class BackwardWeight:
    """dw and db from x, images `source` (H, W, C), and dy, images `target` (P, Q, C)."""

    def __init__(self, batch, source, target, kernel, stride, dilation, before):
        self.parts, self.count, self.channels = min(_PARTS, batch), kernel[0] * kernel[1], source[2]
        self.shape = np.array([*source, *target, stride[0], dilation[0], *before, kernel[0], batch, self.parts])
        self.launch = Launch(_weight_kernel(kernel[1], stride[1], dilation[1]), self.parts,
                             batch * target[0] * target[1] * target[2] * self.count)

    def __call__(self, x, dy, bias):
        """(dw, db): both flat, dw in the order of (C, 1, R, S), db None without `bias`."""
        size = self.count * self.channels
        sums, db = empty(self.parts * size, x.dtype), empty(self.parts * self.channels, x.dtype)
        self.launch(x, dy, sums, db, self.shape)
        dw = empty(size, x.dtype)
        launch(_turn, 1, sum_rows(sums, self.parts, size, size), dw, self.count, False, work=0)
        return dw, sum_rows(db, self.parts, self.channels, self.channels) if bias else None


@jit
def _turn(block, slot, x, y, rows, backward):
    """y = x^T for the matrix x of so many rows; with `backward` the rows of y in reverse order."""
    columns = x.size // rows
    for row in range(rows):
        for column in range(columns):
            y[(columns - 1 - column if backward else column) * rows + row] = x[row * columns + column]


@jit
def _inside(left, width, q, reach, step):
    """(first, last + 1) of the windows of a row that do not stick out: `reach` pixels from their first one to their
    last one."""
    first = min(q, (left + step - 1) // step)
    return first, max(first, min(q, (width - 1 - reach + left) // step + 1)) if width > reach else first


@inlined
def _keep(y, at, v, n, mask, relu, masked):
    if relu:
        v = simd.relu(v)
    if masked:
        v = simd.positive(v, simd.load_part(mask, at, n))
    simd.store_part(y, at, v, n)


@functools.cache
def _forward_kernel(s, step, dilation):

    @inlined
    def one(x, w, b, first_pixel, line, place, h, width, c, r, down, j):
        """The output of one window, whose pixels start at (line, place), for a vector of channels; it may stick out."""
        n = c - j
        v = simd.load_part(b, j, n)
        first, last = max(0, (dilation - 1 - place) // dilation), min(s, (width - 1 - place) // dilation + 1)
        for a in range(r):
            i = line + a * down
            if 0 <= i < h:
                at = (first_pixel + i * width + place) * c + j
                for k in range(first, last):
                    pixel = simd.load_part(x, at + k * dilation * c, n)
                    v = simd.fma(pixel, simd.load_part(w, (a * s + k) * c + j, n), v)
        return v

    def forward(block, slot, x, w, b, y, mask, shape, relu, masked):
        h, width, c, p, q, _, step_h, down, top, left, r = shape[:11]
        image, line = block // p, block % p * step_h - top
        first, last = _inside(left, width, q, (s - 1) * dilation, step)
        # What the next row reads besides, and where it is written.
        ahead = (image * h + line + (r - 1) * down + 1) * width * c
        spans.fetch(x, max(0, ahead), ahead + step_h * width * c)
        spans.fetch(y, (block + 1) * q * c, (block + 2) * q * c)
        for j in range(0, c, simd.lanes(y)):
            n, to = c - j, block * q * c + j
            inside = n >= simd.lanes(y) and last - first >= 4
            for column in range(first, last if inside else first, 4):
                column = min(column, last - 4)  # the last four overlap those before
                v0 = v1 = v2 = v3 = simd.load(b, j)
                for a in range(r):
                    i = line + a * down
                    if 0 <= i < h:
                        at = ((image * h + i) * width + column * step - left) * c + j
                        for k in range(s):
                            factor, here = simd.load(w, (a * s + k) * c + j), at + k * dilation * c
                            v0 = simd.fma(simd.load(x, here), factor, v0)
                            v1 = simd.fma(simd.load(x, here + step * c), factor, v1)
                            v2 = simd.fma(simd.load(x, here + 2 * step * c), factor, v2)
                            v3 = simd.fma(simd.load(x, here + 3 * step * c), factor, v3)
                _keep(y, to + column * c, v0, n, mask, relu, masked)
                _keep(y, to + (column + 1) * c, v1, n, mask, relu, masked)
                _keep(y, to + (column + 2) * c, v2, n, mask, relu, masked)
                _keep(y, to + (column + 3) * c, v3, n, mask, relu, masked)
            done = last - first if inside else 0
            for column in range(q - done):
                column += done if column >= first else 0
                v = one(x, w, b, image * h * width, line, column * step - left, h, width, c, r, down, j)
                _keep(y, to + column * c, v, n, mask, relu, masked)

    forward.__qualname__ = f"forward_{s}_{step}_{dilation}"
    return jit(forward)


@jit
def _backward_input(block, slot, dy, w, dx, taps, shape, mask, masked):
    h, width, c, p, q, _, step_h, step_w = shape[:8]
    image, row = block // h, block % h
    for column in range(width):
        to = (block * width + column) * c
        spans.clear(dx, to, to + c)
        for t in range(taps.size // 2):  # outside of the loop over channels, for the sake of the divisions
            i, k = row - taps[2 * t], column - taps[2 * t + 1]
            if i >= 0 and k >= 0 and i % step_h == 0 and k % step_w == 0 and i // step_h < p and k // step_w < q:
                source = ((image * p + i // step_h) * q + k // step_w) * c
                for j in range(0, c, simd.lanes(dx)):
                    n = c - j
                    v = simd.load_part(dx, to + j, n)
                    v = simd.fma(simd.load_part(dy, source + j, n), simd.load_part(w, t * c + j, n), v)
                    simd.store_part(dx, to + j, v, n)
        if masked:
            for j in range(0, c, simd.lanes(dx)):
                n = c - j
                v = simd.positive(simd.load_part(dx, to + j, n), simd.load_part(mask, to + j, n))
                simd.store_part(dx, to + j, v, n)


def _make_insides(s, step, dilation):

    @inlined
    def insides(x, dy, dw, start, image, first, last, j, shape):
        """Add the products of windows `first` to `last` of each row, for whole vectors of channels: three elements of
        a row of the kernel at a time."""
        h, width, c, p, q, _, step_h, down, top, left, r = shape[:11]
        for a in range(r):
            for k in range(0, s, 3):
                at, two, three = start + (a * s + k) * c + j, k + 1 < s, k + 2 < s
                v0 = simd.load(dw, at)
                v1 = simd.load(dw, at + c) if two else v0
                v2 = simd.load(dw, at + 2 * c) if three else v0
                for row in range(p):
                    i, line = row * step_h + a * down - top, image * p + row
                    if 0 <= i < h:
                        for column in range(first, last):
                            g = simd.load(dy, (line * q + column) * c + j)
                            here = ((image * h + i) * width + column * step - left + k * dilation) * c + j
                            v0 = simd.fma(simd.load(x, here), g, v0)
                            if two:
                                v1 = simd.fma(simd.load(x, here + dilation * c), g, v1)
                            if three:
                                v2 = simd.fma(simd.load(x, here + 2 * dilation * c), g, v2)
                simd.store(dw, at, v0)
                if two:
                    simd.store(dw, at + c, v1)
                if three:
                    simd.store(dw, at + 2 * c, v2)

    return insides


def _make_edges(s, step, dilation):

    @inlined
    def edges(x, dy, dw, start, image, first, last, j, shape):
        """Add those of all other windows, which may stick out of the image."""
        h, width, c, p, q, _, step_h, down, top, left, r = shape[:11]
        n = c - j
        for t in range(r * s if last - first < q else 0):
            v = simd.load_part(dw, start + t * c + j, n)
            # Row p of dy meets row p step_h + before of the image.
            before = t // s * down - top
            begin = max(0, (step_h - 1 - before) // step_h)
            end = min(p, (h - 1 - before) // step_h + 1)
            for column in range(q - last + first):
                column += last - first if column >= first else 0
                place = column * step + t % s * dilation - left
                for row in range(begin, end if 0 <= place < width else begin):
                    pixel = simd.load_part(x, ((image * h + row * step_h + before) * width + place) * c + j, n)
                    v = simd.fma(pixel, simd.load_part(dy, ((image * p + row) * q + column) * c + j, n), v)
            simd.store_part(dw, start + t * c + j, v, n)

    return edges


@functools.cache
def _weight_kernel(s, step, dilation):
    insides, edges = _make_insides(s, step, dilation), _make_edges(s, step, dilation)

    def backward(block, slot, x, dy, dw, db, shape):
        """One share of the images."""
        _, width, c, p, q, _, _, _, _, left, r, batch, parts = shape[:13]
        start = block * r * s * c
        spans.clear(dw, start, start + r * s * c)
        spans.clear(db, block * c, (block + 1) * c)
        first, last = _inside(left, width, q, (s - 1) * dilation, step)
        for image in range(block * batch // parts, (block + 1) * batch // parts):
            for j in range(0, c, simd.lanes(x)):
                n = c - j
                if n >= simd.lanes(x):
                    insides(x, dy, dw, start, image, first, last, j, shape)
                    edges(x, dy, dw, start, image, first, last, j, shape)
                else:
                    edges(x, dy, dw, start, image, 0, 0, j, shape)
                v = simd.load_part(db, block * c + j, n)
                for i in range(image * p * q, (image + 1) * p * q):
                    v = v + simd.load_part(dy, i * c + j, n)
                simd.store_part(db, block * c + j, v, n)

    backward.__qualname__ = f"backward_{s}_{step}_{dilation}"
    return jit(backward)
