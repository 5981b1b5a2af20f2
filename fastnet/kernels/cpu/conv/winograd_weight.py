"""Winograd's gradient for the weights: with the names of `winograd`, by transposing each of its steps,

    dG = F^T [ sum over patches of (A dY A^T) * (B^T D B) ] F

At each Winograd point the sum is a matrix product, input channels by patches times patches by output channels, for each
group of channels. What has to stay in the second cache is these sums, a C x K matrix for each point. Where they leave
room for the transforms of some patches, a block takes its part of the patches through both steps, and the parts are
added in order ("fused"). Else some hundred patches are transformed at a time, of one group after the other, and each
block adds to the sums of one point, which it owns. Both give the same bits for any number of threads. Some products are
added up in registers before they go to these sums, and where patches are many these are moved to others in float64
every so often: rounding does not grow with their number.
"""
import numpy as np

from fastnet.kernels.cpu import simd, sums
from fastnet.kernels.cpu.conv.operands import CollectMemory, Gradients, Inputs, Sums
from fastnet.kernels.cpu.conv.winograd_patches import patch_offsets
from fastnet.kernels.cpu.conv.winograd_weight_kernels import (
    CHUNKS_OF_SUM,
    COLLECTED,
    HELD_OF_SUM,
    PATCHES_OF_BLOCK,
    RUN_SIZE,
    Plan,
    Room,
    Tables,
    collect_kernel,
    kernels,
)
from fastnet.kernels.cpu.runtime import Launch, empty, in_words, scratch

# Bytes of sums and transforms that a block may fill, and how many patches it should then hold at least.
_BLOCK_BYTES, _FEWEST_PATCHES = 1_000_000, 12
# Bytes of transforms that it takes, where there is room: more would drive out what is fetched ahead.
_ENOUGH_BYTES = 320_000
# Parts of the batch that are summed on their own: at most so many, of no fewer patches, their sums no more bytes. More
# than the fewer only where each has many patches, since sums are cleared and collected besides being added to.
_PARTS, _PATCHES_OF_PART, _SUMS_BYTES = 16, 64, 5 << 20
_FEWER_PARTS, _MANY_PATCHES = 8, 256
# Otherwise: bytes of transforms that are held at a time. They should stay in the third cache; but all sums are read and
# written each time, so they are at least twice the bytes of the sums, up to a limit.
_HELD_BYTES, _MOST_HELD_BYTES = 8 << 20, 24 << 20


