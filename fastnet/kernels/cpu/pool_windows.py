"""Windows over images, as the pooling kernels read them: tables along each axis, worked out once for some shapes.

Along an axis window i has taps from start on, `dilation` pixels apart, of which those from `first` up to `stop` meet
the image. So one kernel serves windows of all kinds: strided, padded, dilated, reaching beyond the end, or adaptive,
which are as many as are asked for and differ in width.

    8 pixels, kernel 3, stride 2, padding 1, ceil_mode:      . 0 1 2 3 4 5 6 7 .
      window 0: start -1, taps 1 and 2                       |___|
      window 1: start 1, taps 0, 1 and 2                         |___|
      ...
      window 4: start 7, tap 0                                               |___|
"""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import windows
from fastnet.kernels.cpu.runtime import entry, jit


class Window(NamedTuple):
    """Where a window starts, which of its taps meet the image, and how many pixels are counted in an average."""

    start: int
    first: int
    stop: int
    counted: int


class Over(NamedTuple):
    """The windows, from the first up to the stop, that lie over a pixel."""

    first: int
    stop: int


class Axis(NamedTuple):
    """The windows along one axis of an image, with `kernel` taps at most: a Window for each, an Over for each pixel."""

    pixels: int
    windows: int
    kernel: int
    dilation: int
    table: np.ndarray
    over: np.ndarray


class Windows(NamedTuple):
    """The windows over images of so many channels."""

    channels: int
    down: Axis
    across: Axis


def sliding(x_shape, y_shape, kernel_size, stride, padding, dilation=(1, 1), count_padding=False):
    """Windows of one size, and with `count_padding` the pixels of the padding counted too."""
    (_, c, h, w), (_, _, p, q), (top, bottom, left, right) = x_shape, y_shape, padding
    axes = zip((h, w), (p, q), kernel_size, stride, (top, left), (bottom, right), dilation, strict=True)
    return Windows(c, *(_sliding(*axis, count_padding) for axis in axes))


def adaptive(x_shape, y_shape):
    """As many windows as y has pixels, which hold all of the image."""
    (_, c, *pixels), (_, _, *counts) = x_shape, y_shape
    return Windows(c, *map(_adaptive, pixels, counts))


def _sliding(pixels, count, kernel, step, before, after, dilation, count_padding):
    starts = np.arange(count) * step - before
    first = np.maximum(0, -(starts // dilation))
    stop = np.minimum(kernel, -((starts - pixels) // dilation))
    counted = np.minimum(starts + kernel, pixels + after) - starts if count_padding else stop - first
    ends = starts + (kernel - 1) * dilation + 1
    return _axis(pixels, kernel, dilation, ends, starts, first, stop, counted)


def _adaptive(pixels, count):
    starts, stops = np.transpose(windows.adaptive(pixels, count))
    sizes = stops - starts
    return _axis(pixels, int(sizes.max()), 1, stops, starts, 0 * starts, sizes, sizes)


def _axis(pixels, kernel, dilation, ends, *table):
    starts, all_ = table[0], np.arange(pixels)
    over = np.searchsorted(ends, all_, "right"), np.searchsorted(starts, all_, "right")
    return Axis(pixels, len(starts), kernel, dilation, _words(table), _words(over))


def _words(columns):
    """Plans whose fields stand in these columns."""
    return np.stack(columns, axis=1).astype(np.int64).reshape(-1)


def overlap(axis):
    """Whether a pixel may lie under two windows, or between the taps of one."""
    starts = axis.table.reshape(-1, len(Window._fields))[:, Window._fields.index("start")]
    return axis.dilation > 1 or bool((np.diff(starts) < axis.kernel).any())


def whole(axis):
    """Whether every tap of every window meets the image."""
    table = axis.table.reshape(-1, len(Window._fields))
    return bool((table[:, Window._fields.index("stop")] - table[:, Window._fields.index("first")] == axis.kernel).all())


@jit
def tap(axis, pixel, window):
    """Which tap of a window over a pixel meets it; -1 where it lies between two."""
    reach = pixel - entry(Window, axis.table, window).start
    if axis.dilation == 1:
        return reach
    return reach // axis.dilation if reach % axis.dilation == 0 else -1


@jit
def pixels_nearest(axis, window):
    """(first, last + 1) of the pixels from the start of a window to that of the next: the first and last windows take
    what is left at the edges."""
    start = entry(Window, axis.table, window).start
    last = window == axis.windows - 1
    return max(0, start), axis.pixels if last else entry(Window, axis.table, window + 1).start
