"""The fully connected layer."""
from fastnet import init
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords, named_errors, value_of
from fastnet.parameter import Parameter


class Linear(Layer):
    """y = x w^T + b with x (N, C), weight (K, C), bias (K,), y (N, K).

    Weight and bias start uniform in +-1 / sqrt(C). ValueError for arguments and inputs that do not fit.
    """

    kind = "linear"

    @named_errors
    def __init__(self, in_features, out_features, bias=True):
        self.in_features = checks.positive(in_features, "in_features")
        self.out_features = checks.positive(out_features, "out_features")
        shape = (self.out_features, self.in_features)
        self.weight = Parameter(init.uniform_fan_in(shape))
        bound = init.fans(shape)[0] ** -0.5
        self.bias = Parameter(init.uniform(shape[:1], -bound, bound)) if bias else None

    @named_errors
    def forward(self, x, training=False, relu=False):
        y = self.ops.linear_forward(x, self.weight.value, value_of(self.bias), relu)
        if training:
            self.saved = (x, y if relu else None)
        return y

    @named_errors
    def backward(self, dy, need_dx=True, mask=None, masked=False):
        x, y = self.take_saved()
        if y is not None and not masked:
            dy = self.ops.relu_backward(dy, y)
        dw = db = None
        if self.trains():
            dw, db = self.ops.linear_backward_weight(dy, x, self.bias is not None)
        dx = self.ops.linear_backward_input(dy, self.weight.value, mask) if need_dx else None
        self.weight.grad = dw
        if self.bias is not None:
            self.bias.grad = db
        return dx

    @named_errors
    def output_shape(self, input_shape):
        return checks.linear_shape(input_shape, self.weight.shape)

    def multiply_adds(self, input_shape):
        n, k = self.output_shape(input_shape)
        return n * k * self.in_features

    def arguments(self):
        return f"{self.in_features}, {self.out_features}" + keywords(bias=(self.bias is not None, True))
