"""Pooling: the largest or the mean value of each window, or of each part of the image, and the way back from there."""
import numpy as np

from fastnet import arguments
from fastnet.kernels import checks, windows
from fastnet.layers.base import Layer, keywords, short
from fastnet.layers.compose import Merge
from fastnet.layers.formula import formula, named_errors


class _Pool2d(Layer):
    """What both poolings share: windows of kernel_size, stride apart, on x padded by less than they cover."""

    options = ("kernel_size", "stride", "padding", "ceil_mode")
    dilation = (1, 1)

    def check(self, kernel_size, stride, padding, ceil_mode, dilation=(1, 1)):
        kernel_size = arguments.pair(kernel_size, "kernel_size")
        stride = kernel_size if stride is None else arguments.pair(stride, "stride")
        padding, dilation = checks.padding_given(padding), arguments.pair(dilation, "dilation")
        covered = windows.covered(kernel_size, dilation)
        pads = checks.resolve_padding(padding, kernel_size, stride, dilation, covered)
        windows.pool2d_shape((1, 1, *covered), kernel_size, stride, pads, dilation)     # is the padding small enough?
        return {"kernel_size": kernel_size, "stride": stride, "padding": padding,
                "ceil_mode": arguments.flag(ceil_mode, "ceil_mode")}

    def _padded(self, x_shape):
        """The padding as (top, bottom, left, right) for an x of this shape."""
        hw = checks.images(x_shape)[2:]
        return checks.resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation, hw)

    def arguments(self):
        return f"kernel_size={short(self.kernel_size)}" + keywords(stride=(self.stride, self.kernel_size),
                                                                   padding=(self.padding, 0))


class _Largest(Layer):
    """Forward and backward of max-pooling; `where` tells the operation which windows, for an x of a shape."""

    traceable, operation = True, "maxpool2d"

    @property
    def gives_several(self):
        return self.return_indices

    @formula
    def forward(self, x, training=False):
        where = self.where(x.shape)
        y, index = self._compute("forward", x, *where)
        if training:
            self.saved = (index, x.shape, y.dtype)
        return (y, self._compute("indices", index, x.shape, *where)) if self.return_indices else y

    @formula
    def backward(self, dy, need_dx=True):
        index, x_shape, dtype = self.take_saved()
        if not need_dx:
            return None
        if self.return_indices:
            dy = dy[0]
        if dy is None:
            return self.ops.convert(np.zeros(x_shape, dtype), dtype)
        return self._compute("backward", dy, index, x_shape, *self.where(x_shape))

    def _compute(self, which, *args):
        return getattr(self.ops, f"{self.operation}_{which}")(*args)


class MaxPool2d(_Largest, _Pool2d):
    """y[n, c, p, q] is the largest value in the window of x[n, c] at (p stride, q stride); padding never wins.

    x (N, C, H, W), y (N, C, P, Q) with P = (H + top + bottom - dilation (R - 1) - 1) // stride + 1, rounded up with
    ceil_mode, in which a window may reach beyond the padding but starts within the image or the padding before it; Q
    alike. stride is kernel_size where it is not given; padding is written as for Conv2d and is smaller than what the
    kernel covers. Of equal values the first in the window gets the gradient. With return_indices forward gives (y,
    indices): int64, the place h W + w in x[n, c] of each number of y, for `MaxUnpool2d`; no gradient flows through
    them. ValueError for arguments and inputs that do not fit.

    >>> MaxPool2d(2)(np.float32([[[[1, 2, 5, 6], [3, 4, 7, 8]]]]))
    array([[[[4., 8.]]]], dtype=float32)
    """

    options = ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode")

    @named_errors
    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        self.set_options(kernel_size=kernel_size, stride=stride, padding=padding,
                         dilation=dilation, return_indices=return_indices, ceil_mode=ceil_mode)

    def check(self, dilation, return_indices, **options):
        return {**super().check(dilation=dilation, **options), "dilation": arguments.pair(dilation, "dilation"),
                "return_indices": arguments.flag(return_indices, "return_indices")}

    def where(self, x_shape):
        return self.kernel_size, self.stride, self._padded(x_shape), self.dilation, self.ceil_mode

    def arguments(self):
        return super().arguments() + keywords(dilation=(self.dilation, 1), return_indices=(self.return_indices, False),
                                              ceil_mode=(self.ceil_mode, False))


