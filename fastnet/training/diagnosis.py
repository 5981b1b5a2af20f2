"""Where a number that is not finite came from.

A trainer looks at two things in every step: the loss, and the sum of each parameter's gradient (one pass over memory
that the optimiser reads anyway, well under a hundredth of a step). Only when one of them is not finite does the search
below run, and may then be slow.
"""
from functools import wraps

import numpy as np


class NonFiniteError(FloatingPointError):
    """The loss or a gradient became NaN or infinite.

    The update of that step was not made: the weights are those from before it. The running statistics of batch
    normalisation have seen the bad pass.
    """


def finite(array):
    """Whether all numbers of `array` are finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        # A finite sum proves it in one fast pass; a sum can also overflow, so a bad one is looked at closely.
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def bad_gradients(named_parameters):
    """The names of the parameters whose gradient is not finite, in the net's order."""
    return [name for name, parameter in named_parameters
            if parameter.grad is not None and not finite(parameter.grad)]


def find_cause(net, loss_function, x, labels):
    """In words: what first went bad when `net` is trained on the batch x, labels, and what to do about it.

    Suspects in order: the batch, the weights, the output of each layer as the forward pass meets them, the loss, then
    the gradients of each layer as the backward pass meets them. The pass is run once more for that, so gradients and
    the statistics of batch normalisation change; the weights do not.
    """
    for what, array in (("images", x), ("labels", labels)):
        if not finite(np.asarray(array)):
            return f"the {what} of this batch hold {count(array)}, look at the data"
    for name, parameter in net.named_parameters():
        if not finite(parameter.value):
            return f'the weights were bad before this step, "{name}" holds {count(parameter.value)}'
    found = []
    layers = [layer for _, layer in net.named_layers()]
    for layer in layers:
        _watch(layer, found)
    try:
        logits = net.forward(x, training=True)
        value, dlogits = loss_function(logits, labels)
        if not found and np.isfinite(value):
            net.backward(dlogits, need_dx=False)
        elif not found:
            found.append(f"all layers gave finite outputs, the last up to {np.abs(logits).max():.3g}, the loss did not")
    finally:
        for layer in layers:
            del layer.forward, layer.backward  # what the class defines comes to light again
    if not found:
        return "running the step again gave finite numbers, as it may with dropout"
    return f"{found[0]}, try a lower learning rate"


def count(array):
    """The bad numbers of an array, in words."""
    array = np.asarray(array)
    return f"{np.isnan(array).sum()} NaN and {np.isinf(array).sum()} infinite among {array.size} numbers"


def _watch(layer, found):
    """Shadow the layer's forward and backward by ones that put the first bad result into `found`.

    A layer inside another one returns before it, so the innermost is found.
    """
    forward, backward = layer.forward, layer.backward

    @wraps(forward)  # plans read the signature
    def watched_forward(*args, **kwargs):
        y = forward(*args, **kwargs)
        if not found and not finite(y):
            found.append(f"the first bad output is that of {layer.label}, with {count(y)}")
        return y

    @wraps(backward)
    def watched_backward(*args, **kwargs):
        dx = backward(*args, **kwargs)
        for name, parameter in layer.named_parameters():
            if not found and parameter.grad is not None and not finite(parameter.grad):
                found.append(f'the first bad gradient is that of {name} in {layer.label}, with {count(parameter.grad)}')
        for array in dx if isinstance(dx, list) else [dx]:
            if not found and array is not None and not finite(array):
                found.append(f"the first bad gradient is the one that leaves {layer.label}, with {count(array)}")
        return dx

    layer.forward, layer.backward = watched_forward, watched_backward
