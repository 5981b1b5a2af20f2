"""Losses that compare numbers element by element, and what is added to a loss for the size of weights."""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.pointwise import LOSSES
from fastnet.kernels.shapes.kind import PYTHON_FLOAT, alike, fits


def pointwise_loss(x, target, function, alpha=0.0, beta=0.0, weight=None, scale=None):
    """(scale times the sum over all elements of weight f(x, target), a Python float; its gradient for x), f being a row
    of `fastnet.kernels.pointwise.LOSSES`.

    x, target and weight, 1 where it is None, have one shape; a scale of None is 1 / size, which gives the mean.
    """
    result = alike(x, "x")
    for array, name in ((target, "target"), (weight, "weight")):
        if array is not None or name == "target":
            fits(array, result.shape, name)
    row = LOSSES[arguments.choice(function, tuple(LOSSES), "function")]
    refused = row.refuses(arguments.number(alpha, "alpha"), arguments.number(beta, "beta"))
    if refused:
        raise ValueError(f"{function}: {refused}, got alpha {alpha} and beta {beta}")
    if scale is not None:
        arguments.number(scale, "scale")
    return PYTHON_FLOAT, result


def weight_penalty(value, grad, l1=0.0, l2=0.0):
    """(l1 sum of |value| + l2 sum of value^2, a Python float; grad plus the derivative of that, l1 sign(value) + 2 l2
    value): what keeps weights small (Zou and Hastie, Regularization and variable selection via the elastic net, 2005).
    Both arrays have one shape."""
    result = alike(value, "value")
    fits(grad, result.shape, "grad")
    for name, number in (("l1", l1), ("l2", l2)):
        arguments.number(number, name, 0)
    return PYTHON_FLOAT, result


def clip_rows(x, limit):
    """y[n] = x[n] min(1, limit / norm(x[n])) for the rows of x (N, C), the norm being the root of the sum of squares
    (Srivastava et al., Dropout, 2014, section 5.1)."""
    checks.scores(x.shape)
    arguments.number(limit, "limit", above=0)
    return alike(x, "x")
