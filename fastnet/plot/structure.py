"""How a net is made: its layers as a graph, and what a unit in it sees."""
import numpy as np

from fastnet import arguments
from fastnet.plot.base import INCH, LETTER, axes, finite, mosaic, pictures, points, shortened

_ROW, _BOX = 0.42, 2.6      # inches from one row of boxes to the next, and from one column to the next at least
_LARGEST = 8.0  # points of the font
_MOST = 400     # layers that are drawn


def graph(net, input_shape, ax=None):
    """Draws a net as a graph: a box for each layer, with its path and the shape of what it gives for an x of
    ``input_shape``, batch included, and a line for each array that goes from one to another.

    It is read off the operations that the net does, so that it is the same however the net was written down.
    ValueError, as from the net itself, where the shape does not fit.

    >>> ax = graph(fastnet.Sequential(fastnet.Conv2d(3, 4, 3), fastnet.ReLU()), (1, 3, 8, 8))
    """
    arguments.having(net, ("program", "named_layers"), "graph: net", "a layer")
    try:
        boxes, lines = _read(net.program(input_shape).before)
    except (TypeError, ValueError) as error:
        kind, text = TypeError if isinstance(error, TypeError) else ValueError, str(error)
        if len(text) > 300:
            text = f"does not fit the net, got {arguments.shown(input_shape)}"
        raise kind(f"graph: input_shape: {text}") from error
    if len(boxes) > _MOST:
        raise ValueError(f"graph: net must have at most {_MOST} layers to be drawn, got {len(boxes)}")
    places = _arrange(len(boxes), lines)
    wide, deep = places.max(axis=0) + 1
    texts = [f"{kind} {name}".strip() + f"  {shape}" for name, kind, shape in boxes]
    letters, own = max(map(len, texts)) + 3, ax is None     # three for the frame
    across = max(_BOX, LETTER * _LARGEST * letters / INCH)
    ax = axes(ax, "graph", (max(across * (wide + 0.3), 3.5), max(_ROW * deep + 0.3, 1.5)))
    width, height = 0.97 * INCH * ax.figure.get_size_inches() if own else points(ax)
    width = width / (wide + 0.3)
    size = float(np.clip(min(0.32 * height / deep, width / (LETTER * letters)), 3.0, _LARGEST))
    ax.set(xlim=(-0.65, wide - 0.35), ylim=(deep - 0.4, -0.6))
    ax.set_axis_off()
    for start, end in lines:
        _connect(ax, places, start, end)
    room = max(int(width / (LETTER * size)) - 3, 8)
    for (column, row), (_, kind, _), text in zip(places, boxes, texts, strict=True):
        style = {"boxstyle": "round,pad=0.25", "facecolor": _colour(kind), "edgecolor": "0.4", "linewidth": 0.6}
        ax.text(column, row, shortened(text, room), ha="center", va="center", fontsize=size, color="black", bbox=style,
                zorder=3)
    return ax


def _read(traced):
    """([(path, kind, shape)], [(box, box)]) of a trace: the input and the calls of layers."""
    boxes, made, lines = [], {}, []

    def leaves(tree):
        if isinstance(tree, dict):
            tree = tuple(tree.values())
        return [leaf for one in tree for leaf in leaves(one)] if type(tree) is tuple else [tree]

    for i, value in enumerate(leaves(traced.x)):
        boxes.append(("" if i == 0 else str(i), "input", value.shape))
        made[value] = i
    for layer, path, y, nodes in traced.calls:
        if layer.composed:      # the layers in it are boxes of their own
            continue
        here, shapes = len(boxes), [value.shape for value in leaves(y)]
        boxes.append((path, type(layer).__name__, shapes[0] if len(shapes) == 1 else f"{len(shapes)} arrays"))
        read = [value for node in nodes for given in node.inputs.values()
                for value in (given if isinstance(given, list) else [given])]
        passed = [] if read else leaves(y)      # a dropout at inference gives what it was given
        for value in dict.fromkeys(read + passed):
            if value in made and made[value] != here:
                lines.append((made[value], here))
        made.update({value: here for node in nodes for value in node.results})
        made.update({value: here for value in leaves(y) if value not in made or passed})
    return boxes, list(dict.fromkeys(lines))


