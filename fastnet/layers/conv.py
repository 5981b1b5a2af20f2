"""Two-dimensional convolution."""
from fastnet import arguments, init
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords, short, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.parameter import Parameter


class Conv2d(Layer):
    """y[n, k, p, q] = b[k] + sum over c, r, s of w[k, c, r, s] x[n, c, p stride + r dilation, q stride + s dilation],
    x being padded with zeros: cross-correlation, as in PyTorch.

    x (N, C, H, W), weight (K, C / groups, R, S), bias (K,), y (N, K, P, Q) with
    P = (H + top + bottom - dilation (R - 1) - 1) // stride + 1, and Q alike.

    kernel_size, stride and dilation are an integer or a pair (vertical, horizontal). padding is an integer, a pair,
    four integers (top, bottom, left, right), "valid" (none), "same" (P = ceil(H / stride), the odd pixel at the bottom
    and the right) or "full" (every position where kernel and image overlap). With groups, input and output channels
    are cut into that many parts which do not see each other. Weight and bias start uniform in +-1 / sqrt(fan_in).

    stride, padding and dilation may be assigned later. ValueError for arguments and inputs that do not fit.
    """

    traceable = True
    options = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")

    @named_errors
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True):
        self.set_options(in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride,
                         padding=padding, dilation=dilation, groups=groups)
        bias = arguments.flag(bias, "bias")
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(init.uniform_fan_in(shape))
        bound = init.fans(shape)[0] ** -0.5
        self.bias = Parameter(init.uniform(shape[:1], -bound, bound)) if bias else None

    def check(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups):
        in_channels, out_channels = (arguments.size(in_channels, "in_channels"),
                                     arguments.size(out_channels, "out_channels"))
        kernel_size, stride = arguments.pair(kernel_size, "kernel_size"), arguments.pair(stride, "stride")
        dilation, groups = arguments.pair(dilation, "dilation"), arguments.size(groups, "groups")
        padding = checks.padding_given(padding)
        checks.resolve_padding(padding, kernel_size, stride, dilation, kernel_size)
        for channels, what in ((in_channels, "in_channels"), (out_channels, "out_channels")):
            if channels % groups:
                raise ValueError(f"{what}={channels} must be a multiple of groups={groups}")
        self.check_size(out_channels, in_channels // groups, *kernel_size)
        return {"in_channels": in_channels, "out_channels": out_channels, "kernel_size": kernel_size, "stride": stride,
                "padding": padding, "dilation": dilation, "groups": groups}

    def where(self, x_shape):
        """stride, padding as (top, bottom, left, right), dilation and groups, for an x of this shape."""
        pads = checks.resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation,
                                      checks.images(x_shape)[2:])
        return self.stride, pads, self.dilation, self.groups

    @formula
    def forward(self, x, training=False):
        y = self.ops.conv2d_forward(x, self.weight.value, value_of(self.bias), *self.where(x.shape))
        if training:
            self.saved = (x,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        weight, where = self.weight.value, self.where(x.shape)
        if self.trains():
            self.weight.grad, db = self.ops.conv2d_backward_weight(dy, x, weight.shape, *where,
                                                                   bias=self.bias is not None)
            if self.bias is not None:
                self.bias.grad = db
        return self.ops.conv2d_backward_input(dy, weight, x.shape, *where) if need_dx else None

    def arguments(self):
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"
                + keywords(stride=(self.stride, 1), padding=(self.padding, 0), dilation=(self.dilation, 1),
                           groups=(self.groups, 1), bias=(self.bias is not None, True)))
