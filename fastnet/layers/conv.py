"""Convolutions, and the transposed one."""
from fastnet import arguments
from fastnet.kernels import checks, conv_checks
from fastnet.layers.base import keywords, short, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.shape import reshaped
from fastnet.layers.weights import Weighted

_MODES = "zeros", "reflect", "replicate", "circular"


class _Convolution(Weighted):
    """What convolutions share. They are computed on images: `images` makes such of x, which must have so many channels,
    `result` makes y of them, and `filters` are the weights (K, C / groups, R, S)."""

    traceable = True
    options = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")

    def images(self, x, channels):
        return x

    def result(self, y):
        return y

    def filters(self):
        return self.weight.value

    @formula
    def forward(self, x, training=False):
        x = self.images(x, self.in_channels)
        where, x_shape = self.where(x.shape), x.shape
        if self.padding_mode != "zeros":
            x = self.ops.pad2d_forward(x, self.margin(x_shape), self.padding_mode)
        y = self.ops.conv2d_forward(x, self.filters(), value_of(self.bias), *where)
        if training:
            self.saved = (x, x_shape)
        return self.result(y)

    @formula
    def backward(self, dy, need_dx=True):
        x, x_shape = self.take_saved()
        dy, weight, where = self.images(dy, self.out_channels), self.filters(), self.where(x_shape)
        if self.trains():
            dw, db = self.ops.conv2d_backward_weight(dy, x, weight.shape, *where, bias=self.bias is not None)
            self.learn(dw if dw.shape == self.weight.shape else dw.reshape(self.weight.shape), db)
        if not need_dx:
            return None
        dx = self.ops.conv2d_backward_input(dy, weight, x.shape, *where)
        if self.padding_mode != "zeros":
            dx = self.ops.pad2d_backward(dx, x_shape, self.margin(x_shape), self.padding_mode)
        return self.result(dx)

    def zeros(self, x_shape):
        """The padding (top, bottom, left, right) with zeros, for images of this shape."""
        return self.margin(x_shape) if self.padding_mode == "zeros" else (0, 0, 0, 0)

    def arguments(self):
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"
                + keywords(stride=(self.stride, 1), padding=(self.padding, 0), dilation=(self.dilation, 1),
                           groups=(self.groups, 1), bias=(self.bias is not None, True),
                           padding_mode=(self.padding_mode, "zeros")))


def _channels(in_channels, out_channels, groups):
    """The three as ints, the groups dividing both of the others."""
    in_channels, out_channels = (arguments.size(in_channels, "in_channels"),
                                 arguments.size(out_channels, "out_channels"))
    groups = arguments.size(groups, "groups")
    for channels, what in ((in_channels, "in_channels"), (out_channels, "out_channels")):
        if channels % groups:
            raise ValueError(f"{what}={channels} must be a multiple of groups={groups}")
    return {"in_channels": in_channels, "out_channels": out_channels, "groups": groups}


