"""Arrays that nobody can write to: what was computed from one stays right without anybody looking again."""
import numpy as np

# Where the memory starts: at a multiple of this, in bytes, as vectors do.
_ALIGNMENT = 64


class _Memory:
    """Owns memory and shows it to NumPy as read-only; no flag of an array changes that. Other libraries that are given
    the array, as by ``torch.from_numpy``, which warns, may write all the same."""

    __slots__ = ("_kept", "__array_interface__")

    def __init__(self, array):
        memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        copy = memory[start: start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        memory.flags.writeable = False
        self._kept = memory
        self.__array_interface__ = {**copy.__array_interface__, "data": (copy.ctypes.data, True)}


def sealed(array):
    """A copy of an array in memory that cannot be written to.

    >>> fixed = sealed(np.float32([1, 2]))
    >>> fixed, is_sealed(fixed), fixed.flags.writeable
    (array([1., 2.], dtype=float32), True, False)
    """
    return array if is_sealed(array) else np.asarray(_Memory(array))


def is_sealed(array):
    """Whether an array is one that `sealed` gave."""
    return type(array.base) is _Memory
