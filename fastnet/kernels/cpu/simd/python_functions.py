"""What the primitives of `exponential` mean, in plain NumPy; see `python`."""
import numpy as np


def exp(v):
    """e to the power of each lane, within 2 units in the last place."""
    return np.exp(v)


def expm1(v):
    """exp(v) - 1 within 3 units in the last place, near 0 too."""
    return np.expm1(v)


log = np.log    # within 2 units in the last place; -inf of 0, NaN of what is below
