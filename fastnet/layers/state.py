"""State dictionaries: the values of all parameters and running statistics by PyTorch's names."""
from typing import NamedTuple

import numpy as np

from fastnet import arguments

_MOST = 8   # names of a kind that an error lists


class Loaded(NamedTuple):
    """What `load_state_dict` did not find, and what it had no use for: two lists of names, as in PyTorch."""

    missing_keys: list
    unexpected_keys: list


def entries(net):
    """What the state of a net consists of: {name: (the array, what takes another one, whether it may be missing)}."""
    found = {}
    for path, layer in net.named_layers():
        prefix = f"{path}." if path else ""
        for name, parameter in layer.own_parameters():
            found[prefix + name] = parameter.value, parameter, "value", False
        for name in layer.buffer_names:
            found[prefix + name] = np.asarray(getattr(layer, name)), layer, name, name in layer.may_miss
    return found


def load(net, state, strict):
    """See `Layer.load_state_dict`."""
    try:
        state = dict(state.items())
    except Exception:
        raise TypeError(f"{net.label}: state must be a dictionary from names to arrays, got {arguments.shown(state)}"
                        ) from None
    own = entries(net)
    new, wrong, sizes = {}, [], []
    for name, (old, *_) in own.items():
        if name in state:
            try:
                new[name] = _fitting(state[name], old)
            except (TypeError, ValueError) as error:
                wrong.append(f"{name} {error}")
                sizes += [name] * isinstance(error, _Shape)
    missing = [name for name, (*_, may_miss) in own.items() if name not in state and not may_miss]
    unexpected = [name if isinstance(name, str) else arguments.shown(name) for name in state if name not in own]
    problems = [*_listed("missing", missing if strict else []), *_listed("unexpected", unexpected if strict else []),
                *_listed("", wrong)]
    if problems:
        raise ValueError(f"{net.label}: the state does not fit, nothing was loaded: {'; '.join(problems)}"
                         f"{_remedy(sizes, own) if len(problems) == 1 and len(sizes) == len(wrong) else ''}")
    for name, value in new.items():
        _, owner, attribute, _ = own[name]
        setattr(owner, attribute, value)
    return Loaded(missing, unexpected)


class _Shape(ValueError):
    """A value is of another shape."""


def _remedy(sizes, own):
    """What to do where one layer in a net is of another size throughout; `sizes` are the names of such entries."""
    path = sizes[0].rpartition(".")[0] if sizes else ""
    if not path or sizes != [name for name in own if name.rpartition(".")[0] == path]:
        return ""
    return (": to give the net another layer in that place, such as a head for other classes, make the net of the "
            f"sizes of the state, load it, then assign net[{path!r}]")


def _fitting(value, old):
    """A copy of a value, an array or numbers in lists, in place of the array `old`; TypeError or ValueError, to be read
    behind its name."""
    try:
        value = arguments.values(value.detach() if hasattr(value, "detach") else value, "it")  # copies need no gradient
    except TypeError as error:
        dtype = getattr(value, "dtype", None)
        if dtype is None:
            raise TypeError(f"is {arguments.shown(value)}, expected an array") from None
        if isinstance(dtype, np.dtype) and dtype.kind not in "fiub":
            raise TypeError(f"has dtype {dtype}, expected {old.dtype}") from None
        raise TypeError(str(error).removeprefix("it ")) from None
    if value.shape != old.shape:
        raise _Shape(f"has shape {value.shape}, expected {old.shape}")
    if old.dtype.kind in "iu" and value.dtype.kind == "f":     # a counter that somebody saved with all else as floats
        if not (np.isfinite(value) & (value == np.floor(value)) & (np.abs(value) < 2.0**63)).all():
            raise ValueError(f"holds numbers that are not whole, expected {old.dtype}")
    elif not np.can_cast(value.dtype, old.dtype, "same_kind"):
        raise TypeError(f"has dtype {value.dtype}, expected {old.dtype}")
    return arguments.converted(value, old.dtype, "")


def _listed(what, found):
    """A list for an error: nothing, or one text of the first names and how many more there are."""
    if not found:
        return []
    more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    separator = ", " if what else "; "
    return [f"{what} {separator.join(found[:_MOST])}{more}".lstrip()]