class AvgPool2d(_Pool2d):
    """y[n, c, p, q] is the mean of the window of x[n, c] at (p stride, q stride).

    Shapes, stride, padding and ceil_mode as for MaxPool2d. Zeros of the padding count as pixels of the window, unless
    count_include_pad is false; what is beyond the padding never counts. With divisor_override the sum is divided by
    that number instead.

    >>> AvgPool2d(2)(np.float32([[[[1, 2, 5, 6], [3, 4, 7, 8]]]]))
    array([[[[2.5, 6.5]]]], dtype=float32)
    """

    traceable, options = True, (*_Pool2d.options, "count_include_pad", "divisor_override")

    @named_errors
    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                 divisor_override=None):
        self.set_options(kernel_size=kernel_size, stride=stride, padding=padding,
                         ceil_mode=ceil_mode, count_include_pad=count_include_pad, divisor_override=divisor_override)

    def check(self, count_include_pad, divisor_override, **options):
        if divisor_override is not None:
            divisor_override = arguments.size(divisor_override, "divisor_override")
        return {**super().check(**options), "divisor_override": divisor_override,
                "count_include_pad": arguments.flag(count_include_pad, "count_include_pad")}

    def where(self, x_shape):
        return (self.kernel_size, self.stride, self._padded(x_shape), self.count_include_pad, self.ceil_mode,
                self.divisor_override)

    @formula
    def forward(self, x, training=False):
        y = self.ops.avgpool2d_forward(x, *self.where(x.shape))
        if training:
            self.saved = (x.shape,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        return self.ops.avgpool2d_backward(dy, x_shape, *self.where(x_shape)) if need_dx else None

    def arguments(self):
        return super().arguments() + keywords(ceil_mode=(self.ceil_mode, False),
                                              count_include_pad=(self.count_include_pad, True),
                                              divisor_override=(self.divisor_override, None))


class AdaptiveAvgPool2d(Layer):
    """y[n, c, p, q] is the mean of the rows floor(p H / P) to ceil((p + 1) H / P) of x[n, c], and of its columns
    likewise, whatever the image's size.

    output_size is an integer or a pair (P, Q), where None stands for as many as x has. x (N, C, H, W), y (N, C, P, Q).
    ValueError for what does not fit.

    >>> AdaptiveAvgPool2d((1, 2))(np.float32([[[[1, 3, 7]]]]))  # both parts have the middle pixel
    array([[[[2., 5.]]]], dtype=float32)
    """

    traceable, options = True, ("output_size",)

    @named_errors
    def __init__(self, output_size=1):
        self.set_options(output_size=output_size)

    def check(self, output_size):
        return {"output_size": arguments.pair_or_none(output_size, "output_size")}

    def where(self, x_shape):
        """The output's size for an x of this shape; None where one pixel is left of it, which has operations of its
        own."""
        if self.output_size == (1, 1):
            return None
        hw = checks.images(x_shape)[2:]
        size = tuple([length if one is None else one for one, length in zip(self.output_size, hw, strict=True)])
        return None if size == (1, 1) else size

    @formula
    def forward(self, x, training=False):
        size = self.where(x.shape)
        y = self.ops.adaptive_avgpool2d_forward(x, size) if size else self.ops.global_avgpool_forward(x)
        if training:
            self.saved = (x.shape,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        if not need_dx:
            return None
        back = self.ops.adaptive_avgpool2d_backward if self.where(x_shape) else self.ops.global_avgpool_backward
        return back(dy, x_shape)

    def arguments(self):
        return f"{short(self.output_size)}"


class AdaptiveMaxPool2d(_Largest):
    """y[n, c, p, q] is the largest of x[n, c, h, w] with floor(p H / P) <= h < ceil((p + 1) H / P), and w alike.

    x (N, C, H, W), y (N, C, P, Q). output_size is P where both are the same, or (P, Q), where None stands for the
    image's own size. A window holds at most 65534 pixels. Of equal values the first one gets the gradient.
    return_indices as for MaxPool2d. ValueError for arguments and inputs that do not fit.

    >>> AdaptiveMaxPool2d((1, 2))(np.float32([[[[1, 3, 7, 5]]]]))
    array([[[[3., 7.]]]], dtype=float32)
    """

    operation, options = "adaptive_maxpool2d", ("output_size", "return_indices")

    @named_errors
    def __init__(self, output_size=1, return_indices=False):
        self.set_options(output_size=output_size, return_indices=return_indices)

    def check(self, output_size, return_indices):
        return {"output_size": arguments.pair_or_none(output_size, "output_size"),
                "return_indices": arguments.flag(return_indices, "return_indices")}

    def where(self, x_shape):
        own = checks.images(x_shape)[2:]
        return tuple([given or size for given, size in zip(self.output_size, own, strict=True)]),

    def arguments(self):
        shown = self.output_size if None in self.output_size else short(self.output_size)
        return f"{shown}" + keywords(return_indices=(self.return_indices, False))


class MaxUnpool2d(Merge):
    """y[n, c, h, w] is x[n, c, p, q] where h W + w is indices[n, c, p, q], and 0 elsewhere.

    Takes a tuple (x, indices), both (N, C, P, Q), and gives y (N, C, H, W); indices are what a `MaxPool2d` with
    return_indices gave. H = (P - 1) stride - top - bottom + R, where output_size does not tell (H, W): PyTorch gets it
    with each call, here it belongs to the layer. It may lie less than a stride from that. stride is kernel_size where
    it is not given, padding a number, two or four. Of several numbers for one place the last stays; the gradient goes
    to all of them, as in PyTorch, and none to indices.

    ValueError for an index outside of y, before anything is changed; where a net has seen this shape twice and its
    passes are replayed, the number of such an index goes nowhere.

    >>> pool = fastnet.MaxPool2d((1, 2), return_indices=True)
    >>> MaxUnpool2d((1, 2))(pool(np.float32([[[[1, 3, 7, 5]]]])))
    array([[[[0., 3., 7., 0.]]]], dtype=float32)
    """

    traceable, options = True, ("kernel_size", "stride", "padding", "output_size")

    @named_errors
    def __init__(self, kernel_size, stride=None, padding=0, output_size=None):
        self.set_options(kernel_size=kernel_size, stride=stride, padding=padding,
                         output_size=output_size)

    def check(self, kernel_size, stride, padding, output_size):
        padding = checks.padding_given(padding)
        if isinstance(padding, str):
            raise ValueError(f"padding must be numbers, as many as the pooling had resolved, got {padding!r}")
        kernel_size = arguments.pair(kernel_size, "kernel_size")
        stride = kernel_size if stride is None else arguments.pair(stride, "stride")
        return {"kernel_size": kernel_size, "stride": stride, "padding": padding,
                "output_size": None if output_size is None else arguments.pair(output_size, "output_size")}

    def _size(self, x_shape):
        """(H, W) for an x of this shape."""
        pads = checks.resolve_padding(self.padding, self.kernel_size, self.stride, (1, 1), (1, 1))
        p, q = checks.images(x_shape)[2:]
        top, bottom, left, right = pads
        axes = zip((p, q), self.kernel_size, self.stride, (top + bottom, left + right), strict=True)
        usual = tuple([(count - 1) * step - pad + kernel for count, kernel, step, pad in axes])
        given = self.output_size or usual
        if min(given) < 1 or any(abs(a - b) >= step for a, b, step in zip(given, usual, self.stride, strict=True)):
            raise ValueError(f"x of shape {tuple(x_shape)} becomes images of about {usual[0]} x {usual[1]} pixels, "
                             f"less than a stride more or less; got output_size {given}")
        return given

    @formula
    def forward(self, x, training=False):
        self.check_several(x)
        if len(x) != 2:
            raise TypeError(f"expected a tuple (x, indices) as x, got {len(x)} array(s)")
        values, indices = x
        y = self.ops.maxunpool2d_forward(values, indices, self._size(values.shape))
        if training:
            self.saved = (indices,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        indices, = self.take_saved()
        return (self.ops.maxunpool2d_backward(dy, indices), None) if need_dx else None

    def arguments(self):
        return f"kernel_size={short(self.kernel_size)}" + keywords(
            stride=(self.stride, self.kernel_size), padding=(self.padding, 0), output_size=(self.output_size, None))
