"""Two-dimensional convolution."""
from math import prod

from fastnet import init
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords, named_errors, short, value_of
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

    ValueError for arguments and inputs that do not fit.
    """

    kind = "conv2d"

    @named_errors
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True):
        self.in_channels = checks.positive(in_channels, "in_channels")
        self.out_channels = checks.positive(out_channels, "out_channels")
        self.kernel_size = checks.pair(kernel_size, "kernel_size")
        self.stride = checks.pair(stride, "stride")
        self.dilation = checks.pair(dilation, "dilation")
        self.groups = checks.positive(groups, "groups")
        for channels, what in ((self.in_channels, "in_channels"), (self.out_channels, "out_channels")):
            if channels % self.groups:
                raise ValueError(f"{what}={channels} must be a multiple of groups={self.groups}")
        self.padding = tuple(padding) if isinstance(padding, list) else padding
        # Only "same" with a stride depends on the size of the image; every other padding is known here and now.
        pads = checks.resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation, self.kernel_size)
        self._pads = None if self.padding == "same" and self.stride != (1, 1) else pads
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(init.uniform_fan_in(shape))
        bound = init.fans(shape)[0] ** -0.5
        self.bias = Parameter(init.uniform(shape[:1], -bound, bound)) if bias else None

    def pads(self, input_shape):
        """The padding for an x of this shape as (top, bottom, left, right)."""
        if self._pads is not None:
            return self._pads
        hw = checks.images(input_shape)[2:]
        return checks.resolve_padding(self.padding, self.kernel_size, self.stride, self.dilation, hw)

    def forward(self, x, training=False, relu=False, packed=None, add=None, pool=None):
        weight, bias = self.arrays()
        if packed is not None:
            ops = self.ops
            return self.infer(x, packed.get(self, (ops, weight, bias), lambda: ops.conv2d_pack(weight, bias)), relu,
                              add, pool)
        if pool is not None:
            return self.convolve_and_pool(x, weight, bias, relu, training, pool)
        y = self.convolve(x, weight, bias, relu, add)
        if training:
            self.saved = (x, y if relu and add is None else None)
        return y

    def arrays(self):
        """(weight, bias) as arrays, the bias may be None."""
        return self.weight.value, value_of(self.bias)

    @named_errors
    def convolve(self, x, weight, bias, relu, add):
        return self.ops.conv2d_forward(x, weight, bias, self.stride, self.pads(x.shape), self.dilation, self.groups,
                                       relu, add)

    @named_errors
    def convolve_and_pool(self, x, weight, bias, relu, training, pool):
        """The convolution and the MaxPool2d after it, which halves the image; both save what their backward needs."""
        y, index = self.ops.conv2d_maxpool_forward(x, weight, bias, self.stride, self.pads(x.shape), self.dilation,
                                                   self.groups, relu)
        if training:
            self.saved, pool.saved = (x, None), (index, self.output_shape(x.shape))
        return y

    @named_errors
    def infer(self, x, weights, relu, add, pool):
        """The convolution of x by packed weights of this layer's shape, such as a plan makes to fold a batch norm."""
        where = self.stride, self.pads(x.shape), self.dilation, self.groups
        if pool is not None:
            return self.ops.conv2d_maxpool_inference(x, weights, *where, relu)
        return self.ops.conv2d_inference(x, weights, *where, relu, add)

    @named_errors
    def backward(self, dy, need_dx=True, mask=None, masked=False, add=None):
        x, y = self.take_saved()
        if y is not None and not masked:
            dy = self.ops.relu_backward(dy, y)
        where = (self.stride, self.pads(x.shape), self.dilation, self.groups)
        weight = self.weight.value
        dw = db = None
        if self.trains():
            dw, db = self.ops.conv2d_backward_weight(dy, x, weight.shape, *where, bias=self.bias is not None)
        dx = self.ops.conv2d_backward_input(dy, weight, x.shape, *where, mask, add) if need_dx else None
        self.weight.grad = dw
        if self.bias is not None:
            self.bias.grad = db
        return dx

    @named_errors
    def output_shape(self, input_shape):
        return checks.conv2d_shape(input_shape, self.weight.shape, self.stride, self.pads(input_shape), self.dilation,
                                   self.groups)

    def multiply_adds(self, input_shape):
        return prod(self.output_shape(input_shape)) * prod(self.weight.shape[1:])

    @named_errors
    def algorithms(self, input_shape, dtype):
        where = self.stride, self.pads(input_shape), self.dilation, self.groups
        return {direction: self.ops.conv2d_algorithm(direction, dtype, tuple(input_shape), self.weight.shape, *where)
                for direction in ("forward", "backward_input", "backward_weight")}

    def arguments(self):
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"
                + keywords(stride=(self.stride, 1), padding=(self.padding, 0), dilation=(self.dilation, 1),
                           groups=(self.groups, 1), bias=(self.bias is not None, True)))
