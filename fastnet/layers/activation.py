"""Activations without parameters."""
from fastnet.kernels import checks
from fastnet.layers.base import Layer, named_errors


class _Elementwise(Layer):
    """A layer whose y has the shape of x."""

    def output_shape(self, input_shape):
        return tuple(input_shape)


class Identity(_Elementwise):
    """y = x, the very same array. It serves where a layer is wanted and nothing is to be done."""

    kind = "identity"

    def forward(self, x, training=False):
        if training:
            self.saved = ()
        return x

    def backward(self, dy, need_dx=True):
        self.take_saved()
        return dy if need_dx else None


class ReLU(_Elementwise):
    """y = max(x, 0), any shape. The gradient at 0 is 0, as in PyTorch."""

    kind = "relu"

    @named_errors
    def forward(self, x, training=False):
        y = self.ops.relu_forward(x)
        if training:
            self.saved = (y,)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        y, = self.take_saved()
        return self.ops.relu_backward(dy, y) if need_dx else None


class SiLU(_Elementwise):
    """y = x / (1 + exp(-x)), any shape: x times its sigmoid, a smooth ReLU that lets some of what is negative pass.

    Elfwing et al., Sigmoid-weighted linear units for neural network function approximation in reinforcement learning
    (2018).
    """

    kind = "silu"

    @named_errors
    def forward(self, x, training=False):
        y = self.ops.silu_forward(x)
        if training:
            self.saved = (x,)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        return self.ops.silu_backward(dy, x) if need_dx else None


class _Scores(Layer):
    """Softmax and its logarithm share everything but the operations."""

    @named_errors
    def __init__(self, dim=1):
        if dim not in (1, -1):
            raise ValueError(f"dim must be 1, the axis of the classes of x (N, C), got {dim!r}")

    @named_errors
    def forward(self, x, training=False):
        y = self.compute(x)
        if training:
            self.saved = (y,)
        return y

    @named_errors
    def backward(self, dy, need_dx=True):
        y, = self.take_saved()
        return self.differentiate(dy, y) if need_dx else None

    @named_errors
    def output_shape(self, input_shape):
        return tuple(checks.scores(input_shape))

    def arguments(self):
        return "dim=1"


class Softmax(_Scores):
    """y[n, c] = exp(x[n, c]) / sum over j of exp(x[n, j]), x (N, C). For training on labels give the scores themselves
    to CrossEntropyLoss, which is faster and more exact."""

    kind = "softmax"

    def compute(self, x):
        return self.ops.softmax_forward(x)

    def differentiate(self, dy, y):
        return self.ops.softmax_backward(dy, y)


class LogSoftmax(_Scores):
    """y[n, c] = x[n, c] - log sum over j of exp(x[n, j]), x (N, C)."""

    kind = "log_softmax"

    def compute(self, x):
        return self.ops.log_softmax_forward(x)

    def differentiate(self, dy, y):
        return self.ops.log_softmax_backward(dy, y)
