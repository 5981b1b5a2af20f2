"""Numbers against time: of a training, of a learning rate, of a search."""
import numpy as np

from fastnet import arguments
from fastnet.plot.base import axes, legend, middle

_USUAL = ("loss", "val_loss")


def curves(rows, *keys, ax=None):
    """Draws columns of a history against the epoch: ``curves(history, "loss", "val_loss")``, or, with no keys, those
    two as far as they are there.

    ``rows`` is a history, or a list of dictionaries, one an epoch, with the key ``"epoch"``, or one a step, with the
    key ``"step"``, which is then what they are drawn against; ``keys`` are the columns to draw. Rows without a value,
    or with None, are left out of the line. Raises ValueError where a key has no value at all, or where there is none,
    TypeError for what is no history.

    >>> ax = curves([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}], "loss")
    """
    rows = arguments.listed(rows, "curves: rows", "dictionaries, one an epoch, such as a history")
    for row in rows:
        if not isinstance(row, dict) or not ("epoch" in row or "step" in row):
            raise TypeError("curves: rows must be dictionaries with the key 'epoch' or 'step', got "
                            f"{arguments.shown(row)}")
    time = "step" if rows and all("step" in row for row in rows) else "epoch"
    if not keys:
        keys = [key for key in _USUAL if any(row.get(key) is not None for row in rows)] or _USUAL[:1]
    columns = {}
    for key in keys:
        arguments.text(key, "curves: a column in keys")
        columns[key] = [(row[time], row[key]) for row in rows if row.get(key) is not None and time in row]
        if not columns[key]:
            known = sorted({str(name) for row in rows for name in row})
            raise ValueError(f"curves: keys must be columns with values, and no {time} has a value {key!r}: rows hold "
                             f"{', '.join(known) or 'no row'}")
    ax = axes(ax, "curves")
    for key, points in columns.items():
        ax.plot(*zip(*points, strict=True), marker="." if len(points) < 60 else None, label=key.replace("_", " "))
    ax.set_xlabel(time)
    times = {point[0] for points in columns.values() for point in points}
    if len(times) == 1:
        ax.set_xlim(min(times) - 1, max(times) + 1)
    ax.locator_params(axis="x", integer=True)
    _finish(ax, len(columns))
    return ax


def _finish(ax, lines):
    """A grid, and the legend."""
    ax.grid(alpha=0.3)
    legend(ax, lines)


def lr_range(found, ax=None):
    """Draws what `fastnet.lr_range_test` found: losses and their running mean against the learning rate, with the
    lowest point and, where the loss fell, the suggested rate. TypeError for anything else.

    >>> found = fastnet.checks.LRRange(np.array([1e-3, 1e-2]), np.array([1.0, 0.5]), np.array([1.0, 0.5]), None)
    >>> ax = lr_range(found)
    """
    for name in ("lrs", "losses", "smoothed"):
        if not isinstance(getattr(found, name, None), np.ndarray):
            raise TypeError(f"lr_range: found must be what lr_range_test gave, got {arguments.shown(found)}")
    ax = axes(ax, "lr_range")
    line, = ax.plot(found.lrs, found.losses, alpha=0.35, linewidth=1, label="loss")
    ax.plot(found.lrs, found.smoothed, color=line.get_color(), label="running mean")
    ax.plot([found.lowest], [found.smoothed.min()], "o", color=line.get_color(), label=f"lowest, at {found.lowest:.2g}")
    if found.fell:
        ax.axvline(found.suggestion, color="C1", linestyle="--", label=f"begin with {found.suggestion:.2g}")
    if found.diverged:
        ax.axvline(found.diverged, color="C3", linestyle=":", label=f"diverged at {found.diverged:.2g}")
    low, high = found.smoothed.min(), max(found.smoothed[0], np.median(found.smoothed))
    room = max(high - low, 1e-12 + 0.05 * abs(high))
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - 0.15 * room, high + 0.6 * room))
    _finish(ax, 1)
    return ax


