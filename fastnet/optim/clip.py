"""Clipping gradients, as functions between backward and step. An optimiser's max_norm does the first of them in the
pass that updates."""
from math import inf, isfinite

import numpy as np

from fastnet import arguments, kernels
from fastnet.parameter import Parameter


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Multiply all gradients by min(1, max_norm / (norm + 1e-6)); returns norm, a float: (sum |g|^p)^(1 / p) over all
    numbers g of all gradients for p = norm_type, the largest |g| for p = inf, before clipping.

    Parameters without a gradient are passed by. The gradients become new arrays, those that were there stay as they
    are. A norm that is not finite is an error with `error_if_nonfinite`, else it comes through as in PyTorch: a NaN
    makes all gradients NaN, an infinity makes them 0 and itself NaN. ValueError or TypeError for what does not fit;
    nothing is changed then. PyTorch's clip_grad_norm_; Pascanu et al., On the difficulty of training recurrent neural
    networks (2013), algorithm 1.

    >>> weight = fastnet.Parameter([0, 0])
    >>> weight.grad = np.float32([3, 4])
    >>> clip_grad_norm([weight], 1), weight.grad.round(4)
    (5.0, array([0.6, 0.8], dtype=float32))
    """
    who = "clip_grad_norm"
    max_norm = _or_infinite(max_norm, f"{who}: max_norm", least=0)
    norm_type = _or_infinite(norm_type, f"{who}: norm_type", above=0)
    error_if_nonfinite = arguments.flag(error_if_nonfinite, f"{who}: error_if_nonfinite")
    found = _with_gradients(parameters, who)
    norm = _norm([grad for _, grad in found], norm_type)
    if error_if_nonfinite and not isfinite(norm):
        raise ValueError(f"{who}: the norm of the gradients is {norm}, so they cannot be clipped; look for what made "
                         "them so, or pass error_if_nonfinite=False")
    scale = min(max_norm / (norm + 1e-6), 1.0)  # of a NaN and 1, the first, which is the NaN
    if scale != 1:
        for parameter, grad in found:
            with np.errstate(invalid="ignore"):     # 0 times infinity
                parameter.grad = grad * grad.dtype.type(scale)
    return norm


def clip_grad_value(parameters, clip_value):
    """Move every number of every gradient into [-clip_value, clip_value]; NaN stays NaN.

    Parameters without a gradient are passed by. The gradients become new arrays, those that were there stay as they
    are. ValueError or TypeError for what does not fit; nothing is changed then. PyTorch's clip_grad_value_.

    >>> weight = fastnet.Parameter([0, 0, 0])
    >>> weight.grad = np.float32([3, -4, 1])
    >>> clip_grad_value([weight], 2)
    >>> weight.grad
    array([ 2., -2.,  1.], dtype=float32)
    """
    clip_value = arguments.number(clip_value, "clip_grad_value: clip_value", 0)
    for parameter, grad in _with_gradients(parameters, "clip_grad_value"):
        with np.errstate(over="ignore"):    # beyond all numbers of the dtype
            bound = grad.dtype.type(clip_value)
        parameter.grad = np.clip(grad, -bound, bound)


def _with_gradients(parameters, who):
    """(parameter, gradient) of those parameters, one or a list of them, that have one."""
    what = "Parameters, such as net.parameters()"
    given = [parameters] if isinstance(parameters, Parameter) else arguments.listed(parameters, f"{who}: parameters",
                                                                                    what)
    found = []
    for i, parameter in enumerate(given):
        arguments.instance(parameter, Parameter, f"{who}: parameters", what)
        if parameter.grad is not None:
            grad = arguments.array(parameter.grad, f"{who}: the gradient of parameters[{i}]")
            if grad.dtype not in (np.float32, np.float64):
                raise TypeError(f"{who}: the gradient of parameters[{i}] must be float32 or float64, got "
                                f"{arguments.shown(grad)}")
            found.append((parameter, grad))
    return found


def _or_infinite(value, name, **bounds):
    """A number within the bounds, or infinity."""
    return value if type(value) is float and value == inf else arguments.number(value, name, **bounds)


def _norm(grads, norm_type):
    """Of all numbers of all gradients, added up in float64."""
    if norm_type == 2:
        return kernels.load("cpu").sum_of_squares(grads) ** 0.5
    sizes = [np.abs(grad).astype(np.float64, copy=False) for grad in grads if grad.size]
    with np.errstate(over="ignore", under="ignore"):  # too large a sum is infinite
        if norm_type == inf:
            return float(max((size.max() for size in sizes), key=lambda one: (one != one, one), default=0.0))
        return float(sum((size**norm_type).sum() for size in sizes)) ** (1 / norm_type)
