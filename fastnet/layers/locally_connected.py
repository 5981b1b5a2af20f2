"""Convolution whose kernel is another one at each place."""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.layers.base import keywords, short, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.weights import Weighted


class LocallyConnected2d(Weighted):
    """y[n, k, p, q] = b[k, p, q] + sum over c, r, s of w[p, q, r, s, c, k] x[n, c, p stride + r, q stride + s], x being
    padded with zeros: a `Conv2d` that shares no weights, for images in which each place has a meaning of its own.

    x (N, C, H, W) with input_size = (H, W), weight (P, Q, R, S, C, K), bias (K, P, Q), y (N, K, P, Q) with
    P = (H + top + bottom - R) // stride + 1, and Q alike. ``weight[p, q].transpose(3, 2, 0, 1)`` is the kernel
    (K, C, R, S) of one place. input_size, kernel_size and stride are an integer or a pair (vertical, horizontal);
    padding is written as for Conv2d. Weight and bias start uniform in +-1 / sqrt(C R S). PyTorch has no such layer.

    stride and padding may be assigned later, as long as P and Q stay. ValueError for arguments and inputs that do not
    fit. Source: LeCun, Generalization and network design strategies, 1989, section 5.3.

    >>> layer = LocallyConnected2d(1, 1, input_size=(1, 3), kernel_size=1, bias=False)
    >>> layer.weight.value = np.array([1, 10, 100]).reshape(layer.weight.shape)
    >>> layer(np.float32([[[[2, 2, 2]]]]))
    array([[[[  2.,  20., 200.]]]], dtype=float32)
    """

    traceable = True
    options = ("in_channels", "out_channels", "input_size", "kernel_size", "stride", "padding")

    @named_errors
    def __init__(self, in_channels, out_channels, input_size, kernel_size, stride=1, padding=0, bias=True):
        self.set_options(in_channels=in_channels, out_channels=out_channels, input_size=input_size,
                         kernel_size=kernel_size, stride=stride, padding=padding)
        shape = self._weight_shape(**{name: getattr(self, name) for name in self.options})
        p, q, *_, k = shape
        self.start(shape, (k, p, q), bias)

    def check(self, in_channels, out_channels, input_size, kernel_size, stride, padding):
        found = {"in_channels": arguments.size(in_channels, "in_channels"),
                 "out_channels": arguments.size(out_channels, "out_channels"),
                 "input_size": arguments.pair(input_size, "input_size"),
                 "kernel_size": arguments.pair(kernel_size, "kernel_size"), "stride": arguments.pair(stride, "stride"),
                 "padding": checks.padding_given(padding)}
        self.check_size(*self._weight_shape(**found))
        return found

    def _weight_shape(self, in_channels, out_channels, input_size, kernel_size, stride, padding):
        pads = checks.resolve_padding(padding, kernel_size, stride, (1, 1), input_size)
        kernels = out_channels, in_channels, *kernel_size
        places = checks.conv2d_shape((1, in_channels, *input_size), kernels, stride, pads, (1, 1), 1)[2:]
        return *places, *kernel_size, in_channels, out_channels

    def where(self):
        """stride, and padding as (top, bottom, left, right)."""
        return self.stride, checks.resolve_padding(self.padding, self.kernel_size, self.stride, (1, 1), self.input_size)

    @formula
    def forward(self, x, training=False):
        if tuple(checks.images(x.shape)[2:]) != self.input_size:
            raise ValueError("expected images of {} x {} pixels, got x of shape {}".format(*self.input_size, x.shape))
        y = self.ops.locally_connected2d_forward(x, self.weight.value, value_of(self.bias), *self.where())
        if training:
            self.saved = (x,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        weight = self.weight.value
        if self.trains():
            self.learn(*self.ops.locally_connected2d_backward_weight(dy, x, weight.shape, *self.where(),
                                                                     bias=self.bias is not None))
        return self.ops.locally_connected2d_backward_input(dy, weight, x.shape, *self.where()) if need_dx else None

    def arguments(self):
        return (f"{self.in_channels}, {self.out_channels}, input_size={short(self.input_size)}, "
                f"kernel_size={short(self.kernel_size)}"
                + keywords(stride=(self.stride, 1), padding=(self.padding, 0), bias=(self.bias is not None, True)))
