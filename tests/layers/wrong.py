"""Things that are wrong wherever a layer expects a number, a word, a layer or an array, and what no error may say."""
import re

import numpy as np


class Raising:
    """Nothing can be made of it, and it cannot even be printed."""

    def _raise(self, *args, **kwargs):
        raise RuntimeError("from the user's own class")

    __index__ = __float__ = __bool__ = __len__ = __iter__ = __repr__ = __str__ = __array__ = __eq__ = _raise
    __hash__ = None


# No argument of any constructor may be one of these.
NEVER = {"an object": object(), "raising": Raising(), "complex": 1j, "array": np.ones(2), "integers": np.array([3, 3]),
         "function": len, "dict": {3: 3}, "empty": [], "generator": (i for i in (3, 3)), "class": int,
         "NaN": float("nan"), "infinite": float("inf"), "word": "no such word", "long": list(range(1000)),
         "bytes": b"3", "huge": -10**5000}

# No x and no dy may be one of these, nor hold one of them where it holds arrays.
NO_ARRAYS = {"None": None, "number": 3.0, "list": [[1.0, 2.0]], "ragged": [[1.0], [2.0, 3.0]], "text": "abc",
             "raising": Raising(), "masked": np.ma.masked_array(np.ones((2, 5), np.float32), np.eye(2, 5) > 0),
             "complex": np.ones((2, 5), complex), "texts": np.full((2, 5), "a"), "objects": np.full((2, 5), None),
             "dates": np.zeros((2, 5), "M8[s]"), "generator": (i for i in (1.0, 2.0)), "class": np.ndarray}

# What Python, NumPy and Numba say where nobody looked at an argument before it was used.
_FOREIGN = re.compile("|".join([
    "not supported between", "object of type", "truth value of an", "has no attribute", "unhashable",
    "be interpreted as", "not iterable", "unsupported operand", "not subscriptable", "not callable",
    "could not convert",
    "must be real number", "could not broadcast", "cannot reshape", "numba", "required positional",
    "unexpected keyword", "only .* arrays can",
    "from the user's own class", "Exceeds the limit", "setting an array element", "invalid literal", "[Aa]mbiguous"]))


def judge(error, *names, ours=()):
    """An error that was raised for a wrong argument: of the right class, short, with these names, in our own words."""
    text = str(error)
    assert isinstance(error, (TypeError, ValueError)), f"{type(error).__name__}: {text}"
    assert type(error) in (TypeError, ValueError, *ours), f"{type(error).__name__}: {text}"
    assert len(text) < 700, text[:2000]
    assert not _FOREIGN.search(text), text
    for name in names:
        assert re.search(name, text), f"{name} is not in: {text}"


def digest(*nets):
    """What a refused call must leave as it is: parameters, their gradients, statistics, generators, what was saved."""
    found = []
    for net in nets:
        for path, layer in net.named_layers():
            for name, parameter in layer.own_parameters():
                grad = None if parameter.grad is None else parameter.grad.tobytes()
                found.append((path, name, parameter.value.tobytes(), grad, parameter.requires_grad))
            found += [(path, name, np.asarray(getattr(layer, name)).tobytes()) for name in layer.buffer_names]
            found += [(path, name, repr(value.bit_generator.state)) for name, value in vars(layer).items()
                      if isinstance(value, np.random.Generator)]
            found.append((path, id(layer.saved), layer.backend, layer.arguments()))
    return found
