"""Depthwise convolution, one filter a channel: no matrix product, so vectors run over the channels.

Bound by memory. A block is one row of the output; filters and their gradient lie as (taps, C).
"""
import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu._jit import jit, launch
from fastnet.kernels.cpu.array import empty

# Partial weight gradients: each block sums its share of the images, and the shares are added in order.
_PARTS = 16


def pack(w):
    """Filters (C, 1, R, S) as a flat (R S, C)."""
    return np.ascontiguousarray(w.reshape(w.shape[0], -1).T).reshape(-1)


@jit
def _forward(block, slot, x, w, b, y, taps, shape, relu):
    h, width, c, p, q, _, step_h, step_w = shape[:8]
    image, row = block // p, block % p
    for column in range(q):
        to = (block * q + column) * c
        for j in range(0, c, simd.lanes(y)):
            n = c - j
            v = simd.load_part(b, j, n)
            for t in range(taps.size // 2):
                i, k = row * step_h + taps[2 * t], column * step_w + taps[2 * t + 1]
                if 0 <= i < h and 0 <= k < width:
                    pixel = simd.load_part(x, ((image * h + i) * width + k) * c + j, n)
                    v = simd.fma(pixel, simd.load_part(w, t * c + j, n), v)
            if relu:
                v = simd.relu(v)
            simd.store_part(y, to + j, v, n)


def forward(x, w, b, y, batch, source, target, stride, taps, relu):
    """Fill the flat channels-last y."""
    shape = np.array([*source, *target, *stride])
    launch(_forward, batch * target[0], x, w, b, y, np.array(taps, np.int64).reshape(-1), shape, bool(relu),
           work=y.size * len(taps))


@jit
def _backward_input(block, slot, dy, w, dx, taps, shape, mask, masked):
    h, width, c, p, q, _, step_h, step_w = shape[:8]
    image, row = block // h, block % h
    for column in range(width):
        to = (block * width + column) * c
        for j in range(0, c, simd.lanes(dx)):
            simd.store_part(dx, to + j, simd.full(dx, 0), c - j)
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


def backward_input(dy, w, dx, batch, source, target, stride, taps, mask):
    """Fill the flat channels-last dx; `source` is the shape of an image of dy, `target` that of dx."""
    shape = np.array([*target, *source, *stride])
    launch(_backward_input, batch * target[0], dy, w, dx, np.array(taps, np.int64).reshape(-1), shape,
           dx if mask is None else mask, mask is not None, work=dx.size * len(taps))


@jit
def _backward_weight(block, slot, x, dy, dw, db, taps, shape, batch, parts):
    h, width, c, p, q, _, step_h, step_w = shape[:8]
    count = taps.size // 2
    for j in range(0, c, simd.lanes(dw)):
        n = c - j
        for t in range(count):
            v = simd.full(dw, 0)
            for image in range(block * batch // parts, (block + 1) * batch // parts):
                for row in range(p):
                    i = row * step_h + taps[2 * t]
                    if 0 <= i < h:
                        for column in range(q):
                            k = column * step_w + taps[2 * t + 1]
                            if 0 <= k < width:
                                pixel = simd.load_part(x, ((image * h + i) * width + k) * c + j, n)
                                v = simd.fma(pixel, simd.load_part(dy, ((image * p + row) * q + column) * c + j, n), v)
            simd.store_part(dw, (block * count + t) * c + j, v, n)
        v = simd.full(dw, 0)
        for i in range(block * batch // parts * p * q, (block + 1) * batch // parts * p * q):
            v = v + simd.load_part(dy, i * c + j, n)
        simd.store_part(db, block * c + j, v, n)


def backward_weight(x, dy, batch, source, target, stride, taps):
    """(dw as (taps, C), db) from flat channels-last x and dy."""
    parts, c = min(_PARTS, batch), source[2]
    dw, db = empty((parts, len(taps), c), x.dtype), empty((parts, c), x.dtype)
    shape = np.array([*source, *target, *stride])
    launch(_backward_weight, parts, x, dy, dw.reshape(-1), db.reshape(-1), np.array(taps, np.int64).reshape(-1), shape,
           batch, parts, work=dy.size * len(taps))
    return dw.sum(0), db.sum(0)
