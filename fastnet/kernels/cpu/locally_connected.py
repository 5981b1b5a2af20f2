"""Locally connected layers: a convolution whose kernel is another one at each place, so a matrix product for each.

    x (N, H, W, C), y (N, P, Q, K), in memory; w (P, Q, R, S, C, K); b (K, P, Q)
    forward           y[:, p, q] = X w[p, q] + b         X (N, R S C): the pixels of all samples under the kernel
    backward_input    dx[:, h, w] = Y W                  Y (N, taps K): the pixels of dy that the pixel was read for,
                                                         W (taps K, C): its weights, turned
    backward_weight   dw[p, q] = X^T dy[:, p, q]

The kernel of a place serves as many rows as there are samples, and no others; it is read from main memory mostly, and
that is what bounds a small batch. A block owns a place and some samples, for the gradient of the weights a place. It
copies X, or Y, into rows side by side: samples of one pixel are a whole image apart, often a power of two, and would
drive each other out of the first cache. Pixels outside of the image are zeros there.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import epilogue, simd, spans, sums
from fastnet.kernels.cpu.activations import NO_BEND
from fastnet.kernels.cpu.conv.operands import Inputs, Operands
from fastnet.kernels.cpu.linear import Columns, copy_panel
from fastnet.kernels.cpu.runtime import Launch, empty, empty_images, flat, in_words, inlined, jit, kept, named, scratch

# Tiles of samples that a block takes, which share the kernel of their place.
_TILES = 8
# Samples that a sum in float32 runs over; what more of them give is added up in float64, see `sums`.
_SPAN = sums.CHAIN


def locally_connected2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), add=None, activation=None):
    """y[n,k,p,q] = b[k,p,q] + sum over c, r, s of x[n, c, p stride + r - top, q stride + s - left] w[p,q,r,s,c,k]."""
    x = checks.floating(x, "x")
    w, b = checks.floating(w, "w", like=x), checks.optional(b, "b", like=x)
    kind = shapes.locally_connected2d_forward(x, w, b, stride, padding)
    add, _ = epilogue.checked(kind, add, activation)
    y = empty_images(*kind.shape, kind.dtype)
    _product(_layout(x.shape, w.shape, stride, padding), kind.dtype, False)(
        Operands(flat(x), flat(w), _bias(b, kind.dtype), flat(y)), epilogue.make(flat(y), add, activation))
    return y


def locally_connected2d_backward_input(dy, w, x_shape, stride, padding, add=None, mask=None, masking=None):
    """dx: every dy[n,k,p,q] sends dy w[p,q,r,s,:,k] back to the pixel that it was computed from."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    kind = shapes.locally_connected2d_backward_input(dy, w, x_shape, stride, padding)
    add, mask = epilogue.checked(kind, add, mask=mask, masking=masking)
    dx = empty_images(*kind.shape, kind.dtype)
    _product(_layout(x_shape, w.shape, stride, padding), kind.dtype, True)(
        Operands(flat(dy), flat(w), _bias(None, kind.dtype), flat(dx)),
        epilogue.make(flat(dx), add, None, mask, masking))
    return dx


