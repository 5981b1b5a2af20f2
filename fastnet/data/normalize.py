"""Normalisation of images, tables and sequences: fitted on the training set, applied while a batch is made."""
from typing import NamedTuple

import numpy as np

from fastnet import arguments

CHUNK = 1024  # images converted to float64 at a time: 25 MB of CIFAR
MOST = float(np.finfo(np.float32).max)


class Terms(NamedTuple):
    """y = (x - center) * scale + shift, as compiled code computes it: float32 arrays.

    The center is the mean as near as float32 comes to it, the shift what is left: so a small deviation beside a large
    mean keeps its digits, which y = x * scale + shift would lose.
    """

    center: np.ndarray  # (C, ...)
    scale: np.ndarray   # (C,)
    shift: np.ndarray   # (C, ...)


class Normalize:
    """y = (x - mean) / std for each channel, the second axis of x: of images (N, C, H, W), the columns of a table
    (N, C), or sequences (N, C, L); or with a mean for each number of a sample.

    mean : (C,) one number a channel, or (C, ...) a mean image, of a sample's shape;  std : (C,), positive
    Both are in the units of the data: 0 to 255 for uint8 images. Calling it on x gives float32 of the same shape; a
    `DataLoader` takes it as ``normalize=`` and does the same while it makes a batch. Fit it with `per_channel`,
    `mean_image` or `min_max`, on the training set only. TypeError or ValueError for what are no such numbers.

    >>> images = np.array([0, 100], np.uint8).reshape(2, 1, 1, 1)
    >>> normalize = Normalize.per_channel(images)
    >>> normalize
    Normalize(1 channels, mean=[50.0], std=[50.0])
    >>> normalize(images).ravel()
    array([-1.,  1.], dtype=float32)
    """

    def __init__(self, mean, std):
        self.mean, self.std = (arguments.values(value, f"Normalize: {name}").astype(np.float64)
                               for value, name in ((mean, "mean"), (std, "std")))
        if not self.mean.ndim or self.std.shape != self.mean.shape[:1] or 0 in self.mean.shape:
            raise ValueError(f"Normalize: mean and std must have shapes (C,), or (C, ...) as a sample has, and (C,), "
                             f"got {self.mean.shape} and {self.std.shape}")
        if not (np.abs(self.mean) <= MOST).all():
            raise ValueError("Normalize: mean must be finite, in single precision too")
        if not ((self.std > 1 / MOST) & (self.std <= MOST)).all():
            raise ValueError("Normalize: std must be finite and positive, in single precision too")

    @classmethod
    def per_channel(cls, x):
        """Mean 0 and standard deviation 1 in every channel. A channel that never varies is only centred."""
        x = _data(x, "Normalize.per_channel: x")
        mean = _mean(x).reshape(x.shape[1], -1).mean(axis=1)
        low, high = _extremes(x)
        return cls(mean, _deviation(x, _beside(mean, x.shape[1:]), low < high))

    @classmethod
    def mean_image(cls, x):
        """Subtracts the mean of each number of a sample, and divides each channel by its deviation from these."""
        x = _data(x, "Normalize.mean_image: x")
        mean = _mean(x)
        varies = (x.min(axis=0) != x.max(axis=0)).reshape(x.shape[1], -1).any(axis=1)
        return cls(mean, _deviation(x, mean, varies))

    @classmethod
    def min_max(cls, x):
        """Maps the smallest value of each channel to 0 and the greatest to 1."""
        x = _data(x, "Normalize.min_max: x")
        low, high = _extremes(x)
        return cls(low, np.where(low < high, high - low, 1.0))

    def __call__(self, x):
        x = _data(x, "Normalize: x")
        center, scale, shift = self.terms(x.shape[1:])
        result = np.empty(x.shape, np.float32)
        for i in range(0, len(x), CHUNK):
            result[i:i + CHUNK] = (x[i:i + CHUNK] - center) * _beside(scale, center.shape) + shift
        return result

    def inverse(self, x):
        """What was normalised, from x, which came of it: x * std + mean, float32 of the same shape."""
        x = _data(x, "Normalize.inverse: x")
        center, scale, shift = self.terms(x.shape[1:])
        result = np.empty(x.shape, np.float32)
        for i in range(0, len(x), CHUNK):
            result[i:i + CHUNK] = (x[i:i + CHUNK] - shift) / _beside(scale, center.shape) + center
        return result

    def terms(self, shape):
        """The `Terms` for samples of this shape (C, ...)."""
        shape = arguments.shape(shape, "Normalize: shape")
        if not shape or self.mean.shape != (shape if self.mean.ndim > 1 else shape[:1]):
            raise ValueError(f"Normalize was fitted to {self._form()}, got x of shape (N, "
                             f"{arguments.shown(shape)[1:]}: fit it on such data")
        scale = 1 / self.std
        mean = np.broadcast_to(self.mean if self.mean.ndim > 1 else _beside(self.mean, shape), shape)
        center = np.array(mean, np.float32, order="C")
        return Terms(center, scale.astype(np.float32),
                     np.array((center - mean) * _beside(scale, shape), np.float32, order="C"))

    def _form(self):
        return f"{len(self.std)} channels" if self.mean.ndim == 1 else f"a mean of shape {self.mean.shape}"

    def __repr__(self):
        mean = [round(m, 2) for m in self.mean.reshape(len(self.std), -1).mean(axis=1).tolist()]
        return f"Normalize({self._form()}, mean={mean}, std={[round(s, 2) for s in self.std.tolist()]})"


