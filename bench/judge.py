"""Whether contenders have computed the same.

A gradient that came through a deep net is not one number in float32: where a ReLU or a pooling decides by the last bit
it takes another way, and the first gradient of ResNet-50 from PyTorch in its two layouts lies 2 and 4% from that of
float64. So where two differ by more than the case allows, float64 judges both.
"""
import numpy as np

# How many times as far from float64 as the reference a contender may be.
_AS_FAR = 3


def differences(arrays, right):
    """The norms of the errors relative to those of the right results."""
    return [np.linalg.norm(array - one) / np.linalg.norm(one) for array, one in zip(arrays, right, strict=True)]


def refusal(case, arrays, expected, exact=None):
    """What is wrong with results, or None. They are to be those `expected`; or, if there is a function `exact`, as near
    to what it tells as the case allows, or _AS_FAR times as far as those expected are."""
    allowed = [case.tolerance(one) for one in expected]
    found = differences(arrays, expected)
    if exact is not None and not all(np.array(found) < allowed):    # of NaN too
        right = exact()
        known = differences(expected, right)
        found, allowed = differences(arrays, right), np.maximum(allowed, _AS_FAR * np.array(known))
    for error, most in zip(found, allowed, strict=True):
        if not error < most:
            return f"relative error {error:.1e}, more than {most:.1e}"
    return None
