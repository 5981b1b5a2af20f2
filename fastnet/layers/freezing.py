"""Layers that are left as they are while others train."""
from fastnet import arguments
from fastnet.layers.base import Layer
from fastnet.program import watch
from fastnet.program.trace import here


class Freezable(Layer):
    """A layer that does something else in training than at inference, unless it is `frozen`: then it behaves in
    training as at inference, but saves what backward needs. See `fastnet.freeze`."""

    frozen = False

    def check_attribute(self, name, value):
        return arguments.flag(value, name) if name == "frozen" else super().check_attribute(name, value)

    @property
    def is_frozen(self):
        """Whether it is, or all such layers are in the pass under way, as in `input_gradient`."""
        return self.frozen or here.frozen


def freeze(net, pattern="*"):
    """Leave those layers of a net as they are in the training to come whose path, as in "features.3", fits the pattern
    (as for files: ``"features.*"``), and all inside them: their parameters take no gradient (requires_grad = False),
    norms use their running statistics and no longer move them, dropouts pass everything on. Returns the net.

    `unfreeze` is the way back. ValueError where no layer fits.

    >>> net = freeze(fastnet.Sequential(fastnet.Linear(2, 3), fastnet.Linear(3, 1)), "0")
    >>> [name for name, parameter in net.named_parameters() if parameter.requires_grad]
    ['1.weight', '1.bias']
    """
    return _set_frozen(net, pattern, True)


def unfreeze(net, pattern="*"):
    """Let those layers of a net learn again that `freeze` stopped. Returns the net.

    >>> net = freeze(fastnet.Sequential(fastnet.Linear(2, 3), fastnet.Linear(3, 1)))
    >>> [name for name, parameter in unfreeze(net, "1").named_parameters() if parameter.requires_grad]
    ['1.weight', '1.bias']
    """
    return _set_frozen(net, pattern, False)


def _set_frozen(net, pattern, frozen):
    arguments.instance(net, Layer, "net", "a layer")
    if not isinstance(pattern, str):
        raise TypeError(f'{net.label}: pattern must be a string such as "features.*", got {arguments.shown(pattern)}')
    for layer in watch.fitting(net, pattern).values():
        for _, part in layer.named_layers():
            if isinstance(part, Freezable):
                part.frozen = frozen
        for parameter in layer.parameters():
            parameter.requires_grad = not frozen
    return net


def input_gradient(net, x, dy):
    """dx of ``y = net(x)`` for the gradient dy, as at inference: norms use their running statistics, dropouts pass
    everything on, and the net is left as it was, gradients of its parameters included.

    >>> x = np.float32([[-1, 2]])
    >>> input_gradient(fastnet.ReLU(), x, np.ones_like(x))
    array([[0., 1.]], dtype=float32)
    """
    return arguments.instance(net, Layer, "net", "a layer").runner.input_gradient(net, x, dy)
