"""A parameter: an array that training changes, and its gradient."""
import numpy as np

from fastnet import changes


class Parameter:
    """`value`, a contiguous float32 or float64 array of its own, and `grad`, which each backward pass assigns.

    The array given is copied, because optimisers write into `value`. `grad` is None until the first backward pass.
    With `requires_grad` False the parameter is frozen: `grad` is None and stays it whatever is assigned, layers leave
    out the work for it, and optimisers pass it by.
    TypeError for values that are not real numbers.
    """

    __slots__ = ("_value", "_grad", "_requires_grad")

    def __init__(self, value, requires_grad=True):
        value = np.asarray(value)
        if value.dtype.kind not in "fiub":
            raise TypeError(f"a parameter must hold real numbers, got an array of dtype {value.dtype}")
        wanted = np.float64 if value.dtype == np.float64 else np.float32
        self.value = np.array(value, dtype=wanted, order="C")
        self.requires_grad = requires_grad

    @property
    def value(self):
        """The numbers."""
        return self._value

    @value.setter
    def value(self, value):
        self._value = value
        changes.note()

    @property
    def requires_grad(self):
        """Whether training changes this parameter."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self._requires_grad = bool(value)
        self._grad = None
        changes.note()

    @property
    def grad(self):
        """The gradient of the last backward pass."""
        return self._grad

    @grad.setter
    def grad(self, value):
        value = value if self._requires_grad else None
        if changes.here.gradients is None:
            self._grad = value
        else:
            changes.here.gradients[self] = value

    @property
    def shape(self):
        return self.value.shape

    @property
    def size(self):
        return self.value.size

    def __repr__(self):
        frozen = "" if self.requires_grad else ", requires_grad=False"
        return f"Parameter(shape={self.shape}, dtype={self.value.dtype}{frozen})"