def locally_connected2d_backward_weight(dy, x, w_shape, stride, padding, bias=True):
    """dw[p,q,r,s,c,k] = sum over n of dy[n,k,p,q] times the number that w[p,q,r,s,c,k] met there; db = sum of dy over n
    (None without bias)."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    dw, db = shapes.locally_connected2d_backward_weight(dy, x, w_shape, stride, padding, bias)
    dw = empty(*dw)
    db = empty(*db) if bias else None
    _weight_gradient(_layout(x.shape, dw.shape, stride, padding), dy.dtype)(
        Inputs(flat(x), flat(dy)), dw.reshape(-1), _bias(db, dy.dtype))
    return dw, db


def _bias(b, dtype):
    """One number for each place and channel, or none at all."""
    return np.zeros(0, dtype) if b is None else flat(b)


class _Plan(NamedTuple):
    batch: int
    height: int         # of x
    width: int
    channels: int
    out_height: int     # of y
    out_width: int
    out_channels: int
    kernel_down: int
    kernel_across: int
    stride_down: int
    stride_across: int
    top: int            # padding
    left: int
    # How many samples a block takes, and what a slot's memory holds, one behind the other:
    samples: int = 0
    row: int = 0        # numbers from one sample's row to the next one's
    panels: int = 0     # where they begin, behind the rows
    panel_size: int = 0
    tile: int = 0       # where it begins
    zeros: int = 0      # so many as a panel is wide, or the bias in their place
    size: int = 0


class _Gradients(NamedTuple):
    """What is computed, and scratch memory for sums in float64."""

    dw: np.ndarray
    db: np.ndarray
    total: np.ndarray


class _Tables(NamedTuple):
    """Where the rows of a tile begin, counted from its first one."""

    reads: np.ndarray
    writes: np.ndarray


def _layout(x_shape, w_shape, stride, padding):
    """The plan without its memory."""
    n, c, height, width = x_shape
    p, q, r, s, _, k = w_shape
    top, _, left, _ = padding
    return _Plan(n, height, width, c, p, q, k, r, s, *stride, top, left)


def _with_memory(layout, samples, length, panels, depth, dtype, panel):
    """The plan with rows of so many numbers for so many samples, and with so many panels, `panel` wide and `depth` rows
    high. Rows lie a vector apart and more, lest they share places of the cache."""
    row = (-(-length // simd.width(dtype)) + 1) * simd.width(dtype)
    tile = samples * row + panels * depth * panel
    zeros = tile + simd.ROWS * panel
    return layout._replace(samples=samples, row=row, panels=samples * row, panel_size=depth * panel, tile=tile,
                           zeros=zeros, size=zeros + panel)


class _Product:
    """y, or dx where `backward`, all worked out but the numbers."""

    def __init__(self, layout, dtype, backward):
        taps, lanes = layout.kernel_down * layout.kernel_across, simd.width(dtype)
        image, pixel = layout.height * layout.width * layout.channels, layout.channels
        inner, places = layout.out_channels, layout.height * layout.width
        if not backward:    # then it is y that is written
            places, inner, pixel = layout.out_height * layout.out_width, layout.channels, layout.out_channels
            image = places * pixel
        panel, depth = simd.panel_width(pixel, dtype), taps * inner
        samples = min(layout.batch, _TILES * simd.ROWS)
        plan = _with_memory(layout, samples, depth, 1, depth + lanes, dtype, panel)
        self.numbers, self.size, self.lists = in_words(plan), plan.size, 2 * taps
        self.tables = _Tables(np.arange(simd.ROWS) * plan.row, np.arange(simd.ROWS) * image)
        work = layout.batch * places * depth * pixel // lanes
        kernel = _kernel(simd.tiles_for(pixel, dtype), backward)
        self.launch = Launch(kernel, places * -(-layout.batch // samples), work)

    def __call__(self, operands, epilogue):
        work, dtype = self.launch.work, operands.y.dtype
        self.launch(operands, self.tables, scratch(self.size, dtype, work), scratch(self.lists, np.int64, work),
                    self.numbers, epilogue)


_product = kept(_Product)


@inlined
def _copy_rows(x, start, apart, rows, count, memory, at, row):
    """Copy `count` numbers for each of some samples, `apart` numbers from one to the next, into rows of memory; zeros
    where `start` is negative."""
    for i in range(rows):
        if start < 0:
            spans.clear(memory, at + i * row, at + i * row + count)
        else:
            for j in range(0, count, simd.lanes(x)):
                v = simd.load_part(x, start + i * apart + j, count - j)
                simd.store_part(memory, at + i * row + j, v, count - j)


@inlined
def _pixel(place, tap, plan):
    """Where in an image the pixel begins that place `place` of y meets under a tap, -1 outside of the image."""
    row = place // plan.out_width * plan.stride_down + tap // plan.kernel_across - plan.top
    column = place % plan.out_width * plan.stride_across + tap % plan.kernel_across - plan.left
    inside = 0 <= row < plan.height and 0 <= column < plan.width
    return (row * plan.width + column) * plan.channels if inside else -1


@jit
def _list_read(lists, at, place, plan):
    """List the pixels of x that place `place` of y meets, and the weights through which: where in an image and where in
    w they begin, two entries for each. Returns how many."""
    taps = plan.kernel_down * plan.kernel_across
    for tap in range(taps):
        lists[at + 2 * tap] = _pixel(place, tap, plan)
        lists[at + 2 * tap + 1] = (place * taps + tap) * plan.channels * plan.out_channels
    return taps


@jit
def _list_readers(lists, at, pixel, plan):
    """The same the other way round: the pixels of y that have met pixel `pixel` of x, and through which weights."""
    count, taps = 0, plan.kernel_down * plan.kernel_across
    for tap in range(taps):
        down = pixel // plan.width + plan.top - tap // plan.kernel_across
        across = pixel % plan.width + plan.left - tap % plan.kernel_across
        p, q = down // plan.stride_down, across // plan.stride_across
        if down >= 0 and across >= 0 and down % plan.stride_down == 0 and across % plan.stride_across == 0 \
                and p < plan.out_height and q < plan.out_width:
            place = p * plan.out_width + q
            lists[at + 2 * count] = place * plan.out_channels
            lists[at + 2 * count + 1] = (place * taps + tap) * plan.channels * plan.out_channels
            count += 1
    return count


@functools.cache
def _kernel(tiles, backward):
    tile, halves, list_pixels = tiles.tile, tiles.halves, _list_readers if backward else _list_read

    def product(block, slot, operands, tables, memory, lists, numbers, epilogue):
        """One pixel of the result, for some samples."""
        plan, x, y = named(_Plan, numbers), operands.x, operands.y
        inner, outer = plan.channels, plan.out_channels     # numbers of a pixel that is read, and of one written
        source, places = plan.height * plan.width, plan.out_height * plan.out_width     # pixels of an image
        if backward:
            inner, outer, source, places = outer, inner, places, source
        panel, later = halves * simd.lanes(y) // 2, epilogue.adding or epilogue.masked
        shares = (plan.batch + plan.samples - 1) // plan.samples
        place, first = block // shares, block % shares * plan.samples
        samples, at = min(plan.samples, plan.batch - first), slot * plan.size
        listed = slot * 2 * plan.kernel_down * plan.kernel_across
        panel_at, bias = at + plan.panels, at + plan.zeros
        count = list_pixels(lists, listed, place, plan)
        for t in range(count):
            pixel = lists[listed + 2 * t]
            start = first * source * inner + pixel if pixel >= 0 else -1
            _copy_rows(x, start, source * inner, samples, inner, memory, at + t * inner, plan.row)
        for left in range(0, outer, panel):
            n, to = min(panel, outer - left), (first * places + place) * outer + left
            for t in range(count):
                start = lists[listed + 2 * t + 1]
                columns = Columns(start + left * inner, inner, inner, n, True) if backward \
                    else Columns(start + left, outer, inner, n, False)
                copy_panel(operands.filters, columns, panel, memory, panel_at + t * inner * panel)
            spans.clear(memory, bias, bias + panel)
            if operands.bias.size:
                for j in range(n):
                    memory[bias + j] = operands.bias[(left + j) * places + place]
            for i in range(0, samples, simd.ROWS):
                tile(memory, at + i * plan.row, tables.reads, 0, memory, 1, count * inner, 1, memory, panel_at,
                     memory, bias, y, to + i * places * outer, tables.writes, 0, min(samples - i, simd.ROWS), n,
                     epilogue.bend, not later)
            if later or spans.has_calls(epilogue):
                for i in range(samples):
                    spans.apply_rest(y, to + i * places * outer, n, epilogue)

    product.__qualname__ = f"product_{halves}{'_backward' * backward}"
    return jit(product)


class _WeightGradient:
    """dw and db, all worked out but the numbers."""

    def __init__(self, layout, dtype):
        taps, lanes, k = layout.kernel_down * layout.kernel_across, simd.width(dtype), layout.out_channels
        panel, n, places = simd.panel_width(k, dtype), layout.batch, layout.out_height * layout.out_width
        plan = _with_memory(layout, n, taps * layout.channels, -(-k // panel), n, dtype, panel)
        self.numbers, self.size = in_words(plan), plan.size
        self.sums = max(simd.ROWS * panel, k)
        self.tables = _Tables(np.arange(simd.ROWS), np.arange(simd.ROWS) * (k if n <= _SPAN else panel))
        self.launch = Launch(_weight_kernel(simd.tiles_for(k, dtype)), places,
                             places * taps * n * layout.channels * k // lanes)

    def __call__(self, inputs, dw, db):
        work = self.launch.work
        to = _Gradients(dw, db, scratch(self.sums, np.float64, work, sums.PART))
        self.launch(inputs, to, self.tables, scratch(self.size, dw.dtype, work), self.numbers, NO_BEND)


_weight_gradient = kept(_WeightGradient)


@functools.cache
def _weight_kernel(tiles):
    tile, halves = tiles.tile, tiles.halves

    def weight_gradient(block, slot, inputs, to, tables, memory, numbers, no_bend):
        """All weights of one place."""
        plan, x, dy, dw, db, total = named(_Plan, numbers), inputs.x, inputs.dy, to.dw, to.db, to.total
        c, k, n = plan.channels, plan.out_channels, plan.batch
        panel, places = halves * simd.lanes(dy) // 2, plan.out_height * plan.out_width
        at, sum_at = slot * plan.size, slot * max(simd.ROWS * panel, k)
        panels_at, zeros = at + plan.panels, at + plan.zeros
        spans.clear(memory, zeros, zeros + panel)
        for left in range(0, k, panel):
            columns = Columns(block * k + left, places * k, n, min(panel, k - left), False)
            copy_panel(dy, columns, panel, memory, panels_at + left // panel * plan.panel_size)
        if db.size:
            spans.clear(total, sum_at, sum_at + k)
            sums.add_rows(total, sum_at, dy, block * k, n, places * k, k)
            for j in range(k):
                db[j * places + block] = total[sum_at + j]
        taps = plan.kernel_down * plan.kernel_across
        for tap in range(taps):
            _copy_rows(x, _pixel(block, tap, plan), plan.height * plan.width * c, n, c, memory, at + tap * c, plan.row)
        for left in range(0, k, panel):
            right, columns = panels_at + left // panel * plan.panel_size, min(panel, k - left)
            for i in range(0, taps * c, simd.ROWS):
                m, target = min(taps * c - i, simd.ROWS), (block * taps * c + i) * k + left
                if n <= _SPAN:
                    tile(memory, at + i, tables.reads, 0, memory, 1, n, plan.row, memory, right, memory, zeros,
                         dw, target, tables.writes, 0, m, columns, no_bend, False)
                else:
                    spans.clear(total, sum_at, sum_at + m * panel)
                    for first in range(0, n, _SPAN):
                        tile(memory, at + i + first * plan.row, tables.reads, 0, memory, 1, min(_SPAN, n - first),
                             plan.row, memory, right + first * panel, memory, zeros, memory, at + plan.tile,
                             tables.writes, 0, m, panel, no_bend, False)
                        for j in range(0, m * panel, simd.lanes(dw)):
                            v = simd.load_part(memory, at + plan.tile + j, m * panel - j)
                            simd.accumulate(total, sum_at + j, v, m * panel - j)
                    for r in range(m):
                        for j in range(0, columns, simd.lanes(dw)):
                            v = simd.rounded(total, sum_at + r * panel + j, columns - j, dw)
                            simd.store_part(dw, target + r * k + j, v, columns - j)

    weight_gradient.__qualname__ = f"weight_gradient_{halves}"
    return jit(weight_gradient)
