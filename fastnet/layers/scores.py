"""Softmax and its logarithm."""
from fastnet.kernels import axes
from fastnet.layers.base import Layer
from fastnet.layers.formula import formula, named_errors


class _Scores(Layer):
    """They share everything but the operations."""

    traceable, options = True, ("dim",)

    @named_errors
    def __init__(self, dim=1):
        self.set_options(dim=dim)

    def check(self, dim):
        return {"dim": axes.given(dim)}

    @formula
    def forward(self, x, training=False):
        y = self.compute(x)
        if training:
            self.saved = (y,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        y, = self.take_saved()
        return self.differentiate(dy, y) if need_dx else None

    def arguments(self):
        return f"dim={self.dim}"


class Softmax(_Scores):
    """y[n, c] = exp(x[n, c]) / sum over j of exp(x[n, j]) along axis `dim` of an x of any shape: of rows (N, C) and
    images (N, C, H, W) over the classes or channels, unless another one is given; what PyTorch calls Softmax2d is that,
    too. For training on labels give the scores themselves to CrossEntropyLoss, which is faster and more exact.

    >>> Softmax()(np.log(np.float32([[1, 3]]))).round(4)
    array([[0.25, 0.75]], dtype=float32)
    """

    def compute(self, x):
        return self.ops.softmax_forward(x, self.dim)

    def differentiate(self, dy, y):
        return self.ops.softmax_backward(dy, y, self.dim)


class LogSoftmax(_Scores):
    """y[n, c] = x[n, c] - log sum over j of exp(x[n, j]), likewise.

    >>> LogSoftmax()(np.float32([[0, 100]]))
    array([[-100.,    0.]], dtype=float32)
    """

    def compute(self, x):
        return self.ops.log_softmax_forward(x, self.dim)

    def differentiate(self, dy, y):
        return self.ops.log_softmax_backward(dy, y, self.dim)
