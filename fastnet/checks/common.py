"""What the checks share: copies that may be spoilt, losses that are judged."""
import copy

import numpy as np

from fastnet import arguments
from fastnet.program import trees
from fastnet.training.batches import judged, loss_function, size


def checked_net(net, who):
    """`net`; TypeError for what is none."""
    return arguments.having(net, ("forward", "backward", "named_parameters", "named_layers"), f"{who}: net", "a net")


def spare(net, who):
    """A copy of a net without gradients, that may be spoilt; TypeError for what is none."""
    other = copy.deepcopy(checked_net(net, who))
    for parameter in other.parameters():
        parameter.grad = None
    return other


def without_noise(net):
    """Let all layers that draw random numbers pass everything on, in place."""
    for _, layer in net.named_layers():
        if hasattr(layer, "frozen") and hasattr(layer, "generator"):
            layer.frozen = True
    return net


def batch(x, y, who):
    """(x, y, how many samples) of a batch, lists of targets being made arrays; TypeError or ValueError for no batch."""
    trees.check(x, f"{who}: x"), trees.check(y, f"{who}: y")
    x = trees.map(lambda one: arguments.array(one, f"{who}: x"), x)
    y = trees.map(lambda one: arguments.values(one, f"{who}: y"), y)
    count = size(x, f"{who}: x")
    for name, tree in (("x", x), ("y", y)):
        for one in trees.flat(tree):
            if one.shape[:1] != (count,):
                raise ValueError(f"{who}: {name} must hold one row for each of the {count} samples of x, got "
                                 f"{arguments.shown(one)}")
    return x, y, count


def measured(net, loss, x, y, who, weight=None):
    """(value, gradient for y, (targets met, targets) or None) of a training pass, whose backward may follow."""
    try:
        return judged(loss, net.forward(x, training=True), y, who, weight)
    except (TypeError, ValueError) as error:
        net.saved = None    # no backward pass follows
        text = str(error)
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(text if text.startswith(who) else f"{who}: loss(net(x), y): {text}") from error


def checked_loss(loss, who):
    """`loss`, which can be called; no class."""
    return loss_function(loss, f"{who}: loss")


def size_of(array):
    """The Euclidean norm of all numbers, in float64."""
    return float(np.linalg.norm(np.asarray(array, np.float64).ravel()))
