"""Whether contenders have computed the same.

A gradient that came through a deep net is not one number in float32: where a ReLU or a pooling decides by the last bit
it takes another way, and the first gradient of ResNet-50 from PyTorch in its two layouts lies 2 and 4% from that of
float64, that of RegNetX 1 and 6%. So where two differ by more than the case allows, float64 judges both.
"""
import numpy as np

# How many times as far from float64 as the reference ours may be; and another library's, which has to show only that it
# does the same work.
_AS_FAR, _PEERS_AS_FAR = 3, 10


def differences(arrays, right):
    """The norms of the errors relative to those of the right results."""
    return [np.linalg.norm(array - one) / np.linalg.norm(one) for array, one in zip(arrays, right, strict=True)]


def refusal(case, arrays, expected, exact=None, peer=False):
    """What is wrong with results, or None. They are to be those `expected`; or, if there is a function `exact`, as near
    to what it tells as the case allows, or _AS_FAR times as far as those expected are; for those of a `peer` see
    _PEERS_AS_FAR."""
    allowed = [case.tolerance(one) for one in expected]
    found = differences(arrays, expected)
    if exact is not None and not all(np.array(found) < allowed):    # of NaN too
        right = exact()
        known, as_far = differences(expected, right), _PEERS_AS_FAR if peer else _AS_FAR
        found, allowed = differences(arrays, right), np.maximum(allowed, as_far * np.array(known))
    for error, most in zip(found, allowed, strict=True):
        if not error < most:
            return f"relative error {error:.1e}, more than {most:.1e}"
    return None
