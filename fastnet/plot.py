"""Pictures: curves of a training, first-layer filters, a confusion matrix.

Every function draws into the matplotlib axes ``ax``, or into new ones where ``ax`` is None, and returns the axes. Only
new axes need matplotlib to be importable here: ``pip install "fastnet-numba[plot]"``.
"""
import numpy as np

from fastnet import arguments

_MARKED = 200   # points of a line that are marked, at most


def _axes(ax, who):
    """``ax``, or the axes of a new figure; raises ImportError with the remedy where matplotlib is missing."""
    if ax is not None:
        return arguments.having(ax, ("plot", "imshow"), f"{who}: ax", "axes of matplotlib, or None")
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            'fastnet.plot needs matplotlib, which is not installed: pip install "fastnet-numba[plot]"') from error
    return pyplot.subplots(layout="constrained")[1]


def curves(rows, *keys, ax=None):
    """Draws columns of a history against the epoch: ``curves(history, "loss", "val_loss")``; or, of the rows of its
    steps, against the step: ``curves(history.by_step, "loss")``.

    ``rows`` is one of these, or a list of dictionaries, one an epoch, with the key ``"epoch"``, or one a step, with
    ``"step"`` too; ``keys`` are the columns to draw. Rows without a value, or with None, are left out of the line.
    Raises ValueError where a key has no value at all, or where there is none, TypeError for what is no history.
    """
    rows = arguments.listed(rows, "curves: rows", "dictionaries, one an epoch, such as a history")
    for row in rows:
        if not isinstance(row, dict) or "epoch" not in row:
            raise TypeError(f"curves: rows must be dictionaries with the key 'epoch', got {arguments.shown(row)}")
    if not keys:
        raise ValueError("curves: keys must name one column at least, such as 'loss'")
    place = "step" if all("step" in row for row in rows) else "epoch"
    columns = {}
    for key in keys:
        arguments.text(key, "curves: a column in keys")
        columns[key] = [(row[place], row[key]) for row in rows if row.get(key) is not None]
        if not columns[key]:
            known = sorted({str(name) for row in rows for name in row})
            raise ValueError(f"curves: keys must be columns with values, and no epoch has a value {key!r}: rows hold "
                             f"{', '.join(known) or 'no row'}")
    ax = _axes(ax, "curves")
    for key, points in columns.items():
        ax.plot(*zip(*points, strict=True), marker="." if len(points) <= _MARKED else "", label=key.replace("_", " "))
    ax.set_xlabel(place)
    ax.locator_params(axis="x", integer=True)
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def filters(weight, ax=None):
    """Draws the filters of a first convolution as a square of small colour pictures.

    ``weight`` is an array (K, 3, R, S), or (K, 1, R, S) for grey ones; each filter is stretched to its own range of
    brightness. Raises ValueError for any other shape, and for numbers that are not finite.
    """
    if not isinstance(weight, np.ndarray) and hasattr(weight, "value"):     # a Parameter
        weight = weight.value
    weight = arguments.values(weight, "filters: weight")
    if weight.ndim != 4 or weight.shape[1] not in (1, 3) or 0 in weight.shape:
        raise ValueError(f"filters: weight must have shape (K, 3, R, S) or (K, 1, R, S), got {weight.shape}: only "
                         "filters that see the image itself can be shown as pictures")
    weight = weight.astype(np.float64)
    if not np.isfinite(weight).all():
        raise ValueError("filters: weight must be finite, got NaN or infinity")
    count, _, height, width = weight.shape
    low, high = weight.min(axis=(1, 2, 3), keepdims=True), weight.max(axis=(1, 2, 3), keepdims=True)
    tiles = (weight - low) / np.where(high > low, high - low, 1)
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    sheet = np.ones((rows * (height + 1) - 1, columns * (width + 1) - 1, 3))
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        sheet[top:top + height, left:left + width] = tile.transpose(1, 2, 0)
    ax = _axes(ax, "filters")
    ax.imshow(sheet, interpolation="nearest")
    ax.set_axis_off()
    return ax


def confusion(labels, predictions, classes):
    """The matrix whose entry [i, j] counts the samples of class i taken for class j, shape (C, C).

    ``labels`` and ``predictions`` are integers from 0 to ``classes`` - 1, one a sample. Raises ValueError where they
    are not, or where there are more of the one than of the other.
    """
    return _confusion(labels, predictions, arguments.integer(classes, "confusion: classes", 1, 2**15), "confusion")


def _confusion(labels, predictions, classes, who):
    labels = arguments.labels(labels, f"{who}: labels", classes=classes)
    predictions = arguments.labels(predictions, f"{who}: predictions", len(labels), classes)
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix


def confusion_matrix(labels, predictions, classes, ax=None):
    """Draws which classes are taken for which; ``classes`` are their names. Cells show counts, colours their share.

    The raised errors are those of `confusion`.
    """
    classes = arguments.listed(classes, "confusion_matrix: classes", "names")
    if not classes:
        raise ValueError("confusion_matrix: classes must hold one name at least")
    for name in classes:
        arguments.text(name, "confusion_matrix: a name in classes")
    matrix = _confusion(labels, predictions, len(classes), "confusion_matrix")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ax = _axes(ax, "confusion_matrix")
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    ax.set_yticks(range(len(classes)), classes)
    ax.set(xlabel="predicted", ylabel="true")
    for i, j in np.ndindex(*matrix.shape):
        color = "white" if share[i, j] > 0.5 else "black"
        ax.text(j, i, matrix[i, j], ha="center", va="center", fontsize=7, color=color)
    return ax
