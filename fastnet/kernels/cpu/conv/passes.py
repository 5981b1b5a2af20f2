"""The passes of a convolution, once for each way of computing them, with everything worked out but the numbers.

A *pass* is the forward one, or the gradient for the input or for the weights; a *way* is direct, Winograd's, depthwise
or that of whole matrices of bfloat16 numbers. Here each pass of each way is put together from the kernels' files, for a
`Geometry`. Images are flat and channels-last here, weights (K, C / groups, R, S) and contiguous. Winograd's ways are
for stride 1 and without dilation; depthwise ones for groups of few channels, as one filter a channel.
"""
import numpy as np

from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv import amx, depthwise
from fastnet.kernels.cpu.conv.amx import AmxConvolution
from fastnet.kernels.cpu.conv.amx_layout import CHANNELS, panel_for
from fastnet.kernels.cpu.conv.amx_stem import AmxStem, numbers_of
from fastnet.kernels.cpu.conv.amx_weight import AmxWeightGradient
from fastnet.kernels.cpu.conv.bfloat16 import PairFilters, PairPixels
from fastnet.kernels.cpu.conv.depthwise import DepthwiseConvolution, PackFilters
from fastnet.kernels.cpu.conv.depthwise_weight import DepthwiseWeightGradient
from fastnet.kernels.cpu.conv.direct import DirectConvolution
from fastnet.kernels.cpu.conv.direct_tables import Grid, shape_for
from fastnet.kernels.cpu.conv.direct_weight import DirectWeightGradient
from fastnet.kernels.cpu.conv.geometry import Pair
from fastnet.kernels.cpu.conv.matrix_weight import MatrixGradient
from fastnet.kernels.cpu.conv.operands import NUMBERS, Operands
from fastnet.kernels.cpu.conv.packing import PackWeights, pack_bias
from fastnet.kernels.cpu.conv.padding import WritePadding
from fastnet.kernels.cpu.conv.stem import StemConvolution
from fastnet.kernels.cpu.conv.winograd import WinogradConvolution
from fastnet.kernels.cpu.conv.winograd_filters import TransformFilters
from fastnet.kernels.cpu.conv.winograd_weight import WinogradWeightGradient

# Up to this many input channels a tap is too short a run of products; then whole rows of the kernel are one run.
FEW_CHANNELS = 12
_ONE = Pair(1, 1)


# y from x. `pack` brings weights and bias into the `form` that `run` wants; where `pools` says so, `run_pooled` does a
# max-pooling of 2 x 2 pixels as well.

class WinogradForward:
    """Patches of m x m outputs; see `winograd`. `paired` is for bfloat16, here and below."""

    pools, backward = True, False

    def __init__(self, geometry, m, paired):
        convolution = geometry.reversed() if self.backward else geometry
        self.channels, self.groups = convolution.target.channels, geometry.groups
        self.form = geometry.dtype, self.groups, m, paired, self.backward
        self.transform = TransformFilters(geometry.w_shape, geometry.dtype, m, self.groups, self.backward, paired)
        self.convolve = WinogradConvolution(convolution, m, paired)

    def pack(self, w, b):
        return self.transform(w), pack_bias(b, self.channels, w.dtype, self.groups)

    def run(self, x, w, b, y, epilogue):
        self.convolve(x, w, b, y, epilogue)

    def run_pooled(self, x, w, b, y, index, relu, epilogue):
        self.convolve.pooled(Operands(x, w, b, y), index, relu, epilogue)


class DirectForward:
    """Register tiles that read their rows through a table; see `direct`.

    Where the channels are few, the rows of the kernel are the taps: the pixels under one lie side by side, in x itself
    or, if there is padding, in copies of some rows; see `stem`. `paired` is for more channels, an even number a group.
    """

    pools = False

    def __init__(self, geometry, paired=False):
        kernel, dtype = geometry.kernel, geometry.dtype
        self.groups, self.prepare = geometry.groups, None
        source, taps, length = geometry.source, geometry.taps, geometry.w_shape[1]
        few = self.groups == 1 and length <= FEW_CHANNELS and kernel.across > 1 and geometry.dilation.across == 1
        copies = few and any(geometry.padding)
        self.choose = simd.close_tiles_for if copies else shape_for
        self.form = dtype, self.groups, "direct", paired, copies
        self.pack_weights = PackWeights(geometry.w_shape, dtype, self.groups, range(kernel.down * kernel.across),
                                        choose=self.choose)
        if few:
            if copies:
                self.convolve = StemConvolution(geometry)
                return
            taps, length = geometry.taps[::kernel.across], kernel.across * length
        if paired:
            self.pack_weights = PairFilters(self.pack_weights, length)
            self.prepare = PairPixels(geometry.batch, source, self.groups)
            source, length = self.prepare.size, length // 2
        size = Pair(geometry.target.height, geometry.target.width)
        grid = Grid(size, geometry.stride, taps, place=_ONE, offset=Pair(0, 0))
        self.convolve = DirectConvolution(geometry.batch, source, geometry.target, [grid], length, self.groups, dtype,
                                          paired)

    def pack(self, w, b):
        return self.pack_weights(w), pack_bias(b, w.shape[0], w.dtype, self.groups, self.choose)

    def run(self, x, w, b, y, epilogue):
        self.convolve(x if self.prepare is None else self.prepare(x), w, b, y, epilogue)


