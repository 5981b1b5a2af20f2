"""What layers with a weight and a bias share."""
from fastnet import arguments, init
from fastnet.layers.base import Layer
from fastnet.parameter import Parameter


class Weighted(Layer):
    """A layer whose `weight` is multiplied with what it is given and whose `bias`, which may be None, is added."""

    def start(self, weight_shape, bias_shape, bias):
        """Make both, uniform in +-1 / sqrt(fan_in); `bias` is what the constructor was given."""
        bias = arguments.flag(bias, "bias")
        self.weight = Parameter(init.uniform_fan_in(weight_shape))
        bound = init.fans(weight_shape)[0] ** -0.5
        self.bias = Parameter(init.uniform(bias_shape, -bound, bound)) if bias else None

    def learn(self, dw, db):
        """Assign the gradients of both."""
        self.weight.grad = dw
        if self.bias is not None:
            self.bias.grad = db
