"""A number for each channel."""
from fastnet import arguments
from fastnet.init import constant
from fastnet.init.shapes import LARGEST
from fastnet.layers.base import Layer, keywords
from fastnet.layers.formula import formula, named_errors
from fastnet.parameter import Parameter


class LayerScale(Layer):
    """y = weight x with a number for each of `dim` channels: along axis 1 of images (N, C, H, W), along the last axis
    of all else, (N, C) and sequences (N, T, C). weight (dim,) starts as `init`.

    At the end of a Residual's body it lets the body begin small. ValueError for numbers and inputs that do not fit.
    Touvron et al., Going Deeper with Image Transformers (2021), section 2; PyTorch has no such layer.

    >>> LayerScale(2, init=0.5)(np.float32([[1, 20]]))
    array([[ 0.5, 10. ]], dtype=float32)
    """

    traceable, options = True, ("dim", "init")

    @named_errors
    def __init__(self, dim, init=1e-5):
        self.set_options(dim=dim, init=init)
        self.weight = Parameter(constant(self.dim, self.init))

    def check(self, dim, init):
        dim = arguments.size(dim, "dim")
        self.check_size(dim)
        return {"dim": dim, "init": arguments.number(init, "init", -LARGEST, LARGEST)}

    def _factors(self, rank):
        """The weight, with an axis for each of x's."""
        return self.weight.value.reshape((1, self.dim, 1, 1) if rank == 4 else (1,) * (rank - 1) + (self.dim,))

    @formula
    def forward(self, x, training=False):
        if x.ndim < 2 or x.shape[1 if x.ndim == 4 else -1] != self.dim:
            raise ValueError(f"expected x of {self.dim} channels, (N, {self.dim}, H, W) or (N, ..., {self.dim}), got x "
                             f"of shape {tuple(x.shape)}")
        if training:
            self.saved = (x,)
        return self.ops.multiply(x, self._factors(x.ndim))

    @formula
    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        factors = self._factors(x.ndim)
        if self.trains():
            self.weight.grad = self.ops.multiply_backward(dy, x, factors.shape).reshape((self.dim,))
        return self.ops.multiply(dy, factors) if need_dx else None

    def arguments(self):
        return str(self.dim) + keywords(init=(self.init, 1e-5))