class Conv2d(_Convolution):
    """y[n, k, p, q] = b[k] + sum over c, r, s of w[k, c, r, s] x[n, c, p stride + r dilation, q stride + s dilation],
    x being padded, by default with zeros: cross-correlation, as in PyTorch.

    x (N, C, H, W), weight (K, C / groups, R, S), bias (K,), y (N, K, P, Q) with
    P = (H + top + bottom - dilation (R - 1) - 1) // stride + 1, and Q alike.

    kernel_size, stride and dilation are an integer or a pair (vertical, horizontal). padding is an integer, a pair,
    four integers (top, bottom, left, right), "valid" (none), "same" (P = ceil(H / stride), the odd pixel at the bottom
    and the right) or "full" (every position where kernel and image overlap). padding_mode says what the margin holds:
    "zeros", or what ReflectionPad2d ("reflect"), ReplicationPad2d ("replicate") or CircularPad2d ("circular") puts in.
    With groups, input and output channels are cut into that many parts which do not see each other. Weight and bias
    start uniform in +-1 / sqrt(fan_in).

    The true convolution of mathematics and signal processing flips the kernel first. Weights that are learnt come out
    flipped by themselves; a kernel that is given, and meant so, is flipped as it is assigned::

        conv.weight.value = kernel[:, :, ::-1, ::-1]

    stride, padding, dilation and padding_mode may be assigned later. ValueError for arguments and inputs that do not
    fit.

    >>> conv = Conv2d(1, 1, kernel_size=(1, 2), bias=False)
    >>> conv.weight.value = np.array([[[[-1, 1]]]])  # the difference of neighbours finds edges
    >>> conv(np.float32([[[[0, 0, 5, 5, 0]]]]))
    array([[[[ 0.,  5.,  0., -5.]]]], dtype=float32)
    """

    @named_errors
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros"):
        self.set_options(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride,
                         padding=padding, dilation=dilation, groups=groups, padding_mode=padding_mode)
        shape = self.out_channels, self.in_channels // self.groups, *self.kernel_size
        self.start(shape, shape[:1], bias)

    def check(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode):
        channels = _channels(in_channels, out_channels, groups)
        kernel_size, stride = arguments.pair(kernel_size, "kernel_size"), arguments.pair(stride, "stride")
        dilation, padding = arguments.pair(dilation, "dilation"), checks.padding_given(padding)
        checks.resolve_padding(padding, kernel_size, stride, dilation, kernel_size)
        self.check_size(channels["out_channels"], channels["in_channels"] // channels["groups"], *kernel_size)
        return channels | {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation,
                           "padding_mode": arguments.choice(padding_mode, _MODES, "padding_mode")}

    def margin(self, x_shape):
        """The padding (top, bottom, left, right) for an x of this shape."""
        return checks.resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation,
                                      checks.images(x_shape)[2:])

    def where(self, x_shape):
        """stride, padding with zeros, dilation and groups, for an x of this shape."""
        return self.stride, self.zeros(x_shape), self.dilation, self.groups


