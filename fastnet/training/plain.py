"""What a state is made of: None, truth values, numbers, strings, arrays; lists, tuples and dictionaries of these."""
import numpy as np

from fastnet import arguments

_EXACT = (np.float64, np.int64, np.bool_)   # NumPy's numbers that are Python's to the last bit


def plain(value, name):
    """A copy of `value` in which nothing else is; TypeError, with the name, where there is something else."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, _EXACT):
        return value.item()
    if isinstance(value, (np.ndarray, np.generic)) and not isinstance(value, np.ma.MaskedArray) \
            and value.dtype.kind in "fiub":
        return np.array(value)
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return {key: plain(one, f"{name}[{key!r}]") for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return (list if isinstance(value, list) else tuple)(plain(one, f"{name}[{i}]") for i, one in enumerate(value))
    raise TypeError(f"{name} must be None, a number, a string, an array of numbers, or a list, tuple or dictionary by "
                    f"strings of these, got {arguments.shown(value)}")


def fitting(state, names, name):
    """A copy of `state`, a dictionary with just these names; TypeError or ValueError where it is none."""
    state = arguments.mapping(state, name, "what state_dict() gave")
    if state.keys() != set(names):
        expected, got = (", ".join(map(repr, sorted(keys)[:12])) or "none" for keys in (names, state))
        raise ValueError(f"{name} must have the keys {expected}, got {got}")
    return plain(state, name)
