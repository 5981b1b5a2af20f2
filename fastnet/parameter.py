"""A parameter: an array that training changes, and its gradient."""
from operator import attrgetter

import numpy as np

from fastnet import arguments, changes, habits
from fastnet.sealed import is_sealed


class Parameter:
    """`value`, a contiguous float32 or float64 array of its own, and `grad`, which each backward pass assigns.

    The numbers given, an array or a list, are copied, because optimisers write into `value`. An array that is assigned
    to `value` later stays as it is where it has the parameter's dtype, can be written to (or is of `fastnet.seal`), and
    its numbers lie in order; any other is copied, and converted to that dtype, which `astype` alone changes. `grad` is
    None until the first backward pass; optimisers check it before they use it. Each backward pass lets go of the last
    gradient as it begins, so that its memory serves the new one: an array that somebody keeps stays as it is, and a
    pass that is interrupted leaves None.
    With `requires_grad` False the parameter is frozen: `grad` is None and stays it whatever is assigned, layers leave
    out the work for it, and optimisers pass it by.
    TypeError for values that are not real numbers, ValueError for numbers beyond the dtype; then nothing is changed.

    >>> layer = fastnet.Linear(2, 1)
    >>> layer.weight = Parameter([[1, 10]])
    >>> y = layer.forward(np.float32([[3, 2]]), training=True)
    >>> dx = layer.backward(np.float32([[1]]))
    >>> layer.weight.grad  # of y = weight x + bias
    array([[3., 2.]], dtype=float32)
    """

    __slots__ = ("_value", "_grad", "_requires_grad")

    def __init__(self, value, requires_grad=True):
        value = arguments.values(value, "Parameter: value")
        wanted = np.dtype(np.float64 if value.dtype == np.float64 else np.float32)
        self._value = arguments.converted(value, wanted, "Parameter: value")
        self.requires_grad = requires_grad

    # Written in C: optimisers and nets ask for them again and again.
    value = property(attrgetter("_value"), doc="The numbers.")
    grad = property(attrgetter("_grad"), doc="The gradient of the last backward pass.")

    @value.setter
    def value(self, value):
        if type(value) is not np.ndarray or value.dtype != self._value.dtype \
                or not (value.flags.carray or is_sealed(value)):
            name = "Parameter: value"
            value = arguments.converted(arguments.array(value, name), self._value.dtype, name)
        self._value = value
        changes.note()

    def astype(self, dtype):
        """Let the numbers be float32 or float64; the gradient stays what it is. ValueError for any other dtype, and for
        numbers beyond it."""
        dtype = arguments.dtype(dtype, "Parameter: dtype")
        if dtype != self._value.dtype:
            self._value = arguments.converted(self._value, dtype, "Parameter: value")
            changes.note()

    @property
    def requires_grad(self):
        """Whether training changes this parameter."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self._requires_grad = arguments.flag(value, "Parameter: requires_grad")
        self._grad = None
        changes.note()

    @grad.setter
    def grad(self, value):
        value = value if self._requires_grad else None
        if changes.here.gradients is None:
            self._grad = value
        else:
            changes.here.gradients[self] = value

    def __getattr__(self, name):
        return habits.look_up(self, name, "Parameter", habits.PARAMETER)

    @property
    def shape(self):
        return self.value.shape

    @property
    def size(self):
        return self.value.size

    def __array__(self, dtype=None, copy=None):
        """``np.asarray(parameter)`` is its numbers."""
        return np.array(self._value, dtype=dtype, copy=copy)

    def __repr__(self):
        frozen = "" if self.requires_grad else ", requires_grad=False"
        return f"Parameter(shape={self.shape}, dtype={self.value.dtype}{frozen})"
