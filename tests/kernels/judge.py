"""When two results count as the same: the tolerances of all kernel tests, in one place."""
import numpy as np

# Relative error in the Frobenius norm that a chain of roundings may add up to. Winograd's transforms stay below it.
FROBENIUS = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


def assert_same(got, wanted):
    """Equal to the last bit, dtypes and shapes too; -0 equals 0, and a NaN equals a NaN in the same place."""
    assert np.asarray(got).dtype == np.asarray(wanted).dtype
    np.testing.assert_array_equal(got, wanted, strict=True)


def assert_close(got, wanted, bound=None):
    """`got` within the tolerance of its dtype around `wanted`, which may be of a higher precision.

    Either the relative error in the Frobenius norm is small, or every element keeps within `bound`, an array of what
    rounding can do at worst (see `rounding_bound`). Infinities and NaN stand in the same places.
    """
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(got[~finite], wanted[~finite].astype(got.dtype))
    assert np.isfinite(got[finite]).all()
    error = np.abs(got[finite].astype(np.float64) - wanted[finite])
    tolerance = FROBENIUS[got.dtype] if got.dtype in FROBENIUS else FROBENIUS[np.dtype(np.float64)]
    relative = np.linalg.norm(error) / max(np.linalg.norm(wanted[finite].astype(np.float64)), np.finfo(got.dtype).tiny)
    if relative <= tolerance:
        return
    assert bound is not None, f"relative error {relative:.3g}, tolerance {tolerance}"
    excess = error - bound[finite]
    assert (excess <= 0).all(), f"relative error {relative:.3g} and an element {excess.max():.3g} beyond its bound"


def rounding_bound(magnitude, terms, dtype):
    """gamma_n magnitude, the most that n roundings can do to a sum of products in any order (Higham: Accuracy and
    stability of numerical algorithms, 2002, section 3.1). `magnitude` is the same sum over absolute values."""
    unit = terms * np.finfo(dtype).eps / 2
    return unit / (1 - unit) * magnitude
