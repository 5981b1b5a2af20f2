"""Many small pictures in one: filters, templates, maps, images with what was said of them."""
from math import ceil, sqrt

import numpy as np

from fastnet import arguments
from fastnet.plot.base import axes, coloured, finite, mosaic, names, stretched
from fastnet.plot.base import pictures as shown_as


def filters(weight, ax=None):
    """Draws the filters of a first convolution as a square of small colour pictures.

    ``weight`` is an array (K, 3, R, S), or (K, 1, R, S) for grey ones; each filter is stretched to its own range of
    brightness. Raises ValueError for any other shape, and for numbers that are not finite.

    >>> ax = filters(np.random.default_rng(0).normal(size=(4, 3, 5, 5)))
    """
    what = ("have shape (K, 3, R, S) or (K, 1, R, S), since only filters that see the image itself can be shown as "
            "pictures")
    weight = finite(weight, "filters: weight", (4,), what)
    if weight.shape[1] not in (1, 3):
        raise ValueError(f"filters: weight must {what}, got {weight.shape}")
    return mosaic(np.broadcast_to(stretched(weight).transpose(0, 2, 3, 1), (*_size(weight), 3)), "filters", ax,
                  inches=0.5)


def _size(images):
    return len(images), *images.shape[2:]


def templates(weight, shape, classes=None, ax=None):
    """Draws each row of a linear classifier's weight (K, C H W) as the image that it looks for, with its class above.

    ``shape`` is that of an image, (C, H, W), with one or three channels; ``classes`` are K names, by default numbers.
    Each template is stretched to its own range of brightness. ValueError where the sizes do not fit.

    >>> ax = templates(np.random.default_rng(0).normal(size=(2, 12)), (3, 2, 2))
    """
    shape = arguments.integers(shape, "templates: shape", 3, 1, "the shape (C, H, W) of an image")
    weight = finite(weight, "templates: weight", (2,), "have shape (K, C H W), a row for each class")
    if shape[0] not in (1, 3) or weight.shape[1] != np.prod(shape):
        raise ValueError(f"templates: weight must have rows of {np.prod(shape)} numbers and shape one or three "
                         f"channels, got weight of shape {weight.shape} and shape {shape}")
    count = len(weight)
    titles = list(map(str, range(count))) if classes is None else names(classes, "templates: classes", count)
    tiles = np.broadcast_to(stretched(weight.reshape(count, *shape)).transpose(0, 2, 3, 1), (count, *shape[1:], 3))
    return mosaic(tiles, "templates", ax, titles, ceil(sqrt(2 * count)))


def activation_maps(maps, ax=None, together=False):
    """Draws what the channels of a layer say of one image, ``maps`` of shape (C, H, W), bright where a number is high.

    Each is stretched to its own range, or with ``together`` all to one, so that channels that say little are dark.
    ValueError for any other shape, such as that of a batch: give ``y[0]``.

    >>> ax = activation_maps(np.random.default_rng(0).random((4, 8, 8)))
    """
    maps = finite(maps, "activation_maps: maps", (3,), "have shape (C, H, W), those of one image, y[0]")
    together = arguments.flag(together, "activation_maps: together")
    grey = stretched(maps[None])[0] if together else stretched(maps)
    return mosaic(coloured(grey), "activation_maps", ax, inches=1.0)


def images(x, titles=None, ax=None, columns=None):
    """Draws images (N, C, H, W) with one or three channels, or (N, H, W), side by side, with N ``titles`` above them.

    uint8 and floats from 0 to 1 are shown as they are, others each stretched to its range.
    ValueError for what is no image, and another number of titles.

    >>> ax = images(np.zeros((4, 3, 8, 8), np.uint8))
    """
    tiles = shown_as(x, "images: x")
    if titles is not None:
        titles = names(titles, "images: titles", len(tiles))
    if columns is not None:
        columns = arguments.integer(columns, "images: columns", 1)
    return mosaic(tiles, "images", ax, titles, columns)


