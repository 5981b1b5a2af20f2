"""What a convolution looks like, apart from its numbers.

    x: (N, C, H, W), or in memory images of H x W pixels, each C numbers that lie side by side
    w: (K, C / groups, R, S): K filters of R x S taps
    y: (N, K, P, Q)

A *tap* is one element (r, s) of the kernel. Output pixel (p, q) meets, under tap (r, s), pixel
(p stride + r dilation - top, q stride + s dilation - left) of x, which is zero outside of the image.
"""
from typing import NamedTuple

import numpy as np


class Images(NamedTuple):
    """The size of images."""

    height: int
    width: int
    channels: int

    @property
    def numbers(self):
        """How many numbers one of them has."""
        return self.height * self.width * self.channels


class Pair(NamedTuple):
    """One number for the rows of images or kernels, one for the columns."""

    down: int
    across: int


class Padding(NamedTuple):
    """Zeros around an image; beyond its last row and column they follow from the size of the result."""

    top: int
    bottom: int
    left: int
    right: int


class Geometry(NamedTuple):
    """All shapes of a convolution, and its options."""

    x_shape: tuple
    w_shape: tuple
    y_shape: tuple
    dtype: np.dtype
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int

    @classmethod
    def of(cls, x_shape, w_shape, y_shape, dtype, where):
        """That of shapes and ``where`` = (stride, padding, dilation, groups), as anything that has their numbers."""
        stride, padding, dilation, groups = where
        return cls(tuple(x_shape), tuple(w_shape), tuple(y_shape), np.dtype(dtype), Pair(*stride), Padding(*padding),
                   Pair(*dilation), groups)

    @property
    def batch(self):
        return self.x_shape[0]

    @property
    def source(self):
        """The size of the images x."""
        _, channels, height, width = self.x_shape
        return Images(height, width, channels)

    @property
    def target(self):
        """The size of the images y."""
        _, channels, height, width = self.y_shape
        return Images(height, width, channels)

    @property
    def kernel(self):
        """(R, S)."""
        return Pair(*self.w_shape[2:])

    @property
    def part(self):
        """That of one group, as a convolution of its own."""
        (n, _, h, w), (k, size, r, s), (_, _, p, q) = self.x_shape, self.w_shape, self.y_shape
        return self._replace(x_shape=(n, size, h, w), w_shape=(k // self.groups, size, r, s),
                             y_shape=(n, k // self.groups, p, q), groups=1)

    @property
    def taps(self):
        """For each tap the pixel that it meets, relative to (p stride, q stride)."""
        return tuple(Pair(r * self.dilation.down - self.padding.top, s * self.dilation.across - self.padding.left)
                     for r, s in np.ndindex(*self.kernel))

    def reversed(self):
        """The convolution that makes dx of dy where the stride is 1, with the kernels rotated by half a circle."""
        (k, c, r, s), groups, dilation, padding = self.w_shape, self.groups, self.dilation, self.padding
        down, across = (r - 1) * dilation.down, (s - 1) * dilation.across
        rotated = Padding(down - padding.top, down - padding.bottom, across - padding.left, across - padding.right)
        return self._replace(x_shape=self.y_shape, w_shape=(c * groups, k // groups, r, s), y_shape=self.x_shape,
                             padding=rotated)

    def taps_that_reach(self, offset):
        """The taps through which pixels (u, v) stride + offset of x were read, as flat numbers r S + s, and for each of
        them the pixel of y, relative to (u, v), that read it."""
        numbers, readers = [], []
        for number, tap in enumerate(self.taps):
            down, across = offset[0] - tap.down, offset[1] - tap.across
            if down % self.stride.down == 0 and across % self.stride.across == 0:
                numbers.append(number)
                readers.append(Pair(down // self.stride.down, across // self.stride.across))
        return tuple(numbers), tuple(readers)
