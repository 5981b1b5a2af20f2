"""The gradient for the filters of a depthwise convolution, or of one with few channels to a group, and for its bias.

dw[r, s, c] = sum over n, p, q of x[n, p stride + r dilation - top, q stride + s dilation - left, c] dy[n, p, q, c]

With the `Windows` and copied pixels of `depthwise`: what the forward pass adds up over taps is added up over windows
here, for some taps at once, whose sums stay in registers (`simd.make_window_products`). A block takes a part of the
rows of all images and some channels, and has a partial gradient (size R S, C) of its own. Products of some windows are
added up in registers before they go there; where there are many, the partial gradient is moved to one in float64 every
so often, see `sums`. What all parts have is added in order.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans, sums
from fastnet.kernels.cpu.conv.depthwise import Windows, copy_pixels, cut, fetch_pixels, work_of
from fastnet.kernels.cpu.conv.operands import Inputs, Sums
from fastnet.kernels.cpu.runtime import Launch, empty, hash_of, in_words, inlined, jit, launch, named, scratch

# About how many blocks there are, and the most taps whose sums are in registers together.
_BLOCKS, _TAPS = 16, 16
# How often a partial gradient is added to before it is moved to one in float64.
_CHAINS_OF_SUM = 64


class _Plan(NamedTuple):
    parts: int          # of the rows of all images
    pieces: int         # rows of images, cut as in the forward pass
    chain_rows: int     # of dy, that are added up in registers together
    chain_columns: int
    together: int       # pieces after which a partial gradient is moved to float64
    memory: int         # numbers of a slot


class DepthwiseWeightGradient:
    """dw and db from x and dy, all worked out but the numbers."""

    def __init__(self, geometry):
        (windows, constants), dtype, self.biases = cut(geometry), geometry.dtype, geometry.source.channels
        pieces = geometry.batch * windows.parts
        self.parts, self.filters = min(pieces, -(-_BLOCKS // windows.slices)), windows.filters
        chain_columns = min(windows.out_width, sums.CHAIN // constants.count * constants.count)
        chain_rows = max(1, sums.CHAIN // windows.out_width)
        chains = -(-windows.rows // chain_rows) * -(-windows.out_width // chain_columns)    # of a piece
        together, self.size = max(1, _CHAINS_OF_SUM // chains), self.filters * self.biases
        self.spilling = pieces > self.parts * together
        # Behind the copied pixels those of dy where channels do not fill a vector.
        self.memory = windows.memory + windows.rows * windows.out_width * simd.width(dtype)
        self.windows = in_words(windows)
        self.numbers = in_words(_Plan(self.parts, pieces, chain_rows, chain_columns, together, self.memory))
        self.launch = Launch(_kernel(constants._replace(classes=_groups(constants.classes[0]))),
                             self.parts * windows.slices, work_of(geometry))
        self.add_up = sums.ColumnSums(self.parts, self.size, self.size, dtype, np.float64 if self.spilling else dtype)
        self.add_up_bias = sums.ColumnSums(self.parts, self.biases, self.biases, dtype, np.float64)

    def __call__(self, x, dy, bias):
        """(dw, db): both flat, dw in the order of (C, size, R, S), db None without `bias`."""
        dtype, size = x.dtype, self.parts * self.size
        partial, total = empty(size, dtype), sums.room(size if self.spilling else 0)
        to = Sums(partial, total, empty(self.parts * self.biases, np.float64))
        memory = scratch(self.memory, dtype, self.launch.work)
        self.launch(Inputs(x, dy), to, memory, self.windows, self.numbers, bool(bias))
        dw = empty(self.size, dtype)
        launch(_transpose, 1, self.add_up(to.total if self.spilling else to.partial), dw, self.filters, work=0)
        return dw, self.add_up_bias(to.bias) if bias else None


def _groups(taps):
    """The taps in groups whose sums fit into registers: whole rows of the kernel where they do."""
    groups, rows = [[]], {}
    for tap in taps:
        rows.setdefault((tap[0], tap[2]), []).append(tap)
    for row in rows.values():
        for piece in (row[start: start + _TAPS] for start in range(0, len(row), _TAPS)):
            if len(groups[-1]) + len(piece) > _TAPS:
                groups.append([])
            groups[-1] += piece
    return tuple(map(tuple, groups))


@jit
def _transpose(block, slot, x, y, rows):
    """y = x^T for the matrix x of so many rows."""
    columns = x.size // rows
    for column in range(columns):
        for row in range(rows):
            y[column * rows + row] = x[row * columns + column]


@inlined
def _copy_gradients(dy, start, pixels, apart, n, memory, to):
    """Copy n numbers of each of so many pixels of dy to whole vectors."""
    for i in range(pixels):
        simd.store(memory, to + i * simd.lanes(dy), simd.load_part(dy, start + i * apart, n))


@functools.cache
def _kernel(constants):
    count, step, _, size, groups = constants
    products, all_groups = simd.make_window_products(count, step, size, groups), len(groups)

    def add_products(block, slot, inputs, to, memory, windows, numbers, biased):
        """One part of the rows of all images, and some vectors of channels."""
        plan, own, x, dy = named(Windows, windows), named(_Plan, numbers), inputs.x, inputs.dy
        lanes, c, pixels, part = simd.lanes(x), plan.channels, slot * own.memory, block // plan.slices
        begin = block % plan.slices * plan.vectors * lanes
        end, line_size = min(c, begin + plan.vectors * lanes), plan.columns * lanes
        for number in range(part * plan.filters, (part + 1) * plan.filters):
            spans.clear(to.partial, number * c + begin, number * c + end)
            if to.total.size:
                spans.clear(to.total, number * c + begin, number * c + end)
        spans.clear(to.bias, part * c + begin, part * c + end)
        last = (part + 1) * own.pieces // own.parts
        for piece in range(part * own.pieces // own.parts, last):
            image, first = piece // plan.parts, piece % plan.parts * plan.rows
            rows, top = min(plan.rows, plan.out_height - first), first * plan.step - plan.above
            source = (image * plan.out_height + first) * plan.out_width * c
            for j in range(begin, end, lanes):
                copy_pixels(x, memory, pixels, image, top, j, plan, j == begin)
                # What comes next is fetched meanwhile: more channels of these rows, or the rows below.
                further = j + lanes < end
                on = lanes if further else rows * plan.step * plan.width * c - j + begin
                on_dy = lanes if further else rows * plan.out_width * c - j + begin
                g, g_apart = source + j, c
                gradients = dy
                if c - j < lanes:
                    g, g_apart, gradients = pixels + plan.memory, lanes, memory
                    _copy_gradients(dy, source + j, rows * plan.out_width, c, c - j, memory, g)
                if biased:
                    sums.add_rows(to.bias, part * c + j, dy, source + j, rows * plan.out_width, c, min(c - j, lanes))
                for row in range(0, rows, own.chain_rows):
                    height = min(own.chain_rows, rows - row)
                    if plan.large:
                        fetch_pixels(dy, source + j + on_dy + row * plan.out_width * c, height * plan.out_width,
                                     c)
                    for k in range(row * plan.lines // rows, (row + height) * plan.lines // rows):
                        if plan.large and 0 <= top + k < plan.height:
                            fetch_pixels(x, (image * plan.height + top + k) * plan.width * c + j + on, plan.width, c)
                    for left in range(0, plan.out_width, own.chain_columns):
                        width = min(own.chain_columns, plan.out_width - left)
                        at = pixels + row * plan.step * line_size + left * step * lanes
                        for group in range(all_groups):
                            products(group, memory, at, plan.step * line_size, line_size, gradients,
                                     g + (row * plan.out_width + left) * g_apart, plan.out_width * g_apart, g_apart,
                                     height, width, to.partial, part * plan.filters * c + j, c, c - j)
            if to.total.size and (last - piece - 1) % own.together == 0:
                for number in range(part * plan.filters, (part + 1) * plan.filters):
                    sums.spill(to.partial, to.total, number * c + begin, number * c + end)

    add_products.__qualname__ = f"add_products_{count}_{step}_{size}_{hash_of(groups)}"
    return jit(add_products)
