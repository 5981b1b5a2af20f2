"""Convolution: the checks, and the choice of the way that each pass is computed in."""
import functools
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.kernels import checks, copies, windows
from fastnet.kernels.cpu import epilogue
from fastnet.kernels.cpu.conv import passes
from fastnet.kernels.cpu.conv.choice import choose
from fastnet.kernels.cpu.conv.depthwise import group_size
from fastnet.kernels.cpu.conv.geometry import Geometry
from fastnet.kernels.cpu.conv.operands import Short
from fastnet.kernels.cpu.pool_max import maxpool2d_forward
from fastnet.kernels.cpu.runtime import empty_images, flat, in_turn, kept
from fastnet.kernels.cpu.short import doubled, halved
from fastnet.kernels.precision import precision
from fastnet.kernels.shapes import Kind

# kernel_size, stride and padding of the pooling that may be part of a convolution.
_HALF = (2, 2), (2, 2), (0, 0, 0, 0)


class _Ways(NamedTuple):
    """The classes of `passes` that can compute a pass."""

    depthwise: type
    winograd: type
    direct: type
    amx: type


_WAYS = {
    "forward": _Ways(passes.DepthwiseForward, passes.WinogradForward, passes.DirectForward, passes.amx_forward),
    "backward_input": _Ways(passes.DepthwiseBackwardInput, passes.WinogradBackwardInput,
                            passes.DirectBackwardInput, passes.AmxBackwardInput),
    "backward_weight": _Ways(passes.DepthwiseBackwardWeight, passes.WinogradBackwardWeight,
                             passes.DirectBackwardWeight, passes.AmxBackwardWeight),
}


def conv2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, add=None,
                   activation=None):
    """y[n, k, p, q] = b[k] + sum over c, r, s of w[k, c, r, s] x[n, c, p stride + r dilation - top, q stride + s
    dilation - left]."""
    return conv2d_inference(x, conv2d_pack(w, b), stride, padding, dilation, groups, add, activation)


def conv2d_pack(w, b=None):
    """w and b for `conv2d_inference`, which adds the forms it needs to the result: they must not change meanwhile."""
    w = checks.floating(w, "w")
    return PackedWeights(w, checks.operand(b, w.shape[:1], "b", like=w))


def conv2d_pack_folded(w, gamma, beta, mean, var, eps, b=None):
    """`conv2d_pack` of a convolution and the batch norm behind it, with its statistics given, as one convolution.

    With scale = gamma / sqrt(var + eps), per output channel: w' = w scale, b' = (b - mean) scale + beta.
    """
    w = checks.floating(w, "w")
    scale, b = fold(w, w.shape[0], gamma, beta, mean, var, eps, b)
    return PackedWeights(w, b, scale[:, None, None, None])


def fold(w, channels, gamma, beta, mean, var, eps, b):
    """(scale, b') for so many output channels: what the weights are multiplied by, and the bias."""
    eps = arguments.number(eps, "eps", above=0)
    vectors = {"gamma": gamma, "beta": beta, "mean": mean, "var": var, "b": b}
    gamma, beta, mean, var, b = (checks.operand(vector, (channels,), name, like=w) for name, vector in vectors.items())
    scale = (1 if gamma is None else gamma) / np.sqrt(var + eps)
    shift = -mean if b is None else b - mean
    return scale, shift * scale + (0 if beta is None else beta)


def conv2d_inference(x, packed, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, add=None,
                     activation=None):
    """conv2d_forward with weights from `conv2d_pack`."""
    checks.conv2d_packed(packed, PackedWeights)
    x = checks.floating(x, "x")
    geometry, way = find("forward", x.shape, packed.w.shape, x.dtype, (stride, padding, dilation, groups))
    add, _ = epilogue.checked(Kind(geometry.y_shape, x.dtype), add, activation)
    y = empty_images(*geometry.y_shape, x.dtype)
    way.run(flat(x), *packed.form(way, x.dtype), flat(y), epilogue.make(flat(y), add, activation))
    return y


def conv2d_short(x, packed, short, where, add=None, activation=None):
    """conv2d_inference with ``where`` = (stride, padding, dilation, groups), where those of "x" and "y" that `short`
    names are short images, see `cpu.short`; with y what is added to it is."""
    checks.conv2d_packed(packed, PackedWeights)
    x, kinds = checks.floating(x, "x"), Short(*(name in short for name in Short._fields))
    geometry, way = find("forward", doubled(x.shape) if kinds.x else x.shape, packed.w.shape, x.dtype, where)
    if not set(short) <= set(shortened_by(way, geometry)):
        raise ValueError(f"no way of computing this convolution reads and writes such short images: {tuple(short)}")
    y_shape = halved(geometry.y_shape) if kinds.y else geometry.y_shape
    add, _ = epilogue.checked(Kind(y_shape, x.dtype), add, activation)
    y = empty_images(*y_shape, x.dtype)
    way.run(flat(x), *packed.form(way, x.dtype), flat(y), epilogue.make(flat(y), add, activation), kinds)
    return y


def shortened_by(way, geometry):
    """Which of "x" and "y" may be short where a convolution is computed in this way: no word may belong to two
    groups."""
    channels = {"x": geometry.w_shape[1], "y": geometry.w_shape[0] // geometry.groups}
    return [name for name in getattr(way, "shortens", ()) if channels[name] % 2 == 0]


def conv2d_maxpool_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False):
    """(y, index) of conv2d_forward and then maxpool2d_forward with windows of 2 x 2, two apart."""
    return _pooled(x, conv2d_pack(w, b), (stride, padding, dilation, groups), relu)


