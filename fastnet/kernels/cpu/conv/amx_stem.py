"""Direct convolution of bfloat16 numbers by whole matrices, see `simd.amx`, for images with few channels.

As in `stem` the rows of the kernel are the taps: the pixels under one lie side by side. A pixel gets so many channels
of zeros that it takes 2, 4, 8 or 16 numbers, whole words; 7 x 7 taps over 3 channels, with a stride of 2:

    a row of the image:    abc0 def0 ghi0 jkl0 mno0 pqr0 stu0 ABC0 DEF0 ...
    position 0 reads       |-------- 7 pixels = 14 words -----|
    position 1                       |-------------------------------|

Positions overlap in memory and need not be written out apart, since the rows of a matrix may begin anywhere a constant
apart. As many words as a tap has, or a divisor of that, are multiplied at a time, so that nothing is read that is not
under the kernel: an infinity or NaN there would reach the sum in spite of a weight of 0.
"""
import functools
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv.amx import Columns, TileSums, write_run
from fastnet.kernels.cpu.conv.amx_layout import POSITIONS, WORDS, columns_at_once
from fastnet.kernels.cpu.conv.operands import NUMBERS, Operands
from fastnet.kernels.cpu.conv.prefetch import ahead, fetch_portion
from fastnet.kernels.cpu.runtime import Launch, in_words, jit, made_for, named, scratch

# Rows of y that a block computes at most, and words of x that it writes out for them; how many blocks there should be;
# words of a matrix's rows at least.
_ROWS, _MOST_WORDS, _BLOCKS, _FEWEST_WORDS = 8, 96 << 10, 16, 5


class _Plan(NamedTuple):
    height: int
    width: int
    channels: int
    wide: int           # numbers of a pixel in memory
    top: int            # padding
    left: int
    pitch: int          # words from a row in memory to the next
    out_height: int
    out_width: int
    out_channels: int
    down: int           # the stride
    across: int
    reach: int          # rows of x under a window
    taps: int
    words: int          # of a tap
    panels: int
    rows: int           # of y that a block computes
    pieces: int         # blocks of an image
    sums: int           # where in a slot's memory sums are
    memory: int         # numbers of a slot


def numbers_of(channels):
    """How many numbers a pixel of so many channels takes in memory."""
    return max(2, 1 << (channels - 1).bit_length())


def words_at_once(across, channels):
    """How many words of a row of the kernel are multiplied at once; None where they would be too few, or where vectors
    are narrower than pixels."""
    words = across * numbers_of(channels) // 2
    if numbers_of(channels) > simd.width(np.float32):
        return None
    return max((step for step in range(_FEWEST_WORDS, WORDS + 1) if words % step == 0), default=None)


