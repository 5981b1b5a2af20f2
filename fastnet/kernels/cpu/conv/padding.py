"""Images with their padding written out, for kernels that read rows of pixels without asking whether they exist."""
from typing import NamedTuple

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv.geometry import Images
from fastnet.kernels.cpu.runtime import Launch, empty, in_words, jit, named


class _Plan(NamedTuple):
    height: int
    width: int
    channels: int
    top: int
    left: int
    padded_height: int
    padded_width: int


class WritePadding:
    """Images of `Geometry.source` -> larger images, `size`, with zeros around them."""

    def __init__(self, geometry):
        x, padding = geometry.source, geometry.padding
        self.size = Images(x.height + padding.top + padding.bottom, x.width + padding.left + padding.right, x.channels)
        self.wanted = any(padding)
        self.total, self.dtype = geometry.batch * self.size.numbers, geometry.dtype
        self.numbers = in_words(_Plan(x.height, x.width, x.channels, padding.top, padding.left, self.size.height,
                                      self.size.width))
        self.launch = Launch(_pad, geometry.batch, self.total)

    def __call__(self, x):
        if not self.wanted:
            return x
        padded = empty(self.total, self.dtype)
        self.launch(x, padded, self.numbers)
        return padded


@jit
def copy_rows(x, memory, at, image, first, stop, plan):
    """Write the padded rows `first` up to `stop` of an image, zeros around it, from memory[at] on."""
    length, before = plan.width * plan.channels, plan.left * plan.channels
    for row in range(first - plan.top, stop - plan.top):
        end = at + plan.padded_width * plan.channels
        if 0 <= row < plan.height:
            spans.clear(memory, at, at + before)
            source, to = (image * plan.height + row) * length, at + before
            for i in range(0, length, simd.lanes(x)):
                simd.store_part(memory, to + i, simd.load_part(x, source + i, length - i), length - i)
            spans.clear(memory, to + length, end)
        else:
            spans.clear(memory, at, end)
        at = end


@jit
def _pad(block, slot, x, padded, numbers):
    """Copy image `block` into the middle of a larger one of zeros."""
    plan = named(_Plan, numbers)
    start = block * plan.padded_height * plan.padded_width * plan.channels
    copy_rows(x, padded, start, block, 0, plan.padded_height, plan)
