"""What a classifier makes of its classes: which are taken for which, and where each is said."""
import numpy as np

from fastnet import arguments
from fastnet.plot.base import axes, coloured, finite, font, legend, names, points, shortened

_LETTERS = 24   # of a class's name that are shown
_SMALLEST = 5.5     # points of the numbers in cells
_FEW = 12   # classes up to which zeros are written too


def confusion(labels, predictions, classes):
    """The matrix whose entry [i, j] counts the samples of class i taken for class j, shape (C, C).

    ``labels`` and ``predictions`` are integers from 0 to ``classes`` - 1, one a sample. Raises ValueError where they
    are not, or where there are more of the one than of the other.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
    array([[1, 0],
           [1, 1]])
    """
    return _confusion(labels, predictions, arguments.integer(classes, "confusion: classes", 1, 2**15), "confusion")


def _confusion(labels, predictions, classes, who):
    labels = arguments.labels(labels, f"{who}: labels", classes=classes)
    predictions = arguments.labels(predictions, f"{who}: predictions", len(labels), classes)
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def confusion_matrix(labels, predictions, classes, ax=None, normalize=None):
    """Draws which classes are taken for which; ``classes`` are their names. Cells show counts, colours their share.

    With ``normalize="true"`` cells show shares of their row, in percent, which are how many of a class are taken for
    which. Numbers are left out where they would be too small to read, and so is each second name, or more; of more
    than twelve classes no zeros are written. The raised errors are those of `confusion`.

    >>> ax = confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), ["cat", "dog"])
    """
    classes = names(classes, "confusion_matrix: classes")
    normalize = arguments.choice(normalize, (None, "true"), "confusion_matrix: normalize")
    matrix = _confusion(labels, predictions, len(classes), "confusion_matrix")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    count, longest = len(classes), min(max(map(len, classes)), _LETTERS)
    side = min(max(0.42 * count, 2.6), 11.0)
    ax = axes(ax, "confusion_matrix", (side + 0.07 * longest + 0.8, side + 0.05 * longest + 0.3))
    cell = (min(points(ax)) - (0 if ax.get_figure() is None else 4 * longest)) / count
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    _name_ticks(ax, classes, cell)
    ax.set(xlabel="predicted", ylabel="true")
    texts = [[f"{100 * share[i, j]:.0f}" if normalize else str(matrix[i, j]) for j in range(count)]
             for i in range(count)]
    size = min(font(0.85 * cell, max(len(text) for row in texts for text in row)), 0.75 * cell)
    for i, j in np.ndindex(*matrix.shape) if size >= _SMALLEST else ():
        if count > _FEW and not matrix[i, j]:
            continue
        ax.text(j, i, texts[i][j], ha="center", va="center", fontsize=size,
                color="white" if share[i, j] > 0.5 else "black", alpha=1.0 if matrix[i, j] else 0.35)
    return ax


def _name_ticks(ax, classes, cell):
    """The names of classes at both axes, each n-th where all would overlap."""
    size = min(max(0.8 * cell, 6.0), 9.0)
    every = max(int(np.ceil(1.15 * size / cell)), 1)
    ticks, shown = range(0, len(classes), every), [shortened(name, _LETTERS) for name in classes[::every]]
    ax.set_xticks(ticks, shown, rotation=45 if cell > 1.5 * size else 90, fontsize=size,
                  ha="right" if cell > 1.5 * size else "center", rotation_mode="anchor" if cell > 1.5 * size else None)
    ax.set_yticks(ticks, shown, fontsize=size)


def decision_regions(net, x, y, classes=None, ax=None, resolution=200):
    """Draws which class a net says at each place of a plane, and the samples, x of shape (N, 2), in the colours of
    their labels y. ``classes`` are their names, by default numbers.

    A net of one output is one of yes or no: what is above 0 is class 1. It is asked for resolution^2 places. ValueError
    where x does not have two columns, or the net more outputs than there are classes.

    >>> ax = decision_regions(fastnet.Linear(2, 2), np.float32([[0, 1], [1, 0]]), np.array([0, 1]), resolution=10)
    """
    arguments.function(net, "decision_regions: net", "a net")
    x = finite(x, "decision_regions: x", (2,), "have shape (N, 2)")
    if x.shape[1] != 2:
        raise ValueError(f"decision_regions: x must have shape (N, 2), got {x.shape}")
    resolution = arguments.integer(resolution, "decision_regions: resolution", 2, 4000)
    y = arguments.labels(y, "decision_regions: y", len(x))
    low, high = x.min(axis=0), x.max(axis=0)
    room = 0.1 * np.maximum(high - low, 1e-6)
    (left, bottom), (right, top) = low - room, high + room
    plane = np.meshgrid(np.linspace(left, right, resolution), np.linspace(bottom, top, resolution))
    outputs = arguments.array(net(np.stack(plane, axis=-1).reshape(-1, 2).astype(np.float32)),
                              "decision_regions: what net gives")
    if len(outputs) != resolution**2 or outputs.ndim > 2:
        raise ValueError("decision_regions: net must give a row of scores for each place, got an array of shape "
                         f"{outputs.shape} for {resolution**2} places")
    scores = outputs.reshape(len(outputs), -1)
    said = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)
    count = max(scores.shape[1], 2, int(y.max()) + 1)
    classes = list(map(str, range(count))) if classes is None else names(classes, "decision_regions: classes", count)
    colours = coloured(np.arange(10), "tab10") if count <= 10 else coloured(np.linspace(0, 1, count), "turbo")
    ax = axes(ax, "decision_regions", (5.5, 4.2))
    sheet = np.dstack([colours[said.reshape(resolution, resolution)], np.full((resolution, resolution), 0.3)])
    ax.imshow(sheet, extent=(left, right, bottom, top), origin="lower", aspect="auto", interpolation="nearest")
    for c in np.unique(y):
        ax.scatter(*x[y == c].T, color=[colours[c]], s=14, edgecolors="black", linewidths=0.4,
                   label=shortened(classes[c], _LETTERS))
    legend(ax, len(np.unique(y)))
    return ax
