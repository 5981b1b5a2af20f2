"""Pooling: the largest or the mean value of each window, or of the whole image."""
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords, named_errors, short


class _Pool2d(Layer):
    """What both poolings share: windows of kernel_size, stride apart, on x padded by less than the kernel."""

    @named_errors
    def __init__(self, kernel_size, stride=None, padding=0):
        self.kernel_size = checks.pair(kernel_size, "kernel_size")
        self.stride = self.kernel_size if stride is None else checks.pair(stride, "stride")
        self.padding = tuple(padding) if isinstance(padding, list) else padding
        self._pads = checks.resolve_padding(self.padding, self.kernel_size, self.stride, (1, 1), self.kernel_size)
        # An image of one window tells whether the padding is small enough.
        checks.pool2d_shape((1, 1, *self.kernel_size), self.kernel_size, self.stride, self._pads)
        self._fixed = self.padding != "same" or self.stride == (1, 1)

    @property
    def halves(self):
        """Whether the windows are 2 x 2 pixels, two apart, without padding."""
        return self.kernel_size == self.stride == (2, 2) and self._fixed and not any(self._pads)

    def pads(self, input_shape):
        """The padding for an x of this shape as (top, bottom, left, right)."""
        if self._fixed:
            return self._pads
        hw = checks.images(input_shape)[2:]
        return checks.resolve_padding(self.padding, self.kernel_size, self.stride, (1, 1), hw)

    @named_errors
    def output_shape(self, input_shape):
        return checks.pool2d_shape(input_shape, self.kernel_size, self.stride, self.pads(input_shape))

    def arguments(self):
        return f"kernel_size={short(self.kernel_size)}" + keywords(stride=(self.stride, self.kernel_size),
                                                                   padding=(self.padding, 0))


class _Largest(Layer):
    """Forward and backward of max-pooling; `windows` tells (kernel_size, stride, padding) for an x of a shape."""

    @named_errors
    def forward(self, x, training=False, relu=False):
        windows = self.windows(x.shape)
        if not training:
            return self.ops.maxpool2d_inference(x, *windows, relu)
        y, index = self.ops.maxpool2d_forward(x, *windows, relu)
        self.saved = (index, x.shape)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        index, x_shape = self.take_saved()
        return self.ops.maxpool2d_backward(dy, index, x_shape, *self.windows(x_shape)) if need_dx else None


class MaxPool2d(_Largest, _Pool2d):
    """y[n, c, p, q] is the largest value in the window of x[n, c] at (p stride, q stride); padding never wins.

    x (N, C, H, W), y (N, C, P, Q) with P = (H + top + bottom - R) // stride + 1, and Q alike. stride is kernel_size
    where it is not given; padding is written as for Conv2d and is smaller than the kernel. Of equal values the first
    in the window gets the gradient. ValueError for arguments and inputs that do not fit.
    """

    kind = "maxpool2d"

    def windows(self, x_shape):
        return self.kernel_size, self.stride, self.pads(x_shape)


class AvgPool2d(_Pool2d):
    """y[n, c, p, q] is the mean of the window of x[n, c] at (p stride, q stride).

    Shapes, stride and padding as for MaxPool2d. Zeros of the padding count as pixels of the window, unless
    count_include_pad is false.
    """

    kind = "avgpool2d"

    @named_errors
    def __init__(self, kernel_size, stride=None, padding=0, count_include_pad=True):
        super().__init__(kernel_size, stride, padding)
        self.count_include_pad = bool(count_include_pad)

    @named_errors
    def forward(self, x, training=False):
        y = self.ops.avgpool2d_forward(x, self.kernel_size, self.stride, self.pads(x.shape), self.count_include_pad)
        if training:
            self.saved = (x.shape,)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        if not need_dx:
            return None
        return self.ops.avgpool2d_backward(dy, x_shape, self.kernel_size, self.stride, self.pads(x_shape),
                                           self.count_include_pad)

    def arguments(self):
        return super().arguments() + keywords(count_include_pad=(self.count_include_pad, True))


class _AdaptivePool2d(Layer):
    """What both poolings of the whole image share."""

    window = None   # the layer for other windows

    @named_errors
    def __init__(self, output_size=1):
        if output_size not in (1, (1, 1), [1, 1]):
            raise ValueError(f"the only output_size is 1, got {output_size!r}; use {self.window} for other windows")
        self.output_size = (1, 1)

    @named_errors
    def output_shape(self, input_shape):
        return (*checks.images(input_shape)[:2], 1, 1)

    def arguments(self):
        return "1"


class AdaptiveAvgPool2d(_AdaptivePool2d):
    """y[n, c, 0, 0] is the mean of x[n, c]: x (N, C, H, W), y (N, C, 1, 1).

    The only output_size is 1, whatever the image's size; ValueError for any other.
    """

    kind = "global_avgpool"
    window = "AvgPool2d"

    @named_errors
    def forward(self, x, training=False):
        y = self.ops.global_avgpool_forward(x)
        if training:
            self.saved = (x.shape,)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        return self.ops.global_avgpool_backward(dy, x_shape) if need_dx else None


class AdaptiveMaxPool2d(_Largest, _AdaptivePool2d):
    """y[n, c, 0, 0] is the largest value of x[n, c]: x (N, C, H, W), y (N, C, 1, 1).

    The only output_size is 1, whatever the image's size up to 65534 pixels; ValueError for any other. Of equal values
    the first one gets the gradient.
    """

    kind = "global_maxpool"
    window = "MaxPool2d"

    @named_errors
    def output_shape(self, input_shape):
        checks.pool_index_dtype(checks.images(input_shape)[2:])
        return super().output_shape(input_shape)

    def windows(self, x_shape):
        self.output_shape(x_shape)
        return x_shape[2:], x_shape[2:], (0, 0, 0, 0)