def search(rows, x, y, score, ax=None, lower=False):
    """Draws where a search has looked, and how well it went there: a point for each of `rows`, dictionaries, at its
    values of the keys `x` and `y`, coloured by that of the key `score`; the best, the highest or with `lower` the
    lowest, has a ring. Axes whose values are positive and differ by a factor of 30 are logarithmic.

    Beside each other the pictures of a grid and of a random search of as many trials show how many values of each
    parameter the two have tried: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization (2012), figure 1.
    Rows whose score is None or not finite, those that failed, are crosses. ValueError where there is no row, or a value
    is no finite number.

    >>> rows = [{"lr": 0.1, "decay": 0.1, "loss": 1.0}, {"lr": 1.0, "decay": 0.2, "loss": 2.0}]
    >>> ax = search(rows, "lr", "decay", "loss", lower=True)
    """
    rows = arguments.listed(rows, "search: rows", "dictionaries, one for each trial")
    for name, key in (("x", x), ("y", y), ("score", score)):
        arguments.text(key, f"search: {name}")
        for row in rows:
            if not isinstance(row, dict) or key not in row:
                raise ValueError(f"search: {name} must be a key of all rows, got {arguments.shown(key)} and the row "
                                 f"{arguments.shown(row)}")
    if not rows:
        raise ValueError("search: rows must hold one trial at least, got none")
    lower = arguments.flag(lower, "search: lower")
    places = [np.array([arguments.number(row[key], f"search: rows, {key!r},") for row in rows]) for key in (x, y)]
    scores = np.array([np.nan if row[score] is None else float(row[score]) for row in rows])
    good = np.isfinite(scores)
    ax = axes(ax, "search", (5.5, 4.2))
    ax.scatter(*(place[~good] for place in places), marker="x", color="0.5", label="failed" if not good.all() else None)
    if good.any():
        drawn = ax.scatter(*(place[good] for place in places), c=scores[good], s=60, cmap="viridis", edgecolors="0.5",
                           linewidths=0.5)
        ax.figure.colorbar(drawn, ax=ax, label=score.replace("_", " "))
        best = int(np.nanargmin(scores) if lower else np.nanargmax(scores))
        ax.scatter([places[0][best]], [places[1][best]], s=200, facecolors="none", edgecolors="C3", linewidths=2,
                   label=f"best: {scores[best] + 0:.4g}")     # 0 in place of -0
    for axis, place, name in (("x", places[0], x), ("y", places[1], y)):
        if place.min() > 0 and place.max() > 30 * place.min():
            ax.set(**{f"{axis}scale": "log"})
        else:
            ax.locator_params(axis=axis, nbins=5)
        ax.set(**{f"{axis}label": name})
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=2, frameon=False)
    ax.grid(alpha=0.3)
    return ax


def paths(function, paths, ax=None, bounds=None, levels=25):
    """Draws the ways that optimisers took over the contours of a function of two numbers.

    function : f(x, y), called with two arrays of one shape;  paths : {name: array (T, 2)} of places, the first being
        the start, which has a dot, and the last a star;  bounds : (left, right, bottom, top), by default all places and
        a fifth more;  levels : how many contours. Where f is positive and spans more than two orders of magnitude,
        contours stand at equal ratios.
    ValueError for paths that are none, or where the function is not finite anywhere.

    ``paths(lambda x, y: x**2 - y**2, {"SGD": ways})`` is a saddle.

    >>> ax = paths(lambda x, y: x**2 + y**2, {"SGD": np.float64([[1, 1], [0.5, 0.5]])})
    """
    arguments.function(function, "paths: function", "a function f(x, y) of two arrays")
    paths, told = arguments.mapping(paths, "paths: paths", "a dictionary {name: array (T, 2)}"), []
    for name, path in paths.items():
        path = arguments.values(path, f"paths: paths[{name!r}]").astype(np.float64)
        if path.ndim != 2 or path.shape[1] != 2 or not np.isfinite(path[:1]).all() or not len(path):
            raise ValueError(f"paths: paths[{name!r}] must be places of shape (T, 2) with a finite start, got "
                             f"{arguments.shown(path)}")
        told.append(path[:len(path) if np.isfinite(path).all() else int(np.argmin(np.isfinite(path).all(axis=1)))])
    if not told and bounds is None:
        raise ValueError("paths: paths must hold one path at least where no bounds are given, got none")
    left, right, bottom, top = _bounds(told) if bounds is None else arguments.numbers(bounds, "paths: bounds", 4)
    if not (left < right and bottom < top):
        raise ValueError(f"paths: bounds must be (left, right, bottom, top), rising, got {arguments.shown(bounds)}")
    levels = arguments.integer(levels, "paths: levels", 1, 1000)
    x, y = np.meshgrid(np.linspace(left, right, 200), np.linspace(bottom, top, 200))
    z = np.broadcast_to(arguments.values(function(x, y), "paths: what function gives"), x.shape).astype(np.float64)
    z = np.ma.masked_invalid(z)
    if z.mask.all():
        raise ValueError("paths: function must be finite somewhere within bounds, got no finite number")
    if z.min() >= 0 and z.max() > 100 * max(z.min(), 1e-300):
        low = max(z.min(), 1e-4 * z.max())
        levels = np.geomspace(low, z.max(), levels + 1)
    ax = axes(ax, "paths", (6, 4.5))
    ax.contour(x, y, z, levels=levels, cmap=middle("viridis"), linewidths=0.7, alpha=0.8)
    for i, (name, path) in enumerate(zip(paths, told, strict=True)):
        wide = 1.2 + 2.0 * (len(told) - 1 - i) / max(len(told) - 1, 1)      # so that what lies below is seen
        line, = ax.plot(*path.T, marker=".", markersize=3, linewidth=wide, label=name)
        ax.plot(*path[0], "o", color=line.get_color())
        ax.plot(*path[-1], "*", color=line.get_color(), markersize=12)
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="x", ylabel="y")
    if paths:
        legend(ax, len(paths))
    return ax


def _bounds(told):
    places = np.concatenate(told)
    low, high = places.min(axis=0), places.max(axis=0)
    room = 0.2 * np.maximum(high - low, 0.25 * (high - low).max() or np.maximum(np.abs(high), 1))
    (left, bottom), (right, top) = low - room, high + room
    return left, right, bottom, top
