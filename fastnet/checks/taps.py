"""Looking at what flows between the layers of a net: taps are put into a copy of it."""
import numpy as np

from fastnet.layers import Layer, Sequential


class Tap(Layer):
    """y = x, and whoever made it sees what comes by: ``forward(x)``, ``backward(dy)``, functions or None."""

    def __init__(self, forward=None, backward=None):
        vars(self).update(_told=(forward, backward))

    def forward(self, x, training=False):
        if self._told[0] is not None:
            self._told[0](x)
        if training:
            self.saved = ()
        return x

    def output_shape(self, input_shape):
        return input_shape      # so that no trial with zeros is seen

    def backward(self, dy, need_dx=True):
        self.take_saved()
        if self._told[1] is not None:
            self._told[1](dy)
        return dy


def tapped(net, path, forward=None, backward=None):
    """`net`, a copy that may be spoilt, with a `Tap` behind the layer at `path`; a net that is one layer becomes a row.
    """
    if not path:
        return Sequential(net, Tap(forward, backward))
    net[path] = Sequential(net[path], Tap(forward, backward))
    return net


def outputs(net, x, seen):
    """Call ``seen(layer, label, y)`` for each array that a layer without others in it gives at inference, in the order
    of the pass. `net` is a copy that may be spoilt."""
    leaves = [(path, layer, layer.label) for path, layer in net.named_layers() if not layer.named_children()]
    for path, layer, label in leaves:
        def tell(y, layer=layer, label=label):
            for one in y.values() if isinstance(y, dict) else y if isinstance(y, tuple) else (y,):
                if isinstance(one, np.ndarray) and one.dtype.kind == "f":
                    seen(layer, label, one)

        try:
            net = tapped(net, path, tell)
        except (TypeError, ValueError):
            pass    # what stands in a place for its kind alone, such as the merge of branches
    net(x)
