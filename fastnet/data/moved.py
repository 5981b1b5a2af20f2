"""Masks and boxes as their images are moved, turned and scaled."""
import numpy as np


def moved_masks(masks, views):
    """Arrays (N, ..., H, W) as their images are seen: a new array. Of images that are turned or scaled each number is
    the nearest one."""
    height, width = masks.shape[-2:]
    fill = views.mask_fill if masks.dtype.kind == "i" else 0
    rows, columns = np.arange(height), np.arange(width)
    result = np.empty_like(masks)
    for i, (top, left, flip, *_) in enumerate(views.moves):
        down, across = (rows + top)[:, None], ((columns[::-1] if flip else columns) + left)[None]
        if views.turns is not None:
            down, across = _turned(down, across, views.turns[i, 0], height, width)
        inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
        if views.reflect:
            down, across = _mirrored(down, height), _mirrored(across, width)
        if views.turns is not None:
            _, first, start, tall, wide = views.turns[i]
            down = np.clip(np.floor(first + (down + 0.5) * tall / height), first, first + tall - 1).astype(np.int64)
            across = np.clip(np.floor(start + (across + 0.5) * wide / width), start, start + wide - 1).astype(np.int64)
        seen = masks[i][..., np.clip(down, 0, height - 1), np.clip(across, 0, width - 1)]
        result[i] = seen if views.reflect else np.where(inside, seen, masks.dtype.type(fill))
    return result


def _turned(down, across, angle, height, width):
    """The pixels that come to these places when an image is turned by this angle, anticlockwise."""
    v, u = down - (height - 1) / 2, across - (width - 1) / 2
    sin, cos = np.sin(angle), np.cos(angle)
    return (np.floor(sin * u + cos * v + height / 2).astype(np.int64),
            np.floor(cos * u - sin * v + width / 2).astype(np.int64))


def _mirrored(places, size):
    places = np.abs(places) % max(1, 2 * (size - 1))
    return np.where(places < size, places, 2 * (size - 1) - places)


def moved_boxes(boxes, views, height, width):
    """Boxes (N, ..., 4) of (x1, y1, x2, y2), in pixels from the image's edge, as their images are seen, and cut off at
    the border: one that is out of sight has no width or height. Of a box that is turned it is the box around it."""
    ends = boxes.reshape(len(boxes), -1, 4).astype(boxes.dtype, copy=True)
    across, down = ends[..., 0::2], ends[..., 1::2]
    if views.turns is not None:
        angle, first, start, tall, wide = (views.turns[:, i, None, None] for i in range(5))
        u = ((across - start) * width / wide - width / 2)[..., [0, 0, 1, 1]]
        v = ((down - first) * height / tall - height / 2)[..., [0, 1, 0, 1]]
        sin, cos = np.sin(angle), np.cos(angle)
        across, down = (np.stack([corners.min(axis=-1), corners.max(axis=-1)], axis=-1).astype(boxes.dtype)
                        for corners in (cos * u + sin * v + width / 2, cos * v - sin * u + height / 2))
    top, left, flip = (views.moves[:, i, None, None].astype(boxes.dtype) for i in range(3))
    across, down = across - left, down - top
    across = np.where(flip, width - across[..., ::-1], across)
    ends[..., 0::2], ends[..., 1::2] = np.clip(across, 0, width), np.clip(down, 0, height)
    return ends.reshape(boxes.shape)
