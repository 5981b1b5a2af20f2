"""Margins around images."""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.layers.base import Layer
from fastnet.layers.formula import formula, named_errors

_SIDES = "an integer or four of them (left, right, top, bottom)"


class _Pad2d(Layer):
    """What all of them share: the padding as PyTorch writes it, and `mode`, by which the margin is filled."""

    traceable, options, mode, value = True, ("padding",), "constant", 0.0

    @named_errors
    def __init__(self, padding):
        self.set_options(padding=padding)

    def check(self, padding):
        least, what = -arguments.LARGEST, _SIDES
        if self.mode != "constant":
            least, what = 0, f"{_SIDES}, none of them negative: ZeroPad2d takes pixels away"
        if isinstance(padding, (tuple, list)):
            return {"padding": arguments.integers(padding, "padding", 4, least, what)}
        return {"padding": (arguments.size(padding, "padding", least, what),) * 4}

    def where(self, x_shape):
        """The padding (top, bottom, left, right) and how it is filled, for an x of this shape."""
        checks.images(x_shape)
        left, right, top, bottom = self.padding
        return (top, bottom, left, right), self.mode

    @formula
    def forward(self, x, training=False):
        y = self.ops.pad2d_forward(x, *self.where(x.shape), self.value)
        if training:
            self.saved = (x.shape,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        return self.ops.pad2d_backward(dy, x_shape, *self.where(x_shape)) if need_dx else None

    def arguments(self):
        return f"{self.padding[0] if len(set(self.padding)) == 1 else self.padding}"


class ZeroPad2d(_Pad2d):
    """A margin of zeros: x (N, C, H, W), y (N, C, H + top + bottom, W + left + right).

    padding is an integer or, in PyTorch's order, (left, right, top, bottom); a negative one takes pixels away.
    ValueError where nothing would be left.

    >>> ZeroPad2d((2, 1, 0, 0))(np.float32([[[[5, 6, 7]]]]))
    array([[[[0., 0., 5., 6., 7., 0.]]]], dtype=float32)
    """


class ConstantPad2d(_Pad2d):
    """A margin of pixels that are `value`, a finite number; else as ZeroPad2d.

    >>> ConstantPad2d((2, 1, 0, 0), 9)(np.float32([[[[5, 6, 7]]]]))
    array([[[[9., 9., 5., 6., 7., 9.]]]], dtype=float32)
    """

    options = ("padding", "value")

    @named_errors
    def __init__(self, padding, value):
        self.set_options(padding=padding, value=value)

    def check(self, padding, value):
        return super().check(padding) | {"value": arguments.number(value, "value")}

    def arguments(self):
        return f"{super().arguments()}, value={self.value:g}"


class ReflectionPad2d(_Pad2d):
    """A margin in which the image is mirrored by its border, whose pixels are not repeated: 2 1 | 0 1 2 | 1 0.

    padding is an integer or, in PyTorch's order, (left, right, top, bottom), smaller than the image on each side and
    not negative. Shapes as for ZeroPad2d. ValueError for images that are too small.

    >>> ReflectionPad2d((2, 1, 0, 0))(np.float32([[[[5, 6, 7]]]]))
    array([[[[7., 6., 5., 6., 7., 6.]]]], dtype=float32)
    """

    mode = "reflect"


class ReplicationPad2d(_Pad2d):
    """A margin of the pixels at the border, repeated: 0 0 | 0 1 2 | 2 2.

    padding is an integer or, in PyTorch's order, (left, right, top, bottom), not negative. Shapes as for ZeroPad2d.

    >>> ReplicationPad2d((2, 1, 0, 0))(np.float32([[[[5, 6, 7]]]]))
    array([[[[5., 5., 5., 6., 7., 7.]]]], dtype=float32)
    """

    mode = "replicate"


class CircularPad2d(_Pad2d):
    """A margin in which the image goes on from its other side: 1 2 | 0 1 2 | 0 1.

    padding is an integer or, in PyTorch's order, (left, right, top, bottom), at most as large as the image and not
    negative. Shapes as for ZeroPad2d. ValueError for images that are too small.

    >>> CircularPad2d((2, 1, 0, 0))(np.float32([[[[5, 6, 7]]]]))
    array([[[[6., 7., 5., 6., 7., 5.]]]], dtype=float32)
    """

    mode = "circular"
