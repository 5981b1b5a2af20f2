"""Where a number that is not finite came from.

A trainer looks at two things in every step: the loss, and the sum of each parameter's gradient (one pass over memory
that the optimiser reads anyway, well under a hundredth of a step). Only when one of them is not finite does the search
below run, and may then be slow.
"""
from math import isfinite

import numpy as np

# Numbers whose squares BLAS adds up sooner than NumPy the numbers: so few that it does so in this thread.
_FEW = 8192


class NonFiniteError(FloatingPointError):
    """The loss or a gradient became NaN or infinite.

    The update of that step was not made: the weights are those from before it. The running statistics of batch
    normalisation have seen the bad pass.

    >>> issubclass(NonFiniteError, FloatingPointError)
    True
    """


def finite(array):
    """Whether all numbers of `array` are finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        # A finite sum proves it in one fast pass; a sum can also overflow, so a bad one is looked at closely.
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def bad_gradients(named_parameters):
    """The names of the parameters whose gradient is not finite, in the net's order."""
    found = [(name, grad) for name, parameter in named_parameters if (grad := parameter.grad) is not None]
    total, large = 0.0, []
    for _, grad in found:
        if type(grad) is np.ndarray and grad.size <= _FEW:
            total += float(np.vdot(grad, grad))
        else:
            large.append(grad)
    if large:
        with np.errstate(over="ignore", invalid="ignore"):
            total += sum([float(np.add.reduce(grad, axis=None)) for grad in large])
    return [] if isfinite(total) else [name for name, grad in found if not finite(grad)]


def find_cause(net, loss_function, x, labels):
    """In words: what first went bad when `net` is trained on the batch x, labels, and what to do about it.

    Suspects in order: the batch, the weights, the output of each layer as the forward pass meets them, the loss, then
    the gradients of each layer as the backward pass meets them. The pass is run once more for that, with the same
    random numbers, and leaves no trace.
    """
    for what, given in (("images", x), ("labels", labels)):
        for array in leaves(given):
            if not finite(array):
                return f"the {what} of this batch hold {count(array)}, look at the data"
    for name, parameter in net.named_parameters():
        if not finite(parameter.value):
            return f'the weights were bad before this step, "{name}" holds {count(parameter.value)}'
    found = []

    def seen(label, what, array):
        if found or array.dtype.kind != "f" or finite(array):
            return
        if what == "y":
            found.append(f"the first bad output is that of {label}, with {count(array)}")
        elif what == "dx":
            found.append(f"the first bad gradient is the one that leaves {label}, with {count(array)}")
        else:
            found.append(f"the first bad gradient is that of {what} in {label}, with {count(array)}")

    def gradient(logits):
        value, dlogits = loss_function(logits, labels)
        if not found and not np.isfinite(value):
            most = max(np.abs(array).max() for array in leaves(logits))
            found.append(f"all layers gave finite outputs, the last up to {most:.3g}, the loss did not")
        return None if found else dlogits

    net.step_through(x, gradient, seen)
    if not found:
        return "running the step again gave finite numbers"
    return f"{found[0]}, try a lower learning rate"


def leaves(given):
    """The arrays of numbers in a batch's part, which may be a tuple, list or dictionary of them."""
    if isinstance(given, (tuple, list, dict)):
        parts = given.values() if isinstance(given, dict) else given
        return [array for part in parts for array in leaves(part)]
    array = np.asarray(given)
    return [array] if array.dtype.kind in "fiub" else []


def count(array):
    """The bad numbers of an array, in words."""
    array = np.asarray(array)
    return f"{np.isnan(array).sum()} NaN and {np.isinf(array).sum()} infinite among {array.size} numbers"
