"""Depthwise convolution, one filter a channel: no matrix product, so vectors run over the channels.

Filters and their gradient lie as (R S, C). A block takes some rows of the output, one vector of channels after the
other. It first copies the pixels that the windows read, with zeros around the image, so that no window is a special
case; then it goes through four windows at once, which share the filter and most of their pixels: one reading brings
those into registers. For that the kernel's size, its stride and dilation are constants to the compiler.
"""
import functools

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime.array import empty, scratch
from fastnet.kernels.cpu.runtime.jit import Launch, inlined, jit, launch

# Numbers of the output that a block takes, where that makes so many blocks.
_BLOCK, _BLOCKS = 16_384, 4
# Partial weight gradients: each is the sum over a share of the forward pass's blocks, and they are added in order.
_PARTS = 16
# Windows whose products are added up in registers, in each lane two sums of half as many, before they go to a partial
# gradient; and how often that is added to before it is moved to one in float64.
_CHAIN, _CHAINS_OF_SUM = 2 * sums.PAIR, 64


def pack(w, backward=False):
    """Filters (C, 1, R, S) as a flat (R S, C), turned by half a circle for the gradient for the input."""
    taps = empty(w.size, w.dtype)
    launch(_turn, 1, w.reshape(-1), taps, w.shape[0], bool(backward), work=0)
    return taps


