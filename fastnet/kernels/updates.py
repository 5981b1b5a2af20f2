"""What an optimiser's step is made of, and the rules of what fits: `updatable` for the operations of every backend,
`in_place` for what shapes and dtypes tell of it."""
import numpy as np

from fastnet.kernels import checks


def updatable(value, grad, **state):
    """The rows (value, grad, *state) of an optimiser's step that `in_place` has passed: each gradient in the dtype of
    its value, after a look at whether what is updated can be written to."""
    rows, names = _rows(value, grad, state), ("value", *state)
    for i, (target, given, *kept) in enumerate(rows):
        for name, array in zip(names, (target, *kept), strict=True):
            if array is not None and not (isinstance(array, np.ndarray) and array.flags.writeable):
                raise ValueError(f"{_nth(name, i, value)} is updated in place, but the array is read-only")
        if type(given) is not np.ndarray or given.dtype is not target.dtype:
            rows[i] = (target, checks.floating(given, "grad", target), *kept)
    return rows


def in_place(value, grad, **state):
    """The part of `updatable` that shapes and dtypes tell: value and state are float32 or float64, all of one dtype,
    and of one shape with the gradient. They are arrays or, all of them, lists of as many; a state may be None."""
    rows, names = _rows(value, grad, state), ("value", "grad", *state)
    dtype = getattr(rows[0][0], "dtype", None) if rows else None
    for i, row in enumerate(rows):
        if plain(row, dtype):
            continue
        for name, array in zip(names, row, strict=True):
            if name == "grad" or array is None and name != "value":
                continue
            name, kind = _nth(name, i, value), getattr(array, "dtype", None)
            if kind is None or kind not in (checks.FLOAT32, checks.FLOAT64):
                raise TypeError(f"{name} is updated in place and must be a float32 or float64 array, got "
                                f"{checks.kind_of(array)}")
            if kind != dtype:
                raise TypeError(f"{name} must have the dtype {dtype} of {_nth('value', 0, value)}, got {kind}")
            checks.has_shape(array, row[0].shape, name)
        name, given = _nth("grad", i, value), row[1]
        if not hasattr(given, "dtype"):
            raise TypeError(f"{name} must be an array, got {checks.kind_of(given)}")
        checks.real(given, name)
        checks.has_shape(given, row[0].shape, name)


def _rows(value, grad, state):
    """What belongs together of arrays, or of lists of arrays: a list of (value, grad, *state)."""
    columns = value, grad, *state.values()
    if not isinstance(value, (list, tuple)):
        return [columns]
    for name, column in zip(("grad", *state), columns[1:], strict=True):
        if column is not None and (not isinstance(column, (list, tuple)) or len(column) != len(value)):
            got = f"a list of {len(column)}" if isinstance(column, (list, tuple)) else checks.kind_of(column)
            raise ValueError(f"{name} must be a list of {len(value)} arrays, as value is, got {got}")
    return list(zip(*[[None] * len(value) if column is None else column for column in columns], strict=True))


def plain(row, dtype):
    """Whether a row (value, grad, *state) is as the library itself makes it, again and again: arrays of that dtype and
    of one shape."""
    if dtype is not checks.FLOAT32 and dtype is not checks.FLOAT64 or row[1] is None:
        return False
    shape = getattr(row[0], "shape", None)
    for one in row:
        if one is not None and (type(one) is not np.ndarray or one.dtype is not dtype or one.shape != shape):
            return False
    return True


def _nth(name, i, value):
    """An operand of an optimiser's step as errors call it."""
    return f"{name}[{i}]" if isinstance(value, (list, tuple)) else name
