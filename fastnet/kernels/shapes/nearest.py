"""The rows of a table that are nearest to other rows."""
import numpy as np

from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import Kind

_INT64 = np.dtype(np.int64)


def nearest_rows(x, rows, k, metric="l2"):
    """(distances, index): of the k rows nearest to each row of x, the nearest first, of those at one distance the first
    one first. metric "l1" is the sum over C of |x - row|, "l2" the root of the sum of squares, both worked out in
    float64 from differences; which row is nearer is decided before that is rounded, and a distance that is no number
    counts as infinite. x (N, C), rows (M, C), k up to M, distances and index (N, k), index int64."""
    n, c = checks.scores(x.shape)
    m, columns = checks.scores(rows.shape, "rows")
    checks.real(rows, "rows")
    if columns != c:
        raise ValueError(f"expected rows of {c} numbers, as many as x has, got rows of shape {tuple(rows.shape)}")
    shape = n, arguments.integer(k, f"k, of {m} rows,", 1, m)
    arguments.choice(metric, ("l1", "l2"), "metric")
    return Kind(shape, checks.result_dtype(x, "x")), Kind(shape, _INT64)