class _Windows:
    """How images `source` (H, W, C) are cut into blocks for images `target` (P, Q, C)."""

    def __init__(self, batch, source, target, kernel, stride, dilation, before, dtype):
        p, q, c = target
        self.rows = max(1, min(_BLOCK // (q * c), batch * p // _BLOCKS, p))
        self.blocks, self.work = batch * -(-p // self.rows), batch * p * q * c * kernel[0] * kernel[1]
        # What the windows of a block read: its last four windows may lie beyond the row.
        lines = (self.rows - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1
        columns = (-(-q // 4) * 4 - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1
        self.memory = (lines * columns + kernel[0] * kernel[1]) * simd.width(dtype)
        self.shape = [*source, *target[:2], stride[0], dilation[0], *before, self.rows, lines, columns, self.memory]
        self.kernel = *kernel, stride[1], dilation[1]


class Forward:
    """y from x, or, with stride 1, dx from dy: images `source` (H, W, C) to images `target` (P, Q, C)."""

    def __init__(self, batch, source, target, kernel, stride, dilation, before, dtype):
        windows = _Windows(batch, source, target, kernel, stride, dilation, before, dtype)
        self.shape, self.memory = np.array(windows.shape), windows.memory
        self.launch = Launch(_forward_kernel(*windows.kernel), windows.blocks, windows.work)

    def __call__(self, x, w, b, y, epilogue):
        self.launch(x, w, b, y, scratch(self.memory, x.dtype, self.launch.work), self.shape, epilogue)


class BackwardInput:
    """dx from dy for any stride: images `source` (P, Q, C) to images `target` (H, W, C)."""

    def __init__(self, batch, source, target, stride, taps):
        self.shape, self.taps = np.array([*target, *source, *stride]), np.array(taps, np.int64).reshape(-1)
        self.launch = Launch(_backward_input, batch * target[0], batch * target[0] * target[1] * target[2] * len(taps))

    def __call__(self, dy, w, dx, epilogue):
        self.launch(dy, w, dx, self.taps, self.shape, epilogue)


class BackwardWeight:
    """dw and db from x, images `source` (H, W, C), and dy, images `target` (P, Q, C)."""

    def __init__(self, batch, source, target, kernel, stride, dilation, before, dtype):
        windows = _Windows(batch, source, target, kernel, stride, dilation, before, dtype)
        self.parts, self.count, self.channels = min(_PARTS, windows.blocks), kernel[0] * kernel[1], source[2]
        q, size = target[1], self.count * self.channels
        group = max(1, _CHAIN // q)
        together = max(1, _CHAINS_OF_SUM // (-(-windows.rows // group) * -(-q // _CHAIN)))
        self.totals = self.parts * size if windows.blocks > self.parts * together else 0
        self.shape = np.array([*windows.shape, windows.blocks, self.parts, group, together])
        self.memory = windows.memory
        self.launch = Launch(_weight_kernel(*windows.kernel), self.parts, windows.work)
        self.add_up = sums.ColumnSums(self.parts, size, size, dtype, np.float64 if self.totals else dtype)
        self.add_up_bias = sums.ColumnSums(self.parts, self.channels, self.channels, dtype, np.float64)

    def __call__(self, x, dy, bias):
        """(dw, db): both flat, dw in the order of (C, 1, R, S), db None without `bias`."""
        dtype, size = x.dtype, self.count * self.channels
        partial, totals = empty(self.parts * size, dtype), sums.room(self.totals)
        db = empty(self.parts * self.channels, np.float64)
        self.launch(x, dy, partial, totals, db, scratch(self.memory, dtype, self.launch.work), self.shape, bool(bias))
        dw = empty(size, dtype)
        launch(_turn, 1, self.add_up(totals if self.totals else partial), dw, self.count, False, work=0)
        return dw, self.add_up_bias(db) if bias else None


@jit
def _turn(block, slot, x, y, rows, backward):
    """y = x^T for the matrix x of so many rows; with `backward` the rows of y in reverse order."""
    columns = x.size // rows
    for row in range(rows):
        for column in range(columns):
            y[(columns - 1 - column if backward else column) * rows + row] = x[row * columns + column]


@jit
def _copy_pixels(x, memory, at, image, top, left, lines, columns, j, shape):
    """Copy the pixels from (top, left) of an image on, one vector of channels each; zeros for those outside."""
    h, width, c = shape[:3]
    lanes, zero = simd.lanes(x), simd.full(x, 0)
    for line in range(top, top + lines):
        first = min(columns, max(0, -left))
        stop = max(first, min(columns, width - left)) if 0 <= line < h else first
        source = ((image * h + line) * width + left) * c + j
        for i in range(first):
            simd.store(memory, at + i * lanes, zero)
        for i in range(first, stop):
            simd.store(memory, at + i * lanes, simd.load_part(x, source + i * c, c - j))
        for i in range(stop, columns):
            simd.store(memory, at + i * lanes, zero)
        at += columns * lanes


@inlined
def _keep(y, at, v, n, epilogue):
    simd.store_part(y, at, spans.finished(v, at, n, epilogue, epilogue.more), n)


@functools.cache
def _forward_kernel(r, s, step, dilation):

    def forward(block, slot, x, w, b, y, memory, shape, epilogue):
        h, width, c, p, q, step_h, down, top, left, rows, lines, columns, size = shape[:13]
        parts, lanes = (p + rows - 1) // rows, simd.lanes(x)
        image, first = block // parts, block % parts * rows
        rows, filters = min(rows, p - first), slot * size
        start = filters + r * s * lanes
        # What the next block reads besides, and where it is written, is fetched row by row.
        ahead_x, ahead_y = (image * h + first * step_h - top + lines) * width * c, (image * p + first + rows) * q * c
        for j in range(0, c, lanes):
            n, bias = c - j, simd.load_part(b, j, c - j)
            for tap in range(r * s):
                simd.store(memory, filters + tap * lanes, simd.load_part(w, tap * c + j, n))
            _copy_pixels(x, memory, start, image, first * step_h - top, -left, lines, columns, j, shape)
            for row in range(rows):
                spans.fetch(x, max(0, ahead_x), ahead_x + step_h * width * lanes)
                spans.fetch(y, ahead_y, ahead_y + q * lanes)
                ahead_x, ahead_y = ahead_x + step_h * width * lanes, ahead_y + q * lanes
                to = (image * p + first + row) * q * c + j
                for column in range(0, q, 4):
                    v0 = v1 = v2 = v3 = bias
                    for a in range(r):
                        at = start + ((row * step_h + a * down) * columns + column * step) * lanes
                        for k in range(s):
                            factor, i = simd.load(memory, filters + (a * s + k) * lanes), at + k * dilation * lanes
                            v0 = simd.fma(simd.load(memory, i), factor, v0)
                            v1 = simd.fma(simd.load(memory, i + step * lanes), factor, v1)
                            v2 = simd.fma(simd.load(memory, i + 2 * step * lanes), factor, v2)
                            v3 = simd.fma(simd.load(memory, i + 3 * step * lanes), factor, v3)
                    windows = q - column
                    _keep(y, to + column * c, v0, n, epilogue)
                    if windows > 1:
                        _keep(y, to + (column + 1) * c, v1, n, epilogue)
                    if windows > 2:
                        _keep(y, to + (column + 2) * c, v2, n, epilogue)
                    if windows > 3:
                        _keep(y, to + (column + 3) * c, v3, n, epilogue)

        spans.call(y, (image * p + first) * q * c, (image * p + first + rows) * q * c, epilogue)

    forward.__qualname__ = f"forward_{r}_{s}_{step}_{dilation}"
    return jit(forward)


@jit
def _backward_input(block, slot, dy, w, dx, taps, shape, epilogue):
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
        spans.finish(dx, to, c, epilogue)


def _make_add_rows(s, step, dilation):

    @inlined
    def tap(memory, i, g0, g1, g2, g3, even, odd):
        """The products of four windows with one element of the kernel, in two sums that do not wait for each other."""
        apart = step * simd.lanes(memory)
        even = simd.fma(simd.load(memory, i), g0, even)
        odd = simd.fma(simd.load(memory, i + apart), g1, odd)
        even = simd.fma(simd.load(memory, i + 2 * apart), g2, even)
        return even, simd.fma(simd.load(memory, i + 3 * apart), g3, odd)

    @inlined
    def add_rows(memory, at, dy, source, dw, to, c, j, k, rows, group, line, q):
        """Add the products of some rows with up to three elements of a row of the kernel, from element k on, to dw: a
        group of rows at a time, or a piece of one, is added up in registers."""
        lanes, n, zero = simd.lanes(memory), c - j, simd.full(memory, 0)
        for top in range(0, rows, group):
            for left in range(0, q, _CHAIN):
                e0 = e1 = e2 = o0 = o1 = o2 = zero
                for row in range(top, min(top + group, rows)):
                    for column in range(left, min(left + _CHAIN, q), 4):
                        i, g = at + (row * line + column * step + k * dilation) * lanes, source + (row * q + column) * c
                        windows = q - column
                        g0 = simd.load_part(dy, g, n)
                        g1 = simd.load_part(dy, g + c, n) if windows > 1 else zero
                        g2 = simd.load_part(dy, g + 2 * c, n) if windows > 2 else zero
                        g3 = simd.load_part(dy, g + 3 * c, n) if windows > 3 else zero
                        e0, o0 = tap(memory, i, g0, g1, g2, g3, e0, o0)
                        if k + 1 < s:
                            e1, o1 = tap(memory, i + dilation * lanes, g0, g1, g2, g3, e1, o1)
                        if k + 2 < s:
                            e2, o2 = tap(memory, i + 2 * dilation * lanes, g0, g1, g2, g3, e2, o2)
                simd.store_part(dw, to, simd.load_part(dw, to, n) + (e0 + o0), n)
                if k + 1 < s:
                    simd.store_part(dw, to + c, simd.load_part(dw, to + c, n) + (e1 + o1), n)
                if k + 2 < s:
                    simd.store_part(dw, to + 2 * c, simd.load_part(dw, to + 2 * c, n) + (e2 + o2), n)

    return add_rows


@functools.cache
def _weight_kernel(r, s, step, dilation):
    add_rows = _make_add_rows(s, step, dilation)

    def backward(block, slot, x, dy, dw, totals, db, memory, shape, biased):
        """One share of the blocks that the forward pass has. Where there is room in `totals`, dw is moved there every
        so often."""
        h, width, c, p, q, step_h, down, top, left, most_rows, lines, columns, size = shape[:13]
        blocks, parts, group, together = shape[13:17]
        start, to, per_image = slot * size, block * r * s * c, (p + most_rows - 1) // most_rows
        stop = (block + 1) * blocks // parts
        spans.clear(dw, to, to + r * s * c)
        if totals.size:
            spans.clear(totals, to, to + r * s * c)
        spans.clear(db, block * c, (block + 1) * c)
        for number in range(block * blocks // parts, stop):
            image, first = number // per_image, number % per_image * most_rows
            rows, source = min(most_rows, p - first), (image * p + first) * q * c
            # What comes next is fetched meanwhile, bit by bit.
            ahead_x, ahead_y = (image * h + (first + rows) * step_h) * width * c, source + rows * q * c
            share_x, share_y = rows * step_h * width * simd.lanes(x) // r, rows * q * simd.lanes(x) // r
            for j in range(0, c, simd.lanes(x)):
                _copy_pixels(x, memory, start, image, first * step_h - top, -left, lines, columns, j, shape)
                for a in range(r):
                    spans.fetch(x, ahead_x, ahead_x + share_x)
                    spans.fetch(dy, ahead_y, ahead_y + share_y)
                    ahead_x, ahead_y = ahead_x + share_x, ahead_y + share_y
                    for k in range(0, s, 3):
                        add_rows(memory, start + a * down * columns * simd.lanes(x), dy, source + j, dw,
                                 to + (a * s + k) * c + j, c, j, k, rows, group, step_h * columns, q)
                if biased:
                    sums.add_rows(db, block * c + j, dy, source + j, rows * q, c, min(c - j, simd.lanes(x)))
            if totals.size and (stop - number - 1) % together == 0:
                sums.spill(dw, totals, to, to + r * s * c)

    backward.__qualname__ = f"backward_{r}_{s}_{step}_{dilation}"
    return jit(backward)
