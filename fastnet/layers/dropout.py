"""Dropout, of single numbers, of channels and of samples."""
import numpy as np

from fastnet import arguments, init
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.freezing import Freezable


class Dropout(Freezable):
    """In training y = x / (1 - p) where a random number of that element is at least p, else 0; at inference, where it
    is frozen and where p is 0, y = x.

    Any shape. The numbers depend on a seed drawn from `fastnet.init.generator` when the layer is made, and on how many
    training passes it has seen with p above 0. ValueError unless 0 <= p < 1.
    Srivastava et al., Dropout (2014), in the inverted form.

    >>> y = Dropout(0.5).forward(np.ones(1000, np.float32), training=True)
    >>> np.unique(y)
    array([0., 2.], dtype=float32)
    >>> Dropout(0.5)(np.ones(3, np.float32))
    array([1., 1., 1.], dtype=float32)
    """

    traceable, options = True, ("p",)
    axes = None     # the first so many axes are those in whose places random numbers differ; None stands for all

    @named_errors
    def __init__(self, p=0.5):
        self._begin(p=p)

    def _begin(self, **options):
        self.set_options(**options)
        self.generator = np.random.default_rng(init.generator().integers(2**63))

    def check(self, p):
        return {"p": arguments.number(p, "p", 0, below=1)}

    @formula
    def forward(self, x, training=False):
        self.check_shape(x.shape)
        if not training:
            return x
        key = None if self.is_frozen or self.p == 0 else self.ops.draw(self.generator)
        self.saved = (key,)
        return x if key is None else self.ops.dropout(x, self.p, key, self.axes)

    @formula
    def backward(self, dy, need_dx=True):
        key, = self.take_saved()
        if not need_dx:
            return None
        return dy if key is None else self.ops.dropout(dy, self.p, key, self.axes)

    def check_shape(self, shape):
        """ValueError for an x whose shape does not fit."""

    def arguments(self):
        return f"p={self.p:g}"


class Dropout2d(Dropout):
    """Dropout of whole channels: all pixels of x[n, c] share one random number. x and y (N, C, H, W).

    Frozen, at inference and where p is 0, y = x. ValueError unless 0 <= p < 1, and for inputs that do not fit.
    Tompson et al., Efficient Object Localization Using Convolutional Networks (2015).

    >>> y = Dropout2d(0.5).forward(np.ones((10, 100, 2, 2), np.float32), training=True)
    >>> np.unique(y.sum(axis=(2, 3)))
    array([0., 8.], dtype=float32)
    """

    axes, rank, expected = 2, 4, "(N, C, H, W)"

    def check_shape(self, shape):
        if len(shape) != self.rank:
            raise ValueError(f"expected x of shape {self.expected}, got x of shape {tuple(shape)}")


class Dropout1d(Dropout2d):
    """Dropout of whole channels of sequences: Dropout2d for x and y (N, C, L).

    >>> y = Dropout1d(0.5).forward(np.ones((10, 100, 3), np.float32), training=True)
    >>> np.unique(y.sum(axis=2))
    array([0., 6.], dtype=float32)
    """

    rank, expected = 3, "(N, C, L)"


class StochasticDepth(Dropout):
    """Dropout of whole samples, mode "row", or of the whole batch, mode "batch": all that a random number stands for is
    divided by 1 - p or becomes 0. Any shape, the first axis being the batch; as in torchvision.

    At the end of a Residual's body it leaves out the body for some samples in training. Frozen, at inference and where
    p is 0, y = x.
    ValueError unless 0 <= p <= 1. Huang et al., Deep Networks with Stochastic Depth (2016).

    >>> y = StochasticDepth(0.5, "row").forward(np.ones((1000, 3), np.float32), training=True)
    >>> np.unique(y.sum(axis=1))
    array([0., 6.], dtype=float32)
    """

    options = ("p", "mode")

    @named_errors
    def __init__(self, p, mode):
        self._begin(p=p, mode=mode)

    def check(self, p, mode):
        return {"p": arguments.number(p, "p", 0, 1), "mode": arguments.choice(mode, ("batch", "row"), "mode")}

    @property
    def axes(self):
        return 1 if self.mode == "row" else 0

    def arguments(self):
        return f"{super().arguments()}, mode={self.mode!r}"
