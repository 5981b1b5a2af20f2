"""Depthwise convolution, one filter a channel: no matrix product, so vectors run over the channels.

A *window* is the pixels under the kernel for one pixel of the result. Filters lie as (R S, C). A block takes some rows
of the result, one vector of channels after the other. It first copies the pixels that its windows read, with zeros
around the image, so that no window is a special case:

    memory of a slot:   R S vectors of the filter     lines x columns vectors of pixels

Then it goes through four windows at once, which share the filter and most of their pixels: one reading brings those
into registers. For that the kernel's size, its stride and dilation across are constants to the compiler.
"""
import functools
from typing import NamedTuple

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv.geometry import Pair
from fastnet.kernels.cpu.conv.operands import Operands
from fastnet.kernels.cpu.conv.prefetch import ahead, fetch_portion
from fastnet.kernels.cpu.runtime import Launch, empty, entry, in_words, inlined, jit, launch, named, scratch

# Numbers of the result that a block takes, where that makes so many blocks.
_BLOCK, _BLOCKS = 16_384, 4


class Windows(NamedTuple):
    """How the windows of images are cut into blocks."""

    height: int         # of x
    width: int
    channels: int
    out_height: int     # of y
    out_width: int
    stride: int         # down, as the next; those across are constants
    dilation: int
    top: int            # padding
    left: int
    rows: int           # of y, that a block takes at most
    blocks: int         # of all images
    lines: int          # of pixels that are copied for so many rows
    columns: int        # of pixels: the last four windows may lie beyond the row
    taps: int           # of a filter
    memory: int         # numbers of a slot


