"""Element by element."""
from numbers import Real

from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.activations import ACTIVATIONS, reads
from fastnet.kernels.shapes.kind import Kind, alike, fits


def activation_forward(x, function, alpha=0.0, beta=0.0):
    """y = f(x), element by element, for an x of any shape; NaN stays NaN. `function` is the name of a row of
    `activations`, alpha and beta are its numbers. ValueError for any other name, and for numbers that it refuses."""
    _activation(function, alpha, beta)
    return alike(x, "x")


def activation_backward(dy, kept, function, alpha=0.0, beta=0.0):
    """dx = dy f'(x); `kept` is the x or the y of activation_forward, whichever the function's row `reads`."""
    _activation(function, alpha, beta)
    dx = alike(dy, "dy")
    fits(kept, dx.shape, reads(function))
    return dx


def dropout(x, p, key, axes=None):
    """y = x / (1 - p) where the random number of that element is at least p, else 0, for an x of any shape; backward
    is dx = dropout(dy, p, key, axes). The random number is a hash of `key`, an integer taken modulo 2^64 or what `draw`
    returned, and of the element's place in (N, H, W, C) order for images, in C order for other shapes, as `counter`
    tells. 1 / (1 - p) is rounded to the dtype of x and then multiplied.

    With `axes` elements share random numbers: all that have the same places in the first so many axes, 0 to 2, have the
    number of an element with these places in an array of these axes alone. ValueError where p is not in [0, 1].
    Source: Srivastava et al., Dropout, 2014; of whole channels Tompson et al., Efficient object localization using
    convolutional networks, 2015."""
    arguments.number(p, "p", 0, 1)
    checks.dropout_key(key)
    if axes is not None:
        if arguments.integer(axes, "axes", 0, 2) > len(x.shape):
            raise ValueError(f"expected x with {axes} axes at least, got x of shape {tuple(x.shape)}")
    return alike(x, "x")


def draw(generator):
    """A key for `dropout`, a uint64 array of two words, from the next integer of a numpy.random.Generator: the same
    on every backend, see `counter.draw`. Here nothing is drawn."""
    checks.draws_integers(generator)
    return Kind((2,), checks.UINT64)


def add(a, b):
    """a + b for two arrays of one shape, any."""
    y = alike(a, "a")
    fits(b, y.shape, "b")
    return y


def _activation(function, alpha, beta):
    """Refuse a function that is none, and numbers that make none of it whose derivative follows."""
    arguments.choice(function, tuple(ACTIVATIONS), "function")
    if not isinstance(alpha, Real) or not isinstance(beta, Real):
        raise TypeError(f"alpha and beta must be numbers, got {arguments.shown(alpha)} and {arguments.shown(beta)}")
    trouble = ACTIVATIONS[function].refuses(alpha, beta)
    if trouble:
        raise ValueError(f"{function}: {trouble}")
