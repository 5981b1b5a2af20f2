"""Arrays of which some axes have length 1, met with whole ones; and sums over these axes, which are the way back."""
from fastnet.kernels import axes, checks
from fastnet.kernels.shapes.kind import Kind, alike, arriving, fits


def multiply(a, b):
    """a b, element by element, in the shape of a. b has as many axes, each as long as that of a, or of length 1: then
    its one number meets all of a's. The gradient for a is multiply(dy, b)."""
    y = alike(a, "a")
    checks.real(b, "b")
    axes.broadcasts(b.shape, a.shape)
    return y


def multiply_backward(dy, a, b_shape):
    """db of that shape: the sum of dy a over the axes in which it has length 1 and a has not."""
    db = alike(dy, "dy")
    fits(a, dy.shape, "a")
    axes.broadcasts(tuple(b_shape), dy.shape)
    return Kind(tuple(b_shape), db.dtype)


def prelu_forward(x, w):
    """y = x where x > 0, else w x; w (1,), or one number for each place of axis 1. x has any shape. Source: He et al.,
    Delving deep into rectifiers, 2015, equation 1."""
    y = alike(x, "x")
    checks.real(w, "w")
    axes.slopes(w.shape, x.shape)
    return y


def prelu_backward(dy, x, w):
    """dx = dy where x > 0, else w dy; dw = the sum of dy x over where x is not above 0, of each place of axis 1 where w
    has a number for each. A NaN in x counts as not above 0."""
    dx = prelu_forward(dy, w)
    fits(x, dy.shape, "x")
    return dx, Kind(tuple(w.shape), dx.dtype)


def mean(x, dims):
    """The mean over these axes, a tuple of different ones, which are left with length 1."""
    checks.not_empty(x.shape)
    return Kind(axes.without(x.shape, dims), checks.result_dtype(x, "x"))


def mean_backward(dy, x_shape, dims):
    """dx: dy, in which these axes have length 1, over the number of elements that each mean is of; of shape x_shape."""
    checks.not_empty(x_shape)
    return Kind(tuple(x_shape), arriving(dy, axes.without(x_shape, dims)))


