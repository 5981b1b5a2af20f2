"""What all pictures share: axes, images as they can be shown, and many small ones in one."""
from math import ceil, sqrt

import numpy as np

from fastnet import arguments

INCH = 72.0     # points
LETTER = 0.6     # of a letter, as a part of the size of its font
_LARGEST, _SMALLEST = 9.0, 5.0      # points of a font
_TITLE = 7.0    # the least of titles of pictures of half an inch and more, which are cut then


def axes(ax, who, size=None):
    """``ax``, or the axes of a new figure of that size in inches; raises ImportError with the remedy where matplotlib
    is missing."""
    if ax is not None:
        return arguments.having(ax, ("plot", "imshow"), f"{who}: ax", "axes of matplotlib, or None")
    return pyplot().subplots(figsize=size, layout="constrained")[1]


def pyplot():
    """matplotlib.pyplot."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            'fastnet.plot needs matplotlib, which is not installed: pip install "fastnet-numba[plot]"') from error
    return pyplot


def coloured(shares, name="viridis"):
    """Numbers from 0 to 1 as the colours of a colour map, an array (..., 3)."""
    return pyplot().get_cmap(name)(shares)[..., :3]


def middle(name):
    """A colour map without its ends, whose thin lines are seen on white and on black."""
    from matplotlib.colors import ListedColormap
    return ListedColormap(coloured(np.linspace(0.3, 0.9, 256), name))


def points(ax):
    """Width and height of axes in points, before anything is laid out."""
    place, (width, height) = ax.get_position(), ax.figure.get_size_inches()
    return place.width * width * INCH, place.height * height * INCH


def font(room, letters):
    """The size in points at which so many letters fit into that many points; 0 where it would be too small to read."""
    size = min(room / (LETTER * max(letters, 1)), _LARGEST)
    return size if size >= _SMALLEST else 0.0


def shortened(text, letters):
    """Each line of a text, cut in its middle to so many letters: names often differ at the end."""
    def cut(line):
        end = max(letters - 1, 1) // 2
        return line if len(line) <= letters else line[:max(letters - 1 - end, 1)] + "\u2026" + line[len(line) - end:]

    return "\n".join(map(cut, text.split("\n")))


def legend(ax, rows):
    """The legend of so many rows, beside the axes where it would cover what they show."""
    ax.legend(**({"fontsize": "small"} if rows <= 6 else
                 {"fontsize": "x-small", "loc": "upper left", "bbox_to_anchor": (1, 1), "ncols": -(-rows // 25)}))


def names(value, name, count=None):
    """`value`, a list of strings, so many where that is told."""
    value = arguments.listed(value, name, "names")
    for one in value:
        arguments.text(one, f"{name}, a name in it,")
    if not value or count is not None and len(value) != count:
        raise ValueError(f"{name} must hold {'one name at least' if count is None else f'{count} names'}, got "
                         f"{len(value)}")
    return value


def finite(value, name, axes_=None, what=""):
    """`value`, numbers, a Parameter or a list, as a float64 array of finite numbers, with so many axes if told."""
    if not isinstance(value, np.ndarray) and hasattr(value, "value"):   # a Parameter
        value = value.value
    if hasattr(value, "named_parameters"):
        raise TypeError(f"{name} must be an array, got a net or layer: give one of its arrays, such as net[0].weight")
    value = arguments.values(value, name)
    if axes_ is not None and value.ndim not in axes_ or 0 in value.shape:
        raise ValueError(f"{name} must {what or 'hold numbers'}, got {arguments.shown(value)}")
    value = value.astype(np.float64)
    if not np.isfinite(value).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return value


def pictures(value, name):
    """`value`, images (N, C, H, W) with one or three channels, or (N, H, W), as float64 (N, H, W, 3) from 0 to 1:
    uint8 by 255, floats from 0 to 1 as they are, all others each stretched to its own range."""
    bytes_ = getattr(value, "dtype", None) == np.uint8
    value = finite(value, name, (3, 4), "be images of shape (N, C, H, W) or (N, H, W)")
    if value.ndim == 3:
        value = value[:, None]
    if value.shape[1] not in (1, 3):
        raise ValueError(f"{name} must be images of one or three channels, of shape (N, C, H, W), got shape "
                         f"{value.shape}")
    if bytes_:
        value = value / 255
    elif value.min() < 0 or value.max() > 1:
        value = stretched(value)
    return np.broadcast_to(value.transpose(0, 2, 3, 1), (len(value), *value.shape[2:], 3))


def stretched(value):
    """Each of several images moved to the range from 0 to 1; one that is all alike becomes 0."""
    rest = tuple(range(1, value.ndim))
    low, high = value.min(axis=rest, keepdims=True), value.max(axis=rest, keepdims=True)
    return (value - low) / np.where(high > low, high - low, 1)


def mosaic(tiles, who, ax=None, titles=None, columns=None, inches=1.2):
    """Draw `tiles` (N, H, W, 3) side by side in one image, with `titles` above them, which are cut where they do not
    fit. Returns the axes. New axes give each tile so many inches."""
    count, height, width, _ = tiles.shape
    columns = ceil(sqrt(count)) if columns is None else min(columns, count)
    rows = ceil(count / columns)
    letters = max((len(line) for title in titles or () for line in title.split("\n")), default=0)
    lines = max((title.count("\n") + 1 for title in titles or ()), default=0)
    own = ax is None
    if own:
        tall = inches * height / width
        ax = axes(None, who, (max(columns * inches, 2.0), max(rows * (tall + 0.19 * lines), 1.5)))
    else:
        axes(ax, who)
    wide, high = 0.97 * INCH * ax.figure.get_size_inches() if own else points(ax)
    scale = min(wide / (columns * (width + 1)), high / (rows * (height + 1)))     # points a pixel
    size = max(font(scale * width, letters), _TITLE if scale * width > 40 else _SMALLEST) if lines else 0
    if lines:   # the titles take room as well
        scale = min(wide / (columns * (width + 1)), max(high / rows - 1.3 * size * lines, size) / (height + 1))
    gap = max(ceil(1.3 * size * lines / scale), 1)
    top = gap if lines else 0
    sheet = np.zeros((rows * (height + gap) - gap + top, columns * (width + 1) - 1, 4))
    for i, tile in enumerate(tiles):
        y, x = i // columns * (height + gap) + top, i % columns * (width + 1)
        sheet[y:y + height, x:x + width, :3] = tile
        sheet[y:y + height, x:x + width, 3] = 1
        if lines:
            ax.text(x + (width - 1) / 2, y - 0.5 - 0.2 * size / scale,
                    shortened(titles[i], max(int(scale * width / (LETTER * size)), 2)), ha="center", va="bottom",
                    fontsize=size, linespacing=1.0)
    ax.imshow(sheet, interpolation="nearest")
    ax.set_axis_off()
    return ax
