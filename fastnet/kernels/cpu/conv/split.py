"""Winograd's ways for convolutions with a few groups: one group after the other.

Winograd's kernels know no groups. So the channels of each are copied to images of their own, which costs little where
a group has many channels, are convolved there, and what comes of it is written between that of the other groups, where
the epilogue is applied.
"""
from typing import NamedTuple

from fastnet.kernels.cpu import epilogue as epilogues
from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import Launch, empty, in_words, jit, named

# Fewer channels to a group than this do not repay the copying.
SPLIT_CHANNELS = 48
_PIXELS = 256   # of a block


class _Plan(NamedTuple):
    pixels: int
    channels: int   # of all groups
    first: int      # the group's first channel
    count: int      # of its channels


def part_of(geometry):
    """The Geometry of one group."""
    (n, _, h, w), (k, size, r, s), (_, _, p, q) = geometry.x_shape, geometry.w_shape, geometry.y_shape
    groups = geometry.groups
    return geometry._replace(x_shape=(n, size, h, w), w_shape=(k // groups, size, r, s),
                             y_shape=(n, k // groups, p, q), groups=1)


class _Channels:
    """Copies between images and those of one group."""

    def __init__(self, shape, groups, dtype):
        n, channels, height, width = shape
        self.pixels, self.count, self.dtype = n * height * width, channels // groups, dtype
        self.numbers = [in_words(_Plan(self.pixels, channels, group * self.count, self.count))
                        for group in range(groups)]
        blocks, work = -(-self.pixels // _PIXELS), self.pixels * self.count
        self.launch_take, self.launch_put = Launch(_take, blocks, work), Launch(_put, blocks, work)

    def empty(self):
        return empty(self.pixels * self.count, self.dtype)

    def take(self, x, group):
        part = self.empty()
        self.launch_take(x, part, self.numbers[group])
        return part

    def put(self, part, y, group, epilogue):
        self.launch_put(part, y, self.numbers[group], epilogue)


class SplitConvolution:
    """A pass from x to y, or from dy to dx, by `way`, that of one group."""

    pools = False

    def __init__(self, geometry, way, read, written):
        self.way, self.groups = way, geometry.groups
        self.form = ("split", geometry.groups, *way.form)
        self.read, self.written = (_Channels(shape, geometry.groups, geometry.dtype) for shape in (read, written))

    def pack(self, w, b):
        k = w.shape[0] // self.groups
        size = None if b is None else b.size // self.groups
        packed = [self.way.pack(w[group * k: (group + 1) * k],
                                None if b is None else b[group * size: (group + 1) * size])
                  for group in range(self.groups)]
        return tuple(zip(*packed, strict=True))

    def run(self, x, w, b, y, epilogue):
        for group in range(self.groups):
            part = self.written.empty()
            self.way.run(self.read.take(x, group), w[group], b[group], part, epilogues.make(part))
            self.written.put(part, y, group, epilogue)


class SplitWeightGradient:
    """dw and db, by `way`, that of one group."""

    def __init__(self, geometry, way):
        self.way, self.groups, self.w_shape, dtype = way, geometry.groups, geometry.w_shape, geometry.dtype
        self.read, self.given = (_Channels(shape, geometry.groups, dtype)
                                 for shape in (geometry.x_shape, geometry.y_shape))
        k, c, r, s = self.w_shape
        # Gradients as images of one pixel, whose channels are those of all groups.
        self.dw, self.db = (_Channels((1, size, 1, 1), geometry.groups, dtype) for size in (k * c * r * s, k))

    def run(self, x, dy, bias):
        dw = empty(self.dw.count * self.groups, self.read.dtype)
        db = empty(self.db.count * self.groups, self.read.dtype) if bias else None
        for group in range(self.groups):
            part, bias_part = self.way.run(self.read.take(x, group), self.given.take(dy, group), bias)
            self.dw.put(part.reshape(-1), dw, group, epilogues.make(dw))
            if bias:
                self.db.put(bias_part, db, group, epilogues.make(db))
        return dw.reshape(self.w_shape), db


@jit
def _take(block, slot, x, part, numbers):
    """Copy the group's channels of some pixels."""
    plan = named(_Plan, numbers)
    for pixel in range(block * _PIXELS, min(plan.pixels, (block + 1) * _PIXELS)):
        source, to = pixel * plan.channels + plan.first, pixel * plan.count
        for i in range(0, plan.count, simd.lanes(x)):
            simd.store_part(part, to + i, simd.load_part(x, source + i, plan.count - i), plan.count - i)


@jit
def _put(block, slot, part, y, numbers, epilogue):
    """Write them where they belong, with all steps of the epilogue."""
    plan = named(_Plan, numbers)
    for pixel in range(block * _PIXELS, min(plan.pixels, (block + 1) * _PIXELS)):
        to, source = pixel * plan.channels + plan.first, pixel * plan.count
        for i in range(0, plan.count, simd.lanes(y)):
            v = spans.in_registers(simd.load_part(part, source + i, plan.count - i), to + i, plan.count - i, epilogue,
                                   epilogue.level)
            simd.store_part(y, to + i, v, plan.count - i)
        spans.call_functions(y, to, to + plan.count, epilogue)
