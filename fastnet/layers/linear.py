"""The fully connected layer."""
from fastnet import arguments, init
from fastnet.layers.base import Layer, keywords, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.parameter import Parameter


class Linear(Layer):
    """y = x w^T + b with x (N, C), weight (K, C), bias (K,), y (N, K).

    Weight and bias start uniform in +-1 / sqrt(C). ValueError for arguments and inputs that do not fit.
    """

    traceable, options = True, ("in_features", "out_features")

    @named_errors
    def __init__(self, in_features, out_features, bias=True):
        self.set_options(in_features=in_features, out_features=out_features)
        bias = arguments.flag(bias, "bias")
        shape = (self.out_features, self.in_features)
        self.weight = Parameter(init.uniform_fan_in(shape))
        bound = init.fans(shape)[0] ** -0.5
        self.bias = Parameter(init.uniform(shape[:1], -bound, bound)) if bias else None

    def check(self, in_features, out_features):
        in_features = arguments.size(in_features, "in_features")
        out_features = arguments.size(out_features, "out_features")
        self.check_size(out_features, in_features)
        return {"in_features": in_features, "out_features": out_features}

    @formula
    def forward(self, x, training=False):
        y = self.ops.linear_forward(x, self.weight.value, value_of(self.bias))
        if training:
            self.saved = (x,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        if self.trains():
            self.weight.grad, db = self.ops.linear_backward_weight(dy, x, bias=self.bias is not None)
            if self.bias is not None:
                self.bias.grad = db
        return self.ops.linear_backward_input(dy, self.weight.value) if need_dx else None

    def arguments(self):
        return f"{self.in_features}, {self.out_features}" + keywords(bias=(self.bias is not None, True))