class WinogradWeightGradient:
    """The gradient for the weights (K, C / groups, r, r) of a `Geometry` in the form F(m, r), all worked out but the
    numbers; `paired` for products of bfloat16."""

    def __init__(self, geometry, m, paired=False):
        source, target, r, dtype = geometry.source, geometry.target, geometry.kernel.down, geometry.dtype
        groups, read, made = geometry.groups, geometry.part.source.channels, geometry.part.target.channels
        n, lanes = m + r - 1, simd.width(dtype)
        # Panels of a whole vector at least, since such are written: those of other threads begin behind them.
        wide = max(made, lanes)
        tiles, panel = simd.tiles_for(wide, dtype, paired), simd.panel_width(wide, dtype)
        rows = -(-read // tiles.depth_rows) * tiles.depth_rows
        columns, channels = -(-made // panel) * panel, -(-rows // lanes) * lanes
        down, across = -(-target.height // m), -(-target.width // m)
        patches = geometry.batch * down * across
        size, per_patch = n * n * (rows * columns + lanes), n * n * (channels + columns) // tiles.word
        self.fused, held, parts = _cut(patches, groups, size, per_patch, dtype.itemsize)
        held += -held % tiles.word
        words = held // tiles.word
        self.transformed = n * n * (words * channels + lanes), (n * n + 1) * (words * columns + lanes)
        self.sums, self.bias, self.w_shape = groups * parts * size, parts * target.channels, geometry.w_shape
        self.memory, self.spare = max(n * n * channels, m * m * columns), (n * n + 2 * COLLECTED * r * r) * lanes
        padding = geometry.padding.top, geometry.padding.left
        self.tables = Tables(patch_offsets(m, n, padding, source, channels, down, across),
                             patch_offsets(m, m, (0, 0), target, columns, down, across), np.zeros(lanes, dtype),
                             np.arange(tiles.depth_rows))
        plan = Plan(
            height=source.height, width=source.width, groups=groups, channels=read,
            out_height=target.height, out_width=target.width, out_channels=made,
            above=geometry.padding.top, before=geometry.padding.left, down=down, across=across, words=words,
            whole_channels=channels, rows=rows, columns=columns, parts=parts, group=0, first=0,
            count=patches, to_come=0)
        at_a_time = [(first, min(held, patches - first)) for first in range(0, patches, held)]
        self.numbers = [in_words(plan)] if self.fused else [
            in_words(plan._replace(group=group, first=first, count=count,
                                   to_come=-(-(patches - first - count) // held)))
            for group in range(groups) for first, count in at_a_time]
        self.spilling = len(at_a_time) > (parts * CHUNKS_OF_SUM if self.fused else HELD_OF_SUM)
        by_name, work = kernels(m, r, tiles), patches * n * n * read * made
        self.work, self.biases = groups * work, target.channels
        self.gradient = Launch(by_name["gradient"], groups * parts, self.work)
        self.transform = groups * [Launch(by_name["transform"], -(-count // PATCHES_OF_BLOCK), work)
                                   for _, count in at_a_time]
        self.add_products = Launch(by_name["add_products"], n * n + 1, work)
        self.collect = Launch(collect_kernel(m, r, self.spilling),
                              groups * -(-read // COLLECTED) + sums.column_blocks(self.biases), self.sums)

    def __call__(self, x, dy, bias):
        """(dw as (K, C / groups, r, r), db or None without `bias`) from flat channels-last x and dy."""
        dtype, work, (x_size, dy_size) = x.dtype, self.work, self.transformed
        room = Room(scratch(self.memory, dtype, work), scratch(RUN_SIZE, np.int64, work))
        products, totals = empty(self.sums, dtype), sums.room(self.sums if self.spilling else 0)
        inputs, to = Inputs(x, dy), Sums(products, totals, sums.room(self.bias if bias else 0))
        if self.fused:
            transformed = Inputs(scratch(x_size, dtype, work, 1), scratch(dy_size, dtype, work, 2))
            self.gradient(inputs, transformed, to, self.tables, room, self.numbers[0])
        else:
            transformed = Inputs(empty(x_size, dtype), empty(dy_size, dtype))
            for transform, numbers in zip(self.transform, self.numbers, strict=True):
                transform(inputs, transformed, self.tables, room, numbers)
                self.add_products(transformed, to, self.tables, room, numbers)
        source, work = totals if self.spilling else products, self.collect.work
        dw, db = empty(self.w_shape, dtype), empty(self.biases if bias else 0, dtype)
        memory = CollectMemory(scratch(self.spare, source.dtype, work), sums.columns_memory(work))
        self.collect(Gradients(source, to.bias), Gradients(dw.reshape(-1), db), memory, self.numbers[0])
        return dw, db if bias else None


def _cut(patches, groups, sums_size, per_patch, itemsize):
    """(whether both steps are fused, patches that are held at a time, parts) for so many patches and groups, numbers of
    a group's sums, and numbers of a patch's transforms."""
    held = (_BLOCK_BYTES // itemsize - sums_size) // per_patch
    if held < _FEWEST_PATCHES:
        size = max(_HELD_BYTES, min(_MOST_HELD_BYTES, 2 * sums_size * itemsize))
        return False, min(max(1, size // (per_patch * itemsize * PATCHES_OF_BLOCK)) * PATCHES_OF_BLOCK, patches), 1
    held = min(held, max(_FEWEST_PATCHES, _ENOUGH_BYTES // (per_patch * itemsize)))
    enough = -(-min(_PARTS, max(_FEWER_PARTS, patches // _MANY_PATCHES)) // groups)
    parts = max(1, min(enough, patches // _PATCHES_OF_PART, _SUMS_BYTES // (groups * sums_size * itemsize)))
    return True, min(held, -(-patches // parts)), parts