def identity(shape):
    """The `Terms` that leave samples of this shape (C, ...) as they are."""
    return Terms(np.zeros(shape, np.float32), np.ones(shape[0], np.float32), np.zeros(shape, np.float32))


def check_images(images, name, finite=True):
    """`images` as an array (N, C, H, W) of uint8, or of float32 or float64 that single precision can hold; TypeError
    or ValueError where it is anything else. Without `finite` the numbers are not looked at, and there may be none."""
    images = arguments.array(images, name)
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise TypeError(f"{name} must be uint8 or float, got {arguments.shown(images)}: give images.astype('uint8') "
                        "where they are numbers from 0 to 255")
    if images.ndim != 4:
        remedy = ": give images[:, None], one channel" if images.ndim == 3 else ""
        raise ValueError(f"{name} must have shape (N, C, H, W), got {images.shape}{remedy}")
    _, height, width, channels = images.shape
    colours = channels in (3, 4) and images.dtype == np.uint8   # of other numbers there are maps as narrow as that
    if min(height, width) >= 8 and (colours or channels in (1, 3, 4) and height == width):
        raise ValueError(f"{name} must have shape (N, C, H, W), got {images.shape}, which looks like channels-last: "
                         "give images.transpose(0, 3, 1, 2)")
    if images.dtype.kind == "f":
        images = images.astype(np.float64 if images.dtype.itemsize > 4 else np.float32, copy=False)
    if finite:
        if 0 in images.shape:
            raise ValueError(f"{name} must hold one pixel at least, got shape {images.shape}")
        if images.dtype != np.uint8:
            check_finite(images, name)
    return images


def check_finite(array, name):
    """ValueError where an array holds what float32 has no number for, which names the first such sample."""
    for i in range(0, len(array), CHUNK):
        part = array[i:i + CHUNK]
        good = np.abs(part) <= MOST if part.dtype.itemsize > 2 else np.isfinite(part)   # float16 has no such number
        if not good.all():
            bad = i + int(np.argmin(good.reshape(len(good), -1).all(axis=1)))
            raise ValueError(f"{name} must be finite, in single precision too, and sample {bad} is not (NaN, infinity "
                             "or beyond 3.4e38): repair it or leave it out")


def _data(value, name):
    """IMAGES as `check_images` has them, or other numbers (N, C) or (N, C, ...), finite."""
    if hasattr(value, "load") and hasattr(value, "paths"):
        raise TypeError(f"{name} must be an array, got {arguments.shown(value)}: give as many of the images as fit "
                        "into memory, files[:1000].load()[0]")
    value = arguments.array(value, name)
    if value.ndim == 4:
        return check_images(value, name)
    if value.ndim < 2 or 0 in value.shape:
        raise ValueError(f"{name} must have shape (N, C, ...), one number at least, got {value.shape}")
    if value.dtype.kind == "f":
        check_finite(value, name)
    return value if value.dtype.kind == "f" and value.itemsize >= 4 else value.astype(np.float64)


def _beside(numbers, shape):
    """One number a channel, so that it meets samples of that shape (C, ...)."""
    return numbers.reshape(-1, *[1] * (len(shape) - 1))


def _extremes(x):
    """The smallest and the greatest value of each channel, float64 (C,); over samples first, which is quick."""
    channels = x.shape[1]
    return (x.min(axis=0).reshape(channels, -1).min(axis=1).astype(np.float64),
            x.max(axis=0).reshape(channels, -1).max(axis=1).astype(np.float64))


def _mean(x):
    return sum(x[i:i + CHUNK].sum(axis=0, dtype=np.float64) for i in range(0, len(x), CHUNK)) / len(x)


def _deviation(x, mean, varies):
    """Standard deviation of each channel around `mean`, (C,); 1 where a channel does not vary."""
    axes = (0, *range(2, x.ndim))
    total = sum(((x[i:i + CHUNK] - mean) ** 2).sum(axis=axes) for i in range(0, len(x), CHUNK))
    return np.where(varies, np.sqrt(total / (x.size // x.shape[1])), 1.0)
