"""Activations that learn: slopes, and the largest of several linear functions."""
from fastnet import arguments
from fastnet import init as init_
from fastnet.init.shapes import LARGEST
from fastnet.layers.base import Layer, keywords, value_of
from fastnet.layers.formula import formula, named_errors
from fastnet.layers.shape import reshaped
from fastnet.parameter import Parameter


class PReLU(Layer):
    """y = x where x > 0, else weight x, for an x of any shape; weight (num_parameters,) is one slope, or one for each
    channel, axis 1, and starts as `init`.

    ValueError for numbers and inputs that do not fit. Weight decay draws the slope to 0: leave it out of that. He et
    al., Delving deep into rectifiers (2015), equation 1.

    >>> PReLU(init=0.5)(np.float32([-2, 2]))
    array([-1.,  2.], dtype=float32)
    """

    traceable, options = True, ("num_parameters", "init")

    @named_errors
    def __init__(self, num_parameters=1, init=0.25):
        self.set_options(num_parameters=num_parameters, init=init)
        self.weight = Parameter(init_.constant(self.num_parameters, self.init))

    def check(self, num_parameters, init):
        num_parameters = arguments.size(num_parameters, "num_parameters")
        self.check_size(num_parameters)
        return {"num_parameters": num_parameters, "init": arguments.number(init, "init", -LARGEST, LARGEST)}

    @formula
    def forward(self, x, training=False):
        if self.num_parameters > 1 and (x.ndim < 2 or x.shape[1] != self.num_parameters):
            raise ValueError(f"expected x with {self.num_parameters} channels along axis 1, got x of shape {x.shape}")
        y = self.ops.prelu_forward(x, self.weight.value)
        if training:
            self.saved = (x,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x, = self.take_saved()
        dx, dw = self.ops.prelu_backward(dy, x, self.weight.value)
        if self.trains():
            self.weight.grad = dw
        return dx if need_dx else None

    def arguments(self):
        return f"num_parameters={self.num_parameters}" + keywords(init=(self.init, 0.25))


class Maxout(Layer):
    """y[n, k] = the largest of z[n, k, j] over j < pieces, z = x w^T + b; x (N, C), weight (K pieces, C) and bias (K
    pieces,), those of an output's pieces one after the other, y (N, K). The gradient goes to the piece that won, to the
    first one of equals.

    It is for rows; for images a `Conv2d` to K pieces channels is what computes z. Weight and bias start as those of
    `Linear`. ValueError for sizes and inputs that do not fit. Goodfellow et al., Maxout networks (2013), section 2.

    >>> layer = Maxout(1, 1, pieces=2, bias=False)
    >>> layer.weight.value = np.array([[1], [-1]])  # the larger of x and -x
    >>> layer(np.float32([[-3], [2]])).ravel()
    array([3., 2.], dtype=float32)
    """

    traceable, options = True, ("in_features", "out_features", "pieces")

    @named_errors
    def __init__(self, in_features, out_features, pieces, bias=True):
        self.set_options(in_features=in_features, out_features=out_features, pieces=pieces)
        bias = arguments.flag(bias, "bias")
        shape = self.out_features * self.pieces, self.in_features
        self.weight = Parameter(init_.uniform_fan_in(shape))
        bound = init_.fans(shape)[0] ** -0.5
        self.bias = Parameter(init_.uniform(shape[:1], -bound, bound)) if bias else None

    def check(self, in_features, out_features, pieces):
        in_features, out_features = (arguments.size(value, name) for value, name in
                                     ((in_features, "in_features"), (out_features, "out_features")))
        pieces = arguments.size(pieces, "pieces")
        if pieces > _PIECES:
            raise ValueError(f"pieces must be at most {_PIECES}, got {pieces}")
        self.check_size(out_features * pieces, in_features)
        return {"in_features": in_features, "out_features": out_features, "pieces": pieces}

    @formula
    def forward(self, x, training=False):
        z = self.ops.linear_forward(x, self.weight.value, value_of(self.bias))
        images = (x.shape[0], self.out_features, self.pieces, 1)    # pieces are pixels, of which the largest is taken
        y, index = self.ops.maxpool2d_forward(reshaped(self.ops, z, images), *self._window)
        if training:
            self.saved = (x, index, images)
        return reshaped(self.ops, y, images[:2])

    @formula
    def backward(self, dy, need_dx=True):
        x, index, images = self.take_saved()
        n, k, pieces, _ = images
        dy = reshaped(self.ops, dy, (n, k, 1, 1))
        dz = reshaped(self.ops, self.ops.maxpool2d_backward(dy, index, images, *self._window, (0, 0, 0, 0)),
                      (n, k * pieces))
        if self.trains():
            self.weight.grad, db = self.ops.linear_backward_weight(dz, x, bias=self.bias is not None)
            if self.bias is not None:
                self.bias.grad = db
        return self.ops.linear_backward_input(dz, self.weight.value) if need_dx else None

    @property
    def _window(self):
        return (self.pieces, 1), (self.pieces, 1)

    def arguments(self):
        return (f"{self.in_features}, {self.out_features}, pieces={self.pieces}"
                + keywords(bias=(self.bias is not None, True)))


_PIECES = 65_534    # as many as max-pooling can tell apart
