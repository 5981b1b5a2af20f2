"""The fully connected layer."""
from math import prod

from fastnet import arguments
from fastnet.kernels import checks
from fastnet.layers.base import keywords, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.shape import reshaped
from fastnet.layers.weights import Weighted


class Linear(Weighted):
    """y = x w^T + b with x (N, C), weight (K, C), bias (K,), y (N, K); or, as in PyTorch, x (N, ..., C) and y (N, ...,
    K) with any axes between: the same for each of their places.

    Weight and bias start uniform in +-1 / sqrt(C). ValueError for arguments and inputs that do not fit.

    >>> layer = Linear(2, 1)
    >>> layer.weight.value, layer.bias.value = np.array([[1, 10]]), np.array([0.5])
    >>> layer(np.float32([[3, 2]]))
    array([[23.5]], dtype=float32)
    """

    traceable, options = True, ("in_features", "out_features")

    @named_errors
    def __init__(self, in_features, out_features, bias=True):
        self.set_options(in_features=in_features, out_features=out_features)
        self.start((self.out_features, self.in_features), (self.out_features,), bias)

    def check(self, in_features, out_features):
        in_features = arguments.size(in_features, "in_features")
        out_features = arguments.size(out_features, "out_features")
        self.check_size(out_features, in_features)
        return {"in_features": in_features, "out_features": out_features}

    @formula
    def forward(self, x, training=False):
        rows = x if x.ndim == 2 else self._rows(x)
        y = self.ops.linear_forward(rows, self.weight.value, value_of(self.bias))
        if training:
            self.saved = (rows, tuple(x.shape))
        return y if x.ndim == 2 else reshaped(self.ops, y, (*x.shape[:-1], self.out_features))

    @formula
    def backward(self, dy, need_dx=True):
        rows, x_shape = self.take_saved()
        if len(x_shape) != 2:
            dy = reshaped(self.ops, dy, (prod(x_shape[:-1]), self.out_features))
        if self.trains():
            self.learn(*self.ops.linear_backward_weight(dy, rows, bias=self.bias is not None))
        if not need_dx:
            return None
        dx = self.ops.linear_backward_input(dy, self.weight.value)
        return dx if len(x_shape) == 2 else reshaped(self.ops, dx, x_shape)

    def _rows(self, x):
        """All rows of an x that is no matrix, as one."""
        c = self.in_features
        if x.ndim < 2:
            remedy = ": give x[None] for a single sample" if x.shape == (c,) else ""
            raise ValueError(f"expected x of shape (N, {c}) or (N, ..., {c}), got x of shape {x.shape}{remedy}")
        checks.not_empty(x.shape)
        if x.shape[-1] != c:
            count, remedy = prod(x.shape[1:]), ""
            if count == c:
                remedy = "; Flatten() before it makes rows of that"
            elif x.ndim == 4:   # images, which hardly anybody gives to a linear layer as they are
                remedy = f"; Flatten() before it makes rows of {count} features"
            raise ValueError(f"expected {c} input features, got x of shape {x.shape}{remedy}")
        return reshaped(self.ops, x, (prod(x.shape[:-1]), c))

    def arguments(self):
        return f"{self.in_features}, {self.out_features}" + keywords(bias=(self.bias is not None, True))
