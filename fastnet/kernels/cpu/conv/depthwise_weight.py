"""The gradient for the filters of a depthwise convolution, and for its bias.

dw[r, s, c] = sum over n, p, q of x[n, p stride + r dilation - top, q stride + s dilation - left, c] dy[n, p, q, c]

With the `Windows` and copied pixels of `depthwise`: what the forward pass adds up over taps is added up over windows
here. A block takes a part of the forward pass's blocks and has a partial gradient (R S, C) of its own. Products of some
windows are added up in registers before they go there; where there are many, the partial gradient is moved to one in
float64 every so often, see `sums`. What all parts have is added in order.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv.depthwise import Windows, constants_of, copy_pixels, transpose, windows_of, work_of
from fastnet.kernels.cpu.conv.operands import Inputs, Sums
from fastnet.kernels.cpu.conv.prefetch import ahead, fetch_portion
from fastnet.kernels.cpu.runtime import Launch, empty, in_words, inlined, jit, launch, named, scratch

# The most partial gradients.
_PARTS = 16
# Windows whose products are added up in registers, in each lane two sums of half as many, before they go to a partial
# gradient; and how often that is added to before it is moved to one in float64.
_CHAIN, _CHAINS_OF_SUM = 2 * sums.PAIR, 64


class _Plan(NamedTuple):
    parts: int
    chain_rows: int     # rows of dy that are added up in registers together
    together: int       # blocks of the forward pass after which a partial gradient is moved to float64


class _Rows(NamedTuple):
    """Rows of windows, of one vector of channels: pixels[start + row * next_row + column * stride * lanes] is below the
    first tap of a window, dy[dy_start + (row * out_width + column) * channels] its gradient."""

    pixels: np.ndarray
    start: int
    next_row: int
    dy: np.ndarray
    dy_start: int
    count: int


class DepthwiseWeightGradient:
    """dw and db from x and dy, all worked out but the numbers."""

    def __init__(self, geometry):
        windows, dtype, self.biases = windows_of(geometry), geometry.dtype, geometry.source.channels
        self.parts, self.taps, self.memory = min(_PARTS, windows.blocks), windows.taps, windows.memory
        chain_rows, self.size = max(1, _CHAIN // windows.out_width), self.taps * self.biases
        chains = -(-windows.rows // chain_rows) * -(-windows.out_width // _CHAIN)  # of a block
        together = max(1, _CHAINS_OF_SUM // chains)
        self.spilling = windows.blocks > self.parts * together
        self.windows, self.numbers = in_words(windows), in_words(_Plan(self.parts, chain_rows, together))
        self.launch = Launch(_kernel(*constants_of(geometry)), self.parts, work_of(geometry))
        self.add_up = sums.ColumnSums(self.parts, self.size, self.size, dtype, np.float64 if self.spilling else dtype)
        self.add_up_bias = sums.ColumnSums(self.parts, self.biases, self.biases, dtype, np.float64)

    def __call__(self, x, dy, bias):
        """(dw, db): both flat, dw in the order of (C, 1, R, S), db None without `bias`."""
        dtype, size = x.dtype, self.parts * self.size
        partial, total = empty(size, dtype), sums.room(size if self.spilling else 0)
        to = Sums(partial, total, empty(self.parts * self.biases, np.float64))
        memory = scratch(self.memory, dtype, self.launch.work)
        self.launch(Inputs(x, dy), to, memory, self.windows, self.numbers, bool(bias))
        dw = empty(self.size, dtype)
        launch(transpose, 1, self.add_up(to.total if self.spilling else to.partial), dw, self.taps, False, work=0)
        return dw, self.add_up_bias(to.bias) if bias else None


def _make_add_taps(s, stride, dilation):

    @inlined
    def add_four(pixels, i, g0, g1, g2, g3, even, odd):
        """The products of four windows with one tap, in two sums that do not wait for each other."""
        apart = stride * simd.lanes(pixels)
        even = simd.fma(simd.load(pixels, i), g0, even)
        odd = simd.fma(simd.load(pixels, i + apart), g1, odd)
        even = simd.fma(simd.load(pixels, i + 2 * apart), g2, even)
        return even, simd.fma(simd.load(pixels, i + 3 * apart), g3, odd)

    @inlined
    def add_taps(rows, dw, to, tap, n, chain_rows, plan):
        """Add the products of some rows of windows with up to three taps, from column `tap` of the kernel on, to
        dw[to], for n channels: as many rows at a time as a chain of sums may have, or a piece of one."""
        lanes, c, dy, zero = simd.lanes(rows.pixels), plan.channels, rows.dy, simd.full(rows.dy, 0)
        second, third = tap + 1 < s, tap + 2 < s
        for top in range(0, rows.count, chain_rows):
            for left in range(0, plan.out_width, _CHAIN):
                even_1 = even_2 = even_3 = odd_1 = odd_2 = odd_3 = zero
                for row in range(top, min(top + chain_rows, rows.count)):
                    for column in range(left, min(left + _CHAIN, plan.out_width), 4):
                        i = rows.start + row * rows.next_row + (column * stride + tap * dilation) * lanes
                        g, windows = rows.dy_start + (row * plan.out_width + column) * c, plan.out_width - column
                        g0 = simd.load_part(dy, g, n)
                        g1 = simd.load_part(dy, g + c, n) if windows > 1 else zero
                        g2 = simd.load_part(dy, g + 2 * c, n) if windows > 2 else zero
                        g3 = simd.load_part(dy, g + 3 * c, n) if windows > 3 else zero
                        even_1, odd_1 = add_four(rows.pixels, i, g0, g1, g2, g3, even_1, odd_1)
                        if second:
                            i += dilation * lanes
                            even_2, odd_2 = add_four(rows.pixels, i, g0, g1, g2, g3, even_2, odd_2)
                        if third:
                            i += dilation * lanes
                            even_3, odd_3 = add_four(rows.pixels, i, g0, g1, g2, g3, even_3, odd_3)
                simd.store_part(dw, to, simd.load_part(dw, to, n) + (even_1 + odd_1), n)
                if second:
                    simd.store_part(dw, to + c, simd.load_part(dw, to + c, n) + (even_2 + odd_2), n)
                if third:
                    simd.store_part(dw, to + 2 * c, simd.load_part(dw, to + 2 * c, n) + (even_3 + odd_3), n)

    return add_taps


@functools.cache
def _kernel(r, s, stride, dilation):
    add_taps = _make_add_taps(s, stride, dilation)

    def add_products(block, slot, inputs, to, memory, windows, numbers, biased):
        """One part of the blocks that the forward pass has."""
        plan, own = named(Windows, windows), named(_Plan, numbers)
        x, dy, lanes, c, pixels = inputs.x, inputs.dy, simd.lanes(inputs.x), plan.channels, slot * plan.memory
        start, stop = block * r * s * c, (block + 1) * r * s * c
        spans.clear(to.partial, start, stop)
        if to.total.size:
            spans.clear(to.total, start, stop)
        spans.clear(to.bias, block * c, (block + 1) * c)
        per_image, last = (plan.out_height + plan.rows - 1) // plan.rows, (block + 1) * plan.blocks // own.parts
        for number in range(block * plan.blocks // own.parts, last):
            image, first = number // per_image, number % per_image * plan.rows
            count, row_size = min(plan.rows, plan.out_height - first), plan.out_width * c
            source = (image * plan.out_height + first) * row_size
            # What comes next is fetched meanwhile, bit by bit.
            times, ahead_x = r * ((c + lanes - 1) // lanes), (image * plan.height + (first + count) * plan.stride)
            x_ahead = ahead(x, ahead_x * plan.width * c, (ahead_x + count * plan.stride) * plan.width * c, times)
            dy_ahead = ahead(dy, source + count * row_size, source + 2 * count * row_size, times)
            for j in range(0, c, lanes):
                copy_pixels(x, memory, pixels, image, first * plan.stride - plan.top, j, plan)
                for a in range(r):
                    x_ahead, dy_ahead = fetch_portion(x, x_ahead), fetch_portion(dy, dy_ahead)
                    rows = _Rows(memory, pixels + a * plan.dilation * plan.columns * lanes,
                                 plan.stride * plan.columns * lanes, dy, source + j, count)
                    for b in range(0, s, 3):
                        add_taps(rows, to.partial, start + (a * s + b) * c + j, b, c - j, own.chain_rows, plan)
                if biased:
                    sums.add_rows(to.bias, block * c + j, dy, source + j, count * plan.out_width, c, min(c - j, lanes))
            if to.total.size and (last - number - 1) % own.together == 0:
                sums.spill(to.partial, to.total, start, stop)

    add_products.__qualname__ = f"add_products_{r}_{s}_{stride}_{dilation}"
    return jit(add_products)
