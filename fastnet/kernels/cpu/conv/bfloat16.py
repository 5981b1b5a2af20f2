"""Images and filters as words of two bfloat16 numbers, for direct convolution: half as much to read, and products two
at a time.

The C channels of a group are paired half by half, so that vectors of words are made of vectors of numbers as they lie
in memory: word c, for c < C / 2, holds channel c in its lower half and channel c + C / 2 in its upper one.

    a pixel's numbers:  0 1 2 3 4 5 | 6 7 8 9 10 11     and the rows of a filter's panel likewise:
    and its words:      06 17 28 39 4,10 5,11           word (c, j) holds rows c and c + C / 2 of column j

A sum over words is then one over all channels, whatever their order. Matrix registers, see `amx`, are given words of
two channels that follow each other, which images may be kept in from one convolution to the next:

    a pixel's words:     01 23 45 67 89 10,11           word (c, j) holds rows 2 c and 2 c + 1 of column j
"""
from typing import NamedTuple

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import Launch, aligned, empty, in_words, inlined, jit, launch, named

# Pixels of a block.
_PIXELS = 256


class _Plan(NamedTuple):
    pixels: int     # of all images
    groups: int     # of channels
    half: int       # channels of half a group: its words


class PairPixels:
    """Images of float32 numbers -> words; `size` is that of an image, words counted as channels."""

    def __init__(self, batch, source, groups):
        self.size, pixels = source._replace(channels=source.channels // 2), batch * source.height * source.width
        self.total = batch * self.size.numbers
        self.numbers = in_words(_Plan(pixels, groups, self.size.channels // groups))
        self.launch = Launch(_pair_pixels, -(-pixels // _PIXELS), self.total)

    def __call__(self, x):
        words = empty(self.total, x.dtype)
        self.launch(x, words, self.numbers)
        return words


@jit
def _pair_pixels(block, slot, x, words, numbers):
    """The words of some pixels."""
    plan, first = named(_Plan, numbers), block * _PIXELS
    count = min(_PIXELS, plan.pixels - first) * plan.groups     # of the halves' pairs
    for pair in range(first * plan.groups, first * plan.groups + count):
        pair_rows(x, 2 * pair * plan.half, plan.half, plan.half, words, pair * plan.half, plan.half)


class PairFilters:
    """What packs weights into panels, (..., rows = channels, panel), and then pairs the `rows` of each tap: half by
    half or, for words of channels that follow each other, row by row, with zeros up to a multiple of `whole` rows."""

    def __init__(self, pack_weights, rows, whole=None):
        self.pack_weights, panel, half = pack_weights, pack_weights.panel, -(-rows // 2)
        words = (-(-rows // whole) * whole // 2 if whole else half) * panel
        self.taps, self.pair = pack_weights.size // (rows * panel) if rows else 0, _pair_rows if whole else _pair_halves
        self.numbers = in_words(_FiltersPlan(half * panel, (rows - half) * panel, words, panel))
        self.size = self.taps * words

    def __call__(self, w):
        filters = self.pack_weights(w)
        words = aligned(self.size, w.dtype)
        launch(self.pair, self.taps, filters, words, self.numbers, work=self.size)
        return words


class _FiltersPlan(NamedTuple):
    """Numbers of a tap: those that become lower and upper halves, words with those that fill it up, and of a row."""

    lower: int
    upper: int
    words: int
    panel: int


@jit
def _pair_halves(block, slot, filters, words, numbers):
    """The words of one tap of a panel, half by half."""
    plan = named(_FiltersPlan, numbers)
    pair_rows(filters, block * (plan.lower + plan.upper), plan.lower, plan.upper, words, block * plan.words, plan.words)


@jit
def _pair_rows(block, slot, filters, words, numbers):
    """Those of rows 0 and 1, 2 and 3, ..., with zeros behind them up to whole registers."""
    plan = named(_FiltersPlan, numbers)
    start, to = block * (plan.lower + plan.upper), block * plan.words
    for at in range(0, plan.lower + plan.upper, 2 * plan.panel):
        upper = min(plan.panel, plan.lower + plan.upper - plan.panel - at)
        pair_rows(filters, start + at, plan.panel, upper, words, to + at // 2, plan.panel)
    spans.clear(words, to + plan.lower, to + plan.words)


@inlined
def pair_rows(x, start, lower, upper, words, to, size):
    """words[to + i] = (x[start + i], x[start + lower + i]) for i < lower, with zeros from `upper` <= lower on in the
    upper halves, and words of zeros up to `size`."""
    for i in range(0, lower, simd.lanes(x)):
        first = simd.load_part(x, start + i, lower - i)
        second = simd.load_part(x, start + lower + i, upper - i)
        simd.store_part(words, to + i, simd.pair(first, second), size - i)
    whole = (lower + simd.lanes(x) - 1) // simd.lanes(x) * simd.lanes(x)
    spans.clear(words, to + whole, to + size)
