"""Copies of operands that NumPy makes. A backend that has not computed them yet, or that notes what has to be done
again, is told beforehand: so operations convert arrays by these functions alone."""
import numpy as np

_told = []


def before(function):
    """Call a function before each copy that is made here."""
    _told.append(function)


def announce():
    """NumPy is about to copy an operand."""
    for function in _told:
        function()


def converted(array, dtype):
    """array.astype(dtype), or the array itself where it has that dtype."""
    if array.dtype == dtype:
        return array
    announce()
    return array.astype(dtype)


def in_order(array, dtype=None):
    """np.ascontiguousarray(array, dtype): the array itself where it lies in order of its axes and has that dtype."""
    if array.flags.c_contiguous and (dtype is None or array.dtype == dtype):
        return array
    announce()
    return np.ascontiguousarray(array, dtype)
