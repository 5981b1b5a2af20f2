"""Looking inside a net: what each of its layers gives, and the gradients that arrive there."""
import contextlib
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.program import watch as watch_
from fastnet.program.watch import Watch, chosen


class LayerGradient(NamedTuple):
    """What a layer gave, and the gradient for that; each an array, or a tuple or dictionary of them.

    >>> net, x = fastnet.Sequential(fastnet.ReLU(), fastnet.Flatten()).to("naive"), np.float32([[-1, 2]])
    >>> found = fastnet.gradients(net, x, np.float32([[3, 5]]))["0"]
    >>> found.y, found.dy
    (array([[0., 2.]], dtype=float32), array([[3., 5.]], dtype=float32))
    """

    y: np.ndarray
    dy: np.ndarray


def watch(net, function, names=None):
    """Within ``with watch(net, function):`` the function is called for what the layers of a net give: ``function(name,
    what, array)`` with the layer's path, as in ``net[name]``, "y" for what it gives in a forward pass or "dy" for the
    gradient of that in a backward pass, and the array, or tuple or dictionary of arrays.

    `names` are paths or patterns of them, one or a list: ``["conv1", "features.*"]``; without them all layers that hold
    no others are watched. It sees all passes that this thread makes meanwhile: of the net, of one that holds it, by a
    Trainer or `predict` too. These run node by node, as the layers are written, which gives the same numbers and takes
    longer. Nothing stays on the layers, and other threads run the net unseen.

    The function only looks: arrays are read-only, take a ``copy()`` of one to write into, and what it returns is
    ignored. To change what a layer gives, put another in its place: ``net["3"] = Sequential(net["3"], Mine())``. An
    error that it raises ends the pass, which then has changed nothing. A layer of one's own that computes by NumPy is
    seen as a whole, and of layers that it calls only those called as ``self.inner(x)``.

    >>> import numpy as np, fastnet
    >>> net = fastnet.Sequential(fastnet.Flatten(), fastnet.ReLU()).to("naive")
    >>> with fastnet.watch(net, lambda name, what, array: print(name, what, array.shape, array.min())):
    ...     y = net(np.full((2, 3, 1, 1), -1.0, np.float32))
    0 y (2, 3) -1.0
    1 y (2, 3) 0.0

    TypeError or ValueError for a net, function or names that are none.
    """
    _checked(net, "watch")
    arguments.function(function, "watch: function")
    chosen(net, names)
    return watch_.watched(Watch(net, function, names))


def activations(net, x, names=None, training=False):
    """What each layer of a net gives for x: a dictionary from its path to an array, or a tuple or dictionary of arrays.

    `names` are paths or patterns of them, one or a list: ``["layer1", "layer4.*"]``; without them all layers that hold
    no others, in the order in which they are called. With `training` norms use the batch, and dropouts are at work.
    The arrays are those before anything is fused, a batch norm folded or a ReLU taken along; they are read-only, take a
    ``copy()`` of one to write into. Nothing is left behind: no statistics move, no random numbers are used up.

    >>> import numpy as np, fastnet
    >>> net = fastnet.Sequential(fastnet.Flatten(), fastnet.ReLU()).to("naive")
    >>> fastnet.activations(net, np.full((1, 2, 1, 1), -1.0, np.float32))
    {'0': array([[-1., -1.]], dtype=float32), '1': array([[0., 0.]], dtype=float32)}

    TypeError or ValueError for names that fit no layer, for layers that the pass does not reach, and as from the net
    itself.
    """
    _checked(net, "activations")
    training = arguments.flag(training, "activations: training")
    with _collected(net, names) as found:
        net.runner.look(net, x, training)
    return _reached(net, found["y"], names)


def gradients(net, x, dy, names=None):
    """What each layer of a net gives for x, and the gradient for that where dy is the gradient for ``net(x)``: a
    dictionary from the layer's path to a `LayerGradient`, a pair (y, dy).

    As in `input_gradient` norms use their running statistics, dropouts pass everything on, and the net is left as it
    was. `names` are as in `activations`. `fastnet.checks.grad_cam` makes a picture of the y and dy of a convolution.

    >>> import numpy as np, fastnet
    >>> net = fastnet.Sequential(fastnet.ReLU(), fastnet.Flatten()).to("naive")
    >>> fastnet.gradients(net, np.ones((1, 2, 1, 1)), np.full((1, 2), 3.0), "1")["1"].dy
    array([[3., 3.]])

    TypeError or ValueError as from `activations` and the net itself; a layer that no gradient reaches has None as dy.
    """
    _checked(net, "gradients")
    with _collected(net, names) as found:
        net.runner.input_gradient(net, x, dy)
    return {name: LayerGradient(y, found["dy"].get(name)) for name, y in _reached(net, found["y"], names).items()}


def _checked(net, who):
    arguments.having(net, ("program", "named_layers"), f"{who}: net", "a layer")


@contextlib.contextmanager
def _collected(net, names):
    """{"y": {name: tree}, "dy": ...} of what this net's layers give within the `with` block; nobody else is told."""
    found = {"y": {}, "dy": {}}
    one = Watch(net, lambda name, what, tree: found[what].update({name: tree}), names)
    with watch_.unwatched(), watch_.watched(one):
        yield found


def _reached(net, found, names):
    """What was found; ValueError where what somebody asked for by name was not."""
    missing = [] if names is None else [name for name in chosen(net, names) if name not in found]
    if missing:
        raise ValueError(f"{net.label}: the pass does not show {', '.join(map(repr, missing[:4]))}: such a layer is "
                         "not called, or it is called by one that computes with NumPy and is seen as a whole; derive "
                         "that one from Container")
    return found
