"""The rows of a table that are nearest to other rows: all distances, sorted."""
import numpy as np

from fastnet.kernels import checks, shapes


def nearest_rows(x, rows, k, metric="l2"):
    """The k smallest distances of each row of x, and the rows they are to; sums of squares are sorted, not roots."""
    x = checks.floating(x, "x")
    rows = checks.floating(rows, "rows", like=x)
    kinds = shapes.nearest_rows(x, rows, k, metric)
    distances, index = (np.empty(kind.shape, kind.dtype) for kind in kinds)
    for i, one in enumerate(x.astype(np.float64)):
        with np.errstate(over="ignore", invalid="ignore"):
            difference = np.abs(rows - one)
            sums = (difference if metric == "l1" else difference ** 2).sum(axis=1)
            sums[np.isnan(sums)] = np.inf
            index[i] = np.argsort(sums, kind="stable")[:k]
            distances[i] = sums[index[i]] if metric == "l1" else np.sqrt(sums[index[i]])
    return distances, index