def _arrange(count, lines):
    """(column, row) of each box: rows by the longest way from the input, columns so that a line stays in its own."""
    rows, before = np.zeros(count, int), {}
    for start, end in lines:    # in the order of the calls
        rows[end] = max(rows[end], rows[start] + 1)
        before.setdefault(end, []).append(start)
    columns, taken = np.zeros(count, int), set()
    for box in range(count):
        wished = min((columns[start] for start in before.get(box, [])), default=0)
        while (wished, rows[box]) in taken:
            wished += 1
        columns[box] = wished
        taken.add((wished, rows[box]))
    return np.stack([columns, rows], axis=1)


def _connect(ax, places, start, end):
    """A line from one box to another, around those between them where these are in its column."""
    (x, y), (u, v) = places[start], places[end]
    bend = 0.0
    if x == u and v - y > 1:    # half a column to the right, whatever that is on the sheet
        (left, top), (right, bottom) = ax.transData.transform([(x, y), (x + 1, v)])
        bend = (left - right) / abs(top - bottom)
    ax.annotate("", (u, v), (x, y), zorder=1, arrowprops={
        "arrowstyle": "->", "color": "0.5", "linewidth": 0.9, "shrinkA": 6, "shrinkB": 6,
        "connectionstyle": f"arc3,rad={bend}"})


def _colour(kind):
    """Of the box of a layer."""
    for colour, words in (("#cfe3f7", ("Conv", "Linear", "Locally", "Embedding", "Maxout")), ("#fde3c4", ("Norm",)),
                          ("#d8efd3", ("Pool", "Upsampl", "BedOf", "Pixel", "Roi")),
                          ("#f6d5d9", ("Add", "Concat", "Multiply", "Merge", "Chunk")), ("#e4e4e4", ("input",))):
        if any(word in kind for word in words):
            return colour
    return "#f4f1de"


def effective_receptive_field(gradient, image=None, ax=None):
    """Draws what a unit sees: where its derivative for x, ``gradient`` of shape (C, H, W), is not 0, with a frame
    around all of it, over the ``image`` (C, H, W) if there is one. The brighter, the more the unit depends on it.

    ``fastnet.input_gradient(net, x, dy)[0]`` is such a gradient, for a dy that is 1 at the unit and 0 elsewhere.
    The title tells the size. ValueError for another shape, or a gradient that is 0 everywhere.

    >>> ax = effective_receptive_field(np.ones((3, 8, 8)))
    """
    gradient = np.abs(finite(gradient, "effective_receptive_field: gradient", (3,), "have shape (C, H, W)")).max(axis=0)
    height, width = gradient.shape
    if not gradient.any():
        raise ValueError("effective_receptive_field: gradient must not be 0 everywhere; of a dead unit it is")
    rows, columns = (np.flatnonzero(gradient.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    if image is None:
        ax = axes(ax, "effective_receptive_field", (3.6, 3.6 * height / width + 0.3))
        ax.set_axis_off()
    else:
        name = "effective_receptive_field: image"
        tile = pictures(arguments.values(image, name)[None], name)
        if tile.shape[1:3] != (height, width):
            raise ValueError(f"effective_receptive_field: image must have the size of gradient, {(height, width)}, got "
                             f"{tile.shape[1:3]}")
        ax = mosaic(tile, "effective_receptive_field", ax, inches=3.6)
    share = gradient / gradient.max()
    ax.imshow(share ** 0.5, cmap="inferno", vmin=0, vmax=1, alpha=None if image is None else 0.85 * share ** 0.5)
    ax.plot([left - 0.5, right + 0.5, right + 0.5, left - 0.5, left - 0.5],
            [top - 0.5, top - 0.5, bottom + 0.5, bottom + 0.5, top - 0.5], color="C2", linewidth=2)
    ax.set_title(f"sees {bottom - top + 1} x {right - left + 1} of {height} x {width} pixels", fontsize="medium")
    return ax
