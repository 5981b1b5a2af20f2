"""Local response normalisation, which divides by what goes on in the channels around.

A pixel is a row of C numbers, and a block some pixels. What is added up over a window of channels is copied between
zeros first, so that every window is as long as any other; sums over windows are in chains, see `sums`.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.runtime import empty_images, flat, inlined, jit, launch, scratch

# Numbers of a block, and those that are gone through together.
_BLOCK, _CHUNK = 16_384, 2048


def local_response_norm_forward(x, size, alpha, beta, k):
    """y = x / (k + alpha / size (the sum of x^2 over the channels c - size // 2 to c + (size - 1) // 2))^beta."""
    x = checks.floating(x, "x")
    y = empty_images(*shapes.local_response_norm_forward(x, size, alpha, beta, k).shape, x.dtype)
    window, formula = _Window.of(x, size), _Formula.of(x.dtype, size, alpha, beta, k)
    work = x.size * (size + 8)
    launch(_forward, window.blocks, flat(x), flat(y), scratch(window.padded, x.dtype, work), window, formula, work=work)
    return y


def local_response_norm_backward(dy, x, size, alpha, beta, k):
    """dx[c] = dy[c] d[c]^-beta - 2 alpha beta / size x[c] (the sum of dy x d^(-beta - 1) over all channels whose window
    has c in it), d being what is raised to beta in the forward pass."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    dx = empty_images(*shapes.local_response_norm_backward(dy, x, size, alpha, beta, k).shape, dy.dtype)
    window, formula = _Window.of(x, size), _Formula.of(dy.dtype, size, alpha, beta, k)
    work = x.size * (2 * size + 16)
    launch(_backward, window.blocks, flat(dy), flat(x), flat(dx),
           scratch(window.padded + window.rows * window.c, dy.dtype, work), window, formula, work=work)
    return dx


class _Window(NamedTuple):
    """Windows of `size` channels, of which `before` come before their own, in `pixels` rows of c. A block has `lines`
    rows and goes through `rows` at a time; a row between zeros is `padded` numbers long."""

    c: int
    pixels: int
    size: int
    before: int
    lines: int
    rows: int
    padded: int

    @classmethod
    def of(cls, x, size):
        c = x.shape[1]
        return cls(c, x.size // c, size, size // 2, max(1, _BLOCK // c), max(1, _CHUNK // c), c + size - 1)

    @property
    def blocks(self):
        return -(-self.pixels // self.lines)


class _Formula(NamedTuple):
    """(k + share sum)^-beta, numbers of the arrays' dtype."""

    share: float
    beta: float
    k: float

    @classmethod
    def of(cls, dtype, size, alpha, beta, k):
        return cls(*map(dtype.type, (alpha / size, beta, k)))


@jit
def _forward(block, slot, x, y, memory, window, formula):
    last = min((block + 1) * window.lines, window.pixels)
    for top in range(block * window.lines, last, window.rows):
        bottom = min(top + window.rows, last)
        _denominators(x, y, top, bottom, memory, slot * window.padded, window, formula)
        if formula.beta == 0.75:    # what everybody uses
            for i in range(top * window.c, bottom * window.c):
                root = np.sqrt(y[i])
                y[i] = x[i] / (root * np.sqrt(root))
        else:
            for i in range(top * window.c, bottom * window.c):
                y[i] = x[i] * y[i] ** -formula.beta


@jit
def _denominators(x, y, top, bottom, memory, at, window, formula):
    """y = k + share times the sum of x^2 over the windows, for the rows from `top` to `bottom` - 1."""
    _clear_edges(memory, at, window.before, window)
    share, k = simd.full(x, formula.share), simd.full(x, formula.k)
    for start in range(top * window.c, bottom * window.c, window.c):
        for j in range(0, window.c, simd.lanes(x)):
            v = simd.load_part(x, start + j, window.c - j)
            simd.store_part(memory, at + window.before + j, v * v, window.c - j)
        for j in range(0, window.c, simd.lanes(x)):
            v = simd.fma(_total(memory, at + j, window.c - j, window.size), share, k)
            simd.store_part(y, start + j, v, window.c - j)


@inlined
def _clear_edges(memory, at, before, window):
    """Zeros before and behind the place of a row."""
    spans.clear(memory, at, at + before)
    spans.clear(memory, at + before + window.c, at + window.padded)


@inlined
def _total(memory, at, n, size):
    """The sums of memory[at + i : at + i + size] for the first n lanes i."""
    total = simd.full(memory, 0)
    for first in range(0, size, sums.CHAIN):
        part = simd.full(memory, 0)
        for i in range(first, min(first + sums.CHAIN, size)):
            part = part + simd.load_part(memory, at + i, n)
        total = total + part
    return total


@jit
def _backward(block, slot, dy, x, dx, memory, window, formula):
    """Windows are turned around: as many channels count behind one as before it in the forward pass."""
    c, at = window.c, slot * (window.padded + window.rows * window.c)
    terms, before = at + window.padded, window.size - 1 - window.before
    steep = -2 * formula.share * formula.beta
    last = min((block + 1) * window.lines, window.pixels)
    for top in range(block * window.lines, last, window.rows):
        bottom = min(top + window.rows, last)
        _denominators(x, dx, top, bottom, memory, at, window, formula)
        start, count = top * c, (bottom - top) * c
        if formula.beta == 0.75:
            for i in range(count):
                d = dx[start + i]
                root = np.sqrt(d)
                g = dy[start + i] / (root * np.sqrt(root))
                dx[start + i], memory[terms + i] = g, g * x[start + i] / d
        else:
            for i in range(count):
                d = dx[start + i]
                g = dy[start + i] * d ** -formula.beta
                dx[start + i], memory[terms + i] = g, g * x[start + i] / d
        _clear_edges(memory, at, before, window)
        for row in range(0, count, c):
            for j in range(0, c, simd.lanes(x)):
                simd.store_part(memory, at + before + j, simd.load_part(memory, terms + row + j, c - j), c - j)
            for j in range(0, c, simd.lanes(x)):
                n, here = c - j, start + row + j
                v = simd.load_part(x, here, n) * simd.full(x, steep) * _total(memory, at + j, n, window.size)
                simd.store_part(dx, here, simd.load_part(dx, here, n) + v, n)