def misclassified(x, labels, predictions, classes, ax=None, most=25):
    """Draws the images that were taken for another class, at most so many, the first ones: above each the class that
    was said, below it in brackets the right one.

    ``x`` are images as `images` takes them, ``labels`` and ``predictions`` class numbers, ``classes`` names. Where
    none is wrong, the axes say so. ValueError where there are more of the one than of the other.

    >>> ax = misclassified(np.zeros((2, 3, 8, 8), np.uint8), np.array([0, 1]), np.array([0, 0]), ["cat", "dog"])
    """
    tiles = shown_as(x, "misclassified: x")
    classes = names(classes, "misclassified: classes")
    labels = arguments.labels(labels, "misclassified: labels", len(tiles), len(classes))
    predictions = arguments.labels(predictions, "misclassified: predictions", len(tiles), len(classes))
    wrong = np.flatnonzero(labels != predictions)[:arguments.integer(most, "misclassified: most", 1)]
    if not len(wrong):
        ax = axes(ax, "misclassified", (3, 1))
        ax.set_axis_off()
        ax.text(0.5, 0.5, "nothing is misclassified", ha="center", va="center", transform=ax.transAxes)
        return ax
    titles = [f"{classes[said]}\n(is {classes[right]})"
              for said, right in zip(predictions[wrong], labels[wrong], strict=True)]
    return mosaic(tiles[wrong], "misclassified", ax, titles)


def neighbours(queries, found, titles=None, ax=None):
    """Draws images and what is nearest to them: a row for each of N ``queries``, images (N, C, H, W), with it at the
    left, and right of it its K neighbours, ``found`` of shape (N, K, C, H, W), such as ``train.images[indices]``.

    ``titles`` are N lists of 1 + K strings, such as class names, or None. ValueError for shapes that do not fit.

    >>> ax = neighbours(np.zeros((2, 3, 8, 8), np.uint8), np.zeros((2, 4, 3, 8, 8), np.uint8))
    """
    queries = shown_as(queries, "neighbours: queries")
    found = arguments.array(found, "neighbours: found")
    if found.ndim not in (4, 5) or len(found) != len(queries):
        raise ValueError(f"neighbours: found must hold K images for each of the {len(queries)} queries, of shape "
                         f"(N, K, C, H, W), got {arguments.shown(found)}")
    count = found.shape[1]
    others = shown_as(found.reshape(-1, *found.shape[2:]), "neighbours: found")
    if others.shape[1:] != queries.shape[1:]:
        raise ValueError(f"neighbours: found must be images of the size of queries, {queries.shape[1:3]}, got "
                         f"{others.shape[1:3]}")
    if titles is not None:
        titles = [title for row in arguments.listed(titles, "neighbours: titles", "lists of names")
                  for title in names(row, "neighbours: titles", 1 + count)]
        names(titles, "neighbours: titles", len(queries) * (1 + count))
    rows = np.concatenate([queries[:, None], others.reshape(len(queries), count, *others.shape[1:])], axis=1)
    ax = mosaic(rows.reshape(-1, *rows.shape[2:]), "neighbours", ax, titles, 1 + count)
    ax.axvline(queries.shape[2], color="C3", linewidth=1.5)     # between the queries and the rest
    return ax


def overlay(image, heat, ax=None, alpha=0.8):
    """Draws an image (C, H, W) in grey with a map of heat over it, ``heat`` of shape (h, w) with numbers of at least 0,
    which is scaled to the image's size: where it is hot the image is covered, where it is 0 it is seen as it is.

    For what `fastnet.checks.saliency` and `grad_cam` give. ValueError for shapes that do not fit.

    >>> ax = overlay(np.zeros((3, 8, 8), np.uint8), np.ones((8, 8)))
    """
    image = arguments.values(image, "overlay: image")
    if image.ndim not in (2, 3):
        raise ValueError(f"overlay: image must have shape (C, H, W) or (H, W), one image, got {image.shape}")
    tile = shown_as(image[None], "overlay: image")[0]
    heat = finite(heat, "overlay: heat", (2,), "have shape (h, w)")
    if heat.min() < 0:
        raise ValueError(f"overlay: heat must hold numbers of at least 0, got {heat.min():.3g}")
    alpha = arguments.number(alpha, "overlay: alpha", 0, 1)
    grey = np.broadcast_to((tile @ [0.299, 0.587, 0.114])[..., None], tile.shape)
    ax = mosaic(grey[None], "overlay", ax, inches=3.0)
    share = heat / heat.max() if heat.max() > 0 else heat
    height, width = tile.shape[:2]
    ax.imshow(share, cmap="inferno", alpha=alpha * share ** 0.5, extent=(-0.5, width - 0.5, height - 0.5, -0.5),
              interpolation="nearest" if heat.shape == (height, width) else "bilinear", vmin=0, vmax=1)
    return ax