class Conv1d(_Convolution):
    """y[n, k, p] = b[k] + sum over c, r of w[k, c, r] x[n, c, p stride + r dilation], x being padded, by default with
    zeros: cross-correlation along sequences, as in PyTorch.

    x (N, C, L), weight (K, C / groups, R), bias (K,), y (N, K, P) with
    P = (L + left + right - dilation (R - 1) - 1) // stride + 1.

    kernel_size, stride and dilation are an integer. padding is an integer, two integers (left, right), "valid" (none),
    "same" (P = ceil(L / stride), the odd number at the right) or "full" (every position where kernel and sequence
    overlap). padding_mode, groups, and how weight and bias start are as for `Conv2d`; so is the true convolution, which
    flips the kernel::

        conv.weight.value = kernel[:, :, ::-1]

    A sequence is computed as an image of one row, and turned into one, channels last in memory, before and back after.
    stride, padding, dilation and padding_mode may be assigned later. ValueError for arguments and inputs that do not
    fit.

    >>> conv = Conv1d(1, 1, kernel_size=2, bias=False)
    >>> conv.weight.value = np.array([[[0.5, 0.5]]])  # the mean of neighbours
    >>> conv(np.float32([[[1, 3, 5, 5]]]))
    array([[[2., 4., 5.]]], dtype=float32)
    """

    @named_errors
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros"):
        self.set_options(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride,
                         padding=padding, dilation=dilation, groups=groups, padding_mode=padding_mode)
        shape = self.out_channels, self.in_channels // self.groups, self.kernel_size
        self.start(shape, shape[:1], bias)

    def check(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode):
        channels = _channels(in_channels, out_channels, groups)
        kernel_size, stride = arguments.single(kernel_size, "kernel_size"), arguments.single(stride, "stride")
        dilation, padding = arguments.single(dilation, "dilation"), checks.padding1d_given(padding)
        self.check_size(channels["out_channels"], channels["in_channels"] // channels["groups"], kernel_size)
        return channels | {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation,
                           "padding_mode": arguments.choice(padding_mode, _MODES, "padding_mode")}

    def images(self, x, channels):
        """(N, C, 1, L) of (N, C, L)."""
        if x.ndim != 3:
            raise ValueError(f"expected x of shape (N, C, L), got x of shape {tuple(x.shape)}")
        checks.not_empty(x.shape)
        checks.channels(x.shape, channels)
        n, c, length = x.shape
        return reshaped(self.ops, x, (n, c, 1, length))

    def result(self, y):
        n, k, _, length = y.shape
        return reshaped(self.ops, y, (n, k, length))

    def filters(self):
        k, c, r = self.weight.shape
        return self.weight.value.reshape(k, c, 1, r)

    def margin(self, x_shape):
        """The padding (0, 0, left, right) for images of this shape."""
        padding = (0, self.padding) if isinstance(self.padding, int) else self.padding
        if isinstance(self.padding, tuple):
            padding = 0, 0, *self.padding
        return checks.resolve_padding(padding, (1, self.kernel_size), (1, self.stride), (1, self.dilation), x_shape[2:])

    def where(self, x_shape):
        """stride, padding with zeros, dilation and groups, for images of this shape."""
        return (1, self.stride), self.zeros(x_shape), (1, self.dilation), self.groups


class ConvTranspose2d(Weighted):
    """y[n, k, i, j] = b[k] + sum of w[c, k, r, s] x[n, c, p, q] over all c, and all p, q, r, s with
    i = p stride + r dilation - top and j = q stride + s dilation - left: each pixel sends the kernel, times its number,
    to where a `Conv2d` would have read it from. It goes the way of that layer's gradient; with a stride images become
    larger. PyTorch's layer, with its arguments in its order.

    x (N, C, H, W), weight (C, K / groups, R, S), bias (K,), y (N, K, P, Q) with
    P = (H - 1) stride - top - bottom + dilation (R - 1) + 1 + output_padding, and Q alike.

    kernel_size, stride and dilation are an integer or a pair (vertical, horizontal). padding takes so many pixels away
    at each side: an integer, a pair, or four integers (top, bottom, left, right). output_padding, an integer or a pair
    smaller than the stride or the dilation, adds pixels at the bottom and the right: of all sizes from which Conv2d
    makes the same H, it is the smallest without. padding_mode is "zeros". Weight and bias start uniform in
    +-1 / sqrt(fan_in), fan_in being K / groups R S, as in PyTorch.

    stride, padding, output_padding and dilation may be assigned later. ValueError for arguments and inputs that do not
    fit. Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, section 4.

    >>> conv = ConvTranspose2d(1, 1, kernel_size=(1, 2), stride=(1, 2), bias=False)
    >>> conv.weight.value = np.array([[[[1, 0.5]]]])
    >>> conv(np.float32([[[[2, 8]]]]))
    array([[[[2., 1., 8., 4.]]]], dtype=float32)
    """

    traceable = True
    options = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding", "groups",
               "dilation", "padding_mode")

    @named_errors
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1,
                 bias=True, dilation=1, padding_mode="zeros"):
        self.set_options(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride,
                         padding=padding, output_padding=output_padding, groups=groups, dilation=dilation,
                         padding_mode=padding_mode)
        shape = self.in_channels, self.out_channels // self.groups, *self.kernel_size
        self.start(shape, (self.out_channels,), bias)

    def check(self, in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, dilation,
              padding_mode):
        channels = _channels(in_channels, out_channels, groups)
        kernel_size, stride = arguments.pair(kernel_size, "kernel_size"), arguments.pair(stride, "stride")
        dilation, more = arguments.pair(dilation, "dilation"), arguments.pair(output_padding, "output_padding", 0)
        padding = checks.padding_given(padding, words=())
        conv_checks.output_padding_fits(more, stride, dilation)
        self.check_size(channels["in_channels"], channels["out_channels"] // channels["groups"], *kernel_size)
        return channels | {"kernel_size": kernel_size, "stride": stride, "padding": padding, "output_padding": more,
                           "dilation": dilation, "padding_mode": arguments.choice(padding_mode, ("zeros",),
                                                                                  "padding_mode")}

    def where(self):
        """stride, padding as (top, bottom, left, right), dilation and groups."""
        pads = checks.resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation, self.kernel_size)
        return self.stride, pads, self.dilation, self.groups

    @formula
    def forward(self, x, training=False):
        stride, pads, *rest = self.where()
        y = self.ops.conv_transpose2d_forward(x, self.weight.value, value_of(self.bias), stride, pads,
                                              self.output_padding, *rest)
        if training:
            self.saved = (x,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        weight = self.weight.value
        if self.trains():
            self.learn(*self.ops.conv_transpose2d_backward_weight(dy, x, weight.shape, *self.where(),
                                                                  bias=self.bias is not None))
        return self.ops.conv_transpose2d_backward_input(dy, weight, x.shape, *self.where()) if need_dx else None

    def arguments(self):
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"
                + keywords(stride=(self.stride, 1), padding=(self.padding, 0), output_padding=(self.output_padding, 0),
                           groups=(self.groups, 1), bias=(self.bias is not None, True), dilation=(self.dilation, 1)))
