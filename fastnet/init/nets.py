"""New weights for a whole net."""
from fastnet import arguments


def apply(net, weight, bias=None):
    """Give every weight of `net` that has two axes or more the value ``weight(shape)``, in order; return `net`.

    With `bias`, every parameter named "bias" beside such a weight becomes ``bias(shape)``. The parameters of batch norm
    are left alone. ValueError where an initialiser returns another shape, and nothing is changed.

    >>> net = apply(fastnet.Linear(3, 1), fastnet.init.ones, bias=fastnet.init.zeros)
    >>> net(np.array([[1.0, 2.0, 4.0]]))
    array([[7.]], dtype=float32)
    """
    arguments.having(net, ("named_parameters",), "apply: net", "a layer")
    arguments.function(weight, "apply: weight", "a function of a shape, such as kaiming_normal")
    if bias is not None:
        arguments.function(bias, "apply: bias", "a function of a shape, such as zeros, or None")
    named = dict(net.named_parameters())
    todo = []
    for name, parameter in named.items():
        owner, _, last = name.rpartition(".")
        if last != "weight" or parameter.value.ndim < 2:
            continue
        todo.append((name, parameter, weight(parameter.shape)))
        companion = f"{owner}.bias" if owner else "bias"
        if bias is not None and companion in named:
            todo.append((companion, named[companion], bias(named[companion].shape)))
    values = []
    for name, parameter, value in todo:
        value = arguments.values(value, f"apply: the initial value of {name}")
        if value.shape != parameter.shape:
            raise ValueError(f"apply: the initial value of {name} must have shape {parameter.shape}, got {value.shape}")
        values.append(arguments.converted(value, parameter.value.dtype, f"apply: the initial value of {name}"))
    for (_, parameter, _), value in zip(todo, values, strict=True):
        parameter.value = value
    return net
