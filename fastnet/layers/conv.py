"""Two-dimensional convolution."""
from fastnet import arguments, init
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords, short, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.parameter import Parameter


class Conv2d(Layer):
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

    stride, padding, dilation and padding_mode may be assigned later. ValueError for arguments and inputs that do not
    fit.
    """

    traceable = True
    options = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups",
               "padding_mode")

    @named_errors
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros"):
        self.set_options(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride,
                         padding=padding, dilation=dilation, groups=groups, padding_mode=padding_mode)
        bias = arguments.flag(bias, "bias")
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(init.uniform_fan_in(shape))
        bound = init.fans(shape)[0] ** -0.5
        self.bias = Parameter(init.uniform(shape[:1], -bound, bound)) if bias else None

    def check(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode):
        in_channels, out_channels = (arguments.size(in_channels, "in_channels"),
                                     arguments.size(out_channels, "out_channels"))
        kernel_size, stride = arguments.pair(kernel_size, "kernel_size"), arguments.pair(stride, "stride")
        dilation, groups = arguments.pair(dilation, "dilation"), arguments.size(groups, "groups")
        padding = checks.padding_given(padding)
        checks.resolve_padding(padding, kernel_size, stride, dilation, kernel_size)
        for channels, what in ((in_channels, "in_channels"), (out_channels, "out_channels")):
            if channels % groups:
                raise ValueError(f"{what}={channels} must be a multiple of groups={groups}")
        arguments.choice(padding_mode, ("zeros", "reflect", "replicate", "circular"), "padding_mode")
        self.check_size(out_channels, in_channels // groups, *kernel_size)
        return {"in_channels": in_channels, "out_channels": out_channels, "kernel_size": kernel_size, "stride": stride,
                "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": padding_mode}

    def margin(self, x_shape):
        """The padding (top, bottom, left, right) for an x of this shape."""
        return checks.resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation,
                                      checks.images(x_shape)[2:])

    def where(self, x_shape):
        """stride, padding with zeros, dilation and groups, for an x of this shape."""
        zeros = self.margin(x_shape) if self.padding_mode == "zeros" else (0, 0, 0, 0)
        return self.stride, zeros, self.dilation, self.groups

    @formula
    def forward(self, x, training=False):
        where, x_shape = self.where(x.shape), x.shape
        if self.padding_mode != "zeros":
            x = self.ops.pad2d_forward(x, self.margin(x_shape), self.padding_mode)
        y = self.ops.conv2d_forward(x, self.weight.value, value_of(self.bias), *where)
        if training:
            self.saved = (x, x_shape)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x, x_shape = self.take_saved()
        weight, where = self.weight.value, self.where(x_shape)
        if self.trains():
            self.weight.grad, db = self.ops.conv2d_backward_weight(dy, x, weight.shape, *where,
                                                                   bias=self.bias is not None)
            if self.bias is not None:
                self.bias.grad = db
        if not need_dx:
            return None
        dx = self.ops.conv2d_backward_input(dy, weight, x.shape, *where)
        if self.padding_mode == "zeros":
            return dx
        return self.ops.pad2d_backward(dx, x_shape, self.margin(x_shape), self.padding_mode)

    def arguments(self):
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"
                + keywords(stride=(self.stride, 1), padding=(self.padding, 0), dilation=(self.dilation, 1),
                           groups=(self.groups, 1), bias=(self.bias is not None, True),
                           padding_mode=(self.padding_mode, "zeros")))