def conv2d_maxpool_inference(x, packed, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False):
    """y of conv2d_maxpool_forward with weights from `conv2d_pack`."""
    return _pooled(x, packed, (stride, padding, dilation, groups), relu)[0]


def _pooled(x, packed, where, relu):
    checks.conv2d_packed(packed, PackedWeights)
    x = checks.floating(x, "x")
    geometry, way = find("forward", x.shape, packed.w.shape, x.dtype, where)
    shape = windows.pool2d_shape(geometry.y_shape, *_HALF)
    if not way.pools:
        return maxpool2d_forward(conv2d_inference(x, packed, *where), *_HALF, relu=relu)
    y, index = empty_images(*shape, x.dtype), empty_images(*shape, np.uint8)
    form, nothing = packed.form(way, x.dtype), epilogue.make(flat(y))
    way.run_pooled(flat(x), *form, flat(y), flat(index), relu, nothing)
    return y, index


class PackedWeights:
    """Weights and bias, and the forms of them that ways of computing a convolution have asked for. In these the weights
    are multiplied by `scale`, an array of one number for each output channel, if there is one: what folding makes of
    them is needed only while a form is made, and is as large as they are."""

    def __init__(self, w, b, scale=None):
        self.w, self.b, self._scale, self._forms = w, b, scale, {}

    def form(self, way, dtype):
        """(weights, bias) as a way wants them."""
        form = self._forms.get(way.form)
        if form is None:
            w = self.w if self._scale is None else self.w * self._scale
            b = None if self.b is None else copies.converted(self.b, dtype)
            form = pack(way, copies.converted(w, dtype), b)
            in_turn(functools.partial(self._forms.__setitem__, way.form, form))
        return form


def pack(way, w, b=None):
    """(weights, bias) as a way wants them."""
    return way.pack(copies.in_order(w), b)


def conv2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups, add=None, mask=None, masking=None):
    """dx: every dy[n, k, p, q] sends dy w[k, :, r, s] back to the pixel that it was computed from."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    geometry, way = find("backward_input", x_shape, w.shape, dy.dtype, (stride, padding, dilation, groups))
    checks.has_shape(dy, geometry.y_shape, "dy")
    kind = Kind(geometry.x_shape, dy.dtype)
    add, mask = epilogue.checked(kind, add, mask=mask, masking=masking)
    dx = empty_images(*geometry.x_shape, dy.dtype)
    way.run(flat(dy), *pack(way, w), flat(dx), epilogue.make(flat(dx), add, None, mask, masking))
    return dx


def conv2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True):
    """dw[k, c, r, s] = sum over n, p, q of dy[n, k, p, q] times the pixel that w[k, c, r, s] met there; db = sum of dy
    (None without bias)."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    geometry, way = find("backward_weight", x.shape, w_shape, dy.dtype, (stride, padding, dilation, groups))
    checks.has_shape(dy, geometry.y_shape, "dy")
    return way.run(flat(x), flat(dy), bias)


def find(direction, x_shape, w_shape, dtype, where, y_shape=None):
    """(Geometry, the way that a pass is computed in) for ``where`` = (stride, padding, dilation, groups). `y_shape`, if
    it is given, may be another one than that of all that fits into x, see `transposed`."""
    try:
        return _way(direction, x_shape, w_shape, y_shape, dtype, where, precision.get())
    except TypeError:  # a list for a pair, say, which no cache can look up
        where = checks.conv2d_where(*where)
        y_shape = tuple(checks.conv2d_shape(x_shape, w_shape, *where) if y_shape is None else y_shape)
        return _way(direction, tuple(x_shape), tuple(w_shape), y_shape, dtype, where, precision.get())


@kept
def _way(direction, x_shape, w_shape, y_shape, dtype, where, precise):
    if y_shape is None:
        y_shape = checks.conv2d_shape(x_shape, w_shape, *where)
    geometry = Geometry.of(x_shape, w_shape, y_shape, dtype, where)
    ways = _WAYS[direction]
    if group_size(geometry):
        return geometry, ways.depthwise(geometry)
    choice = choose(direction, geometry, precise)
    if choice.amx:
        return geometry, ways.amx(geometry)
    if choice.m is None:
        return geometry, ways.direct(geometry, paired=True) if choice.paired else ways.direct(geometry)
    return geometry, ways.winograd(geometry, choice.m, choice.paired)


def conv2d_algorithm(direction, dtype, x_shape, w_shape, stride, padding, dilation, groups):
    """(name, reason): what computes the "forward", "backward_input" or "backward_weight" direction, and why."""
    checks.conv2d_direction(direction)
    where = stride, padding, dilation, groups
    geometry = Geometry.of(x_shape, w_shape, checks.conv2d_shape(x_shape, w_shape, *where), dtype, where)
    size = group_size(geometry)
    if size:
        return "depthwise", f"groups of {size} channels share a vector" if size > 1 else \
            "each channel has a filter of its own"
    m, paired, amx, reason = choose(direction, geometry, precision.get())
    name = f"Winograd F({m}x{m}, {geometry.kernel.down}x{geometry.kernel.across})" if m else "direct"
    return name + " of bfloat16" * paired + " (AMX)" * amx, reason
