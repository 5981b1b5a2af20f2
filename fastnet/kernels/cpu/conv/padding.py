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
def _pad(block, slot, x, padded, numbers):
    """Copy image `block` into the middle of a larger one of zeros."""
    plan = named(_Plan, numbers)
    length, padded_length = plan.width * plan.channels, plan.padded_width * plan.channels  # of a row
    start = block * plan.padded_height * padded_length
    before = plan.left * plan.channels
    spans.clear(padded, start, start + plan.top * padded_length)
    for row in range(plan.height):
        source, target = (block * plan.height + row) * length, start + (plan.top + row) * padded_length
        spans.clear(padded, target, target + before)
        for i in range(0, length, simd.lanes(x)):
            v = simd.load_part(x, source + i, length - i)
            simd.store_part(padded, target + before + i, v, length - i)
        spans.clear(padded, target + before + length, target + padded_length)
    spans.clear(padded, start + (plan.top + plan.height) * padded_length, start + plan.padded_height * padded_length)
