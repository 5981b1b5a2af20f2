"""Pooling of regions: of the pixels in each bin of a box the largest, or the mean of samples taken between them."""
import numpy as np

from fastnet.kernels import checks, shapes, windows
from fastnet.kernels.naive.array import channels_last


def roi_pool_forward(x, boxes, output_size, spatial_scale=1.0):
    """(y, index): the largest pixel of each bin, and its place h W + w."""
    x, boxes = _operands(x, boxes)
    shape = shapes.roi_pool_forward(x, boxes, output_size, spatial_scale)[0].shape
    width, nowhere = x.shape[3], x.shape[2] * x.shape[3]
    y, index = np.zeros(shape, x.dtype), np.full(shape, nowhere, windows.UINT32)
    for m, box in enumerate(boxes.astype(np.float64)):
        image, left, top, right, bottom = box
        rows = _bins(top * spatial_scale, bottom * spatial_scale, *output_size[:1], x.shape[2])
        columns = _bins(left * spatial_scale, right * spatial_scale, *output_size[1:], width)
        for p, (first_h, last_h) in enumerate(rows):
            for q, (first_w, last_w) in enumerate(columns):
                pixels = x[int(image), :, first_h:last_h, first_w:last_w]
                if pixels.size:
                    place = pixels.reshape(x.shape[1], -1).argmax(1)
                    r, s = np.divmod(place, last_w - first_w)
                    y[m, :, p, q] = pixels[np.arange(x.shape[1]), r, s]
                    index[m, :, p, q] = (first_h + r) * width + first_w + s
    return channels_last(y), channels_last(index)


def roi_pool_backward(dy, index, boxes, x_shape):
    """dx: every dy[m,c,p,q] is added to the pixel that won its bin."""
    dy, boxes = _operands(dy, boxes, x_shape[0])
    shapes.roi_pool_backward(dy, index, boxes, x_shape)
    n, c, h, w = x_shape
    dx = np.zeros((n, c, h * w + 1))    # and where no pixel won
    for m, p, q in np.ndindex(dy.shape[0], *dy.shape[2:]):
        dx[int(boxes[m][0]), np.arange(c), index[m, :, p, q]] += dy[m, :, p, q]
    return channels_last(dx[:, :, :-1].reshape(n, c, h, w).astype(dy.dtype))


def roi_align_forward(x, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """The mean of the samples in each bin."""
    x, boxes = _operands(x, boxes)
    y = np.zeros(shapes.roi_align_forward(x, boxes, output_size, spatial_scale, sampling_ratio, aligned).shape)
    for m, p, q, image, weights in _samples(boxes, x.shape, output_size, spatial_scale, sampling_ratio, aligned):
        for h, w, weight in weights:
            y[m, :, p, q] += weight * x[image, :, h, w]
    return channels_last(y.astype(x.dtype))


def roi_align_backward(dy, boxes, x_shape, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """dx: every dy[m,c,p,q] goes to the pixels that its samples were made of, with their weights."""
    dy, boxes = _operands(dy, boxes, x_shape[0])
    shapes.roi_align_backward(dy, boxes, x_shape, spatial_scale, sampling_ratio, aligned)
    dx = np.zeros(tuple(x_shape))
    for m, p, q, image, weights in _samples(boxes, x_shape, dy.shape[2:], spatial_scale, sampling_ratio, aligned):
        for h, w, weight in weights:
            dx[image, :, h, w] += weight * dy[m, :, p, q]
    return channels_last(dx.astype(dy.dtype))


def _operands(x, boxes, images=None):
    x, boxes = checks.floating(x, "x" if images is None else "dy"), checks.floating(boxes, "boxes")
    if boxes.ndim == 2 and boxes.shape[1] == 5:
        windows.boxes_within(boxes, x.shape[0] if images is None else images)
    return x, boxes


def _bins(low, high, count, pixels):
    """[(first, last + 1)] of the pixels of an image in each bin of a box from low to high."""
    start, end = (int(np.sign(v) * np.floor(abs(v) + 0.5)) for v in (low, high))
    size = max(end - start + 1, 1)
    return [tuple(np.clip((start + first, start + stop), 0, pixels)) for first, stop in windows.adaptive(size, count)]


def _samples(boxes, x_shape, output_size, spatial_scale, sampling_ratio, aligned):
    """(m, p, q, image, [(h, w, weight)]) of each bin."""
    offset, least = (0.5, -np.inf) if aligned else (0.0, 1.0)
    for m, (image, left, top, right, bottom) in enumerate(boxes.astype(np.float64)):
        axes = []
        for low, high, count, pixels in ((top, bottom, output_size[0], x_shape[2]),
                                         (left, right, output_size[1], x_shape[3])):
            start = low * spatial_scale - offset
            extent = max(high * spatial_scale - offset - start, least) / count
            grid = sampling_ratio if sampling_ratio > 0 else max(int(np.ceil(extent)), 0)
            axes.append([[pair for i in range(grid)
                          for pair in _near(start + bin_ * extent + (i + 0.5) * extent / grid, pixels, grid)]
                         for bin_ in range(count)])
        for p, rows in enumerate(axes[0]):
            for q, columns in enumerate(axes[1]):
                yield m, p, q, int(image), [(h, w, a * b) for h, a in rows for w, b in columns]


def _near(v, pixels, grid):
    """[(pixel, weight)] of a sample at v, one of `grid` along an axis."""
    if v < -1 or v > pixels:
        return []
    v = min(max(v, 0), pixels - 1)
    low = int(v)
    return [(low, (low + 1 - v) / grid), (min(low + 1, pixels - 1), (v - low) / grid)]
