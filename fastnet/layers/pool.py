"""Pooling: the largest or the mean value of each window, or of the whole image."""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords, short
from fastnet.layers.formula import formula, named_errors


class _Pool2d(Layer):
    """What both poolings share: windows of kernel_size, stride apart, on x padded by less than the kernel."""

    options = ("kernel_size", "stride", "padding")

    @named_errors
    def __init__(self, kernel_size, stride=None, padding=0):
        self.set_options(kernel_size=kernel_size, stride=kernel_size if stride is None else stride, padding=padding)

    def check(self, kernel_size, stride, padding):
        kernel_size, stride = arguments.pair(kernel_size, "kernel_size"), arguments.pair(stride, "stride")
        padding = checks.padding_given(padding)
        pads = checks.resolve_padding(padding, kernel_size, stride, (1, 1), kernel_size)
        checks.pool2d_shape((1, 1, *kernel_size), kernel_size, stride, pads)    # whether the padding is small enough
        return {"kernel_size": kernel_size, "stride": stride, "padding": padding}

    def windows(self, x_shape):
        """kernel_size, stride and padding as (top, bottom, left, right) for an x of this shape."""
        hw = checks.images(x_shape)[2:]
        return self.kernel_size, self.stride, checks.resolve_padding(self.padding, self.kernel_size, self.stride,
                                                                     (1, 1), hw)

    def arguments(self):
        return f"kernel_size={short(self.kernel_size)}" + keywords(stride=(self.stride, self.kernel_size),
                                                                   padding=(self.padding, 0))


class _Largest(Layer):
    """Forward and backward of max-pooling; `windows` tells (kernel_size, stride, padding) for an x of a shape."""

    traceable = True

    @formula
    def forward(self, x, training=False):
        y, index = self.ops.maxpool2d_forward(x, *self.windows(x.shape))
        if training:
            self.saved = (index, x.shape)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        index, x_shape = self.take_saved()
        return self.ops.maxpool2d_backward(dy, index, x_shape, *self.windows(x_shape)) if need_dx else None


class MaxPool2d(_Largest, _Pool2d):
    """y[n, c, p, q] is the largest value in the window of x[n, c] at (p stride, q stride); padding never wins.

    x (N, C, H, W), y (N, C, P, Q) with P = (H + top + bottom - R) // stride + 1, and Q alike. stride is kernel_size
    where it is not given; padding is written as for Conv2d and is smaller than the kernel. Of equal values the first
    in the window gets the gradient. ValueError for arguments and inputs that do not fit.
    """


class AvgPool2d(_Pool2d):
    """y[n, c, p, q] is the mean of the window of x[n, c] at (p stride, q stride).

    Shapes, stride and padding as for MaxPool2d. Zeros of the padding count as pixels of the window, unless
    count_include_pad is false.
    """

    traceable, options = True, (*_Pool2d.options, "count_include_pad")

    @named_errors
    def __init__(self, kernel_size, stride=None, padding=0, count_include_pad=True):
        self.set_options(kernel_size=kernel_size, stride=kernel_size if stride is None else stride, padding=padding,
                         count_include_pad=count_include_pad)

    def check(self, kernel_size, stride, padding, count_include_pad):
        return {**super().check(kernel_size, stride, padding),
                "count_include_pad": arguments.flag(count_include_pad, "count_include_pad")}

    @formula
    def forward(self, x, training=False):
        y = self.ops.avgpool2d_forward(x, *self.windows(x.shape), self.count_include_pad)
        if training:
            self.saved = (x.shape,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        if not need_dx:
            return None
        return self.ops.avgpool2d_backward(dy, x_shape, *self.windows(x_shape), self.count_include_pad)

    def arguments(self):
        return super().arguments() + keywords(count_include_pad=(self.count_include_pad, True))


class AdaptiveAvgPool2d(Layer):
    """y[n, c, p, q] is the mean of the rows floor(p H / P) to ceil((p + 1) H / P) of x[n, c], and of its columns
    likewise, whatever the image's size.

    output_size is an integer or a pair (P, Q), where None stands for as many as x has. x (N, C, H, W), y (N, C, P, Q).
    ValueError for what does not fit.
    """

    traceable, options = True, ("output_size",)

    @named_errors
    def __init__(self, output_size=1):
        self.set_options(output_size=output_size)

    def check(self, output_size):
        what = "an integer of at least 1, or two of them or None"
        pair = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * 2
        if len(pair) != 2:
            raise ValueError(f"output_size must be {what}, got {arguments.shown(output_size)}")
        return {"output_size": tuple([None if one is None else arguments.size(one, "output_size", 1, what, output_size)
                                      for one in pair])}

    def where(self, x_shape):
        """The output's size for an x of this shape; None where one pixel is left of it, which has operations of its
        own."""
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
    """y[n, c, 0, 0] is the largest value of x[n, c]: x (N, C, H, W), y (N, C, 1, 1).

    The only output_size is 1, whatever the image's size up to 65534 pixels; ValueError for any other. Of equal values
    the first one gets the gradient.
    """

    options = ("output_size",)

    @named_errors
    def __init__(self, output_size=1):
        self.set_options(output_size=output_size)

    def check(self, output_size):
        if arguments.pair(output_size, "output_size") != (1, 1):
            raise ValueError(f"the only output_size is 1, got {output_size}; use MaxPool2d for other windows")
        return {"output_size": (1, 1)}

    def arguments(self):
        return "1"

    def windows(self, x_shape):
        hw = tuple(checks.images(x_shape)[2:])
        return hw, hw, (0, 0, 0, 0)