def windows_of(geometry):
    """The Windows of a depthwise convolution."""
    x, y, kernel = geometry.source, geometry.target, geometry.kernel
    stride, dilation = geometry.stride, geometry.dilation
    rows = max(1, min(_BLOCK // (y.width * y.channels), geometry.batch * y.height // _BLOCKS, y.height))
    lines = (rows - 1) * stride.down + (kernel.down - 1) * dilation.down + 1
    columns = (-(-y.width // 4) * 4 - 1) * stride.across + (kernel.across - 1) * dilation.across + 1
    taps = kernel.down * kernel.across
    return Windows(height=x.height, width=x.width, channels=x.channels, out_height=y.height, out_width=y.width,
                   stride=stride.down, dilation=dilation.down, top=geometry.padding.top, left=geometry.padding.left,
                   rows=rows, blocks=geometry.batch * -(-y.height // rows), lines=lines, columns=columns, taps=taps,
                   memory=(lines * columns + taps) * simd.width(geometry.dtype))


def constants_of(geometry):
    """What kernels are compiled for: (R, S, stride across, dilation across)."""
    return *geometry.kernel, geometry.stride.across, geometry.dilation.across


def work_of(geometry):
    """Products of a depthwise convolution."""
    return geometry.batch * geometry.target.numbers * geometry.kernel.down * geometry.kernel.across


class DepthwiseConvolution:
    """y from x, all worked out but the numbers."""

    def __init__(self, geometry):
        windows = windows_of(geometry)
        self.numbers, self.memory = in_words(windows), windows.memory
        self.launch = Launch(_kernel(*constants_of(geometry)), windows.blocks, work_of(geometry))

    def __call__(self, x, filters, bias, y, epilogue):
        memory = scratch(self.memory, x.dtype, self.launch.work)
        self.launch(Operands(x, filters, bias, y), memory, self.numbers, epilogue)


class DepthwiseInputGradient:
    """dx from dy for any stride, all worked out but the numbers."""

    def __init__(self, geometry):
        x, y = geometry.source, geometry.target
        self.numbers = in_words(_InputPlan(x.height, x.width, x.channels, y.height, y.width, *geometry.stride))
        self.taps = in_words(*geometry.taps)
        rows = geometry.batch * x.height
        self.launch = Launch(_input_gradient, rows, rows * x.width * x.channels * len(geometry.taps))

    def __call__(self, dy, filters, bias, dx, epilogue):
        self.launch(Operands(dy, filters, bias, dx), self.taps, self.numbers, epilogue)


def pack_filters(w, rotated=False):
    """Filters (C, 1, R, S) as a flat (R S, C), rotated by half a circle for the gradient for the input."""
    packed = empty(w.size, w.dtype)
    launch(transpose, 1, w.reshape(-1), packed, w.shape[0], bool(rotated), work=0)
    return packed


@jit
def transpose(block, slot, x, y, rows, backwards):
    """y = x^T for the matrix x of so many rows; the rows of y in reverse order if `backwards`."""
    columns = x.size // rows
    for row in range(rows):
        for column in range(columns):
            y[(columns - 1 - column if backwards else column) * rows + row] = x[row * columns + column]


@jit
def copy_pixels(x, memory, at, image, top, channel, plan):
    """Copy the lines x columns pixels from row `top` of an image, and from its padding, on: one vector of channels
    each, zeros for pixels outside."""
    lanes, zero, n, left = simd.lanes(x), simd.full(x, 0), plan.channels - channel, -plan.left
    for line in range(top, top + plan.lines):
        first = min(plan.columns, max(0, -left))
        stop = max(first, min(plan.columns, plan.width - left)) if 0 <= line < plan.height else first
        source = ((image * plan.height + line) * plan.width + left) * plan.channels + channel
        for i in range(first):
            simd.store(memory, at + i * lanes, zero)
        for i in range(first, stop):
            simd.store(memory, at + i * lanes, simd.load_part(x, source + i * plan.channels, n))
        for i in range(stop, plan.columns):
            simd.store(memory, at + i * lanes, zero)
        at += plan.columns * lanes


@inlined
def _write(y, at, v, n, epilogue):
    simd.store_part(y, at, spans.in_registers(v, at, n, epilogue, epilogue.level), n)


@functools.cache
def _kernel(r, s, stride, dilation):

    def convolve(block, slot, operands, memory, numbers, epilogue):
        """Compute some rows of y."""
        plan, x, y, lanes = named(Windows, numbers), operands.x, operands.y, simd.lanes(operands.x)
        per_image, c = (plan.out_height + plan.rows - 1) // plan.rows, plan.channels
        image, first = block // per_image, block % per_image * plan.rows
        rows, top = min(plan.rows, plan.out_height - first), first * plan.stride - plan.top
        row_size, start = plan.out_width * c, (image * plan.out_height + first) * plan.out_width * c
        filters = slot * plan.memory
        pixels = filters + r * s * lanes
        # What the next block reads besides, and where it is written, is fetched row by row.
        times, ahead_x = rows * ((c + lanes - 1) // lanes), (image * plan.height + top + plan.lines) * plan.width * c
        x_ahead = ahead(x, max(0, ahead_x), ahead_x + rows * plan.stride * plan.width * c, times)
        y_ahead = ahead(y, start + rows * row_size, start + 2 * rows * row_size, times)
        for j in range(0, c, lanes):
            n, bias = c - j, simd.load_part(operands.bias, j, c - j)
            for tap in range(r * s):
                simd.store(memory, filters + tap * lanes, simd.load_part(operands.filters, tap * c + j, n))
            copy_pixels(x, memory, pixels, image, top, j, plan)
            for row in range(rows):
                x_ahead, y_ahead = fetch_portion(x, x_ahead), fetch_portion(y, y_ahead)
                to = start + row * row_size + j
                for column in range(0, plan.out_width, 4):
                    v0 = v1 = v2 = v3 = bias
                    for a in range(r):
                        line = row * plan.stride + a * plan.dilation
                        at = pixels + (line * plan.columns + column * stride) * lanes
                        for b in range(s):
                            factor, i = simd.load(memory, filters + (a * s + b) * lanes), at + b * dilation * lanes
                            v0 = simd.fma(simd.load(memory, i), factor, v0)
                            v1 = simd.fma(simd.load(memory, i + stride * lanes), factor, v1)
                            v2 = simd.fma(simd.load(memory, i + 2 * stride * lanes), factor, v2)
                            v3 = simd.fma(simd.load(memory, i + 3 * stride * lanes), factor, v3)
                    windows = plan.out_width - column
                    _write(y, to + column * c, v0, n, epilogue)
                    if windows > 1:
                        _write(y, to + (column + 1) * c, v1, n, epilogue)
                    if windows > 2:
                        _write(y, to + (column + 2) * c, v2, n, epilogue)
                    if windows > 3:
                        _write(y, to + (column + 3) * c, v3, n, epilogue)

        spans.call_functions(y, start, start + rows * row_size, epilogue)

    convolve.__qualname__ = f"convolve_{r}_{s}_{stride}_{dilation}"
    return jit(convolve)


class _InputPlan(NamedTuple):
    height: int         # of dx
    width: int
    channels: int
    out_height: int     # of dy
    out_width: int
    stride_down: int
    stride_across: int


@jit
def _input_gradient(block, slot, operands, taps, numbers, epilogue):
    """Row `block` of all images dx: each pixel asks, tap by tap, which pixel of y has read it through that tap."""
    plan, dy, filters, dx = named(_InputPlan, numbers), operands.x, operands.filters, operands.y
    image, row, c = block // plan.height, block % plan.height, plan.channels
    for column in range(plan.width):
        to = (block * plan.width + column) * c
        for j in range(0, c, simd.lanes(dx)):
            simd.store_part(dx, to + j, simd.load_part(operands.bias, j, c - j), c - j)
        for t in range(taps.size // 2):  # outside of the loop over channels, for the sake of the divisions
            tap = entry(Pair, taps, t)
            down, across = row - tap.down, column - tap.across
            p, q = down // plan.stride_down, across // plan.stride_across
            if down >= 0 and across >= 0 and down % plan.stride_down == 0 and across % plan.stride_across == 0 \
                    and p < plan.out_height and q < plan.out_width:
                source = ((image * plan.out_height + p) * plan.out_width + q) * c
                for j in range(0, c, simd.lanes(dx)):
                    n = c - j
                    v = simd.load_part(dx, to + j, n)
                    v = simd.fma(simd.load_part(dy, source + j, n), simd.load_part(filters, t * c + j, n), v)
                    simd.store_part(dx, to + j, v, n)
        spans.apply_all(dx, to, c, epilogue)