class AmxForward:
    """Whole matrices of bfloat16 numbers at once; see `amx`. `shortens` says which images may be short, `blocks` how
    many there should be."""

    pools, shortens, blocks = False, ("x", "y"), amx.BLOCKS

    def __init__(self, geometry):
        kernel, target = geometry.kernel, geometry.target
        grid = Grid(Pair(target.height, target.width), geometry.stride, geometry.taps, place=_ONE, offset=Pair(0, 0))
        self.form = geometry.dtype, geometry.groups, "amx"
        self._prepare(geometry, geometry.source, target, geometry.stride, [grid], range(kernel.down * kernel.across))

    def _prepare(self, geometry, source, target, stride, grids, taps, backward=False):
        groups, self.channels, dtype = geometry.groups, target.channels, geometry.dtype
        pack_weights = PackWeights(geometry.w_shape, dtype, groups, taps, backward, panel_for)
        self.pack_weights = PairFilters(pack_weights, source.channels // groups, whole=CHANNELS)
        self.convolve = AmxConvolution(geometry.batch, source, target, stride, grids, groups, self.blocks)
        self.groups = groups

    def pack(self, w, b):
        return self.pack_weights(w), pack_bias(b, self.channels, w.dtype, self.groups, panel_for)

    def run(self, x, w, b, y, epilogue, short=NUMBERS):
        self.convolve(x, w, b, y, epilogue, short)


class AmxStemForward(AmxForward):
    """The same for few channels; see `amx_stem`."""

    shortens = ("y",)

    def __init__(self, geometry):
        channels, kernel = geometry.source.channels, geometry.kernel
        self.form, self.channels, self.groups = (geometry.dtype, 1, "amx stem"), geometry.target.channels, 1
        taps = range(kernel.down * kernel.across)
        pack_weights = PackWeights(geometry.w_shape, geometry.dtype, 1, taps, choose=panel_for)
        self.pack_weights, self.convolve = PairFilters(pack_weights, channels, numbers_of(channels)), AmxStem(geometry)


def amx_forward(geometry):
    """The one of these two that a convolution wants."""
    return (AmxStemForward if geometry.w_shape[1] <= FEW_CHANNELS else AmxForward)(geometry)


class DepthwiseForward:
    """See `depthwise`; `blocks` says how many there should be."""

    pools, backward, blocks = False, False, depthwise.BLOCKS

    def __init__(self, geometry):
        self.form, self.convolve = (geometry.dtype, "depthwise", self.backward), \
            DepthwiseConvolution(geometry, self.backward, self.blocks)
        self.pack_filters = PackFilters(geometry.w_shape, geometry.dtype, self.backward)

    def pack(self, w, b):
        return self.pack_filters(w), pack_bias(b, w.shape[0], w.dtype)

    def run(self, x, w, b, y, epilogue):
        self.convolve(x, w, b, y, epilogue)


# dx from dy. A bias, of as many numbers as dx has channels, is what a transposed convolution has, see `transposed`.

class WinogradBackwardInput(WinogradForward):
    """The forward pass from K channels to C, with the kernels rotated by half a circle."""

    pools, backward = False, True


class DirectBackwardInput:
    """With a stride the pixels fall into stride x stride classes, each reached by taps of its own: each class is one
    convolution of dy without a stride, so the zeros that the stride would put between the pixels of dy are never
    multiplied."""

    def __init__(self, geometry, paired=False):
        source, groups, dtype = geometry.source, geometry.groups, geometry.dtype
        target, length = geometry.target, geometry.target.channels // groups
        grids, taps = _grids_of(geometry)
        self.form = dtype, groups, "direct backward", paired, *taps
        self.channels, self.groups = source.channels, groups
        self.pack_weights = PackWeights(geometry.w_shape, dtype, groups, taps, backward=True, choose=shape_for)
        self.prepare = None
        if paired:
            self.pack_weights = PairFilters(self.pack_weights, length)
            self.prepare = PairPixels(geometry.batch, target, groups)
            target, length = self.prepare.size, length // 2
        self.convolve = DirectConvolution(geometry.batch, target, source, grids, length, groups, dtype, paired)

    def pack(self, w, b):
        return self.pack_weights(w), pack_bias(b, self.channels, w.dtype, self.groups, shape_for)

    def run(self, dy, w, b, dx, epilogue):
        self.convolve(dy if self.prepare is None else self.prepare(dy), w, b, dx, epilogue)


def _grids_of(geometry):
    """(a Grid for each class of pixels of x, the taps that reach them, one grid's after another's)."""
    source, stride, grids, taps = geometry.source, geometry.stride, [], []
    for offset in (Pair(*offset) for offset in np.ndindex(*stride)):
        size = Pair(-(-(source.height - offset.down) // stride.down),
                    -(-(source.width - offset.across) // stride.across))
        if 0 not in size:
            reaching, readers = geometry.taps_that_reach(offset)
            grids.append(Grid(size, _ONE, readers, stride, offset))
            taps += reaching
    return grids, taps


class AmxBackwardInput(AmxForward):
    """The same for the classes of pixels that a stride makes; see `amx`."""

    def __init__(self, geometry):
        grids, taps = _grids_of(geometry)
        self.form = geometry.dtype, geometry.groups, "amx backward", *taps
        self._prepare(geometry, geometry.target, geometry.source, _ONE, grids, taps, backward=True)


class DepthwiseBackwardInput(DepthwiseForward):
    """The same for the classes of pixels that a stride makes; see `depthwise`."""

    pools, backward = False, True


# dw and db from x and dy

class WinogradBackwardWeight:
    """See `winograd_weight`."""

    def __init__(self, geometry, m, paired):
        self.gradient = WinogradWeightGradient(geometry, m, paired)

    def run(self, x, dy, bias):
        return self.gradient(x, dy, bias)


class DirectBackwardWeight:
    """See `direct_weight`; where the channels are few, all numbers under the kernel are the rows of a single tap. A 1x1
    kernel that meets every pixel once makes a product of two matrices."""

    def __init__(self, geometry):
        (k, in_channels, r, s), groups, dilation = geometry.w_shape, geometry.groups, geometry.dilation
        source, taps, offsets, self.pad = geometry.source, geometry.taps, None, None
        self.w_shape = geometry.w_shape
        if _is_product(geometry):
            pixels = geometry.batch * source.height * source.width
            self.gradient = MatrixGradient(pixels, in_channels, k, geometry.dtype)
            return
        # Where in (K, C / groups, R, S) the tap and row of a group's first filter are.
        places = np.arange(in_channels * r * s).reshape(in_channels, r * s).T
        if groups == 1 and in_channels <= FEW_CHANNELS and r * s > 1:
            self.pad = WritePadding(geometry)
            source, taps = self.pad.size, (Pair(0, 0),)
            offsets = tuple((row * dilation.down * source.width + column * dilation.across) * in_channels + channel
                            for row in range(r) for column in range(s) for channel in range(in_channels))
        places = (np.arange(0, k, k // groups)[:, None] * places.size + places.reshape(-1)).reshape(-1)
        self.gradient = DirectWeightGradient(geometry, source, taps, offsets, places)

    def run(self, x, dy, bias):
        dw, db = self.gradient(x if self.pad is None else self.pad(x), dy, bias)
        return dw.reshape(self.w_shape), db


def _is_product(geometry):
    """Whether every pixel of x is met once, by the only tap."""
    plain = geometry.kernel == geometry.stride == _ONE and geometry.groups == 1 and not any(geometry.padding)
    return plain and geometry.target[:2] == geometry.source[:2]


class DepthwiseBackwardWeight:
    """See `depthwise_weight`."""

    make = DepthwiseWeightGradient

    def __init__(self, geometry):
        self.gradient, self.w_shape = self.make(geometry), geometry.w_shape

    def run(self, x, dy, bias):
        dw, db = self.gradient(x, dy, bias)
        return dw.reshape(self.w_shape), db


class AmxBackwardWeight(DepthwiseBackwardWeight):
    """The same by whole matrices of bfloat16 numbers; see `amx_weight`."""

    make = AmxWeightGradient
