"""The passes of a convolution, once for each way of computing them, with everything worked out but the numbers.

Images are flat and channels-last here, weights (K, C / groups, R, S) and contiguous. Winograd's ways are for stride 1,
without dilation and groups; depthwise ones for one filter a channel.
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.conv import depthwise, gather, packing, reduce, winograd, winograd_weight
from fastnet.kernels.cpu.runtime.array import empty
from fastnet.kernels.cpu.runtime.jit import Launch, jit

# Up to this many input channels a tap is too short a run of products; then whole rows of the kernel are one run.
FEW_CHANNELS = 12


class Geometry(NamedTuple):
    """What a convolution looks like; padding is (top, bottom, left, right)."""

    x_shape: tuple
    w_shape: tuple
    y_shape: tuple
    dtype: np.dtype
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int

    @property
    def batch(self):
        return self.x_shape[0]

    @property
    def source(self):
        """(H, W, C) of x."""
        return *self.x_shape[2:], self.x_shape[1]

    @property
    def target(self):
        """(P, Q, K) of y."""
        return *self.y_shape[2:], self.y_shape[1]

    @property
    def taps(self):
        """The pixel, relative to a window's place, that each kernel element meets."""
        (top, _, left, _), (down, across) = self.padding, self.dilation
        return tuple((i * down - top, j * across - left) for i, j in np.ndindex(*self.w_shape[2:]))

    def taps_of_class(self, offset):
        """The taps through which pixels (u, v) stride + offset received values, as flat kernel indices, and for each
        the place of dy, relative to (u, v), that it leads to."""
        taps, origins = [], []
        for tap, (down, across) in enumerate(self.taps):
            y, x = offset[0] - down, offset[1] - across
            if y % self.stride[0] == 0 and x % self.stride[1] == 0:
                taps.append(tap)
                origins.append((y // self.stride[0], x // self.stride[1]))
        return tuple(taps), tuple(origins)


# y from x. `pack` brings weights and bias into the `form` that `run` wants; where `pools` says so, `run_pooled` does a
# max-pooling of 2 x 2 pixels as well.

class WinogradForward:
    """Tiles of m x m outputs; see `winograd`. `paired` is for bfloat16, here and below."""

    pools = True

    def __init__(self, geometry, m, paired):
        self.form = geometry.dtype, m, paired
        self.turn = winograd.Turn(geometry.w_shape, geometry.dtype, m, paired=paired)
        self.convolve = winograd.Convolution(m, geometry.w_shape[2], geometry.batch, geometry.source, geometry.target,
                                             geometry.padding[::2], geometry.dtype, paired)

    def pack(self, w, b):
        return self.turn(w), packing.pack_bias(b, w.shape[0], w.dtype)

    def run(self, x, w, b, y, epilogue):
        self.convolve(x, w, b, y, epilogue)

    def run_pooled(self, x, w, b, y, index, relu, epilogue):
        self.convolve.pooled(x, w, b, y, index, relu, epilogue)


class DirectForward:
    """Register tiles that read their rows through a table; see `gather`.

    Where the channels are few, the rows of the kernel are the taps: in a padded image the pixels under such a row lie
    side by side, so that one run of products covers them.
    """

    pools = False

    def __init__(self, geometry):
        (_, length, r, s), groups, dtype = geometry.w_shape, geometry.groups, geometry.dtype
        self.form, self.groups, self.pad = (dtype, "direct"), groups, None
        source, taps = geometry.source, geometry.taps
        if groups == 1 and length <= FEW_CHANNELS and s > 1 and geometry.dilation[1] == 1:
            self.pad = _Pad(geometry)
            source, length = self.pad.target, s * length
            taps = tuple((i * geometry.dilation[0], 0) for i in range(r))
        self.packing = packing.Pack(geometry.w_shape, dtype, groups, range(r * s))
        grid = gather.Grid(geometry.y_shape[2:], geometry.stride, taps, (1, 1), (0, 0))
        self.convolve = gather.Convolution(geometry.batch, source, geometry.target, [grid], length, groups, dtype)

    def pack(self, w, b):
        return self.packing(w), packing.pack_bias(b, w.shape[0], w.dtype, self.groups)

    def run(self, x, w, b, y, epilogue):
        self.convolve(x if self.pad is None else self.pad(x), w, b, y, epilogue)


class DepthwiseForward:
    """See `depthwise`."""

    pools = False

    def __init__(self, geometry):
        self.form = geometry.dtype, "depthwise"
        self.convolve = depthwise.Forward(geometry.batch, geometry.source, geometry.target, geometry.w_shape[2:],
                                          geometry.stride, geometry.dilation, geometry.padding[::2], geometry.dtype)

    def pack(self, w, b):
        return depthwise.pack(w), packing.pack_bias(b, w.shape[0], w.dtype)

    def run(self, x, w, b, y, epilogue):
        self.convolve(x, w, b, y, epilogue)


# dx from dy and w

class WinogradBackwardInput:
    """The forward pass from K channels to C, with the kernels turned by half a circle."""

    def __init__(self, geometry, m, paired):
        r, (top, _, left, _), dtype = geometry.w_shape[2], geometry.padding, geometry.dtype
        self.turn = winograd.Turn(geometry.w_shape, dtype, m, backward=True, paired=paired)
        self.bias = packing.pack_bias(None, geometry.w_shape[1], dtype)
        self.convolve = winograd.Convolution(m, r, geometry.batch, geometry.target, geometry.source,
                                             (r - 1 - top, r - 1 - left), dtype, paired)

    def run(self, dy, w, dx, epilogue):
        self.convolve(dy, self.turn(w), self.bias, dx, epilogue)


class DirectBackwardInput:
    """With a stride the pixels fall into stride x stride classes, each reached by taps of its own: each class is one
    convolution of dy without a stride, and no product with a zero is computed."""

    def __init__(self, geometry):
        (h, w, c), stride, groups, dtype = geometry.source, geometry.stride, geometry.groups, geometry.dtype
        grids, all_taps = [], []
        for offset in np.ndindex(*stride):
            size = tuple(-(-(extent - o) // step) for extent, o, step in zip((h, w), offset, stride, strict=True))
            if 0 not in size:
                taps, origins = geometry.taps_of_class(offset)
                grids.append(gather.Grid(size, (1, 1), origins, stride, offset))
                all_taps += taps
        self.bias = packing.pack_bias(None, c, dtype, groups)
        self.pack = packing.Pack(geometry.w_shape, dtype, groups, all_taps, backward=True)
        self.convolve = gather.Convolution(geometry.batch, geometry.target, geometry.source, grids,
                                           geometry.w_shape[0] // groups, groups, dtype)

    def run(self, dy, w, dx, epilogue):
        self.convolve(dy, self.pack(w), self.bias, dx, epilogue)


class DepthwiseBackwardInput:
    """With stride 1 the forward pass, with the kernels turned by half a circle; see `depthwise`."""

    def __init__(self, geometry):
        kernel, dilation, self.turned = geometry.w_shape[2:], geometry.dilation, geometry.stride == (1, 1)
        if self.turned:
            before = [(size - 1) * apart - pad
                      for size, apart, pad in zip(kernel, dilation, geometry.padding[::2], strict=True)]
            forward = depthwise.Forward(geometry.batch, geometry.target, geometry.source, kernel, (1, 1), dilation,
                                        before, geometry.dtype)
            zeros = np.zeros(geometry.w_shape[0], geometry.dtype)
            self.gradient = lambda dy, w, dx, epilogue: forward(dy, w, zeros, dx, epilogue)
        else:
            self.gradient = depthwise.BackwardInput(geometry.batch, geometry.target, geometry.source, geometry.stride,
                                                    geometry.taps)

    def run(self, dy, w, dx, epilogue):
        self.gradient(dy, depthwise.pack(w, self.turned), dx, epilogue)


# dw and db from x and dy

class WinogradBackwardWeight:
    """See `winograd_weight`."""

    def __init__(self, geometry, m, paired):
        self.gradient = winograd_weight.WeightGradient(m, geometry.w_shape[2], geometry.batch, geometry.source,
                                                       geometry.target, geometry.padding[::2], geometry.dtype, paired)

    def run(self, x, dy, bias):
        return self.gradient(x, dy, bias)


class DirectBackwardWeight:
    """See `reduce`; where the channels are few, all numbers under the kernel are the rows of a single tap."""

    def __init__(self, geometry):
        (k, in_channels, r, s), groups, dilation = geometry.w_shape, geometry.groups, geometry.dilation
        source, taps, offsets, self.pad = geometry.source, geometry.taps, None, None
        # Where in (K, C / groups, R, S) the tap and row of a group's first filter are.
        places = np.arange(in_channels * r * s).reshape(in_channels, r * s).T
        if groups == 1 and in_channels <= FEW_CHANNELS and r * s > 1:
            self.pad = _Pad(geometry)
            source, taps = self.pad.target, ((0, 0),)
            offsets = tuple((i * dilation[0] * source[1] + j * dilation[1]) * in_channels + channel
                            for i in range(r) for j in range(s) for channel in range(in_channels))
        apart = places.size
        places = (np.arange(0, k, k // groups)[:, None] * apart + places.reshape(-1)).reshape(-1)
        self.gradient = reduce.WeightGradient(geometry.batch, source, geometry.target, geometry.stride, taps, groups,
                                              offsets, places, apart, geometry.dtype)
        self.w_shape = geometry.w_shape

    def run(self, x, dy, bias):
        dw, db = self.gradient(x if self.pad is None else self.pad(x), dy, bias)
        return dw.reshape(self.w_shape), db


class DepthwiseBackwardWeight:
    """See `depthwise`."""

    def __init__(self, geometry):
        self.gradient = depthwise.BackwardWeight(geometry.batch, geometry.source, geometry.target,
                                                 geometry.w_shape[2:], geometry.stride, geometry.dilation,
                                                 geometry.padding[::2], geometry.dtype)
        self.w_shape = geometry.w_shape

    def run(self, x, dy, bias):
        dw, db = self.gradient(x, dy, bias)
        return dw.reshape(self.w_shape), db


class _Pad:
    """The padding written out."""

    def __init__(self, geometry):
        (h, w, c), (top, bottom, left, right) = geometry.source, geometry.padding
        self.target = h + top + bottom, w + left + right, c
        self.wanted = any(geometry.padding)
        self.size, self.dtype = geometry.batch * self.target[0] * self.target[1] * c, geometry.dtype
        self.launch = Launch(_pad, geometry.batch, self.size)
        self.shape = np.array([h, w, c, top, left, *self.target[:2]])

    def __call__(self, x):
        if not self.wanted:
            return x
        padded = empty(self.size, self.dtype)
        self.launch(x, padded, self.shape)
        return padded


@jit
def _pad(block, slot, x, padded, shape):
    """Copy image `block` into the middle of a larger one of zeros."""
    h, w, c, top, left, height, width = shape[:7]
    row, start = width * c, block * height * width * c
    spans.clear(padded, start, start + top * row)
    for y in range(h):
        source, target = (block * h + y) * w * c, start + (y + top) * row
        spans.clear(padded, target, target + left * c)
        for i in range(0, w * c, simd.lanes(x)):
            simd.store_part(padded, target + left * c + i, simd.load_part(x, source + i, w * c - i), w * c - i)
        spans.clear(padded, target + (left + w) * c, target + row)
    spans.clear(padded, start + (top + h) * row, start + height * row)
