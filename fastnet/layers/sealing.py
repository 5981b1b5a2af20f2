"""Nets whose weights stay as they are, which inference then need not look at."""
from fastnet import arguments
from fastnet.layers import state
from fastnet.layers.base import Layer
from fastnet.sealed import is_sealed, sealed


def seal(net):
    """Put the weights and statistics of a net where nobody can write to them, for inference. Returns the net.

    Inference computes other forms of the weights of convolutions once, and before each pass reads these weights to see
    whether somebody has written into one: of a single image that is 7 to 16 % of the time. Weights that are sealed are
    not looked at. They are copies, so that arrays taken from the net before do not belong to it any more; writing into
    ``parameter.value``, and so training, raises ValueError. An array that is assigned to it, as `load_state_dict` does,
    can be written to as ever. Within ``bfloat16_products()`` Linear layers, too, keep another form of sealed weights
    where the processor has AMX, of bfloat16 numbers: it takes half the time to read, and what comes out is 0.002 off.
    Copies of the net, and nets that are loaded, are not sealed. Code that is not NumPy's may still write, as through
    ``torch.from_numpy``, which warns: then the forms stay what they were.

    `unseal` is the way back. TypeError where net is no layer.

    >>> net = seal(fastnet.Linear(2, 1))
    >>> net.weight.value[0, 0] = 1
    Traceback (most recent call last):
        ...
    ValueError: assignment destination is read-only
    """
    return _assigned(net, "seal", sealed)


def unseal(net):
    """Let the weights and statistics of a net be written to again. Returns the net. TypeError where net is no layer.

    >>> net = unseal(seal(fastnet.Linear(2, 1)))
    >>> net.weight.value[0, 0] = 1
    """
    return _assigned(net, "unseal", lambda array: array.copy() if is_sealed(array) else array)


def _assigned(net, who, change):
    """Assign what becomes of each array of a net's state that holds real numbers."""
    arguments.instance(net, Layer, f"{who}: net", "a layer")
    for array, owner, name, _ in state.entries(net).values():
        if array.dtype.kind == "f" and (new := change(array)) is not array:
            setattr(owner, name, new)
    return net