class AmxStem:
    """y from x, all worked out but the numbers; for one group, and no dilation across. The packed filters hold words,
    for each panel and row of the kernel those of its pixels; y may be `operands.Short`, x is not."""

    def __init__(self, geometry):
        x, y, kernel, padding = geometry.source, geometry.target, geometry.kernel, geometry.padding
        stride, dilation, wide = geometry.stride, geometry.dilation.down, numbers_of(x.channels)
        reach, panel = (kernel.down - 1) * dilation + 1, columns_at_once(y.channels)
        columns = max(padding.left + x.width, (y.width - 1) * stride.across + kernel.across)
        pitch, words = columns * wide // 2, kernel.across * wide // 2
        most = (_MOST_WORDS // pitch - reach) // stride.down + 1
        rows = max(1, min(_ROWS, most, y.height * geometry.batch // _BLOCKS))
        # What is read behind the last row, for positions that do not exist, and written by the last vector.
        beyond = POSITIONS * stride.across * wide // 2 + 2 * simd.width(np.float32)
        sums = ((rows - 1) * stride.down + reach) * pitch + beyond
        self.memory, pieces = sums + POSITIONS * panel, -(-y.height // rows)
        self.taps = np.arange(kernel.down) * (dilation * 2 * pitch)
        self.numbers = in_words(_Plan(
            height=x.height, width=x.width, channels=x.channels, wide=wide, top=padding.top, left=padding.left,
            pitch=pitch, out_height=y.height, out_width=y.width, out_channels=y.channels, down=stride.down,
            across=stride.across, reach=reach, taps=kernel.down, words=words, panels=-(-y.channels // panel), rows=rows,
            pieces=pieces, sums=sums, memory=self.memory))
        work = geometry.batch * y.numbers * (kernel.down * words + 1)
        self.launch = Launch(_kernel(panel, x.channels, words_at_once(kernel.across, x.channels)),
                             geometry.batch * pieces, work)

    def __call__(self, x, filters, bias, y, epilogue, short=NUMBERS):
        """Fill y; x and y are flat and channels-last, filters and bias packed."""
        memory = scratch(self.memory, x.dtype, self.launch.work)
        self.launch(Operands(x, filters, bias, y), memory, self.taps, self.numbers, epilogue, short)


@functools.cache
def _kernel(panel, channels, step):
    product = simd.make_amx_product(POSITIONS // WORDS, panel // WORDS, step)
    open_amx, load_spread = simd.make_open_amx(step), simd.make_load_spread(channels, numbers_of(channels))

    @jit
    @made_for(channels)
    def write_rows(x, memory, to, image, top, count, plan):
        """Write so many rows of an image from row `top` on, with zeros around them."""
        lanes, numbers = simd.lanes(x), plan.width * plan.wide
        for row in range(top, top + count):
            end = to + plan.pitch
            if 0 <= row < plan.height:
                at, first = (image * plan.height + row) * plan.width * plan.channels, to + plan.left * plan.wide // 2
                spans.clear(memory, to, first)
                for i in range(0, numbers, 2 * lanes):
                    v = load_spread(x, at + i // plan.wide * plan.channels, numbers - i)
                    w = load_spread(x, at + (i + lanes) // plan.wide * plan.channels, numbers - i - lanes)
                    simd.store_short(memory, 2 * first + i, v, w, 2 * lanes, False)
                spans.clear(memory, first + numbers // 2, end)
            else:
                spans.clear(memory, to, end)
            to = end

    def convolve(block, slot, operands, memory, taps, numbers, epilogue, short):
        """Compute some rows of an image, in all panels of output channels."""
        plan, y = named(_Plan, numbers), operands.y
        image, row = block // plan.pieces, block % plan.pieces * plan.rows
        rows, start = min(plan.rows, plan.out_height - row), slot * plan.memory
        write_rows(operands.x, memory, start, image, row * plan.down - plan.top, (rows - 1) * plan.down + plan.reach,
                   plan)
        sums, size = start + plan.sums, plan.out_width * plan.out_channels
        to = (image * plan.out_height + row) * size
        times, behind, more = rows * plan.panels * (plan.out_width // POSITIONS + 1), to + rows * size, rows * size
        if short.y:
            behind, more = behind // 2, 0 if spans.is_far(y) else more // 2
        y_ahead = ahead(y, behind, behind + more, times)
        open_amx()
        for r in range(rows):
            for p in range(plan.panels):
                left, filters = p * panel, p * plan.taps * plan.words * panel
                columns = Columns(left, left, min(panel, plan.out_channels - left))
                for position in range(0, plan.out_width, POSITIONS):
                    y_ahead = fetch_portion(y, y_ahead)
                    at = 2 * (start + r * plan.down * plan.pitch) + position * plan.across * plan.wide
                    product(memory, at, plan.across * plan.wide, taps, 0, plan.taps, plan.words, operands.filters,
                            filters, panel, memory, sums, panel, 0)
                    pixels = min(POSITIONS, plan.out_width - position)
                    write_run(TileSums(memory, sums, panel), columns, operands,
                              to + r * size + position * plan.out_channels + left, plan.out_channels, pixels, epilogue,
                              short.y)
        simd.close_amx()
        if spans.has_calls(epilogue) and not short.y:
            spans.call_functions(y, to, to + rows * size, epilogue)

    convolve.__qualname__ = f"convolve_amx_stem_{panel}_{channels}_{step}"
    return jit(convolve)
